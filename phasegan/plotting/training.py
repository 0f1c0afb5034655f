"""Figure of a training: its losses, validation, learning rate and throughput.

What is said of a loss, and where it is drawn, follows from the first word of its name.
Colours tell the domain, images or phases; strokes tell the kind of loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from phasegan.config.run import TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.io.atomic import atomic_file
from phasegan.plotting.panels import (
    LABEL_INCHES,
    MANY,
    Label,
    Trace,
    draw_frame,
    draw_trace,
    event_rows,
    events_height,
    label_ends,
    short_number,
    step_axis,
    value_axis,
    write_events,
)
from phasegan.plotting.style import COLOURS, GREY, INK, SOFT, styled

BALANCES = {"least-squares": 0.25, "logistic": 0.69, "hinge": 1.0}
"""The loss of an undecided discriminator, by the adversarial loss."""
BALANCE = BALANCES["least-squares"]
PHASES_AND_IMAGES = ("phases", "images")


class LossKind(NamedTuple):
    """Group, line style and expected course of a loss."""

    group: str
    stroke: Any
    phrase: str


_DASHES, _DOT_DASHES = (0, (4, 1.5)), (0, (5, 1.2, 1, 1.2))
_LOSS_KINDS = {
    "cycle": LossKind("fall", "-", "should fall"),
    "identity": LossKind("fall", _DASHES, "should fall"),
    "structure": LossKind("fall", _DOT_DASHES, "should fall"),
    "adversarial": LossKind("hover", "-", "hovers; near 1 the discriminator wins"),
    "discriminator": LossKind("hover", _DASHES, "hovers below 0.25; near 0 it wins"),
}
"""By the first word of a loss's name."""
_PROJECTED = LossKind("small", "-", "stays small, need not fall")
"""`cycle_a` beside `structure`: a projection leaves it clipping and padding to object to."""
_OTHER = LossKind("others", "-", "nothing is expected of it here")
_PLAIN = LossKind("", "-", "")

_PHASES, _IMAGES, _EVENT = COLOURS[1], COLOURS[0], COLOURS[7]
_OTHERS = (COLOURS[2], COLOURS[3], COLOURS[4], COLOURS[5], COLOURS[6], INK)
_TITLES = {
    "fall": ("Should fall: what is lost there and back", ""),
    "hover": (
        "Should hover: adversaries",
        "dotted {:g}: undecided; wide gap: discriminator wins",
    ),
    "others": ("Others: nothing is expected of them here", ""),
    "small": ("Should stay small: what is lost of the phases", ""),
    "validation": ("Should fall: validation; rising for long means learning by heart", "{}"),
    "learning_rate": ("Learning rate", ""),
    "images_per_second": ("Images per second", ""),
}
_SINGLE = {"validation": 1.3, "learning_rate": 0.6, "images_per_second": 0.6}
"""Panels of one curve that is not a loss, with their heights in inches."""
_GROUPS = ("fall", "small", "hover", "others")
_WIDTH = 9.0
_TOGETHER = 4.0
"""Losses whose medians are further apart are drawn in strips of their own."""


@dataclass(frozen=True)
class _Panel:
    group: str
    height: float
    traces: Sequence[Trace]
    titled: bool = True


def explain(names: Iterable[str]) -> dict[str, str]:
    """Say what each loss should do.

    Parameters
    ----------
    names : iterable of str
        Names of losses of one run; beside `structure`, `cycle_a` need not fall.

    Returns
    -------
    dict of str
        A phrase by name.
    """
    return {name: kind.phrase for name, kind in _kinds(names).items()}


def _kinds(names: Iterable[str]) -> dict[str, LossKind]:
    kinds = {name: _LOSS_KINDS.get(name.partition("_")[0], _OTHER) for name in names}
    if "structure" in kinds and "cycle_a" in kinds:
        kinds["cycle_a"] = _PROJECTED
    return kinds


