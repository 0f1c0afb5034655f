"""Export generators as programs that run without phasegan: ONNX, and torch's own .pt2.

Both take images of any size and number. Padding and cropping of sizes that do not divide
by a generator's downsampling are written here as gathered rows and columns: the same
values, in a form whose shapes stay symbols when it is traced.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from phasegan._version import __version__
from phasegan.errors import InputError, RunError
from phasegan.io.atomic import atomic_file
from phasegan.models.resnet import DOWNSAMPLING

SIZES = ((64, 64), (96, 128), (255, 257))
"""Rows and columns at which an exported generator is compared with its origin."""

TOLERANCE = 1e-3
"""Largest difference that passes, of images in [−1, 1]: an eighth of an 8-bit level."""

SMALLEST = 8
"""Least rows and columns."""

OPSET = 18
"""Version of ONNX's operators; every runtime since 2023 knows it."""

_LARGEST = 65536
_EXAMPLE = (2, 34, 51)  # pictures, rows, columns: all different, none 1
_BATCHES = (1, 2)
_MAX_BYTES = 2_000_000_000  # of a protocol buffer


def export_onnx(
    generator: nn.Module,
    path: Path,
    sizes: Sequence[tuple[int, int]] = SIZES,
    tolerance: float = TOLERANCE,
    metadata: Mapping[str, str] | None = None,
) -> float:
    """Write a generator as one self-contained ONNX file, compared with onnxruntime.

    The input `picture` is (batch, C, rows, columns), float32, in [−1, 1], the output
    `translated` (batch, C′, rows, columns) likewise; batch, rows and columns are free,
    rows and columns at least 8.

    Parameters
    ----------
    generator : torch.nn.Module
        With a `design`; exported in evaluation mode, its own mode does not change.
    path : pathlib.Path
        The file. It exists only if the comparison passed.
    sizes : sequence of (int, int)
        Rows and columns to compare at, in batches of one and two.
    tolerance : float
        Largest difference from torch that passes.
    metadata : mapping of str, optional
        Names and texts to keep in the file's `metadata_props`: channels, ranges.

    Returns
    -------
    float
        The largest difference.

    Raises
    ------
    InputError
        If onnx, onnxscript or onnxruntime is not installed, the generator is of no
        kind that can be exported, or larger than ONNX's 2 GB.
    RunError
        If onnxruntime's images differ by more than `tolerance`.
    """
    onnx, _, runtime = (_require(name) for name in ("onnx", "onnxscript", "onnxruntime"))
    network = _evaluation_copy(generator)
    if 4 * sum(value.numel() for value in network.state_dict().values()) > _MAX_BYTES:
        raise InputError(f"{path}: more than the 2 GB that an ONNX file holds; write a .pt2")
    with _quiet():
        converted = torch.onnx.export(
            _traced(network),
            dynamo=True,
            opset_version=OPSET,
            input_names=["picture"],
            output_names=["translated"],
            verbose=False,
        )
    assert converted is not None
    model = converted.model_proto
    about = {"design": json.dumps(network.design), "range": "-1..1", **(metadata or {})}
    _describe(onnx, model, about)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def exported(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"picture": x.numpy()})[0])

    largest = _compare(network, exported, sizes, tolerance, path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)
    return largest


