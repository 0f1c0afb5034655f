"""Film strips show the frames that were kept, with their errors."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from phasegan.metrics.image_metrics import clipped_mse
from phasegan.plotting.filmstrip import (
    MAX_FRAMES,
    FrameStore,
    arrange,
    choose_epochs,
    film_strip,
)
from phasegan.plotting.sheet import image_tile


def frames(rng, epochs, shape=(3, 20, 20), data_range=255):
    return [(e, rng.uniform(-30, data_range + 30, shape)) for e in epochs]


@pytest.mark.parametrize("last", [9, 20, 50, 400])
def test_epochs_are_the_first_the_last_and_by_ratio_between(last):
    chosen = choose_epochs(range(1, last + 1))
    assert len(chosen) == MAX_FRAMES
    assert (chosen[0], chosen[-1]) == (1, last)
    steps = np.diff(chosen)
    assert (steps > 0).all()
    assert steps[0] <= steps[-1]


def test_few_epochs_are_all_shown_in_order():
    assert choose_epochs([5, 1, 3, 3]) == [1, 3, 5]
    assert choose_epochs([0]) == [0]
    assert choose_epochs([0, 97, 98, 99], 2) == [0, 99]
    assert choose_epochs([0, 97, 98, 99], 3) == [0, 97, 99]


@pytest.mark.parametrize("shape", [(3, 20, 20), (2, 3, 20, 20)])
@pytest.mark.parametrize("data_range", [255, 65535])
def test_cells_are_the_estimates_and_captions_their_errors(rng, shape, data_range):
    estimates = frames(rng, range(1, 13), shape, data_range)
    references = rng.integers(0, data_range + 1, shape)
    strip = arrange(estimates, references, data_range)
    epochs = choose_epochs(range(1, 13))
    assert strip.titles == [*(f"epoch {e}" for e in epochs), "reference"]
    assert [len(row) for row in strip.rows] == [MAX_FRAMES + 1] * shape[0]
    assert strip.captions is not None
    for column, epoch in enumerate(epochs):
        estimate = dict(estimates)[epoch]
        errors = clipped_mse(estimate, references, data_range=data_range)
        assert [row[column] for row in strip.captions] == [f"MSE {e:,.0f}" for e in errors]
        for sample, row in enumerate(strip.rows):
            np.testing.assert_array_equal(row[column], image_tile(estimate[sample], data_range))
    for sample, row in enumerate(strip.rows):
        np.testing.assert_array_equal(row[-1], image_tile(references[sample], data_range))
    assert [row[-1] for row in strip.captions] == [""] * shape[0]


def test_without_references_there_are_no_errors_and_no_last_column(rng):
    strip = arrange(frames(rng, [1, 2]), None, 255)
    assert strip.titles == ["epoch 1", "epoch 2"]
    assert strip.captions is None
    assert [len(row) for row in strip.rows] == [2, 2, 2]


def test_the_picture_is_as_wide_as_its_columns(rng):
    estimates = frames(rng, range(1, 31))
    with_references = film_strip(estimates, np.zeros((3, 20, 20)), 255, "a footer")
    without = film_strip(estimates, None, 255)
    assert with_references.mode == "RGB"
    assert with_references.width - without.width == 160 + 12
    assert with_references.height > without.height


@pytest.mark.parametrize("references", [None, np.zeros((2, 20, 20))])
def test_shapes_that_differ_are_refused(rng, references):
    estimates = [] if references is None else frames(rng, [1])
    with pytest.raises(ValueError, match="one shape"):
        film_strip(estimates, references, 255)


@pytest.mark.parametrize(("data_range", "dtype"), [(255, np.uint8), (65535, np.uint16)])
@pytest.mark.parametrize("shape", [(3, 20, 20), (2, 3, 20, 20)])
def test_frames_are_kept_to_the_integer(rng, tmp_path, data_range, dtype, shape):
    store = FrameStore(tmp_path / "samples", data_range)
    assert store.epochs() == []
    kept = frames(rng, [1, 20, 300], shape, data_range)
    for epoch, estimate in reversed(kept):
        store.add(epoch, estimate)
    again = FrameStore(tmp_path / "samples", data_range).frames()
    assert [epoch for epoch, _ in again] == [1, 20, 300]
    for (_, estimate), (_, frame) in zip(kept, again, strict=True):
        assert frame.dtype == dtype
        np.testing.assert_array_equal(frame, np.rint(np.clip(estimate, 0, data_range)))
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [
        "epoch-0001.npy",
        "epoch-0020.npy",
        "epoch-0300.npy",
    ]


def test_a_run_that_goes_on_gives_the_strip_of_one_that_was_not_stopped(rng, tmp_path):
    estimates, references = frames(rng, range(1, 13)), rng.integers(0, 256, (3, 20, 20))
    whole, stopped = FrameStore(tmp_path / "a", 255), FrameStore(tmp_path / "b", 255)
    for epoch, estimate in estimates:
        whole.add(epoch, estimate)
    for epoch, estimate in estimates[:7]:
        stopped.add(epoch, 255 - estimate if epoch > 5 else estimate)
    stopped.trim(5)
    assert stopped.epochs() == [1, 2, 3, 4, 5]
    for epoch, estimate in estimates[5:]:
        FrameStore(tmp_path / "b", 255).add(epoch, estimate)
    for store, name in ((whole, "a.png"), (stopped, "b.png")):
        assert store.write_strip(tmp_path / name, references, "footer")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    expected = film_strip(whole.frames(), references, 255, "footer")
    np.testing.assert_array_equal(picture, np.asarray(expected))


def test_damaged_and_foreign_frames_are_left_out(rng, tmp_path):
    store = FrameStore(tmp_path, 255)
    for epoch, estimate in frames(rng, [1, 2, 3]):
        store.add(epoch, estimate)
    (tmp_path / "epoch-0001.npy").write_bytes(b"half a fra")
    store.add(2, rng.uniform(0, 255, (4, 16, 16)))
    np.save(tmp_path / "epoch-0004.npy", np.zeros(3))
    (tmp_path / "epoch-0003.png").write_bytes(b"")
    assert [epoch for epoch, _ in store.frames()] == [3]
    assert store.write_strip(tmp_path / "s.png")
    assert not store.write_strip(tmp_path / "t.png", np.zeros((1, 8, 8)))
    assert not (tmp_path / "t.png").exists()


def test_inputs_stand_first_and_change_nothing_else(rng, tmp_path):
    estimates, references = frames(rng, range(1, 13)), rng.integers(0, 256, (3, 20, 20))
    inputs = rng.integers(0, 256, (3, 3, 24, 24))
    plain, strip = arrange(estimates, references, 255), arrange(estimates, references, 255, inputs)
    assert strip.titles == ["input", *plain.titles]
    assert strip.captions == [["", *row] for row in plain.captions]
    for row, plain_row, given in zip(strip.rows, plain.rows, inputs, strict=True):
        np.testing.assert_array_equal(row[0], image_tile(given, 255))
        for tile, expected in zip(row[1:], plain_row, strict=True):
            np.testing.assert_array_equal(tile, expected)
    alone = arrange(estimates, None, 255, inputs)
    assert alone.captions is None
    assert [len(row) for row in alone.rows] == [MAX_FRAMES + 1] * 3
    store = FrameStore(tmp_path / "s", 255)
    store.add(1, estimates[0][1])
    assert store.write_strip(tmp_path / "a.png", inputs=inputs)
    expected = film_strip(store.frames(), None, 255, inputs=inputs)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(expected))


def test_as_many_inputs_as_rows_are_needed(rng):
    with pytest.raises(ValueError, match="3 rows with 2 inputs"):
        film_strip(frames(rng, [1]), None, 255, inputs=np.zeros((2, 20, 20)))
