"""What happens only where the device is a CUDA GPU: streams, pinned memory, scalers, graphs.

With a GPU the tests run on it, and waiting is an error of torch's
(`torch.cuda.set_sync_debug_mode`). `sh benchmarks/gpu.sh` runs them so, its part `paths`.

Without one they show less, each to a degree of its own:

- Tests with the fixture `cuda` run the library's code for CUDA, whole steps and whole runs, on
  the simulated device of `simulated_cuda.py`: tensors that say cuda:0 and are computed on the
  CPU. They show that no operation mixes devices, that nothing on the path of a step makes the
  caller wait, what is pinned, what is copied and when a copy may be read. They cannot show that
  CUDA's kernels give these values, and autocast's list of operations is that of the CPU;
  `test_cudas_own_autocast…` asks CUDA's with torch's fake tensors, which have no gradients
  there.
- Tests of torch.compile take the backends `eager` and `aot_eager`: they show that networks are
  captured whole, as one graph, and give the same results. They do not run a compiled kernel.
  CUDA graphs, of the mode `reduce-overhead`, exist on a GPU alone: on a CPU it is only shown
  that the mode arrives.
- Free memory, errors for want of it, NCCL and random states of several GPUs are mocked.
- Nothing here measures speed or memory.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch._subclasses import FakeTensorMode

import phasegan
from phasegan.config.execution import Execution
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.resolve.translation import resolve_translation, scan_options
from phasegan.config.run_folder import RunFolder
from phasegan.data.domain_folders import open_domains
from phasegan.data.domain_scan import scan_domains
from phasegan.devices import memory_guard, torch_algorithms
from phasegan.distributed import SINGLE_PROCESS, process_group
from phasegan.errors import Interrupted, RunError
from phasegan.eta import Estimate
from phasegan.models.blocks import ReflectionPad, pad_to_multiple
from phasegan.progress import Progress
from phasegan.resources import Meter
from phasegan.training import api
from phasegan.training.callbacks.loss_meter import LossMeter
from phasegan.training.checkpoint import load_checkpoint, save_checkpoint
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data import loader
from phasegan.training.data.cache_policy import DEVICE_SHARE, CachePolicy
from phasegan.training.non_finite import LAG, NonFiniteDetector
from phasegan.training.presets import TrainingSetup
from phasegan.training.seeding import seeded_layers
from phasegan.training.setup.timing import benchmark_setup
from tests.training.pairs import make_pair
from tests.training.simulated_cuda import SimulatedCuda, SynchronisationError, simulated_cuda

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
HAS_GPU = torch.cuda.is_available()
if HAS_GPU:  # before cuBLAS is loaded, or --deterministic cannot be tried
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
on_gpu = pytest.mark.skipif(not HAS_GPU, reason="torch finds no CUDA GPU")
simulated_only = pytest.mark.skipif(HAS_GPU, reason="counts what only the simulation can count")


class Cuda(NamedTuple):
    """A GPU, or the simulation of one."""

    simulation: SimulatedCuda | None
    device: torch.device = CUDA

    @contextlib.contextmanager
    def no_waiting(self) -> Iterator[None]:
        """Raise where the caller waits for the device."""
        if self.simulation is not None:
            with self.simulation.no_waiting():
                yield
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def cuda(monkeypatch) -> Iterator[Cuda]:
    if HAS_GPU:
        yield Cuda(None)
        return
    # torch cannot complete a device without an index where there is no CUDA.
    monkeypatch.setattr(api, "choose_device", lambda name: CUDA if name == "cuda" else CPU)
    with simulated_cuda() as simulation:
        yield Cuda(simulation)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Eight crops of 32×32, exact phases."""
    path = tmp_path_factory.mktemp("crops") / "crops.h5"
    phasegan.prepare("builtin", path, size=32, samples=8, test=2)
    return path


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    """Six crops of 24×24 with padded, noisy phases, some of them undefined."""
    path = tmp_path_factory.mktemp("padded") / "padded.h5"
    phasegan.prepare("builtin", path, size=24, oversample=2, phase_noise=0.1, samples=6, test=2)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two domains of JPEGs."""
    folder = make_pair(tmp_path_factory.mktemp("pair") / "pair")
    for path in sorted(folder.glob("*/*.png")):
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"))
        path.unlink()
    return folder


NETWORKS = {"base_channels": 2, "blocks": 1, "discriminator_channels": 2}
PAPER = {"preset": "paper", "batch_size": 2, **NETWORKS}
PHYSICS = {"preset": "physics", "widths": (4, 4), "batch_size": 2, "variant": "small"}
FULL = {"adversarial": 0.01, "cycle_a": 0.1, "adversarial_every": 1}
PAIR = {"preset": "translation", "generator": "resnet", "batch_size": 2, "size": 24, **NETWORKS}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("crops", PAPER),
    "physics": ("crops", PHYSICS),
    "physics, both cycles": ("crops", {**PHYSICS, **FULL, "encodings": ("image",)}),
    "physics, stored phases": (
        "crops",
        {**PHYSICS, **FULL, "augmentation": False, "encodings": ("image",)},
    ),
    "physics, padded": ("padded", {**PHYSICS, "encodings": ("mean", "image")}),
    "translation": ("pair", PAIR),
    "one-way": ("pair", {**PAIR, "preset": "one-way"}),
    "augmented": ("pair", {**PAIR, "augment": ("colour", "shift", "cutout")}),
    "dropout": ("pair", {**PAIR, "dropout": True}),
}


@pytest.fixture
def start(request):
    """Return the networks and the batches of a case, ready for the first step."""

    def make(
        case: str,
        device: torch.device,
        execution: dict[str, Any] | None = None,
        *,
        fit: bool = False,
        **more: Any,
    ):
        source, options = CASES[case]
        path, options = request.getfixturevalue(source), {**options, **more}
        settings = Execution(**(execution or {}))
        if source == "pair":
            data = scan_domains(open_domains(path), Progress(), **scan_options(options))
            config = resolve_translation(data.facts, device, **options)
        else:
            data = phasegan.open(path)
            config = resolve_phases(data.facts, device, **options)
        setup = TrainingSetup(config, data, device, execution=settings)
        gan, batches = setup.make_gan(), setup.make_batches()
        if fit:
            gan.setup(batches, Progress())
        else:
            benchmark_setup(gan, batches)  # cascades that correct nothing yet
        return gan, batches

    return make


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)


def run_steps(gan, batches, count):
    """Return the losses of the first steps, on the CPU."""
    with contextlib.closing(batches.iterate(range(count))) as loaded:
        return [
            {name: value.cpu() for name, value in gan.training_step(batch).items()}
            for batch in loaded
        ]


def assert_close(ours, theirs, rtol):
    """Compare losses; those after an update roughly, as Adam turns rounding into steps."""
    assert [terms.keys() for terms in ours] == [terms.keys() for terms in theirs]
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        near = rtol if step == 0 else max(5 * rtol, 0.1)
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=near, atol=1e-2 * near)


# --- a step ---------------------------------------------------------------------------

HALVES = [(case, kind) for case in ("paper", "physics, both cycles") for kind in ("bf16", "fp16")]
SINGLES = [(case, "32") for case in CASES]


@pytest.mark.parametrize(("case", "precision"), [*SINGLES, *HALVES])
def test_a_step_stays_on_the_device_and_waits_for_nothing(cuda, start, case, precision):
    gan, batches = start(case, cuda.device, precision=precision, fit=case == "physics")
    meter = LossMeter(gan.loss_names, cuda.device)
    detector = NonFiniteDetector(cuda.device)
    with contextlib.closing(batches.iterate(range(4))) as loaded:
        gan.training_step(next(loaded))  # makes what is kept for all steps
        for _ in range(3):
            with cuda.no_waiting():
                losses = gan.training_step(next(loaded))
                detector.update(meter.update(losses))
    assert {value.device for value in losses.values()} == {cuda.device}
    assert {value.dtype for value in losses.values()} == {torch.float32}
    assert all(torch.isfinite(value.cpu()) for value in losses.values())
    assert detector.drain()
    assert meter.flush(SINGLE_PROCESS).keys() <= {*gan.loss_names}
    for network in gan.networks().values():
        for value in (*network.parameters(), *network.buffers()):
            assert value.device == cuda.device


def test_the_search_for_waiting_finds_it(cuda):
    numbers = torch.arange(4.0).to(cuda.device)
    waits = {
        "a number": lambda: float(numbers.sum()),
        "a copy to the device": lambda: torch.ones(4).to(cuda.device),
        "a copy from it": numbers.cpu,
        "a mask": lambda: numbers[numbers > 1],
        "a list of indices": lambda: numbers[[0, 2]],
    }
    kinds = (SynchronisationError, RuntimeError)
    for wait in waits.values():
        with cuda.no_waiting(), pytest.raises(kinds):
            wait()
    with cuda.no_waiting():
        (numbers * 2 + torch.ones(4).to(cuda.device, non_blocking=True)).sum()
    with pytest.raises(RuntimeError):
        numbers + torch.ones(4)


@simulated_only
def test_the_posteriors_start_waits_seldom(cuda, start):
    """Padded or noisy phases are encoded by a solver that ends by what it finds."""
    gan, batches = start("physics, padded", cuda.device, encodings=("posterior", "image"))
    batch = batches.load(0)
    gan.training_step(batch)
    cuda.simulation.waits.clear()
    gan.training_step(batch)
    assert 0 < cuda.simulation.waits.total() < 2 * 3 * (2 + 40 // 8 + 1)


@pytest.mark.numerical
@pytest.mark.parametrize("case", ["paper", "physics, both cycles", "physics", "translation"])
def test_a_step_computes_what_it_does_on_a_cpu(cuda, start, case):
    """Also where pictures go through a network one by one, and the data stay on the device."""
    found = [run_steps(*start(case, device), 2) for device in (cuda.device, CPU)]
    assert_close(*found, rtol=1e-4 if cuda.simulation else 0.05)  # TF32, on a GPU


SWITCHES = [{"channels_last": True}, {"micro_batch": 1}, {"recompute": True}, {"fused": False}]


@pytest.mark.numerical
@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: next(iter(switch)))
def test_switches_of_speed_change_rounding_alone(cuda, start, switch):
    case = {} if "micro_batch" in switch else {"batch_size": 1}
    plain, changed = (start("paper", cuda.device, execution, **case) for execution in ({}, switch))
    found = [run_steps(*one, 2) for one in (plain, changed)]
    assert_close(*found, rtol=1e-4 if cuda.simulation else 0.05)
    gan = changed[0]
    assert gan.optimiser_g.defaults["fused"] == switch.get("fused", True)
    if "channels_last" in switch:
        weight = gan.networks()["discriminator_b"].model[2].weight
        assert weight.is_contiguous(memory_format=torch.channels_last)


# --- data -----------------------------------------------------------------------------

PLACES = [
    ("paper", {"resident": "device"}),
    ("paper", {"resident": "memory"}),
    ("paper", {"resident": "disk", "workers": 1}),
    ("physics, stored phases", {"resident": "disk"}),
    ("physics, stored phases", {"resident": "device"}),
    ("translation", {}),
    ("translation", {"workers": 2, "micro_batch": 1}),
]


@pytest.mark.parametrize(("case", "execution"), PLACES)
def test_batches_are_on_the_device_or_come_from_pinned_memory(
    cuda, start, monkeypatch, case, execution
):
    loaded, pinned = [], []
    make, to_batch = loader.DataLoader, loader.UnpairedBatches._to_batch

    def noted(*args, **kwargs):
        loaded.append(kwargs["pin_memory"])
        return make(*args, **kwargs)

    def seen(self, batch):
        if self.device.type == "cuda":
            kept = batch.map(torch.as_tensor)
            pinned.extend(x.is_pinned() for x in tensors((kept.real_a, kept.real_b)))
        return to_batch(self, batch)

    monkeypatch.setattr(loader, "DataLoader", noted)
    monkeypatch.setattr(loader.UnpairedBatches, "_to_batch", seen)
    _, batches = start(case, cuda.device, execution)
    _, plain = start(case, CPU, {"resident": "memory"})
    # Images are on the device there, but phases that are stored never are.
    resident = execution.get("resident") == "device" and "physics" not in case
    assert batches.is_on_device == resident
    simulation, numbers = cuda.simulation, range(2 * len(batches.sampler))
    if simulation:
        simulation.unpinned.clear()
        simulation.pinned_copies = 0
    for number, batch in zip(numbers, batches.iterate(numbers), strict=True):
        ours = list(tensors([list(micro[:2]) for micro in batch.micro_batches]))
        assert {x.device for x in ours if x.is_floating_point()} == {cuda.device}
        if "micro_batch" not in execution:
            theirs = tensors([list(micro[:2]) for micro in plain.load(number).micro_batches])
            for one, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(one.cpu(), other, rtol=1e-5, atol=1e-5)
    assert loaded == [not resident]
    assert pinned
    assert set(pinned) == {not resident}
    if simulation:
        assert not simulation.large_unpinned
        assert bool(simulation.pinned_copies) != resident
        assert bool(simulation.unpinned) == (execution.get("resident") == "device" and resident)


def test_a_loader_pins_nothing_for_a_cpu(start, monkeypatch):
    made, make = [], loader.DataLoader
    monkeypatch.setattr(
        loader, "DataLoader", lambda *a, **k: made.append(k["pin_memory"]) or make(*a, **k)
    )
    list(start("translation", CPU)[1].iterate(range(1)))
    assert made == [False]


@pytest.mark.parametrize("free", [0, 4000, 2**40])
def test_data_stay_on_a_gpu_with_room(monkeypatch, free):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**40))
    size = int(DEVICE_SHARE * free)
    for more in (0, 1):
        assert CachePolicy(CUDA).on_device(size + more) == (more == 0)
        assert CachePolicy(CUDA, "device").on_device(size + more)
        assert not CachePolicy(CUDA, "memory").on_device(size + more)
        assert not CachePolicy(CUDA, "disk").on_device(size + more)
        assert not CachePolicy(CPU, "device").on_device(size + more)


@simulated_only
def test_workers_read_for_a_gpu_only_what_it_does_not_hold(cuda, start, monkeypatch):
    monkeypatch.setattr(loader, "available_cores", lambda: 4)
    assert start("paper", cuda.device)[1].workers == 0
    assert start("paper", cuda.device, {"resident": "disk"})[1].workers == 3
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 2**40))
    assert start("paper", cuda.device)[1].workers == 3
    assert start("paper", cuda.device, {"workers": 0})[1].workers == 0
    assert start("paper", CPU, {"resident": "disk"})[1].workers == 0


# --- losses that are not finite -------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_is_judged_some_steps_later_and_without_waiting(cuda, bad):
    detector, first = NonFiniteDetector(cuda.device), 3
    losses = torch.ones(30, 4).to(cuda.device)
    losses[first] = torch.tensor([1.0, bad, 1.0, 1.0]).to(cuda.device)
    with cuda.no_waiting():
        answers = [detector.update(row) for row in losses.unbind()]
    assert answers == [step != first + LAG for step in range(30)]
    assert detector.drain()
    detector = NonFiniteDetector(cuda.device)
    assert all(detector.update(row) for row in losses[: first + 2].unbind())
    assert not detector.drain()
    assert detector.drain()


@simulated_only
def test_an_answer_is_not_read_before_it_has_come(cuda, monkeypatch):
    """The simulation copies when the event is waited for: without it, an old value is read."""
    monkeypatch.setattr(torch.cuda.Event, "synchronize", lambda self: None)
    fill = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: fill(*a, **k).fill_(True))
    detector = NonFiniteDetector(cuda.device)
    bad = torch.full((2,), float("nan")).to(cuda.device)
    assert all(detector.update(bad) for _ in range(LAG + 2))


# --- half precision -------------------------------------------------------------------


@pytest.mark.parametrize("case", ["paper", "physics, both cycles"])
def test_fp16_skips_a_step_that_overflows_and_keeps_its_scale(cuda, start, case):
    gan, batches = start(case, cuda.device, precision="fp16")
    run_steps(gan, batches, 1)
    scaler = gan.accelerator.scaler
    assert scaler.is_enabled()
    scaler.update(2.0**40)
    before = weights(gan)
    run_steps(gan, batches, 1)
    assert all(torch.equal(value, before[key]) for key, value in weights(gan).items())
    assert scaler.state_dict()["scale"] == 2.0**39
    scaler.update(8.0)
    state = copy.deepcopy(gan.state_dict())
    (ours,) = run_steps(gan, batches, 1)
    other, _ = start(case, cuda.device, precision="fp16")
    other.load_state_dict(state)
    assert other.accelerator.scaler.state_dict() == state["mechanics"]["scaler"]
    (theirs,) = run_steps(other, batches, 1)
    assert_close([ours], [theirs], rtol=1e-6 if cuda.simulation else 1e-2)
    assert any(not torch.equal(value, before[key]) for key, value in weights(gan).items())


def weights(gan) -> dict[str, torch.Tensor]:
    """Return what the generators' optimiser updates."""
    values = [p for group in gan.optimiser_g.param_groups for p in group["params"]]
    return {str(i): value.detach().cpu().clone() for i, value in enumerate(values)}


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["paper", "physics, both cycles", "translation"])
def test_cudas_own_autocast_gives_types_that_the_losses_take(start, monkeypatch, case, kind):
    """Networks under CUDA's list of operations, with fake tensors: forward, and no slices."""
    gan, _ = start(case, CPU)
    networks = gan.nets.trained.values() if isinstance(gan, CycleGAN) else [gan.discriminator_b]
    networks = [getattr(network, "model", network) for network in networks]
    states = [(network, network.state_dict()) for network in networks]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: True)
    with FakeTensorMode(), torch.no_grad():
        for network, state in states:
            channels = next(value for value in state.values() if value.dim() == 4).shape[1]
            images = torch.empty(2, channels, 32, 32, device=CUDA)
            moved = {
                key: torch.empty(value.shape, dtype=value.dtype, device=CUDA)
                for key, value in state.items()
            }
            with torch.autocast("cuda", dtype=kind):
                output = torch.func.functional_call(network, moved, (images,))
            assert output.device == CUDA
            assert output.dtype == kind


