"""One small valid file of every kind that phasegan reads, made here."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phasegan.benchmark.cases import case_folder
from phasegan.data.recipes import recipe_folder

SIDE = 24
_PLAIN = {
    "png": {}, "jpg": {"quality": 90}, "gif": {}, "bmp": {}, "webp": {"lossless": True},
    "ppm": {}, "tga": {}, "ico": {}, "jp2": {}, "tif": {"compression": "tiff_deflate"}, "qoi": {},
    "pcx": {}, "sgi": {}, "avif": {}, "dds": {}, "icns": {},
}  # fmt: skip
"""Suffixes of pictures of 8 bits, and how Pillow is to write them."""

FLOATS = ("float.tif", "zlib.tif", "lzma.tif")
"""What `phasegan prepare` refuses of these."""


def pictures(folder: Path) -> dict[str, list[Path]]:
    """Write pictures; return them by the name of their format."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    smooth = np.stack([rows * 9, columns * 9, rows + columns], -1).astype(np.uint8)
    colour = smooth + rng.integers(0, 20, smooth.shape, np.uint8)
    made: dict[str, list[Path]] = {}
    for suffix, options in _PLAIN.items():
        name = folder / f"rgb.{suffix}"
        try:
            Image.fromarray(colour).save(name, **options)
        except (KeyError, OSError, ValueError):  # a format that this Pillow does not write
            continue
        made[suffix] = [name]
    palette = Image.fromarray(colour).convert("P")
    palette.save(folder / "palette.png", transparency=3)
    frames = [Image.fromarray(np.roll(colour, 5 * i, 0)) for i in range(3)]
    for suffix in ("gif", "webp", "tif"):
        frames[0].save(folder / f"frames.{suffix}", save_all=True, append_images=frames[1:])
        made[suffix].append(folder / f"frames.{suffix}")
    (folder / "p.pgm").write_bytes(
        b"P5 24 24 65535\n" + (colour[..., 0] * np.uint16(257)).astype(">u2").tobytes()
    )
    made["png"].append(folder / "palette.png")
    made["ppm"].append(folder / "p.pgm")
    made["png, 16 bits"] = _deep_png(folder, colour)
    made["tif, tifffile"] = _tiffs(folder, colour)
    return made


def _deep_png(folder: Path, colour: Any) -> list[Path]:
    import png

    deep = colour.astype(np.uint16) * 257
    paths = [folder / "deep.png", folder / "interlaced.png"]
    for path, interlace in zip(paths, (False, True), strict=True):
        with open(path, "wb") as stream:
            writer = png.Writer(SIDE, SIDE, greyscale=False, bitdepth=16, interlace=interlace)
            writer.write(stream, deep.reshape(SIDE, -1).tolist())
    return paths


def _tiffs(folder: Path, colour: Any) -> list[Path]:
    import tifffile

    values = np.linspace(0, 1, SIDE * SIDE * 5, dtype=np.float32).reshape(SIDE, SIDE, 5)
    deep = colour.astype(np.uint16) * 257
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "float": (values[..., 0], {}),
        "zlib": (values, {"compression": "zlib", "photometric": "minisblack", "planarconfig": 1}),
        "tiles": (deep, {"tile": (16, 16), "compression": "zlib", "photometric": "rgb"}),
        "big": (deep, {"bigtiff": True, "photometric": "rgb"}),
        "lzma": (values[..., 0], {"compression": "lzma"}),
    }
    paths = []
    for name, (pixels, options) in kinds.items():
        paths.append(folder / f"{name}.tif")
        tifffile.imwrite(paths[-1], pixels, **options)
    return paths


def arrays(folder: Path) -> dict[str, list[Path]]:
    """Write phases, (3, 16, 9) radians, in every kind of file that `reconstruct` takes."""
    import h5py
    from scipy.io import savemat

    rng = np.random.default_rng(1)
    spectra = np.fft.rfft2(rng.integers(0, 256, (3, 16, 16)).astype(float))
    phase = np.angle(spectra)
    np.save(folder / "phase.npy", phase)
    np.save(folder / "fortran.npy", np.asfortranarray(phase.astype(">f4")))
    np.savez(folder / "phase.npz", phase=phase)
    np.savez_compressed(folder / "packed.npz", phase=phase)
    rolled = np.moveaxis(phase, 0, -1)
    savemat(folder / "phase.mat", {"phase": rolled}, do_compression=True)
    savemat(folder / "plain.mat", {"phase": rolled})
    savemat(folder / "old.mat", {"phase": phase[0]}, format="4")
    for name, version in (("phase.h5", None), ("new.h5", "v110")):
        with h5py.File(folder / name, "w", libver=version) as file:
            file.create_dataset("entry/phase", data=phase, chunks=(1, 16, 9), compression="gzip")
            file["entry/phase"].attrs["units"] = "rad"
    pixels = rng.uniform(size=(20, 20, 3)).astype(np.float32)
    np.save(folder / "pixels.npy", pixels)
    return {
        "npy": [folder / "phase.npy", folder / "fortran.npy"],
        "npz": [folder / "phase.npz", folder / "packed.npz"],
        "mat": [folder / "phase.mat", folder / "plain.mat", folder / "old.mat"],
        "hdf5": [folder / "phase.h5", folder / "new.h5"],
        "pixels": [folder / "pixels.npy"],
    }


