"""Paired tests of two methods' errors over the same test images.

Errors of images differ among themselves far more than methods do; the
difference on each image cancels what makes an image hard (Student's paired t).
The test leans on the central limit theorem, and per-image errors have heavy
tails. In the simulations of `tests/metrics/test_paired_tests.py`, log-normal errors
of 50 and of 500 images, it raises at most 7 false alarms in 100 at the 5 %
level where seeds of both sides spread alike. Up to 12 in 100 come where 50
images hold a few much worse ones that pay for gains on the others, and where
two seeds of a method face many of one whose spread is far smaller.

What the test covers depends on the seeds. With one seed on each side it speaks
of the very networks that were measured, on other images like these: the spread
over seeds is not in it, and another seed may differ by more. Of the ten seeds
of one method in `benchmarks/results/physics-stability`, half of all pairs
"differ" at the 5 % level. With several seeds on both sides it speaks of the
methods, on other images and other seeds. With several on one side alone, their
spread stands for that of both, an assumption: a single seed of a method that
spreads more raises false alarms again. See `compare_paired`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phasegan.errors import InputError

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "no difference shown", "identical"]
Spread = Literal["neither", "one side", "both sides"]

LEVEL = 0.05
MIN_SEEDS = 2
"""On a side, for its spread over seeds to be known at all."""
MIN_WELCH_SEEDS = 3
"""On both sides, for Welch's degrees of freedom to be trusted."""


