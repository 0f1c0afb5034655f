"""Losses in closed form."""

import pytest
import torch

from phasegan.losses.adversarial import FAKE, REAL, discriminator_loss, least_squares
from phasegan.losses.reconstruction import absolute


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
    assert float(absolute(a, b)) == 0.5


def test_half_precision_scores_are_averaged_in_float32():
    scores = torch.full((1, 1, 300, 300), 200.0, dtype=torch.float16)
    assert float(least_squares(scores, FAKE)) == pytest.approx(40000)
