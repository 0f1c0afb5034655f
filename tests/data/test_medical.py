"""NIfTI and DICOM: slices are pictures, values in their units."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from phasegan.data.images.decoding import page_count, read_full_depth
from phasegan.data.images.pixels import UnreadableImageError
from phasegan.data.images.reading import Reading


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slices_of_nifti(tmp_path, rng, suffix):
    nibabel = pytest.importorskip("nibabel")
    values = rng.integers(-1000, 3000, (12, 14, 5)).astype(np.int16)
    volume = nibabel.Nifti1Image(values, np.eye(4))
    nibabel.save(volume, tmp_path / f"a{suffix}")
    path = tmp_path / f"a{suffix}"
    assert page_count(path, Reading()) == 5
    image = read_full_depth(path, 3)
    np.testing.assert_array_equal(image.pixels[..., 0], values[:, :, 3].T)
    stacked = read_full_depth(path, None, Reading(pages="channels"))
    np.testing.assert_array_equal(stacked.pixels, values.transpose(1, 0, 2))


def dicom(path, values, **tags):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    frames = values if values.ndim == 3 else values[None]
    data.Rows, data.Columns, data.NumberOfFrames = *frames.shape[1:], len(frames)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = 0
    data.PixelData = frames.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    assert pydicom


def test_dicom_comes_in_its_units(tmp_path, rng):
    values = rng.integers(0, 4096, (3, 16, 18))
    path = tmp_path / "a.dcm"
    dicom(path, values, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    assert page_count(path, Reading()) == 3
    image = read_full_depth(path, 2)
    np.testing.assert_array_equal(image.pixels[..., 0], values[2] * 2 - 1024)
    assert "a window of -160 to 240" in image.notices[0]
    dicom(path, values[0], PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_full_depth(path).pixels[..., 0], 4095 - values[0])


@pytest.mark.parametrize(("name", "package"), [("a.dcm", "pydicom"), ("a.nii", "nibabel")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"x" * 400)
    with pytest.raises(UnreadableImageError, match=r"phasegan\[medical\]"):
        read_full_depth(tmp_path / name)


@pytest.mark.parametrize("name", ["a.dcm", "a.nii", "a.nii.gz", "a.mat", "a.npz"])
def test_other_bytes_are_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no such file " * 40)
    with pytest.raises(UnreadableImageError) as caught:
        read_full_depth(tmp_path / name)
    assert "\n" not in str(caught.value)
