"""Others' weights: generators both ways in one file, statistics of batch normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from phasegan.data.images.decoding import read_full_depth
from phasegan.errors import InputError
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.resnet import ResNetGenerator
from phasegan.progress import Progress
from phasegan.translation.api import translate
from phasegan.translation.export import export
from phasegan.translation.generators import open_translator
from phasegan.translation.image_writer import write_pixels
from tests.translation.conftest import enlivened

PAIRS = [
    ("G_A2B", "G_B2A"),
    ("netG_A2B", "netG_B2A"),
    ("genA2B", "genB2A"),
    ("G_AtoB", "G_BtoA"),
    ("gen_ab", "gen_ba"),
    ("generator_AB", "generator_BA"),
    ("G_XY", "G_YX"),
    ("netG_A", "netG_B"),
    ("G_A", "G_B"),
    ("G", "F"),
]
UNKNOWN = [("genX", "genY"), ("photo", "monet"), ("one", "two"), ("gen_A", "gen_B")]


@pytest.fixture(scope="module")
def both():
    return enlivened(ResNetGenerator(3, 3, 4, 1)), enlivened(ResNetGenerator(3, 3, 4, 1), 0.5)


def nested(networks):
    return {"epoch": 3, "optim": {"lr": 1.0}} | {n: net.state_dict() for n, net in networks.items()}


def flat(networks):
    keys = {f"{n}.{k}": v for n, net in networks.items() for k, v in net.state_dict().items()}
    return {"state_dict": keys, "epoch": 1}


@pytest.fixture(params=[nested, flat])
def saved(request, both, tmp_path):
    def save(names, judges=("D_A", "D_B")):
        networks = dict(zip(names, both, strict=True))
        networks |= {name: enlivened(PatchDiscriminator(3, 4)) for name in judges}
        path = tmp_path / "both.ckpt"
        torch.save(request.param(networks), path)
        return path

    return save


def assert_is(translator, network):
    assert all(
        torch.equal(value, network.state_dict()[key])
        for key, value in translator.network.state_dict().items()
    )


@pytest.mark.parametrize("names", PAIRS)
def test_a_direction_picks_one_of_two_generators(saved, both, names):
    path = saved(names)
    for direction, network in zip(("a2b", "b2a"), both, strict=True):
        assert_is(open_translator(path, direction), network)
    with pytest.raises(InputError, match=r"several networks .*generators both ways; add --direct"):
        open_translator(path)


@pytest.mark.parametrize("names", UNKNOWN)
def test_names_without_a_direction_get_one_answer(saved, both, names):
    path = saved(names)
    answers = set()
    for direction in (None, "a2b", "b2a"):
        with pytest.raises(InputError, match=f"--network {names[0]} or {names[1]}") as error:
            open_translator(path, direction)
        answers.add(str(error.value))
    assert len(answers) == 1
    for name, network in zip(names, both, strict=True):
        assert_is(open_translator(path, network=name), network)
    with pytest.raises(InputError, match=rf"{names[1]}.*none of them G_C"):
        open_translator(path, network="G_C")


def test_what_chooses_nothing_is_refused(weights, saved, tmp_path):
    path = weights()
    with pytest.raises(InputError, match="leave --network out"):
        open_translator(path, network="G_A2B")
    with pytest.raises(InputError, match="leave --direction out"):
        open_translator(path, "a2b")
    with pytest.raises(InputError, match="a folder; --network"):
        open_translator(tmp_path, network="G_A2B")
    with pytest.raises(InputError, match="choose one of"):
        open_translator(saved(PAIRS[0]), "both")


def test_averages_beside_weights_are_not_taken_for_a_direction(both, tmp_path):
    networks = dict(zip(("gen_ab", "gen_ba"), both, strict=True))
    networks |= {f"avg_{name}": network for name, network in networks.items()}
    torch.save(nested(networks), tmp_path / "a.pth")
    with pytest.raises(InputError, match="--network"):
        open_translator(tmp_path / "a.pth", "a2b")


def test_one_generator_among_discriminators_needs_no_name(both, tmp_path):
    torch.save(nested({"one": both[0], "two": PatchDiscriminator(3, 4)}), tmp_path / "a.pth")
    assert_is(open_translator(tmp_path / "a.pth"), both[0])


def test_exports_take_one_of_two(saved, both, tmp_path):
    path = saved(PAIRS[0])
    assert [p.name for p in export(path, tmp_path / "out", direction="b2a").paths] == [
        "latest_net_G_B.pth"
    ]
    assert_is(open_translator(tmp_path / "out"), both[1])
    with pytest.raises(InputError, match="add --direction"):
        export(path, tmp_path / "other")


class Said(Progress):
    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def batch(tmp_path):
    """Weights with batch normalisation and dropout, in a file."""
    network = enlivened(ResNetGenerator(3, 3, 8, 2, norm="batch", dropout=True))
    torch.save(network.state_dict(), tmp_path / "batch.pth")
    return network, tmp_path / "batch.pth"


def in_training(network, x):
    """Return what each picture by itself gives in training mode, without dropout."""
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    with torch.no_grad():
        result = torch.cat([network(picture[None]) for picture in x])
    network.eval()
    return result


@pytest.mark.numerical
def test_statistics_of_a_picture_are_those_of_a_batch_of_one(batch):
    network, path = batch
    x = 2 * torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(2)) - 1
    by_picture = open_translator(path, batch_norm="picture").network
    with torch.inference_mode():
        found = by_picture(x)
        torch.testing.assert_close(open_translator(path).network(x), network(x))
    torch.testing.assert_close(found, in_training(network, x), atol=1e-5, rtol=0)
    assert (found - network(x)).abs().mean() > 0.05


@pytest.mark.parametrize("side", [40, 520])  # whole, and in bands
def test_the_command_takes_them_and_says_so(batch, tmp_path, side):
    network, path = batch
    pixels = np.random.default_rng(3).integers(0, 256, (side, side + 4, 3), np.uint8)
    pixels[: side // 2] //= 8
    write_pixels(tmp_path / "in.png", pixels)
    said = Said()
    translate(path, tmp_path / "in.png", tmp_path / "out.png", batch_norm="picture", progress=said)
    assert "of each picture" in said.lines[0]
    assert "dropout is off" in said.lines[1]
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = (in_training(network, x)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    found = read_full_depth(tmp_path / "out.png").pixels.astype(float)
    assert np.abs(found - expected).max() < 0.75
    said = Said()
    translate(path, tmp_path / "in.png", tmp_path / "out.png", overwrite=True, progress=said)
    assert "--batch-norm picture" in said.lines[0]


def test_without_batch_normalisation_it_is_said_that_nothing_changes(weights, tmp_path):
    write_pixels(tmp_path / "in.png", np.zeros((16, 16, 3), np.uint8))
    said = Said()
    options = {"batch_norm": "picture", "progress": said}
    translate(weights(), tmp_path / "in.png", tmp_path / "out.png", **options)
    assert "changes nothing" in said.lines[0]
    with pytest.raises(InputError, match=r"for \.onnx and \.pt2"):
        export(weights(), tmp_path / "folder", batch_norm="picture")
