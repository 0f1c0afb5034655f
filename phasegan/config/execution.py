"""How a run is computed: what decides its speed and its memory, and not what it learns.

Results agree within rounding, whatever is chosen; to the last bit, with the same choice
on the same device.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from phasegan.config.settings import Settings

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
    autotune: bool = True
    """cuDNN times its algorithms once for every size and takes the fastest."""
    deterministic: bool = False
    """Only algorithms that give the same bits every time; a CPU's always do."""


STANDARD = Execution()
