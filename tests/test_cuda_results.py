"""Reconstruction and translation on a CUDA GPU, or on the simulation of one, against the CPU.

On the simulated device of `tests/training/simulated_cuda.py` the values are computed on the CPU:
there the tests show that the paths for CUDA mix no devices and return what they should to the
CPU, and not that CUDA's kernels give these values.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import phasegan
from phasegan.devices import choose_device
from tests.training.pairs import make_pair
from tests.training.simulated_cuda import DEVICE, simulated_cuda

CPU = torch.device("cpu")
HAS_GPU = torch.cuda.is_available()


@pytest.fixture
def cuda(monkeypatch):
    """Have a GPU, or a simulated one."""
    if HAS_GPU:
        yield
        return
    with simulated_cuda():
        for module in list(sys.modules.values()):  # which imported the function by its name
            if getattr(module, "choose_device", None) is choose_device:
                monkeypatch.setattr(
                    module, "choose_device", lambda name="auto": DEVICE if name == "cuda" else CPU
                )
        yield


CPU = torch.device("cpu")


CLOSED_FORM = ("map", "shrinkage", "mean-magnitude")  # or with a stop of their own


@pytest.mark.numerical
@pytest.mark.parametrize(
    "method", ["cg", "pnp", "hlo", "pocs", "pocs-accelerated", "fista", *CLOSED_FORM]
)
def test_a_method_gives_the_images_of_a_cpu(tiny, cuda, method):
    options = {} if method in CLOSED_FORM else {"iterations": 10}
    ours, theirs = (
        phasegan.reconstruct(tiny, method=method, limit=2, device=device, **options)
        for device in ("cuda", "cpu")
    )
    assert isinstance(ours.estimate, np.ndarray)
    np.testing.assert_allclose(ours.estimate, theirs.estimate, atol=1.0 if HAS_GPU else 1e-3)
    if ours.iterations is not None:
        assert ours.iterations.shape == theirs.iterations.shape


@pytest.mark.numerical
@pytest.mark.parametrize("options", [{}, {"precision": "32"}])
def test_a_translation_gives_the_pictures_of_a_cpu(tmp_path, cuda, options):
    """By default in the precision of a GPU, bf16 where it has that."""
    pair = make_pair(tmp_path / "pair")
    sizes = {"size": 24, "base_channels": 2, "blocks": 1, "generator": "resnet"}
    phasegan.train(pair, tmp_path / "run", epochs=1, device="cpu", **sizes)
    found = []
    for device in ("cuda", "cpu"):
        out = tmp_path / device
        phasegan.translate(
            tmp_path / "run", pair / "testA", out, direction="a2b", device=device, **options
        )
        found.append([np.asarray(Image.open(path), int) for path in sorted(out.glob("*.png"))])
    assert len(found[0]) == len(found[1]) == 2
    for ours, theirs in zip(*found, strict=True):
        assert abs(ours - theirs).max() <= (2 if "precision" in options else 6)