# --- compilation ----------------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """Compile with a backend that runs here, whole networks or not at all; note the modes."""
    modes, compile_with = [], torch.compile

    def compiling(function, *, mode, **kwargs):
        modes.append(mode)
        return compile_with(function, backend=backend[0], fullgraph=True, **kwargs)

    backend = ["eager"]
    monkeypatch.setattr(torch, "compile", compiling)
    torch.compiler.reset()
    yield backend, modes
    torch.compiler.reset()


slow = pytest.mark.slow
COMPILED = [
    ("paper", "eager", {}),
    pytest.param("physics, both cycles", "eager", {}, marks=slow),
    pytest.param("paper", "aot_eager", {}, marks=slow),
    pytest.param("physics, both cycles", "aot_eager", {}, marks=slow),
    pytest.param("paper", "eager", {"recompute": True}, marks=slow),
    pytest.param("translation", "eager", {"channels_last": True}, marks=slow),
]


@pytest.mark.numerical
@pytest.mark.parametrize(("case", "backend", "execution"), COMPILED)
def test_networks_are_compiled_as_one_graph_each(start, compiled, case, backend, execution):
    compiled[0][0] = backend
    found = []
    for mode in ("off", "reduce-overhead"):
        gan, batches = start(case, CPU, {**execution, "compile": mode}, batch_size=1)
        found.append(run_steps(gan, batches, 2))
    assert_close(*found, rtol=1e-4)
    assert compiled[1]
    assert set(compiled[1]) == {"reduce-overhead"}
    names = {key for network in gan.networks().values() for key in network.state_dict()}
    plain = start(case, CPU, batch_size=1)[0].networks().values()
    assert names == {key for network in plain for key in network.state_dict()}