@dataclass(frozen=True)
class PairedComparison:
    """Method b against method a over the same images."""

    difference: float
    """Mean of b − a over images and seeds, squared grey levels; negative: b is better."""
    interval: tuple[float, float] | None
    """Interval of the difference, at 1 − level (95 %), for this comparison alone: not
    widened for others. None for one image, which tells nothing about others."""
    p_value: float | None
    """Two-sided, for this comparison alone; None for one image, 1 for identical errors."""
    images: int
    better: int
    """Images of which the mean over seeds is lower in b."""
    worse: int
    """Images of which the mean over seeds is higher in b."""
    seeds: tuple[int, int]
    """Seeds of a and of b."""
    verdict: Verdict
    """Verdict on b, by `adjusted_p`: `better` or `worse` where it is at most the level."""
    adjusted_p: float | None
    """The p value after correction for the other comparisons of a table; until
    `with_adjusted`, `p_value`."""
    level: float = LEVEL

    @property
    def spread_of(self) -> Spread:
        """The seeds whose spread is in the test."""
        if min(self.seeds) >= MIN_SEEDS:
            return "both sides"
        return "one side" if max(self.seeds) >= MIN_SEEDS else "neither"

    @property
    def tested(self) -> bool:
        """Whether there was something to test: more than one image, and not identical."""
        return self.p_value is not None and self.verdict != "identical"

    def with_adjusted(self, p: float) -> PairedComparison:
        """Return the comparison with its verdict made by a p value after correction.

        Parameters
        ----------
        p : float
            Adjusted by `holm` over the rows of a table, never below `p_value`.

        Returns
        -------
        PairedComparison
            With that `adjusted_p`.

        Raises
        ------
        InputError
            If there was nothing to test, or `p` is below `p_value` or beyond 1.
        """
        if not self.tested or self.p_value is None:
            raise InputError("a comparison that tests nothing has no p value to adjust")
        if not self.p_value <= p <= 1:
            raise InputError(f"an adjusted p value is in {self.p_value:g}..1, not {p:g}")
        verdict = _verdict(self.difference, p, self.level)
        return replace(self, adjusted_p=float(p), verdict=verdict)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; what cannot be known is null."""
        return {
            "difference": self.difference,
            "interval": None if self.interval is None else list(self.interval),
            "p_value": self.p_value,
            "adjusted_p": self.adjusted_p,
            "level": self.level,
            "images": self.images,
            "better": self.better,
            "worse": self.worse,
            "seeds": list(self.seeds),
            "verdict": self.verdict,
        }


def compare_paired(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> PairedComparison:
    """Test whether the mean errors of two methods over the same images differ.

    With d_i the difference on image i of the means over seeds, n images, and
    s² a sample variance: with one seed on each side the paired t test,
    SE² = s²(d) / n with n − 1 degrees of freedom; the spread over seeds is not
    in it. With k_a + k_b > 2 seeds

        SE² = s²(d) / n + s_a² / k_a + s_b² / k_b,

    where s_a² and s_b² are variances over seeds of the mean over images, and
    the degrees of freedom are those of Welch 1947 (Biometrika 34:28) and
    Satterthwaite 1946 (Biometrics Bulletin 2:110) for the three terms. So few
    seeds now and then agree by chance, and so the test is made conservative:
    no side's s² is taken below the pooled one, which also stands for a side of
    one seed, and with fewer than three seeds on a side the degrees of freedom
    are at most k_a + k_b − 2.

    In the model error = method + image + method × image + seed + seed × image,
    both crossed factors drawn at random, the first term estimates the variance
    that method × image and seed × image cause, the others that of seed and,
    once more, of seed × image. The latter is counted twice: SE² is too large by
    at most the first term. It is left so. To take it off by its mean square
    makes estimates that can be negative, and the test liberal with few seeds.
    Seeds are not paired: equal seeds mean equal samples, which can only make
    means of two methods rise and fall together and SE² too large again.

    Parameters
    ----------
    a, b : array_like
        (seeds, images), or (images,) for one seed: errors in squared grey
        levels, images in the same order on both sides. The numbers of seeds may
        differ.
    level : float
        Largest p value that makes a verdict, in 0..1.

    Returns
    -------
    PairedComparison
        `identical` where all seeds of both sides have the same errors, or
        those of each seed are equal.

    Raises
    ------
    InputError
        If the shapes do not fit, there is no image or seed, or a value is not finite.
    """
    if not 0 < level < 1:
        raise InputError(f"a level is between 0 and 1, not {level:g}")
    one, other = _errors(a, "a"), _errors(b, "b")
    images = one.shape[1]
    if other.shape[1] != images:
        raise InputError(f"a has {images} images and b {other.shape[1]}; pair them first")
    differences = other.mean(axis=0) - one.mean(axis=0)
    difference = float(differences.mean())
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    verdict: Verdict
    if _identical(one, other):
        difference, p_value, interval, verdict = 0.0, 1.0, (0.0, 0.0), "identical"
        better = worse = 0
    else:
        better, worse = int(np.sum(differences < 0)), int(np.sum(differences > 0))
        if images > 1:
            p_value, half = _student(difference, *_variance(differences, one, other), level)
            interval = (difference - half, difference + half)
        verdict = _verdict(difference, p_value, level)
    return PairedComparison(
        difference=difference,
        interval=interval,
        p_value=p_value,
        images=images,
        better=better,
        worse=worse,
        seeds=(len(one), len(other)),
        verdict=verdict,
        adjusted_p=p_value,
        level=level,
    )


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Adjust the p values of several tests so that any false alarm is as rare as the level.

    Parameters
    ----------
    p_values : sequence of float
        (n,), in 0..1; of tests that may depend on each other.

    Returns
    -------
    numpy.ndarray
        (n,), in the order given: the largest of (n − j)·p over the j-th smallest p
        and those before it, j from 0, at most 1. Holm 1979, Scandinavian Journal
        of Statistics 6:65.

    Raises
    ------
    InputError
        If a value is not in 0..1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError("p values are a list of numbers in 0..1")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _errors(values: ArrayLike, name: str) -> Floats:
    try:
        errors = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of numbers") from None
    if errors.ndim == 1:
        errors = errors[None]
    if errors.ndim != 2 or 0 in errors.shape:
        raise InputError(f"{name} has shape {np.shape(values)}; it is (images,) or (seeds, images)")
    bad = int(np.count_nonzero(~np.isfinite(errors)))
    if bad:
        raise InputError(f"{name} holds {bad} errors that are not finite")
    return errors


def _identical(a: Floats, b: Floats) -> bool:
    return np.array_equal(a, b) or bool((a == a[0]).all() and (b == a[0]).all())


def _variance(differences: Floats, a: Floats, b: Floats) -> tuple[float, float]:
    """Return SE² and its degrees of freedom."""
    images = len(differences)
    terms = [(float(differences.var(ddof=1)) / images, images - 1)]
    degrees = len(a) + len(b) - 2
    if degrees:
        squares = [float(np.sum((m - m.mean()) ** 2)) for m in (a.mean(axis=1), b.mean(axis=1))]
        pooled = sum(squares) / degrees
        for side, square in zip((a, b), squares, strict=True):
            own = square / max(len(side) - 1, 1)
            terms.append((max(own, pooled) / len(side), len(side) - 1 or degrees))
    total = sum(variance for variance, _ in terms)
    if total == 0:
        return 0.0, float(images - 1)
    freedom = total**2 / sum(variance**2 / df for variance, df in terms)
    spread = total - terms[0][0]
    if spread > 0 and min(len(a), len(b)) < MIN_WELCH_SEEDS:
        freedom = min(freedom, degrees)
    return total, float(freedom)


def _student(
    difference: float, variance: float, freedom: float, level: float
) -> tuple[float, float]:
    """Return the two-sided p value and the half width of the interval."""
    from scipy.special import stdtr, stdtrit

    if variance == 0:
        return (1.0 if difference == 0 else 0.0), 0.0
    error = float(np.sqrt(variance))
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return min(p_value, 1.0), float(stdtrit(freedom, 1 - level / 2)) * error


def _verdict(difference: float, p_value: float | None, level: float) -> Verdict:
    if p_value is None or p_value > level or difference == 0:
        return "no difference shown"
    return "better" if difference < 0 else "worse"
