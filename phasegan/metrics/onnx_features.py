"""A feature network of others in an ONNX file, which computes and does nothing else.

ONNX's own operators neither read nor write files. What else such a file can ask for is
refused before anything runs: values in other files, operators of extensions, loops without
a known end. TorchScript can write files, so that its programs are not taken.
"""

from __future__ import annotations

import importlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError, printable
from phasegan.io.untrusted import UnreadableFileError, read_regular

MAX_FILE_BYTES = 2_000_000_000
"""Bytes, of a protocol buffer."""
_OWN_DOMAINS = ("", "ai.onnx")
_LOOP_OPERATORS = ("Loop", "Scan")
_DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
_EXPORT = (
    "torch.onnx.export(network, torch.zeros(2, 3, 64, 64), 'features.onnx', external_data=False)"
)


def load_feature_file(
    path: str | os.PathLike[str], threads: int
) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Load a network.

    Parameters
    ----------
    path : path
        An ONNX file of one input, (n, 3, rows, columns), float32 in 0..1 or uint8, and one
        output.
    threads : int
        To compute with.

    Returns
    -------
    callable
        From pictures, float32 in 0..1, to what the network gives. It raises an InputError
        where the network does not take them.

    Raises
    ------
    InputError
        If onnx or onnxruntime is missing, or the file is no such network.
    """
    try:
        onnx, runtime = map(importlib.import_module, ("onnx", "onnxruntime"))
    except ImportError as error:
        raise InputError(f"--features needs {error.name}: pip install 'phasegan[fid]'") from None
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except UnreadableFileError as error:
        raise InputError(f"{path}: {error}; --features names an ONNX network") from None
    if _is_torchscript(data):
        raise InputError(
            f"{path}: a TorchScript program, which can write files as it runs; export the network "
            f"as ONNX: {_EXPORT}, with dynamic batch, rows and columns"
        )
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # damaged files fail in many ways inside protobuf
        model = None
    if model is None or not model.graph.node:
        raise InputError(f"{path}: not an ONNX network; write one with {_EXPORT}")
    _refuse_unsafe_model(model, path)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    try:
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # whatever is wrong with a model, onnxruntime has a class for it
        raise InputError(f"{path}: not an ONNX network that can run ({_line(error)})") from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type not in _DTYPES:
        raise InputError(
            f"{path}: takes {', '.join(printable(i.type) for i in inputs) or 'nothing'}, gives "
            f"{len(outputs)} outputs; expected pictures as float or uint8, and one output"
        )
    dtype, name = _DTYPES[inputs[0].type], inputs[0].name

    def compute(images: NDArray[np.float32]) -> NDArray[Any]:
        values = np.rint(255 * images) if dtype is np.uint8 else images
        try:
            output = session.run(None, {name: values.astype(dtype)})[0]
        except Exception as error:
            raise InputError(
                f"{Path(path).name}: does not take pictures of shape {images.shape} "
                f"({_line(error)})"
            ) from None
        if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu":
            raise InputError(f"{Path(path).name}: gives no numbers")
        return output

    return compute


def _is_torchscript(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any("/code/" in name for name in archive.namelist())
    except Exception:  # no archive, or a damaged one
        return False


def _refuse_unsafe_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Refuse a model that asks for more than to compute with what stands in it."""
    own_domains = {*_OWN_DOMAINS, *(function.domain for function in model.functions)}
    for tensor in _tensors(model):
        if tensor.external_data or tensor.data_location:
            named = next((e.value for e in tensor.external_data if e.key == "location"), "?")
            raise InputError(
                f"{path}: keeps values in another file ({printable(named)}), which is not "
                f"followed; write all into one: {_EXPORT}"
            )
    for node in _nodes(model):
        if node.domain not in own_domains:
            raise InputError(
                f"{path}: has the operator {printable(f'{node.domain}.{node.op_type}')}, which is "
                "not one of ONNX's own"
            )
        if node.op_type in _LOOP_OPERATORS:
            raise InputError(f"{path}: has a loop ({node.op_type}); feature networks need none")


def _nodes(model: Any) -> Iterator[Any]:
    """Give every node, also of functions and of the graphs inside nodes."""
    queue = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    while queue:
        node = queue.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                queue += graph.node


def _tensors(model: Any) -> Iterator[Any]:
    """Give every tensor that stands in the model."""
    graphs = [model.graph]
    for node in _nodes(model):
        for attribute in node.attribute:
            graphs += [attribute.g, *attribute.graphs]
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _line(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:200] or type(error).__name__
