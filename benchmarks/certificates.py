"""What is certified, and whether any certificate is wrong, on a prepared file's test images.

    python benchmarks/certificates.py FILE.h5 [--images 100] [--json FILE]

The images are transformed again at M/N = 2 and kept as uint16: as they are, with
black borders of random widths, with undeclared noise and fewer bits, made
centrosymmetric, constant, and at lower oversampling. A certificate is wrong
where the reconstruction is not the image.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import phasegan
from phasegan.devices import describe_machine
from phasegan.harness.atlas import observe
from phasegan.reconstruction.protocol import Problem
from phasegan.reconstruction.registry import make_method

Pictures = NDArray[np.integer]
WIDEST_BORDER = 0.19


def bordered(images: Pictures, rng: np.random.Generator) -> Pictures:
    """Blacken up to a fifth on each side, each with probability one half."""
    size = images.shape[-1]
    made = images.copy()
    for image in made:
        widths = rng.integers(1, max(2, int(WIDEST_BORDER * size)), 4) * rng.integers(0, 2, 4)
        top, bottom, left, right = widths
        inside = np.zeros(image.shape, dtype=bool)
        inside[top : size - bottom, left : size - right] = True
        image[~inside] = 0
    return made


def symmetric(images: Pictures) -> Pictures:
    """Return the means of pictures and the same turned by 180°."""
    turned = (images.astype(np.int64) + images[:, ::-1, ::-1]) // 2
    return turned.astype(images.dtype)


def certify(images: Pictures, ratio: float, kind: str, level: float) -> dict[str, Any]:
    """Reconstruct, and count certificates and those that are wrong."""
    size = images.shape[-1]
    padded = round(size * ratio)
    method = make_method("cg", Problem((size, size), (padded, padded)))
    start = time.perf_counter()
    found = method(observe(images, padded, kind, level, 0))
    seconds = time.perf_counter() - start
    assert found.certificates is not None
    claimed = np.array([c.certified for c in found.certificates])
    right = (found.estimate == images).reshape(len(images), -1).all(axis=1)
    return {
        "images": len(images),
        "certified": int(claimed.sum()),
        "wrong": int((claimed & ~right).sum()),
        "verdicts": dict(Counter(c.verdict.value for c in found.certificates)),
        "seconds": seconds,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--json")
    options = parser.parse_args()
    with phasegan.open(options.data) as file:
        images = file.test.images(slice(0, options.images))
    rng = np.random.default_rng(7)
    some = images[: max(1, len(images) * 2 // 5)]
    grey = np.full((3, *images.shape[1:]), 77, images.dtype)
    cases: list[tuple[str, Pictures, float, str, float]] = [
        ("as they are", images, 2.0, "noise", 0.0),
        ("black borders", bordered(images, rng), 2.0, "noise", 0.0),
        *((f"noise {s:g} rad", some, 2.0, "noise", s) for s in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)),
        *((f"{b} bits", some, 2.0, "bits", float(b)) for b in (4, 8, 10, 12)),
        ("centrosymmetric", symmetric(some), 2.0, "noise", 0.0),
        ("with borders too", symmetric(bordered(some, rng)), 2.0, "noise", 0.0),
        ("constant", grey, 2.0, "noise", 0.0),
        *((f"M/N = {r:g}", some, r, "noise", 0.0) for r in (1.0, 1.25, 1.4375)),
    ]
    rows = []
    for name, pictures, ratio, kind, level in cases:
        row = {"case": name, **certify(pictures, ratio, kind, level)}
        rows.append(row)
        print(
            f"{name:18s} {row['certified']:4d} of {row['images']} certified, {row['wrong']} wrong"
            f"  {row['verdicts']}, {row['seconds']:.0f} s",
            flush=True,
        )
    if options.json:
        document = {"machine": describe_machine(), "rows": rows}
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
