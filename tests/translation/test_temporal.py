"""What a steady film is, and what makes it steadier."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from phasegan.translation.video.temporal import (
    SteadinessMeter,
    TemporalFilter,
    TemporalStabiliser,
    is_cut,
)


@pytest.fixture
def scene(rng):
    return rng.integers(30, 200, (48, 64, 3)).astype(np.float32)


def test_static_change_is_that_of_the_output(scene):
    meter = SteadinessMeter(10)
    for i in range(4):
        meter.add(scene, scene + 3 * (i % 2))
    found = meter.result()
    assert found.static_share == 1
    assert found.static_output == pytest.approx(3)
    assert found.static_input == 0


def test_moving_pixels_do_not_count_as_static(scene):
    meter = SteadinessMeter(2)
    moved = scene.copy()
    moved[:, :32] += 50
    meter.add(scene, scene)
    meter.add(moved, moved)
    found = meter.result()
    assert 0.45 < found.static_share < 0.55
    assert found.static_output == 0


def test_nothing_is_measured_across_a_cut(scene):
    meter = SteadinessMeter(2)
    meter.add(scene * 0, scene)
    meter.add(scene * 0 + 200, 0 * scene)
    assert is_cut(scene * 0, scene * 0 + 200)
    assert np.isnan(meter.result().static_output)


def test_motion_is_followed():
    """A texture that glides is steady along its motion, though every pixel changes."""
    rows, columns = np.indices((96, 200))
    texture = 128 + 100 * np.sin(columns / 7) * np.cos(rows / 9)
    frames = [np.repeat(texture[:, i : i + 96, None], 3, 2).astype(np.float32) for i in (0, 2, 4)]
    meter = SteadinessMeter(3)
    flickering = SteadinessMeter(3)
    for i, frame in enumerate(frames):
        meter.add(frame, frame)
        flickering.add(frame, frame + 20 * (i % 2))
    still = np.abs(frames[1] - frames[0]).mean()
    assert still > 8
    assert meter.result().motion_output < still / 4
    assert flickering.result().motion_output > 15


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_flicker_at_rest_falls_with_the_strength(scene, rng, strength):
    steady = TemporalFilter(strength)
    translated = [scene + rng.normal(0, 5, scene.shape).astype(np.float32) for _ in range(12)]
    out = [steady(scene, frame) for frame in translated]
    before = np.mean([np.abs(b - a).mean() for a, b in itertools.pairwise(translated)])
    after = np.mean([np.abs(b - a).mean() for a, b in itertools.pairwise(out[4:])])
    weight = 0.95 * strength
    assert after / before == pytest.approx((1 - weight) / np.sqrt(1 + weight), rel=0.4)


def test_what_moves_is_not_smeared(scene):
    steady = TemporalFilter(1.0)
    steady(scene, scene)
    moved = scene.copy()
    moved[10:30, 10:40] = 255 - moved[10:30, 10:40]
    out = steady(moved, moved)
    changed = np.abs(moved - scene).max(2) > 40
    assert np.abs(out - moved)[changed].mean() < 1


def test_slow_changes_are_followed(scene):
    """A fade below the threshold at every frame is not held back for good."""
    steady = TemporalFilter(1.0)
    for i in range(60):
        faded = scene + 0.5 * i
        out = steady(faded, faded)
    assert np.abs(out - faded).mean() < 8


def test_the_past_is_forgotten_at_a_cut(scene):
    stabiliser = TemporalStabiliser(1.0)
    for frame in (scene * 0, scene * 0 + 200):
        stabiliser.on_frame(frame)
        out = stabiliser.filter(scene, frame)
    np.testing.assert_array_equal(out, scene * 0 + 200)
