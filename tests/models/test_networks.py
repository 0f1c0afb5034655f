"""The networks against what is published about them."""

from __future__ import annotations

import pytest
import torch

from phasegan.config.run import MIN_PATCHGAN_SIZE
from phasegan.models.blocks import InstanceNorm, ReflectionPad, initialise, reflect_pad
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import count_parameters


def test_resnet_9_has_the_published_weights_and_keys():
    network = ResNetGenerator(3, 3, 64, 9)
    keys = list(network.state_dict())
    assert count_parameters(network) == 11_378_179
    assert len(keys) == 48
    assert {"model.1.weight", "model.4.bias", "model.18.conv_block.5.weight"} <= set(keys)
    assert {"model.19.weight", "model.22.weight", "model.26.bias"} <= set(keys)
    assert network.state_dict()["model.1.weight"].shape == (64, 3, 7, 7)


def test_resnet_6_ends_at_23():
    keys = ResNetGenerator(3, 3, 64, 6).state_dict()
    assert {"model.15.conv_block.5.weight", "model.16.weight", "model.23.weight"} <= set(keys)


def test_patchgan_has_the_published_weights_and_map():
    network = PatchDiscriminator(3, 64)
    assert count_parameters(network) == 2_764_737
    indices = sorted({int(key.split(".")[1]) for key in network.state_dict()})
    assert indices == [0, 2, 5, 8, 11]
    with torch.no_grad():
        assert PatchDiscriminator(3, 4)(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def test_patchgan_sees_70_pixels():
    network = PatchDiscriminator(1, 2)
    for layer in network.modules():
        if isinstance(layer, InstanceNorm):
            layer.forward = lambda x: x  # statistics would couple all pixels
    picture = torch.zeros(1, 1, 256, 256, requires_grad=True)
    network(picture)[0, 0, 15, 15].backward()
    seen = picture.grad[0, 0].abs().sum(0).nonzero()
    assert int(seen.max() - seen.min()) + 1 == 70


@pytest.mark.parametrize("size", [(24, 24), (255, 257), (33, 50), (128, 128)])
def test_any_size_comes_back_as_it_was(size):
    network = ResNetGenerator(2, 1, 2, 1)
    with torch.no_grad():
        output = network(torch.rand(1, 2, *size))
    assert output.shape == (1, 1, *size)
    assert output.abs().max() <= 1


def test_the_smallest_size_that_can_be_scored():
    network = PatchDiscriminator(1, 2)
    assert network(torch.zeros(1, 1, MIN_PATCHGAN_SIZE, MIN_PATCHGAN_SIZE)).numel() == 1
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.zeros(1, 1, MIN_PATCHGAN_SIZE - 1, MIN_PATCHGAN_SIZE - 1))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_constant_pictures_give_finite_outputs_and_gradients(dtype, value):
    network = ResNetGenerator(1, 1, 4, 1)
    initialise(network, torch.Generator().manual_seed(0))
    picture = torch.full((1, 1, 32, 32), value)
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        output = network(picture)
    output.float().square().sum().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.numerical
def test_instance_norm_takes_statistics_in_float32():
    picture = 50 + 3 * torch.randn(1, 1, 64, 64)
    exact = torch.nn.functional.instance_norm(picture.bfloat16().double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = InstanceNorm(1)(picture.bfloat16())
    assert output.dtype == torch.bfloat16
    rounding = exact.abs() * torch.finfo(torch.bfloat16).eps
    assert ((output - exact).abs() <= rounding + 1e-3).all()


@pytest.mark.parametrize("width", [1, 3])
def test_mirrored_edges_are_reflection_padding(width):
    one = torch.randn(2, 3, 7, 9, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    padded = torch.nn.functional.pad(one, (width,) * 4, mode="reflect")
    made = reflect_pad(other, width)
    assert torch.equal(made, padded)
    weights = torch.randn_like(padded)
    (padded * weights).sum().backward()
    (made * weights).sum().backward()
    torch.testing.assert_close(other.grad, one.grad)


def test_initialisation_depends_on_the_seed_alone():
    def weights(seed):
        network = ResNetGenerator(1, 1, 4, 1)
        initialise(network, torch.Generator().manual_seed(seed))
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    torch.manual_seed(1)
    one = weights(3)
    torch.manual_seed(2)
    assert torch.equal(one, weights(3))
    assert not torch.equal(one, weights(4))
    network = PatchDiscriminator(1, 32)
    initialise(network, torch.Generator().manual_seed(0))
    assert float(network.model[8].weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert float(network.model[8].bias.detach().abs().max()) == 0


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("extra", [(-1, -1), (0, 0), (0, 9), (1, 0), (20, 25)])
def test_half_precision_is_padded_as_autocast_pads_it(rng, width, extra):
    sides = [2 * width + 2 + max(more, -width - 1) for more in extra]
    values = torch.from_numpy(rng.normal(size=(2, 3, *sides))).bfloat16()
    kernel = torch.from_numpy(rng.normal(size=(4, 3, 3, 3))).float()
    results = []
    for layer in (ReflectionPad(width), torch.nn.ReflectionPad2d(width)):
        x = values.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = torch.nn.functional.conv2d(layer(x), kernel)
        output.float().square().sum().backward()
        results.append((output, x.grad))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))
