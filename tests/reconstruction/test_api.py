"""`phasegan.reconstruct` on arrays, prepared files, pictures and runs."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.errors import InputError
from phasegan.reconstruction.output import check_output, write_output


def test_one_phase_gives_one_image(rng):
    phase = np.angle(np.fft.rfft2(rng.normal(size=(12, 12))))
    assert phasegan.reconstruct(phase, method="zero").estimate.shape == (12, 12)
    assert phasegan.reconstruct(phase[None], method="zero").estimate.shape == (1, 12, 12)
    small = phasegan.reconstruct(phase, method="unit-magnitude", shape=(6, 6))
    assert small.estimate.shape == (6, 6)


def test_arrays_and_files_agree(tiny):
    with phasegan.open(tiny) as file:
        phase = file.test.phase()
    from_file = phasegan.reconstruct(tiny, method="mean-magnitude")
    from_array = phasegan.reconstruct(phase, method="mean-magnitude", statistics=tiny)
    np.testing.assert_allclose(from_file.estimate, from_array.estimate)
    assert from_file.sources is not None
    assert len(phasegan.reconstruct(tiny, method="zero", limit=2).estimate) == 2
    assert len(phasegan.reconstruct(tiny, method="zero", split="train").estimate) == 6


def test_pictures_are_transformed_first(pictures, tiny):
    result = phasegan.reconstruct(
        pictures, method="mean-magnitude", statistics=tiny, preprocessing={"size": 32}
    )
    assert result.estimate.shape == (12, 32, 32)
    one = phasegan.reconstruct(
        pictures / "a" / "01.png", method="unit-magnitude", preprocessing={"size": 32}
    )
    np.testing.assert_array_equal(one.references[0], result.references[0])


def test_a_run_brings_its_own_preprocessing(pictures, tiny, tiny_run):
    result = phasegan.reconstruct(pictures, run=tiny_run, device="cpu", limit=3)
    assert result.estimate.shape == (3, 32, 32)
    assert result.method == "paper-2ch-1b"


def test_a_run_gives_the_same_from_file_and_array(tiny, tiny_run):
    with phasegan.open(tiny) as file:
        phase = file.test.phase()
    a = phasegan.reconstruct(tiny, run=tiny_run, device="cpu").estimate
    b = phasegan.reconstruct(phase, run=tiny_run, device="cpu").estimate
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_run_refuses_phases_of_another_size(tiny_run, rng):
    phase = np.angle(np.fft.rfft2(rng.normal(size=(24, 24))))
    with pytest.raises(InputError, match=r"\(24, 13\), the run .* takes \(32, 17\)"):
        phasegan.reconstruct(phase, run=tiny_run, device="cpu")


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (np.zeros((8, 8)), r"expected \(\[n, \[C,\]\] M, M // 2 \+ 1\)"),
        (np.zeros(8), "shape"),
        (np.zeros((8, 5), np.uint16), "uint16"),
        (np.full((8, 5), np.nan), "NaN or infinite|not finite|nan"),
        (np.full((8, 5), 180.0), "reaches 180"),
    ],
)
def test_bad_arrays_say_what_was_expected(phase, message):
    with pytest.raises(InputError, match=message):
        phasegan.reconstruct(phase, method="zero")


def test_a_method_and_a_run_exclude_one_another(tiny, tiny_run):
    with pytest.raises(InputError, match="--method and --run: give one of them"):
        phasegan.reconstruct(tiny, method="zero", run=tiny_run)


def test_statistics_of_another_size_are_refused(tiny, rng):
    phase = np.angle(np.fft.rfft2(rng.normal(size=(8, 8))))
    with pytest.raises(InputError, match=r"spectra of \(32, 17\), wanted \(8, 8\)"):
        phasegan.reconstruct(phase, method="mean-magnitude", statistics=tiny)


def test_statistics_fit_the_support_and_the_depth(tmp_path, rng):
    phasegan.prepare("builtin", tmp_path / "s.h5", size=16, oversample=2, samples=3, test=1)
    phase = np.angle(np.fft.rfft2(rng.normal(size=(16, 16)), s=(32, 32)))
    with pytest.raises(InputError, match=r"images of shape \(16, 16\)"):
        phasegan.reconstruct(phase, method="mean-image", statistics=tmp_path / "s.h5")
    known = {"method": "mean-image", "statistics": tmp_path / "s.h5", "shape": (16, 16)}
    narrow = phasegan.reconstruct(phase, **known)
    wide = phasegan.reconstruct(phase, data_range=65535, **known)
    np.testing.assert_allclose(wide.estimate, narrow.estimate * 257)


def test_tensors_and_lists_are_taken_for_arrays(rng):
    import torch

    phase = np.angle(np.fft.rfft2(rng.normal(size=(8, 8))))
    expected = phasegan.reconstruct(phase, method="unit-magnitude").estimate
    for other in (torch.from_numpy(phase), phase.tolist()):
        estimate = phasegan.reconstruct(other, method="unit-magnitude").estimate
        np.testing.assert_array_equal(estimate, expected)


def test_a_run_refuses_another_preprocessing(pictures, tiny_run):
    with pytest.raises(InputError, match=r"--size: the run .* brings its own"):
        phasegan.reconstruct(pictures, run=tiny_run, preprocessing={"size": 16}, device="cpu")


def test_an_output_never_replaces_what_is_not_ours(tiny, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x")
    (tmp_path / "other.h5").write_bytes(b"x")
    for output, message in (
        (tmp_path / "precious", r"other things \(thesis.tex\)"),
        (tmp_path / "other.h5", "something else"),
        (tiny, "is or holds the input"),
        (tiny.parent, "is or holds the input"),
    ):
        with pytest.raises(InputError, match=message):
            check_output(output, tiny, overwrite=True)
    write_output(phasegan.reconstruct(tiny, method="zero"), tmp_path / "ours", overwrite=False)
    check_output(tmp_path / "ours", tiny, overwrite=True)
    (tmp_path / "r-contact-sheet.png").write_text("x")
    with pytest.raises(InputError, match=r"contact-sheet\.png is there already"):
        check_output(tmp_path / "r.h5", tiny, overwrite=False)


def test_pictures_on_disk_are_the_rounded_estimates(tiny, tmp_path):
    result = phasegan.reconstruct(tiny, method="mean-magnitude")
    sheet = write_output(result, tmp_path / "out", overwrite=False)
    files = sorted(p for p in (tmp_path / "out").glob("0*.png"))
    assert len(files) == 3
    assert sheet.is_file()
    expected = np.rint(np.clip(result.estimate[1], 0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(files[1])), expected)


def test_two_writers_of_one_output_do_not_replace_each_other(tiny, tmp_path):
    result = phasegan.reconstruct(tiny, method="zero")
    for name in ("o", "o.h5"):
        write_output(result, tmp_path / name, overwrite=False)
        with pytest.raises(InputError, match="there already"):
            write_output(result, tmp_path / name, overwrite=False)
    assert not list(tmp_path.glob(".*"))


def test_hdf5_on_disk_keeps_the_estimates_unclipped(tiny, tmp_path):
    result = phasegan.reconstruct(tiny, method="mean-magnitude")
    write_output(result, tmp_path / "out.h5", overwrite=False)
    with h5py.File(tmp_path / "out.h5") as f:
        np.testing.assert_allclose(f["estimate"][()], result.estimate, rtol=1e-6, atol=1e-4)
        assert [s.decode() for s in f["source"][()]] == result.sources
        assert f.attrs["method"] == "mean-magnitude"
    assert (tmp_path / "out-contact-sheet.png").is_file()


def test_16_bit_colour_pictures_are_written_at_16_bit(tmp_path, rng):
    import png

    from phasegan.reconstruction.protocol import Result

    values = rng.integers(0, 65536, (1, 3, 9, 9)).astype(float)
    phase = np.zeros((1, 3, 9, 5))
    write_output(Result(values, "x", 65535, phase), tmp_path / "o", overwrite=False)
    path = next((tmp_path / "o").glob("0*.png"))
    _, _, rows, info = png.Reader(str(path)).read()
    assert info["bitdepth"] == 16
    read = np.array([list(r) for r in rows]).reshape(9, 9, 3)
    np.testing.assert_array_equal(np.moveaxis(read, -1, 0), values[0])
