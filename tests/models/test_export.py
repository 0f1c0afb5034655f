"""Exported generators against the networks they come from."""

from __future__ import annotations

import sys

import pytest
import torch

from phasegan.errors import InputError, RunError
from phasegan.models.blocks import initialise
from phasegan.models.export import export_onnx, export_program
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.resnet import ResNetGenerator

SIZES = ((8, 8), (33, 50), (64, 48))
OTHER = (3, 19, 73)  # pictures, rows, columns that were not compared when writing


def trained(network):
    source = torch.Generator().manual_seed(0)
    initialise(network, source)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.rand(value.shape, generator=source))
        network(torch.rand(2, network.design["in_channels"], 16, 16, generator=source))
    return network


def networks():
    return [
        trained(ResNetGenerator(3, 2, 4, 1)),
        trained(ResNetGenerator(1, 1, 4, 1, padding="zero", norm="batch", dropout=True)),
        trained(
            ResNetGenerator(
                1, 3, 4, 1, padding="replicate", norm="affine-instance", upsampling="resize"
            )
        ),
        trained(UNetTranslator(3, 3, (4, 8, 8))),
    ]


def other_picture(network):
    source = torch.Generator().manual_seed(3)
    count, rows, columns = OTHER
    return 2 * torch.rand(count, network.design["in_channels"], rows, columns, generator=source) - 1


@pytest.mark.slow
@pytest.mark.parametrize("network", networks())
def test_onnx_gives_the_same_pictures_at_any_size(tmp_path, network):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path, x = tmp_path / "g.onnx", other_picture(network)
    assert export_onnx(network, path, SIZES, metadata={"channels": "RGB"}) <= 1e-3
    assert network.training
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["translated"], {"picture": x.numpy()})
    with torch.no_grad():
        expected = network.eval()(x)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-3)
    model = onnx.load(path)
    assert {p.key: p.value for p in model.metadata_props}["channels"] == "RGB"
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dimensions] == [
        "batch",
        network.design["in_channels"],
        "rows",
        "columns",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["g.onnx"]
    assert b".py" not in path.read_bytes()  # nothing of the machine that wrote it


@pytest.mark.parametrize("network", networks()[2:3])
def test_programs_give_the_same_pictures_at_any_size(tmp_path, network):
    path, x = tmp_path / "g.pt2", other_picture(network)
    assert export_program(network, path, SIZES) <= 1e-3
    program = torch.export.load(path).module()
    with torch.no_grad():
        torch.testing.assert_close(program(x), network.eval()(x), rtol=0, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["g.pt2"]


def test_nothing_is_written_when_the_pictures_differ(tmp_path):
    with pytest.raises(RunError, match=r"differs from torch by .* nothing was written"):
        export_program(networks()[1], tmp_path / "g.pt2", SIZES, tolerance=-1.0)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript is not.*pip install 'phasegan\[onnx\]'"):
        export_onnx(ResNetGenerator(1, 1, 2, 1), tmp_path / "g.onnx")


def test_only_generators_of_pictures_are_exported(tmp_path):
    for network in (PatchDiscriminator(1, 2), torch.nn.Conv2d(1, 1, 1)):
        with pytest.raises(InputError, match="resnet, unet"):
            export_program(network, tmp_path / "g.pt2")
