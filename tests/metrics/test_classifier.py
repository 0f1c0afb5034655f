"""The classifier of two domains: what it learns, what it does not, and what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from phasegan.errors import InputError
from phasegan.metrics.classifier import Accuracy, train_classifier

STEPS = 40


def smooth(rng, count, side=32):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.normal(size=(count, 3, side, side)), (0, 0, 2, 2))
    return np.clip(0.5 + noise, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def domains():
    """Dark blobs on a bright ground, and their negatives turned reddish."""
    rng = np.random.default_rng(5)
    a, b = smooth(rng, 80, side=24) ** 2, smooth(rng, 60, side=24)
    b[:, 0] = np.sqrt(b[:, 0])
    return a, b


@pytest.fixture(scope="module")
def classifier(domains):
    return train_classifier(domains[0][:60], domains[1][:45], steps=STEPS)


def test_domains_that_differ_are_told_apart(classifier, domains):
    found = classifier.accuracy(domains[0][60:], domains[1][45:])
    assert found.balanced > 0.9
    assert found.counts == (20, 15)
    assert classifier.held_out.counts == (12, 9)
    assert classifier.informative
    assert classifier.share_taken_for_b(domains[1][45:]) == found.of_b


def test_mirroring_changes_no_verdict(classifier, domains):
    images = domains[0][60:]
    np.testing.assert_allclose(
        classifier.probability_b(images),
        classifier.probability_b(images[..., ::-1]),
        atol=1e-5,
    )


def test_pictures_may_have_another_size(classifier, domains):
    larger = np.repeat(np.repeat(domains[1][45:], 2, axis=2), 2, axis=3)
    np.testing.assert_allclose(
        classifier.probability_b(larger), classifier.probability_b(domains[1][45:]), atol=0.05
    )


def test_one_domain_cut_in_two_is_called_chance():
    images = smooth(np.random.default_rng(6), 80, side=16)
    found = train_classifier(images[:40], images[40:], steps=STEPS)
    assert not found.informative
    assert "no better than chance" in found.remark


def test_equal_seeds_give_equal_classifiers(domains):
    import torch

    a, b = domains[0][:12, :, :16, :16], domains[1][:12, :, :16, :16]
    state = torch.random.get_rng_state()
    one, again, other = (train_classifier(a, b, steps=2, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(one.probability_b(a), again.probability_b(a))
    assert not np.array_equal(one.probability_b(a), other.probability_b(a))
    torch.testing.assert_close(torch.random.get_rng_state(), state)


def test_sizes_of_the_domains_are_no_way_to_tell_them_apart():
    images = smooth(np.random.default_rng(7), 160, side=32)
    halved = images[80:].reshape(80, 3, 16, 2, 16, 2).mean(axis=(3, 5))
    found = train_classifier(images[:80], halved, steps=STEPS)
    assert found.shape == (3, 16, 16)
    assert found.held_out.interval[0] < 0.5


def test_intervals_hold_the_share_and_shrink_with_counts():
    wide, narrow = (Accuracy(0.8, 0.9, (n, n)).interval for n in (20, 500))
    assert wide[0] < narrow[0] < 0.85 < narrow[1] < wide[1]
    least, most = Accuracy(1.0, 1.0, (30, 30)).interval
    assert 0.8 < least < 1
    assert most == 1
    assert Accuracy(0.5, 0.5, (40, 40)).interval[0] < 0.5


def test_a_weak_classifier_says_so(classifier):
    from phasegan.metrics.classifier import DomainClassifier

    weak = DomainClassifier(classifier.network, (3, 24, 24), Accuracy(0.7, 0.7, (100, 100)))
    assert weak.informative
    assert "weak" in weak.remark
    strong = DomainClassifier(classifier.network, (3, 24, 24), Accuracy(0.95, 0.95, (100, 100)))
    assert strong.remark == ""


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((9, 3, 16, 16), (20, 3, 16, 16), "train_a holds 9 pictures"),
        ((20, 3, 16, 16), (20, 3, 15, 16), "train_b has pictures of 15×16"),
        ((20, 3, 16, 16), (20, 1, 16, 16), "3 channels and train_b 1"),
        ((20, 3, 16, 16), (20, 16, 16), "train_b has shape"),
    ],
)
def test_what_is_refused(a, b, message):
    with pytest.raises(InputError, match=message):
        train_classifier(np.zeros(a, np.float32), np.zeros(b, np.float32))


def test_other_channels_are_refused(classifier):
    with pytest.raises(InputError, match="trained on 3"):
        classifier.share_taken_for_b(np.zeros((2, 1, 24, 24), np.float32))


@pytest.mark.real
def test_two_flowers(real_data):
    from PIL import Image

    folder = real_data / "sunflower2daisy"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no sunflower2daisy")

    def load(name, count):
        paths = sorted((folder / name).iterdir())[:count]
        opened = [Image.open(p).convert("RGB").resize((32, 32)) for p in paths]
        return np.stack([np.asarray(p, np.float32) for p in opened]).transpose(0, 3, 1, 2) / 255

    found = train_classifier(load("trainA", 150), load("trainB", 150), steps=60)
    assert found.informative
    assert found.accuracy(load("testA", 60), load("testB", 60)).balanced > 0.75
