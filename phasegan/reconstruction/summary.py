"""The outcome of a reconstruction, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from phasegan.config.options.size import format_size
from phasegan.reconstruction.exact.certificate import Certificate, Verdict
from phasegan.reconstruction.protocol import Result

MAX_LISTED = 8
"""Samples that are named one by one; more are counted."""


def describe_result(result: Result) -> list[str]:
    """Describe what is certified, what is not and why, and what did not converge.

    Parameters
    ----------
    result : Result
        The result of any method.

    Returns
    -------
    list of str
        Lines for people; empty for methods that make no claim.
    """
    summary = ResultSummary()
    summary.add(result)
    return summary.claims()


class ResultSummary:
    """What is said of results, of one or of many, without keeping their images."""

    def __init__(self) -> None:
        self.count = 0
        self.methods: Counter[str] = Counter()
        self._pictures: list[tuple[str, bool, int, tuple[int, int], tuple[int, int] | None]] = []
        self._certificates: list[tuple[str, Certificate]] = []
        self._unit = "images"
        self._mean_known = False
        self._unconverged: list[NDArray[np.bool_]] = []
        self._residuals: list[NDArray[np.float64]] = []

    def add(self, result: Result) -> None:
        """Add a result.

        Parameters
        ----------
        result : Result
            Of any method.
        """
        samples = 1 if np.ndim(result.phase) == 2 else len(result.phase)
        colour, shape = np.ndim(result.phase) == 4, tuple(np.shape(result.estimate)[-2:])
        names = result.sources or [""] * samples
        self._pictures += [(n, colour, result.data_range, shape, result.frame) for n in names]
        self._unit = "planes" if colour else self._unit
        certificates = result.certificates or []
        for i, certificate in enumerate(certificates):
            sample = i * samples // len(certificates)
            name = f"{self.count + i}: {names[sample]}"
            if result.sources is None:
                name = f"{'plane' if colour else 'image'} {i}"
            self._certificates.append((name, certificate))
        if result.certificates is None and result.converged is not None:
            self._unconverged.append(~np.asarray(result.converged).ravel())
        if result.residual is not None:
            self._residuals.append(np.asarray(result.residual).ravel())
        self.count += samples
        self.methods[result.method] += samples
        self._mean_known |= result.mean_known

    def follow(self, results: Iterable[Result]) -> Iterator[Result]:
        """Add results as they pass.

        Parameters
        ----------
        results : iterable of Result
            In any order.

        Yields
        ------
        Result
            The same.
        """
        for result in results:
            self.add(result)
            yield result

    def claims(self) -> list[str]:
        """Return what `describe_result` does, of all results together."""
        lines = self._certified() if self._certificates else []
        unconverged = np.concatenate([np.zeros(0, bool), *self._unconverged])
        if unconverged.any():
            lines.append(
                f"{np.count_nonzero(unconverged)} of {unconverged.size} planes had not converged "
                "when the iterations ended; --iterations N allows more"
            )
        if self._residuals:
            residual = np.concatenate(self._residuals)
            lines.append(
                f"residual ‖Im(e^-iφ X)‖/‖X‖: median {np.median(residual):.2g}, "
                f"largest {residual.max():.2g}"
            )
        return lines

    def pictures(self, advise: bool) -> list[str]:
        """Describe sizes, channels and padding of the pictures that were transformed.

        Parameters
        ----------
        advise : bool
            Whether padding would make them exact: nothing but padding is missing.

        Returns
        -------
        list of str
            One or two lines.
        """
        name, *_ = self._pictures[0]
        colour = sum(picture[1] for picture in self._pictures)
        deep = sum(picture[2] > 255 for picture in self._pictures)
        shapes = sorted({picture[3] for picture in self._pictures}, key=lambda s: s[0] * s[1])
        ratios = [
            math.sqrt(math.prod(frame or shape) / math.prod(shape))
            for *_, shape, frame in self._pictures
        ]
        least = min(ratios)
        padding = "unpadded" if max(ratios) == 1 else f"padded {least:.4g}-fold"
        if advise and least**2 < 2:
            padding += "; padded twofold nearly every picture is exact: --oversample 2"
        if self.count == 1:
            depth = ", 16 bit" if deep else ""
            what = f"{format_size(shapes[0])} {'colour' if colour else 'grey'}{depth}"
            line = f"{name}: {what} (rows × columns), {padding}"
        else:
            kinds = {"colour": colour, "grey": self.count - colour, "of 16 bit": deep}
            counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
            size = " to ".join(format_size(s) for s in dict.fromkeys((shapes[0], shapes[-1])))
            line = f"{self.count} pictures, {counted}: {size} (rows × columns), {padding}"
        exact = [c.certified for _, c in self._certificates]
        if not colour or self._mean_known or (exact and all(exact)):
            return [line]
        return [
            line,
            "the phases of a channel do not tell its brightness: colours are estimates"
            + (" where they are not certified" if any(exact) else "")
            + " (--mean stored takes the means of the picture)",
        ]

    def _certified(self) -> list[str]:
        unit, total = self._unit, len(self._certificates)
        proved = sum(c.certified for _, c in self._certificates)
        claim = (
            ": they give every phase, and no other integers do (brightness: "
            f"{'the given mean' if self._mean_known else 'the smallest integers'})"
            if proved
            else ""
        )
        lines = [f"{proved} of {total} {unit} certified exact{claim}"]
        unique = sum(c.verdict is Verdict.UNIQUE_UP_TO_SCALE for _, c in self._certificates)
        if unique:
            lines.append(
                f"{unique} of {total} {unit} unique up to scale: nothing but multiples of them has "
                "these phases"
            )
        left = [(n, c) for n, c in self._certificates if not c.certified or c.reason]
        lines += [f"  {name}: {c.verdict}, {c.reason}" for name, c in left[:MAX_LISTED]]
        if len(left) > MAX_LISTED:
            rest = Counter(certificate.verdict for _, certificate in left[MAX_LISTED:])
            counted = ", ".join(f"{count} {Verdict(v).value}" for v, count in rest.items())
            lines.append(f"  and {len(left) - MAX_LISTED} more: {counted}")
        return lines