def export_program(
    generator: nn.Module,
    path: Path,
    sizes: Sequence[tuple[int, int]] = SIZES,
    tolerance: float = TOLERANCE,
) -> float:
    """Write a generator as a program that `torch.export.load` reads, compared after reading.

    Parameters
    ----------
    generator : torch.nn.Module
        With a `design`; exported in evaluation mode, its own mode does not change.
    path : pathlib.Path
        The file. It exists only if the comparison passed.
    sizes : sequence of (int, int)
        Rows and columns to compare at, in batches of one and two.
    tolerance : float
        Largest difference from torch that passes.

    Returns
    -------
    float
        The largest difference.

    Raises
    ------
    InputError
        If the generator is of no kind that can be exported.
    RunError
        If images differ by more than `tolerance`.
    """
    network = _evaluation_copy(generator)
    buffer = io.BytesIO()
    with _quiet():
        program = _traced(network)
        for module in program.graph_module.modules():
            for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
                node.meta.pop("stack_trace", None)  # paths of this machine
        torch.export.save(program, buffer)
        loaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    largest = _compare(network, loaded, sizes, tolerance, path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return largest


class _AnySize(nn.Module):
    """A generator with its padding and cropping done by gathering rows and columns.

    Parameters
    ----------
    network : torch.nn.Module
        The generator; it pads nothing where rows and columns divide by `step`.
    step : int
        Rows and columns must divide by it.
    mirrored : bool
        Pad with mirrored rows and columns, else with copies of the last ones.
    """

    def __init__(self, network: nn.Module, step: int, mirrored: bool) -> None:
        super().__init__()
        self.network, self.step, self.mirrored = network, step, mirrored

    def forward(self, picture: Tensor) -> Tensor:
        x, sizes = picture, picture.shape[-2:]
        for axis, size in zip((-2, -1), sizes, strict=True):
            places = torch.arange((size + self.step - 1) // self.step * self.step)
            if self.mirrored:
                places = torch.where(places < size, places, 2 * (size - 1) - places)
            else:
                places = places.clamp(max=size - 1)
            x = x.index_select(axis, places)
        x = self.network(x)
        for axis, size in zip((-2, -1), sizes, strict=True):
            x = x.index_select(axis, torch.arange(size))
        return x


def _evaluation_copy(generator: nn.Module) -> nn.Module:
    """Return a copy for inference, on the CPU, in float32."""
    design = getattr(generator, "design", None)
    if not isinstance(design, dict) or design["kind"] not in ("resnet", "unet"):
        raise InputError("only generators that translate pictures are exported: resnet, unet")
    return copy.deepcopy(generator).cpu().float().eval()


def _traced(network: nn.Module) -> torch.export.ExportedProgram:
    """Return a generator as a graph in which batch, rows and columns are symbols."""
    design: dict[str, Any] = network.design  # type: ignore[assignment]
    mirrored = design["kind"] == "resnet"
    step = DOWNSAMPLING if mirrored else 2 ** (len(design["widths"]) - 1)
    count, rows, columns = _EXAMPLE
    size = torch.export.Dim("rows", min=SMALLEST, max=_LARGEST)
    other = torch.export.Dim("columns", min=SMALLEST, max=_LARGEST)
    with torch.no_grad():
        return torch.export.export(
            _AnySize(network, step, mirrored),
            (torch.zeros(count, design["in_channels"], rows, columns),),
            dynamic_shapes={"picture": {0: torch.export.Dim("batch"), 2: size, 3: other}},
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def _describe(onnx: Any, model: Any, metadata: Mapping[str, str]) -> None:
    """Name the free dimensions, set the metadata, and drop the traces of this machine."""
    for value in (*model.graph.input, *model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for axis, name in ((0, "batch"), (2, "rows"), (3, "columns")):
            dimensions[axis].dim_param = name
        del value.metadata_props[:]
    del model.graph.value_info[:]
    for part in (*model.graph.node, *model.graph.initializer, model.graph, *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(metadata))
    model.producer_name, model.producer_version = "phasegan", __version__


def _compare(
    network: nn.Module,
    exported: Callable[[Tensor], Tensor],
    sizes: Sequence[tuple[int, int]],
    tolerance: float,
    path: Path,
) -> float:
    """Return the largest difference between a network's pictures and another's.

    Raises
    ------
    RunError
        If it exceeds `tolerance`, or shapes differ.
    """
    source, largest = torch.Generator().manual_seed(0), 0.0
    design: dict[str, Any] = network.design  # type: ignore[assignment]
    for rows, columns in sizes:
        if min(rows, columns) < SMALLEST:
            raise InputError(f"{rows}×{columns} is less than {SMALLEST}×{SMALLEST}")
        for count in _BATCHES:
            x = 2 * torch.rand(count, design["in_channels"], rows, columns, generator=source) - 1
            with torch.no_grad():
                expected, output = network(x), exported(x)
            if output.shape != expected.shape:
                raise RunError(f"{path}: {tuple(x.shape)} comes back as {tuple(output.shape)}")
            difference = float((output - expected).abs().max())
            if not difference <= tolerance:
                raise RunError(
                    f"{path}: differs from torch by {difference:.2g} at {rows}×{columns}, more "
                    f"than {tolerance:g}; nothing was written"
                )
            largest = max(largest, difference)
    return largest


def _require(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"{name} is not installed; exporting needs: pip install 'phasegan[onnx]'"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the log messages and warnings of tracing."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
