"""What precision and the switches of speed change: rounding, and nothing that is learned."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import phasegan
from phasegan.config.execution import STANDARD, Execution
from phasegan.config.physics import PhysicsConfig
from phasegan.config.run import PaperConfig
from phasegan.fourier.phase import analyse
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.models.blocks import InstanceNorm
from phasegan.models.domains import denormalise_images, normalise_images, phase_image
from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.phases import Images
from phasegan.training.presets import PRESET_TABLE, TrainingSetup
from tests.training.loading import take_step

CPU = torch.device("cpu")
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
PRESETS = ("paper", "physics")
SEEDS = 4

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU")
KINDS = {"paper": PaperConfig, "physics": PhysicsConfig}
ENCODINGS = ("image", "cascade")
SIZES = {
    "paper": {"networks": {"base_channels": 4, "blocks": 1, "discriminator_channels": 4}},
    "physics": {
        "networks": {"widths": (8, 8), "discriminator_channels": 2, "encodings": ENCODINGS},
        "losses": {"adversarial": 0.01, "cycle_a": 0.1, "adversarial_every": 2},
        "optimiser": {"learning_rate": 3e-3, "average": 0.5},
    },
}


def config(preset, precision="32", seed=0, batch_size=4):
    data = {"digest": "0", "size": 32, "padded": 32, "channels": "gray", "bits": 8, "samples": 16}
    common = {"variant": "custom", "data": data, "epochs": 6}
    common |= {"precision": precision, "seed": seed, "batch_size": batch_size}
    return KINDS[preset](**SIZES[preset], **common)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    path = tmp_path_factory.mktemp("precision") / "crops.h5"
    phasegan.prepare("builtin", path, size=32, samples=16, test=8)
    with phasegan.open(path) as file:
        yield file


def begun(file, settings, device=CPU, execution=STANDARD):
    """Return the networks before their first step, and their batches."""
    setup = TrainingSetup(settings, file, device, None, execution)
    gan, batches = setup.make_gan(), setup.make_batches()
    gan.setup(batches, Progress())
    return gan, batches


def train_steps(gan, batches, steps=None):
    """Return the losses of the first steps of a run, all by default."""
    numbers = range(gan.config.steps if steps is None else steps)
    rate = PRESET_TABLE[gan.config.preset].lr_factor
    return [gan.training_step(batches.load(n), rate(gan.config, n)) for n in numbers]


def trained_networks(gan):
    """Return the networks that an optimiser updates."""
    if isinstance(gan, CycleGAN):
        return gan.nets.trained
    return {**gan.networks(), "generator_ab": gan.generator_ab}


def weights(gan):
    return {
        (name, key): value.detach().cpu().clone()
        for name, network in trained_networks(gan).items()
        for key, value in network.named_parameters()
    }


def assert_finite(gan, losses):
    assert all(torch.isfinite(value) for terms in losses for value in terms.values())
    assert all(torch.isfinite(value).all() for value in weights(gan).values())


def scores(gan, file):
    """Return the MSE of the test split and, for paper, how well images come back."""
    images = file.test.images()
    found = gan.reconstruct(file.test.phase(dtype=np.float32), ~file.test.undefined())
    estimates = denormalise_images(found, 255).reshape(images.shape)
    values = [clipped_mse(estimates, images, data_range=255).mean()]
    if "generator_ba" in gan.networks():
        pictures = torch.from_numpy(normalise_images(images, 255)).to(gan.device)
        with torch.no_grad():
            back = gan.nets.trained["generator_ab"](gan.nets.trained["generator_ba"](pictures))
        values.append(float((back - pictures).abs().mean()))
    return values


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("kind", "device"),
    [("bf16", "cpu"), *(pytest.param(kind, "cuda", marks=on_cuda) for kind in HALVES)],
)
def test_half_precision_ends_within_the_spread_of_32_bit_over_seeds(crops, preset, kind, device):
    found = defaultdict(list)
    for seed in range(SEEDS):
        made = []
        for precision in ("32", kind):
            gan, batches = begun(crops, config(preset, precision, seed), torch.device(device))
            found["before", precision].append(scores(gan, crops))
            assert_finite(gan, train_steps(gan, batches))
            found[precision].append(scores(gan, crops))
            made.append(weights(gan))
        assert any(not torch.equal(value, made[1][key]) for key, value in made[0].items())
    before, exact, rough = (np.array(found[key]) for key in (("before", "32"), "32", kind))
    spread = exact.std(axis=0, ddof=1)
    gained = before.mean(axis=0) - exact.mean(axis=0)
    assert np.all(gained > 2 * spread), "learns too little for a comparison to mean anything"
    assert np.all(abs((rough - exact).mean(axis=0)) <= 2 * spread)
    assert np.all(abs(rough - exact).mean(axis=0) <= spread), "seed by seed"
    assert np.all(before.mean(axis=0) - rough.mean(axis=0) > gained / 2)


class Watch(TorchDispatchMode):
    """Count kernels, those of backward passes too, and collect the types that they return."""

    def __init__(self):
        super().__init__()
        self.count, self.types = Counter(), defaultdict(set)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out, name = function(*args, **(kwargs or {})), function.overloadpacket.__name__
        self.count[name] += 1
        self.types[name] |= {x.dtype for x in tree_leaves(out) if isinstance(x, torch.Tensor)}
        return out


LOSSES = {
    ("training.cyclegan", "l1_loss"): l1_loss,
    ("losses.adversarial", "least_squares"): mse_loss,
    ("training.physics.gan", "least_squares"): mse_loss,
    ("training.physics.gan", "soft_clipped_mse"): lambda x, y: (
        0.9 * mse_loss(x.clamp(0, 1), y) + 0.1 * mse_loss(x, y)
    ),
}


def checked(exact, original):
    """Return a loss that is compared with float64 wherever it is computed."""

    def loss(x, y):
        value, target = original(x, y), torch.as_tensor(y).double().expand_as(x)
        torch.testing.assert_close(value.double(), exact(x.double(), target), rtol=1e-5, atol=1e-7)
        return value

    return loss


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("precision", ["32", "bf16", "fp16"])
def test_convolutions_alone_run_in_half_precision(crops, monkeypatch, preset, precision):
    for (name, loss), exact in LOSSES.items():
        module = import_module(f"phasegan.{name}")
        monkeypatch.setattr(module, loss, checked(exact, getattr(module, loss)))
    gan, batches = begun(crops, config(preset, precision))
    outputs = set()
    for network in trained_networks(gan).values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda *call: outputs.add(call[-1].dtype))
    with Watch() as watch:
        (terms,) = train_steps(gan, batches, 1)
    wanted = {HALVES.get(precision, torch.float32)}
    assert outputs == watch.types["convolution"] == watch.types["convolution_backward"] == wanted
    transforms = {name: kinds for name, kinds in watch.types.items() if name.startswith("_fft_")}
    assert bool(transforms) == (preset == "physics")
    for name in (*transforms, "polar", "atan2", "cos", "sin"):
        assert watch.types[name] <= {torch.float32, torch.complex64}
    assert {value.dtype for value in terms.values()} == {torch.float32}
    kept = [value for state in gan.optimiser_g.state.values() for value in state.values()]
    for network in trained_networks(gan).values():
        kept += [x for p in network.parameters() for x in (p, p.grad) if x is not None]
    assert {value.dtype for value in kept} == {torch.float32}


def test_fp16_is_never_silently_another_type():
    for name, half in HALVES.items():
        accelerator = Accelerator(name, CPU)
        assert accelerator.autocast_dtype == half
        assert accelerator.scaler.is_enabled() == (name == "fp16")
        with accelerator.autocast():
            assert nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 8, 8)).dtype == half
    assert Accelerator("32", CPU).autocast_dtype is None


@pytest.mark.parametrize("preset", PRESETS)
def test_fp16_is_refused_on_a_cpu(tiny, run_cli, preset):
    outcome = run_cli("train", tiny, "--preset", preset, "--precision", "fp16", "--device", "cpu")
    assert (outcome.status, "fp16 needs a GPU" in outcome.err) == (2, True)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_scale_of_fp16_follows_once_a_step_and_is_kept(crops, monkeypatch, preset):
    kind, calls = torch.amp.GradScaler, []
    update = kind.update
    monkeypatch.setattr(kind, "update", lambda *given: calls.append(1) or update(*given))
    gan, batches = begun(crops, config(preset, "fp16"))
    train_steps(gan, batches, 3)
    assert len(calls) == 3
    gan.accelerator.scaler.update(2.0**40)  # more than any gradient in fp16 can bear
    before = weights(gan)
    train_steps(gan, batches, 1)
    assert all(torch.equal(value, before[key]) for key, value in weights(gan).items())
    assert gan.state_dict()["mechanics"]["scaler"]["scale"] == 2.0**39
    gan.accelerator.scaler.update(1024.0)
    other = PRESET_TABLE[gan.config.preset].gan(config(preset, "fp16", 9), CPU)
    other.setup(batches, Progress(), resume=True)
    other.load_state_dict(gan.state_dict())
    assert other.state_dict()["mechanics"] == gan.state_dict()["mechanics"]
    (ours,), (theirs,) = (train_steps(one, batches, 1) for one in (gan, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert any(not torch.equal(value, before[key]) for key, value in weights(gan).items())


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("precision", ["32", *HALVES])
@pytest.mark.parametrize(("level", "spread"), [(0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (0.5, 1e-3)])
def test_flat_images_leave_everything_finite(preset, precision, level, spread):
    noise = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    pixels = level + spread * noise
    settings = config(preset, precision)
    gan = PRESET_TABLE[settings.preset].gan(settings, CPU)
    if preset == "paper":
        phases = analyse(pixels.numpy(), (32, 32)).phase
        pair = torch.from_numpy(phase_image(phases, (32, 32))), 2 * pixels - 1
    else:
        pair = gan.encode(pixels, None), Images(pixels)
    assert_finite(gan, [take_step(gan, *pair) for _ in range(3)])


def normalised(norm, x, weight):
    """Return norm(x), and the gradient of its weighted sum, both float64."""
    x = x.clone().requires_grad_()
    out = norm(x)
    assert out.dtype == x.dtype
    (out * weight.to(x)).sum().backward()
    return out.detach().double(), x.grad.double()


CONTIGUOUS, LAST = torch.contiguous_format, torch.channels_last


@pytest.mark.numerical
@pytest.mark.parametrize(
    ("kind", "mean", "layout"),
    [
        *((kind, 20.0, layout) for kind in HALVES.values() for layout in (CONTIGUOUS, LAST)),
        *((torch.float32, mean, layout) for mean in (1.0, 1000.0) for layout in (CONTIGUOUS, LAST)),
    ],
)
def test_instance_norm_is_torchs_rounded_once(kind, mean, layout):
    x, weight = torch.randn(2, 3, 4, 12, 10, generator=torch.Generator().manual_seed(1))
    x, weight = (mean + x).to(kind).contiguous(memory_format=layout), weight.to(kind)
    truth, slope = normalised(nn.InstanceNorm2d(4), x.double(), weight)
    ours, ours_slope = normalised(InstanceNorm(4), x, weight)
    step = max(1e-5, 3e-7 * mean, torch.finfo(kind).eps)
    torch.testing.assert_close(ours, truth, rtol=step, atol=1e-5 + 3e-7 * mean)
    assert (ours_slope - slope).abs().max() < step * slope.abs().max()
    if kind == torch.bfloat16 and layout is CONTIGUOUS:
        theirs, _ = normalised(nn.InstanceNorm2d(4), x, weight)
        assert (ours - truth).abs().mean() < 0.5 * (theirs - truth).abs().mean()


@pytest.mark.parametrize("kind", [torch.float32, *HALVES.values()])
@pytest.mark.parametrize("value", [0.0, 1.0, -300.0])
def test_instance_norm_of_constant_maps_is_0(kind, value):
    flat = torch.full((2, 4, 8, 8), value, dtype=kind)
    out, slope = normalised(InstanceNorm(4), flat, torch.ones(2, 4, 8, 8))
    assert out.abs().max() < 1e-2
    assert torch.isfinite(slope).all()


BASE = Execution(channels_last=False, batched=False, fused=False)
CHANGES = [
    *((preset, "32", {name: True}) for preset in PRESETS for name in ("channels_last", "fused")),
    *((preset, "32", {"micro_batch": most}) for preset in PRESETS for most in (1, 3)),
    *((preset, kind, {"recompute": True}) for preset in PRESETS for kind in ("32", "bf16")),
    ("paper", "32", {"batched": True}),
]


def normalised_biases(gan):
    """Return the names of biases that a normalisation takes off again: their gradient is 0."""
    return {
        (name, f"{path}.{i}.bias")
        for name, network in trained_networks(gan).items()
        for path, part in network.named_modules()
        if isinstance(part, nn.Sequential)
        for i, following in enumerate(list(part)[1:])
        if isinstance(following, InstanceNorm)
    }


@pytest.fixture(scope="module")
def computed(crops):
    @functools.cache
    def compute(preset, precision, **switches):
        execution = BASE.model_copy(update=switches)
        gan, batches = begun(crops, config(preset, precision, 0, 5), CPU, execution)
        with Watch() as watch:
            losses = train_steps(gan, batches, 3)
        return gan, losses, watch.count["convolution"]

    return compute


@pytest.mark.slow
@pytest.mark.numerical
@pytest.mark.parametrize(("preset", "precision", "switch"), CHANGES)
def test_switches_change_nothing_but_rounding(computed, preset, precision, switch):
    base, base_losses, base_count = computed(preset, precision)
    gan, losses, count = computed(preset, precision, **switch)
    for name, value in base_losses[0].items():
        torch.testing.assert_close(losses[0][name], value, rtol=1e-4, atol=1e-6)
    left_out = normalised_biases(base)
    start = PRESET_TABLE[base.config.preset].gan(base.config, CPU, BASE)
    assert left_out
    ours, theirs, before = (
        torch.cat([x.flatten() for key, x in weights(one).items() if key not in left_out])
        for one in (base, gan, start)
    )
    assert (ours - theirs).norm() < 0.02 * (ours - before).norm()
    effect = {"batched": -1, "micro_batch": 1, "recompute": 1}.get(next(iter(switch)), 0)
    assert np.sign(count - base_count) == effect
    if "channels_last" in switch:
        assert gan.networks()["discriminator_b"].model[2].weight.is_contiguous(memory_format=LAST)
    if "recompute" in switch:
        assert torch.equal(ours, theirs)
        assert base_losses == losses
