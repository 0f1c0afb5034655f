"""Score trained translations over the test pictures of two domains."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.config.run import RunStatus
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.data.domain_folders import DomainPair, ImageSubset, open_domains
from phasegan.data.domain_scan import centre_squares, domain_format
from phasegan.data.images.pixel_format import PixelFormat
from phasegan.data.images.reading import Reading
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.evaluation.run_entries import run_label
from phasegan.metrics.classifier import DomainClassifier, train_classifier
from phasegan.metrics.fid import feature_distances, load_features
from phasegan.metrics.image_metrics import score, summarise
from phasegan.metrics.set_distances import sliced_wasserstein
from phasegan.models.inference import SavedGenerators
from phasegan.progress import Progress

Images = NDArray[np.float32]
"""(n, C, size, size), in [−1, 1]."""

DIRECTIONS = ("ab", "ba")
MAX_TRAINING_IMAGES = 1000
"""Training pictures of a domain that the classifier learns from, and that count as real ones."""


@dataclass(frozen=True)
class TranslationRow:
    """Scores of one way of one method.

    Attributes
    ----------
    label : str
        `untranslated`, `real`, or the run's.
    way : {"ab", "ba"}
        From which domain to which.
    kind : {"baseline", "real", "run"}
        What it is.
    values : dict
        `swd`, sliced Wasserstein distance to the test pictures of the other domain
        × 1e3; `taken`, share that the classifier takes for that domain; `mse` and
        `ssim` against the picture of the same name, where test folders correspond;
        `cycle_mse` of the way there and back; of colours on 0..255.
    run : str or None
        The run folder.
    """

    label: str
    way: str
    kind: Literal["baseline", "real", "run"]
    values: dict[str, float]
    run: str | None = None


@dataclass(frozen=True)
class TranslationScores:
    """Scores of `score_translations`."""

    rows: list[TranslationRow]
    counts: tuple[int, int]
    size: int
    paired: bool
    accuracy: float | None
    """Balanced accuracy of the classifier on both domains' test pictures; None without one."""
    remarks: list[str] = field(default_factory=list)
    """Notes on the numbers."""
    domain_names: tuple[str, str] = ("A", "B")
    """Names of the domains' folders, where these tell them apart."""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "test_pictures": list(self.counts),
            "domains": list(self.domain_names),
            "size": self.size,
            "paired": self.paired,
            "classifier_accuracy": self.accuracy,
            "remarks": self.remarks,
            "rows": [
                {"label": r.label, "way": r.way, "kind": r.kind, "run": r.run, **r.values}
                for r in self.rows
            ],
        }


class TranslationRun:
    """The generators of a finished or interrupted run.

    Parameters
    ----------
    path : path
        The run folder.
    device : torch.device
        Where they run.

    Raises
    ------
    InputError
        If this is not a run of a translation, or its weights are damaged.
    """

    def __init__(self, path: str | os.PathLike[str], device: torch.device) -> None:
        self.folder = RunFolder(Path(path))
        config = self.folder.read_config()
        if not isinstance(config, TranslationConfig):
            raise InputError(
                f"{path}: a run of {config.label}, from phases to images; score it on a prepared "
                "file: phasegan evaluate FILE.h5 --run"
            )
        self.config: TranslationConfig = config
        self.status: RunStatus = self.folder.read_status()
        self._generators = SavedGenerators(self.folder, config, device)

    @property
    def scored_ways(self) -> list[str]:
        """The ways that were trained against a discriminator."""
        return ["ab", "ba"] if self.config.both_ways else ["ab"]

    def translate(self, images: NDArray[np.floating], way: str) -> Images:
        """Translate images.

        Parameters
        ----------
        images : numpy.ndarray
            (n, C, rows, columns), in [−1, 1].
        way : {"ab", "ba"}
            From which domain to which.

        Returns
        -------
        numpy.ndarray
            Same shape, with the channels of the other domain, in [−1, 1], float32.
        """
        return self._generators.translate(images, way)

    def returns(self, way: str) -> bool:
        """Tell whether the run has a generator for the way back.

        Parameters
        ----------
        way : {"ab", "ba"}
            From which domain to which.

        Returns
        -------
        bool
            False for `one-way` runs.
        """
        return f"generator_{way[::-1]}" in self.config.network_names


