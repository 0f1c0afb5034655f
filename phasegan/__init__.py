"""phasegan: reconstruct images from their phase spectra.

The functions of this module are imported when they are first used:
`prepare`, `open`, `train`, `evaluate`, `reconstruct`, `bench`, `atlas`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phasegan._version import __version__

if TYPE_CHECKING:
    from phasegan.harness.atlas import atlas
    from phasegan.harness.evaluate import evaluate
    from phasegan.harness.runner import bench
    from phasegan.reconstruction.api import reconstruct
    from phasegan.store.prepare import prepare
    from phasegan.store.reader import open_prepared as open
    from phasegan.training.api import train

__all__ = ["__version__", "atlas", "bench", "evaluate", "open", "prepare", "reconstruct", "train"]

_WHERE = {
    "prepare": ("phasegan.store.prepare", "prepare"),
    "open": ("phasegan.store.reader", "open_prepared"),
    "train": ("phasegan.training.api", "train"),
    "evaluate": ("phasegan.harness.evaluate", "evaluate"),
    "reconstruct": ("phasegan.reconstruction.api", "reconstruct"),
    "bench": ("phasegan.harness.runner", "bench"),
    "atlas": ("phasegan.harness.atlas", "atlas"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'phasegan' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
