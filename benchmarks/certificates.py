"""What is certified, and whether any certificate is wrong.

    python benchmarks/certificates.py FILE.h5 [--images 100] [--json FILE]
    python benchmarks/certificates.py --adversarial 100000 [--seed 0] [--json FILE]

A prepared file's test images are transformed again at M/N = 2 and kept as uint16:
as they are, with black borders of random widths, with undeclared noise and fewer
bits, made centrosymmetric, constant, and at lower oversampling. With
`--adversarial`, so many pictures of 4 to 32 pixels a side are made to defeat the
proof (`adversaries.py`), at M/N from 1.5 to 3, and kept in every encoding, with
masks, and with codes that are off by one. A certificate is wrong where the
reconstruction is not the picture, a common factor of all pixels forgiven.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from adversaries import DEEP, FAMILIES
from numpy.typing import NDArray

import phasegan
from phasegan.benchmark.atlas import observe
from phasegan.devices import describe_machine
from phasegan.fourier.degradation import quantise_phase
from phasegan.fourier.encoding import decode, encode, half_steps
from phasegan.fourier.phase import analyse
from phasegan.progress import Progress
from phasegan.reconstruction.exact.integers import divide_by_gcd
from phasegan.reconstruction.protocol import Observation, Problem, Settings
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


def certify_file(data: str, count: int) -> list[dict[str, Any]]:
    """Certify a prepared file's test images in many ways."""
    with phasegan.open(data) as file:
        images = file.test.images(slice(0, count))
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
    return rows


BATCH = 50
RATIOS = (1.5, 2.0, 3.0)
SIZES = (4, 5, 6, 8, 12, 16, 24, 32)
SHARES = (0.46, 0.2, 0.12, 0.1, 0.05, 0.04, 0.02, 0.01)
"""Of sizes among the pictures: small ones are where proofs are weakest."""
KEPT: dict[str, tuple[str, int | None, int, float]] = {
    "uint16": ("uint16", None, 255, 0.427),
    "float32": ("float32", None, 255, 0.15),
    "float16": ("float16", None, 255, 0.10),
    "12 bits": ("uint16", 12, 255, 0.10),
    "14 bits": ("uint16", 14, 255, 0.05),
    "float64": ("float64", None, 255, 0.05),
    "uint16, a tenth masked": ("uint16", None, 255, 0.06),
    "uint16, codes off by one": ("uint16", None, 255, 0.06),
    "16-bit pictures, float32": ("float32", None, DEEP, 0.002),
    "16-bit pictures, uint16": ("uint16", None, DEEP, 0.001),
}
"""dtype, bits, white and share of the pictures."""


def keep(
    images: Pictures, padded: int, kind: str, rng: np.random.Generator
) -> tuple[Observation, int]:
    """Encode phases of pictures; return them and the pictures' white."""
    dtype, bits, white, _ = KEPT[kind]
    phase, _, undefined = analyse(images, (padded, padded))
    phase = phase if bits is None else quantise_phase(phase, bits, (padded, padded))
    trusted = ~undefined
    if kind.endswith("masked"):
        trusted &= rng.random(trusted.shape) > 0.1
    codes = phase if dtype == "float64" else encode(phase, dtype)
    if kind.endswith("one"):
        off = rng.random(codes.shape) < 1.5 / codes[0].size
        off[..., [0, -1]] = False
        codes = codes + off.astype(np.uint16) * rng.choice([1, 65535], codes.shape).astype("u2")
    kept = phase if dtype == "float64" else decode(codes)
    whole = None if trusted.all() else trusted
    return Observation(kept, whole, half_steps(codes, bits)), white


def attack(total: int, seed: int, families: Sequence[str]) -> list[dict[str, Any]]:
    """Certify adversarial pictures, of some of the families that make up `total`."""
    rows = []
    for family, kind in itertools.product(families, KEPT):
        make, (*_, white, share) = FAMILIES[family], KEPT[kind]
        rng = np.random.default_rng([seed, [*FAMILIES].index(family), [*KEPT].index(kind)])
        left = round(total * share / len(FAMILIES))
        tally: Counter[str] = Counter()
        start = time.perf_counter()
        while left > 0:
            count = min(left, BATCH)
            size = int(rng.choice(SIZES, p=SHARES))
            padded = round(size * rng.choice(RATIOS))
            images = make(rng, count, size, white)
            images[images.reshape(count, -1).max(1) == 0] = 1
            given, _ = keep(images, padded, kind, rng)
            settings = Settings(progress=Progress())
            problem = Problem((size, size), (padded, padded), white, settings=settings)
            found = make_method("cg", problem)(given)
            assert found.certificates is not None
            for image, estimate, certificate in zip(
                images, found.estimate, found.certificates, strict=True
            ):
                name = certificate.verdict.value
                tally[f"{name} {certificate.exclusion}".strip()] += 1
                right = np.array_equal(estimate, divide_by_gcd(image))
                tally["wrong"] += certificate.certified and not right
            left -= count
        seconds = time.perf_counter() - start
        rows.append({"family": family, "kept": kind, "seconds": seconds, **tally})
        print(f"{family:24s} {kind:26s} {dict(tally)}, {seconds:.0f} s", flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--adversarial", type=int, metavar="PICTURES")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.adversarial:
        rows = attack(options.adversarial, options.seed, options.family or [*FAMILIES])
        print(f"{sum(row.get('wrong', 0) for row in rows)} wrong")
    elif options.data:
        rows = certify_file(options.data, options.images)
    else:
        parser.error("name a prepared file, or give --adversarial PICTURES")
    if options.json:
        document = {"machine": describe_machine(), "rows": rows}
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