def score_translations(
    data: str | os.PathLike[str] | None,
    runs: Sequence[str | os.PathLike[str]],
    *,
    domain_a: str | os.PathLike[str] | None = None,
    domain_b: str | os.PathLike[str] | None = None,
    size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    features: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> TranslationScores:
    """Score runs of translations beside the untranslated pictures.

    Parameters
    ----------
    data, domain_a, domain_b : path
        The domains, as of `phasegan.train`; they need test pictures.
    runs : sequence of path
        Run folders, at least one.
    size : int, optional
        Rows and columns at which pictures are translated and compared: their short
        side is brought to it, the middle square is taken. That of the runs by default.
    seed : int
        Of the classifier.
    device : {"auto", "cpu", "cuda", "mps"}
        Where networks run.
    features : path, optional
        An ONNX file of a feature network, for FID and KID; see `phasegan.metrics.fid`.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    TranslationScores
        Rows of each direction: untranslated, real, then the runs.

    Raises
    ------
    InputError
        If there are no test pictures, or the runs do not fit them or one another.

    Examples
    --------
    >>> import numpy, pathlib, phasegan
    >>> from PIL import Image
    >>> rng = numpy.random.default_rng(0)
    >>> for name in ("trainA", "trainB", "testA", "testB"):
    ...     folder = pathlib.Path("pair", name)
    ...     folder.mkdir(parents=True)
    ...     for i in range(12):
    ...         pixels = rng.integers(0, 256, (32, 32, 3), "uint8")
    ...         Image.fromarray(pixels).save(folder / f"{i}.png")
    >>> sizes = {"base_channels": 4, "discriminator_channels": 4, "size": 32, "load": 32}
    >>> run = phasegan.train("pair", "runs/pair", epochs=1, device="cpu", **sizes)
    >>> scores = phasegan.score_translations("pair", ["runs/pair"], device="cpu")
    >>> [row.label for row in scores.rows if row.run and row.way == "ab"]
    ['pair: translation-4ch-unet']
    """
    progress = progress or Progress()
    if not runs:
        raise InputError("no run to score: give --run RUN")
    chosen = choose_device(device)
    measure = None if features is None else _Features(features, seed, chosen.type)
    opened = [TranslationRun(run, chosen) for run in runs]
    reading = Reading.of(opened[0].config.data)
    domains = open_domains(data, domain_a, domain_b, reading)
    sizes = {run.config.size for run in opened}
    if size is None and len(sizes) > 1:
        raise InputError(
            f"the runs were trained at {', '.join(map(str, sorted(sizes)))} pixels; say at which "
            "to compare them, --size"
        )
    size = size or sizes.pop()
    first = opened[0].config
    for run in opened[1:]:
        if [_kind(run.config, d)[:4] for d in (0, 1)] != [_kind(first, d)[:4] for d in (0, 1)]:
            raise InputError(f"{run.folder.path}: its pictures have other channels or values")
    kinds = (_kind(first, 0), _kind(first, 1))
    test = _test_pictures(domains, kinds, size, progress)
    train = [_pictures(part, kinds[d], size, seed) for d, part in enumerate(domains.train)]
    same = kinds[0].channels == kinds[1].channels
    classifier = None
    if same:
        classifier = train_classifier(
            _unit_range(train[0]),
            _unit_range(train[1]),
            seed=seed,
            device=chosen.type,
            progress=progress,
        )
    scorer = _TranslationScorer(test, classifier, domains.paired and same, measure)
    rows = []
    for way in DIRECTIONS if any("ba" in run.scored_ways for run in opened) else ("ab",):
        came, goes = _ends(way)
        if same:
            rows.append(scorer.row("untranslated", way, "baseline", test[came]))
        rows.append(scorer.row("real", way, "real", train[goes], paired=False))
        for run in opened:
            if way in run.scored_ways:
                rows.append(_score_run(run, way, test[came], scorer))
    return TranslationScores(
        rows,
        counts=(len(test[0]), len(test[1])),
        domain_names=domains.domain_names,
        size=size,
        paired=scorer.paired,
        accuracy=None
        if classifier is None
        else classifier.accuracy(_unit_range(test[0]), _unit_range(test[1])).balanced,
        remarks=[
            *([classifier.remark] if classifier is not None and classifier.remark else []),
            *([] if measure is None else measure.remarks),
        ],
    )


def _score_run(
    run: TranslationRun, way: str, real: Images, scorer: _TranslationScorer
) -> TranslationRow:
    fake = run.translate(real, way)
    label = run_label(run.config)
    if run.status.state != "finished":
        label += f", unfinished ({run.status.step} of {run.config.steps} steps)"
    row = scorer.row(f"{run.folder.path.name}: {label}", way, "run", fake, run=str(run.folder.path))
    if run.returns(way):
        back = run.translate(fake, way[::-1])
        row.values["cycle_mse"] = _compare(back, real)["mse"]
    return row


class _TranslationScorer:
    """Compares pictures with the test pictures of the domain that they should be of."""

    def __init__(
        self,
        test: Sequence[Images],
        classifier: DomainClassifier | None,
        paired: bool,
        features: _Features | None,
    ) -> None:
        self._test, self._classifier, self.paired = test, classifier, paired
        self._features = features

    def row(
        self,
        label: str,
        way: str,
        kind: Literal["baseline", "real", "run"],
        images: Images,
        *,
        paired: bool = True,
        run: str | None = None,
    ) -> TranslationRow:
        """Return the scores of some pictures."""
        goes = _ends(way)[1]
        target, shares = _unit_range(self._test[goes]), _unit_range(images)
        values = {"swd": sliced_wasserstein(shares, target).mean}
        if self._classifier is not None:
            classified = target if kind == "real" else shares
            taken = self._classifier.share_taken_for_b(classified)
            values["taken"] = taken if goes else 1.0 - taken
        if self.paired and paired:
            values |= _compare(images, self._test[goes])
        if self._features is not None:
            values |= self._features(shares, target)
        return TranslationRow(label, way, kind, values, run)


class _Features:
    """FID and KID with a feature network."""

    def __init__(self, path: str | os.PathLike[str], seed: int, device: str) -> None:
        self._network, self._seed = load_features(path, device), seed
        self.remarks: list[str] = []

    def __call__(self, images: Images, target: Images) -> dict[str, float]:
        distances = feature_distances(images, target, features=self._network, seed=self._seed)
        if distances.remark and distances.remark not in self.remarks:
            self.remarks.append(distances.remark)
        return {"fid": distances.fid, "kid": distances.kid}


def _compare(images: Images, references: Images) -> dict[str, float]:
    scores = score(
        np.asarray(255.0 * _unit_range(images), np.float64),
        255.0 * _unit_range(references),
        data_range=255,
    )
    means = summarise(scores)
    return {name: float(means[name]) for name in ("mse", "ssim") if means.get(name) is not None}


def _ends(way: str) -> tuple[int, int]:
    return (0, 1) if way == "ab" else (1, 0)


def _kind(config: TranslationConfig, domain: int) -> PixelFormat:
    return domain_format((config.data.a, config.data.b)[domain])


def _unit_range(images: Images) -> Images:
    """Return images in [0, 1]."""
    return np.clip(0.5 * (images + 1.0), 0.0, 1.0).astype(np.float32)


def _test_pictures(
    domains: DomainPair, kinds: tuple[PixelFormat, PixelFormat], size: int, progress: Progress
) -> list[Images]:
    images = []
    for domain, part in enumerate(domains.test):
        if part is None:
            raise InputError(
                f"{domains.name}: no test pictures of domain {'AB'[domain]}; scores need "
                "pictures that were not trained on, in testA and testB (or DIR/test)"
            )
        images.append(centre_squares(part, kinds[domain], size, range(len(part)), progress))
    return images


def _pictures(part: ImageSubset, kind: PixelFormat, size: int, seed: int) -> Images:
    """Return the middle squares of the pictures of a part; of many, some."""
    rows = list(range(len(part)))
    if len(rows) > MAX_TRAINING_IMAGES:
        rows = sorted(
            np.random.default_rng(seed).permutation(len(rows))[:MAX_TRAINING_IMAGES].tolist()
        )
    return centre_squares(part, kind, size, rows)