# --- random numbers, checkpoints and algorithms ---------------------------------------


def test_dropout_follows_from_its_key_and_leaves_the_gpus_random_numbers(cuda):
    before = torch.cuda.get_rng_state()
    ones, drawn = torch.ones(4, 50).to(cuda.device), []
    for key in ((1, 2), (1, 2), (1, 3)):
        with seeded_layers(key, cuda.device):
            drawn.append(nn.functional.dropout(ones).cpu())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_a_checkpoint_holds_the_gpus_random_numbers(cuda, tmp_path):
    path = tmp_path / "step-000000001.safetensors"
    save_checkpoint(path, {"step": 1, "values": torch.arange(3.0).to(cuda.device)})

    def draw():
        return torch.rand(5).tolist(), torch.rand(5, device=cuda.device).cpu().tolist()

    first = draw()
    assert draw() != first
    state = load_checkpoint(path, cuda.device)
    assert draw() == first
    assert state["values"].device == CPU
    between = torch.cuda.get_rng_state()
    load_checkpoint(path, CPU)  # a run that goes on without a GPU
    assert torch.equal(torch.cuda.get_rng_state(), between)


@pytest.mark.parametrize("now", [1, 2, 3])
def test_the_random_numbers_of_as_many_gpus_return_as_there_are(monkeypatch, tmp_path, now):
    states = [torch.arange(8, dtype=torch.uint8), torch.full((8,), 7, dtype=torch.uint8)]
    restored = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: now)
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda value, index: restored.update({index: value})
    )
    save_checkpoint(tmp_path / "checkpoint", {"step": 1})
    load_checkpoint(tmp_path / "checkpoint", CUDA)
    assert sorted(restored) == [*range(min(now, 2))]
    assert all(torch.equal(value, states[index]) for index, value in restored.items())


