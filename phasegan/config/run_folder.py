"""A run folder and the files in it.

config.json                     TrainConfig, with the versions that made it
status.json                     state, position, seconds
checkpoints/step-….safetensors  everything a resumed run needs, after so many steps
generator_ab.safetensors        phase → image (preset physics: the averaged weights)
generator_ba.safetensors        image → phase
discriminator_a.safetensors     scores phases
discriminator_b.safetensors     scores images
losses.jsonl                    each loss by name
samples/epoch-0001.png          phase | reconstruction | reference
samples/epoch-0001.npy          the reconstructions alone, integers: frames of the film strip
filmstrip.png                   the reconstructions by epoch, then the references
training.png                    losses, validations, learning rate and pace
gallery.html                    of translations: test images and their translations
contact-sheet.png               of translations: the same as one image
epochs.webp                     of translations: some of these by epoch, animated
tensorboard/                    the same for TensorBoard, where it is installed

`TrainConfig.network_names` lists the networks of a run.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from phasegan._version import __version__
from phasegan.config.presets import CONFIGS, PRESETS
from phasegan.config.run import PhaseConfig, RunStatus, TrainConfig
from phasegan.config.settings import build
from phasegan.errors import InputError
from phasegan.io.atomic import read_json, write_json
from phasegan.io.output_paths import check_folder_name, check_text

RUN_FORMAT = 1
NETWORKS = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
"""Names of the networks of a run; `generator_ab` generates domain B."""
_MAX_STEPS = 2**53
"""More steps than a run can have."""
_SMALLEST, _LARGEST = 1e-30, 1e30
"""Bounds of the magnitudes that can be drawn."""


class RunFolder:
    """A run folder by its path; reading checks, writing is atomic.

    Parameters
    ----------
    path : path
        The folder; it need not exist yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.status_path = self.path / "status.json"
        self.checkpoints_path = self.path / "checkpoints"
        self.losses_path = self.path / "losses.jsonl"
        self.samples_path = self.path / "samples"
        self.film_strip_path = self.path / "filmstrip.png"
        self.training_figure_path = self.path / "training.png"
        self.animation_path = self.path / "epochs.webp"
        self.contact_sheet_path = self.path / "contact-sheet.png"
        self.gallery_path = self.path / "gallery.html"
        self.board_path = self.path / "tensorboard"

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return self.config_path.is_file()

    def weights_path(self, network: str) -> Path:
        """Return the weights file of a network.

        Parameters
        ----------
        network : str
            One of `NETWORKS`.

        Returns
        -------
        pathlib.Path
            It need not exist.
        """
        return self.path / f"{network}.safetensors"

    def check_free(self) -> None:
        """Refuse a path that holds anything but a run.

        Raises
        ------
        InputError
            If it is a file or named like one, or a folder with other files in it.
        """
        check_text(str(self.path))
        check_folder_name(self.path, "weights, checkpoints and pictures of a run")
        if self.exists or not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"{self.path}: a file; give the name of a run folder")
        left_by_a_kill = (".lock", f".{self.config_path.name}.")
        if any(not p.name.startswith(left_by_a_kill) for p in self.path.iterdir()):
            raise InputError(
                f"{self.path}: a folder with other things in it, not a run; choose another -o"
            )

    def write_config(self, config: TrainConfig) -> None:
        """Write `config.json`.

        Parameters
        ----------
        config : TrainConfig
            The run's.
        """
        write_json(
            self.config_path,
            {
                "format": RUN_FORMAT,
                "phasegan_version": __version__,
                "label": config.label,
                "config": config.model_dump(mode="json"),
            },
        )

    def read_config(self) -> TrainConfig:
        """Read `config.json`.

        Raises
        ------
        InputError
            If this is not a run folder, or of another format.
        """
        if not self.path.exists():
            raise InputError(f"{self.path}: no such run folder")
        if not self.exists:
            raise InputError(f"{self.path}: not a run folder (it holds no config.json)")
        document = read_json(self.config_path)
        if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
            raise InputError(f"{self.config_path}: not the configuration of a run")
        if document.get("format") != RUN_FORMAT:
            raise InputError(
                f"{self.config_path}: run format {document.get('format')}, this phasegan reads "
                f"format {RUN_FORMAT}; use the phasegan that wrote it "
                f"({document.get('phasegan_version', 'unknown')})"
            )
        preset = document["config"].get("preset", "paper")
        if not isinstance(preset, str) or preset not in CONFIGS:
            raise InputError(
                f"{self.config_path}: preset = {preset!r}: this phasegan knows {', '.join(PRESETS)}"
            )
        return build(CONFIGS[preset], document["config"], str(self.config_path))

    def read_phase_config(self) -> PhaseConfig:
        """Read `config.json` of a run from phases to images.

        Returns
        -------
        PhaseConfig
            The run's.

        Raises
        ------
        InputError
            If this is not a run folder, or one of a translation between images.
        """
        config = self.read_config()
        if not isinstance(config, PhaseConfig):
            raise InputError(
                f"{self.path}: a run of {config.label}, between two domains of pictures, not from "
                "phases; use it with `phasegan translate`"
            )
        return config

    def write_status(self, status: RunStatus) -> None:
        """Write `status.json`.

        Parameters
        ----------
        status : RunStatus
            The run's.
        """
        write_json(self.status_path, status.model_dump(mode="json"))

    def read_status(self) -> RunStatus:
        """Read `status.json`.

        Raises
        ------
        InputError
            If it is missing or damaged.
        """
        if not self.status_path.is_file():
            raise InputError(f"{self.path}: nothing was saved in this run yet; train it first")
        document = read_json(self.status_path)
        if not isinstance(document, dict):
            raise InputError(f"{self.status_path}: not the status of a run")
        return build(RunStatus, document, str(self.status_path))

    def read_losses(self) -> list[dict[str, Any]]:
        """Return the lines of `losses.jsonl`, without incomplete or malformed ones.

        Returns
        -------
        list of dict
            One a line; `step` and `epoch` are integers. Empty where there is no such file.
        """
        if not self.losses_path.is_file():
            return []
        records = []
        for line in self.losses_path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(
                ValueError, KeyError, TypeError, OverflowError, RecursionError
            ):
                record = json.loads(line)
                position = {"step": int(record["step"]), "epoch": int(record["epoch"])}
                if all(abs(value) < _MAX_STEPS for value in position.values()) and _numbers(record):
                    records.append(record | position)
        return records


def _numbers(record: dict[str, Any]) -> bool:
    """Return whether a record's values but events are numbers or numbers by name; may raise."""
    if not isinstance(record.get("validation", {}), dict):
        return False
    values = [v for k, v in record.items() if k != "event" and not isinstance(v, dict)]
    nested = [v for inside in record.values() if isinstance(inside, dict) for v in inside.values()]
    return all(v is None or v == 0 or _SMALLEST < abs(float(v)) < _LARGEST for v in values + nested)
