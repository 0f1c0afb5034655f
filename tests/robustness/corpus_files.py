"""Bad inputs that are no pictures: arrays, archives, weights, recipes, runs, films."""

from __future__ import annotations

import functools
import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from corpus import literal, npy, picture


class Trap:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def bad_phases() -> dict[str, bytes]:
    """Return files that are named as arrays of phases and cannot be used."""
    whole = io.BytesIO()
    np.savez_compressed(whole, phase=np.zeros((3, 16, 9)))
    packed = whole.getvalue()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("phase.npy", npy(literal("<f8", "(99999, 99999, 99)"), bytes(1 << 20)))
    objects = io.BytesIO()
    with zipfile.ZipFile(objects, "w") as archive:
        archive.writestr("phase.npy", npy(literal("|O", "(1,)"), pickle.dumps([1])))
    wrong = bytearray(packed)
    wrong[60] ^= 0xFF
    matlab = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    old = struct.pack("<iiiii", 0, 99_999, 99_999, 0, 6) + b"phase\0"
    return {
        "empty.npy": b"",
        "text.npy": b"0.1 0.2\n",
        "bomb.npy": npy(literal("<f8", "(9999, 99999, 99999)")),
        "nested.npy": npy(b"[" * 9000),
        "objects.npy": npy(literal("|O", "(1,)"), pickle.dumps([1])),
        "strings.npy": npy(literal("<U8", "(4, 4)"), bytes(512)),
        "empty.npz": b"",
        "half.npz": packed[: len(packed) // 2],
        "wrong.npz": bytes(wrong),
        "bomb.npz": bomb.getvalue(),
        "objects.npz": objects.getvalue(),
        "nothing.npz": b"PK\x05\x06" + bytes(18),
        "empty.mat": b"",
        "text.mat": b"phase = 3;\n",
        "nothing.mat": matlab,
        "cut.mat": matlab + struct.pack("<II", 14, 1 << 30) + bytes(8),
        "packed.mat": matlab + struct.pack("<II", 15, 100) + bytes(100),
        "bomb.mat": old,
        "text.h5": b"hello",
        "half.h5": b"\x89HDF\r\n\x1a\n" + b"\x00\x00\x00\x00\x00\x08\x08\x00" + bytes(500),
    }


OUTSIDE = "/phasegan-was-led-astray"
"""Where archives would write."""


@functools.cache
def bad_archives() -> dict[str, bytes]:
    """Return archives that are damaged or hostile."""
    good = picture("PNG")

    def packed(members: list[tuple[str, bytes]]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return stream.getvalue()

    def tarred(*infos: tuple[str, bytes, bytes, str]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, kind, data, link in infos:
                info = tarfile.TarInfo(name)
                info.type, info.size, info.linkname = kind, len(data), link
                archive.addfile(info, io.BytesIO(data))
        return stream.getvalue()

    file, link, hard, device, fifo = (
        tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE,
    )  # fmt: skip
    claims = tarfile.TarInfo("set/A/1.png")
    claims.size = 10**12
    endless = bytearray(tarfile.TarInfo("././@LongLink").tobuf(tarfile.GNU_FORMAT))
    endless[156:157], endless[124:136] = b"L", b"77777777777\0"
    endless[148:156] = b" " * 8
    endless[148:156] = b"%06o\0 " % sum(endless[:512])
    whole = packed([("set/A/1.png", good), ("set/B/1.png", good)])
    return {
        "empty.zip": b"",
        "page.zip": b"<html>404</html>",
        "half.zip": whole[: len(whole) // 2],
        "up.zip": packed([("set/A/1.png", good), ("set/A/../../../out.png", good)]),
        "absolute.zip": packed([(f"{OUTSIDE}/out.png", good)]),
        "nameless.zip": whole.replace(b"set/A/1.png", b"\0et/A/1.png"),
        "bomb.zip": packed([(f"set/A/{i}.png", bytes(40_000_000)) for i in range(3)]),
        "no-pictures.zip": packed([("readme.txt", b"x")]),
        "empty.tar": b"",
        "up.tar": tarred(("../out.png", file, good, "")),
        "absolute.tar": tarred((f"{OUTSIDE}/out.png", file, good, "")),
        "link.tar": tarred(("set/A", link, b"", OUTSIDE), ("set/A/out.png", file, good, "")),
        "hard.tar": tarred(("set/A/1.png", hard, b"", "/etc/passwd")),
        "device.tar": tarred(("set/A/1.png", device, b"", "")),
        "pipe.tar": tarred(("set/A/1.png", fifo, b"", "")),
        "claims.tar": claims.tobuf() + bytes(2000),
        "long-name.tar": gzip.compress(bytes(endless) + bytes(150_000_000), 9),
        "skipped.tar": gzip.compress(
            tarred(("other/huge.bin", file, bytes(150_000_000), "")), 9
        ),
    }  # fmt: skip


def bad_weights(trap: Path, whole: bytes) -> dict[str, bytes]:
    """Return weights files that are damaged or hostile.

    Parameters
    ----------
    trap : pathlib.Path
        A folder that is there when code of a file was run.
    whole : bytes
        A valid safetensors file.
    """

    def saved(value: object, **options: object) -> bytes:
        stream = io.BytesIO()
        torch.save(value, stream, **options)
        return stream.getvalue()

    def headed(header: bytes, data: bytes = b"") -> bytes:
        return struct.pack("<Q", len(header)) + header + data

    flipped = bytearray(whole)
    flipped[-3] ^= 4
    nested = b'{"__metadata__":{"phasegan":"' + b"[" * 100_000 + b'"}}'
    return {
        "empty.safetensors": b"",
        "text.safetensors": b"hello",
        "half.safetensors": whole[: len(whole) // 2],
        "flipped.safetensors": bytes(flipped),
        "endless.safetensors": struct.pack("<Q", 2**62) + b"{}",
        "claims.safetensors": headed(
            b'{"a":{"dtype":"F32","shape":[99999,99999],"data_offsets":[0,39999200004]}}'
        ),
        "nested.safetensors": headed(nested),
        "deep.safetensors": headed(b"[" * 100_000),
        "nothing.safetensors": headed(b"{}"),
        "empty.pth": b"",
        "text.pth": b"hello",
        "bomb.pth": saved(Trap(trap)),
        "bomb-in-dict.pth": saved({"model.1.weight": torch.ones(3), "x": Trap(trap)}),
        "bomb-old.pth": saved(Trap(trap), _use_new_zipfile_serialization=False),
        "pickle.pth": pickle.dumps(Trap(trap)),
        "pickle.pt": pickle.dumps({"state_dict": Trap(trap)}, protocol=0),
        "half.pth": saved({"w": torch.ones(1000)})[:900],
        "object.ckpt": saved(torch.nn.Linear(1, 1)),
    }


BAD_RECIPES = {
    "empty.toml": b"",
    "text.toml": b"hello",
    "binary.toml": bytes(range(256)),
    "nested.toml": b"a = " + b"[" * 100_000,
    "deep.toml": b"a." * 5000 + b"b = 1",
    "long.toml": b"a." * 50_000 + b"b = 1",
    "number.toml": b"format = " + b"9" * 10_000,
    "future.toml": b'format = 99\nname = "x"\n[source]\nkind = "folder"\npath = "x"\n',
    "unknown.toml": b'name = "x"\nnmae = 3\n[source]\nkind = "folder"\npath = "x"\n',
    "line\\nbreak.toml": b'"a\\nb" = 3\nname = "x"\n[source]\nkind = "folder"\npath = "x"\n',
    "kind.toml": b'name = "x"\n[source]\nkind = "network"\npath = "x"\n',
    "away.toml": b'name = "../../x"\n[source]\nkind = "folder"\npath = "x"\n',
    "sizes.toml": b'name="x"\n[source]\nkind="folder"\npath="."\n[preprocessing]\nsize=1e99\n',
    "latin.toml": b'name = "\xe9"\n',
}
"""Recipes that cannot be used."""

BAD_RUN_FILES = {
    "config.json": [
        b"", b"hello", b"{}", b"[]", b"null", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000,
        b'{"format": 99, "config": {}}', b'{"format": 1, "config": {"preset": "magic"}}',
        b'{"format": 1, "config": {"preset": ["paper"]}}',
        b'{"format": 1, "config": {"epochs": 1e999}}',
        b'{"format": ' + b"9" * 10_000 + b"}",
    ],
    "status.json": [b"", b"hello", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000,
                    b'{"state": "x\\ny"}', b'{"a\\nb": 3}'],
}  # fmt: skip
"""Contents of a run folder's files that cannot be used."""

BAD_LOSSES = [
    b"", b"hello\n", b"\xff\xfe\n", b"{}\n", b"[1, 2]\n", b'{"step": 1}\n', b"[" * 100_000,
    b'{"step": 1e999, "epoch": 1}\n', b'{"step": "x", "epoch": 1}\n', b"3\n",
    b'{"step": 1, "epoch": 1, "cycle_b": ' + b"9" * 400 + b"}\n",
    b'{"step": 1, "epoch": 1, "validation": 3}\n', b'{"step": 1, "epoch": [1]}\n',
    b'{"step": 1' + b"0" * 300 + b', "epoch": 1}\n',
]  # fmt: skip
"""Records of a run that are left out."""


def bad_films(whole: bytes) -> dict[str, bytes]:
    """Return files that are named as films and cannot be used."""
    return {
        "empty.mp4": b"",
        "text.mkv": b"hello",
        "picture.mp4": bytes(picture("PNG")[:40]),
        "half.mp4": whole[: len(whole) // 2],
        "start.avi": b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xff",
        "zeros.mov": bytes(10_000),
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "list.mkv": b"ffconcat version 1.0\nfile /etc/passwd\n",
    }
