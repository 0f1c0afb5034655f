"""Images are changed, then transformed and degraded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.config.physics import NO_AUGMENTATION, AugmentationConfig
from phasegan.data.augmentation import augment
from phasegan.data.unpaired_sampler import BatchSlice
from phasegan.fourier.convention import self_conjugate
from phasegan.fourier.degradation import quantise_phase
from phasegan.fourier.phase import analyse
from phasegan.fourier.phase_encoder import PhaseEncoder

CPU = torch.device("cpu")
EVERYTHING = AugmentationConfig(flip=True, crop=0.5, contrast=0.5, brightness=0.3, gamma=0.5)


def images(rng, count=6, channels=1, size=32):
    pixels = rng.integers(0, 256, (count, channels, size, size)).astype(np.float32) / 255
    return torch.from_numpy(pixels)


def source(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [31, 32])
def test_shape_range_and_grey_levels_stay(rng, channels, size):
    before = images(rng, 6, channels, size)
    after = augment(before, EVERYTHING, source())
    assert after.shape == before.shape
    assert after.dtype == torch.float32
    assert 0 <= after.min() <= after.max() <= 1
    torch.testing.assert_close((after * 255).round(), after * 255, atol=1e-4, rtol=0)


def test_equal_generators_give_equal_images(rng):
    before = images(rng)
    one, same, other = (augment(before, EVERYTHING, source(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.numerical
def test_an_image_is_changed_as_if_alone_however_threads_divide_the_batch(rng):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for seed in range(4):
            before = images(rng, 6, 3, 256)
            full_batch = augment(before, EVERYTHING, source(seed))
            for i in range(6):
                part = BatchSlice(i, i + 1, 6)
                alone = augment(before[part.rows], EVERYTHING, source(seed), part=part)
                assert torch.equal(alone, full_batch[part.rows])
    finally:
        torch.set_num_threads(threads)


def test_nothing_on_changes_nothing(rng):
    before = images(rng)
    assert augment(before, NO_AUGMENTATION, source()) is before


def test_half_are_mirrored(rng):
    before = images(rng, 400, size=8)
    after = augment(before, AugmentationConfig(flip=True, crop=1.0), source())
    same = (after - before).abs().amax((1, 2, 3)) < 1e-6
    mirrored = (after - before.flip(-1)).abs().amax((1, 2, 3)) < 1e-6
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_most_are_cropped_and_a_crop_is_a_part_enlarged():
    ramp = torch.linspace(0.2, 0.8, 64).expand(200, 1, 64, 64)
    after = augment(ramp, AugmentationConfig(flip=False, crop=0.6), source())
    slope = (after[:, 0, 20, 40] - after[:, 0, 20, 20]) / (ramp[0, 0, 0, 40] - ramp[0, 0, 0, 20])
    assert 0.59 < float(slope.min()) < 0.7
    assert float(slope.max()) < 1.03
    untouched = (after - ramp).abs().amax((1, 2, 3)) < 0.003
    assert 20 < untouched.sum() < 80
    assert (after >= 0.195).all()
    assert (after <= 0.805).all()


@pytest.mark.parametrize("value", [0.0, 128 / 255, 1.0])
def test_constant_images_stay_constant_and_finite(value):
    flat = torch.full((8, 1, 32, 32), value)
    after = augment(flat, EVERYTHING, source())
    assert torch.isfinite(after).all()
    assert (after.amax((-2, -1)) - after.amin((-2, -1))).max() < 1e-6
    encoder = PhaseEncoder((64, 64), 0.1, None, CPU)
    phases = encoder(after, encoder.draw_noise(8, 1, torch.Generator()))
    assert torch.isfinite(phases.phase).all()


@pytest.mark.parametrize(("size", "padded"), [(32, 32), (32, 64), (31, 31), (30, 45)])
def test_the_encoder_is_the_reference_encoder(rng, size, padded):
    pictures = images(rng, 3, 1, size)
    phases = PhaseEncoder((padded, padded), 0.0, None, CPU)(pictures, None)
    exact = analyse(pictures.numpy(), (padded, padded))
    assert phases.phase.dtype == torch.float32
    turn = np.angle(np.exp(1j * (phases.phase.numpy() - exact.phase)))
    assert np.abs(turn[exact.magnitude > 0.1]).max() < 1e-3
    np.testing.assert_array_equal(phases.trusted.numpy(), ~exact.undefined)
    fixed = phases.phase[..., torch.from_numpy(self_conjugate((padded, padded)))]
    assert set(np.unique(fixed.numpy())) <= {np.float32(0), np.float32(np.pi)}


@pytest.mark.parametrize("padded", [32, 45])
def test_noise_is_that_of_a_real_image_and_fresh_each_time(rng, padded):
    pictures = images(rng, 40, 1, 30)
    clean = PhaseEncoder((padded, padded), 0.0, None, CPU)(pictures, None).phase
    encoder = PhaseEncoder((padded, padded), 0.3, None, CPU)
    generator = torch.Generator().manual_seed(3)
    noisy, again = (encoder(pictures, encoder.draw_noise(40, 1, generator)).phase for _ in range(2))
    difference = np.angle(np.exp(1j * (noisy - clean).numpy()))
    assert difference[..., 1:14].std() == pytest.approx(0.3, rel=0.05)
    assert not torch.equal(noisy, again)
    fixed = self_conjugate((padded, padded))
    assert np.abs(difference[..., fixed]).max() < 1e-5
    rows = np.arange(1, (padded + 1) // 2)
    np.testing.assert_allclose(
        difference[..., padded - rows, 0], -difference[..., rows, 0], atol=1e-4
    )
    assert (noisy > -np.pi).all()


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_rounding_is_that_of_a_file(rng, bits):
    pictures = images(rng, 3)
    phases = PhaseEncoder((32, 32), 0.0, bits, CPU)(pictures, None).phase.numpy()
    exact = quantise_phase(analyse(pictures.numpy(), (32, 32)).phase, bits)
    assert np.mean(np.abs(np.angle(np.exp(1j * (phases - exact)))) < 1e-4) > 0.999
    assert phases.min() > -np.pi
