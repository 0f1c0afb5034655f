"""Phases from arrays and from files that phasegan did not write."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import torch
from PIL import Image

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.layouts import from_half_plane
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.inputs.arrays import is_phase_source, read_phase
from phasegan.reconstruction.output import write_output


@pytest.fixture
def phase(rng):
    return analyse(rng.integers(1, 256, (3, 8, 8)), (8, 8)).phase


def silent(text):
    raise AssertionError(text)


def read(source, **options):
    return read_phase(source, warn=options.pop("warn", silent), **options)


def refused(source, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)


def write_hdf5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name.replace("__", "/")] = values
    return path


def write_matlab_73(path, **variables):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            if np.iscomplexobj(values):
                pair = np.dtype([("real", "f8"), ("imag", "f8")])
                stored = np.empty(values.shape, pair)
                stored["real"], stored["imag"] = values.real, values.imag
            else:
                stored = values
            kind = {"b": "logical", "f": "double", "c": "double", "u": "uint16"}[values.dtype.kind]
            data = file.create_dataset(name, data=stored.T)
            data.attrs["MATLAB_class"] = np.bytes_(kind)
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.npy", True),
        ("A.NPZ", True),
        ("C:\\data\\a.mat", True),
        ("C:\\data\\a.h5::/x", True),
        ("a.nxs::entry/phase", True),
        ("a.h5", False),
        ("C:\\pictures", False),
        ("a.png", False),
    ],
)
def test_names_tell_arrays_from_prepared_files_and_pictures(path, expected):
    assert is_phase_source(path) is expected


def test_arrays_tensors_and_lists_are_one(phase):
    for source in (phase, torch.from_numpy(phase).requires_grad_(), phase.tolist()):
        own = read(source)
        np.testing.assert_array_equal(own.phase, phase)
        assert (own.single, own.trusted, own.where) == (False, None, "the phase array")
    one = read(phase[0])
    assert one.single
    np.testing.assert_array_equal(one.phase, phase[:1])
    whole = from_half_plane(phase, layout="centred", units="phasor")
    own = read(
        torch.from_numpy(whole).conj().resolve_conj().conj(), layout="centred", units="phasor"
    )
    np.testing.assert_allclose(own.phase, phase, atol=1e-12)
    assert read(torch.from_numpy(phase).to(torch.bfloat16)).phase.shape == phase.shape
    assert read(phase.astype(np.float32)).dtype == np.float32


def test_what_is_no_array_is_refused(phase):
    refused([[1.0, 2.0], [3.0]], "the phase array: not an array of numbers")
    refused({"phase": phase}, "dtype object is no phase")
    refused(torch.eye(8).to_sparse(), "not an array of numbers")


def test_masks_follow_the_phase(phase, tmp_path):
    mask = np.ones((8, 5))
    mask[2, 3] = 0
    phase[:, 2, 3] = np.nan
    np.save(tmp_path / "mask.npy", mask)
    masked = np.ma.masked_invalid(phase)
    for source, given in ((phase, mask), (phase, tmp_path / "mask.npy"), (masked, None)):
        own = read(source, mask=given)
        assert (own.trusted == (mask == 1)).all()
        assert own.trusted.shape == own.phase.shape
        assert (own.phase[:, 2, 3] == 0).all()
    assert read(phase[0], mask=mask).trusted.shape == (1, 8, 5)
    refused(phase, r"no\.npy: no such file", mask=tmp_path / "no.npy")


def test_what_looks_wrong_is_said(phase):
    said = []
    phase[0, 0, 0], phase[0, 1, 0] = 1.0, 3.0
    read(phase, symmetrise=True, warn=said.append)
    assert ["pairs differed" in line for line in said] == [True, False]
    assert "the phase array: 1 self-conjugate bins" in said[1]
    said.clear()
    read(np.zeros((8, 5)) + np.pi * np.eye(8, 5, 4), units="deg", warn=said.append)
    assert "add --units rad" in said[0]


def test_numpy_files(phase, tmp_path):
    np.save(tmp_path / "a.npy", phase)
    np.savez(tmp_path / "one.npz", phase)
    np.savez_compressed(tmp_path / "two.npz", phase=phase, image=np.zeros(3))
    for name in ("a.npy", "one.npz", "one.npz::arr_0", "two.npz::phase"):
        own = read(f"{tmp_path / name}")
        np.testing.assert_array_equal(own.phase, phase)
        assert own.where == f"{tmp_path / name}"
    np.testing.assert_array_equal(read(tmp_path / "a.npy").phase, phase)
    refused(tmp_path / "two.npz", r"two\.npz: holds 2 arrays \(phase, image\); .*two\.npz::phase")
    refused(f"{tmp_path}/two.npz::phse", "no array phse; did you mean phase")
    refused(f"{tmp_path}/two.npz::x", "no array x; it holds phase, image")
    refused(f"{tmp_path}/a.npy::x", "one array without a name; leave out ::x")


def test_numpy_files_that_cannot_be_read(phase, tmp_path):
    np.save(tmp_path / "whole.npy", phase)
    np.savez(tmp_path / "whole.npz", phase=phase)
    for suffix in (".npy", ".npz"):
        bits = (tmp_path / f"whole{suffix}").read_bytes()
        for length in (60, 200, len(bits) - 40):
            cut = tmp_path / f"cut{suffix}"
            cut.write_bytes(bits[:length])
            refused(cut, rf"cut\{suffix}: cannot be read; is it damaged, truncated")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    refused(tmp_path / "objects.npy", "pickled Python objects")
    (tmp_path / "text.npy").write_text("0.1 0.2\n")
    refused(tmp_path / "text.npy", "not a file that numpy.save")
    (tmp_path / "empty.npy").touch()
    refused(tmp_path / "empty.npy", "the file is empty")
    (tmp_path / "folder.npy").mkdir()
    refused(tmp_path / "folder.npy", "not a file")
    refused(tmp_path / "none.npy", r"none\.npy: no such file")


def test_a_prepared_file_is_read_as_any_hdf5(tiny):
    with phasegan.open(tiny) as file:
        expected, undefined = file.test.phase(), file.test.undefined()
    own = read(f"{tiny}::/test/phase")
    np.testing.assert_array_equal(own.phase, expected)
    assert own.dtype == np.uint16
    assert own.resolution == pytest.approx(np.pi / 65536)
    assert read(f"{tiny}::test/phase", mask=~undefined).trusted.shape == expected.shape
    refused(
        f"{tiny}::/test/phase", "units attribute says rad, not deg; add --units rad", units="deg"
    )
    refused(f"{tiny}::/test", r"/test is a group, .* such as .*::/test/")
    refused(f"{tiny}::/tset/phase", "no array /tset/phase; did you mean /test/phase")
    refused(f"{tiny}::/test/source", r"dtype .S\d+ is no phase")


def test_packed_integers_are_unpacked(phase, tmp_path):
    path = tmp_path / "packed.nc"
    degrees = np.degrees(phase) + 180
    with h5py.File(path, "w") as file:
        data = file.create_dataset("phi", data=np.rint(degrees / 0.01).astype(np.int32))
        data.attrs.update(scale_factor=np.array([0.01]), add_offset=-180.0, units="degrees")
        file.create_dataset("bad", data=data[()]).attrs["scale_factor"] = "one"
        file["codes"] = np.zeros((8, 5), np.uint16)
    own = read(f"{path}::phi", units="deg")
    assert own.resolution == pytest.approx(np.radians(0.005))
    assert np.abs(np.angle(np.exp(1j * (own.phase - phase)))).max() <= own.resolution
    refused(f"{path}::bad", "/bad has a scale_factor or add_offset that is no number")
    refused(f"{path}::codes", "integer codes without their encoding")


def test_hdf5_files(phase, tmp_path):
    path = write_hdf5(tmp_path / "one.h5", entry__phase=phase)
    for name in ("::entry/phase", "::/entry/phase", "::/entry/phase/", "::", ""):
        np.testing.assert_array_equal(read(f"{path}{name}").phase, phase)
    whole = from_half_plane(phase, layout="full", units="phasor")
    write_hdf5(tmp_path / "c.h5", z=whole)
    own = read(f"{tmp_path}/c.h5::z", layout="full", units="phasor")
    np.testing.assert_allclose(own.phase, phase, atol=1e-12)
    many = write_hdf5(tmp_path / "many.h5", **{f"d{i}": np.zeros(2) for i in range(12)})
    refused(f"{many}::x", r"no array /x; it holds /d0, .*, …$")
    refused(many, "holds 12 arrays")
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["nothing"] = h5py.Empty("f")
        file["table"] = np.zeros(3, [("a", "f4"), ("b", "i4")])
        file["type"] = np.dtype("f8")
        file["broken"] = h5py.SoftLink("/nowhere")
        file.create_group("group")
    refused(f"{tmp_path}/odd.h5::nothing", "/nothing is empty")
    refused(f"{tmp_path}/odd.h5::table", r"a table \(a, b\)")
    refused(f"{tmp_path}/odd.h5::type", "type is not a dataset")
    refused(f"{tmp_path}/odd.h5::broken", "no array /broken; it holds")
    refused(f"{tmp_path}/odd.h5::group", "group is a group, not a dataset; name one inside it$")
    (tmp_path / "text.h5").write_text("hello")
    refused(f"{tmp_path}/text.h5::x", "not an HDF5 file; :: is for these")
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:-500])
    refused(f"{tmp_path}/cut.h5::x", "truncated")


def save_matlab(path, version, **variables):
    if version == "7.3":
        write_matlab_73(path, **variables)
    else:
        scipy.io.savemat(path, variables, format=version, do_compression=version == "5")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4", "5", "7.3"])
def test_matlab_files_of_one_plane(version, phase, tmp_path):
    whole = from_half_plane(phase[0], layout="full", units="rad")
    path = save_matlab(tmp_path / "a.mat", version, phi=whole)
    np.testing.assert_array_equal(read(path, layout="full").phase, phase[:1])
    assert read(f"{path}::phi", layout="full").single
    path = save_matlab(tmp_path / "b.mat", version, z=np.exp(1j * whole), t=np.zeros((1, 2)))
    own = read(f"{path}::z", layout="full", units="phasor")
    np.testing.assert_allclose(own.phase, phase[:1], atol=1e-12)
    refused(path, r"b\.mat: holds 2 arrays \(.*name one, such as .*b\.mat::")
    refused(f"{path}::zz", "no array zz; did you mean z")
    path = save_matlab(tmp_path / "c.mat", version, zero=np.zeros((8, 8)))
    assert not read(path, layout="full").phase.any()


def test_whole_doubles_that_matlab_keeps_as_integers_are_doubles(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"zero": np.zeros((8, 8)), "one": np.ones((8, 8))})
    bits = bytearray((tmp_path / "a.mat").read_bytes())
    scipy.io.savemat(tmp_path / "b.mat", {"zero": np.zeros((8, 8), np.uint8)})
    small = bytearray((tmp_path / "b.mat").read_bytes())
    flags = bits.index(b"\x06\x00\x00\x00\x08\x00\x00\x00", 128)
    small[flags + 8] = bits[flags + 8]  # the class becomes double, the data stay uint8
    (tmp_path / "b.mat").write_bytes(small)
    own = read(tmp_path / "b.mat", layout="full")
    assert own.dtype == np.float64
    assert not own.phase.any()


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_samples_come_last_in_matlab(version, phase, tmp_path, rng):
    whole = from_half_plane(phase, layout="full", units="rad")
    mask = np.ones((8, 8), bool)
    mask[0, 0] = False
    path = save_matlab(tmp_path / "a.mat", version, phi=whole.transpose(1, 2, 0), ok=mask)
    own = read(f"{path}::phi", layout="full", mask=f"{path}::ok")
    np.testing.assert_array_equal(own.phase, phase)
    assert own.trusted.sum() == 3 * 39
    colour = analyse(rng.integers(1, 256, (2, 3, 8, 8)), (8, 8)).phase
    path = save_matlab(tmp_path / "b.mat", version, phi=colour.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(read(path).phase, colour)
    path = save_matlab(tmp_path / "c.mat", version, codes=np.ones((8, 5), np.uint16))
    refused(path, "integer codes without")


def test_matlab_files_that_hold_no_phase(phase, tmp_path):
    path = tmp_path / "a.mat"
    cell = np.array([np.zeros(2), "a"], dtype=object)
    scipy.io.savemat(path, {"s": {"phi": phase[0]}, "c": cell, "name": "text"})
    refused(f"{path}::s", "s is a MATLAB struct; save a numeric array")
    refused(f"{path}::c", "c is a MATLAB cell")
    refused(path, "holds no array of numbers")
    with h5py.File(write_matlab_73(tmp_path / "b.mat", phi=phase[0]), "r+") as file:
        file.create_group("s").attrs["MATLAB_class"] = np.bytes_("struct")
        file.create_group("sparse").attrs["MATLAB_class"] = np.bytes_("double")
        file.create_dataset("e", data=np.zeros(2)).attrs["MATLAB_class"] = np.bytes_("double")
        file["e"].attrs["MATLAB_empty"] = 1
    refused(f"{tmp_path}/b.mat::s", "s is a MATLAB struct")
    refused(f"{tmp_path}/b.mat::sparse", "sparse is not a dataset")
    refused(f"{tmp_path}/b.mat::e", "e is empty")
    refused(f"{tmp_path}/b.mat::ph", "did you mean phi")
    (tmp_path / "c.mat").write_text("hello")
    refused(tmp_path / "c.mat", "cannot be read; is it damaged")
    scipy.io.savemat(tmp_path / "d.mat", {"phi": phase[0]}, do_compression=True)
    (tmp_path / "d.mat").write_bytes((tmp_path / "d.mat").read_bytes()[:-60])
    refused(tmp_path / "d.mat", "cannot be read; is it damaged")


@pytest.mark.parametrize("axis", [-1, 3, 0, 1])
def test_channels_may_be_any_axis_and_stay_there(axis, rng, tmp_path):
    images = rng.integers(0, 256, (2, 3, 12, 10))
    given = np.moveaxis(np.angle(np.fft.fft2(images, s=(24, 21))), 1, axis)
    options = {"shape": (12, 10), "layout": "full", "channel_axis": axis}
    result = phasegan.reconstruct(given, **options)
    np.testing.assert_array_equal(np.moveaxis(result.estimate, axis, 1), images)
    assert result.certified.tolist() == [True, True]
    np.save(tmp_path / "p.npy", given)
    first = phasegan.reconstruct(tmp_path / "p.npy", limit=1, **options)
    np.testing.assert_array_equal(np.moveaxis(first.estimate, axis, 1), images[:1])


def test_one_sample_with_channels_last(rng, tmp_path):
    image = rng.integers(0, 256, (12, 10, 3))
    given = np.angle(np.fft.fft2(image, s=(24, 21), axes=(0, 1)))
    mask = np.ones(given.shape, bool)
    mask[3, 4, 1] = mask[-3, -4, 1] = False
    options = {"shape": (12, 10), "layout": "full", "channel_axis": -1, "mask": mask}
    result = phasegan.reconstruct(given, **options)
    np.testing.assert_array_equal(result.estimate, image)
    assert result.certified.tolist() == [True]
    scipy.io.savemat(tmp_path / "p.mat", {"phi": given})
    np.save(tmp_path / "p.npy", given)
    for name in ("p.mat", "p.npy"):
        result = phasegan.reconstruct(tmp_path / name, **(options | {"limit": 1, "mask": None}))
        np.testing.assert_array_equal(result.estimate, image[None])
        write_output(result, tmp_path / f"{name}.h5", overwrite=False)
        with h5py.File(tmp_path / f"{name}.h5") as file:
            assert [d.label for d in file["estimate"].dims] == [
                "sample",
                "row",
                "column",
                "channel",
            ]
        write_output(result, tmp_path / f"{name}_png", overwrite=False)
        (written,) = (tmp_path / f"{name}_png").glob("0*.png")
        np.testing.assert_array_equal(np.asarray(Image.open(written)), image)


def save_phase_picture(path, phase, units):
    plane = from_half_plane(phase, layout="centred", units=units)
    if path.suffix == ".tif":
        tifffile.imwrite(path, plane.astype(np.float32) if units == "rad" else plane)
    else:
        Image.fromarray(plane).save(path)


@pytest.mark.parametrize(
    ("name", "units"),
    [("a.png", "grey8"), ("a.bmp", "codes8"), ("a.png", "codes16"), ("a.tif", "rad"),
     ("a.tif", "grey16")],
)  # fmt: skip
def test_pixels_of_a_picture_are_phases_by_option(name, units, phase, tmp_path):
    path = tmp_path / name
    save_phase_picture(path, phase[0], units)
    own = read(path, layout="centred", units=units)
    error = np.abs(np.angle(np.exp(1j * (own.phase - phase[:1]))))
    assert (error <= own.half_step + 1e-12).all()
    if units != "rad":
        with pytest.raises(InputError, match="add --units codes"):
            read(path, layout="centred")
    with pytest.raises(InputError, match=r"--layout: .*add --as-phases and --units: grey8"):
        phasegan.reconstruct(path, layout="centred")
    with pytest.raises(InputError, match=r"--size: the pixels of .* are phases"):
        phasegan.reconstruct(path, as_phases=True, preprocessing={"size": 64})


def test_pictures_of_phases_are_certified_and_a_folder_is_samples(rng, tmp_path):
    images = rng.integers(0, 256, (3, 20, 16))
    for i, image in enumerate(images):
        plane = np.fft.fftshift(np.angle(np.fft.fft2(image, s=(40, 32))))
        tifffile.imwrite(tmp_path / f"{i}.tif", plane.astype(np.float32))
    Image.fromarray(np.full((40, 32), 255, np.uint8)).save(tmp_path / "mask.png")
    options = {"as_phases": True, "layout": "centred", "shape": (20, 16)}
    one = phasegan.reconstruct(tmp_path / "1.tif", mask=tmp_path / "mask.png", **options)
    np.testing.assert_array_equal(one.estimate, images[1:2])
    (tmp_path / "mask.png").unlink()
    every = phasegan.reconstruct(tmp_path, limit=2, **options)
    np.testing.assert_array_equal(every.estimate, images[:2])
    assert every.certified.all()
    tifffile.imwrite(tmp_path / "3.tif", np.zeros((40, 30), np.float32))
    with pytest.raises(InputError, match=r"3\.tif: float32 \(40, 30\), unlike"):
        phasegan.reconstruct(tmp_path, **options)


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_a_mask_in_the_file_of_the_phases_is_named_not_used(suffix, phase, tmp_path):
    path = tmp_path / f"scan{suffix}"
    trusted = np.ones((8, 5))
    trusted[3, 3] = 0
    arrays = {"phi": phase[0], "mask": trusted}
    if suffix == ".h5":
        write_hdf5(path, **{f"exp__{name}": values for name, values in arrays.items()})
    elif suffix == ".npz":
        np.savez(path, **arrays)
    else:
        scipy.io.savemat(path, arrays)
    inside = "/exp/" if suffix == ".h5" else ""
    said = []
    assert read(f"{path}::{inside}phi", warn=said.append).trusted is None
    name = f"{path}::{inside}mask"
    assert [line.endswith(f"which phases to trust: --mask {name}") for line in said] == [True]
    own = read(f"{path}::{inside}phi", mask=name)
    assert own.trusted.sum() == 39
