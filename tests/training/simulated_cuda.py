"""A simulated CUDA device: tensors that say cuda:0 and are computed on the CPU.

torch's fake tensors have no backward pass for CUDA in a build without it, and `meta` takes
none of the branches that ask for the device. The tensors here have values, take part in
autograd and in CUDA's autocast, and refuse what a GPU refuses: an operation of tensors of two
devices. What makes a GPU's caller wait is counted. Copies to pinned memory that do not wait
arrive when their event is waited for, and no sooner.

Kernels, real streams, speed and memory are not simulated.
"""

from __future__ import annotations

import collections
import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
"""With an index: without one, torch asks a library for it that is not there."""

aten = torch.ops.aten
_COPIES = {aten._to_copy.default, aten.copy_.default}
_WAITS = {
    aten._local_scalar_dense.default: "a number is read",
    aten.equal.default: "tensors are compared",
    aten.nonzero.default: "the result's size depends on values",
    aten.masked_select.default: "the result's size depends on values",
    aten._unique2.default: "the result's size depends on values",
    aten.bincount.default: "the result's size depends on values",
}
_INDEXING = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
_NONDETERMINISTIC = {  # of torch.use_deterministic_algorithms: those that networks may use
    aten.reflection_pad2d_backward.default,
    aten.replication_pad2d_backward.default,
    aten.upsample_bilinear2d_backward.default,
    aten.upsample_bicubic2d_backward.default,
    aten.grid_sampler_2d_backward.default,
    aten._adaptive_avg_pool2d_backward.default,
    aten.cumsum.default,
}
_SMALL = 64 * 1024  # bytes that a driver takes from unpinned memory without waiting


class SynchronisationError(AssertionError):
    """The caller waits for the device where it should not."""


