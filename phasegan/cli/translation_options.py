"""The options of `phasegan train` that belong to the translation of pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import click


class NameList(click.ParamType):
    """Names with commas between them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names, self.name = names, ",".join(names)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names, each once."""
        found = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        for name in found:
            if name not in self.names:
                self.fail(f"{name!r}: choose of {', '.join(self.names)}")
        return found


_OPTIONS = (
    click.option(
        "--size",
        type=click.IntRange(8, 8192),
        help="translation: side of the crops.  [default: 256; small: 128]",
    ),
    click.option(
        "--load",
        type=click.IntRange(8, 16384),
        help="translation: what pictures are brought to before.  [default: 286/256 of --size]",
    ),
    click.option(
        "--fit",
        type=click.Choice(["stretch", "short-side", "none"]),
        help="translation: both sides become --load, the short one, or none.  [default: stretch]",
    ),
    click.option("--no-flip", is_flag=True, help="translation: never mirror pictures."),
    click.option(
        "--alpha",
        type=click.Choice(["drop", "keep"]),
        help="translation: keep alpha as a channel that is learned.  [default: drop]",
    ),
    click.option(
        "--range-a",
        type=(float, float),
        metavar="LOW HIGH",
        help="translation: values of A that become −1 and 1.  [default: black and white; of "
        "floats the least and the largest]",
    ),
    click.option(
        "--range-b", type=(float, float), metavar="LOW HIGH", help="translation: the same of B."
    ),
    click.option(
        "--gan-loss",
        type=click.Choice(["least-squares", "logistic", "hinge"]),
        help="translation: the adversarial loss.  [default: least-squares]",
    ),
    click.option(
        "--generator",
        type=click.Choice(["resnet", "unet"]),
        help="translation: kind of the generators.  [default: resnet; small: unet]",
    ),
    click.option(
        "--padding",
        type=click.Choice(["reflect", "replicate", "zero"]),
        help="translation: of residual blocks.  [default: reflect]",
    ),
    click.option(
        "--norm",
        type=click.Choice(["instance", "affine-instance", "batch"]),
        help="translation: normalisation.  [default: instance]",
    ),
    click.option("--dropout", is_flag=True, help="translation: in residual blocks."),
    click.option(
        "--upsampling",
        type=click.Choice(["transposed", "resize"]),
        help="translation: resize draws no grid.  [default: U-Nets resize; else transposed, as "
        "published]",
    ),
    click.option(
        "--spectral-norm", is_flag=True, help="translation: of the discriminators' weights."
    ),
    click.option(
        "--augment",
        type=NameList(("colour", "shift", "cutout")),
        help="translation: differentiable changes of what discriminators see; for small sets.",
    ),
    click.option(
        "--start-from",
        type=click.Path(),
        metavar="RUN",
        help="translation: a run, or a folder of others' weights, to start from.",
    ),
)


def translation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)
