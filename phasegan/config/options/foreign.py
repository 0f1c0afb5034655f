"""Options of pytorch-CycleGAN-and-pix2pix whose values are translated, not only their names.

Those that mean the same, value by value, are `Cli.aliases`. Left out are those whose meaning
differs: `--n_epochs` does not count the epochs in which the learning rate falls, `--preprocess`
scales the width, `--netG unet_256` is another network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phasegan.errors import InputError


@dataclass(frozen=True)
class Foreign:
    """An option of another program.

    Attributes
    ----------
    name : str
        As it is written there, without dashes.
    values : mapping
        For each value the options that mean the same.
    """

    name: str
    values: Mapping[str, Mapping[str, Any]]

    @property
    def help(self) -> str:
        """Each value and its translation."""
        texts = []
        for value, options in self.values.items():
            ours = (f"--{name.replace('_', '-')} {setting}" for name, setting in options.items())
            texts.append(f"{value}: {' '.join(ours)}")
        return "; ".join(texts)

    def translate(self, value: Any, where: str) -> Mapping[str, Any]:
        """Return the options that mean the same.

        Parameters
        ----------
        value : Any
            Its value.
        where : str
            The file or the option, for the message.

        Returns
        -------
        mapping
            Values by the names of our options.

        Raises
        ------
        InputError
            If there is no translation.
        """
        if not isinstance(value, str) or value not in self.values:
            raise InputError(f"{where} = {value}: choose of {', '.join(self.values)}")
        return self.values[value]


FOREIGN = {
    "gan_mode": Foreign(
        "gan_mode", {"lsgan": {"gan_loss": "least-squares"}, "vanilla": {"gan_loss": "logistic"}}
    ),
    "netG": Foreign(
        "netG",
        {
            "resnet_9blocks": {"generator": "resnet", "blocks": 9},
            "resnet_6blocks": {"generator": "resnet", "blocks": 6},
        },
    ),
}
"""Of `phasegan train`."""
