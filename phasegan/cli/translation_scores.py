"""The table of `phasegan evaluate` for translations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from phasegan.cli.common import Manners, print_table

if TYPE_CHECKING:
    from phasegan.evaluation.translation import TranslationScores

_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "swd": ("Wasserstein", lambda value: f"{value:.1f}"),
    "taken": ("taken for it", lambda value: f"{value:.0%}"),
    "mse": ("MSE", lambda value: f"{value:,.0f}"),
    "ssim": ("SSIM", lambda value: f"{value:.3f}"),
    "cycle_mse": ("MSE there and back", lambda value: f"{value:,.0f}"),
    "fid": ("FID", lambda value: f"{value:.1f}"),
    "kid": ("KID × 1e3", lambda value: f"{value:.1f}"),
}
_NOTES = {
    "swd": "Wasserstein: sliced distance × 1e3 between patches of the pictures and of the test "
    "pictures of the domain that they should be of; less is better, and real is what other "
    "pictures of that domain get.",
    "taken": "taken for it: share that a classifier, trained on the two training folders, takes "
    "for the domain that they should be of; of real, the test pictures themselves.",
    "mse": "MSE, SSIM: against the test picture of the same name in the other folder, on 0..255.",
    "cycle_mse": "MSE there and back: what is lost when a translation is translated back.",
    "fid": "FID, KID: by the given feature network; comparable only with the same network, "
    "number and size of pictures.",
}


def say_translation_scores(
    manners: Manners,
    data: str | None,
    domain_a: str | None,
    domain_b: str | None,
    runs: Sequence[str],
    size: int | None,
    features: str | None,
    json_path: str | None,
) -> None:
    """Score runs, print the table, write it as JSON."""
    from phasegan.evaluation.translation import score_translations
    from phasegan.io.atomic import write_json

    found = score_translations(
        data,
        runs,
        domain_a=domain_a,
        domain_b=domain_b,
        size=size,
        seed=manners.seed or 0,
        device=manners.device,
        features=features,
        progress=manners.progress,
    )
    if json_path is not None:
        write_json(json_path, found.as_json())
    _print(manners, found)
    if json_path is not None:
        manners.say(f"wrote {json_path}")


def _print(manners: Manners, found: TranslationScores) -> None:
    shown = [name for name in _COLUMNS if any(name in row.values for row in found.rows)]
    headers = ["pictures", "way", *(_COLUMNS[name][0] for name in shown)]
    rows = []
    for row in found.rows:
        cells = [
            _COLUMNS[name][1](row.values[name]) if name in row.values else "–" for name in shown
        ]
        rows.append([row.label, " → ".join(row.way.upper()), *cells])
    print_table(headers, rows, texts=["way"])
    manners.note(
        f"{found.counts[0]} test pictures of A and {found.counts[1]} of B, middle squares at "
        f"{found.size}×{found.size}."
    )
    for name in shown:
        if name in _NOTES:
            manners.note(_NOTES[name])
    if found.accuracy is not None:
        manners.note(f"The classifier is right on {found.accuracy:.0%} of the test pictures.")
    for remark in found.remarks:
        manners.note(f"Note: {remark}.")
