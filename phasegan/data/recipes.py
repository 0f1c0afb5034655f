"""Recipes: TOML files that say where images come from and how they are prepared."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from phasegan.config.options.size import rows_columns
from phasegan.config.preprocessing import PreprocessingConfig
from phasegan.config.preprocessing import SplitConfig as Split
from phasegan.config.reading import ReadingConfig
from phasegan.config.settings import Settings, build, read_toml
from phasegan.data.hdf5.layout import Layout
from phasegan.errors import InputError
from phasegan.fourier.convention import padded_frame, rounding_note
from phasegan.io.output_paths import check_text
from phasegan.io.package_data import shipped_folder

RECIPE_FORMAT = 1
BUILTIN = "builtin"
ADDRESS = r"^https?://[^\s/]+/\S*[^\s/]$"
PAIR_FOLDERS = ("trainA", "trainB", "testA", "testB")


class FolderSource(Settings):
    """A folder of images; `path` is relative to the recipe file."""

    kind: Literal["folder"]
    path: Annotated[str, Field(pattern=r"^[^\x00]+$")]
    checksum: str | None = None


class PhotographSource(Settings):
    """Seeded crops of photographs that ship inside scikit-image."""

    kind: Literal["scikit-image"]
    train: Annotated[tuple[str, ...], Field(min_length=1)]
    test: Annotated[tuple[str, ...], Field(min_length=1)]
    checksum: str | None = None


class ArraySource(Settings):
    """Images that were given as an array."""

    kind: Literal["array"]
    checksum: str | None = None


class Preprocessing(PreprocessingConfig):
    """How images become samples; the defaults of `phasegan prepare`."""

    @property
    def rounding(self) -> str:
        """Which frame was taken, where M/N is not `oversample` exactly; else empty."""
        return rounding_note(rows_columns(self.size), self.oversample)

    def layout(self, bits: int) -> Layout:
        """Return the layout of the samples.

        Parameters
        ----------
        bits : {8, 16}
            Depth of the images.

        Returns
        -------
        Layout
            With the options of this section.
        """
        shape = rows_columns(self.size)
        return Layout(
            shape=shape,
            frame=padded_frame(shape, self.oversample),
            channels=self.channels,
            bits=bits,
            phase_dtype=self.phase_dtype,
            phase_noise=self.phase_noise,
            phase_bits=self.phase_bits,
            has_images=self.images,
        )


class Download(Settings):
    """An archive on the network."""

    url: Annotated[str, Field(pattern=ADDRESS)]
    archive: Literal["zip", "tar"]
    """tar: compressed or not."""
    bytes: Annotated[int, Field(strict=True, ge=1)] | None = None
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Empty where nobody states it: then that of the first download is kept and asked for."""

    @property
    def file_name(self) -> str:
        """Name of the archive on disk: the last part of the address."""
        last = self.url.split("?")[0].rsplit("/", 1)[-1]
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in last).lstrip(".") or "a"


FolderName = Annotated[str, Field(pattern=r"^[^/\\\x00][^\\\x00]*$")]


class PairLayout(Settings):
    """Which of the archive's folders become trainA, trainB, testA, testB.

    Either those four, or A and B, of which a share becomes test images.
    """

    trainA: FolderName | None = None  # noqa: N815
    trainB: FolderName | None = None  # noqa: N815
    testA: FolderName | None = None  # noqa: N815
    testB: FolderName | None = None  # noqa: N815
    A: FolderName | None = None
    B: FolderName | None = None
    test_share: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.2
    """Share of A and of B that becomes test images, 0 to 1."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    """Seed of the choice of test images."""
    keep: tuple[FolderName, ...] = ()
    """Other files to keep, such as the licence."""

    @model_validator(mode="after")
    def _check_folders(self) -> PairLayout:
        four = [self.trainA, self.trainB, self.testA, self.testB]
        two = [self.A, self.B]
        if None not in four and two == [None, None]:
            return self
        if None not in two and four == [None] * 4:
            return self
        raise ValueError("name either trainA, trainB, testA and testB, or A and B")

    @property
    def folders(self) -> dict[str, str]:
        """The archive's folders, and what each becomes: `trainA`, …, or `A` and `B`."""
        named = {name: getattr(self, name) for name in (*PAIR_FOLDERS, "A", "B")}
        return {folder: name for name, folder in named.items() if folder is not None}


class PairRecipe(Settings):
    """Two domains of images to download, for unpaired translation."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = ""
    licence: str = ""
    url: str = ""
    """Where people read about it; the archive's address is `download.url`."""
    download: Download
    layout: PairLayout


