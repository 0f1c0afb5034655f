"""Laws of the proofs that an image is the only one with a phase."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from phasegan.fourier.degradation import quantise_phase
from phasegan.fourier.encoding import decode, encode, half_steps
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.exact.certificate import (
    PlaneObservation,
    misfit,
    second_singular_value,
)


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


def measured(image, frame, dtype="float64", bits=None):
    """Return the phases of an image as a file keeps them."""
    spectrum = analyse(image, frame)
    phase = spectrum.phase if bits is None else quantise_phase(spectrum.phase, bits, frame)
    trusted = ~spectrum.undefined if spectrum.undefined.any() else None
    if dtype == "float64":
        return PlaneObservation(phase, trusted, 0.0 if bits is None else np.pi / 2**bits)
    codes = encode(phase, dtype)
    return PlaneObservation(decode(codes), trusted, half_steps(codes, bits))


def operator_of(images, frame, trusted=None):
    phase = torch.from_numpy(analyse(images, frame).phase)
    return PhaseOperator(phase, frame, images.shape[-2:], trusted)


def singular_values(operator):
    """Return all singular values of A for the first phase, from the smallest."""
    pixels = operator.shape[0] * operator.shape[1]
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *operator.shape)
    repeated = operator.select(torch.zeros(pixels, dtype=torch.long))
    matrix = repeated.normal(basis).reshape(pixels, pixels).numpy()
    return np.sqrt(np.abs(np.linalg.eigvalsh(matrix)))


def second(images, frame, enough=1e-6, **options):
    solution = torch.from_numpy(images).double()
    return second_singular_value(operator_of(images, frame), solution, enough, **options)


KEPT = [
    ("float64", None), ("float32", None), ("float16", None), ("uint16", None),
    ("uint16", 8), ("float32", 4), ("float16", 10), ("float64", 3),
]  # fmt: skip


@pytest.mark.parametrize("frame", [(24, 24), (25, 25), (12, 12)])
@pytest.mark.parametrize(("dtype", "bits"), KEPT)
def test_an_image_gives_its_own_phases_however_they_are_kept(dtype, bits, frame):
    for image in photographs(12, 8):
        assert misfit(image, measured(image, frame, dtype, bits), frame) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint16"])
def test_one_grey_level_in_one_pixel_is_noticed(dtype):
    rng = np.random.default_rng(0)
    for image in photographs(32, 5):
        kept = measured(image, (64, 64), dtype)
        for _ in range(20):
            other = image.copy()
            other[tuple(rng.integers(0, 32, 2))] += rng.choice([-1, 1])
            assert misfit(other, kept, (64, 64)) > 0


def test_any_positive_multiple_gives_the_phase_and_no_negative_one():
    image = photographs(16, 1)[0]
    kept = measured(image, (32, 32))
    assert misfit(7 * image, kept, (32, 32)) == 0
    assert misfit(-image, kept, (32, 32)) == kept.phase.size


def test_pi_and_minus_pi_are_one_angle():
    image = photographs(16, 1)[0]
    kept = measured(image, (32, 32))
    at_pi = kept.phase == np.pi
    assert at_pi.any()
    turned = np.where(at_pi, -np.pi, kept.phase)
    assert misfit(image, PlaneObservation(turned, None, 0.0), (32, 32)) == 0
    codes = encode(kept.phase, "uint16")
    assert misfit(image, PlaneObservation(decode(codes), None, half_steps(codes)), (32, 32)) == 0


def test_what_is_not_trusted_is_left_out_and_what_is_counts():
    image = photographs(16, 1)[0]
    kept = measured(image, (32, 32))
    wrong = np.random.default_rng(1).random(kept.phase.shape) < 0.2
    phase = np.where(wrong, kept.phase + 1.0, kept.phase)
    assert misfit(image, PlaneObservation(phase, ~wrong, 0.0), (32, 32)) == 0
    assert misfit(image, PlaneObservation(phase, None, 0.0), (32, 32)) == wrong.sum()
    some = wrong & (np.random.default_rng(2).random(wrong.shape) < 0.5)
    assert misfit(image, PlaneObservation(phase, ~some, 0.0), (32, 32)) == (wrong & ~some).sum()


def test_undefined_phases_that_are_not_trusted_do_no_harm():
    image = np.zeros((8, 8), np.int64)
    image[0, [0, 2]] = 5  # 1 + e^{−2iθ} is 0 at a quarter of a turn
    spectrum = analyse(image, (16, 16))
    assert spectrum.undefined.any()
    known = PlaneObservation(spectrum.phase, ~spectrum.undefined, 0.0)
    assert misfit(image, known, (16, 16)) == 0


def test_the_half_step_is_what_is_allowed():
    image = photographs(16, 1)[0]
    spectrum = analyse(image, (32, 32))
    off = spectrum.phase + 1e-3
    assert misfit(image, PlaneObservation(off, None, 1.001e-3), (32, 32)) == 0
    assert misfit(image, PlaneObservation(off, None, 0.999e-3), (32, 32)) == off.size
    half = np.where(np.arange(17) < 5, 1.001e-3, 0.999e-3) * np.ones((32, 1))
    assert misfit(image, PlaneObservation(off, None, half), (32, 32)) == 32 * 12


@pytest.mark.parametrize("frame", [22, 24, 25, 32, 48])
def test_the_second_singular_value_is_that_of_the_dense_matrix(frame):
    images = photographs(16, 4, seed=frame)
    found = second(images, (frame, frame))
    for image, value in zip(images, found, strict=True):
        dense = singular_values(operator_of(image[None], (frame, frame)))
        if dense[1] > 1e-6:
            assert value == pytest.approx(dense[1], rel=0.15)
        else:
            assert value < 1e-6


def test_a_border_on_one_side_leaves_one_solution():
    image = photographs(16, 1, seed=3)[0]
    for rows, columns in (
        (np.s_[:4], np.s_[:3]),
        (np.s_[-3:], np.s_[-5:]),
        (np.s_[:2], np.s_[-2:]),
    ):
        one_sided = image.copy()
        one_sided[rows] = 0
        one_sided[:, columns] = 0
        dense = singular_values(operator_of(one_sided[None], (32, 32)))
        assert dense[1] > 1e-4
        assert second(one_sided[None], (32, 32))[0] == pytest.approx(dense[1], rel=0.15)


def without_opposite_rows(image, first, last):
    bordered = image.copy()
    bordered[:first] = 0
    bordered[len(image) - last :] = 0
    return bordered


def other_solutions():
    image = photographs(16, 1, seed=4)[0]
    return {
        "rows at both ends": without_opposite_rows(image, 2, 3),
        "one row at each end": without_opposite_rows(image, 1, 1),
        "columns at both ends": without_opposite_rows(image, 1, 4).T.copy(),
        "centrosymmetric": image + image[::-1, ::-1],
        "symmetric about a pixel": np.pad((image + image[::-1, ::-1])[:15, :15], (0, 1))
        + np.pad((image + image[::-1, ::-1])[:15, :15][::-1, ::-1], (0, 1)),
    }


@pytest.mark.parametrize("name", other_solutions())
@pytest.mark.parametrize("enough", [1e-6, 5e-5])
def test_where_other_images_fit_the_second_singular_value_is_0(name, enough):
    image = other_solutions()[name]
    assert singular_values(operator_of(image[None], (32, 32)))[1] < 1e-7
    assert second(image[None], (32, 32), enough)[0] < enough


def test_too_few_phases_leave_other_solutions():
    image = photographs(16, 1)[0]
    trusted = torch.from_numpy(np.random.default_rng(0).random((1, 32, 17)) < 0.3)
    operator = operator_of(image[None], (32, 32), trusted)
    solution = torch.from_numpy(image[None]).double()
    assert second_singular_value(operator, solution, 1e-6)[0] < 1e-6
    assert second(image[None], (16, 16))[0] < 1e-6


def test_every_plane_of_a_stack_is_judged_as_if_alone():
    image = photographs(16, 1, seed=4)[0]
    stack = np.stack([photographs(16, 1)[0], without_opposite_rows(image, 2, 2), image, image + 1])
    together = second(stack, (32, 32))
    for one, value in zip(stack, together, strict=True):
        alone = second(one[None], (32, 32))[0]
        if alone < 1e-6:
            assert value < 1e-6
        else:
            assert value == pytest.approx(alone, rel=0.2)


def test_too_few_steps_leave_the_question_open():
    assert np.isnan(second(photographs(16, 3), (32, 32), steps=24)).all()


def test_the_scale_of_the_solution_does_not_matter():
    images = photographs(16, 2)
    small = torch.from_numpy(images).double() * 1e-9
    value = second_singular_value(operator_of(images, (32, 32)), small, 1e-6)
    np.testing.assert_allclose(value, second(images, (32, 32)), rtol=1e-3)
