"""Images of a domain as a torch dataset, decoded when they are needed, perhaps once."""

from __future__ import annotations

import contextlib
import math
import mmap
import multiprocessing
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from phasegan.data.domain_folders import ImageSubset
from phasegan.data.images.pixel_format import PixelFormat, Planes, to_planes
from phasegan.data.images.resizing import load_size, resize_to_load


class ImageDataset(Dataset[Planes]):
    """Decoded images of one pixel format, at the size that crops are taken from.

    Parameters
    ----------
    images : ImageSubset
        A folder's or a prepared file's.
    pixel_format : PixelFormat
        Channels and dtype.
    load : int
        Size, pixels.
    fit : {"stretch", "short-side", "none"}
        As of `phasegan.data.images.resizing.resize_to_load`.

    Examples
    --------
    >>> from phasegan.data.domain_folders import open_domains
    >>> from phasegan.data.domain_scan import scan
    >>> from phasegan.data.image_dataset import ImageDataset
    >>> import numpy as np, pathlib
    >>> for name in ("trainA", "trainB"):
    ...     pathlib.Path("pair", name).mkdir(parents=True)
    ...     np.save(f"pair/{name}/0.npy", np.zeros((3, 50, 40), np.float32))
    >>> pixel_format, images = scan(open_domains("pair").train[0])
    >>> ImageDataset(images, pixel_format, 32, "short-side")[0].shape
    (3, 40, 32)
    """

    def __init__(self, images: ImageSubset, pixel_format: PixelFormat, load: int, fit: str) -> None:
        self.images, self.pixel_format = images, pixel_format
        self._load, self._fit = load, fit
        self._cache: _SharedCache | None = None

    def __len__(self) -> int:
        return len(self.images)

    def shapes(self) -> NDArray[np.int64] | None:
        """Return channels, rows and columns of the samples, (n, 3), if the images' are known."""
        if self.images.shapes is None:
            return None
        shapes = self.images.shapes.tolist()
        sizes = [load_size(rows, columns, self._load, self._fit) for rows, columns in shapes]
        return np.array([(self.pixel_format.channels, *size) for size in sizes], np.int64)

    def keep_in_memory(self, *, shared: bool) -> None:
        """Decode each image once from now on.

        Parameters
        ----------
        shared : bool
            Let processes that are forked later fill the same memory.
        """
        shapes = self.shapes()
        if shapes is not None:
            with contextlib.suppress(OSError):  # no locks here: then nothing can be shared
                self._cache = _SharedCache(shapes, self.pixel_format.dtype, locked=shared)

    def __getitem__(self, index: int) -> Planes:
        """Return an image as (C, rows, columns), in the dtype of the pixel format.

        Raises
        ------
        InputError
            If it cannot be decoded: names the image and the reason.
        """
        if self._cache is None:
            return self._decode(index)
        planes = self._cache.get(index)
        if planes is None:
            planes = self._decode(index)
            self._cache.put(index, planes)
        return planes

    def _decode(self, index: int) -> Planes:
        planes = to_planes(self.images.read(index), self.pixel_format)
        return resize_to_load(planes, self._load, self._fit)


class _SharedCache:
    """Images in one block of memory, which forked processes share.

    The block is an anonymous map: its pages are taken when they are written, and it does not
    count against the limit of /dev/shm, which is 64 MB in many containers.
    """

    def __init__(self, shapes: NDArray[np.int64], dtype: str, *, locked: bool) -> None:
        self._shapes = shapes
        self._ends = np.cumsum(shapes.prod(axis=1))
        total = int(self._ends[-1]) if len(shapes) else 0
        self._pixels = _anonymous(total * np.dtype(dtype).itemsize).view(dtype)
        self._filled = _anonymous(len(shapes))
        # The lock orders the pixels before their flag, on processors that would not.
        self._lock: Any = multiprocessing.Lock() if locked else contextlib.nullcontext()

    def _place(self, index: int) -> NDArray[Any]:
        shape = self._shapes[index]
        stop = int(self._ends[index])
        return self._pixels[stop - math.prod(shape.tolist()) : stop].reshape(shape)

    def get(self, index: int) -> Planes | None:
        """Return an image, None if it was not put here."""
        with self._lock:
            filled = self._filled[index]
        return self._place(index) if filled else None

    def put(self, index: int, planes: Planes) -> None:
        """Keep an image, unless its file is of another size by now."""
        place = self._place(index)
        if place.shape != planes.shape:
            return
        place[...] = planes
        with self._lock:
            self._filled[index] = 1


def _anonymous(size: int) -> NDArray[np.uint8]:
    return np.frombuffer(mmap.mmap(-1, max(size, 8)), np.uint8)[:size]
