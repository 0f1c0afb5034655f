"""FID and KID: what they are in features that can be calculated by hand, and what is refused."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch
from torch import nn

from phasegan.errors import InputError
from phasegan.metrics import features as module
from phasegan.metrics.features import feature_distances

pytest.importorskip("torchmetrics")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Means(nn.Module):
    """Mean of each channel, and of the upper half of the first."""

    def forward(self, x):
        half = x[:, :1, : x.shape[2] // 2].mean(dim=(1, 2, 3))
        return torch.cat([x.mean(dim=(2, 3)), half[:, None]], dim=1)


class WithArgument(nn.Module):
    def forward(self, x, return_features: bool = False):
        assert x.dtype == torch.uint8
        if return_features:
            return x.float().mean(dim=(2, 3)) / 255.0
        return torch.zeros(len(x), 7)


class Maps(nn.Module):
    def forward(self, x):
        return x[:, :, ::2]


class Narrow(nn.Module):
    def forward(self, x):
        return torch.matmul(x, torch.ones(5, 5)).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")

    def save(network):
        path = folder / f"{type(network).__name__}.pt"
        torch.jit.script(network).save(str(path))
        return path

    return save


@pytest.fixture
def sets(rng):
    a = rng.uniform(0.2, 0.6, (60, 3, 8, 8)) * rng.uniform(0.5, 1, (60, 3, 1, 1))
    b = rng.uniform(0.3, 0.7, (40, 3, 8, 8)) * rng.uniform(0.6, 1, (40, 3, 1, 1))
    return a.astype(np.float32), b.astype(np.float32)


def of_means(pictures):
    with torch.no_grad():
        return Means()(torch.from_numpy(pictures)).double().numpy()


def test_fid_is_the_distance_of_two_gaussians(saved, sets):
    from scipy.linalg import sqrtm

    x, y = of_means(sets[0]), of_means(sets[1])
    one, other = np.cov(x.T), np.cov(y.T)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(
        one + other - 2 * sqrtm(one @ other).real
    )
    found = feature_distances(*sets, features=saved(Means()))
    assert found.fid == pytest.approx(expected, rel=1e-5)
    assert (found.features, found.counts, found.network) == (4, (60, 40), "Means.pt")
    assert found.remark == ""


def test_kid_is_the_unbiased_discrepancy_of_the_cubic_kernel(saved, sets):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    x, y = of_means(sets[0]), of_means(sets[1])
    within = [
        (kernel(z, z).sum() - np.trace(kernel(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y)
    ]
    expected = 1000 * (sum(within) - 2 * kernel(x, y).mean())
    found = feature_distances(*sets, features=saved(Means()))
    assert found.kid == pytest.approx(expected, abs=5 * found.kid_spread / np.sqrt(100))
    assert found.kid_spread > 0


def test_equal_sets_are_at_fid_zero_and_other_sets_are_not(saved, sets):
    network = saved(Means())
    same = feature_distances(sets[0], sets[0], features=network)
    assert same.fid == pytest.approx(0, abs=1e-6)
    apart = feature_distances(*sets, features=network)
    assert apart.fid > 0.01
    back = feature_distances(*sets[::-1], features=network)
    assert back.fid == pytest.approx(apart.fid, rel=1e-5)


def test_a_shift_of_all_features_is_its_square(saved, sets):
    brighter = sets[0] + np.float32(0.25)
    found = feature_distances(sets[0], brighter, features=saved(Means()))
    assert found.fid == pytest.approx(4 * 0.25**2, rel=1e-4)


def test_seeds_decide_subsets_and_disturb_nothing(saved, sets):
    network, state = saved(Means()), torch.random.get_rng_state()
    one, again, other = (feature_distances(*sets, features=network, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one.kid != other.kid
    assert one.fid == other.fid
    torch.testing.assert_close(torch.random.get_rng_state(), state)


def test_networks_that_ask_for_bytes_get_them(saved, sets):
    found = feature_distances(*sets, features=saved(WithArgument()))
    assert found.features == 3
    assert found.fid == pytest.approx(
        feature_distances(*sets, features=saved(Means())).fid, rel=0.5
    )


def test_grey_pictures_and_other_sizes_are_taken(saved, sets):
    grey = sets[1][:, :1]
    larger = np.repeat(sets[1], 2, axis=3)
    assert np.isfinite(feature_distances(sets[0], grey, features=saved(Means())).fid)
    same = feature_distances(sets[1], larger, features=saved(Means()))
    assert same.fid == pytest.approx(0, abs=1e-6)


def test_few_pictures_are_remarked_upon(saved, sets):
    found = feature_distances(sets[0][:4], sets[1], features=saved(Means()))
    assert "too few" in found.remark
    assert found.as_json()["counts"] == [4, 40]


@pytest.mark.parametrize(
    ("network", "message"),
    [(Maps(), r"gives \(32, 3, 4, 8\) for 32 pictures"), (Narrow(), "does not take pictures")],
)
def test_networks_that_do_not_fit_are_named(saved, sets, network, message):
    path = saved(network)
    with pytest.raises(InputError, match=message) as caught:
        feature_distances(*sets, features=path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_networks_are_refused(sets, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        feature_distances(*sets, features=tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("not a network")
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.pt")
    for name in ("text.pt", "weights.pt"):
        with pytest.raises(InputError, match="not a TorchScript network"):
            feature_distances(*sets, features=tmp_path / name)


def test_pictures_that_do_not_fit_are_refused(saved, sets):
    network = saved(Means())
    with pytest.raises(InputError, match="a holds 3 pictures"):
        feature_distances(sets[0][:3], sets[1], features=network)
    with pytest.raises(InputError, match="b has 2 channels"):
        feature_distances(sets[0], sets[1][:, :2], features=network)


def test_what_is_not_installed_is_named(saved, sets, monkeypatch):
    real = importlib.util.find_spec

    def without(missing):
        return lambda name, *rest: None if name == missing else real(name, *rest)

    monkeypatch.setattr(module.importlib.util, "find_spec", without("torch_fidelity"))
    with pytest.raises(InputError, match="--features FILE"):
        feature_distances(*sets)
    monkeypatch.setattr(module.importlib.util, "find_spec", without("torchmetrics"))
    with pytest.raises(InputError, match=r"phasegan\[fid\]"):
        feature_distances(*sets, features=saved(Means()))


def test_importing_the_module_needs_no_torchmetrics():
    import subprocess

    code = (
        "import sys; sys.modules['torchmetrics'] = None; import phasegan.metrics.features; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