@styled({"axes.titlesize": 10.5, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5})
def training_figure(
    records: Sequence[Mapping[str, Any]],
    *,
    title: str,
    interrupted_at: int | None = None,
    steps: int | None = None,
    domains: tuple[str, str] = PHASES_AND_IMAGES,
    adversarial: str = "least-squares",
) -> Any:
    """Draw how a training went.

    Parameters
    ----------
    records : sequence of mapping
        The lines of `losses.jsonl`: `step`, `epoch`, `learning_rate`, the losses and
        perhaps `images_per_second`; or `step`, `epoch` and `validation`, of which `mse` or
        `swd` is drawn; or `step`, `epoch` and `event`, a text.
    title : str
        What was trained.
    interrupted_at : int, optional
        The step at which the training was interrupted, if it was.
    steps : int, optional
        Steps of the whole training; those that are still to come are grey.
    domains : (str, str)
        What A and B are called.
    adversarial : {"least-squares", "logistic", "hinge"}
        The adversarial loss: it decides what an undecided discriminator's is.

    Returns
    -------
    matplotlib.figure.Figure
        See `phasegan.plotting.curves.save_figure`; 1260 pixels wide.
    """
    from matplotlib.figure import Figure

    traces = _collect(records)
    measure = "MSE" if domains == PHASES_AND_IMAGES else "sliced Wasserstein distance"
    balance = BALANCES[adversarial]
    panels = _panels(traces)
    events = [(int(r["step"]), str(r["event"])) for r in records if "event" in r]
    done = max([interrupted_at or 0, *(int(r["step"]) for r in records)])
    end = max(done, steps or 0, 1)
    event_texts = event_rows(events, end)
    above = [0.48] + ([events_height(event_texts)] if events else [])
    rows = [*above, *(panel.height for panel in panels)]
    titles = 0.3 * sum(panel.titled for panel in panels) + 0.12 * len(panels)
    figure = Figure(figsize=(_WIDTH, sum(rows) + titles + 0.7), dpi=140)
    layout: Any = figure.get_layout_engine()
    layout.set(h_pad=0.04, w_pad=0.1, hspace=0.0)
    grid = figure.add_gridspec(len(rows), height_ratios=rows)
    _header(
        figure.add_subplot(grid[0]), title, _notes(traces, done, interrupted_at, steps, domains)
    )
    drawn: list[Any] = []
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(grid[len(above) + i], sharex=drawn[0] if drawn else None)
        drawn.append(axes)
        _draw(axes, panel, traces, measure, balance)
        axes.axvspan(done, end, color=GREY, alpha=0.14, linewidth=0, zorder=0)
        for step, _ in events:
            axes.axvline(step, color=_EVENT, linewidth=0.7, zorder=1)
    if events:
        write_events(figure.add_subplot(grid[1]), event_texts, end, _EVENT)
    if drawn:
        step_axis(drawn, end, _steps_per_epoch(records))
    _fix_layout(figure)
    return figure


def save_training_figure(
    folder: RunFolder,
    config: TrainConfig,
    interrupted_at: int | None = None,
    domain_names: tuple[str, str] = ("A", "B"),
) -> None:
    """Write `training.png` of a run from its whole log, unless that is empty.

    Parameters
    ----------
    folder : RunFolder
        The run.
    config : TrainConfig
        Its configuration.
    interrupted_at : int, optional
        Step of an interruption, to be marked.
    domain_names : (str, str)
        Of a translation.
    """
    records = folder.read_losses()
    if not records:
        return
    between_images: dict[str, Any] = {}
    if isinstance(config, TranslationConfig):
        between_images = {"domains": domain_names, "adversarial": config.losses.adversarial}
    figure = training_figure(
        records,
        title=run_title(config),
        interrupted_at=interrupted_at,
        steps=config.steps,
        **between_images,
    )
    with atomic_file(folder.training_figure_path) as path:
        figure.savefig(path, format="png")


def run_title(config: TrainConfig) -> str:
    """Return the title of a run's figures: its label, samples and epochs.

    Parameters
    ----------
    config : TrainConfig
        The run.

    Returns
    -------
    str
        One line.
    """
    return f"{config.label}: {config.samples} samples × {config.epochs_text} epochs"


def _fix_layout(figure: Any) -> None:
    """Lay out, and round: the last digits of the solver differ from call to call."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position().bounds, 4))


def _collect(records: Sequence[Mapping[str, Any]]) -> dict[str, Trace]:
    """Return every loss, and the other numbers of the lines, by name."""
    traces: dict[str, Trace] = {}
    for record in records:
        values = {k: v for k, v in record.items() if k not in ("step", "epoch", "event")}
        validation = values.pop("validation", {})
        for name in ("mse", "swd"):
            if name in validation:
                values["validation"] = validation[name]
        for name, value in values.items():
            if isinstance(value, int | float):
                trace = traces.setdefault(name, Trace(name))
                trace.steps.append(int(record["step"]))
                trace.epochs.append(int(record["epoch"]))
                trace.values.append(float(value))
    return traces


def _losses(traces: Mapping[str, Trace]) -> dict[str, LossKind]:
    return _kinds(name for name in traces if name not in _SINGLE)


def _panels(traces: Mapping[str, Trace]) -> list[_Panel]:
    panels = []
    for group in _GROUPS:
        own = [traces[name] for name, kind in _losses(traces).items() if kind.group == group]
        strips = [own] if group == "hover" and own else _strips(own)
        least = 1.8 if len(strips) == 1 and group in ("fall", "hover") else 0.95
        for i, strip in enumerate(strips):
            height = max(least, LABEL_INCHES * (len(strip) + 1))
            panels.append(_Panel(group, height, strip, i == 0))
    return panels + [_Panel(n, h, [traces[n]]) for n, h in _SINGLE.items() if n in traces]


def _strips(traces: Sequence[Trace]) -> list[list[Trace]]:
    """Divide losses by size, largest first, so that each strip shows whether they fall."""
    medians = {t.name: max(float(np.median(t.values)), 1e-30) for t in traces}
    strips: list[list[Trace]] = []
    last = np.inf
    for trace in sorted(traces, key=lambda t: -medians[t.name]):
        if last > _TOGETHER * medians[trace.name]:
            strips.append([])
        strips[-1].append(trace)
        last = medians[trace.name]
    return strips


def _steps_per_epoch(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the length of an epoch, told by the last line of one that was completed."""
    last: dict[int, int] = {}
    for record in (r for r in records if "event" not in r):
        last[record["epoch"]] = max(record["step"], last.get(record["epoch"], 0))
    completed = [epoch for epoch in last if epoch > 0 and epoch < max(last)]
    return last[max(completed)] / max(completed) if completed else None


