"""Trained generators for other programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import phasegan
from phasegan.errors import InputError
from phasegan.models.interchange import find_networks
from phasegan.models.weights import load_generator
from tests.training.pairs import make_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("exported") / "pair")


@pytest.fixture(scope="module")
def run(pair, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "run"
    phasegan.train(
        pair, path, epochs=1, samples=2, size=24, generator="resnet", base_channels=4, blocks=1,
        discriminator_channels=2, device="cpu",
    )  # fmt: skip
    return path


def test_onnx_computes_what_the_run_computes(run, tmp_path, rng):
    onnxruntime = pytest.importorskip("onnxruntime")
    target = tmp_path / "model.onnx"
    report = phasegan.export(run, target, direction="a2b")
    assert report.paths == [target]
    assert report.difference < 1e-3
    session = onnxruntime.InferenceSession(target)
    network = load_generator(run / "generator_ab.safetensors")
    for shape in ((1, 3, 40, 56), (2, 3, 33, 27)):
        picture = rng.uniform(-1, 1, shape).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(picture)).numpy()
        (found,) = session.run(None, {"picture": picture})
        assert np.abs(found - expected).max() < 1e-3
    known = session.get_modelmeta().custom_metadata_map
    assert known["input_range"] == "0 to 255 is -1 to 1"


def test_a_folder_is_what_others_write_and_comes_back(run, tmp_path):
    report = phasegan.export(run, tmp_path / "theirs")
    assert sorted(p.name for p in report.paths) == [
        "latest_net_D_A.pth", "latest_net_D_B.pth", "latest_net_G_A.pth", "latest_net_G_B.pth",
    ]  # fmt: skip
    files = find_networks(tmp_path / "theirs")
    assert files["discriminator_a"].name == "latest_net_D_B.pth"
    picture = torch.rand(1, 3, 32, 32)
    ours, theirs = (
        load_generator(path) for path in (run / "generator_ab.safetensors", files["generator_ab"])
    )
    torch.testing.assert_close(ours(picture), theirs(picture), atol=1e-5, rtol=0)


def test_what_cannot_be_exported_is_refused(run, tiny_run, tmp_path):
    (tmp_path / "there.onnx").write_bytes(b"mine")
    for source, target, direction, message in (
        (run, "m.onnx", None, "add --direction a2b or b2a"),
        (run, "there.onnx", "a2b", "is there already"),
        (run, "m.txt", None, "ends in .onnx or .pt2, or a folder"),
        (run, "folder", "a2b", "a folder gets all networks"),
        (tiny_run, "m.onnx", None, "ONNX has no types; use it through phasegan reconstruct"),
        (tmp_path / "none", "m.onnx", None, "no such run folder or weights file"),
    ):
        with pytest.raises(InputError, match=message):
            phasegan.export(source, tmp_path / target, direction=direction)
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.onnx"]


@pytest.mark.slow
def test_the_command_says_what_it_wrote(run, tmp_path, run_cli):
    outcome = run_cli("export", run, "-o", tmp_path / "m.pt2", "--direction", "b2a")
    assert outcome.status == 0, outcome.err
    assert f"wrote {tmp_path / 'm.pt2'}" in outcome.out
    refused = run_cli("export", run, "-o", tmp_path / "m.pt2", "--direction", "b2a")
    assert (refused.status, "Traceback" in refused.err) == (2, False)
