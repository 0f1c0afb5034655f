"""Cases: TOML files that define a bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, create_model, model_validator

from phasegan.config.options.size import Size, SizeRange
from phasegan.config.options.train import PhaseOptions, phase_owners
from phasegan.config.settings import Settings, build, read_toml
from phasegan.errors import InputError
from phasegan.io.package_data import shipped_folder

CASE_FORMAT = 1
PUBLISHED = "published"
METRICS = ("mse", "mse_scale", "mse_affine", "mse_mean", "psnr", "ssim", "exact")
"""Scores that tables can show; see `phasegan.metrics.image_metrics`."""
OPTIONAL_SECONDS = 1800.0
"""Longest training of an optional pair where no budget is given."""
Count = Annotated[int, Field(ge=1, strict=True)]

_CASE_OPTIONS = ("preset", "variant", "samples", "epochs", "seed")
_KEYS = {"ema_decay": "average"}
"""Keys of a case whose option has another name; both are taken."""
_OPTIONS: Any = {
    _KEYS.get(name, name): (kind, None)
    for name, kind in get_type_hints(PhaseOptions).items()
    if name not in _CASE_OPTIONS
}
TrainingOptions = create_model("TrainingOptions", __base__=Settings, **_OPTIONS)
"""Options of `phasegan.train` that a case may give: all that it does not decide itself."""


class Pair(Settings):
    """Samples and epochs of a row."""

    samples: Count
    epochs: Count
    optional: bool = False
    """Skipped where the data have fewer samples; only estimated where the estimate is
    above `--budget`, or above `OPTIONAL_SECONDS` without a budget."""


class Quoted(Settings):
    """A row that somebody else published."""

    method: str
    samples: Count
    epochs: Count
    mse_published: Annotated[float, Field(ge=0)]


class Variant(Settings):
    """Options by which some trainings of a case differ from others."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 .,=+_-]*$", max_length=60)]
    """Stands behind the label: `physics-small, projection off`."""
    options: dict[str, Any] = Field(default_factory=dict)


class CaseData(Settings):
    """Options of `phasegan.prepare` where no file is given."""

    source: str = "builtin"
    size: Annotated[Size, SizeRange(2)] | None = None
    channels: Literal["gray", "rgb"] | None = None
    oversample: float | None = None
    samples: Count | None = None
    test: Count | None = None
    seed: int | None = None
    phase_noise: float | None = None
    phase_bits: Count | None = None


class Case(Settings):
    """Definition of a bench: data, rows, metrics, splits and seeds."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = ""
    data: CaseData | None = None
    """Meant for these data; `builtin.h5` if nothing is said."""
    presets: Annotated[tuple[Literal["physics", "paper"], ...], Field(min_length=1)] = (
        "physics",
        "paper",
    )
    """Each pair is trained with each of them; `preset = "paper"` names one."""
    variant: Literal["full", "small"] | None = None
    train: dict[str, Any] = Field(default_factory=dict)
    """Options of all trainings, as in `phasegan.train`."""
    variants: tuple[Variant, ...] = ()
    """Each pair is trained with each of them; once, without a name, if there are none."""
    methods: tuple[str, ...] = ("zero", "mean-image", "unit-magnitude", "mean-magnitude")
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = METRICS
    """Scores that the tables show, in order; `results.json` has all."""
    splits: Annotated[tuple[Literal["test", "train"], ...], Field(min_length=1)] = ("test",)
    """Splits to score: held-out images, and with `train` images of the training split,
    the first of the seed's shuffle and as many as there are test images."""
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
        if isinstance(values, dict) and "preset" in values and "presets" not in values:
            others = {key: value for key, value in values.items() if key != "preset"}
            return {**others, "presets": (values["preset"],)}
        return values

    @model_validator(mode="after")
    def _check_names(self) -> Case:
        names = [variant.name for variant in self.variants]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two variants have the name {twice[0]!r}")
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown:
            raise ValueError(f"metric {unknown[0]!r}: choose from {', '.join(METRICS)}")
        return self

    def trainings(self, options: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return a name and the options of each variant, one without a name if there are none.

        Parameters
        ----------
        options : dict
            Replace those of `train`; those of a variant replace both.

        Returns
        -------
        list of (str, dict)
            In the order of the case.

        Raises
        ------
        InputError
            If an option of the case belongs to a preset that is not its only one.
        """
        common = _named_options(self.train) | options
        self._check_owners("train", self.train)
        for variant in self.variants:
            self._check_owners(f"variant {variant.name!r}", variant.options)
        if not self.variants:
            return [("", common)]
        return [(v.name, common | _named_options(v.options)) for v in self.variants]

    def _check_owners(self, where: str, options: dict[str, Any]) -> None:
        for option, name in zip(options, _named_options(options), strict=True):
            owners = phase_owners(name)
            others = [preset for preset in self.presets if preset not in owners]
            if owners and others:
                raise InputError(
                    f"case {self.name}, {where}: {option} belongs to the preset {owners[0]}, not "
                    f"to {others[0]}; leave it out or say preset = {owners[0]!r} alone"
                )


def _named_options(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a section by their names in Python."""
    names = {key: name for name, key in _KEYS.items()}
    return {names.get(key, key): value for key, value in values.items()}


def case_folder() -> Path:
    """Return the folder of the cases that come with phasegan."""
    return shipped_folder("cases", "benchmarks/cases")


def load_case(name_or_path: str | Path) -> Case:
    """Read a case by name (`published`) or path.

    Parameters
    ----------
    name_or_path : str or path
        A name without `.toml`, or a file.

    Returns
    -------
    Case
        Its options of training are checked.

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
    case = build(Case, read_toml(path), str(path))
    variants = tuple(
        Variant(name=v.name, options=_checked(v.options, f"{path}: variant {v.name!r}"))
        for v in case.variants
    )
    return case.model_copy(
        update={"train": _checked(case.train, f"{path}: train"), "variants": variants}
    )


def _checked(options: dict[str, Any], where: str) -> dict[str, Any]:
    for name, key in _KEYS.items():
        if name in options and key in options:
            raise InputError(f"{where}: {name} and {key} are the same option; give one of them")
    options = {_KEYS.get(key, key): value for key, value in options.items()}
    return build(TrainingOptions, options, where).model_dump(exclude_unset=True)
