"""Batches of two domains of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from phasegan.config.execution import Execution
from phasegan.config.resolve.translation import resolve_translation, scan_options
from phasegan.data.domain_folders import open_domains
from phasegan.data.domain_scan import scan_domains
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.training.data.pictures import ImageBatches
from tests.training.loading import loaded
from tests.training.pairs import make_pair

CPU = torch.device("cpu")
SMALL = {"size": 24, "base_channels": 2, "blocks": 1, "generator": "resnet"}


def opened(folder, **options):
    options = {**SMALL, **options}
    data = scan_domains(open_domains(folder), Progress(), **scan_options(options))
    return resolve_translation(data.facts, CPU, **options), data


def batches_of(data, config, **execution):
    return ImageBatches(config, data, None, CPU, Execution(**execution))


def crop_of_first(batches, epoch):
    """Return the crop of an epoch that is of the first picture of A."""
    (place,) = np.flatnonzero(batches.sampler.rows(epoch, 0, np.arange(5)) == 0)
    return loaded(batches, 5 * epoch + int(place))[0][0].numpy()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair") / "pair")


def test_an_epoch_shows_every_picture_of_the_larger_domain_once(pair):
    config, data = opened(pair, batch_size=2)
    batches = batches_of(data, config)
    assert (config.samples, config.steps_per_epoch) == (5, 3)
    assert [batches.load(number).total for number in range(3)] == [2, 2, 1]
    for epoch in (0, 1):
        a, b = (batches.sampler.rows(epoch, domain, np.arange(5)).tolist() for domain in (0, 1))
        assert sorted(a) == list(range(5))
        assert sorted(b[:3]) == [0, 1, 2]  # the smaller one begins again
        assert len({*b[3:]}) == 2


def test_orders_differ_by_epoch_domain_and_seed(pair):
    config, data = opened(pair)
    batches = batches_of(data, config)
    other = batches_of(data, config.model_copy(update={"seed": 1}))

    def orders(found, domain):
        return [found.sampler.rows(epoch, domain, np.arange(5)).tolist() for epoch in range(6)]

    assert len({tuple(order) for order in orders(batches, 0)}) > 1
    assert orders(batches, 0) != orders(other, 0)


@pytest.mark.numerical
def test_parts_of_a_batch_are_the_batch(pair):
    config, data = opened(pair, batch_size=4)
    batches = batches_of(data, config)
    whole = loaded(batches, 2)
    parts = [micro[:2] for micro in batches_of(data, config, micro_batch=3).load(2).micro_batches]
    assert len(parts) == 2
    for domain in (0, 1):
        joined = torch.cat([part[domain] for part in parts])
        assert torch.equal(whole[domain], joined)
    assert whole[0].shape == (4, 3, 24, 24)
    assert whole[0].dtype == torch.float32
    assert whole[0].abs().max() <= 1


def test_memory_makes_no_difference(pair):
    config, data = opened(pair)
    kept, read = (batches_of(data, config, resident=where) for where in ("memory", "disk"))
    for step in (0, 1, 0):
        for one, other in zip(loaded(kept, step), loaded(read, step), strict=True):
            assert torch.equal(one, other)


def test_crops_are_of_the_loaded_picture_and_half_of_them_mirrored(pair):
    config, data = opened(pair, size=24, load=24)
    batches = batches_of(data, config)
    plain = batches.datasets[0][0].astype(np.float32) / 127.5 - 1
    mirrored = 0
    for epoch in range(40):
        crop = crop_of_first(batches, epoch)
        straight = np.allclose(crop, plain, atol=1e-6)
        assert straight or np.allclose(crop, plain[..., ::-1], atol=1e-6)
        mirrored += not straight
    assert 8 <= mirrored <= 32
    config, data = opened(pair, size=24, load=24, flip=False)
    steady = batches_of(data, config)
    for epoch in range(4):
        assert np.allclose(crop_of_first(steady, epoch), plain, atol=1e-6)


@pytest.mark.parametrize("fit", ["stretch", "short-side", "none"])
def test_pictures_of_any_shape_become_squares(tmp_path, fit):
    folder = make_pair(tmp_path / "pair")
    Image.fromarray(np.zeros((9, 200, 3), np.uint8)).save(folder / "trainA" / "wide.png")
    config, data = opened(folder, fit=fit, batch_size=6)
    real_a, real_b = loaded(batches_of(data, config), 0)
    assert real_a.shape == real_b.shape == (6, 3, 24, 24)


def test_domains_of_other_channels_keep_them_and_lose_the_identity(tmp_path):
    folder = make_pair(tmp_path / "pair", channels=(1, 3))
    config, data = opened(folder)
    assert (config.data.a.channels, config.data.b.channels) == (1, 3)
    assert config.losses.identity == 0
    real_a, real_b = loaded(batches_of(data, config), 0)
    assert (real_a.shape[1], real_b.shape[1]) == (1, 3)
    with pytest.raises(InputError, match="--identity: the domains have 1 and 3 channels"):
        opened(folder, identity=0.5)


def test_arrays_of_many_channels(tmp_path, rng):
    for name in ("trainA", "trainB"):
        (tmp_path / name).mkdir()
        for i in range(3):
            values = rng.normal(size=(5, 40, 44)).astype(np.float32)
            np.save(tmp_path / name / f"{i}.npy", values)
    config, data = opened(tmp_path, range_a=(-2.0, 2.0))
    assert (config.data.a.low, config.data.a.high, config.data.a.dtype) == (-2.0, 2.0, "float32")
    values = np.concatenate([np.load(p).ravel() for p in (tmp_path / "trainB").iterdir()])
    assert (config.data.b.low, config.data.b.high) == (values.min(), values.max())
    real_a, _ = loaded(batches_of(data, config), 0)
    assert real_a.shape == (1, 5, 24, 24)
    assert real_a.abs().max() <= 1


def test_pictures_that_validate_are_not_trained_on(pair):
    config, data = opened(pair, validation=1)
    assert (config.data.a.pictures, config.data.b.pictures) == (4, 2)
    for domain in (0, 1):
        batches = batches_of(data, config)
        trained = set(batches.datasets[domain].images.names)
        assert not trained & set(data.validation_images(config, domain).names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 16}, "--size 16: too small for the 70×70 PatchGAN; 24 or more"),
        ({"load": 20}, "load = 20 is less than size = 24"),
        ({"validation": 3}, "has 3 pictures, at least one must be left"),
        ({"preset": "physics"}, "the preset physics trains on phase spectra"),
        ({"widths": (4, 4)}, "--widths belongs to the preset physics"),
        ({"range_a": (1.0, 1.0)}, "--range-a 1 1: LOW must be below HIGH"),
        ({"alpha": "maybe"}, "alpha = 'maybe': choose one of drop, keep"),
        ({"generator": "unet"}, "--blocks is of the generator resnet, this is a U-Net"),
        ({"gan_loss": "wasserstein"}, "gan_loss = 'wasserstein'"),
    ],
)
def test_what_does_not_fit_is_refused(pair, options, message):
    with pytest.raises(InputError, match=message):
        opened(pair, **options)