@pytest.mark.parametrize("device", [CUDA, CPU])
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(("deterministic", "autotune"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_algorithms_are_chosen_for_a_block_alone(
    monkeypatch, device, before, deterministic, autotune
):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", before)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.use_deterministic_algorithms(before)
    try:
        with (
            pytest.raises(KeyError),
            torch_algorithms(device, deterministic=bool(deterministic), autotune=bool(autotune)),
        ):
            assert torch.are_deterministic_algorithms_enabled() == bool(before or deterministic)
            chosen = before if device == CPU else bool(autotune and not deterministic)
            assert torch.backends.cudnn.benchmark == chosen
            assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == bool(deterministic)
            raise KeyError
        assert torch.are_deterministic_algorithms_enabled() == before
        assert torch.backends.cudnn.benchmark == before
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("pad", [ReflectionPad(2), lambda x: pad_to_multiple(x, 4)])
def test_padding_has_a_deterministic_gradient_of_the_same_values(cuda, pad):
    image, weight = torch.randn(2, 2, 3, 9, 10, generator=torch.Generator().manual_seed(3))
    found = []
    for deterministic in (False, True):
        x = image.to(cuda.device).requires_grad_()
        with torch_algorithms(cuda.device, deterministic=deterministic, autotune=False):
            out = pad(x)
            weights_of_all = torch.ones_like(out) * weight.mean().to(cuda.device)
            (out * out * weights_of_all).sum().backward()
        found.append((out.detach().cpu(), x.grad.cpu()))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


# --- meters and errors ----------------------------------------------------------------


def test_a_meter_waits_for_the_gpu_and_reads_its_memory(cuda):
    meter = Meter(cuda.device)
    held = torch.ones(1000, 1000, device=cuda.device)
    if cuda.simulation:
        assert cuda.simulation.waits["synchronize"] == 1
    wall, on_device = meter.seconds()
    assert 0 < wall == on_device
    if cuda.simulation:
        assert cuda.simulation.waits["synchronize"] == 2
        assert meter.peak_bytes() == torch.cuda.max_memory_allocated()
    else:
        assert meter.peak_bytes() >= held.numel() * 4


def test_a_gpu_without_memory_is_one_line(cuda):
    with pytest.raises(RunError) as caught, memory_guard("this; lower --batch-size"):
        if cuda.simulation:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1024 GiB")
        torch.empty(2**48, dtype=torch.uint8, device=cuda.device)
    assert str(caught.value) == "the GPU has not enough memory for this; lower --batch-size"


def test_each_process_of_a_machine_takes_its_gpu(monkeypatch):
    group = {}
    launch = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    for name, value in {**launch, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29999"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: group.update(device=device))
    for name in ("new_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *args, **kwargs: None)
    monkeypatch.setattr(
        torch.distributed,
        "init_process_group",
        lambda backend, **about: group.update(backend=backend, **about),
    )
    with process_group(torch.device("cuda")) as (processes, device):
        assert device == group["device"] == torch.device("cuda", 1)
        assert (processes.rank, processes.count) == (1, 2)
    assert (group["backend"], group["rank"], group["world_size"]) == ("nccl", 1, 2)


# --- whole runs -----------------------------------------------------------------------

SECOND = Estimate(1.0, 1.0, 1.0)
TWICE = {"epochs": 2, "samples": 4}  # two steps an epoch
RUNS = {
    "paper": ("crops", {**PAPER, **TWICE}),
    "paper, fp16 from disk": (
        "crops",
        {**PAPER, **TWICE, "precision": "fp16", "resident": "disk", "workers": 1},
    ),
    "physics with noise": (
        "padded",
        {**PHYSICS, **FULL, **TWICE, "encodings": ("image",), "validation": 1},
    ),
    "translation": ("pair", {**PAIR, "epochs": 2, "dropout": True, "validation": 1}),
}
SHORT = "physics with noise"


def trained(path, folder, **options):
    """Return the weights that a run leaves."""
    report = phasegan.train(path, folder, device="cuda", deterministic=True, **options)
    assert report.status.state == "finished"
    assert report.status.device.startswith("cuda")
    assert report.status.peak_bytes > 0
    return {file.name: load_file(file) for file in sorted(Path(folder).glob("*.safetensors"))}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert one
    for name, tensors_of in one.items():
        for key, value in tensors_of.items():
            assert torch.equal(value, other[name][key]), (name, key)


@pytest.mark.numerical
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[slow] * (case != SHORT)) for case in RUNS]
)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(
    cuda, request, tmp_path, monkeypatch, case
):
    monkeypatch.setattr(api, "estimate_run", lambda *_: SECOND)
    source, options = RUNS[case]
    path = request.getfixturevalue(source)
    whole = trained(path, tmp_path / "whole", **options)
    count, update = [0], LossMeter.update

    def stopping(self, losses):
        count[0] += 1
        if count[0] == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, losses)

    with monkeypatch.context() as patch:
        patch.setattr(LossMeter, "update", stopping)
        with pytest.raises(Interrupted):
            trained(path, tmp_path / "again", **options)
    assert RunFolder(tmp_path / "again").read_status().state == "interrupted"
    resumed = trained(path, tmp_path / "again", resume=True, **options)
    assert_same_bits(whole, resumed)


@pytest.mark.slow
@pytest.mark.numerical
def test_workers_that_decode_jpegs_change_no_bit(cuda, pair, tmp_path):
    runs = [
        trained(pair, tmp_path / str(count), **PAIR, epochs=2, workers=count) for count in (0, 2)
    ]
    assert_same_bits(*runs)


# --- compilation on a GPU: last, as it takes minutes -----------------------------------


@on_gpu
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("case", ["paper", "physics, both cycles"])
def test_a_gpu_compiles_to_the_same_results(start, case, mode):
    torch.compiler.reset()
    found = [
        run_steps(*start(case, CUDA, {"compile": kind}, batch_size=1), 4) for kind in ("off", mode)
    ]
    assert_close(*found, rtol=0.05)
