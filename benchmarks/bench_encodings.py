"""What each encoding of the phases costs: bytes on disk, with and without compression, and MSE.

    python benchmarks/bench_encodings.py FOLDER [--samples 500] [--size 128] [--json OUT]

The MSE is that of the inverse transform of the true magnitude with the stored phase against the
image, in squared grey levels of 0..255: what rounding the phase does by itself. A compressed
dataset has one sample a chunk; rates are those of h5py alone, on one core, of uncompressed bytes.
blosc and bitshuffle are measured where the package hdf5plugin is installed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import phasegan
from phasegan.devices import describe_machine
from phasegan.fourier.convention import inverse
from phasegan.fourier.phase import analyse

ENCODINGS: dict[str, dict[str, Any]] = {
    "uint16": {"phase_dtype": "uint16"},
    "float16": {"phase_dtype": "float16"},
    "float32": {"phase_dtype": "float32"},
    "uint16, 12 bits": {"phase_dtype": "uint16", "phase_bits": 12},
    "uint16, 8 bits": {"phase_dtype": "uint16", "phase_bits": 8},
    "uint16, 4 bits": {"phase_dtype": "uint16", "phase_bits": 4},
}


def filters() -> dict[str, dict[str, Any]]:
    """Return the compressions by name, as h5py takes them."""
    found: dict[str, dict[str, Any]] = {
        "none": {},
        "lzf, shuffle": {"compression": "lzf", "shuffle": True},
        "gzip 4, shuffle": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    }
    try:
        import hdf5plugin
    except ImportError:
        return found
    return found | {
        "bitshuffle, lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
        "blosc2, zstd, bitshuffle": dict(
            hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE)
        ),
    }


def loss(file: phasegan.data.hdf5.reader.PreparedFile) -> float:
    """Return the mean squared error that the stored phases cost."""
    layout, errors = file.layout, []
    for start in range(0, len(file.train), 64):
        rows = slice(start, start + 64)
        images = file.train.images(rows).astype(np.float64)
        magnitude = analyse(images, layout.frame).magnitude
        spectrum = magnitude * np.exp(1j * file.train.phase(rows))
        again = inverse(spectrum, layout.frame, layout.shape)
        errors.append(np.mean((again - images) ** 2, axis=(-2, -1)))
    return float(np.mean(np.concatenate(errors)))


def compressed(values: np.ndarray, place: Path) -> Iterator[dict[str, Any]]:
    """Yield size and speed of every compression of a dataset."""
    for name, options in filters().items():
        path = place / "c.h5"
        start = time.perf_counter()
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset(
                "x", values.shape, values.dtype, chunks=(1, *values.shape[1:]), **options
            )
            for i, value in enumerate(values):
                dataset[i] = value
            file.flush()
            stored = dataset.id.get_storage_size()
        wrote = time.perf_counter() - start
        with h5py.File(path) as file:
            start = time.perf_counter()
            for i in range(len(values)):
                file["x"][i]
            read = time.perf_counter() - start
        yield {
            "compression": name,
            "share": stored / values.nbytes,
            "write_mb_s": values.nbytes / 1e6 / wrote,
            "read_mb_s": values.nbytes / 1e6 / read,
        }


def main() -> None:
    """Measure, print and perhaps save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in ENCODINGS.items():
            path = Path(scratch) / "p.h5"
            phasegan.prepare(
                given.folder, path, size=given.size, samples=given.samples, test=0,
                overwrite=True, **options,
            )  # fmt: skip
            with phasegan.open(path) as file:
                row: dict[str, Any] = {
                    "encoding": name,
                    "bytes_per_sample": path.stat().st_size / given.samples,
                    "mse": loss(file),
                    "phase": list(compressed(file.train.codes(), Path(scratch))),
                }
                if name == "uint16":
                    row["images"] = list(compressed(file.train.images(), Path(scratch)))
            rows.append(row)
            print(f"{name:18} {row['bytes_per_sample']:9,.0f} B/sample   MSE {row['mse']:.3g}")
            for kind in ("phase", "images"):
                for found in row.get(kind, []):
                    print(
                        f"    {kind:7} {found['compression']:26} {100 * found['share']:6.1f} % of "
                        f"its size, writes {found['write_mb_s']:5.0f} MB/s, "
                        f"reads {found['read_mb_s']:5.0f} MB/s"
                    )
    if given.json is not None:
        document = {
            "machine": describe_machine(), "samples": given.samples, "size": given.size,
            "encodings": rows,
        }  # fmt: skip
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
