"""Names of folders that are to be written."""

from __future__ import annotations

from pathlib import Path

from phasegan.errors import InputError
from phasegan.store.hdf5 import HDF5_SUFFIXES
from phasegan.store.pixels import pixel_suffixes

_FILES = {
    ".avi", ".ckpt", ".csv", ".html", ".json", ".mat", ".mkv", ".mov", ".mp4", ".npz", ".onnx",
    ".pdf", ".pt", ".pth", ".safetensors", ".svg", ".toml", ".txt", ".webm", ".zip",
}  # fmt: skip


def check_folder_target(path: Path, written: str) -> None:
    """Refuse to make a folder that is called like a file.

    Parameters
    ----------
    path : pathlib.Path
        The output. A folder that is there may be called as it likes.
    written : str
        What is written, and where to, for the message.

    Raises
    ------
    InputError
        If its suffix is that of a picture, an array, a film or another file.
    """
    if path.suffix.lower() in {*pixel_suffixes(), *HDF5_SUFFIXES, *_FILES} and not path.is_dir():
        raise InputError(f"{path}: {written}; choose another -o")