def archives(folder: Path) -> dict[str, list[Path]]:
    """Write archives of four pictures and a text."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "PNG")
    members = {f"set/{name}/1.png": buffer.getvalue() for name in ("A", "B", "C", "D")}
    members["set/readme.txt"] = b"text\n" * 20
    with zipfile.ZipFile(folder / "pair.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    tars = [folder / f"pair.tar{suffix}" for suffix in ("", ".gz", ".bz2", ".xz")]
    for path in tars:
        mode = f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w"
        with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    return {"zip": [folder / "pair.zip"], "tar": tars}


def films(folder: Path) -> list[Path]:
    """Write three films of six frames; none without PyAV."""
    try:
        import av
    except ImportError:
        return []
    paths = []
    for suffix, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")):
        paths.append(folder / f"film.{suffix}")
        with av.open(str(paths[-1]), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for i in range(6):
                pixels = np.full((48, 64, 3), 40 * i, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return paths


def prepared(folder: Path) -> list[Path]:
    """Prepare files of phases, with and without what is optional."""
    import phasegan

    rng = np.random.default_rng(2)
    root = folder / "pictures"
    for i in range(6):
        split = root / ("test" if i > 3 else "train")
        split.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (28, 25, 3), np.uint8)
        Image.fromarray(pixels).save(split / f"{i}.png")
    kinds: dict[str, dict[str, Any]] = {
        "plain": {"size": 24},
        "rgb": {"size": 16, "channels": "rgb", "oversample": 2},
        "phases": {"size": 16, "images": False, "phase_dtype": "float32"},
    }
    for name, options in kinds.items():
        phasegan.prepare(root, folder / f"{name}.h5", workers=1, **options)
    return [folder / f"{name}.h5" for name in kinds]


def sharded(folder: Path, pictures: Path) -> Path:
    """Prepare pictures in two shards; return the file that joins them, beside which they are."""
    import phasegan

    path = folder / "sharded" / "joined.h5"
    path.parent.mkdir()
    phasegan.prepare(pictures, path, size=24, shards=2, workers=1)
    return path


def domains(folder: Path) -> list[Path]:
    """Prepare a file of two domains of pictures."""
    import phasegan

    rng = np.random.default_rng(3)
    root = folder / "pair"
    for name in ("trainA", "trainB", "testA", "testB"):
        (root / name).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 256, (20 + i, 18, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    phasegan.prepare_domains(root, folder / "domains.h5", load=16, workers=1)
    return [folder / "domains.h5"]


def run(folder: Path, data: Path) -> Path:
    """Train for a moment; return the run folder."""
    import phasegan

    options: dict[str, Any] = {"base_channels": 2, "blocks": 1, "device": "cpu"}
    phasegan.train(data, folder / "run", preset="paper", epochs=1, samples=2, **options)
    return folder / "run"


def weights(folder: Path) -> dict[str, list[Path]]:
    """Save a generator's weights as phasegan and as others do."""
    import torch

    from phasegan.models.build import make_generator
    from phasegan.models.weights import save_weights

    torch.manual_seed(0)
    network = make_generator({"kind": "resnet", "in_channels": 3, "out_channels": 3,
                              "base_channels": 4, "blocks": 2})  # fmt: skip
    save_weights(network, folder / "g.safetensors", {"label": "fuzz"})
    state = {k: v.detach().clone() for k, v in network.state_dict().items()}
    torch.save(state, folder / "zip.pth")
    torch.save(
        {"epoch": 3, "state_dict": state}, folder / "old.pth", _use_new_zipfile_serialization=False
    )
    return {
        "safetensors": [folder / "g.safetensors"],
        "pth": [folder / "zip.pth", folder / "old.pth"],
    }


def documents(folder: Path) -> dict[str, list[Path]]:
    """Write recipes, a case, and results of a bench."""
    (folder / "recipe.toml").write_text(
        'format = 1\nname = "mine"\ntitle = "x"\n[source]\nkind = "folder"\npath = "pictures"\n'
        '[preprocessing]\nsize = 64\nchannels = "gray"\nfit = "crop"\noversample = 1\n'
        "[split]\nseed = 0\n",
        encoding="utf-8",
    )
    shipped = {
        "pair": recipe_folder() / "horse2zebra.toml",
        "case": case_folder() / "published.toml",
    }
    for name, path in shipped.items():
        (folder / f"{name}.toml").write_bytes(path.read_bytes())
    results = {
        "format": 2,
        "data": {"digest": "0" * 64},
        "sources": {"test": ["a.png", "b.png"], "train": {"0": ["c.png"]}},
        "rows": [
            {"method": "zero", "samples": None, "epochs": None, "seed": None, "status": "ok",
             "per_image": {"mse": [1.5, 2.25]}},
            {"method": "physics", "samples": 2, "epochs": 1, "seed": 0, "status": "ok",
             "split": "test", "per_image": {"mse": [0.5, 0.25]}},
        ],
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return {
        "recipe": [folder / "recipe.toml"],
        "pair": [folder / "pair.toml"],
        "case": [folder / "case.toml"],
        "results": [folder / "results.json"],
    }
