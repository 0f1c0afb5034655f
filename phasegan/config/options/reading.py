"""Options of every command that reads pictures from files."""

from __future__ import annotations

from typing import Annotated, TypedDict

from pydantic import Field

from phasegan.config.options.schema import Cli, From, Options
from phasegan.config.options.training_groups import PICTURES, TRANSLATIONS
from phasegan.config.reading import FileReading

FILES = "Files of pictures"

_PAGES = "What pages, frames and slices are; auto: a TIFF's axis C is channels, others pictures."
_AXIS = "Axis of the channels of arrays."
_VARIABLE = "Name of the array in .npz and .mat files."
_NODATA = "What missing values (NaN, GDAL's mark) become: mean, nearest or a number."
_PIXELS = "Pixels that a picture may have; decoders take memory for all of them."
_SHORTER = "the shorter one"
_LIMIT = "89,478,485"


class ReadingOptions(Options):
    """How files become pictures."""

    pages: Annotated[str | None, From(FileReading, "pages"), Cli(_PAGES, FILES)] = None
    channel_axis: Annotated[
        str | None, From(FileReading, "channel_axis"), Cli(_AXIS, FILES, default=_SHORTER)
    ] = None
    variable: Annotated[
        str | None, Cli(_VARIABLE, FILES, metavar="NAME", default="the only one")
    ] = None
    nodata: Annotated[
        str | None, Cli(_NODATA, FILES, metavar="FILL", default="they are refused")
    ] = None
    max_pixels: Annotated[int | None, Field(ge=1), Cli(_PIXELS, FILES, default=_LIMIT)] = None


class TrainReadingOptions(TypedDict, total=False):
    """The same of a training between two domains of pictures."""

    pages: Annotated[
        str | None, From(FileReading, "pages"), Cli(_PAGES, PICTURES, presets=TRANSLATIONS)
    ]
    channel_axis: Annotated[
        str | None,
        From(FileReading, "channel_axis"),
        Cli(_AXIS, PICTURES, presets=TRANSLATIONS, default=_SHORTER),
    ]
    variable: Annotated[
        str | None,
        Cli(_VARIABLE, PICTURES, presets=TRANSLATIONS, metavar="NAME", default="the only one"),
    ]
    nodata: Annotated[
        str | None,
        Cli(_NODATA, PICTURES, presets=TRANSLATIONS, metavar="FILL", default="they are refused"),
    ]
    max_pixels: Annotated[
        int | None,
        Field(ge=1),
        Cli(_PIXELS, PICTURES, presets=TRANSLATIONS, default=_LIMIT),
    ]