class Recipe(Settings):
    """Everything that decides the contents of a prepared file."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = ""
    licence: str = ""
    url: str = ""
    source: Annotated[FolderSource | PhotographSource | ArraySource, Field(discriminator="kind")]
    preprocessing: Preprocessing = Preprocessing()
    split: Split = Split()
    reading: ReadingConfig = ReadingConfig()

    @model_validator(mode="before")
    @classmethod
    def _check_format(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("format", RECIPE_FORMAT) != RECIPE_FORMAT:
            raise ValueError(f"recipe format {values['format']}; this phasegan reads format 1")
        return values


def recipe_folder() -> Path:
    """Return the folder of the recipes that come with phasegan."""
    return shipped_folder("datasets", "datasets")


def known_recipes() -> list[str]:
    """Return the names of the recipes that come with phasegan and can be prepared."""
    return _shipped("source")


def known_pairs() -> list[str]:
    """Return the names of the pairs of domains that can be fetched."""
    return _shipped("download")


def _shipped(section: str) -> list[str]:
    paths = [p for p in recipe_folder().glob("*.toml") if p.stem != "template"]
    return sorted(p.stem for p in paths if section in read_toml(p))


def load_pair(name_or_path: str) -> PairRecipe:
    """Read the recipe of a pair of domains by name (`horse2zebra`) or path (`my.toml`).

    Parameters
    ----------
    name_or_path : str
        A name of `known_pairs()`, or a path ending in .toml.

    Returns
    -------
    PairRecipe
        Validated.

    Raises
    ------
    InputError
        If there is none of that name, or it is not valid: an unknown key is
        named with the nearest known one.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in known_pairs():
            near = difflib.get_close_matches(name_or_path, known_pairs(), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known_pairs())}"
            raise InputError(f"{name_or_path}: no pair of that name; {hint}")
        path = recipe_folder() / f"{name_or_path}.toml"
    values = read_toml(path)
    if "source" in values:
        raise InputError(f"{path}: nothing to fetch; `phasegan prepare` takes it as it is")
    return build(PairRecipe, values, str(path))


def _not_fetched_error(name: str) -> InputError:
    """Return the error for a pair of domains that has to be downloaded first."""
    folder = Path(name).stem if name.endswith(".toml") else name
    return InputError(
        f"{name}: two domains of pictures; fetch them first with `phasegan datasets fetch {name}`, "
        f"then prepare one of them, such as {folder}/trainB"
    )


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by name (`builtin`) or path (`my.toml`).

    Parameters
    ----------
    name_or_path : str
        A name of `known_recipes()`, or a path ending in .toml.

    Returns
    -------
    Recipe
        Validated; the path of a folder is absolute.

    Raises
    ------
    InputError
        If there is none of that name, or it is not valid: an unknown key is
        named with the nearest known one.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = recipe_folder() / f"{name_or_path}.toml"
        if not path.is_file():
            raise InputError(
                f"{name_or_path}: neither a folder nor a recipe; recipes that come with "
                f"phasegan: {', '.join(known_recipes())}"
            )
    values = read_toml(path)
    if "download" in values:
        raise _not_fetched_error(name_or_path)
    recipe = build(Recipe, values, str(path))
    if recipe.source.kind == "folder":
        folder = (path.parent / recipe.source.path).resolve()
        source = recipe.source.model_copy(update={"path": str(folder)})
        return recipe.model_copy(update={"source": source})
    return recipe


def resolve_recipe(source: str | os.PathLike[str] | NDArray[np.integer] | None) -> Recipe:
    """Return the recipe for a source.

    Parameters
    ----------
    source : path, str, numpy.ndarray or None
        A folder, a recipe's name or path, images as an array; None: `builtin`.

    Returns
    -------
    Recipe
        For a folder or an array, one with default options.

    Raises
    ------
    InputError
        If it is none of these, or the recipe is not valid.
    """
    if source is None:
        return load_recipe(BUILTIN)
    if isinstance(source, np.ndarray):
        return Recipe(name="array", source=ArraySource(kind="array"))
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"source of type {type(source).__name__}: give a folder, a recipe, or a numpy array"
        )
    path = Path(source)
    check_text(str(source))
    if str(source) in ("", "\0"):
        raise InputError("the name of the source is empty; give a folder or a recipe")
    if path.is_dir():
        name = "".join(
            c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.resolve().name
        )
        return Recipe(
            name=name.lstrip("._-") or "pictures",
            source=FolderSource(kind="folder", path=str(source)),
        )
    if path.suffix == ".toml" or str(source) in known_recipes() + known_pairs():
        return load_recipe(str(source))
    if path.exists():
        raise InputError(f"{source}: a file; give a folder of pictures or a recipe (.toml)")
    raise InputError(
        f"{source}: no such folder, and no recipe of that name "
        f"(there are: {', '.join(known_recipes())})"
    )


def override(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """Return the recipe with some options replaced; None leaves an option as it is.

    Parameters
    ----------
    recipe : Recipe
        Where to start.
    changes : dict
        Any of size, channels, fit, oversample, phase_dtype, phase_noise, phase_bits,
        images, samples, test, seed, pages, channel_axis, variable, nodata, limits.

    Returns
    -------
    Recipe
        Validated anew.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    options = {key: value for key, value in changes.items() if value is not None}
    values = recipe.model_dump()
    for section, model in (
        ("preprocessing", Preprocessing),
        ("split", Split),
        ("reading", ReadingConfig),
    ):
        names = [key for key in options if key in model.model_fields]
        values[section] |= {key: options.pop(key) for key in names}
        values[section] = build(model, values[section], "prepare").model_dump()
    if options:
        raise InputError(f"prepare: unknown option {sorted(options)[0]}")
    return build(Recipe, values, "prepare")
