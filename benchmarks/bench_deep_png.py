"""Speed and pixels of readers of PNG with 16 bits a channel.

    python benchmarks/bench_deep_png.py [--size 1024] [--rounds 7]

Read are a smooth RGB image with noise, filtered by rows as libpng does, and small images of every
kind: grey, grey with alpha, RGB, RGBA, interlaced, with a transparent colour, and of 12 bits,
which sBIT tells. Printed is the least processor time over the rounds, in which the readers take
turns, and of the small images those that differ from what pypng reads. imagecodecs and
OpenCV take part where they are installed.
"""

from __future__ import annotations

import argparse
import importlib
import io
import itertools
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import png

from phasegan.data.images.decoding import read_image
from phasegan.devices import describe_machine

Reader = Callable[[bytes], Any]


def by_pypng(data: bytes) -> Any:
    """Return (rows, columns, C), uint16, scaled to the full range where sBIT narrows it."""
    columns, rows, values, info = png.Reader(bytes=data).asDirect()
    pixels = np.array([np.asarray(row, np.float64) for row in values])
    scale = 65535 / (2 ** info["bitdepth"] - 1)
    return np.rint(pixels * scale).astype(np.uint16).reshape(rows, columns, info["planes"])


def readers() -> dict[str, Reader]:
    """Return the readers that are installed, by name."""
    found: dict[str, Reader] = {"pypng": by_pypng, "phasegan (Pillow)": _by_phasegan}
    for package in ("imagecodecs", "cv2"):
        try:
            module: Any = importlib.import_module(package)
        except ImportError:
            continue
        name = f"{package} {module.__version__}"
        found[name] = module.png_decode if package == "imagecodecs" else _by_opencv(module)
    return found


def _by_phasegan(data: bytes) -> Any:
    from phasegan.data.images import deep_png

    return deep_png.decode_png(data)


def _by_opencv(cv2: Any) -> Reader:
    def read(data: bytes) -> Any:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels

    return read


def encoded(pixels: Any, **options: Any) -> bytes:
    """Return a PNG of pixels (rows, columns, C)."""
    rows, columns, planes = pixels.shape
    options = {"bitdepth": 16, "greyscale": planes < 3, "alpha": planes in (2, 4)} | options
    stream = io.BytesIO()
    png.Writer(columns, rows, **options).write(stream, pixels.reshape(rows, -1).tolist())
    return stream.getvalue()


def filtered(pixels: Any) -> bytes:
    """Return a PNG of RGB whose rows are filtered by turns: Sub, Up, Average, Paeth."""
    rows, columns, _ = pixels.shape
    stored = pixels.astype(">u2").view(np.uint8).reshape(rows, -1).astype(np.int16)
    above = np.vstack([np.zeros_like(stored[:1]), stored[:-1]])
    left = np.pad(stored, ((0, 0), (6, 0)))[:, :-6]
    corner = np.pad(above, ((0, 0), (6, 0)))[:, :-6]
    guess = left + above - corner
    distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
    paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
    kinds = np.arange(rows) % 4
    predicted = np.choose(kinds[:, None], [left, above, (left + above) // 2, paeth])
    lines = np.column_stack([kinds + 1, (stored - predicted) % 256]).astype(np.uint8)
    plain = encoded(pixels[:1, :1])
    header, *_ = png.Reader(bytes=plain).chunks()
    head = columns.to_bytes(4, "big") + rows.to_bytes(4, "big") + header[1][8:]
    stream = io.BytesIO()
    png.write_chunks(
        stream, [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    )
    return stream.getvalue()


def kinds(rng: np.random.Generator) -> dict[str, bytes]:
    """Return small images of every kind, by name."""
    found = {}
    for planes, bits, interlace in itertools.product((2, 3, 4), (16, 12), (False, True)):
        pixels = rng.integers(0, 2**bits, (21, 34, planes))
        name = f"{planes} channels, {bits} bits" + (", interlaced" if interlace else "")
        found[name] = encoded(pixels, bitdepth=bits, interlace=interlace)
    for planes in (1, 3):
        pixels = rng.integers(0, 3, (21, 34, planes))
        key = tuple(map(int, pixels[0, 0]))
        transparent = key if planes == 3 else key[0]
        found[f"{planes} channels, transparent colour"] = encoded(pixels, transparent=transparent)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rng, size = np.random.default_rng(0), arguments.size
    ramp = np.linspace(0, 30_000, size)
    smooth = (ramp[:, None] + ramp)[..., None] + rng.integers(0, 500, (size, size, 3))
    data = filtered(smooth.astype(np.uint16))
    assert np.array_equal(read_image(data), smooth.astype(np.uint16))
    seconds: dict[str, list[float]] = {name: [] for name in readers()}
    for _ in range(arguments.rounds):
        for name, read in readers().items():
            start = time.process_time()
            read(data)
            seconds[name].append(time.process_time() - start)
    print(", ".join(f"{key}: {value}" for key, value in describe_machine().items()))
    small = kinds(rng)
    for name, read in readers().items():
        expected = {kind: by_pypng(data) for kind, data in small.items()}
        other = [k for k, data in small.items() if not np.array_equal(read(data), expected[k])]
        print(f"{name}: {1000 * min(seconds[name]):.0f} ms; differ: {'; '.join(other) or 'none'}")


if __name__ == "__main__":
    main()
