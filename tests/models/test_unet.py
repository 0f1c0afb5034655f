"""The U-Net inside the generator from phases to images."""

from __future__ import annotations

import pytest
import torch

from phasegan.models.unet import UNet

pytestmark = pytest.mark.numerical


def network(widths=(4, 6, 8), out=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return UNet(3, out, widths)


def woken(net):
    """Give what starts at zero weights of its own."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(2)
        for module in (net.exit, net.surroundings.outer):
            module.weight.normal_()
    return net


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16), (33, 50), (31, 32), (64, 7)])
@pytest.mark.parametrize("widths", [(5,), (4, 7), (4, 6, 8, 40)])
def test_any_size_comes_back_as_it_was(size, widths):
    net = woken(network(widths))
    with torch.no_grad():
        output = net(torch.rand(2, 3, *size))
    assert output.shape == (2, 2, *size)
    assert torch.isfinite(output).all()
    assert output.abs().max() > 0


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_output_is_zero_before_training(dtype):
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        output = network()(torch.randn(2, 3, 20, 17))
    assert not output.any()


def test_every_weight_learns():
    net = woken(network())
    net(torch.randn(2, 3, 20, 17)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_images_of_a_batch_do_not_see_each_other():
    net, x = woken(network()), torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0, 100.0])
def test_constants_have_finite_gradients(value):
    net, x = woken(network()), torch.full((1, 3, 16, 16), value, requires_grad=True)
    output = net(x)
    output.square().mean().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(p.grad).all() for p in (x, *net.parameters()))
