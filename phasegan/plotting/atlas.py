"""The map of oversampling against noise or bits, one panel a method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phasegan.config.options.size import format_size
from phasegan.plotting.style import styled

LOWEST, HIGHEST = 10.0, 60.0
EXACT_COLOUR = "#d1495b"
EMPTY_COLOUR = "#ececec"
LETTERS_PER_INCH = 14.0
_STYLE = {
    "axes.facecolor": EMPTY_COLOUR,
    "axes.grid": False,
    "axes.labelsize": 8,
    "axes.spines.bottom": False,
    "axes.spines.left": False,
    "axes.titlelocation": "center",
    "axes.titlesize": 10,
    "figure.titlesize": 9,
    "savefig.dpi": 150,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 7,
}
KINDS = {"noise": "phase noise σ (rad)", "bits": "bits of a phase"}


@styled(_STYLE)
def draw_atlas(
    path: Path, cells: Sequence[Mapping[str, Any]], name: str, *, form: str = "png"
) -> None:
    """Draw PSNR after a scale fit over oversampling and degradation.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    cells : sequence of mapping
        method, kind, level, oversampling, images, psnr_scale_db, certified, and
        exact, as `phasegan.benchmark.cells.Cell` has them.
    name : str
        Of the data, for the title.
    form : {"png", "svg"}
        File format.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(cell["method"] for cell in cells))
    kinds = [kind for kind in KINDS if any(cell["kind"] == kind for cell in cells)]
    ratios = sorted({cell["oversampling"] for cell in cells})
    width = 1.0 + len(methods) * max(1.9, 0.42 * len(ratios) + 0.3)
    heights = [len({c["level"] for c in cells if c["kind"] == kind}) for kind in kinds]
    figure = Figure(figsize=(width, 1.5 + 0.3 * sum(heights) + 0.5 * len(kinds)))
    grid = figure.subplots(
        len(kinds), len(methods), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    colours, norm = _colours(), Normalize(LOWEST, HIGHEST)
    for row, kind in enumerate(kinds):
        levels = sorted({c["level"] for c in cells if c["kind"] == kind}, reverse=kind == "noise")
        for column, method in enumerate(methods):
            axes = grid[row][column]
            chosen = [c for c in cells if c["kind"] == kind and c["method"] == method]
            _panel(axes, chosen, ratios, levels, colours, norm)
            if row == 0:
                axes.set_title(method)
            axes.set_xticks(range(len(ratios)), [f"{r:.3g}" for r in ratios])
            if row == len(kinds) - 1:
                axes.set_xlabel("oversampling M/N")
            labels = [f"{level:g}" for level in levels] if column == 0 else []
            axes.set_yticks(range(len(levels)), labels or [""] * len(levels))
            if column == 0:
                axes.set_ylabel(KINDS[kind])
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=grid.ravel().tolist(), shrink=0.7, pad=0.01, extend="both"
    )
    bar.set_label("PSNR after a scale fit (dB)")
    images, size = cells[0]["images"], cells[0]["N"]
    places = len(methods) * len(ratios) * sum(heights)
    title = (
        f"What the phase determines: {images} images of {name}, {format_size(size)}. Numbers "
        "are dB; red: certified exact, with the share of images. Dashed: M/N = √2."
        + (" Grey: the method takes no such phases." if len(cells) < places else "")
    )
    figure.suptitle(textwrap.fill(title, int(LETTERS_PER_INCH * width)))
    figure.savefig(path, format=form)


def _colours() -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"]


def _panel(
    axes: Any,
    cells: Sequence[Mapping[str, Any]],
    ratios: Sequence[float],
    levels: Sequence[float],
    colours: Any,
    norm: Any,
) -> None:
    from matplotlib.patches import Rectangle

    for cell in cells:
        x, y = ratios.index(cell["oversampling"]), levels.index(cell["level"])
        share = cell["certified"] / cell["images"]
        value = cell["psnr_scale_db"]
        face = EXACT_COLOUR if share > 0 else colours(norm(value))
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", lw=0.6)
        )
        text = f"{100 * share:.0f}%" if share > 0 else f"{value:.0f}"
        dark = share > 0 or float(np.dot(face[:3], (0.3, 0.6, 0.1))) < 0.5
        axes.text(
            x, y, text, ha="center", va="center", fontsize=6, color="white" if dark else "black"
        )
    axes.set_xlim(-0.5, len(ratios) - 0.5)
    axes.set_ylim(-0.5, len(levels) - 0.5)
    root = float(np.interp(np.sqrt(2.0), ratios, range(len(ratios))))
    if ratios[0] < np.sqrt(2.0) < ratios[-1]:
        axes.axvline(root, color="black", linestyle=(0, (3, 2)), linewidth=0.9)
    axes.tick_params(length=0)
