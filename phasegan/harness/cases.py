"""Cases: TOML files that say what a bench measures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from phasegan.errors import InputError
from phasegan.files import shipped_folder
from phasegan.settings import Settings, build, read_toml

CASE_FORMAT = 1
PUBLISHED = "published"
Count = Annotated[int, Field(ge=1, strict=True)]


class Pair(Settings):
    """How much one row trains on."""

    samples: Count
    epochs: Count


class Quoted(Settings):
    """A row that somebody else published."""

    method: str
    samples: Count
    epochs: Count
    mse_published: Annotated[float, Field(ge=0)]


class Case(Settings):
    """What a bench measures."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = ""
    preset: Literal["paper"] = "paper"
    variant: Literal["full", "small"] | None = None
    methods: tuple[str, ...] = ("zero", "mean-image", "unit-magnitude", "mean-magnitude")
    seeds: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, lt=2**32)], ...], Field(min_length=1)
    ] = (0,)
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]
    quoted: tuple[Quoted, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _check_format(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("format", CASE_FORMAT) != CASE_FORMAT:
            raise ValueError(f"case format {values['format']}; this phasegan reads format 1")
        return values


def case_folder() -> Path:
    """Return the folder of the cases that come with phasegan."""
    return shipped_folder("cases", "benchmarks/cases")


def load_case(name_or_path: str | Path) -> Case:
    """Read a case by name (`published`) or path.

    Raises
    ------
    InputError
        If there is none, or it is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = case_folder() / f"{name_or_path}.toml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in case_folder().glob("*.toml")))
            raise InputError(f"{name_or_path}: no such case; give a .toml file or one of: {known}")
    return build(Case, read_toml(path), str(path))
