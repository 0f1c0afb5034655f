"""What a reconstruction says of itself."""

from __future__ import annotations

import h5py
import numpy as np

import phasegan
from phasegan.reconstruction.output import write_output
from phasegan.reconstruction.summary import MAX_LISTED, describe_result


def phases(images, padded):
    return np.angle(np.fft.rfft2(images, s=(padded, padded)))


def test_certified_and_other_samples_are_told_apart(rng):
    images = rng.integers(0, 256, (2, 16, 16))
    images[1] += images[1, ::-1, ::-1]
    result = phasegan.reconstruct(phases(images, 32), shape=(16, 16), data_range=65535)
    text = "\n".join(describe_result(result))
    assert "1 of 2 images certified exact" in text
    assert "image 1: not unique, the picture equals itself turned by 180°, or nearly" in text


def test_real_objects_are_told_unique_up_to_scale(rng, tmp_path):
    result = phasegan.reconstruct(phases(rng.random((2, 16, 16)), 32), shape=(16, 16))
    text = "\n".join(describe_result(result))
    assert "2 of 2 images unique up to scale" in text
    assert "image 1: unique up to scale, no integer image in range was found" in text
    write_output(result, tmp_path / "r.h5", overwrite=False)
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["unique_up_to_scale"][()].all()
        assert not file["certified"][()].any()


def test_many_samples_are_counted_not_listed(rng):
    images = rng.integers(0, 256, (MAX_LISTED + 3, 12, 12))
    result = phasegan.reconstruct(phases(images, 12), method="cg")
    lines = describe_result(result)
    assert sum("too few phases" in line for line in lines) == MAX_LISTED
    assert any("and 3 more: 3 not unique" in line for line in lines)


def test_methods_that_claim_nothing_say_nothing(rng):
    result = phasegan.reconstruct(phases(rng.integers(0, 256, (8, 8)), 8), method="zero")
    assert describe_result(result) == []


def test_what_did_not_converge_is_said(rng):
    phase = phases(rng.integers(0, 256, (16, 16)), 32)
    result = phasegan.reconstruct(phase, shape=(16, 16), method="hlo", iterations=3)
    assert "1 of 1 planes had not converged" in describe_result(result)[0]


def test_hdf5_keeps_certificates_and_residuals(rng, tmp_path):
    images = rng.integers(0, 256, (2, 16, 16))
    result = phasegan.reconstruct(phases(images, 32), shape=(16, 16))
    write_output(result, tmp_path / "r.h5", overwrite=False)
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["certified"][()].all()
        assert [text.decode() for text in file["certificate"]] == ["certified", "certified"]
        np.testing.assert_array_equal(file["residual"], result.residual)
        np.testing.assert_array_equal(file["iterations"], result.iterations)
