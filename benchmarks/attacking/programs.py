"""Models and weights that are programs, or ask for more than to be computed."""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from PIL import Image
from torch import nn

import phasegan
from attacking.attack import HARMLESS, Attack
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights

KIND = "models that are programs"
FLOAT = onnx.TensorProto.FLOAT


class Writing(nn.Module):
    """TorchScript that writes files."""

    def forward(self, x):
        """Write two files."""
        torch.save(x, "saved")
        shared = torch.from_file("shared", shared=True, size=10)
        return x.mean(dim=[2, 3]) + shared.sum()


class Calling:
    """A pickle that makes a folder when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickled",)


def model(*nodes: Any, constants: tuple[Any, ...] = ()) -> Any:
    """Return a model from pictures to features."""
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info("x", FLOAT, [None, 3, None, None])],
        [helper.make_tensor_value_info("y", FLOAT, [None, None])],
        list(constants),
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


AXES = numpy_helper.from_array(np.array([2, 3]), "axes")
MEAN = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)


def plain() -> bytes:
    """Return a network that gives means."""
    found: bytes = model(MEAN, constants=(AXES,)).SerializeToString()
    return found


def external(place: str) -> Callable[[], bytes]:
    """Return what makes a network with weights in another file."""

    def make() -> bytes:
        made = model(MEAN, constants=(AXES,))
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", place
        found: bytes = made.SerializeToString()
        return found

    return make


def extension() -> bytes:
    """Return a network that has onnxruntime load a program from a file."""
    node = helper.make_node(
        "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0, ep_cache_context="secret"
    )
    found: bytes = model(node).SerializeToString()
    return found


def torchscript() -> bytes:
    """Return a TorchScript program."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(Writing()), stream)
    return stream.getvalue()


def scored(name: str, make: Callable[[], bytes]) -> Callable[[Path], list[str]]:
    """Return what makes a feature network and scores a translation with it."""

    def write(folder: Path) -> list[str]:
        (folder / name).write_bytes(make())
        (folder / "secret").write_bytes(bytes(16))
        os.mkfifo(folder / "pipe")
        data = run_of_noise(folder.parent.parent / "data")
        return [
            "evaluate", str(data / "pair"), "--run", str(data / "run"), "--features", name,
            "--device", "cpu",
        ]  # fmt: skip

    return write


def run_of_noise(folder: Path) -> Path:
    """Make two domains of noise and a run of one epoch, once for all attacks."""
    if not folder.exists():
        source = np.random.default_rng(0)
        for name in ("trainA", "trainB", "testA", "testB"):
            (folder / "pair" / name).mkdir(parents=True)
            for i in range(12):
                pixels = source.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "pair" / name / f"{i}.png")
        phasegan.train(
            folder / "pair", folder / "run", epochs=1, size=32, load=32, base_channels=4,
            discriminator_channels=4, device="cpu",
        )  # fmt: skip
    return folder


def translated(name: str, make: Callable[[], bytes]) -> Callable[[Path], list[str]]:
    """Return what makes a file of weights and translates a picture with it."""

    def write(folder: Path) -> list[str]:
        (folder / name).write_bytes(make())
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "in.png")
        return ["translate", name, "in.png", "-o", "out.png"]

    return write


def pickled() -> bytes:
    """Return a pickle that calls."""
    return pickle.dumps({"state_dict": Calling()})


def zipped_pickle() -> bytes:
    """Return a file of torch's with a pickle that calls."""
    stream = io.BytesIO()
    torch.save({"state_dict": Calling()}, stream)
    return stream.getvalue()


def weights() -> bytes:
    """Return weights of ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "g.safetensors")
        save_weights(ResNetGenerator(3, 3, 4, 1), path)
        return path.read_bytes()


ATTACKS = (
    Attack(KIND, "features: TorchScript that writes files", scored("f.pt", torchscript)),
    Attack(KIND, "features: ONNX with weights in a system file",
           scored("f.onnx", external("/etc/passwd"))),
    Attack(KIND, "features: ONNX with weights beside", scored("f.onnx", external("secret"))),
    Attack(KIND, "features: ONNX with weights in a pipe", scored("f.onnx", external("pipe"))),
    Attack(KIND, "features: ONNX with an operator that loads a file", scored("f.onnx", extension)),
    Attack(KIND, "features: ONNX in one file", scored("f.onnx", plain), HARMLESS),
    Attack(KIND, "weights: a pickle that calls", translated("g.pth", pickled)),
    Attack(KIND, "weights: torch's file with such a pickle", translated("g.pt", zipped_pickle)),
    Attack(KIND, "weights: TorchScript", translated("g.pt", torchscript)),
    Attack(KIND, "weights: ONNX", translated("g.onnx", plain)),
    Attack(KIND, "weights: safetensors", translated("g.safetensors", weights), HARMLESS),
)  # fmt: skip
