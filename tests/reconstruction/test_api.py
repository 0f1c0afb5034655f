"""`phasegan.reconstruct` on arrays, prepared files, pictures and runs."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.layouts import from_half_plane
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.output import check_output, write_output
from phasegan.reconstruction.protocol import Result


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
        (np.zeros((8, 8)), r"expected \(\[n, \[C,\]\] M₁, M₂ // 2 \+ 1\)"),
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

    values = rng.integers(0, 65536, (1, 3, 9, 9)).astype(float)
    phase = np.zeros((1, 3, 9, 5))
    write_output(Result(values, "x", 65535, phase), tmp_path / "o", overwrite=False)
    path = next((tmp_path / "o").glob("0*.png"))
    _, _, rows, info = png.Reader(str(path)).read()
    assert info["bitdepth"] == 16
    read = np.array([list(r) for r in rows]).reshape(9, 9, 3)
    np.testing.assert_array_equal(np.moveaxis(read, -1, 0), values[0])


def padded(images):
    """Return the phase of images at twice their size."""
    n = images.shape[-1]
    return analyse(images, (2 * n, 2 * n)).phase


@pytest.fixture
def images(rng):
    return rng.integers(1, 256, (3, 16, 16))


ITERATIVE = ("hlo", "pocs", "pocs-accelerated", "cg", "fista", "map", "pnp")


def test_a_tensor_gives_a_tensor_and_an_array_an_array(images):
    import torch

    phase = padded(images)
    result = phasegan.reconstruct(torch.from_numpy(phase), shape=(16, 16))
    assert isinstance(result.estimate, torch.Tensor)
    assert result.estimate.dtype == torch.float64
    assert (result.estimate.numpy() == images).all()
    one = phasegan.reconstruct(torch.from_numpy(phase[0]), shape=(16, 16))
    assert one.estimate.shape == (16, 16)
    assert isinstance(phasegan.reconstruct(phase, shape=(16, 16)).estimate, np.ndarray)


def test_single_precision_phases_are_solved_in_single_precision(images):
    import torch

    seen = []
    phase = padded(images).astype(np.float32)
    for source in (phase, torch.from_numpy(phase)):
        result = phasegan.reconstruct(
            source, shape=(16, 16), callback=lambda k, i, x: seen.append(x.dtype)
        )
        assert result.certified.all()
        np.testing.assert_array_equal(np.asarray(result.estimate), images)
    assert set(seen) == {np.dtype(np.float64)}
    double = phasegan.reconstruct(phase, shape=(16, 16), dtype="float64", method="pocs")
    single = phasegan.reconstruct(phase, shape=(16, 16), method="pocs")
    assert 0 < np.abs(double.estimate - single.estimate).max() < 1.0


def test_colour_planes_are_certified_one_by_one(rng):
    colour = rng.integers(1, 256, (2, 3, 16, 16))
    colour[1, 2] = colour[1, 2] // 2 + (colour[1, 2] // 2)[::-1, ::-1]
    result = phasegan.reconstruct(padded(colour), shape=(16, 16))
    assert result.estimate.shape == (2, 3, 16, 16)
    assert result.iterations.shape == result.residual.shape == (2, 3)
    assert [c.certified for c in result.certificates] == [True] * 5 + [False]
    assert result.certified.tolist() == [True, False]
    np.testing.assert_array_equal(result.estimate[0], colour[0])


@pytest.mark.numerical
@pytest.mark.parametrize("method", ITERATIVE)
def test_one_plane_is_told_as_one_and_a_stack_as_a_stack(method, images):
    phase = padded(images)
    options = {"method": method, "shape": (16, 16), "iterations": 20}
    close = 1e-6
    if method in ("map", "pnp"):
        # conjugate gradients amplify rounding up to what they lack, here everything after 20
        # iterations: images agree where both solves ended, to the relative residual times the
        # square root of the condition number, which (τ/σ)² times what the weights range over,
        # 1e5, stays below
        tolerance = 1e-9
        options |= {"noise": 0.1, "iterations": 4000, "tolerance": tolerance}
        close = 2 * tolerance * 1e5**0.5 * 255 * 3
    stack, one = (phasegan.reconstruct(p, **options) for p in (phase, phase[1]))
    assert stack.residual.shape == stack.iterations.shape == stack.converged.shape == (3,)
    assert np.ndim(one.residual) == np.ndim(one.iterations) == np.ndim(one.converged) == 0
    assert one.certified.shape == (1,)
    assert stack.certified.shape == (3,)
    np.testing.assert_allclose(one.estimate, stack.estimate[1], atol=close)
    assert 0 <= one.residual <= 1


@pytest.mark.parametrize("method", ITERATIVE)
def test_a_callback_is_told_which_planes_are_at_work(method, rng):
    colour = rng.integers(1, 256, (2, 2, 12, 12))
    seen = []

    def callback(iteration, planes, estimates):
        assert isinstance(planes, np.ndarray)
        assert estimates.shape == (len(planes), 12, 12)
        assert estimates.dtype == np.float64
        seen.append((int(iteration), planes.tolist()))

    options = {"method": method, "shape": (12, 12), "iterations": 60}
    phasegan.reconstruct(padded(colour), callback=callback, **options)
    assert seen[0][1] == [0, 1, 2, 3]
    assert [k for k, _ in seen] == sorted(k for k, _ in seen)


@pytest.mark.parametrize("method", ["hlo", "pocs", "pocs-accelerated", "cg", "fista"])
def test_iterations_and_tolerance_end_the_work(method, images):
    options = {"method": method, "shape": (16, 16)}
    few = phasegan.reconstruct(padded(images), iterations=7, tolerance=0.0, **options)
    assert (few.iterations == 7).all()
    loose = phasegan.reconstruct(padded(images), tolerance=0.5, iterations=400, **options)
    assert loose.converged.all()
    assert (loose.iterations < 400).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations = 0: must be at least 1"),
        ({"limit": 0}, "limit = 0: must be at least 1"),
        ({"tolerance": -1e-3}, "tolerance = -0.001: must be from 0"),
        ({"tolerance": 1.0}, "tolerance = 1: must be from 0 to below 1"),
        ({"tolerance": float("nan")}, "tolerance = nan"),
        ({"dtype": "float16"}, "dtype = 'float16': choose one of float64, float32"),
        ({"data_range": 1}, "data_range = 1: 255"),
        ({"noise": -0.1}, "noise = -0.1"),
        ({"noise": 4.0}, "noise = 4.0: must be at most 3.14159265359"),
        ({"shape": (33, 16)}, r"shape 33×16 does not fit in frames of 32×32"),
        ({"shape": (0, 16)}, "shape 0×16 does not fit"),
        ({"layout": "whole"}, "layout = 'whole': choose one of half, full, centred"),
        ({"units": "grad"}, "units = 'grad': choose one of rad, deg"),
        ({"method": "pocz"}, "did you mean pocs"),
    ],
)
def test_bad_options_are_said_in_one_line(options, message, images):
    with pytest.raises(InputError, match=message) as caught:
        phasegan.reconstruct(padded(images), **{"shape": (16, 16), **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["half", "full", "centred"])
@pytest.mark.parametrize("units", ["rad", "deg", "turns", "phasor"])
def test_every_layout_and_unit_leads_to_the_same_image(layout, units, images):
    given = from_half_plane(padded(images), layout=layout, units=units)
    result = phasegan.reconstruct(
        given, shape=(16, 16), layout=layout, units=units, method="pocs", iterations=50
    )
    expected = phasegan.reconstruct(padded(images), shape=(16, 16), method="pocs", iterations=50)
    np.testing.assert_allclose(result.estimate, expected.estimate, atol=1e-6)


@pytest.mark.parametrize(("layout", "units"), [("full", "rad"), ("centred", "rad")])
def test_what_numpy_gives_for_the_full_plane_is_certified(layout, units, images):
    spectrum = np.fft.fft2(images, s=(32, 32))
    if layout == "centred":
        spectrum = np.fft.fftshift(spectrum, axes=(-2, -1))
    result = phasegan.reconstruct(np.angle(spectrum), shape=(16, 16), layout=layout, units=units)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, images)


@pytest.mark.parametrize("units", ["deg", "turns", "phasor"])
def test_phases_in_other_units_come_back_bit_by_bit(units, images):
    given = from_half_plane(padded(images), layout="half", units=units)
    result = phasegan.reconstruct(given, shape=(16, 16), units=units)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, images)


def test_files_of_arrays_are_reconstructed_end_to_end(images, tmp_path):
    phase = padded(images)
    np.save(tmp_path / "a.npy", phase)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = phase
        file["deep/y"] = np.degrees(phase[0])
    for source in (tmp_path / "a.npy", f"{tmp_path / 'b.h5'}::/x"):
        result = phasegan.reconstruct(source, shape=(16, 16))
        np.testing.assert_array_equal(result.estimate, images)
        assert result.certified.all()
        assert result.sources == [str(source)] * 3
    one = phasegan.reconstruct(f"{tmp_path / 'b.h5'}::/deep/y", shape=(16, 16), units="deg")
    assert one.estimate.shape == (1, 16, 16), "files keep the sample axis"
    assert one.certified.tolist() == [True]


def test_planes_that_no_real_image_has_are_refused(images, rng):
    whole = np.angle(np.fft.fft2(images, s=(32, 32)))
    whole[1, 3, 4] += 0.5
    with pytest.raises(InputError, match="not the phase of a real image"):
        phasegan.reconstruct(whole, shape=(16, 16), layout="full")
    complex_image = rng.normal(size=(16, 16)) + 1j * rng.normal(size=(16, 16))
    with pytest.raises(InputError, match="not the phase of a real image"):
        phasegan.reconstruct(np.angle(np.fft.fft2(complex_image)), layout="full")
    found = phasegan.reconstruct(whole, shape=(16, 16), layout="full", symmetrise=True, method="cg")
    assert found.certified.tolist() == [True, False, True]


def test_a_mask_leaves_samples_out(images, tmp_path):
    phase = padded(images)
    mask = np.ones((32, 17), bool)
    mask[5:9, 3:6] = False
    phase[:, 5:9, 3:6] = np.nan
    np.save(tmp_path / "mask.npy", mask)
    for given in (mask, mask.astype(np.uint8), tmp_path / "mask.npy"):
        result = phasegan.reconstruct(phase, shape=(16, 16), mask=given)
        assert result.certified.all()
        np.testing.assert_array_equal(result.estimate, images)
    with pytest.raises(InputError, match="a mask of shape"):
        phasegan.reconstruct(phase, shape=(16, 16), mask=mask[:-1])


def test_only_so_many_samples_are_taken(images):
    result = phasegan.reconstruct(padded(images), shape=(16, 16), limit=2)
    assert result.estimate.shape == (2, 16, 16)
    assert len(result.certificates) == 2
    mask = np.ones((3, 32, 17), bool)
    mask[:, 3, 3] = False
    limited = phasegan.reconstruct(padded(images), shape=(16, 16), limit=2, mask=mask)
    np.testing.assert_array_equal(limited.estimate, images[:2])


def test_supports_need_not_be_square(rng):
    image = rng.integers(1, 256, (12, 20))
    phase = analyse(image, (40, 40)).phase
    result = phasegan.reconstruct(phase, shape=(12, 20))
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, image)


def test_what_was_passed_in_is_left_as_it_was(images):
    phase = padded(images)
    given = phase.copy()
    for method in ITERATIVE:
        phasegan.reconstruct(phase, shape=(16, 16), method=method, iterations=10)
        np.testing.assert_array_equal(phase, given)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_transform_in_single_precision_is_solved_and_not_called_exact(kind, images):
    import torch

    spectrum = torch.fft.rfft2(torch.from_numpy(images).float(), s=(32, 32))
    phase = torch.angle(spectrum)
    given = phase.numpy() if kind == "numpy" else phase
    result = phasegan.reconstruct(given, shape=(16, 16))
    assert not result.certified.any()
    estimate = np.asarray(result.estimate)
    scale = images.max((1, 2)) / estimate.max((1, 2))
    np.testing.assert_allclose(estimate * scale[:, None, None], images, atol=0.1)


@pytest.mark.parametrize("shape", ["16", (16, 16, 1), (16.0, 16)])
def test_a_shape_that_is_no_pair_of_integers_is_refused(shape, images):
    with pytest.raises(InputError, match="shape"):
        phasegan.reconstruct(padded(images), shape=shape, method="hlo", iterations=1)


@pytest.mark.parametrize(
    "method",
    [
        *("hlo", "pocs", "pocs-accelerated", "fista", "map", "zero", "power-law"),
        "cg",
        "pnp",
    ],
)
def test_an_image_of_one_pixel_is_reconstructed(method):
    result = phasegan.reconstruct(np.zeros((2, 2)), method=method, shape=(1, 1), iterations=5)
    assert result.estimate.shape == (1, 1)
    assert np.isfinite(result.estimate).all()


def test_an_hdf5_file_and_its_sheet_are_both_there_or_neither(tiny, tmp_path, monkeypatch):
    result = phasegan.reconstruct(tiny, method="zero")
    with monkeypatch.context() as patch:
        patch.setattr(
            "phasegan.reconstruction.output.contact_sheet", lambda *_: Image.new("RGB", (0, 0))
        )
        with pytest.raises(ValueError, match="empty"):
            write_output(result, tmp_path / "r.h5", overwrite=False)
    assert list(tmp_path.iterdir()) == []
    check_output(tmp_path / "r.h5", tiny, overwrite=False)
    write_output(result, tmp_path / "r.h5", overwrite=False)
    assert {p.name for p in tmp_path.iterdir()} == {"r.h5", "r-contact-sheet.png"}


def test_a_sheet_that_a_kill_left_alone_is_not_in_the_way(tiny, tmp_path):
    sheet = tmp_path / "r-contact-sheet.png"
    Image.new("L", (2, 2)).save(sheet)
    with pytest.raises(InputError, match="is there already"):
        check_output(tmp_path / "r.h5", tiny, overwrite=False)
    (tmp_path / ".r.h5.0123456789abcdef.tmp").touch()
    check_output(tmp_path / "r.h5", tiny, overwrite=False)
    write_output(phasegan.reconstruct(tiny, method="zero"), tmp_path / "r.h5", overwrite=False)
    assert {p.name for p in tmp_path.iterdir()} == {"r.h5", "r-contact-sheet.png"}


def test_no_output_is_written_over_the_input(tmp_path):
    for source in ("r.h5::/estimate", "r-contact-sheet.png"):
        with pytest.raises(InputError, match="is or holds the input"):
            check_output(tmp_path / "r.h5", tmp_path / source, overwrite=True)
    (tmp_path / "r-contact-sheet.png").write_text("mine")
    with pytest.raises(InputError, match="not a PNG"):
        check_output(tmp_path / "r.h5", tmp_path / "x.npy", overwrite=True)


@pytest.mark.parametrize("name", ["\U00020000" * 60, "a" * 200, "x/y.z/ü"])
def test_names_of_pictures_fit_on_the_disk(name, tmp_path, rng):
    result = Result(rng.random((2, 8, 8)), "x", 255, np.zeros((2, 8, 5)))
    result = replace(result, sources=[f"{name}.png"] * 2)
    write_output(result, tmp_path / "o", overwrite=False)
    assert len(list((tmp_path / "o").iterdir())) == 3
    write_output(result, tmp_path / "o", overwrite=True)
