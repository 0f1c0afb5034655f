"""Read state dicts from files of any origin, and remove wrappers' prefixes from their keys.

A state dict maps names such as `model.1.weight` to tensors. Files of torch are read with
its restricted unpickler, which makes tensors and plain containers and nothing else: no
code in a file runs.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phasegan.errors import InputError, printable

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""Suffixes of files that hold weights."""

WRAPPERS = ("module", "_orig_mod")
"""Parts of keys that distributed, averaging and compiling wrappers add."""

OWN_NAMES = {
    "generator": ("netg", "net_g", "generator", "gen", "g"),
    "discriminator": ("netd", "net_d", "discriminator", "disc", "d"),
}
"""Names under which files that hold several things keep a network of a kind, lower case."""

COMMON_NAMES = (
    "params_ema",
    "model_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "params",
    "weights",
)
"""Names of a network of any kind; an average of weights before the weights."""

_WAYS = ("ab|a2b|atob|a_to_b|xy|x2y", "ba|b2a|btoa|b_to_a|yx|y2x")
_BY_DOMAIN = (r"(?:net_?)?g_a|g", r"(?:net_?)?g_b|f")
_DIRECTIONS = {
    direction: re.compile(rf"(?:.*[^a-z]|(?:net_?)?(?:gen|generator|g))?(?:{way})|{by_domain}")
    for direction, way, by_domain in zip(("a2b", "b2a"), _WAYS, _BY_DOMAIN, strict=True)
}
"""Names, lower case, of the two generators of a file: G_A2B and G_B2A; G_A and G_B, as
pytorch-CycleGAN-and-pix2pix has it; G and F, as the paper."""

_ROOT = re.compile(r"(model|net)\.\d+\.|unet\.|unets\.|mean_magnitude|down\d+\.")
_GLOBAL = re.compile(r"GLOBAL (\S+)")  # in the restricted unpickler's refusal
_OLD_SPECTRAL = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
}
_ROOM = 1 << 20  # bytes of a file that are not tensors, at least


class NetworkChoice:
    """Which network of a file that holds several.

    Parameters
    ----------
    kind : {"generator", "discriminator"}
        Its kind.
    direction : {"a2b", "b2a"}, optional
        Of a generator: from which domain to which.
    name : str, optional
        Its name in the file.

    Attributes
    ----------
    used : bool
        Whether the direction or the name chose between networks.
    """

    def __init__(self, kind: str, direction: str | None = None, name: str | None = None) -> None:
        self.kind, self.used = kind, False
        self._direction, self._name = direction, name
        self._seen: list[str] = []

    def choose(self, path: Path, networks: Mapping[str, Mapping[str, Tensor]]) -> str:
        """Return the name of the network.

        Parameters
        ----------
        path : pathlib.Path
            The file, for messages.
        networks : mapping
            State dicts by their names, at least one.

        Returns
        -------
        str
            One of the names.

        Raises
        ------
        InputError
            If there are several and nothing says which is wanted.
        """
        if len(networks) > 1:
            self._seen += networks
        named = [n for n in networks if self._name in (n, _last(n))]
        if len(named) == 1:
            self.used = True
            return named[0]
        judges = self.kind == "discriminator"
        alike = [name for name, state in networks.items() if _is_discriminator(state) == judges]
        names = alike or [*networks]
        if len(names) == 1:
            return names[0]
        last = {_last(name).lower(): name for name in reversed(names)}
        ways = {
            direction: [name for name in names if form.fullmatch(_last(name).lower())]
            for direction, form in _DIRECTIONS.items()
        }
        both = self.kind == "generator" and all(len(found) == 1 for found in ways.values())
        if both and self._direction is not None:
            self.used = True
            return ways[self._direction][0]
        if not both:
            for candidate in (*OWN_NAMES[self.kind], *COMMON_NAMES):
                if candidate in last:
                    return last[candidate]
        raise InputError(self._several(path, names, both))

    def _several(self, path: Path, names: list[str], both: bool) -> str:
        listed = ", ".join(printable(name) for name in names[:8])
        several = f"{path}: holds several networks ({listed})"
        if self._name is not None:
            return f"{several}, none of them {printable(self._name)}; --network names one"
        if both:
            return f"{several}, generators both ways; add --direction a2b or b2a"
        text = f"{several}; save the {self.kind} to a file of its own"
        if self.kind == "generator":
            text += f", or name it: --network {' or '.join(map(printable, names[:4]))}"
        return text

    def check_used(self, path: Path) -> None:
        """Refuse a direction or a name for a file that holds one network.

        Parameters
        ----------
        path : pathlib.Path
            The file.

        Raises
        ------
        InputError
            Naming the option to leave out.
        """
        if self.used or (self._name is None and self._direction is None):
            return
        if self._name is not None and self._seen:
            listed = ", ".join(printable(name) for name in self._seen[:8])
            raise InputError(f"{path}: holds no network {printable(self._name)}, but {listed}")
        option = "--direction" if self._name is None else "--network"
        raise InputError(f"{path}: one {self.kind}'s file; leave {option} out")


def _last(name: str) -> str:
    """Return the last part of a nested name."""
    return name.rsplit("/", 1)[-1]


