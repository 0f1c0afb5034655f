"""The picture of a training shows every loss once, where what it should do is said."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from phasegan.plotting.curves import save_figure
from phasegan.plotting.panels import MANY
from phasegan.plotting.training import BALANCE, explain, training_figure
from phasegan.training import cyclegan
from phasegan.training.physics import gan as physics

ODD = ("gradient_penalty", "cyclegan", "x")


def records(names, count=12, per_epoch=100):
    return [
        {"step": s, "epoch": (s - 1) // per_epoch + 1, "learning_rate": 2e-4}
        | {name: (i + 1) / s for i, name in enumerate(names)}
        for s in range(50, 50 * count + 1, 50)
    ]


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text() and t.get_visible()]


def panels(figure):
    """The first words of the labels of each panel, under the title of its group."""
    found, title = {}, None
    for axes in figure.axes:
        title = axes.get_title(loc="left") or title
        if axes.axison and axes.lines:
            found.setdefault(title, []).extend(t.get_text().split()[0] for t in axes.texts)
    return found


@pytest.mark.parametrize("names", [cyclegan.LOSSES, physics.LOSSES, ODD, ("cycle_a",)])
@pytest.mark.parametrize("count", [1, 2, MANY, 4000])
def test_every_loss_is_named_once_whatever_the_number_of_lines(names, count):
    figure = training_figure(records(names, count), title="a run")
    words = [text.split()[0] for text in texts(figure)]
    assert {name: words.count(name) for name in names} == dict.fromkeys(names, 1)


def test_losses_stand_under_what_they_should_do():
    found = panels(training_figure(records((*cyclegan.LOSSES, *ODD)), title=""))
    under = {word: title for title, words in found.items() for word in words}
    for name, phrase in explain(cyclegan.LOSSES).items():
        said = "hover" if "hovers" in phrase else "fall"
        assert f"Should {said}" in under[name], name
    assert all(under[name].startswith("Others") for name in ODD)


def test_each_loss_of_both_presets_is_explained_and_others_are_said_to_be_unknown():
    for names in (cyclegan.LOSSES, physics.LOSSES):
        assert list(explain(names)) == list(names)
        assert not any("nothing is expected" in phrase for phrase in explain(names).values())
    assert all("nothing is expected" in phrase for phrase in explain(ODD).values())
    assert explain(["cycle_a", "structure"])["cycle_a"] != explain(["cycle_a"])["cycle_a"]


def test_losses_of_unlike_size_do_not_flatten_each_other():
    lines = records(("cycle_a", "cycle_b"))
    for line in lines:
        line["cycle_b"] *= 1000
    heights = [
        np.ptp(axes.transLimits.transform(axes.transScale.transform(line.get_xydata()))[:, 1])
        for axes in training_figure(lines, title="").axes
        for line in axes.lines
        if len(line.get_xdata()) == len(lines) and axes.get_yscale() == "log"
    ]
    assert len(heights) == 2
    assert min(heights) > 0.8


def test_lines_without_a_loss_and_panels_without_values_are_left_out():
    lines = records(("cycle_b",))
    lines[3]["cycle_a"] = lines[7]["cycle_a"] = 0.3
    figure = training_figure(lines, title="")
    assert not {"Images", "MSE"} & {word for text in texts(figure) for word in text.split()}
    points = [line.get_xdata() for axes in figure.axes for line in axes.lines]
    assert [200, 400] in [list(x) for x in points]


def test_the_best_validation_is_marked_and_throughput_is_drawn():
    lines = records(("cycle_b",))
    errors = [900.0, 700.0, 750.0]
    lines[1:1] = [
        {"step": 100 * e, "epoch": e, "validation": {"mse": mse, "ssim": 0.5}}
        for e, mse in enumerate(errors, 1)
    ]
    lines[-1]["images_per_second"] = 123.0
    figure = training_figure(lines, title="")
    assert "best 700, epoch 2" in texts(figure)
    assert "123" in texts(figure)
    stars = [line for a in figure.axes for line in a.lines if line.get_marker() == "*"]
    assert (200, 700.0) in [(line.get_xdata()[0], line.get_ydata()[0]) for line in stars]


@pytest.mark.parametrize("count", [1, 30])
def test_events_cross_every_panel_and_are_told(count):
    lines = records(cyclegan.LOSSES)
    for i in range(count):
        event = f"event {i}: " + "went back to the checkpoint " * 9
        lines.append({"step": 10 * i + 300, "epoch": 4, "event": event})
    figure = training_figure(lines, title="")
    drawn = [axes for axes in figure.axes if axes.axison and axes.lines]
    for axes in drawn:
        upright = [x[0] for x in (line.get_xdata() for line in axes.lines) if x[0] == x[-1]]
        assert set(range(300, 300 + 10 * count, 10)) <= set(upright)
    assert sum(text.startswith("event 0:") for text in texts(figure)) == 1
    assert ("and 22 more" in texts(figure)) == (count == 30)


def test_epochs_are_numbered_by_their_last_lines_whatever_an_event_says():
    lines = records(("cycle_b",))
    lines.append({"step": 550, "epoch": 5, "event": "went back"})
    (below,) = training_figure(lines, title="").axes[-2].child_axes
    assert below.get_xlim() == pytest.approx((0, 6))


def test_steps_that_go_back_are_a_curve_of_their_own():
    lines = records(("cycle_b",), 6)
    figure = training_figure(lines + lines[3:], title="")
    pieces = [list(x.get_xdata()) for axes in figure.axes[1:2] for x in axes.lines]
    assert pieces[:2] == [[50, 100, 150, 200, 250, 300], [200, 250, 300]]


def test_what_is_still_to_come_has_its_place():
    figure = training_figure(records(("cycle_b",)), title="", interrupted_at=620, steps=5000)
    assert figure.axes[1].get_xlim() == (0, 5000)
    assert any("interrupted at step 620 of 5,000" in text for text in texts(figure))
    empty = training_figure([], title="a run", interrupted_at=0)
    assert "no losses were logged yet" in texts(empty)


def test_the_balance_of_the_discriminators_is_a_line():
    figure = training_figure(records(cyclegan.LOSSES), title="")
    axes = next(a for a in figure.axes if "hover" in a.get_title(loc="left"))
    assert [BALANCE, BALANCE] in [list(line.get_ydata()) for line in axes.lines]


@pytest.mark.parametrize("last", [1, 1_000_000])
@pytest.mark.parametrize("value", [0.0, 1e-12, 1.0, 1e6])
def test_the_same_lines_are_the_same_bytes_at_any_scale(tmp_path, last, value):
    lines = [{"step": last, "epoch": 1, "learning_rate": 0.0}]
    lines[0] |= dict.fromkeys((*cyclegan.LOSSES, *ODD), value)
    for name in ("a", "b"):
        save_figure(training_figure(lines, title="a run"), tmp_path / f"{name}.png")
    for suffix in ("png", "svg"):
        one, other = (tmp_path / f"{name}.{suffix}" for name in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()
    assert Image.open(tmp_path / "a.png").width == 1260
