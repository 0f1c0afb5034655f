"""One step of a translation: objectives, one way, averages, changes of what is judged."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from phasegan.config.translation import (
    DomainConfig,
    PicturesConfig,
    TranslationConfig,
    TranslationLosses,
    TranslationNetworks,
    TranslationOptimiser,
)
from phasegan.data.unpaired_sampler import BatchSlice
from phasegan.distributed import Processes
from phasegan.errors import InputError
from phasegan.losses.adversarial import ADVERSARIAL_LOSSES, adversarial_loss
from phasegan.losses.diff_augment import OPERATIONS
from phasegan.training.cyclegan import LOSSES, CycleGAN
from phasegan.training.data.loader import Batch, MicroBatch
from phasegan.training.ema import update_ema
from tests.training.loading import take_step

CPU = torch.device("cpu")


def config(channels=(3, 3), networks=None, losses=None, average=0.0, **changes):
    a, b = (
        DomainConfig(digest="0", pictures=4, channels=c, dtype="uint8", low=0, high=255)
        for c in channels
    )
    sizes = {"base_channels": 4, "blocks": 1, "discriminator_channels": 4, **(networks or {})}
    return TranslationConfig(
        **{
            "variant": "custom",
            "data": PicturesConfig(a=a, b=b, size=32, load=36),
            "networks": TranslationNetworks(**sizes),
            "losses": TranslationLosses(**(losses or {})),
            "optimiser": TranslationOptimiser(average=average),
            "epochs": 1,
            **changes,
        }
    )


def batch(seed, channels=3, count=2):
    source = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, channels, 32, 32, generator=source) - 1


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("generator", ["resnet", "unet"])
def test_every_network_learns_with_every_loss(loss, generator):
    gan = CycleGAN(config(networks={"generator": generator}, losses={"adversarial": loss}), CPU)
    before = {name: state(net) for name, net in gan.networks().items()}
    losses = take_step(gan, batch(1), batch(2))
    assert tuple(losses) == LOSSES
    assert all(torch.isfinite(value) for value in losses.values())
    for name, network in gan.networks().items():
        assert any(not torch.equal(v, before[name][k]) for k, v in network.state_dict().items())


def test_losses_of_an_undecided_discriminator():
    scores = torch.zeros(2, 1, 3, 3)
    logistic, hinge = ADVERSARIAL_LOSSES["logistic"], ADVERSARIAL_LOSSES["hinge"]
    assert logistic.discriminator(scores, scores) == pytest.approx(0.693147, rel=1e-5)
    assert logistic.generator(scores) == pytest.approx(0.693147, rel=1e-5)
    assert hinge.discriminator(scores, scores) == 1.0
    half = ADVERSARIAL_LOSSES["least-squares"]
    assert half.discriminator(scores + 0.5, scores + 0.5) == 0.25
    with pytest.raises(InputError, match="choose one of least-squares, logistic, hinge"):
        adversarial_loss("wasserstein")


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_losses_fall_where_they_should(name):
    real, fake = torch.full((1, 1, 2, 2), 0.8), torch.full((1, 1, 2, 2), -0.3)
    both = ADVERSARIAL_LOSSES[name]
    assert both.discriminator(real + 0.1, fake) < both.discriminator(real, fake)
    assert both.generator(fake + 0.1) < both.generator(fake)


def test_one_way_has_no_discriminator_of_a_and_a_way_back_only_for_the_cycle():
    gan = CycleGAN(config(preset="one-way"), CPU)
    assert gan.config.network_names == ("generator_ab", "generator_ba", "discriminator_b")
    losses = take_step(gan, batch(1), batch(2))
    assert set(losses) == {"adversarial_ab", "cycle_a", "identity_b", "discriminator_b"}
    gan = CycleGAN(config(preset="one-way", losses={"cycle_a": 0}), CPU)
    assert gan.config.network_names == ("generator_ab", "discriminator_b")
    losses = take_step(gan, batch(1), batch(2))
    assert set(losses) == {"adversarial_ab", "identity_b", "discriminator_b"}


def test_domains_of_different_channels():
    gan = CycleGAN(config(channels=(1, 4), losses={"identity": 0.5}), CPU)
    losses = take_step(gan, batch(1, 1), batch(2, 4))
    assert not any(name.startswith("identity") for name in losses)
    assert gan.translate(batch(3, 1).numpy(), "ab").shape == (2, 4, 32, 32)
    assert gan.translate(batch(3, 4).numpy(), "ba").shape == (2, 1, 32, 32)


def test_without_identity_the_objective_is_the_official_one():
    gan = CycleGAN(config(losses={"identity": 0}), CPU)
    assert {*gan.loss_names} == {*LOSSES} - {"identity_a", "identity_b"}
    assert {*take_step(gan, batch(1), batch(2))} == {*gan.loss_names}


def test_an_average_follows_slowly_and_is_what_is_kept():
    gan = CycleGAN(config(average=0.9), CPU)
    start = state(gan.networks()["generator_ab"])
    for seed in range(3):
        take_step(gan, batch(seed), batch(seed + 9))
    kept, latest = gan.networks()["generator_ab"], gan.nets.trained["generator_ab"]
    key = "model.1.weight"
    assert kept is gan.nets.ema["generator_ab"]
    moved = (kept.state_dict()[key] - start[key]).norm()
    assert 0 < moved < (latest.state_dict()[key] - start[key]).norm()
    assert gan.networks()["discriminator_a"] is gan.nets.trained["discriminator_a"]


def test_averages_forget_their_beginning():
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    start, end = state(one)["weight"], state(other)["weight"]
    update_ema(one, other, 0.999, 0)
    torch.testing.assert_close(one.weight.detach(), 0.1 * start + 0.9 * end)
    for _ in range(100):
        update_ema(one, other, 0.5, 1000)
    torch.testing.assert_close(one.weight.detach(), end)


def test_a_state_that_is_restored_goes_on_the_same():
    made = config(average=0.9, augment=OPERATIONS, networks={"spectral_norm": True})
    one, other = CycleGAN(made, CPU), CycleGAN(made.model_copy(update={"seed": 5}), CPU)
    take_step(one, batch(1), batch(2))
    other.load_state_dict(deepcopy(one.state_dict()))
    assert take_step(one, batch(3), batch(4)) == take_step(other, batch(3), batch(4))
    for name, network in one.networks().items():
        theirs = other.networks()[name].state_dict()
        assert all(torch.equal(v, theirs[k]) for k, v in network.state_dict().items())


@pytest.mark.numerical
def test_parts_of_a_batch_with_changes_are_the_batch():
    made = config(augment=OPERATIONS, batch_size=4, pool_size=0)
    one, other = CycleGAN(made, CPU), CycleGAN(made, CPU)
    a, b = batch(1, count=4), batch(2, count=4)
    whole_losses = take_step(one, a, b)
    parts = [BatchSlice(0, 1, 4), BatchSlice(1, 4, 4)]
    micro_batches = [MicroBatch(a[part.rows], b[part.rows], part) for part in parts]
    for name, value in other.training_step(Batch(micro_batches, 4)).items():
        torch.testing.assert_close(value, whole_losses[name], rtol=1e-4, atol=1e-6)


def test_translating_leaves_training_as_it_is():
    gan = CycleGAN(config(networks={"dropout": True, "norm": "batch"}), CPU)
    pictures = batch(1).numpy()
    before = state(gan.nets.trained["generator_ab"])
    first, second = gan.translate(pictures, "ab"), gan.translate(pictures, "ab")
    assert (first == second).all()  # no dropout
    assert gan.nets.trained["generator_ab"].training
    after = gan.nets.trained["generator_ab"].state_dict()
    assert all(torch.equal(value, before[key]) for key, value in after.items())


def test_batch_normalisation_sees_one_kind_of_pictures_at_a_time():
    gan = CycleGAN(config(networks={"norm": "batch"}), CPU)
    a, b = batch(1), batch(2)
    twin = CycleGAN(config(networks={"norm": "batch"}), CPU).nets.trained["generator_ab"]
    same = gan._apply(gan.nets.trained["generator_ab"], a, b)
    assert torch.equal(same[0], twin(a))
    assert torch.equal(same[1], twin(b))


def test_averages_have_the_latest_statistics_of_batch_normalisation():
    gan = CycleGAN(config(average=0.99, networks={"norm": "batch"}), CPU)
    take_step(gan, batch(1), batch(2))
    latest, kept = gan.nets.trained["generator_ab"], gan.nets.ema["generator_ab"]
    for (name, value), (_, same) in zip(latest.named_buffers(), kept.named_buffers(), strict=True):
        assert torch.equal(value, same), name


def test_dropout_depends_on_seed_step_and_process_alone():
    weights = CycleGAN(config(networks={"dropout": True}), CPU).networks()

    def cycle_loss(seed=0, step=0, rank=0, around=0):
        processes = Processes(rank, 2).local_only()
        gan = CycleGAN(config(networks={"dropout": True}, seed=seed), CPU, processes=processes)
        gan.nets.load_networks(weights)
        gan.nets.updates = step
        torch.manual_seed(around)
        before = torch.get_rng_state()
        losses = take_step(gan, batch(1), batch(2))
        assert torch.equal(torch.get_rng_state(), before)
        return float(losses["cycle_a"])

    assert cycle_loss() == cycle_loss(around=1)
    others = [cycle_loss(seed=1), cycle_loss(step=1), cycle_loss(rank=1)]
    assert len({cycle_loss(), *others}) == 4