def _is_discriminator(state: Mapping[str, Tensor]) -> bool:
    """Return whether the keys are those of a PatchGAN or of a discriminator of single pixels."""
    for key, value in state.items():
        parts = [part for part in key.split(".") if part not in WRAPPERS]
        if value.ndim == 4 and parts[:2] in (["model", "0"], ["net", "0"]):
            return bool(value.shape[-1] == (4 if parts[0] == "model" else 1))
    return False


def load_torch_file(
    path: Path, kind: str, choice: NetworkChoice | None = None
) -> dict[str, Tensor]:
    """Return a network's tensors from a file that `torch.save` wrote.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    kind : {"generator", "discriminator"}
        Which network to return, where a file holds several.
    choice : NetworkChoice, optional
        Instead of the kind alone.

    Returns
    -------
    dict of torch.Tensor
        By the file's keys, on the CPU.

    Raises
    ------
    InputError
        If the file is missing, damaged, holds code, no tensors, or several networks
        none of which is named as the wanted kind.
    """
    networks = _networks(_read(path))
    if not networks:
        raise InputError(f"{path}: holds no convolutional network's weights")
    return networks[(choice or NetworkChoice(kind)).choose(path, networks)]


def canonical_state_dict(
    path: Path, state: Mapping[str, Tensor], kind: str, choice: NetworkChoice | None = None
) -> dict[str, Tensor]:
    """Return a network's tensors under keys without wrappers' parts.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    state : mapping of torch.Tensor
        On the CPU.
    kind : {"generator", "discriminator"}
        Which network is wanted, where there are several.
    choice : NetworkChoice, optional
        Instead of the kind alone.

    Returns
    -------
    dict of torch.Tensor
        Copies: floating point values as float32, counts as int64.

    Raises
    ------
    InputError
        If values are of another type, or the network is not named.
    """
    selected = _select(path, _clean(path, state), choice or NetworkChoice(kind))
    return {key: _plain(path, key, value) for key, value in selected.items()}


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    if path.suffix.lower() == ".onnx":
        raise InputError(f"{path}: an ONNX program; phasegan reads weights, a state_dict()")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if changed := archive.testzip():
                    raise ValueError(f"{changed} does not match its checksum")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        if named is None:
            raise InputError(f"{path}: damaged weights file, or none of torch's") from None
        raise InputError(
            f"{path}: holds more than tensors ({printable(named[1])}), and reading that could run "
            "code in it; save the network's state_dict() alone where the file was made"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if "TorchScript" in str(error):
            raise InputError(
                f"{path}: a TorchScript program; phasegan reads weights, a state_dict()"
            ) from None
        reason = printable(str(error).split("\n", 1)[0])[:120] or type(error).__name__
        raise InputError(f"{path}: damaged weights file, or none of torch's ({reason})") from None
    except Exception as error:  # whatever a damaged pickle makes the restricted reader do
        name = type(error).__name__
        raise InputError(f"{path}: damaged weights file, or none of torch's ({name})") from None


def _networks(value: Any, name: str = "", depth: int = 0) -> dict[str, dict[str, Tensor]]:
    """Return the state dicts inside nested dictionaries by their names."""
    if not isinstance(value, Mapping) or depth > 3:
        return {}
    tensors = {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if any(tensor.ndim == 4 for tensor in tensors.values()):
        return {name: tensors}
    networks: dict[str, dict[str, Tensor]] = {}
    for key, inner in value.items():
        if isinstance(key, str):
            networks |= _networks(inner, f"{name}/{key}" if name else key, depth + 1)
    return networks


def _clean(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under keys without wrappers' parts."""
    cleaned: dict[str, Tensor] = {}
    for key, value in state.items():
        if key == "n_averaged":
            continue
        *parts, last = [part for part in key.split(".") if part not in WRAPPERS] or [key]
        name = ".".join([*parts, _OLD_SPECTRAL.get(last, last)])
        if name in cleaned:
            raise InputError(f"{path}: holds {printable(name)} twice")
        cleaned[name] = value
    return cleaned


def _select(path: Path, state: dict[str, Tensor], choice: NetworkChoice) -> dict[str, Tensor]:
    """Return the wanted network's part of tensors, without a name before all of its keys."""
    while state and not _rooted(state):
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            first, _, rest = key.partition(".")
            if rest:
                groups.setdefault(first, {})[rest] = value
        rooted = {name: part for name, part in groups.items() if _rooted(part)}
        if rooted:
            return rooted[choice.choose(path, rooted)]
        if len(groups) != 1:
            break
        state = next(iter(groups.values()))
    return state


def _rooted(state: Mapping[str, Tensor]) -> bool:
    return any(_ROOT.match(key) for key in state)


def _plain(path: Path, key: str, value: Tensor) -> Tensor:
    """Return a dense tensor of float32, or of int64 for what counts."""
    name = f"{path}: {printable(key)}"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        raise InputError(f"{name} is not an ordinary tensor")
    if value.numel() * value.element_size() > path.stat().st_size + _ROOM:
        raise InputError(f"{name} is larger than the file; it is damaged")
    value = value.detach()
    if value.is_floating_point():
        return value.to(torch.float32, copy=True).contiguous()
    if value.dtype in (torch.int64, torch.int32):
        return value.to(torch.int64, copy=True).contiguous()
    raise InputError(f"{name} holds {value.dtype}, where floating point values are expected")
