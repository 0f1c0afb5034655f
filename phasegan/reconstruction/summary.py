"""The outcome of a reconstruction, in words."""

from __future__ import annotations

from collections import Counter

import numpy as np

from phasegan.reconstruction.exact.certificate import Verdict
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
    lines = []
    if result.certificates is not None:
        lines += _describe_certificates(result)
    elif result.converged is not None and not np.all(result.converged):
        flat = np.asarray(result.converged).ravel()
        left = int(flat.size - np.count_nonzero(flat))
        lines.append(
            f"{left} of {flat.size} planes had not converged when the iterations ended; "
            "--iterations N allows more"
        )
    if result.residual is not None:
        residual = np.asarray(result.residual).ravel()
        lines.append(
            f"residual ‖Im(e^-iφ X)‖/‖X‖: median {np.median(residual):.2g}, "
            f"largest {residual.max():.2g}"
        )
    return lines


def _describe_certificates(result: Result) -> list[str]:
    assert result.certificates is not None
    certificates = result.certificates
    proved = sum(c.certified for c in certificates)
    unit = "images" if np.ndim(result.phase) < 4 else "planes"
    output_lock = (
        ": they give every phase, and no other integers do (brightness: "
        f"{'the given mean' if result.mean_known else 'the smallest integers'})"
        if proved
        else ""
    )
    lines = [f"{proved} of {len(certificates)} {unit} certified exact{output_lock}"]
    unique = sum(c.verdict is Verdict.UNIQUE_UP_TO_SCALE for c in certificates)
    if unique:
        lines.append(
            f"{unique} of {len(certificates)} {unit} unique up to scale: nothing but multiples of "
            "them has these phases"
        )
    left = [(i, c) for i, c in enumerate(certificates) if not c.certified or c.reason]
    per_sample = len(certificates) // max(1, len(result.sources or certificates))
    for i, certificate in left[:MAX_LISTED]:
        name = f"{unit[:-1]} {i}"
        if result.sources is not None:
            name = f"{i}: {result.sources[i // per_sample]}"
        lines.append(f"  {name}: {certificate.verdict}, {certificate.reason}")
    if len(left) > MAX_LISTED:
        rest = Counter(certificate.verdict for _, certificate in left[MAX_LISTED:])
        counted = ", ".join(f"{count} {Verdict(v).value}" for v, count in rest.items())
        lines.append(f"  and {len(left) - MAX_LISTED} more: {counted}")
    return lines
