"""Laws of `learned-coarse`: the model on low frequencies, the prior of photographs above."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.convention import inverse
from phasegan.fourier.magnitude_prior import photograph_prior
from phasegan.fourier.phase import analyse
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.progress import Progress
from phasegan.reconstruction import auto
from phasegan.reconstruction.auto import choose_method
from phasegan.reconstruction.protocol import Observation, Problem, Settings
from phasegan.reconstruction.registry import make_method
from phasegan.reconstruction.solvers.learned_coarse import low_frequencies


def observe(image):
    return Observation(analyse(image, image.shape[-2:]).phase, None, 1e-7)


@pytest.mark.parametrize("shape", [(12, 12), (9, 14), (8, 11), (8, 8), (13, 8)])
def test_low_frequencies_are_those_of_the_image_through_an_ideal_low_pass(shape, rng):
    """An image of few frequencies, sampled on a coarse and on a fine grid, has the same phases."""
    coarse = np.fft.rfft2(rng.normal(size=(8, 8)))
    coarse[4] = coarse[:, 4] = 0
    fine = np.zeros((shape[0], shape[1] // 2 + 1), complex)
    for k in (*range(4), *range(-3, 0)):
        fine[k, :4] = coarse[k, :4]
    image = inverse(fine, shape, shape)
    reduced = low_frequencies(observe(image), shape, 8)
    inner = np.ix_([0, 1, 2, 3, -3, -2, -1], range(4))
    difference = np.exp(1j * reduced.phase) - np.exp(1j * np.angle(coarse))
    np.testing.assert_allclose(difference[inner], 0, atol=1e-9)
    assert reduced.trusted[inner].all()
    assert reduced.trusted[4, :4].all() == (shape[0] == 8)
    assert reduced.trusted[:4, 4].all() == (shape[1] == 8)


def test_what_is_not_trusted_stays_so(rng):
    observation = observe(rng.normal(size=(12, 10)))
    trusted = rng.random(observation.phase.shape) > 0.5
    masked = Observation(observation.phase, trusted, np.full(trusted.shape, 0.1))
    reduced = low_frequencies(masked, (12, 10), 8)
    np.testing.assert_array_equal(reduced.trusted[[0, 1, 2, 3], :4], trusted[:4, :4])
    np.testing.assert_array_equal(reduced.trusted[[-1, -2, -3], :4], trusted[[-1, -2, -3], :4])
    assert reduced.half_step.shape == reduced.phase.shape
    assert not reduced.phase[~reduced.trusted].any()


def test_estimates_carry_the_phase_and_beat_the_prior():
    image = data.camera()[100:356, 100:400]
    frame = image.shape
    phase = analyse(image, frame).phase
    solve = make_method("learned-coarse", Problem(frame, frame))
    estimate = solve(Observation(phase[None], None, 1e-7)).estimate[0]
    spectrum = np.fft.rfft2(estimate)
    assert np.abs((spectrum * np.exp(-1j * phase)).imag).max() < 1e-6 * np.abs(spectrum).max()
    prior = photograph_prior().magnitude(frame, frame, 255)
    alone = inverse(prior * np.exp(1j * phase), frame, frame)
    errors = clipped_mse(np.stack([estimate, alone]), np.stack([image] * 2), data_range=255)
    assert errors[0] < 0.5 * errors[1]


def test_colour_is_reconstructed_channel_by_channel_and_to_the_depth():
    image = np.moveaxis(data.astronaut()[:200, :200], -1, 0)
    phase = analyse(image, image.shape[1:]).phase
    colour = phasegan.reconstruct(phase[None], shape=(200, 200), method="learned-coarse")
    assert colour.estimate.shape == (1, 3, 200, 200)
    red = phasegan.reconstruct(
        phase[0], shape=(200, 200), method="learned-coarse", data_range=65535
    )
    np.testing.assert_allclose(red.estimate / 257, colour.estimate[0, 0], atol=0.01)


class Listening(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.mark.parametrize(
    ("shape", "frame", "noise", "name", "line"),
    [
        ((128, 128), (128, 128), 0.0, "learned", None),
        ((128, 129), (128, 129), 0.0, "learned-coarse", "learned takes 128×128 pixels: "),
        ((300, 200), (300, 200), 0.02, "learned-coarse", "frequencies below 64 cycles an image"),
        ((127, 300), (127, 300), 0.0, "map", "128×128 pixels, learned-coarse more: map instead"),
        ((300, 200), (301, 200), 0.0, "map", "learned takes unpadded phases: map instead"),
        ((300, 200), (300, 200), 0.2, "map", "less noise and rounding: map instead"),
        ((30, 20), (60, 40), 0.2, "map", None),
    ],
)
def test_auto_says_what_it_takes_where_learned_does_not_fit(shape, frame, noise, name, line, rng):
    assert choose_method(Problem(shape, frame), noise) == name
    progress = Listening()
    settings = Settings(iterations=2, progress=progress)
    phase = analyse(rng.integers(0, 256, shape), frame).phase
    solve = auto.method(Problem(shape, frame, noise=noise, settings=settings))
    assert solve(Observation(phase[None], None, 1e-7)).method == name
    assert len(progress.lines) == (line is not None)
    assert line is None or line in progress.lines[0]


@pytest.mark.parametrize(
    ("shape", "noise", "message"),
    [
        ((100, 300), 0.0, "of at least 128×128, these have 100×300 in frames of 100×300"),
        ((130, 130), 0.2, "method learned-coarse takes phases of .* these have 0.2 rad"),
    ],
)
def test_what_it_does_not_take_is_refused_in_one_line(shape, noise, message):
    with pytest.raises(InputError, match=message) as caught:
        make_method("learned-coarse", Problem(shape, shape, noise=noise))
    assert "\n" not in str(caught.value)
