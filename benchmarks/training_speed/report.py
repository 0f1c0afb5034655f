"""What was measured, as a document and as a table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from phasegan.progress import format_duration
from training_speed.gauges import Window, arithmetic, datasheet
from training_speed.modes import Mode

WHOLE_TABLE = 225_000
"""Image-steps of the published training: 4500 images, 50 epochs."""


@dataclasses.dataclass
class Row:
    """A mode and what was measured of it.

    Attributes
    ----------
    mode : Mode
        With its batch, once that is known.
    missing : str or None
        Why it was not measured, or why measuring ended.
    windows : list of Window
        One a round.
    flops : float or None
        Operations an image.
    first_seconds : float or None
        Of the first step.
    busy : float or None
        Seconds of a step in which a GPU does anything.
    peak_bytes : int or None
        Memory of the mode alone.
    """

    mode: Mode
    missing: str | None = None
    windows: list[Window] = dataclasses.field(default_factory=list)
    flops: float | None = None
    first_seconds: float | None = None
    step_seconds: float = 0.0
    busy: float | None = None
    peak_bytes: int | None = None

    @property
    def rate(self) -> float | None:
        """Images per second: the middle of the windows."""
        return statistics.median(w.rate for w in self.windows) if self.windows else None


def standard(rows: Sequence[Row]) -> Row | None:
    """Return the row that the others are divided by: reference, base, or the first there is."""
    measured = [row for row in rows if row.windows]
    order = {"reference": 0, "base": 1}
    return min(measured, key=lambda row: order.get(row.mode.name, 2), default=None)


def fastest(rows: Sequence[Row]) -> Row | None:
    """Return phasegan's fastest row."""
    own = [row for row in rows if row.windows and row.mode.execution is not None]
    return max(own, key=lambda row: row.rate or 0.0, default=None)


def ratios(row: Row, other: Row) -> list[float]:
    """Return the rates of a row over those of another in the same rounds."""
    rates = {window.round: window.rate for window in other.windows}
    return [w.rate / rates[w.round] for w in row.windows if w.round in rates]


def describe_row(
    row: Row,
    rows: Sequence[Row],
    device: torch.device,
    matrix: Mapping[str, Sequence[float]],
    stopped: str | None = None,
) -> dict[str, Any]:
    """Return a row as JSON keeps it."""
    mode, kind = row.mode, arithmetic(row.mode, device)
    values: dict[str, Any] = {
        "name": mode.name,
        "what": mode.what,
        "status": "measured"
        if row.windows
        else f"not measured: {row.missing or stopped or 'not yet'}",
        "ended": row.missing if row.windows else None,
        "batch": mode.batch,
        "precision": mode.precision,
        "threads": mode.threads,
        "tf32": mode.tf32,
        "cudnn_benchmark": mode.autotune,
        "execution": None if mode.execution is None else mode.execution.model_dump(),
        "arithmetic": kind,
        "tflop_per_image": None if row.flops is None else row.flops / 1e12,
        "first_seconds": row.first_seconds,
        "busy_seconds_per_step": row.busy,
        "peak_bytes": row.peak_bytes,
        "windows": [dataclasses.asdict(window) for window in row.windows],
    }
    rate, reference = row.rate, standard(rows)
    if rate is None or reference is None:
        return values
    found = ratios(row, reference)
    values |= {"images_per_s": rate, "ms_per_image": 1e3 / rate, "idle": _idle(row, device)}
    if found:
        values |= {
            "ratio": statistics.median(found),
            "ratio_least": min(found),
            "ratio_largest": max(found),
        }
    if row.flops is not None:
        values["tflops"] = done = row.flops * rate / 1e12
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        peak, products = datasheet(gpu, kind), matrix.get(matrix_key(row.mode, device))
        values["share_of_datasheet"] = None if peak is None else done / peak
        values["share_of_matrix"] = done / statistics.median(products) if products else None
    return values


def matrix_key(mode: Mode, device: torch.device) -> str:
    """Return the name of the product of matrices that a mode is compared with."""
    threads = f" {mode.threads} thread" if mode.threads else ""
    return f"{arithmetic(mode, device)}{threads}"


def _idle(row: Row, device: torch.device) -> float | None:
    """Return the share of the time in which the device did nothing for this mode."""
    if device.type == "cuda":
        if row.busy is None:
            return None
        step = statistics.median(w.seconds / w.steps for w in row.windows)
        return max(0.0, 1.0 - row.busy / step)
    threads = row.mode.threads or torch.get_num_threads()
    used = statistics.median(w.cpu_seconds / w.seconds for w in row.windows)
    return max(0.0, 1.0 - used / threads)


