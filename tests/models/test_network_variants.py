"""Variants of the networks: what each of them promises."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from phasegan.config.run import MIN_PATCHGAN_SIZE
from phasegan.errors import InputError
from phasegan.models.blocks import InstanceNorm, ResizeConvolution, initialise
from phasegan.models.build import make_discriminator, make_generator
from phasegan.models.patchgan import (
    PatchDiscriminator,
    PixelDiscriminator,
    smallest_size,
)
from phasegan.models.residual_unet import KNEE, UNetTranslator, soft_clip
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import load_discriminator, load_generator, save_weights

GENERATORS = [
    {"kind": "resnet", "base_channels": 4, "blocks": 2, "padding": "zero", "norm": "batch"},
    {"kind": "resnet", "base_channels": 4, "blocks": 1, "dropout": True, "upsampling": "resize"},
    {"kind": "resnet", "base_channels": 2, "padding": "replicate", "norm": "affine-instance"},
    {"kind": "unet", "widths": [4, 8]},
    {"kind": "unet", "widths": [4, 8], "upsampling": "resize"},
]
DISCRIMINATORS = [
    {"kind": "patch", "in_channels": 2, "base_channels": 4, "layers": 2, "norm": "batch"},
    {"kind": "patch", "in_channels": 2, "base_channels": 4, "layers": 4, "spectral_norm": True},
    {"kind": "pixel", "in_channels": 2, "base_channels": 4, "norm": "affine-instance"},
    {"kind": "pixel", "in_channels": 2, "base_channels": 4, "spectral_norm": True},
]


def fork_rng_from(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(*shape):
    return 2 * torch.rand(*shape, generator=fork_rng_from(1)) - 1


def drawn(network, seed=0):
    initialise(network, fork_rng_from(seed))
    return network


@pytest.mark.parametrize("design", GENERATORS)
def test_a_generator_comes_back_from_its_file_alone(tmp_path, design):
    network = drawn(make_generator({"in_channels": 2, "out_channels": 3, **design}))
    network(picture(2, 2, 16, 16))  # statistics of a batch normalisation
    save_weights(network, tmp_path / "w.safetensors")
    found = load_generator(tmp_path / "w.safetensors")
    assert found.design == network.design
    assert not found.training
    x = picture(1, 2, 33, 50)
    assert torch.equal(found(x), network.eval()(x))
    assert found(x).shape == (1, 3, 33, 50)


@pytest.mark.parametrize("design", DISCRIMINATORS)
def test_a_discriminator_comes_back_from_its_file_alone(tmp_path, design):
    network = drawn(make_discriminator(design))
    x = picture(2, 2, 56, 64)
    network(x)
    save_weights(network, tmp_path / "w.safetensors")
    found = load_discriminator(tmp_path / "w.safetensors")
    assert found.design == network.design
    assert torch.equal(found(x), network.eval()(x))


def test_a_design_states_what_the_keys_leave_open(tmp_path):
    save_weights(ResNetGenerator(1, 1, 2, 1, padding="replicate"), tmp_path / "w.safetensors")
    assert load_generator(tmp_path / "w.safetensors").design["padding"] == "replicate"
    with pytest.raises(InputError, match="its padding is replicate, not reflect"):
        load_generator(tmp_path / "w.safetensors", padding="reflect")


def test_a_file_without_a_design_is_understood_from_its_keys(tmp_path):
    for design in GENERATORS[1:]:
        network = make_generator({"in_channels": 2, "out_channels": 3, **design})
        wanted, network.design = network.design, None
        save_weights(network, tmp_path / "w.safetensors")
        found = load_generator(tmp_path / "w.safetensors", design.get("padding"))
        assert found.design == wanted


def test_a_design_of_another_size_is_refused(tmp_path):
    network = ResNetGenerator(1, 1, 2, 1)
    network.design["base_channels"] = 60000  # would not fit into memory
    save_weights(network, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"the network needs \(60000,\)"):
        load_generator(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ({"kind": "vit"}, "'vit' is no kind of generator; known: resnet, unet"),
        ({"kind": ["resnet"]}, "is no kind of generator"),
        ({"kind": "resnet", "in_channels": 1}, "needs out_channels"),
        (
            {"kind": "resnet", "block": 3},
            "no argument 'block' .did you mean blocks.*; known: in_channels",
        ),
        ({"kind": "resnet", "blocks": 2.0}, "whole number from 0 to 1000, not 2.0"),
        ({"kind": "resnet", "dropout": 1}, "true or false"),
        ({"kind": "unet", "widths": []}, "widths of generator unet are 1 to 10 whole numbers"),
        ({"kind": "resnet", "in_channels": 1, "out_channels": 1, "norm": "group"}, "'group' is no"),
    ],
)
def test_designs_that_make_no_sense_are_named(design, message):
    with pytest.raises(InputError, match=message):
        make_generator(design)


def test_discriminators_have_kinds_of_their_own():
    with pytest.raises(InputError, match="known: patch, pixel"):
        make_discriminator({"kind": "resnet"})


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
def test_padding_is_what_the_blocks_see_beyond_the_edge(padding):
    network = drawn(ResNetGenerator(1, 1, 2, 1, padding=padding))
    block, x = network.model[10], picture(1, 8, 6, 6)
    mode = "constant" if padding == "zero" else padding
    inner = x
    for layer in block.conv_block:
        if isinstance(layer, nn.Conv2d):
            inner = nn.functional.pad(inner, (1, 1, 1, 1), mode=mode)
            inner = nn.functional.conv2d(inner, layer.weight, layer.bias)
        elif not isinstance(layer, nn.ReflectionPad2d | nn.ReplicationPad2d):
            inner = layer(inner)
    torch.testing.assert_close(block(x), x + inner)


def test_resizing_convolutions_treat_every_place_alike():
    layer = ResizeConvolution(2, 3)
    output = layer(torch.ones(1, 2, 4, 5))
    assert output.shape == (1, 3, 8, 10)
    inside = output[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, inside[..., :1, :1].expand_as(inside))


def test_recomputing_changes_neither_gradients_nor_statistics():
    network = drawn(ResNetGenerator(1, 1, 2, 2, norm="batch", dropout=True))
    other, x = copy.deepcopy(network), picture(2, 1, 16, 16)
    other.recompute = True
    for net in (network, other):
        torch.manual_seed(3)
        net(x).square().sum().backward()
    for (key, one), two in zip(
        network.named_parameters(), dict(other.named_parameters()).values(), strict=True
    ):
        assert torch.equal(one.grad, two.grad), key
    for key, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert int(other.model[10].conv_block[2].num_batches_tracked) == 1


@pytest.mark.numerical
def test_affine_instance_norm_scales_and_shifts_the_plain_one():
    affine, x = InstanceNorm(3, affine=True), 5 + picture(2, 3, 7, 9)
    with torch.no_grad():
        affine.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        affine.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    scaled = affine.weight[:, None, None] * InstanceNorm(3)(x) + affine.bias[:, None, None]
    torch.testing.assert_close(affine(x), scaled)
    torch.testing.assert_close(
        affine(x.contiguous(memory_format=torch.channels_last)), scaled, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_smallest_picture_leaves_one_patch(layers):
    network, size = PatchDiscriminator(1, 2, layers=layers), smallest_size(layers)
    assert network.min_size == size
    assert network(torch.zeros(1, 1, size, size)).shape == (1, 1, 1, 1)
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.zeros(1, 1, size - 1, size - 1))
    assert smallest_size() == MIN_PATCHGAN_SIZE


def test_pixels_are_scored_one_by_one():
    network = drawn(PixelDiscriminator(2, 4))
    network.net[3] = nn.Identity()  # statistics would couple all pixels
    x = picture(1, 2, 6, 5)
    for row, column in ((0, 0), (3, 4)):
        alone = network(x[..., row : row + 1, column : column + 1])
        torch.testing.assert_close(network(x)[..., row, column], alone[..., 0, 0])


@pytest.mark.parametrize("kind", ["patch", "pixel"])
def test_spectral_normalisation_bounds_every_convolution(kind):
    design = {"kind": kind, "in_channels": 2, "base_channels": 4, "spectral_norm": True}
    network = drawn(make_discriminator(design))
    for _ in range(30):
        network(picture(1, 2, 24, 24))
    network.eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert float(
                torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
            ) == pytest.approx(1, abs=0.02)
    assert "parametrizations.weight.original" in "".join(network.state_dict())


def test_spectral_normalisation_starts_from_the_seed_alone():
    networks = []
    for before in (1, 2):
        torch.manual_seed(before)
        networks.append(drawn(PatchDiscriminator(1, 2, spectral_norm=True), seed=7))
    one, two = (network.state_dict() for network in networks)
    assert all(torch.equal(one[key], two[key]) for key in one)
    original = networks[0].model[5].parametrizations.weight.original
    assert float(original.detach().std()) == pytest.approx(0.02, rel=0.2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(networks[0](picture(1, 1, 24, 24))).all()


def test_batch_norms_are_drawn_around_one():
    network = drawn(ResNetGenerator(1, 1, 16, 1, norm="batch"))
    weights = torch.cat(
        [x.weight.detach() for x in network.modules() if isinstance(x, nn.BatchNorm2d)]
    )
    assert float(weights.mean()) == pytest.approx(1, abs=0.01)
    assert float(weights.std()) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (33, 50)])
def test_the_unet_starts_as_the_identity(size):
    network, x = drawn(UNetTranslator(3, 3, (4, 8, 8))), picture(2, 3, *size)
    output = network(x)
    assert output.shape == x.shape
    inside = x.abs() <= KNEE
    assert torch.equal(output[inside], x[inside])
    assert float((output - x).detach().abs().max()) < 0.03


@pytest.mark.parametrize("value", [-1.0, -0.5, 0.0, 1.0])
def test_the_unet_learns_from_every_grey_level(value):
    network = drawn(UNetTranslator(1, 1, (4, 8)))
    x = torch.full((1, 1, 8, 8), value, requires_grad=True)
    network(x).sum().backward()
    assert float(x.grad.min()) > 0.3
    assert float(network.unet.exit.bias.grad.abs().min()) > 0.3 * 64


def test_a_unet_of_other_channels_starts_from_their_mean():
    x = picture(1, 2, 8, 8)
    output = drawn(UNetTranslator(2, 3, (4, 8)))(x)
    torch.testing.assert_close(output, soft_clip(x.mean(1, keepdim=True)).expand(1, 3, 8, 8))


def test_soft_clipping_is_bounded_smooth_and_keeps_order():
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64, requires_grad=True)
    y = soft_clip(x)
    assert (y.diff() > 0).all()
    assert float(y.detach().abs().max()) < 1
    y.sum().backward()
    assert float(x.grad.diff().abs().max()) < 0.1  # no jump of the slope
    far = torch.tensor([-3e38, -1e10, 1e10, 3e38])
    torch.testing.assert_close(soft_clip(far), far.sign())


def test_the_unet_is_drawn_from_the_seed_alone():
    states = []
    for before in (1, 2):
        torch.manual_seed(before)
        states.append(drawn(UNetTranslator(1, 1, (4, 8)), seed=7).state_dict())
        after = torch.rand(())
        torch.manual_seed(before)
        UNetTranslator(1, 1, (4, 8))
        assert torch.equal(torch.rand(()), after)  # the common source is left as it was
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    other = drawn(UNetTranslator(1, 1, (4, 8)), seed=8).state_dict()
    assert not torch.equal(states[0]["unet.entry.weight"], other["unet.entry.weight"])