def _notes(
    traces: Mapping[str, Trace],
    done: int,
    interrupted_at: int | None,
    steps: int | None,
    domains: tuple[str, str],
) -> list[tuple[str, str]]:
    """Return what stands under the title: texts and colours."""
    losses = _losses(traces)
    notes = []
    total = f" of {steps:,} (grey: still to come)" if steps and steps > done else ""
    if interrupted_at is not None:
        notes.append((f"interrupted at step {interrupted_at:,}{total}", _EVENT))
    elif total:
        notes.append((f"step {done:,}{total}", SOFT))
    if not losses:
        notes.append(("no losses were logged yet", SOFT))
    colours = set(_colours(losses).values())
    a, b = (name.replace("$", r"\$") for name in domains)  # no formulae
    named = ((f"■ {b}", _IMAGES), (f"■ {a}", _PHASES))
    notes += [(text, colour) for text, colour in named if colour in colours]
    if any(len(traces[name].steps) >= MANY for name in losses):
        notes.append(("thick: smoothed", SOFT))
    return notes


def _colours(losses: Mapping[str, LossKind]) -> dict[str, str]:
    """Return the colour of the domain that a loss speaks of; of others, any other one."""
    others = [name for name, kind in losses.items() if kind is _OTHER]
    colours = {name: _PHASES if name.endswith("a") else _IMAGES for name in losses}
    return colours | {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(others)}


def _header(axes: Any, title: str, notes: Sequence[tuple[str, str]]) -> None:
    axes.set_axis_off()
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    text = axes.annotate(
        title, (0, 1), xytext=(0, -3), fontsize=13, weight="bold", va="top", **style
    )
    text.set_in_layout(False)
    for i, (note, colour) in enumerate(notes):
        text = axes.annotate(
            note,
            (1, 0) if i else (0, 1),
            xytext=(14, 0) if i else (0, -22),
            fontsize=9,
            color=colour,
            weight="normal" if colour == SOFT else "bold",
            va="bottom" if i else "top",
            **style | ({"xycoords": text} if i else {}),
        )
        text.set_in_layout(False)


def _draw(
    axes: Any, panel: _Panel, traces: Mapping[str, Trace], measure: str, balance: float
) -> None:
    values = np.concatenate([trace.values for trace in panel.traces])
    _scale(axes, panel.group, float(values.min()), float(values.max()))
    title, note = _TITLES[panel.group]
    note = note.format(measure if panel.group == "validation" else balance)
    if axes.get_yscale() == "log" and not note:
        note = "logarithmic axis"
    draw_frame(axes, title if panel.titled else "", note)
    if panel.group == "hover":
        axes.axhline(balance, color=SOFT, linewidth=1.2, linestyle=(0, (1, 1.6)), zorder=1)
    losses = _losses(traces)
    colours = _colours(losses)
    labels = []
    for trace in panel.traces:
        name, kind = trace.name, losses.get(trace.name, _PLAIN)
        colour = colours.get(name, INK)
        smooth = kind is not _PLAIN or name == "images_per_second"
        first, last = draw_trace(axes, trace, colour, kind.stroke, smooth=smooth)
        moved = first != last and kind.group != "hover"
        numbers = f"{short_number(first)} → {short_number(last)}" if moved else short_number(last)
        text = numbers if kind is _PLAIN else f"{name}  {numbers}"
        labels.append(Label(last, text, colour, kind.stroke))
    if panel.group == "validation":
        labels.append(_best(axes, panel.traces[0]))
    label_ends(axes, labels, panel.height)


def _scale(axes: Any, group: str, low: float, high: float) -> None:
    decades = low > 0 and high > 10 * low
    if group == "hover" and high <= 3:
        value_axis(axes, 0, max(high, 1), log=False, floor=0)
        axes.set_yticks(np.arange(0, 1.08 * max(high, 1), BALANCE if high < 1.6 else 2 * BALANCE))
    elif group == "hover":
        value_axis(axes, min(low, BALANCE), high, log=low > 0)
    elif group in ("learning_rate", "images_per_second"):
        value_axis(axes, 0, high, log=False, floor=0)
    else:
        value_axis(axes, low, high, log=low > 0 if group == "fall" else decades)


def _best(axes: Any, trace: Trace) -> Label:
    place = int(np.argmin(trace.values))
    step, value = trace.steps[place], trace.values[place]
    axes.plot(step, value, marker="*", markersize=11, color=_IMAGES, clip_on=False, zorder=4)
    return Label(
        value, f"best {short_number(value)}, epoch {trace.epochs[place]:,}", _IMAGES, "", "*"
    )
