"""Generators from runs, folders of others, and single files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.config.run import RunStatus
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.data.images.decoding import read_full_depth
from phasegan.errors import InputError
from phasegan.evaluation.inspection import inspect
from phasegan.models.initial_networks import load_initial_networks
from phasegan.models.interchange import save_foreign
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import NETWORK_KEY, save_weights
from phasegan.translation.api import translate
from phasegan.translation.generators import open_translator
from phasegan.translation.image_writer import write_pixels
from tests.translation.conftest import enlivened


def domain(channels: int, dtype: str, high: float) -> dict[str, object]:
    return {
        "digest": "0", "pictures": 4, "channels": channels, "dtype": dtype, "low": 0.0, "high": high
    }  # fmt: skip


def make_run(path, a: dict[str, object], b: dict[str, object]):
    """Write a run folder with a generator each way."""
    folder = RunFolder(path)
    data = {"a": a, "b": b, "size": 64, "load": 64}
    config = TranslationConfig(
        variant="custom",
        data=data,
        epochs=1,
        networks={"base_channels": 4, "blocks": 1, "discriminator_channels": 4},
        seed=0,
        precision="32",
    )
    folder.path.mkdir()
    folder.write_config(config)
    status = {"state": "finished", "epoch": 1, "step": 4, "steps": 4, "seconds": 1.0}
    folder.write_status(RunStatus(**status, device="cpu", threads=1))
    of_a, of_b = config.data.a.channels, config.data.b.channels
    for name, channels in (("generator_ab", (of_a, of_b)), ("generator_ba", (of_b, of_a))):
        network = enlivened(ResNetGenerator(*channels, 4, 1))
        save_weights(network, folder.weights_path(name))
    return folder.path


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", domain(3, "uint8", 255), domain(1, "uint16", 65535))


def test_a_run_says_its_domains(run):
    there, back = (open_translator(run, direction) for direction in ("a2b", "b2a"))
    assert (there.input_domain.channels, there.output_domain.channels) == (3, 1)
    assert (there.input_domain, there.output_domain) == (back.output_domain, back.input_domain)
    assert there.output_domain.dtype == "uint16"
    assert there.network(torch.zeros(1, 3, 8, 8)).shape == (1, 1, 8, 8)


def test_two_generators_need_a_direction(run):
    with pytest.raises(InputError, match="add --direction a2b or b2a"):
        open_translator(run)
    with pytest.raises(InputError, match="choose one of"):
        open_translator(run, "both")


def test_runs_on_phases_are_sent_to_reconstruct(tiny_run):
    with pytest.raises(InputError, match="use phasegan reconstruct --run"):
        open_translator(tiny_run)


def test_weights_of_others_give_the_same_pictures(tmp_path):
    networks = {name: enlivened(ResNetGenerator(3, 3, 4, 1)) for name in ("generator_ab",)}
    networks["generator_ba"] = enlivened(ResNetGenerator(3, 3, 4, 1), 0.5)
    save_foreign(networks, tmp_path)
    x = torch.rand(1, 3, 16, 16)
    for direction, name in (("a2b", "generator_ab"), ("b2a", "generator_ba")):
        found = open_translator(tmp_path, direction)
        assert found.direction == direction
        with torch.inference_mode():
            torch.testing.assert_close(found.network(x), networks[name](x))
    with pytest.raises(InputError, match="--direction"):
        open_translator(tmp_path)
    alone = open_translator(tmp_path / "latest_net_G_B.pth")
    with torch.inference_mode():
        torch.testing.assert_close(alone.network(x), networks["generator_ba"](x))


def test_one_file_needs_no_direction(weights):
    path = weights()
    assert open_translator(path).direction is None
    with pytest.raises(InputError, match="leave --direction out"):
        open_translator(path, "a2b")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such run folder or weights file"):
        open_translator(tmp_path / "nothing")
    with pytest.raises(InputError, match="no weights of a generator"):
        open_translator(tmp_path)


def test_pictures_of_one_domain_become_those_of_the_other(run, tmp_path, rng):
    pixels = rng.integers(0, 256, (20, 33, 3), dtype=np.uint8)
    write_pixels(tmp_path / "a.png", pixels)
    translate(run, tmp_path / "a.png", tmp_path / "b.png", direction="a2b")
    translate(run, tmp_path / "b.png", tmp_path / "c.png", direction="b2a", depth="16")
    found, back = (read_full_depth(tmp_path / name).pixels for name in ("b.png", "c.png"))
    assert (found.shape, found.dtype) == ((20, 33, 1), np.uint8)
    assert (back.shape, back.dtype) == ((20, 33, 3), np.uint16)
    assert np.ptp(found) > 50


def test_alpha_is_translated_where_it_was_trained_on(tmp_path, rng):
    kind = domain(4, "uint8", 255) | {"alpha": True}
    run = make_run(tmp_path / "run", kind, kind)
    pixels, alpha = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8), np.zeros((20, 24), np.uint8)
    write_pixels(tmp_path / "a.png", pixels, alpha)
    translate(run, tmp_path / "a.png", tmp_path / "b.png", direction="a2b")
    found = read_full_depth(tmp_path / "b.png")
    assert found.pixels.shape == (20, 24, 3)
    assert found.alpha is not None
    assert np.ptp(found.alpha) > 50


def test_floats_have_the_values_of_their_domain(tmp_path, rng):
    a = domain(2, "float32", 3.0) | {"low": -1.0}
    b = domain(1, "float32", 900.0) | {"low": 100.0}
    run = make_run(tmp_path / "run", a, b)
    np.save(tmp_path / "a.npy", rng.uniform(-1, 3, (20, 24, 2)).astype(np.float32))
    translate(run, tmp_path / "a.npy", tmp_path / "b.npy", direction="a2b")
    found = np.load(tmp_path / "b.npy")
    assert found.dtype == np.float32
    assert 100 <= found.min() < 300 < 700 < found.max() <= 900


def test_exchanged_weights_of_a_run_are_refused_and_old_ones_pass(tmp_path):
    rgb = domain(3, "uint8", 255)
    folder = make_run(tmp_path / "run", rgb, rgb)
    ab, ba = (folder / f"generator_{way}.safetensors" for way in ("ab", "ba"))
    for direction in ("a2b", "b2a"):  # weights of before networks were named
        open_translator(folder, direction)
    for path in (ab, ba):
        network = enlivened(ResNetGenerator(3, 3, 4, 1))
        save_weights(network, path, {NETWORK_KEY: path.stem})
    open_translator(folder, "a2b")
    ab.rename(tmp_path / "kept")
    ba.rename(ab)
    (tmp_path / "kept").rename(ba)
    for direction, own in (("a2b", "generator_ba"), ("b2a", "generator_ab")):
        with pytest.raises(InputError, match=rf"the weights of {own}, where those of generator_"):
            open_translator(folder, direction)
    with pytest.raises(InputError, match="were the files exchanged"):
        load_initial_networks(folder)
    assert inspect(folder, verify=True).damaged == [ab.name, ba.name][:1]
    assert open_translator(ab).direction is None  # one file says which it is, and needs none
