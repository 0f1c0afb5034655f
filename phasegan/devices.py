"""Choice of the device and of the number of threads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, get_args

from phasegan.errors import InputError, RunError, is_out_of_memory

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES = get_args(Device)
MIN_ADDRESS_SPACE = 1_250_000_000
"""Bytes: with less, torch and its libraries fail anywhere, and some end the process."""


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device of that name.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        `auto` takes a GPU when there is one.

    Returns
    -------
    torch.device
        Without an index.

    Raises
    ------
    InputError
        If the name is unknown or this machine has no such device.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name not in DEVICES:
        raise InputError(f"device {name!r}: choose one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device cuda: torch finds no CUDA GPU here; use --device cpu, or install a CUDA "
            "build of torch and a driver"
        )
    if name == "mps" and not torch.backends.mps.is_available():
        raise InputError("device mps: this machine has no Apple GPU; use --device cpu")
    return torch.device(name)


def set_threads(count: int | None) -> None:
    """Limit the threads of torch, and of the libraries that share threads with it.

    Parameters
    ----------
    count : int or None
        At least 1; None leaves everything as it is.

    Raises
    ------
    InputError
        If it is below 1.
    """
    if count is None:
        return
    if count < 1:
        raise InputError(f"threads = {count}: must be at least 1")
    os.environ["OMP_NUM_THREADS"] = str(count)
    import torch

    torch.set_num_threads(count)


@contextlib.contextmanager
def torch_algorithms(
    device: torch.device, *, deterministic: bool, autotune: bool
) -> Iterator[None]:
    """Select among torch's algorithms for convolutions, for the time of a block.

    Parameters
    ----------
    device : torch.device
        Where they run; only CUDA has a choice.
    deterministic : bool
        Only those that give the same bits every time.
    autotune : bool
        Time them once for every size; not if `deterministic`.

    Yields
    ------
    None
        While the setting holds.
    """
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = autotune and not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def check_address_space() -> None:
    """Refuse to start under a memory limit that torch and its libraries do not fit in.

    Raises
    ------
    RunError
        Naming the limit.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE:
            raise RunError(
                f"memory is limited to {limit / 1e6:,.0f} MB here (ulimit -v), and torch needs "
                f"{MIN_ADDRESS_SPACE / 1e6:,.0f} MB to begin with; raise that limit"
            )


@contextlib.contextmanager
def memory_guard(advice: str) -> Iterator[None]:
    """Raise one line in place of torch's errors when memory runs out.

    Parameters
    ----------
    advice : str
        The work, and which option to lower.

    Yields
    ------
    None
        While the work is done.

    Raises
    ------
    RunError
        Instead of torch's errors for a GPU or for the CPU.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise RunError(f"the GPU has not enough memory for {advice}") from None
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"not enough memory for {advice}") from None


@contextlib.contextmanager
def worker_guard() -> Iterator[None]:
    """Raise one line in place of torch's error when a worker ends.

    Yields
    ------
    None
        While batches are used.

    Raises
    ------
    RunError
        With advice.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).splitlines()[0].strip(" .")
        raise RunError(
            f"a process that reads the data ended ({reason}); continue with --resume, and with "
            "--workers 0 or --resident disk if memory was short"
        ) from None


def describe_machine() -> dict[str, str | int]:
    """Return the processor, cores, GPU and versions that measured figures depend on."""
    import platform

    import numpy
    import torch

    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.split(":", 1)[1].strip() for line in stream if "model name" in line]
        processor = names[0] if names else processor
    except OSError:
        pass
    return {
        "processor": processor,
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
    }


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bf16.

    Parameters
    ----------
    device : torch.device
        Device of any type.

    Returns
    -------
    bool
        False where bf16 is emulated, or it is not known.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        tell = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return tell is not None and bool(tell())
    return False
