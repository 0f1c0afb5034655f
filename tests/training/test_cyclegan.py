"""One adversarial step."""

from __future__ import annotations

import pytest
import torch

from phasegan.config.run import DataConfig, LossConfig, NetworkConfig, PaperConfig
from phasegan.training.checkpoint import load_checkpoint, save_checkpoint
from phasegan.training.cyclegan import LOSSES, CycleGAN
from tests.training.loading import take_step

CPU = torch.device("cpu")


def config(**changes):
    return PaperConfig(
        **{
            "variant": "custom",
            "data": DataConfig(digest="0", size=32, padded=32, channels="gray", bits=8, samples=4),
            "networks": NetworkConfig(base_channels=4, blocks=1, discriminator_channels=4),
            "epochs": 1,
            **changes,
        }
    )


def batch(seed, channels=1, count=2):
    source = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, channels, 32, 32, generator=source) - 1


def copy(network):
    return {k: v.clone() for k, v in network.state_dict().items()}


def changed(network, before):
    return any(not torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_every_loss_has_its_name_and_every_network_learns():
    gan = CycleGAN(config(), CPU)
    before = {name: copy(net) for name, net in gan.networks().items()}
    losses = take_step(gan, batch(1), batch(2))
    assert tuple(losses) == LOSSES
    assert all(torch.isfinite(v) and not v.requires_grad for v in losses.values())
    assert all(changed(net, before[name]) for name, net in gan.networks().items())


def test_losses_are_what_their_names_say():
    gan = CycleGAN(config(pool_size=0), CPU)
    a, b = batch(1), batch(2)
    g_ab, g_ba = gan.nets.trained["generator_ab"], gan.nets.trained["generator_ba"]
    d_a, d_b = gan.nets.trained["discriminator_a"], gan.nets.trained["discriminator_b"]
    with torch.no_grad():
        fake_b, fake_a = g_ab(a), g_ba(b)
        expected = {
            "adversarial_ab": ((d_b(fake_b) - 1) ** 2).mean(),
            "adversarial_ba": ((d_a(fake_a) - 1) ** 2).mean(),
            "cycle_a": (g_ba(fake_b) - a).abs().mean(),
            "cycle_b": (g_ab(fake_a) - b).abs().mean(),
            "identity_a": (g_ba(a) - a).abs().mean(),
            "identity_b": (g_ab(b) - b).abs().mean(),
            "discriminator_a": ((d_a(a) - 1) ** 2).mean() / 2 + (d_a(fake_a) ** 2).mean() / 2,
            "discriminator_b": ((d_b(b) - 1) ** 2).mean() / 2 + (d_b(fake_b) ** 2).mean() / 2,
        }
    for name, value in take_step(gan, a, b).items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.numerical
def test_generators_follow_the_published_objective():
    gan = CycleGAN(config(), CPU)
    a, b = batch(1), batch(2)
    g_ab, g_ba = gan.nets.trained["generator_ab"], gan.nets.trained["generator_ba"]
    fake_b, fake_a = g_ab(a), g_ba(b)
    objective = (
        ((gan.nets.trained["discriminator_b"](fake_b) - 1) ** 2).mean()
        + ((gan.nets.trained["discriminator_a"](fake_a) - 1) ** 2).mean()
        + 10 * (g_ba(fake_b) - a).abs().mean()
        + 10 * (g_ab(fake_a) - b).abs().mean()
        + 5 * (g_ba(a) - a).abs().mean()
        + 5 * (g_ab(b) - b).abs().mean()
    )
    parameters = [*g_ab.parameters(), *g_ba.parameters()]
    expected = torch.autograd.grad(objective, parameters)
    take_step(gan, a, b)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.numerical
def test_discriminators_follow_the_published_objective_on_pooled_pictures():
    gan = CycleGAN(config(), CPU)
    a, b, old_a, old_b = batch(1), batch(2), batch(3), batch(4)
    gan.pools["a"].query, gan.pools["b"].query = (lambda _: old_a), (lambda _: old_b)
    d_a, d_b = gan.nets.trained["discriminator_a"], gan.nets.trained["discriminator_b"]
    objective = 0.5 * (
        ((d_a(a) - 1) ** 2).mean()
        + (d_a(old_a) ** 2).mean()
        + ((d_b(b) - 1) ** 2).mean()
        + (d_b(old_b) ** 2).mean()
    )
    parameters = [*d_a.parameters(), *d_b.parameters()]
    expected = torch.autograd.grad(objective, parameters)
    take_step(gan, a, b)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_optimisers_are_the_published_ones():
    gan = CycleGAN(config(), CPU)
    for optimiser in (gan.optimiser_g, gan.optimiser_d):
        assert isinstance(optimiser, torch.optim.Adam)
        group = optimiser.param_groups[0]
        assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


def test_identity_can_be_switched_off():
    gan = CycleGAN(config(losses=LossConfig(identity=0)), CPU)
    assert not {"identity_a", "identity_b"} & set(take_step(gan, batch(1), batch(2)))


def test_discriminators_do_not_learn_from_the_generators_loss():
    gan = CycleGAN(config(), CPU)
    discriminators = [
        *gan.nets.trained["discriminator_a"].parameters(),
        *gan.nets.trained["discriminator_b"].parameters(),
    ]
    seen = []
    gan.optimiser_g.register_step_pre_hook(
        lambda *_: seen.append([p.grad is None and not p.requires_grad for p in discriminators])
    )
    take_step(gan, batch(1), batch(2))
    assert len(seen) == 1
    assert all(seen[0])
    assert all(p.requires_grad and p.grad is not None for p in discriminators)


def test_cycles_shrink_with_training():
    gan = CycleGAN(config(losses=LossConfig(identity=0)), CPU)
    a, b = batch(1).round(), batch(2).round()
    first = take_step(gan, a, b, 10.0)
    for _ in range(60):
        last = take_step(gan, a, b, 10.0)
    assert last["cycle_a"] + last["cycle_b"] < 0.9 * (first["cycle_a"] + first["cycle_b"])


def test_the_rate_reaches_both_optimisers():
    gan = CycleGAN(config(), CPU)
    take_step(gan, batch(1), batch(2), 0.25)
    rates = {g["lr"] for o in (gan.optimiser_g, gan.optimiser_d) for g in o.param_groups}
    assert rates == {5e-5}


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_constant_pictures_do_not_break_it(precision, value):
    gan = CycleGAN(config(precision=precision), CPU)
    flat = torch.full((1, 1, 32, 32), value)
    for _ in range(3):
        losses = take_step(gan, flat, flat)
    assert all(torch.isfinite(v) for v in losses.values())
    assert all(torch.isfinite(p).all() for n in gan.networks().values() for p in n.parameters())


def test_bf16_is_near_32_and_is_not_32():
    exact = take_step(CycleGAN(config(), CPU), batch(1), batch(2))
    rough = take_step(CycleGAN(config(precision="bf16"), CPU), batch(1), batch(2))
    for name in LOSSES:
        assert float(rough[name]) == pytest.approx(float(exact[name]), rel=0.03, abs=0.01)
    assert any(float(rough[name]) != float(exact[name]) for name in LOSSES)


def test_colour():
    data = DataConfig(digest="0", size=32, padded=32, channels="rgb", bits=8, samples=4)
    losses = take_step(CycleGAN(config(data=data), CPU), batch(1, 3), batch(2, 3))
    assert all(torch.isfinite(v) for v in losses.values())


def test_a_restored_gan_goes_on_bit_by_bit(tmp_path):
    one = CycleGAN(config(pool_size=2), CPU)
    for i in range(4):
        take_step(one, batch(i), batch(100 + i))
    save_checkpoint(tmp_path / "c.pt", {"gan": one.state_dict()})
    other = CycleGAN(config(pool_size=2, seed=9), CPU)
    other.load_state_dict(load_checkpoint(tmp_path / "c.pt", CPU)["gan"])
    for i in range(3):
        a, b = take_step(one, batch(i), batch(i)), take_step(other, batch(i), batch(i))
        assert all(torch.equal(a[name], b[name]) for name in LOSSES)
    for name, network in one.networks().items():
        assert not changed(other.networks()[name], copy(network))
