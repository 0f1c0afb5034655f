"""How a run is computed: what decides its speed and its memory, and not what it learns.

Results agree within rounding, whatever is chosen; to the last bit, with the same choice
on the same device.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Annotated, Any, Literal

from pydantic import Field

from phasegan.config.settings import Settings, build

Count = Annotated[int, Field(ge=1, strict=True)]


class Execution(Settings):
    """Switches of speed and memory.

    What is off by default did not measure faster, or was not measured.
    """

    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = "off"
    """torch.compile of the convolutional networks; a mode of it."""
    channels_last: bool = False
    """Channels innermost in memory: of ResNets and PatchGANs; a U-Net on a CPU always is."""
    batched: bool | None = None
    """Pictures that go through one network of `paper` in a step go through it at once; None:
    on a CPU."""
    fused: bool = True
    """One kernel updates all weights."""
    resident: Literal["device", "memory", "disk"] | None = None
    """Where the data are between steps; by their size."""
    micro_batch: Count | None = None
    """Images of a batch that are computed at once; gradients add up. All by default."""
    recompute: bool = False
    """Forget what is inside blocks, and compute it again for the gradient: less memory."""
    workers: Annotated[int, Field(ge=0, le=256, strict=True)] | None = None
    """Processes that read the data ahead; None: on a GPU, where it does not hold them."""
    autotune: bool = True
    """cuDNN times its algorithms once for every size and takes the fastest."""
    deterministic: bool = False
    """Only algorithms that give the same bits every time; a CPU's always do."""


STANDARD = Execution()


def take_execution(options: MutableMapping[str, Any]) -> Execution:
    """Take the options of speed and memory out.

    Parameters
    ----------
    options : mapping
        By Python's names; those of speed and memory are removed.

    Returns
    -------
    Execution
        Those, with defaults for the others and where they are None.
    """
    values = {name: options.pop(name) for name in Execution.model_fields if name in options}
    return build(Execution, {k: v for k, v in values.items() if v is not None}, "train")
