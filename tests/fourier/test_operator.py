"""Laws of the linear condition that a phase puts on an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.fourier.convention import half_plane, self_conjugate
from phasegan.fourier.operator import PhaseOperator, plane_weight
from phasegan.fourier.phase import analyse, full_plane

pytestmark = pytest.mark.numerical

SIZES = [
    ((8, 8), (16, 16)), ((7, 7), (13, 13)), ((8, 8), (8, 8)), ((7, 7), (7, 7)),
    ((6, 9), (11, 14)), ((5, 4), (5, 9)), ((1, 1), (1, 1)), ((3, 1), (4, 2)),
]  # fmt: skip


def photographs(n, count, seed=0):
    from skimage import data

    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


def make(shape, frame, *, masked=False, dtype=torch.float64, count=3, seed=0):
    """Return an operator of `count` images' phases, and the images."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, *shape))
    image[:, 0, 0] += 1
    phase = torch.from_numpy(analyse(image, frame).phase)
    trusted = torch.from_numpy(rng.random(phase.shape) < 0.7) if masked else None
    if trusted is not None:
        trusted[:, 0, 0] = True
    operator = PhaseOperator(phase, frame, shape, trusted, dtype)
    return operator, torch.from_numpy(image).to(dtype)


def random_images(operator, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (len(operator), *operator.shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(operator.dtype)


def hermitian(values, frame, sign):
    """Give values at k and −k, where the half-plane holds both, the law y(−k) = sign · y(k)."""
    rows = -np.arange(frame[0]) % frame[0]
    values = values.clone()
    for column in {0, frame[1] // 2} if frame[1] % 2 == 0 else {0}:
        values[..., column] = 0.5 * (values[..., column] + sign * values[..., rows, column])
    return values


def both_trusted(operator):
    """Return where k and −k are trusted."""
    if operator.trusted is None:
        return torch.ones(operator.phase.shape, dtype=torch.bool)
    return hermitian(operator.trusted.double(), operator.frame, 1) == 1


def product(a, b, frame):
    """Return ⟨a, b⟩ over the full plane, each as documented."""
    return (a.double() * b.double() * plane_weight(frame)).sum((-2, -1)) / (frame[0] * frame[1])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
@pytest.mark.parametrize(("shape", "frame"), SIZES)
def test_the_adjoint_is_the_adjoint(shape, frame, dtype, close, masked):
    operator, _ = make(shape, frame, masked=masked, dtype=dtype)
    x = random_images(operator)
    generator = torch.Generator().manual_seed(2)
    y = torch.randn(operator.phase.shape, generator=generator, dtype=torch.float64)
    y = hermitian(y, frame, -1).to(dtype)
    if masked:  # the mask of a real image's spectrum holds for k and −k
        symmetric = both_trusted(operator)
        operator = PhaseOperator(operator.phase, frame, shape, symmetric, dtype)
    left = product(operator.forward(x), y, frame)
    right = (x.double() * operator.adjoint(y).double()).sum((-2, -1))
    np.testing.assert_allclose(left, right, atol=close * 10)
    assert operator.adjoint(y).dtype == operator.forward(x).dtype == dtype


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize(("shape", "frame"), SIZES)
def test_the_normal_operator_is_the_adjoint_after_the_operator(shape, frame, dtype, close, masked):
    operator, _ = make(shape, frame, masked=masked, dtype=dtype)
    if masked:
        symmetric = both_trusted(operator)
        operator = PhaseOperator(operator.phase, frame, shape, symmetric, dtype)
    x = random_images(operator)
    given = x.clone()
    normal = operator.normal(x)
    np.testing.assert_allclose(normal, operator.adjoint(operator.forward(x)), atol=close)
    assert torch.equal(x, given), "the image that was passed in is left as it was"
    assert normal.shape == x.shape
    assert normal.dtype == dtype


def dense(operator):
    """Return AᵀA of the first phase as a matrix."""
    pixels = operator.shape[0] * operator.shape[1]
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *operator.shape)
    repeated = operator.select(torch.zeros(pixels, dtype=torch.long))
    return repeated.normal(basis).reshape(pixels, pixels).numpy()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "frame"), SIZES)
def test_the_normal_operator_is_symmetric_with_eigenvalues_in_0_to_1(shape, frame, masked):
    operator, _ = make(shape, frame, masked=masked)
    matrix = dense(operator)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    values = np.linalg.eigvalsh(matrix)
    assert values.min() > -1e-12
    assert values.max() < 1 + 1e-12


@pytest.mark.parametrize(("shape", "frame"), SIZES)
def test_padding_and_transforming_is_an_isometry(shape, frame):
    operator, _ = make(shape, frame)
    x = random_images(operator)
    spectrum = operator.spectrum(x)
    energy = product(spectrum.real, spectrum.real, frame) + product(
        spectrum.imag, spectrum.imag, frame
    )
    np.testing.assert_allclose(energy, (x * x).sum((-2, -1)), rtol=1e-12)
    np.testing.assert_allclose(operator.image(spectrum), x, atol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "frame"), SIZES)
def test_the_true_image_is_in_the_null_space(shape, frame, masked):
    operator, image = make(shape, frame, masked=masked)
    scale = image.abs().max()
    assert operator.forward(image).abs().max() < 1e-11 * scale * image[0].numel()
    assert operator.normal(image).abs().max() < 1e-12 * scale
    assert operator.residual(image).max() < 1e-12


