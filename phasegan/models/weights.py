"""Network weights on disk: safetensors, which cannot execute code, and files of other programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from phasegan.errors import InputError, printable
from phasegan.io.atomic import atomic_file
from phasegan.io.tensor_tree import tensor_digest
from phasegan.models import architectures
from phasegan.models.build import DISCRIMINATORS, GENERATORS, make_discriminator, make_generator
from phasegan.models.state_dicts import NetworkChoice, canonical_state_dict, load_torch_file

_HEADER_KEY = "phasegan"
_TENSORS_DIGEST = "sha256"
_OWN_DIGEST = "header_sha256"
"""Key of the checksum of the other texts in the header; files of the first versions lack it."""

NETWORK_KEY = "network"
"""Key of the text in the header that names the network of a run: `generator_ab`, …"""

DESIGN_KEY = "design"
"""Key of the text in the header from which a network is rebuilt."""


def save_weights(module: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's parameters and buffers, atomically, as contiguous CPU tensors.

    A network's `design`, when it has one, stands in the header as JSON, so that
    `load_generator` rebuilds the network from the file alone.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    path : pathlib.Path
        The file.
    metadata : dict, optional
        Texts to keep in the file's header, beside the tensors' checksum: `label`, and
        `network`, which of a run's networks it is.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    about = {_TENSORS_DIGEST: tensor_digest(state), **(metadata or {})}
    if isinstance(design := getattr(module, "design", None), dict):
        about[DESIGN_KEY] = json.dumps(design, sort_keys=True)
    about[_OWN_DIGEST] = _text_digest(about)
    header = {_HEADER_KEY: json.dumps(about, sort_keys=True)}  # one key: its order is not fixed
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(state, metadata=header))  # save_file has a temporary of its own


def _text_digest(about: Mapping[str, str]) -> str:
    texts = {key: value for key, value in about.items() if key != _OWN_DIGEST}
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


def _read_header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    try:
        about = json.loads(metadata.get(_HEADER_KEY, "{}"))
    except RecursionError:
        about = None
    if not isinstance(about, dict) or not all(isinstance(v, str) for v in about.values()):
        raise ValueError("a header that is not phasegan's")
    if about and _TENSORS_DIGEST not in about:
        raise ValueError("its header has no checksum")
    if about.get(_OWN_DIGEST, own := _text_digest(about)) != own:
        raise ValueError("its header does not match its checksum")
    return about


def weights_intact(path: Path, network: str | None = None) -> bool:
    """Return whether a weights file exists and its tensors match the checksum in its header.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    network : str, optional
        Which of a run's networks it must be; a file of another one is not intact.

    Returns
    -------
    bool
        False also for damaged files.
    """
    try:
        header = _read_header(path)
        expected = header.get(_TENSORS_DIGEST)
        if None not in (network, header.get(NETWORK_KEY)) and header[NETWORK_KEY] != network:
            return False
        return expected is not None and tensor_digest(load_file(path)) == expected
    except (SafetensorError, OSError, ValueError):
        return False


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a safetensors file's tensors, and the texts that phasegan keeps in its header.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    dict of torch.Tensor
        On the CPU.
    dict of str
        Empty for files of other programs.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        return load_file(path), _read_header(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged weights file ({error})") from None


def check_digest(path: Path, state: dict[str, Tensor], header: dict[str, str]) -> None:
    """Check tensors against the checksum in their file's header, if it has one.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    state : dict of torch.Tensor
        Its tensors.
    header : dict of str
        Its texts, from `read_weights`.

    Raises
    ------
    InputError
        If they do not match.
    """
    if header.get(_TENSORS_DIGEST, digest := tensor_digest(state)) != digest:
        raise InputError(f"{path}: damaged weights file, its tensors do not match its checksum")


def _check_network(path: Path, header: Mapping[str, str], network: str | None) -> None:
    """Refuse a file whose header says that it is another network of a run."""
    own = header.get(NETWORK_KEY)
    if None not in (own, network) and own != network:
        raise InputError(
            f"{path}: the weights of {printable(str(own))}, where those of {network} are wanted; "
            "were the files exchanged?"
        )


def load_weights(module: nn.Module, path: Path, network: str | None = None) -> None:
    """Read a network's weights in place.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    path : pathlib.Path
        The file.
    network : str, optional
        Which network of a run it must be, where the file says so.

    Raises
    ------
    InputError
        If the file is missing, damaged, or belongs to another network: the
        first key that does not fit is named.
    """
    state, header = read_weights(path)
    _check_network(path, header, network)
    expected = module.state_dict()
    for key in sorted({*expected, *state} - {*getattr(module, "OPTIONAL_BUFFERS", ())} | {*state}):
        if key not in state:
            raise InputError(f"{path}: holds no {key}, which the network needs")
        if key not in expected:
            raise InputError(f"{path}: holds {key}, which the network has not")
        if state[key].shape != expected[key].shape:
            raise InputError(
                f"{path}: {key} has shape {tuple(state[key].shape)}, the network needs "
                f"{tuple(expected[key].shape)}"
            )
        if state[key].dtype != expected[key].dtype or not torch.isfinite(state[key]).all():
            raise InputError(
                f"{path}: {key} holds values that are not finite {expected[key].dtype}"
            )
    check_digest(path, state, header)
    module.load_state_dict(state)


def load_generator(
    path: Path,
    padding: str | None = None,
    norm: str | None = None,
    network: str | None = None,
    choice: NetworkChoice | None = None,
) -> nn.Module:
    """Return a trained generator, in evaluation mode, on the CPU.

    Parameters
    ----------
    path : pathlib.Path
        Weights that `save_weights` wrote, or a state dict in the layout of
        pytorch-CycleGAN-and-pix2pix in safetensors or a file of torch's.
    padding : {"reflect", "replicate", "zero"}, optional
        Of the residual blocks of a file without a design. Such files do not tell
        reflection, which is assumed, from replication.
    norm : {"affine-instance", "batch"}, optional
        Normalisation, where a file without a design fits both.
    network : {"generator_ab", "generator_ba"}, optional
        Which of a run's generators it must be, where the file says so.
    choice : NetworkChoice, optional
        Which generator of a file that holds several.

    Returns
    -------
    torch.nn.Module
        (n, C, rows, columns) to (n, C′, rows, columns), both in [−1, 1], float32; it
        has a `design`.

    Raises
    ------
    InputError
        If the file is missing, damaged, holds code, belongs to another network, or
        contradicts an argument.
    """
    state, header = _read_any(path, "generator", choice)
    _check_network(path, header, network)
    design = _stated_design(path, header, GENERATORS, "generator")
    if design is None:
        design = architectures.infer_generator_design(path, state, padding, norm)
    else:
        _contradict(path, design, padding=padding, norm=norm)
    return _build(path, make_generator, design, state)


def load_discriminator(
    path: Path, norm: str | None = None, network: str | None = None
) -> nn.Module:
    """Return a trained discriminator, in evaluation mode, on the CPU.

    Parameters
    ----------
    path : pathlib.Path
        As of `load_generator`.
    norm : {"affine-instance", "batch"}, optional
        Normalisation, where a file without a design fits both.
    network : {"discriminator_a", "discriminator_b"}, optional
        Which of a run's discriminators it must be, where the file says so.

    Returns
    -------
    torch.nn.Module
        Images in [−1, 1] to a map of scores; it has a `design`.

    Raises
    ------
    InputError
        As `load_generator`.
    """
    state, header = _read_any(path, "discriminator")
    _check_network(path, header, network)
    design = _stated_design(path, header, DISCRIMINATORS, "discriminator")
    if design is None:
        design = architectures.infer_discriminator_design(path, state, norm)
    else:
        _contradict(path, design, norm=norm)
    return _build(path, make_discriminator, design, state)


def _stated_design(
    path: Path, header: Mapping[str, str], registry: Mapping[str, Any], what: str
) -> dict[str, Any] | None:
    """Return the design in a header, if there is one."""
    if DESIGN_KEY not in header:
        return None
    try:
        design = json.loads(header[DESIGN_KEY])
    except (TypeError, ValueError, RecursionError):
        design = None
    if not isinstance(design, dict):
        raise InputError(
            f"{path}: damaged weights file, the design in its header is no JSON object"
        )
    kind = design.get("kind")
    if kind not in registry and kind in (*GENERATORS, *DISCRIMINATORS):
        other = "generator" if what == "discriminator" else "discriminator"
        raise InputError(f"{path}: a {other}'s weights, where a {what}'s are wanted")
    return design


def _contradict(path: Path, design: Mapping[str, Any], **arguments: str | None) -> None:
    """Refuse arguments that a design contradicts."""
    for name, value in arguments.items():
        if value is not None and design.get(name) != value:
            raise InputError(f"{path}: its {name} is {design.get(name)}, not {value}")


def _build(
    path: Path,
    make: Callable[[Mapping[str, Any]], nn.Module],
    design: Mapping[str, Any],
    state: dict[str, Tensor],
) -> nn.Module:
    """Return the network of a design with the weights of a state dict."""
    try:
        with torch.device("meta"):  # shapes alone, so that a wrong design costs nothing
            network = make(design)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    expected = network.state_dict()
    norm = design.get("norm", "")
    state = architectures.drop_unused_statistics(state, norm)
    if norm == "batch":
        state = architectures.fold_biases_into_means(state)
    for key in expected:
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, torch.zeros((), dtype=torch.int64))  # unknown before torch 0.4.1
    if problems := architectures.mismatches(state, expected):
        raise InputError(f"{path}: {problems}")
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: {key} holds values that are not finite")
    network.load_state_dict(state, assign=True)
    return network.eval()


def _read_any(
    path: Path, kind: str, choice: NetworkChoice | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a network's tensors by canonical keys, and what phasegan's header says."""
    header: dict[str, str] = {}
    if path.suffix == ".safetensors":
        tensors, header = read_weights(path)
        check_digest(path, tensors, header)
    else:
        tensors = load_torch_file(path, kind, choice)
    state = canonical_state_dict(path, tensors, kind, choice)
    if choice is not None:
        choice.check_used(path)
    return state, header


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters.

    Parameters
    ----------
    module : torch.nn.Module
        The network.

    Returns
    -------
    int
        Numbers, not tensors.
    """
    return sum(p.numel() for p in module.parameters() if isinstance(p, torch.nn.Parameter))