class SimulatedTensor(torch.Tensor):
    """A tensor on the simulated device; `values` is the one on the CPU that it stands for."""

    values: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> SimulatedTensor:
        # For C++ it is a tensor of the CPU without memory: autograd asks CUDA for streams.
        self = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device="cpu",
        )
        self.values = values
        return self

    device = property(lambda self: DEVICE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Convert; C++ takes the tensor for one of the CPU already."""
        copy = kwargs.pop("copy", False)
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        if copy and device is not None and device.type == "cuda":
            return self.clone()
        if device is None or device.type == "cuda":
            if dtype is None and layout is None:
                return self
            return super().to(
                dtype=dtype or self.dtype, memory_format=layout or torch.preserve_format
            )
        output = _ToCpu.apply(self)
        return output if dtype is None else output.to(dtype)

    def cpu(self) -> torch.Tensor:  # type: ignore[override]
        return self.to("cpu")

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def tolist(self) -> Any:
        SimulatedEvent.simulation.wait("numbers are read")
        return self.values.tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"SimulatedTensor({self.values!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise AssertionError(f"{function}: outside of the simulation")


class _ToCpu(torch.autograd.Function):
    """A copy to the CPU, which waits."""

    @staticmethod
    def forward(context: Any, x: SimulatedTensor) -> torch.Tensor:
        SimulatedEvent.simulation.wait("values go to the CPU")
        return x.values.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a gradient goes through the CPU")


class SimulatedEvent:
    """An event of the one stream."""

    simulation: SimulatedCuda

    def __init__(self, *_: Any, **__: Any) -> None:
        self.position = 0

    def record(self, stream: Any = None) -> None:
        self.position = self.simulation.recorded

    def synchronize(self) -> None:
        self.simulation.waits["event"] += 1
        self.simulation.arrive(self.position)


class SimulatedStream:
    """The one stream."""

    def is_capturing(self) -> bool:
        return False


class SimulatedGenerator(torch.Generator):
    """A generator of random numbers for the device, on the CPU."""

    def __new__(cls, device: Any = "cpu") -> SimulatedGenerator:
        self = super().__new__(cls, "cpu")
        self.owner = torch.device(device)
        return self

    device = property(lambda self: self.owner)  # type: ignore[assignment]


class SimulatedCuda(TorchDispatchMode):
    """The device, while it is entered.

    Attributes
    ----------
    waits : Counter
        How often the caller waited for the device, by reason.
    unpinned : Counter
        Bytes of each copy to the device that did not wait and came from unpinned memory.
    pinned_copies : int
        Copies to the device from pinned memory.
    strict : bool
        Waiting raises `SynchronisationError`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: collections.Counter[str] = collections.Counter()
        self.unpinned: collections.Counter[int] = collections.Counter()
        self.pinned_copies, self.strict = 0, False
        self.pinned: dict[int, torch.UntypedStorage] = {}
        self.pending: collections.deque[tuple[int, torch.Tensor, torch.Tensor]] = (
            collections.deque()
        )
        self.recorded = 0
        self.random = torch.Generator().manual_seed(1)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        leaves = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        simulated = [x for x in leaves if isinstance(x, SimulatedTensor)]
        named = kwargs.get("device")
        named = None if named is None else torch.device(named).type
        here = named == "cuda" or (named is None and bool(simulated))
        if function in _COPIES:
            return self._copy(function, args, kwargs, here)
        if simulated:
            self._check(function, leaves, args)
        pin = bool(kwargs.pop("pin_memory", False)) if "pin_memory" in kwargs else False
        if named == "cuda":
            kwargs["device"] = "cpu"
        output = self._run(function, args, kwargs, here)
        return self.pin(output) if pin else output

    def _check(self, function: Any, leaves: list[torch.Tensor], args: Any) -> None:
        """Refuse two devices; notice what waits."""
        reason = _WAITS.get(function)
        if function in _INDEXING:
            indices = [x for x in args[1] if isinstance(x, torch.Tensor)]
            leaves = [x for x in leaves if all(x is not index for index in indices)]
            if any(not isinstance(x, SimulatedTensor) for x in indices):
                reason = "indices go to the device"
            elif any(x.dtype in (torch.bool, torch.uint8) for x in indices):
                reason = "a mask selects"
        if any(not isinstance(x, SimulatedTensor) and x.dim() for x in leaves):
            raise RuntimeError(f"{function}: tensors of two devices")
        if reason:
            self.wait(reason)
        if function in _NONDETERMINISTIC and torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(f"{function} has no deterministic kernel on CUDA")

    def wait(self, reason: str) -> None:
        """Count that the caller waits for everything."""
        if self.strict:
            raise SynchronisationError(reason)
        self.waits[reason] += 1
        self.arrive(self.recorded)

    def arrive(self, position: int) -> None:
        """Let copies arrive that were begun before a position of the stream."""
        while self.pending and self.pending[0][0] <= position:
            _, target, source = self.pending.popleft()
            target.copy_(source)

    def _run(self, function: Any, args: Any, kwargs: Any, here: bool) -> Any:
        """Compute on the CPU."""
        known = {
            id(x.values): x for x in tree_leaves((args, kwargs)) if isinstance(x, SimulatedTensor)
        }
        args, kwargs = tree_map(_values, (args, kwargs))
        if here and torch.Tag.nondeterministic_seeded in function.tags:
            with self._random_state():
                output = function(*args, **kwargs)
        else:
            output = function(*args, **kwargs)

        def wrap(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            if id(x) in known:  # changed in place
                return known[id(x)]
            # Conjugation that is put off is resolved above this dispatch: C++ would not see it.
            return SimulatedTensor(x.resolve_conj().resolve_neg())

        return tree_map(wrap, output) if here else output

    @contextlib.contextmanager
    def _random_state(self) -> Iterator[None]:
        """Draw from the device's generator what draws from the default one."""
        before = torch.default_generator.get_state()
        torch.default_generator.set_state(self.random.get_state())
        try:
            yield
        finally:
            self.random.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(before)

    def _copy(self, function: Any, args: Any, kwargs: Any, here: bool) -> Any:
        """Copy within a device or between two, at once or when it is waited for."""
        if function is aten.copy_.default:
            target, source = args[0], args[1]
            lazy = bool(args[2]) if len(args) > 2 else bool(kwargs.get("non_blocking", False))
            here = isinstance(target, SimulatedTensor)
        else:
            target, source = None, args[0]
            lazy = bool(kwargs.get("non_blocking", False))
            # From Python, `SimulatedTensor.to` is called; here autograd converts a gradient.
            here = here or isinstance(source, SimulatedTensor)
        there = isinstance(source, SimulatedTensor)
        if here and not there and (source.dim() or function is not aten.copy_.default):
            self._to_device(source, lazy)
        if there and not here:
            if lazy and target is not None and self.is_pinned(target):
                self.recorded += 1
                self.pending.append((self.recorded, target, source.values.clone()))
                return target
            self.wait("values go to the CPU")
        if "device" in kwargs:
            kwargs["device"] = "cpu"
        return self._run(function, args, kwargs, here)

    def _to_device(self, source: torch.Tensor, lazy: bool) -> None:
        if not lazy:
            self.wait("values go to the device")
        elif self.is_pinned(source):
            self.pinned_copies += 1
        else:
            self.unpinned[source.numel() * source.element_size()] += 1

    def pin(self, x: torch.Tensor) -> torch.Tensor:
        """Note a tensor's memory as pinned."""
        storage = x.untyped_storage()
        self.pinned[storage.data_ptr()] = storage
        return x

    def is_pinned(self, x: torch.Tensor) -> bool:
        return x.untyped_storage().data_ptr() in self.pinned

    @property
    def large_unpinned(self) -> dict[int, int]:
        """Copies from unpinned memory that are so large that the driver waits."""
        return {size: count for size, count in self.unpinned.items() if size > _SMALL}

    @contextlib.contextmanager
    def no_waiting(self) -> Iterator[None]:
        """Raise where the caller would wait for the device."""
        self.strict = True
        try:
            yield
        finally:
            self.strict = False


def _values(x: Any) -> Any:
    return x.values if isinstance(x, SimulatedTensor) else x


@contextlib.contextmanager
def simulated_cuda() -> Iterator[SimulatedCuda]:
    """Have a simulated CUDA device for a while.

    Yields
    ------
    SimulatedCuda
        Its counts.
    """
    simulation = SimulatedCuda()
    SimulatedEvent.simulation = simulation

    def set_state(state: torch.Tensor, *_: Any) -> None:
        simulation.random.set_state(state)

    def autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return autocast_of("cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    def grouped(lists: Any, with_indices: bool = False) -> Any:
        """Name the device: C++ takes it for the CPU."""
        groups = group(lists, with_indices)
        cuda = any(isinstance(x, SimulatedTensor) for x in lists[0])
        return {(DEVICE if cuda else device, dtype): x for (device, dtype), x in groups.items()}

    def on_device(make: Any) -> Any:
        """Return `torch.tensor` or `torch.as_tensor` for a device that C++ does not have."""

        def made(data: Any, *, device: Any = None, **kwargs: Any) -> torch.Tensor:
            output = make(data, **kwargs)
            return output if device is None else output.to(device)

        return made

    autocast_of, group = torch.autocast, torch._C._group_tensors_by_device_and_dtype
    cuda: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "current_stream": lambda device=None: SimulatedStream(),
        "synchronize": lambda device=None: simulation.wait("synchronize"),
        "reset_peak_memory_stats": lambda device=None: None,
        "max_memory_allocated": lambda device=None: 12345,
        "mem_get_info": lambda device=None: (8 * 2**30, 16 * 2**30),
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_device_name": lambda device=None: "simulated",
        "get_rng_state": lambda device=None: simulation.random.get_state(),
        "get_rng_state_all": lambda: [simulation.random.get_state()],
        "set_rng_state": set_state,
        "manual_seed": lambda seed: simulation.random.manual_seed(seed),
        "Event": SimulatedEvent,
    }
    accelerator: dict[str, Any] = {
        "is_available": lambda: True,
        "current_accelerator": lambda check_available=False: torch.device("cuda"),
        "current_device_index": lambda: 0,
        "current_stream": SimulatedStream,
        "set_device_index": lambda index: None,
    }
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        for name, value in cuda.items():
            patch.setattr(torch.cuda, name, value)
        for name, value in accelerator.items():
            patch.setattr(torch.accelerator, name, value)
        patch.setattr(torch, "Generator", SimulatedGenerator)
        patch.setattr(torch, "autocast", autocast)
        for name in ("tensor", "as_tensor"):
            patch.setattr(torch, name, on_device(getattr(torch, name)))
        patch.setattr(torch._C, "_group_tensors_by_device_and_dtype", grouped)
        patch.setattr(torch.Tensor, "pin_memory", lambda x, *_: simulation.pin(x.clone()))
        patch.setattr(torch.Tensor, "is_pinned", lambda x, *_: simulation.is_pinned(x))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            with simulation:
                yield simulation
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
