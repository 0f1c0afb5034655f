"""Contact sheets and curves show what was computed."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from phasegan.plotting.curves import (
    FittedSeries,
    error_curves,
    estimate_chart,
    fitted_curves,
    save_figure,
    svg_text,
)
from phasegan.plotting.sheet import _wrap, contact_sheet, image_tile, label_font, phase_tile
from phasegan.plotting.style import COLOURS, INK


def test_tiles_stand_in_the_sheet_pixel_by_pixel(rng):
    tile = rng.integers(0, 256, (200, 200), dtype=np.uint8)
    sheet = np.asarray(contact_sheet([[tile]], ["title"]))[..., 0]
    rows, columns = sheet.shape
    found = any(
        np.array_equal(sheet[r : r + 200, c : c + 200], tile)
        for r in range(rows - 199)
        for c in range(columns - 199)
        if sheet[r, c] == tile[0, 0] and sheet[r, c + 199] == tile[0, 199]
    )
    assert found


def test_small_tiles_are_enlarged_by_whole_factors(rng):
    tile = rng.integers(0, 256, (32, 32), dtype=np.uint8)
    sheet = np.asarray(contact_sheet([[tile]], ["t"]))[..., 0]
    enlarged = np.kron(tile, np.ones((5, 5), np.uint8))
    top, left = np.argwhere(sheet != 255)[:, 0].max() - 159, 16
    np.testing.assert_array_equal(sheet[top : top + 160, left : left + 160], enlarged)


def test_images_are_clipped_and_16_bit_is_scaled():
    np.testing.assert_array_equal(image_tile(np.array([[-5.0, 300.0]]), 255), [[0, 255]])
    np.testing.assert_array_equal(image_tile(np.array([[65535, 257]]), 65535), [[255, 1]])
    assert image_tile(np.zeros((3, 4, 4)), 255).shape == (4, 4, 3)


def test_plus_and_minus_pi_have_one_colour():
    near = np.array([[np.pi, -np.pi + 1e-9], [0.0, 0.0]])
    tile = phase_tile(np.pad(near, ((0, 0), (0, 0))))
    assert tile.shape == (2, 2, 3)
    row = tile[1]
    np.testing.assert_allclose(row[0].astype(int), row[1].astype(int), atol=2)


@pytest.mark.parametrize("frame", [(6, 9), (9, 6), (5, 7)])
def test_a_phase_of_a_rectangle_is_shown_whole(rng, frame):
    image = rng.normal(size=frame)
    plane = np.fft.fftshift(np.angle(np.fft.fft2(image)))
    tile = phase_tile(np.angle(np.fft.rfft2(image)), frame)
    assert tile.shape == (*frame, 3)
    colours = matplotlib.colormaps["twilight"](plane / (2 * np.pi) + 0.5)[..., :3]
    np.testing.assert_allclose(tile, 255 * colours, atol=2)


def test_cells_of_rectangles_have_their_shape(rng):
    tile = rng.integers(0, 200, (40, 80), dtype=np.uint8)
    sheet = contact_sheet([[tile, tile]], ["a", "b"])
    assert sheet.width == 2 * 160 + 12 + 2 * 16
    assert sheet.height == contact_sheet([[tile[:, :40]] * 2], ["a", "b"]).height - 80
    left = 16 + 160 + 12
    shown = np.asarray(sheet)[..., 0]
    np.testing.assert_array_equal(
        shown[-16 - 12 - 80 : -16 - 12, left : left + 160], np.kron(tile, np.ones((2, 2), np.uint8))
    )


def test_long_titles_and_footers_stay_inside(rng):
    tile = rng.integers(0, 200, (160, 160), dtype=np.uint8)
    sheet = np.asarray(
        contact_sheet([[tile]], ["a very long title " * 9], [["c" * 99]], "word " * 60)
    )
    assert (sheet[:, -10:] == 255).all()
    assert (sheet[-10:] == 255).all()


@pytest.mark.parametrize("points", [[(5, 100.0, 3.0)], [(5, 100.0, 3.0), (50, 80.0, 2.0)]])
def test_curves_are_drawn_as_png_and_svg(tmp_path, points):
    figure = error_curves(
        {"a": points}, {"zero": 400.0}, title="t", x_label="samples", y_label="MSE"
    )
    save_figure(figure, tmp_path / "c.png")
    picture = np.asarray(Image.open(tmp_path / "c.png").convert("L"))
    assert picture.shape[1] > 800
    assert picture.std() > 10
    assert "<svg" in (tmp_path / "c.svg").read_text()


def test_equal_figures_are_equal_svg_with_replaceable_ink():
    def drawn():
        return svg_text(
            fitted_curves(
                [FittedSeries("m", [1, 10, 100], [9.0, 5.0, 3.0], lambda x: 9 * x**-0.24)],
                title="t",
                x_label="x",
            )
        )

    first = drawn()
    assert first == drawn()
    assert INK in first
    assert "#000000" not in first.replace("#000000ff", "")
    assert "<dc:date>" not in first


def test_estimates_outside_their_interval_have_another_colour():
    inside = svg_text(estimate_chart(["a"], [10.0], [(10.5, 9.0, 11.0)]))
    outside = svg_text(estimate_chart(["a"], [10.0], [(15.0, 12.0, 20.0)]))
    assert COLOURS[0] in inside
    assert COLOURS[7] not in inside
    assert COLOURS[7] in outside


@pytest.mark.parametrize("title", ["two words " * 6, "x" * 60, "a-run_of/many-" * 5])
def test_titles_are_wrapped_and_not_cut(title):
    font = label_font(15)
    lines = _wrap(title, font, 160)
    assert len(lines) > 1
    assert all(font.getlength(line) <= 160 for line in lines)
    assert "".join(lines).replace(" ", "") == title.replace(" ", "")


def test_a_long_title_takes_height_and_leaves_its_neighbours(rng):
    tile = rng.integers(0, 200, (160, 160), dtype=np.uint8)
    short = contact_sheet([[tile, tile]], ["a", "b"])
    tall = contact_sheet([[tile, tile]], ["a long title of several words", "b"])
    assert tall.width == short.width
    assert tall.height == short.height + 20
    column = np.asarray(tall)[:, 16 + 160 : 16 + 160 + 12]
    assert (column == 255).all()
