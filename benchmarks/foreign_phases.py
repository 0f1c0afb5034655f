"""Phases as other programs leave them: made, reconstructed by the command, drawn.

    python benchmarks/foreign_phases.py [--markdown] [--image docs/images/foreign-phases.png]

Every kind is a line of numpy that writes a file in the current folder and a command that reads
it; `docs/phases.md` lists both, and a test compares it with this file and runs them. The pictures
are photographs inside scikit-image, `x` of 64×64 pixels unless the kind says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import matplotlib
import numpy as np
import scipy.fft
import scipy.io
import skimage.data
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.restoration import unwrap_phase

from phasegan.cli import main as phasegan_main
from phasegan.fourier.layouts import from_half_plane
from phasegan.plotting.sheet import label_font
from phasegan.reconstruction.inputs.arrays import read_phase

CERTIFIED, UP_TO_SCALE, ESTIMATED = "certified", "unique up to scale", "estimated"


@dataclass(frozen=True)
class Kind:
    """Phases of one origin."""

    name: str
    numpy: str
    """What makes the file: statements, with `x` the picture and `save` those of a program."""
    command: str
    """`phasegan reconstruct` without the output."""
    matlab: str = ""
    picture: str = "camera"
    shape: tuple[int, int] = (64, 64)
    colour: bool = False
    upside_down: bool = False
    """What has these phases is the picture upside down."""
    verdict: str = CERTIFIED

    @property
    def source(self) -> str:
        """INPUT of the command."""
        return self.command.split()[2]


KINDS = (
    Kind(
        "`fft2`, zeros behind",
        "np.save('full.npy', np.angle(np.fft.fft2(x, s=(128, 128))))",
        "phasegan reconstruct full.npy --layout full --shape 64",
        "p = angle(fft2(x, 128, 128));",
    ),
    Kind(
        "`fftshift` after it, in a MATLAB file",
        "p = np.fft.fftshift(np.angle(np.fft.fft2(x, s=(128, 128))))\n"
        "scipy.io.savemat('shifted.mat', {'p': p})",
        "phasegan reconstruct shifted.mat::p --layout centred --shape 64",
        "p = fftshift(angle(fft2(x, 128, 128)));  save shifted.mat p",
        picture="coins",
    ),
    Kind(
        "object in the middle, zeros on all sides",
        "np.save('middle.npy', np.angle(np.fft.fft2(np.pad(x, 32))))",
        "phasegan reconstruct middle.npy --layout full --origin centre --shape 64",
        "p = angle(fft2(padarray(x, [32 32])));",
        picture="coffee",
    ),
    Kind(
        "textbook optics: `fftshift(fft2(ifftshift(…)))`",
        "p = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(np.pad(x, 32))))\n"
        "np.save('optics.npy', np.angle(p))",
        "phasegan reconstruct optics.npy --layout centred --origin ifftshift --shape 64",
        "p = angle(fftshift(fft2(ifftshift(padarray(x, [32 32])))));",
        picture="astronaut",
    ),
    Kind(
        "the other sign, e^{+i…}",
        "np.save('plus.npy', np.angle(np.fft.ifft2(np.pad(x, 32))))",
        "phasegan reconstruct plus.npy --layout full --sign + --origin centre --shape 64",
        "p = angle(ifft2(padarray(x, [32 32])));",
        picture="chelsea",
    ),
    Kind(
        "half of the rows, `rfft2` along them",
        "np.save('rows.npy', np.angle(scipy.fft.rfft2(x, s=(128, 128), axes=(1, 0))))",
        "phasegan reconstruct rows.npy --layout half-rows --shape 64",
        picture="moon",
    ),
    Kind(
        "a rectangle, half-plane of odd width",
        "np.save('wide.npy', np.angle(np.fft.rfft2(x, s=(128, 191))))",
        "phasegan reconstruct wide.npy --frame 128x191 --shape 64x95",
        picture="coffee",
        shape=(64, 95),
    ),
    Kind(
        "degrees from 0 to 360, single precision, HDF5",
        "p = np.mod(np.degrees(np.angle(np.fft.rfft2(x, s=(128, 128)))), 360)\n"
        "with h5py.File('scan.h5', 'w') as f: f['exp/phase'] = p.astype(np.float32)",
        "phasegan reconstruct scan.h5::/exp/phase --units deg --shape 64",
        picture="brick",
    ),
    Kind(
        "codes of a modulator (SLM), 12 bits",
        "p = np.angle(np.fft.fft2(x, s=(128, 128)))\n"
        "np.save('slm.npy', (np.rint(p / (2 * np.pi) * 4096) % 4096).astype(np.uint16))",
        "phasegan reconstruct slm.npy --layout full --units codes12 --shape 64",
        "k = uint16(mod(round(p / (2*pi) * 4096), 4096));",
        picture="camera",
    ),
    Kind(
        "a 16-bit picture, black −π, white π",
        "p = np.fft.fftshift(np.angle(np.fft.fft2(x, s=(128, 128))))\n"
        "grey = np.rint((p + np.pi) / (2 * np.pi) * 65535).astype(np.uint16)\n"
        "Image.fromarray(grey).save('phase.png')",
        "phasegan reconstruct phase.png --as-phases --units grey16 --layout centred --shape 64",
        "imwrite(uint16(round((p + pi) / (2*pi) * 65535)), 'phase.png')",
        picture="coins",
    ),
    Kind(
        "a TIFF of floats",
        "p = np.fft.fftshift(np.angle(np.fft.fft2(x, s=(128, 128))))\n"
        "tifffile.imwrite('phase.tif', p.astype(np.float32))",
        "phasegan reconstruct phase.tif --as-phases --layout centred --shape 64",
        picture="chelsea",
    ),
    Kind(
        "normalised to 0…1, (φ + π) / 2π",
        "p = np.angle(np.fft.fft2(x, s=(128, 128)))\n"
        "np.save('unit.npy', (p + np.pi) / (2 * np.pi))",
        "phasegan reconstruct unit.npy --layout full --units turns --offset 0.5 --shape 64",
        "u = (p + pi) / (2*pi);",
        picture="astronaut",
    ),
    Kind(
        "unwrapped in two dimensions",
        "p = np.fft.fftshift(np.angle(np.fft.fft2(np.pad(x, 32))))\n"
        "np.save('unwrapped.npy', unwrap_phase(p))",
        "phasegan reconstruct unwrapped.npy --layout centred --origin centre --unwrapped "
        "--shape 64",
        picture="moon",
    ),
    Kind(
        "phasors, 0 where nothing was measured",
        "z = np.fft.fft2(x, s=(128, 128)); z /= np.abs(z); z[40:44, 30:60] = 0\n"
        "np.save('phasors.npy', z)",
        "phasegan reconstruct phasors.npy --layout full --units phasor --shape 64",
        "z = exp(1i * p);",
        picture="brick",
    ),
    Kind(
        "a global phase, 0.7 rad everywhere",
        "z = np.fft.fft2(x, s=(128, 128)) * np.exp(0.7j)\nnp.save('global.npy', np.angle(z))",
        "phasegan reconstruct global.npy --layout full --offset 0.7 --shape 64",
        picture="coffee",
    ),
    Kind(
        "upside down, first row last",
        "np.save('flipped.npy', np.flipud(np.angle(np.fft.fft2(x, s=(128, 128)))))",
        "phasegan reconstruct flipped.npy --layout full --zero 127,0 --origin 65,0 --shape 64",
        "p = flipud(p);",
        picture="chelsea",
        upside_down=True,
    ),
    Kind(
        "the mean of the frame subtracted",
        "w = np.zeros((128, 128)); w[:64, :64] = x\n"
        "np.save('no-mean.npy', np.angle(np.fft.fft2(w - w.mean())))",
        "phasegan reconstruct no-mean.npy --layout full --mean-removed --shape 64",
        picture="camera",
    ),
    Kind(
        "packed netCDF with `_FillValue`",
        "p = np.angle(np.fft.rfft2(x, s=(128, 128))); step = np.pi / 32767\n"
        "k = np.rint(p / step).astype(np.int16); k[50:54] = -32768\n"
        "with h5py.File('packed.nc', 'w') as f:\n"
        "    d = f.create_dataset('phase', data=k)\n"
        "    d.attrs.update(scale_factor=step, add_offset=0.0, _FillValue=np.int16(-32768))",
        "phasegan reconstruct packed.nc::/phase --shape 64",
        picture="coins",
    ),
    Kind(
        "a mask in the same HDF5 file",
        "p = np.angle(np.fft.rfft2(x, s=(128, 128))); ok = np.ones(p.shape, bool)\n"
        "ok[60:70, 10:20] = False; p[~ok] = np.nan\n"
        "with h5py.File('masked.h5', 'w') as f: f['phase'], f['mask'] = p, ok",
        "phasegan reconstruct masked.h5::/phase --mask masked.h5::/mask --shape 64",
        picture="astronaut",
    ),
    Kind(
        "colour, channels last",
        "np.save('colour.npy', np.angle(np.fft.fft2(x, s=(128, 128), axes=(0, 1))))",
        "phasegan reconstruct colour.npy --layout full --channel-axis -1 --shape 64",
        "for c = 1:3, p(:,:,c) = angle(fft2(x(:,:,c), 128, 128)); end",
        picture="chelsea",
        colour=True,
    ),
    Kind(
        "the mean of the object subtracted",
        "np.save('object-mean.npy', np.angle(np.fft.fft2(x - x.mean(), s=(128, 128))))",
        "phasegan reconstruct object-mean.npy --layout full --mean-removed --shape 64",
        "p = angle(fft2(x - mean(x(:)), 128, 128));",
        picture="coins",
        verdict=UP_TO_SCALE,
    ),
    Kind(
        "an 8-bit hologram, 0…255 for 0…2π",
        "p = np.fft.fftshift(np.angle(np.fft.fft2(np.pad(x, 32))))\n"
        "k = np.rint(p / (2 * np.pi) * 256).astype(np.int64) % 256\n"
        "Image.fromarray(k.astype(np.uint8)).save('hologram.png')",
        "phasegan reconstruct hologram.png --as-phases --units codes8 --layout centred "
        "--origin centre --shape 64",
        "imwrite(uint8(mod(round(p / (2*pi) * 256), 256)), 'hologram.png')",
        picture="astronaut",
        verdict=ESTIMATED,
    ),
)
"""Each certifies but the last two."""


def picture(kind: Kind) -> NDArray[np.uint8]:
    """Return the picture of a kind, (N₁, N₂) or (N₁, N₂, 3)."""
    whole = Image.fromarray(getattr(skimage.data, kind.picture)())
    rows, columns = kind.shape
    scale = min(whole.width / columns, whole.height / rows)
    width, height = round(columns * scale), round(rows * scale)
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    part = whole.convert("RGB" if kind.colour else "L").crop(
        (left, top, left + width, top + height)
    )
    return np.asarray(part.resize((columns, rows), Image.Resampling.LANCZOS))


def make(kind: Kind) -> None:
    """Write the file of a kind into the current folder, by its own code."""
    names: dict[str, Any] = {
        "np": np, "scipy": scipy, "h5py": h5py, "tifffile": tifffile, "Image": Image,
        "unwrap_phase": unwrap_phase, "x": picture(kind),
    }  # fmt: skip
    exec(kind.numpy, names)


def run(kind: Kind) -> tuple[NDArray[np.floating], str]:
    """Reconstruct by the command, in the current folder.

    Returns
    -------
    (numpy.ndarray, str)
        The estimate, (1, N₁, N₂[, 3]), and what the command said.
    """
    output = f"{kind.source.split('::')[0]}-out.h5"
    arguments = [*shlex.split(kind.command)[1:], "-o", output, "--overwrite", "--threads", "1"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = phasegan_main(arguments)
    if status:
        raise RuntimeError(f"{kind.command}: {said.getvalue()}")
    with h5py.File(output) as file:
        return file["estimate"][:], said.getvalue()


def verdict(kind: Kind, estimate: NDArray[np.floating], said: str) -> str:
    """Return what holds for an estimate."""
    true = picture(kind).astype(np.int64)
    true = true[::-1] if kind.upside_down else true
    if "1 of 1 images certified" in said or "3 of 3 planes certified" in said:
        channels = true.reshape(-1, 3).T if kind.colour else [true.ravel()]
        divisors = [np.gcd.reduce(channel) for channel in channels]
        exact = bool(
            (estimate[0] * np.array(divisors if kind.colour else divisors[0]) == true).all()
        )
        return CERTIFIED if exact else "WRONGLY CERTIFIED"
    return UP_TO_SCALE if "1 of 1 images unique up to scale" in said else ESTIMATED


def as_given(kind: Kind) -> NDArray[np.uint8]:
    """Return the plane of phases as it stands in the file, in cyclic colours."""
    words = shlex.split(kind.command)
    options = dict(itertools.pairwise(words))
    units, layout = options.get("--units", "rad"), options.get("--layout", "half")
    frame = (128, 191) if "--frame" in options else (128, 128)
    mask = options.get("--mask")
    half = read_phase(
        kind.source, layout=layout, units=units, frame=frame, mask=mask,
        unwrapped="--unwrapped" in words, symmetrise=True, warn=lambda line: None,
        channel_axis=-1 if kind.colour else None,
    )  # fmt: skip
    plane = half.phase[0, 1] if kind.colour else half.phase[0]
    laid = from_half_plane(plane, layout=layout, units="rad", frame=frame)
    colours = matplotlib.colormaps["twilight"](laid / (2 * np.pi) + 0.5)[..., :3]
    if half.trusted is not None and layout == "half":
        colours[~half.trusted[0]] = 1.0
    return np.rint(colours * 255).astype(np.uint8)


def gallery(
    tiles: list[tuple[Kind, NDArray[Any], NDArray[Any], str]], columns: int = 4
) -> Image.Image:
    """Draw phases beside what was reconstructed from them, a tile a kind."""
    side, gap, text = 96, 6, 30
    width, height = 2 * side + 3 * gap, side + text + gap
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * width + gap, rows * height + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (kind, plane, estimate, label) in enumerate(tiles):
        left, top = i % columns * width + gap, i // columns * height + gap
        for j, pixels in enumerate((plane, estimate)):
            tile = Image.fromarray(pixels).convert("RGB")
            scale = side / max(tile.size)
            size = round(tile.width * scale), round(tile.height * scale)
            place = left + j * (side + gap), top + text - 2
            sheet.paste(tile.resize(size, Image.Resampling.NEAREST), place)
        draw.text(
            (left, top - 3), f"{i + 1}  {kind.source}", fill=(32, 32, 32), font=label_font(12)
        )
        draw.text((left, top + 11), label, fill=(20, 110, 50), font=label_font(11))
    return sheet.quantize(160, dither=Image.Dither.NONE)


def as_pixels(estimate: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return an estimate as it is drawn: smallest integers and known scales brightened."""
    top = float(estimate.max())
    return np.rint(np.clip(estimate[0] * (255 / top if top < 128 else 1), 0, 255)).astype(np.uint8)


def markdown() -> str:
    """Return the list of kinds as it stands in docs/phases.md."""
    parts = []
    for i, kind in enumerate(KINDS, 1):
        matlab = f"\n```matlab\n{kind.matlab}\n```\n" if kind.matlab else ""
        end = f"{kind.verdict.capitalize()}{', upside down' * kind.upside_down}."
        parts.append(
            f"### {i}. {kind.name}\n\n```python\n{kind.numpy}\n```\n{matlab}\n"
            f"    {kind.command} -o out\n\n{end}\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Run every kind; draw them, or print the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="print the list for the page")
    parser.add_argument("--image", type=Path, help="draw the gallery into this PNG")
    given = parser.parse_args()
    if given.markdown:
        print(markdown())
        return
    tiles, start = [], Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for kind in KINDS:
            make(kind)
            estimate, said = run(kind)
            label = verdict(kind, estimate, said)
            print(f"{label:20} {kind.command}")
            tiles.append((kind, as_given(kind), as_pixels(estimate), label))
        os.chdir(start)
    if given.image is not None:
        gallery(tiles).save(given.image, optimize=True)


if __name__ == "__main__":
    main()
