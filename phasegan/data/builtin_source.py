"""Crops of the photographs that ship inside scikit-image, a source of images."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phasegan.data.images.decoding import Pixels, read_image
from phasegan.data.sources import SPLITS, LoadedImage, Source, SourceItem, TwoStepLoader
from phasegan.errors import InputError

if TYPE_CHECKING:
    from phasegan.data.recipes import PhotographSource

MAX_CROPS = 1_000_000
DEFAULT_CROPS = {"train": 200, "test": 50}


class PhotographLoader(TwoStepLoader):
    """Loader of crops: a job is a photograph's name, the crop's split and its number."""

    def __init__(self, root: Path, size: int, seed: int) -> None:
        self._root, self._size, self._seed = root, size, seed
        self._kept: dict[str, tuple[Pixels, str]] = {}

    def photograph(self, name: str) -> tuple[Pixels, str]:
        """Decode a photograph, once.

        Parameters
        ----------
        name : str
            File name inside scikit-image.

        Returns
        -------
        (numpy.ndarray, str)
            Pixels, uint8, (rows, columns[, 3]), and the SHA-256 of the file.
        """
        if name not in self._kept:
            data = (self._root / name).read_bytes()
            self._kept[name] = read_image(data), hashlib.sha256(data).hexdigest()
        return self._kept[name]

    def load(self, job: tuple[str, str, int]) -> LoadedImage:
        """Cut one crop; its name says where: `coffee.png#row,column,side`."""
        name, split, number = job
        pixels, digest = self.photograph(name)
        rows, columns = pixels.shape[:2]
        longest = min(rows, columns)
        rng = np.random.default_rng([self._seed, SPLITS.index(split), number])
        side = int(rng.integers(min(max(self._size, longest // 3), longest), longest + 1))
        row = int(rng.integers(0, rows - side + 1))
        column = int(rng.integers(0, columns - side + 1))
        crop = pixels[row : row + side, column : column + side]
        return LoadedImage(f"{name}#{row},{column},{side}", crop, digest)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}}


class PhotographCrops(Source):
    """Seeded square crops of the photographs that ship inside scikit-image.

    Parameters
    ----------
    source : PhotographSource
        File names for training and for testing.
    counts : dict
        Crops for `train` and `test`.
    size : int
        N: no crop is smaller.
    seed : int
        Seed of the crops' places and sizes.

    Raises
    ------
    InputError
        If scikit-image lacks a photograph.
    """

    external = False

    def __init__(
        self, source: PhotographSource, counts: dict[str, int], size: int, seed: int
    ) -> None:
        self.label = "scikit-image"
        self.ignored = 0
        self.linked: list[str] = []
        self.unlisted: list[tuple[str, str]] = []
        self._names = {"train": source.train, "test": source.test}
        self._root = Path(str(resources.files("skimage.data")))
        if max(counts.values()) > MAX_CROPS:
            raise InputError(
                f"{max(counts.values())} crops asked for: the photographs inside scikit-image "
                f"give at most {MAX_CROPS} a split; ask for fewer with --samples and --test"
            )
        for name in source.train + source.test:
            if not name or not (self._root / name).is_file():
                raise InputError(f"the photograph {name!r} is not in this scikit-image")
        self._counts = counts
        self._loader = PhotographLoader(self._root, size, seed)

    def splits(self) -> dict[str | None, range]:
        """Return the crops' numbers: those of `train`, then those of `test`."""
        train, test = (self._counts[split] for split in SPLITS)
        return {"train": range(train), "test": range(train, train + test)}

    def item(self, number: int) -> SourceItem:
        """Return the photograph that a crop is cut from; photographs take turns."""
        name, split, _ = self.job(number)
        return SourceItem(name, split, number)

    def job(self, number: int) -> tuple[str, str, int]:
        """Return the photograph's name, the split and the crop's number in it."""
        split = "train" if number < self._counts["train"] else "test"
        index = number - (self._counts["train"] if split == "test" else 0)
        names = self._names[split]
        return names[index % len(names)], split, index

    def loader(self) -> PhotographLoader:
        """Return the loader that cuts crops."""
        return self._loader

    def depth(self) -> int:
        """Return 8: the photographs have 8 bits."""
        return 8

    def listing(self) -> str:
        """Digest of the photographs' contents."""
        digest = hashlib.sha256()
        used = {self.job(i)[0] for numbers in self.splits().values() for i in numbers}
        for name in sorted(used):
            digest.update(f"{name}\0{self._loader.photograph(name)[1]}\n".encode())
        return digest.hexdigest()

    def max_name_bytes(self) -> int:
        """Return the length of the longest file name with the place of a crop."""
        names = [name for split_names in self._names.values() for name in split_names]
        return max(len(name.encode()) for name in names) + len("#row,column,side") + 3

    def sha256(self, number: int) -> str:
        """Return the SHA-256 of the photograph's file."""
        return self._loader.photograph(self.job(number)[0])[1]

    def matches(self, number: int, sha256: str) -> bool:
        """Compare with the hash of the photograph's file."""
        return self.sha256(number) == sha256
