"""One step with the exact transform inside the cycle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import phasegan
from phasegan.config.physics import (
    NO_AUGMENTATION,
    PhysicsConfig,
    PhysicsLossConfig,
    PhysicsOptimiserConfig,
    SpectralConfig,
)
from phasegan.config.run import DataConfig
from phasegan.config.settings import build
from phasegan.errors import InputError
from phasegan.fourier.encoding import decode
from phasegan.losses.reconstruction import (
    circular_distance,
    phase_weights,
    soft_clipped_mse,
    structure_loss,
)
from phasegan.models.cascade_fit import fit_shrinkage
from phasegan.progress import Progress
from phasegan.training.checkpoint import load_checkpoint, save_checkpoint
from phasegan.training.data.phases import FOLDS, Images, PhysicsBatches
from phasegan.training.physics.gan import LOSSES, PhysicsGAN
from phasegan.training.physics.statistics import evaluation_shares
from phasegan.training.schedule import warmup_cosine
from tests.training.loading import loaded, take_step

CPU = torch.device("cpu")
DATA = {"digest": "0", "size": 32, "padded": 32, "channels": "gray", "bits": 8, "samples": 4}


def config(data=None, losses=None, optimiser=None, networks=None, **changes):
    sizes = {"widths": (4, 4), "discriminator_channels": 2, **(networks or {})}
    return PhysicsConfig(
        **{
            "variant": "custom",
            "data": DataConfig(**{**DATA, **(data or {})}),
            "networks": SpectralConfig(**sizes),
            "losses": PhysicsLossConfig(**(losses or {})),
            "optimiser": PhysicsOptimiserConfig(**(optimiser or {})),
            "epochs": 10,
            **changes,
        }
    )


def images(seed, count=2, channels=1):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, 32, 32, generator=source)


def batch(seed, **shape):
    return Images(images(seed, **shape))


def phases(gan, seed, **shape):
    pixels = images(seed, **shape)
    return gan.encode(pixels, gan.encode.draw_noise(*pixels.shape[:2], gan.noise))


def weights_of(gan):
    return {
        (name, key): value.clone()
        for name, net in [*gan.networks().items(), ("raw", gan.generator_ab)]
        for key, value in net.state_dict().items()
    }


def test_every_loss_has_its_name_and_every_network_learns():
    gan = PhysicsGAN(config(), CPU)
    before = weights_of(gan)
    losses = take_step(gan, phases(gan, 1), batch(2))
    assert tuple(sorted(losses)) == tuple(sorted(LOSSES))
    assert all(torch.isfinite(v) and not v.requires_grad for v in losses.values())
    after = weights_of(gan)
    for name in ("generator_ab", "discriminator_b", "raw"):
        assert any(not torch.equal(after[k], before[k]) for k in after if k[0] == name)


SIDE_A = {"cycle_a", "adversarial_ab", "discriminator_b"}


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ({"cycle_b": 0}, {"structure", *SIDE_A}),
        ({"structure": 0}, {"cycle_b", *SIDE_A}),
        ({"cycle_b": 0, "structure": 0}, SIDE_A),
        ({"cycle_a": 0}, {"cycle_b", "structure", "adversarial_ab", "discriminator_b"}),
        ({"adversarial": 0}, {"cycle_a", "cycle_b", "structure"}),
        ({"adversarial": 0, "cycle_a": 0, "structure": 0}, {"cycle_b"}),
    ],
)
def test_a_term_of_weight_0_is_not_computed(monkeypatch, weights, names):
    gan = PhysicsGAN(config(losses=weights), CPU)
    terms = {"cycle_a": circular_distance, "cycle_b": soft_clipped_mse, "structure": structure_loss}
    called = set()
    for name, function in terms.items():

        def counted(*arguments, name=name, function=function, **options):
            called.add(name)
            return function(*arguments, **options)

        monkeypatch.setattr(f"phasegan.training.physics.gan.{function.__name__}", counted)
    assert set(take_step(gan, phases(gan, 1), batch(2))) == names
    assert called == names & set(terms)
    assert ("discriminator_b" in gan.networks()) == ("adversarial_ab" in names)
    assert (gan.discriminator_b is None) == ("adversarial_ab" not in names)
    assert gan.config.network_names == tuple(gan.networks())


def test_all_terms_off_is_one_line():
    losses = dict.fromkeys(("cycle_a", "cycle_b", "structure", "adversarial"), 0)
    with pytest.raises(InputError, match="every loss is switched off"):
        build(PhysicsConfig, config().model_dump() | {"losses": losses}, "train")


@pytest.mark.numerical
def test_losses_are_what_their_names_say():
    gan = PhysicsGAN(config(pool_size=0, networks={"unrolled": 2}), CPU)
    magnitude = torch.rand(1, 32, 17) + 0.1
    gan.statistics.set_means(magnitude, torch.full((1, 32, 32), 0.5))
    real_b, real_a = images(1), phases(gan, 2)
    with torch.no_grad():
        fake_b = gan.generator_ab(*real_a)
        back = gan.generator_ab(*gan.encode(real_b, None))
        again = torch.fft.rfft2(((fake_b + 1) / 2).clamp(0, 1))
        discriminator = gan.discriminator_b
        expected = {
            "cycle_b": soft_clipped_mse((back + 1) / 2, real_b),
            "structure": structure_loss((back + 1) / 2, real_b),
            "cycle_a": circular_distance(
                again, real_a.phase, magnitude, phase_weights(magnitude, 32), real_a.trusted
            ),
            "adversarial_ab": ((discriminator(fake_b) - 1) ** 2).mean(),
            "discriminator_b": ((discriminator(2 * real_b - 1) - 1) ** 2).mean() / 2
            + (discriminator(fake_b) ** 2).mean() / 2,
        }
    found = take_step(gan, real_a, Images(real_b))
    assert set(found) == set(expected) == set(LOSSES)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.numerical
def test_the_generator_follows_the_objective_and_domain_a_counts_as_often_as_it_is_left_out():
    settings = {"cycle_a": 0.5, "cycle_b": 2.0, "structure": 0.7}
    settings |= {"adversarial": 0.1, "adversarial_every": 3}
    gan = PhysicsGAN(config(losses=settings, optimiser={"clip_norm": 0}), CPU)
    real_b, real_a = images(1), phases(gan, 2)
    net, discriminator = gan.generator_ab, gan.discriminator_b
    fake_b = net(*real_a)
    back = (net(*gan.encode(real_b, None)) + 1) / 2
    objective = (
        2.0 * soft_clipped_mse(back, real_b)
        + 0.7 * structure_loss(back, real_b)
        + 3
        * 0.5
        * circular_distance(
            torch.fft.rfft2(((fake_b + 1) / 2).clamp(0, 1)),
            real_a.phase,
            torch.ones(1, 32, 17),
            phase_weights(torch.ones(1, 32, 17), 32),
            real_a.trusted,
        )
        + 3 * 0.1 * ((discriminator(fake_b) - 1) ** 2).mean()
    )
    expected = torch.autograd.grad(objective, list(net.parameters()), allow_unused=True)
    take_step(gan, real_a, Images(real_b))
    for parameter, gradient in zip(net.parameters(), expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_gradients_are_clipped():
    gan = PhysicsGAN(config(optimiser={"clip_norm": 1e-3}, losses={"cycle_b": 100.0}), CPU)
    take_step(gan, None, batch(1))
    norm = torch.stack([p.grad.norm() for p in gan.generator_ab.parameters()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=0.01)


def test_the_average_follows_with_the_documented_decay():
    gan = PhysicsGAN(config(optimiser={"average": 0.3}), CPU)
    expected = [p.clone() for p in gan.ema.parameters()]
    for t in range(5):
        take_step(gan, None, batch(t))
        decay = min(0.3, (1 + t) / (10 + t))
        for mean, p in zip(expected, gan.generator_ab.parameters(), strict=True):
            mean.mul_(decay).add_(p.detach(), alpha=1 - decay)
    for mean, p in zip(expected, gan.ema.parameters(), strict=True):
        torch.testing.assert_close(p, mean)
    assert gan.networks()["generator_ab"] is gan.ema


def test_without_an_average_the_weights_are_the_generators():
    gan = PhysicsGAN(config(optimiser={"average": 0.0}), CPU)
    take_step(gan, None, batch(1))
    for a, b in zip(gan.ema.parameters(), gan.generator_ab.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("spread", [0.0, 1 / 255])
def test_ten_seeds_stay_finite_on_constant_and_near_constant_images(precision, spread):
    for seed in range(10):
        gan = PhysicsGAN(config(precision=precision, seed=seed, losses={"adversarial": 0.1}), CPU)
        for value in (0.0, 0.5, 1.0):
            flat = torch.full((2, 1, 32, 32), value)
            flat[:, :, 3, 5] += spread * (1 if value < 1 else -1)
            losses = take_step(
                gan,
                gan.encode(flat, gan.encode.draw_noise(*flat.shape[:2], gan.noise)),
                Images(flat),
            )
            assert all(torch.isfinite(v) for v in losses.values())
        for network in (*gan.networks().values(), gan.generator_ab):
            assert all(torch.isfinite(p).all() for p in network.parameters())


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_phases_never_leave_float32_and_no_autocast_is_around_the_generator(monkeypatch, precision):
    gan, seen = PhysicsGAN(config(precision=precision), CPU), []
    kind = type(gan.generator_ab)
    original = kind.estimates

    def watched(self, phase, trusted=None, fold=None):
        seen.append((phase.dtype, torch.is_autocast_enabled("cpu")))
        return original(self, phase, trusted, fold)

    monkeypatch.setattr(kind, "estimates", watched)
    take_step(gan, phases(gan, 1), batch(2))
    gan.reconstruct(np.zeros((1, 32, 17)), None)
    assert seen
    assert set(seen) == {(torch.float32, False)}


def test_colour_padding_and_noise():
    data = {"channels": "rgb", "padded": 64, "phase_noise": 0.2, "phase_bits": 6}
    gan = PhysicsGAN(config(data=data, networks={"encodings": ("posterior", "mean")}), CPU)
    before = weights_of(gan)
    losses = take_step(gan, phases(gan, 1, channels=3), batch(2, channels=3))
    assert all(torch.isfinite(v) for v in losses.values())
    estimate = gan.reconstruct(np.zeros((2, 3, 64, 33)), np.ones((2, 3, 64, 33), bool))
    assert estimate.shape == (2, 3, 32, 32)
    after = weights_of(gan)
    for key in (("raw", "softness"), ("raw", "unets.0.exit.weight")):
        assert not torch.equal(before[key], after[key])


@pytest.mark.parametrize(("projection", "low", "high"), [("sign", -1, 1e-5), ("off", 1e-3, 2)])
def test_the_phase_of_a_projected_estimate_comes_back(projection, low, high):
    networks = {"projection": projection, "encodings": ("mean",)}
    gan = PhysicsGAN(config(networks=networks, losses={"adversarial": 0}), CPU)
    real_a, net = phases(gan, 1), gan.generator_ab.eval()
    gan.statistics.set_means(
        0.2 * torch.fft.rfft2(images(1)).abs().mean(0), torch.full((1, 32, 32), 0.5)
    )
    gan.generator_ab.mean_magnitude[:, 0, 0] = 512
    source = torch.Generator().manual_seed(3)
    with torch.no_grad():
        torch.nn.init.normal_(net.unets[0].exit.weight, std=0.05, generator=source)
        estimate = net(*real_a)
    assert estimate.abs().max() < 1
    losses = take_step(gan, real_a, batch(2))
    assert low < losses["cycle_a"] < high


def test_a_restored_gan_goes_on_bit_by_bit(tmp_path):
    settings = {"pool_size": 2, "data": {"phase_noise": 0.1}}
    one, other = PhysicsGAN(config(**settings), CPU), PhysicsGAN(config(**settings, seed=9), CPU)
    for i in range(4):
        take_step(one, phases(one, i), batch(100 + i))
    save_checkpoint(tmp_path / "c.pt", {"gan": one.state_dict()})
    other.load_state_dict(load_checkpoint(tmp_path / "c.pt", CPU)["gan"])
    for i in range(3):
        real_a = phases(one, i) if i % 2 else None
        other.noise.set_state(one.noise.get_state())
        a, b = take_step(one, real_a, batch(i)), take_step(other, real_a, batch(i))
        assert all(torch.equal(a[name], b[name]) for name in a)
    ours, theirs = weights_of(one), weights_of(other)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_building_a_gan_leaves_torchs_random_state_alone():
    before = torch.get_rng_state()
    PhysicsGAN(config(), CPU)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("steps", [1, 2, 9, 100, 5000])
def test_rates_rise_then_fall_to_a_hundredth(steps):
    factors = [warmup_cosine(i, steps) for i in range(steps)]
    assert all(0 < f <= 1 for f in factors)
    top = int(np.argmax(factors))
    assert top <= min(100, steps // 10)
    assert np.all(np.diff(factors[: top + 1]) > 0)
    assert np.all(np.diff(factors[top:]) < 0)
    if steps > 1:
        assert factors[-1] == pytest.approx(0.01)


def batches(path, **changes):
    with phasegan.open(path) as file:
        data = {"samples": 6, "digest": file.digest}
        return PhysicsBatches(config(data=data, **changes), file, None, CPU)


def test_domains_are_shuffled_apart_and_every_sample_is_seen(tiny):
    made = batches(tiny)
    orders = {
        (e, d): tuple(made.sampler.rows(e, d, np.arange(6))) for e in range(4) for d in (0, 1)
    }
    assert all(sorted(order) == list(range(6)) for order in orders.values())
    assert len(set(orders.values())) > 6


def test_disjoint_halves_share_no_sample_and_are_the_first_and_the_second(tiny):
    made, whole = batches(tiny, disjoint=True), batches(tiny)
    assert not set(made.indices_a) & set(made.indices_b)
    np.testing.assert_array_equal([*made.indices_a, *made.indices_b], whole.indices_b)
    assert made.config.steps_per_epoch == 1


def test_batches_depend_on_seed_epoch_and_step_alone(tiny):
    settings = {"batch_size": 2, "losses": {"adversarial_every": 2}}
    one, other = batches(tiny, **settings), batches(tiny, **settings)
    for epoch in range(2):
        for step in range(3):
            (a, b), (c, d) = loaded(one, 3 * epoch + step), loaded(other, 3 * epoch + step)
            assert torch.equal(b.pixels, d.pixels)
            assert (a is None) == (c is None) == bool((3 * epoch + step) % 2)
            assert a is None or torch.equal(a.phase, c.phase)
    assert not torch.equal(loaded(one, 0)[1].pixels, loaded(one, 3)[1].pixels)


def test_without_augmentation_the_stored_phases_are_taken(tiny):
    made = batches(tiny, augmentation=NO_AUGMENTATION, batch_size=6)
    real_a, real_b = loaded(made, 0)
    with phasegan.open(tiny) as file:
        phase, pixels = file.train.phase(dtype=np.float32), file.train.images()
    indices = made.indices_a[made.sampler.rows(0, 0, np.arange(6))]
    np.testing.assert_array_equal(real_a.phase[:, 0].numpy(), phase[indices])
    indices = made.indices_b[made.sampler.rows(0, 1, np.arange(6))]
    np.testing.assert_allclose(255 * real_b.pixels[:, 0].numpy(), pixels[indices], atol=1e-4)


def test_statistics_are_those_of_the_samples_of_domain_b(tiny):
    made = batches(tiny, disjoint=True)
    magnitude, image = made.mean_statistics()
    with phasegan.open(tiny) as file:
        pixels = file.train.images(made.indices_b) / 255
    np.testing.assert_allclose(image[0], pixels.mean(0), atol=1e-6)
    expected = np.abs(np.fft.rfft2(pixels)).mean(0)
    np.testing.assert_allclose(magnitude[0], expected, rtol=1e-5, atol=1e-5)


def test_data_larger_than_memory_are_read_batch_by_batch(tiny, monkeypatch):
    resident = batches(tiny, batch_size=4)
    monkeypatch.setattr("phasegan.training.data.cache_policy.RESIDENT_BYTES", 0)
    lazy = batches(tiny, batch_size=4)
    for step in (0, 1):
        (a, b), (c, d) = loaded(resident, step), loaded(lazy, step)
        assert torch.equal(b.pixels, d.pixels)
        assert (a is None) == (c is None)
        assert a is None or torch.equal(a.phase, c.phase)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """40 crops of fewer photographs."""
    path = tmp_path_factory.mktemp("crops") / "crops.h5"
    phasegan.prepare("builtin", path, size=32, samples=40, test=4)
    return path


def divided(path, count, **changes):
    with phasegan.open(path) as file:
        data = {"samples": count, "digest": file.digest}
        made = PhysicsBatches(config(data=data, **changes), file, None, CPU)
        names = np.array([file.train.source_sha256([i])[0] for i in made.indices_b])
    return made, made.make_folds(), names


def test_crops_of_a_photograph_are_in_one_fold(crops):
    made, outside, names = divided(crops, 40, batch_size=40)
    assert made.photographs == len(set(names)) < 40
    assert len(outside) == FOLDS
    inside = [np.setdiff1d(np.arange(40), positions) for positions in outside]
    assert sorted(np.concatenate(inside)) == list(range(40))
    assert all(len(positions) for positions in inside)
    for ours, theirs in zip(inside, outside, strict=True):
        assert not set(names[ours]) & set(names[theirs])
    real_a, real_b = loaded(made, 0)
    for found, domain in ((real_a.fold, 0), (real_b.fold, 1)):
        for number, position in zip(
            found.tolist(), made.sampler.rows(0, domain, np.arange(40)), strict=True
        ):
            assert position in inside[number]


def test_few_and_many_photographs_are_not_divided(crops, monkeypatch):
    made, outside, _ = divided(crops, 5)
    assert outside == []
    assert loaded(made, 0)[1].fold is None
    monkeypatch.setattr("phasegan.training.data.phases.FOLDED_BELOW", 5)
    assert divided(crops, 40)[1] == []


def test_before_training_a_run_is_the_method_shrinkage_of_the_same_samples(crops):
    gan = PhysicsGAN(config(data={"samples": 40}), CPU)
    made, _, _ = divided(crops, 40)
    gan.setup(made, Progress())
    with phasegan.open(crops) as file:
        phase = decode(file.test.codes(np.arange(4)), np.float64)
        chosen = file.train.images(made.indices_b)
    method = fit_shrinkage(chosen, data_range=255, photographs=made.photographs)
    pixels = 127.5 * (gan.reconstruct(phase, None)[:, 0] + 1)
    np.testing.assert_allclose(np.clip(pixels, 0, 255), method(phase), atol=0.05)


def test_the_fewer_photographs_the_less_of_a_change_is_granted(crops, monkeypatch):
    granted = np.array([evaluation_shares(n) for n in (1, 8, 50, 200, 1000, 1001)])
    assert (np.diff(granted, axis=0) > 0).all()
    assert (granted[-1] == 1).all()
    assert (granted[1:-1, 0] < granted[1:-1, 1]).all()
    gan = PhysicsGAN(config(data={"samples": 40}), CPU)
    made, _, _ = divided(crops, 40)
    gan.setup(made, Progress())
    expected = evaluation_shares(made.photographs)
    assert gan.generator_ab.shares.tolist() == pytest.approx(expected)
    assert gan.ema.shares.tolist() == pytest.approx(expected)
    take_step(gan, *loaded(made, 0))
    phase, _ = gan.encode(images(1), None)
    with torch.no_grad():
        free = gan.ema.train()(phase)
        held = gan.ema.eval()(phase)
    assert (free - held).abs().max() > 1e-4


@pytest.mark.parametrize("networks", [{"encodings": ("mean",)}, {"encodings": ("mean", "cascade")}])
def test_a_start_that_is_no_method_is_left_entirely(crops, networks):
    gan = PhysicsGAN(config(data={"samples": 40}, networks=networks), CPU)
    gan.setup(divided(crops, 40)[0], Progress())
    assert gan.generator_ab.shares.tolist() == [1, 1]


def test_disjoint_phases_use_the_full_cascade(crops):
    made, outside, _ = divided(crops, 40, disjoint=True)
    real_a, real_b = loaded(made, 0)
    assert real_a.fold is None
    assert (real_b.fold is None) == (not outside)


def test_the_first_estimates_leave_the_photograph_out(crops):
    gan = PhysicsGAN(config(data={"samples": 40}, batch_size=40), CPU)
    made, _, _ = divided(crops, 40, batch_size=40)
    gan.setup(made, Progress())
    net = gan.generator_ab
    assert (len(net.folds), len(gan.ema.folds)) == (FOLDS, 0)
    _, real_b = loaded(made, 0)
    phase, trusted = gan.encode(real_b.pixels, None)
    with torch.no_grad():
        apart, whole = net(phase, trusted, real_b.fold), net(phase, trusted)
    assert torch.isfinite(apart).all()
    assert all((apart[i] - whole[i]).abs().max() > 1e-3 for i in range(40))
    losses = take_step(gan, *loaded(made, 0))
    assert all(torch.isfinite(value) for value in losses.values())
