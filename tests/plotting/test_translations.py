"""Figures of translations: tiles of any channels, as many rows as all directions have."""

import numpy as np
import pytest
from PIL import Image

from phasegan.config.run_folder import RunFolder
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.translations import SHEET_ROWS, Translations, draw_epoch


def images(count, channels, side=16):
    return np.linspace(-1, 1, count * channels * side**2).reshape(count, channels, side, side)


def translations(source, target, real, fake, **others):
    return Translations(source, target, [str(i) for i in range(len(real))], real, fake, **others)


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_tiles_show_the_first_channels_from_black_to_white(channels, shown):
    real = images(2, channels)
    for tile, image in zip(
        translations("A", "B", real, real).columns["A"], real[:, :shown], strict=True
    ):
        planes = tile[None] if tile.ndim == 2 else np.moveaxis(tile, -1, 0)
        np.testing.assert_array_equal(planes, np.rint(127.5 * (image + 1)).clip(0, 255))


def test_an_epoch_keeps_the_translations_of_both_directions(tmp_path):
    a, b = images(SHEET_ROWS, 1), -images(SHEET_ROWS - 1, 3)
    folder = RunFolder(tmp_path)
    directions = [translations("A", "B", a, -a, back=a), translations("B", "A", b, -b, back=b)]
    sheet = draw_epoch(folder, 3, directions)
    (frame,) = FrameStore(folder.samples_path, 255).frames()
    assert (frame[0], frame[1].shape) == (3, (2 * SHEET_ROWS - 1, 3, 16, 16))
    np.testing.assert_array_equal(frame[1][0], np.rint(127.5 * (1 - a[0])).repeat(3, axis=0))
    assert Image.open(folder.film_strip_path).size[1] > sheet.size[1]  # a row an image; a direction


def test_columns_name_the_domains():
    real = images(1, 3)
    assert list(translations("B", "A", real, real, back=real).columns) == ["B", "→ A", "→ B again"]
