"""Build networks from their designs: plain dictionaries that files and configurations hold."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from phasegan.errors import InputError
from phasegan.models.patchgan import PatchDiscriminator, PixelDiscriminator
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.resnet import ResNetGenerator

GENERATORS: dict[str, type[nn.Module]] = {"resnet": ResNetGenerator, "unet": UNetTranslator}
"""Image-to-image networks by kind."""

DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "patch": PatchDiscriminator,
    "pixel": PixelDiscriminator,
}
"""Discriminators by kind."""

MAX_VALUES = {"blocks": 1000, "layers": 8}
"""Largest values of integer arguments; 65536 for others."""

MIN_VALUES = {"blocks": 0}
"""Smallest values of integer arguments; 1 for others."""

_MAX_DEFAULT = 65536
_MAX_WIDTHS = 10


def make_generator(design: Mapping[str, Any]) -> nn.Module:
    """Return an untrained generator.

    Parameters
    ----------
    design : mapping
        `kind`, one of `GENERATORS`, and the arguments of its class; those that have a
        default may be left out. The attribute `design` of a network rebuilds it.

    Returns
    -------
    torch.nn.Module
        With torch's default initialisation.

    Raises
    ------
    InputError
        If the kind, an argument or a value is unknown or out of range.
    """
    return _make(design, GENERATORS, "generator")


def make_discriminator(design: Mapping[str, Any]) -> nn.Module:
    """Return an untrained discriminator.

    Parameters
    ----------
    design : mapping
        `kind`, one of `DISCRIMINATORS`, and the arguments of its class; those that have a
        default may be left out.

    Returns
    -------
    torch.nn.Module
        With torch's default initialisation.

    Raises
    ------
    InputError
        As `make_generator`.
    """
    return _make(design, DISCRIMINATORS, "discriminator")


def _make(design: Mapping[str, Any], registry: dict[str, type[nn.Module]], what: str) -> nn.Module:
    arguments = dict(design)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in registry:
        raise InputError(f"{kind!r} is no kind of {what}; known: {', '.join(registry)}")
    parameters = inspect.signature(registry[kind]).parameters
    for name, value in arguments.items():
        if name not in parameters:
            near = difflib.get_close_matches(str(name), parameters, 1)
            raise InputError(
                f"{what} {kind} has no argument {name!r}"
                + (f" (did you mean {near[0]}?)" if near else "")
                + f"; known: {', '.join(parameters)}"
            )
        _check(f"{name} of {what} {kind}", name, value, parameters[name])
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments:
            raise InputError(f"{what} {kind} needs {name}")
    return registry[kind](**arguments)


def _check(label: str, name: str, value: Any, parameter: inspect.Parameter) -> None:
    """Refuse a value of another type than the parameter's, or out of range."""
    if name == "widths":
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MAX_WIDTHS:
            raise InputError(f"{label} are 1 to {_MAX_WIDTHS} whole numbers, not {value!r}")
        for width in value:
            _check_count(label, width, _MAX_DEFAULT)
    elif isinstance(parameter.default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{label} is true or false, not {value!r}")
    elif isinstance(parameter.default, str):
        if not isinstance(value, str):
            raise InputError(f"{label} is a name, not {value!r}")
    else:
        _check_count(label, value, MAX_VALUES.get(name, _MAX_DEFAULT), MIN_VALUES.get(name, 1))


def _check_count(label: str, value: Any, most: int, least: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{label} is a whole number from {least} to {most}, not {value!r}")
