r"""Iterations and time of conjugate gradients against the size of a picture.

    python benchmarks/bench_cg.py --json benchmarks/results/cg-scaling/rows.json \
        --figure docs/images/cg-scaling.png

Photographs inside scikit-image, grey, their central square brought to N×N by Lanczos, are
transformed at M/N = 1.5 and 2, their phases stored in uint16, and solved for one at a time by the
solver of `cg` as it is used there: it ends as soon as integers explain every phase, which is looked
at every 25 iterations from the 50th. From 1024 on there is a mosaic of four photographs, each N/2.
Beside it the same number of real transforms of the M×M frame and back is timed, a fifth as many
by turns with the iterations, and multiplied. All times are processor seconds, which other
work on the machine disturbs less than the clock. Rows that FILE holds are not measured again;
several calls may share it. Without time (--budget 0) they are drawn and printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from phasegan.devices import describe_machine, set_threads
from phasegan.fourier.encoding import decode, encode
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.phase import analyse
from phasegan.io.atomic import atomic_file, read_json, write_json
from phasegan.plotting.style import COLOURS, styled
from phasegan.reconstruction.exact.certificate import PlaneObservation
from phasegan.reconstruction.exact.integer_search import CertificateConfig, explaining_integers
from phasegan.reconstruction.exact.integers import divide_by_gcd
from phasegan.reconstruction.exact.solver import FIRST_CHECK, ITERATIONS, brightness_functional
from phasegan.reconstruction.protocol import Observation, Problem, Settings
from phasegan.reconstruction.registry import make_method
from phasegan.reconstruction.solvers.cg import CHECK_EVERY, conjugate_gradients

PHOTOGRAPHS = ("astronaut", "camera", "coffee", "chelsea", "rocket", "motorcycle_left")
MOSAIC = "mosaic"
PICTURES = {
    64: PHOTOGRAPHS,
    128: PHOTOGRAPHS,
    256: PHOTOGRAPHS,
    512: PHOTOGRAPHS[:3],
    1024: (MOSAIC, PHOTOGRAPHS[0]),
    2048: (MOSAIC,),
}
RATIOS = (1.5, 2.0)
DTYPES = ("float64", "float32")
HALF_STEP = np.pi / 65536
FFT_SHARE = 5
"""One transform is timed for so many iterations."""
Row = dict[str, Any]


@cache
def photograph(name: str, size: int) -> NDArray[np.uint8]:
    """Return the central square of a photograph, grey, N×N."""
    if name == MOSAIC:
        parts = [photograph(part, size // 2) for part in PHOTOGRAPHS[:4]]
        return np.block([parts[:2], parts[2:]])
    (path,) = Path(str(resources.files("skimage.data"))).glob(f"{name}.*")
    with Image.open(path) as opened:
        grey = opened.convert("L")
    side = min(grey.size)
    left, top = (grey.width - side) // 2, (grey.height - side) // 2
    square = (left, top, left + side, top + side)
    return np.asarray(grey.resize((size, size), Image.Resampling.LANCZOS, box=square))


def ffts(image: torch.Tensor, frame: tuple[int, int], count: int) -> float:
    """Return the processor seconds of so many transforms of the frame, and back."""
    start = time.process_time()
    for _ in range(count):
        spectrum = torch.fft.rfft2(image, s=frame)
        torch.fft.irfft2(spectrum, s=frame)
    return time.process_time() - start


def measure(name: str, size: int, ratio: float, dtype: str, certificate: bool) -> Row:
    """Solve for one picture."""
    picture = photograph(name, size)
    frame = (round(size * ratio),) * 2
    codes = decode(encode(analyse(picture[None], frame).phase, "uint16"))
    kind = getattr(torch, dtype)
    config = CertificateConfig(frame, picture.shape, 255, HALF_STEP, kind, ITERATIONS)
    observation = PlaneObservation(codes[0], None, HALF_STEP)
    image = torch.from_numpy(picture[None].copy()).to(kind)
    found: list[NDArray[np.int64]] = []
    spent = {"ffts": 0.0, "checks": 0.0}
    timed = 0
    ffts(image, frame, 1)

    def check(k: int, _: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        nonlocal timed
        timed += CHECK_EVERY // FFT_SHARE
        spent["ffts"] += ffts(image, frame, CHECK_EVERY // FFT_SHARE)
        start = time.process_time()
        if k >= FIRST_CHECK:
            window = (0, size, 0, size)
            found.extend(explaining_integers(images[0].numpy(), observation, config, window))
        spent["checks"] += time.process_time() - start
        return torch.tensor([bool(found)])

    start, clock = time.process_time(), time.perf_counter()
    phase = torch.from_numpy(codes)
    operator = PhaseOperator(phase, frame, picture.shape, None, kind)
    anchor = brightness_functional(phase, None, frame, picture.shape)
    result = conjugate_gradients(
        operator, anchor, torch.sign(anchor), iterations=ITERATIONS, callback=check
    )
    seconds = time.process_time() - start - spent["ffts"]
    clock = time.perf_counter() - clock
    iterations = int(result.iterations[0])
    products = iterations + iterations // CHECK_EVERY + 1  # with the fresh gradients
    bare = spent["ffts"] / timed * products
    true = divide_by_gcd(picture.astype(np.int64))
    row: Row = {
        "picture": name, "size": size, "ratio": ratio, "dtype": dtype,
        "iterations": iterations, "explained": bool(found),
        "equal": bool(found) and np.array_equal(found[0], true),
        "seconds": round(seconds, 4), "checks_s": round(spent["checks"], 4),
        "ffts_s": round(bare, 4), "times_ffts": round(seconds / bare, 3),
        "clock_s": round(clock, 3),
    }  # fmt: skip
    if certificate:
        problem = Problem(picture.shape, frame, settings=Settings(dtype=dtype, device="cpu"))
        start = time.process_time()
        solution = make_method("cg", problem)(Observation(codes, None, HALF_STEP))
        row["whole_s"] = round(time.process_time() - start, 3)
        row["certified"] = bool(solution.certificates and solution.certificates[0].certified)
    return row


def key(row: Row) -> tuple[int, str, float, str]:
    """Return what tells rows apart."""
    return row["size"], row["picture"], row["ratio"], row["dtype"]


def _span(values: list[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    middle = f"{np.median(values):.0f}"
    return middle if low == high else f"{middle} ({low:.0f}–{high:.0f})"


def _number(rows: list[Row], name: str) -> str:
    values = [row[name] for row in rows if name in row]
    if not values:
        return ""
    value = float(np.median(values))
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def table(rows: list[Row]) -> str:
    """Return a line of Markdown for each N and M/N: medians over pictures, and their range."""
    heads = {"seconds": "seconds", "times_ffts": "× FFTs", "whole_s": "with certificate, s"}
    if not any("whole_s" in row for row in rows):
        del heads["whole_s"]
    named = [f"{head}, {dtype}" for head in ("iterations", *heads.values()) for dtype in DTYPES]
    lines = [
        f"| N | M/N | pictures | {' | '.join(named)} | exact |",
        "|" + "---:|" * (len(named) + 4),
    ]
    for size, ratio in sorted({(row["size"], row["ratio"]) for row in rows}):
        cell = [row for row in rows if (row["size"], row["ratio"]) == (size, ratio)]
        parts = [[row for row in cell if row["dtype"] == dtype] for dtype in DTYPES]
        texts = [_span([row["iterations"] for row in part]) for part in parts]
        texts += [_number(part, name) for name in heads for part in parts]
        pictures = len({row["picture"] for row in cell})
        exact = f"{sum(row['equal'] for row in cell)} of {len(cell)}"
        lines.append(f"| {size} | {ratio:g} | {pictures} | {' | '.join(texts)} | {exact} |")
    return "\n".join(lines)


@styled()
def draw(rows: list[Row], path: Path) -> None:
    """Draw iterations, time a pixel and the ratio to bare transforms against N.

    Lines join medians over pictures, dots are pictures.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(10, 3.5))
    panels = figure.subplots(1, 3)
    values = {
        "iterations": lambda row: row["iterations"],
        "processor time a pixel (µs)": lambda row: row["seconds"] / row["size"] ** 2 * 1e6,
        "time over that of bare FFTs": lambda row: row["times_ffts"],
    }
    for axes, (title, value) in zip(panels, values.items(), strict=True):
        for (colour, ratio), dtype in product(zip(COLOURS, RATIOS, strict=False), DTYPES):
            single = dtype == "float32"
            chosen = [r for r in rows if (r["ratio"], r["dtype"]) == (ratio, dtype)]
            axes.scatter(
                [r["size"] * (1.04 if single else 0.96) for r in chosen],
                [value(r) for r in chosen],
                s=9, alpha=0.4, linewidths=0.7, edgecolors=colour,
                color="none" if single else colour,
            )  # fmt: skip
            sizes = sorted({r["size"] for r in chosen})
            axes.plot(
                sizes,
                [np.median([value(r) for r in chosen if r["size"] == size]) for size in sizes],
                color=colour, label=f"M/N = {ratio:g}, {dtype}",
                linestyle=(0, (4, 2)) if single else "-",
                linewidth=1.5 if single else 3.5, alpha=1.0 if single else 0.45,
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted({row["size"] for row in rows})))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("N, pixels a side")
        axes.set_title(title)
    panels[0].set_ylim(0, None)
    panels[2].set_ylim(0, None)
    panels[1].set_yscale("log")
    panels[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[1].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[1].yaxis.set_minor_formatter(NullFormatter())
    panels[0].legend(loc="upper left")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, pil_kwargs={"optimize": True})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default=",".join(map(str, PICTURES)), help="some of them")
    parser.add_argument("--pictures", type=int, default=6, help="of each size, at most")
    parser.add_argument("--certificate", action="store_true", help="time all of `cg` besides")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, help="seconds after which no row is begun")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args(arguments)
    set_threads(options.threads)
    began = time.perf_counter()
    known = options.json is not None and options.json.exists()
    rows: list[Row] = read_json(options.json)["rows"] if known else []
    for size in map(int, options.sizes.split(",")):
        names = PICTURES[size][: options.pictures]
        for name, ratio, dtype in product(names, RATIOS, DTYPES):
            wanted = {"size": size, "picture": name, "ratio": ratio, "dtype": dtype}
            if any(
                key(row) == key(wanted) and ("whole_s" in row or not options.certificate)
                for row in rows
            ):
                continue
            if options.budget is not None and time.perf_counter() - began >= options.budget:
                continue
            row = measure(name, size, ratio, dtype, options.certificate)
            print(json.dumps(row), flush=True)
            if options.json is not None and options.json.exists():
                rows = read_json(options.json)["rows"]
            rows = [*(other for other in rows if key(other) != key(row)), row]
            rows.sort(key=lambda row: (row["size"], row["ratio"], row["picture"], row["dtype"]))
            if options.json is not None:
                write_json(options.json, {"machine": describe_machine(), "rows": rows})
    print(table(rows))
    if options.figure is not None:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