@pytest.mark.parametrize(("shape", "frame"), SIZES)
def test_aligning_the_true_image_gives_its_magnitude(shape, frame):
    operator, image = make(shape, frame)
    aligned = operator.aligned(image)
    magnitude = analyse(image.numpy(), frame).magnitude
    np.testing.assert_allclose(aligned.real, magnitude, atol=1e-9)
    np.testing.assert_allclose(operator.unaligned(aligned), image, atol=1e-10)


def test_samples_that_are_not_trusted_say_nothing():
    operator, _ = make((8, 8), (16, 16), masked=True)
    x = random_images(operator)
    assert (operator.forward(x)[~operator.trusted] == 0).all()
    assert (operator.aligned(x)[~operator.trusted] == 0).all()
    turned = torch.where(operator.trusted, operator.phase, operator.phase + 1.0)
    other = PhaseOperator(turned, (16, 16), (8, 8), operator.trusted)
    np.testing.assert_array_equal(operator.normal(x), other.normal(x))
    np.testing.assert_array_equal(operator.residual(x), other.residual(x))


def test_a_mask_that_trusts_everything_is_no_mask():
    operator, _ = make((8, 8), (16, 16))
    everything = torch.ones(operator.phase.shape, dtype=torch.bool)
    other = PhaseOperator(operator.phase, (16, 16), (8, 8), everything)
    x = random_images(operator)
    assert torch.equal(operator.normal(x), other.normal(x))


@pytest.mark.parametrize("masked", [False, True])
def test_selecting_phases_is_slicing(masked):
    operator, _ = make((7, 7), (13, 13), masked=masked, count=5)
    x = random_images(operator)
    for index in (
        torch.tensor([3, 0]),
        torch.tensor([True, False, False, True, True]),
        torch.tensor([2, 2]),
    ):
        part = operator.select(index)
        assert len(part) == len(x[index])
        for name in ("forward", "normal", "residual", "aligned"):
            whole = getattr(operator, name)(x)[index]
            np.testing.assert_allclose(getattr(part, name)(x[index]), whole, atol=1e-13)
    assert len(operator) == 5


def test_a_single_precision_operator_becomes_the_double_one():
    single, image = make((8, 8), (16, 16), dtype=torch.float32)
    double, _ = make((8, 8), (16, 16))
    again = single.as_double()
    assert again.normal(image.double()).dtype == torch.float64
    assert torch.equal(again.phasor, double.phasor)


def test_the_residual_of_zeros_is_1_and_scale_does_not_matter():
    operator, _ = make((8, 8), (16, 16))
    assert (operator.residual(torch.zeros(3, 8, 8, dtype=torch.float64)) == 1).all()
    x = random_images(operator)
    np.testing.assert_allclose(operator.residual(-1e-6 * x), operator.residual(x), rtol=1e-12)
    assert (operator.residual(x) <= 1).all()


def test_the_residual_is_the_rms_of_the_sine_of_the_phase_error():
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, (1, 9, 9))
    frame = (18, 18)
    spectrum = analyse(image, frame)
    error = rng.uniform(-0.3, 0.3, spectrum.phase.shape)
    error[..., self_conjugate(frame)] = 0.0
    rows = np.arange(1, 9)
    for column in (0, 9):
        error[..., 18 - rows, column] = -error[..., rows, column]
    operator = PhaseOperator(torch.from_numpy(spectrum.phase + error), frame, (9, 9))
    power = np.abs(np.fft.fft2(image, s=frame)) ** 2
    whole = full_plane(error, frame)
    expected = np.sqrt((power * np.sin(whole) ** 2).sum() / power.sum())
    found = operator.residual(torch.from_numpy(image).double())
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_a_delta_turned_by_an_angle_has_the_sine_of_it_as_residual():
    # the spectrum of a delta at the origin is 1 everywhere
    delta = torch.zeros(1, 4, 4, dtype=torch.float64)
    delta[0, 0, 0] = 3.0
    angle = torch.full((1, *half_plane((8, 8))), 0.4, dtype=torch.float64)
    found = PhaseOperator(angle, (8, 8), (4, 4)).residual(delta)
    np.testing.assert_allclose(found, [np.sin(0.4)], rtol=1e-13)


@pytest.mark.parametrize("frame", [(8, 8), (7, 7), (6, 9), (4, 1), (3, 2)])
def test_the_weights_count_every_sample_of_the_full_plane_once(frame):
    weight = plane_weight(frame)
    assert weight.shape == (half_plane(frame)[1],)
    assert float(weight.sum()) == frame[1]
    values = np.abs(np.fft.fft2(np.random.default_rng(0).normal(size=frame)))
    half = values[:, : half_plane(frame)[1]]
    np.testing.assert_allclose((half * weight.numpy()).sum(), values.sum())


def test_photographs_keep_one_null_direction_at_twice_their_size():
    images = photographs(12, 3)
    for image in images:
        phase = torch.from_numpy(analyse(image[None], (24, 24)).phase)
        values, vectors = np.linalg.eigh(dense(PhaseOperator(phase, (24, 24), (12, 12))))
        assert abs(values[0]) < 1e-13
        assert values[1] > 1e-9
        null = vectors[:, 0] / vectors[:, 0].sum() * image.sum()
        np.testing.assert_allclose(null.reshape(12, 12), image, atol=1e-4)
