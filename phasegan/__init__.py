"""phasegan: reconstruct images from their phase spectra, and translate pictures unpaired.

The functions of this module are imported when they are first used:
`prepare`, `open`, `train`, `evaluate`, `reconstruct`, `reconstruct_pictures`, `bench`,
`atlas`; of translations `prepare_domains`, `translate`, `score_translations`, `export`,
`fetch`; for torch the datasets `PhaseDataset` and `PhaseBatches`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phasegan._version import __version__

if TYPE_CHECKING:
    from phasegan.benchmark.atlas import atlas
    from phasegan.benchmark.runner import bench
    from phasegan.data.dataset import PhaseBatches, PhaseDataset
    from phasegan.data.download.fetch import fetch
    from phasegan.data.hdf5.reader import open_prepared as open
    from phasegan.data.prepare.api import prepare
    from phasegan.data.prepare.domains import prepare_domains
    from phasegan.evaluation.evaluate import evaluate
    from phasegan.evaluation.translation import score_translations
    from phasegan.reconstruction.api import reconstruct
    from phasegan.reconstruction.pictures import reconstruct_pictures
    from phasegan.training.api import train
    from phasegan.translation.api import translate
    from phasegan.translation.export import export

__all__ = [
    "PhaseBatches",
    "PhaseDataset",
    "__version__",
    "atlas",
    "bench",
    "evaluate",
    "export",
    "fetch",
    "open",
    "prepare",
    "prepare_domains",
    "reconstruct",
    "reconstruct_pictures",
    "score_translations",
    "train",
    "translate",
]

_WHERE = {
    "prepare": ("phasegan.data.prepare.api", "prepare"),
    "open": ("phasegan.data.hdf5.reader", "open_prepared"),
    "PhaseDataset": ("phasegan.data.dataset", "PhaseDataset"),
    "PhaseBatches": ("phasegan.data.dataset", "PhaseBatches"),
    "train": ("phasegan.training.api", "train"),
    "evaluate": ("phasegan.evaluation.evaluate", "evaluate"),
    "reconstruct": ("phasegan.reconstruction.api", "reconstruct"),
    "reconstruct_pictures": ("phasegan.reconstruction.pictures", "reconstruct_pictures"),
    "bench": ("phasegan.benchmark.runner", "bench"),
    "atlas": ("phasegan.benchmark.atlas", "atlas"),
    "prepare_domains": ("phasegan.data.prepare.domains", "prepare_domains"),
    "translate": ("phasegan.translation.api", "translate"),
    "score_translations": ("phasegan.evaluation.translation", "score_translations"),
    "export": ("phasegan.translation.export", "export"),
    "fetch": ("phasegan.data.download.fetch", "fetch"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'phasegan' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
