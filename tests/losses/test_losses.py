"""Losses in closed form."""

import pytest
import torch

from phasegan.losses.adversarial import FAKE, REAL, discriminator_loss, least_squares
from phasegan.losses.reconstruction import l1_loss, soft_clipped_mse, structure_loss


def test_least_squares():
    scores = torch.tensor([[[[1.0, 3.0], [0.0, 1.0]]]])
    assert float(least_squares(scores, REAL)) == pytest.approx((0 + 4 + 1 + 0) / 4)
    assert float(least_squares(scores, FAKE)) == pytest.approx((1 + 9 + 0 + 1) / 4)


def test_the_discriminator_loss_is_halved_and_zero_when_right():
    right, wrong = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    assert float(discriminator_loss(right, wrong)) == 0
    assert float(discriminator_loss(wrong, right)) == 1


def test_absolute():
    a, b = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), -0.5)
    assert float(l1_loss(a, b)) == 0.5


def test_half_precision_scores_are_averaged_in_float32():
    scores = torch.full((1, 1, 300, 300), 200.0, dtype=torch.float16)
    assert float(least_squares(scores, FAKE)) == pytest.approx(40000)


@pytest.fixture
def target():
    return torch.rand(3, 2, 24, 20, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("contrast", "brightness"), [(1, 0), (0.7, 0.2), (-0.7, 0.9), (3, -1)])
def test_brightness_and_contrast_are_no_dissimilarity(target, contrast, brightness):
    assert float(structure_loss(contrast * target + brightness, target)) < 5e-3
    noisy = target + 0.2 * torch.rand(target.shape, generator=torch.Generator().manual_seed(2))
    expected = float(structure_loss(noisy, target))
    changed = float(structure_loss(contrast * noisy + brightness, target))
    assert changed == pytest.approx(expected, abs=5e-3)


def test_dissimilarity_is_the_variance_that_is_not_explained(target):
    other = torch.rand(target.shape, generator=torch.Generator().manual_seed(2))
    pairs = zip(other.flatten(0, 1), target.flatten(0, 1), strict=True)
    rho = [float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) for a, b in pairs]
    expected = 1 - sum(r * r for r in rho) / len(rho)
    assert float(structure_loss(other, target)) == pytest.approx(expected, abs=1e-4)


def test_dissimilarity_is_1_without_correlation():
    rows, columns = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    rows[..., ::2, :], columns[..., ::2] = 1.0, 1.0
    assert float(structure_loss(rows, columns)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dissimilarity_has_finite_gradients_on_constants(target, dtype):
    flat = torch.full(target.shape, 0.3)
    for a, b in ((flat, target), (target, flat), (flat, flat)):
        estimate = a.to(dtype).requires_grad_()
        loss = structure_loss(estimate, b)
        loss.backward()
        assert loss.dtype == torch.float32
        assert 0 <= float(loss.detach()) <= 1 + 1e-6
        assert torch.isfinite(estimate.grad).all()


def test_a_tenth_of_the_squared_error_is_not_clipped():
    black = torch.zeros(1, 1, 2, 2)
    assert float(soft_clipped_mse(black - 2, black)) == pytest.approx(0.1 * 4)
    assert float(soft_clipped_mse(black + 2, black)) == pytest.approx(0.9 * 1 + 0.1 * 4)
    assert float(soft_clipped_mse(black + 0.5, black)) == pytest.approx(0.25)