def describe_steady(row: Row, windows: Sequence[Window]) -> dict[str, Any]:
    """Return a long run of one mode as JSON keeps it."""
    rates = [window.rate for window in windows]
    third = max(1, len(rates) // 3)
    seconds, images = sum(w.seconds for w in windows), sum(w.images for w in windows)
    return {
        "mode": row.mode.name,
        "batch": row.mode.batch,
        "seconds": seconds,
        "images": images,
        "images_per_s": images / seconds,
        "least": min(rates),
        "largest": max(rates),
        "drift": sum(rates[-third:]) / sum(rates[:third]),
        "extrapolated_seconds": WHOLE_TABLE * seconds / images,
        "windows": [dataclasses.asdict(window) for window in windows],
    }


# --- the table ----------------------------------------------------------------------

HEAD = (
    *("mode", "what", "images/s", "ms/image", "ratio", "TFLOP/image"),
    *("of datasheet", "of attainable", "idle", "memory"),
)


def table(document: Mapping[str, Any]) -> str:
    """Return the document as Markdown."""
    machine, data = document["machine"], document["data"]
    device = machine["gpu"] if document["device"] == "cuda" else machine["processor"]
    lines = [
        f"# Speed of training: {document['preset']}, {data['size']}×{data['size']} "
        f"{data['channels']}, {document['networks']}",
        "",
        f"{device}, {machine['threads']} of {machine['cores']} cores, torch {machine['torch']}, "
        f"phasegan {machine['phasegan']} ({machine['commit'] or 'no commit'}), "
        f"{document['when']}",
        "",
        f"    {document['command']}",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * 2 + "---:|" * (len(HEAD) - 2),
        *(_line(row) for row in document["rows"]),
        "",
        *_long(document),
        *(f"- {note}" for note in _notes(document)),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    what = row["what"] + (
        f" ({row['batch']})" if row["name"] == "all-best" and row["batch"] else ""
    )
    if "images_per_s" not in row:
        cells = [row["name"], what, row["status"], *[""] * (len(HEAD) - 3)]
        return "| " + " | ".join(cells) + " |"
    cells = [
        row["name"],
        what + (f"; ended early: {row['ended']}" if row["ended"] else ""),
        f"{row['images_per_s']:.3g}",
        f"{row['ms_per_image']:.{0 if row['ms_per_image'] >= 100 else 2}f}",
        _ratio(row),
        _number(row["tflop_per_image"], "{:.4g}"),
        _number(row.get("share_of_datasheet"), "{:.1%}"),
        _number(row.get("share_of_matrix"), "{:.1%}"),
        _number(row["idle"], "{:.0%}"),
        _number(row["peak_bytes"] and row["peak_bytes"] / 2**30, "{:.2f} GiB"),
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _ratio(row: Mapping[str, Any]) -> str:
    if "ratio" not in row:
        return "–"
    return f"{row['ratio']:.2f} ({row['ratio_least']:.2f}–{row['ratio_largest']:.2f})"


def _long(document: Mapping[str, Any]) -> list[str]:
    """Return lines about the long runs."""
    lines, steady, whole = list[str](), document["steady"], document["whole"]
    if steady:
        lines += [
            f"Steady: `{steady['mode']}` ran for {format_duration(steady['seconds'])} at "
            f"{steady['images_per_s']:.4g} images/s ({steady['least']:.4g} to "
            f"{steady['largest']:.4g} over {len(steady['windows'])} windows; last over first "
            f"third {steady['drift']:.3f}). Extrapolated, not measured: {WHOLE_TABLE:,} images "
            f"(4500 × 50) take {format_duration(WHOLE_TABLE / steady['images_per_s'])} of steps.",
            "",
        ]
    if whole:
        lines += [
            f"Whole training: `phasegan.train` of physics, "
            f"{document['options']['whole']}: {whole['outcome']}.",
            "",
        ]
    return lines


def _notes(document: Mapping[str, Any]) -> list[str]:
    rows = [row for row in document["rows"] if row["windows"]]
    rounds = max((len(row["windows"]) for row in rows), default=0)
    over = document["ratio_to"]
    others = max((w["others"] for row in rows for w in row["windows"]), default=0.0)
    notes = [
        f"{rounds} round{'s' * (rounds != 1)} over all modes in turn in one process; rates are "
        f"medians of the rounds, ratios (least–largest) are to `{over}` in the same round.",
        "Steps are whole ones: data to losses. Nothing here says how well anything learns, and "
        "batches above 1 and lower precision are other trainings than the reference's.",
        "Operations are counted by torch on a step of that mode: convolutions and products of "
        "matrices, not transforms, nor what is done pixel by pixel."
        + (
            f" By hand, a step of the reference: {document['hand_tflop']:.4g} TFLOP."
            if document["hand_tflop"]
            else ""
        )
        + " Compiled modes take the count of the uncompiled.",
        "`of attainable`: share of what a large product or a convolution alone reaches here, in "
        "the same arithmetic: "
        + "; ".join(
            f"{kind} {statistics.median(values):.3g} TFLOP/s"
            for kind, values in document["matrix_tflops"].items()
            if values
        )
        + ".",
        "Memory is what the mode alone added, at most; on a CPU without its loading processes. "
        "Idle: of a GPU the time without any kernel or copy (torch's profiler, against unprofiled "
        "steps); of a CPU the time that this process's threads did not compute.",
        f"Other processes took up to {others:.0%} of the cores during a window, the loading "
        "processes of the reference among them.",
    ]
    if document["preset"] == "paper":
        notes.append(
            "The reference is what common implementations of CycleGAN have in common, written "
            "for this measurement; it is not the code of any of them, and leaves out the "
            "pictures and checkpoints that they write."
        )
    if not document["complete"]:
        notes.append(f"Not complete: {document['stopped'] or document['unfinished']}.")
    return notes
