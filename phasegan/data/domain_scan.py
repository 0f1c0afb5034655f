"""What the pictures of a domain have in common, found by looking at all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from phasegan.data.domain_folders import Part
from phasegan.data.images.conversion import Kind
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import Remarks, narrow
from phasegan.data.images.pixel_format import Limits, Look, common, look, remarks_of
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.resources import available_cores


def survey(
    part: Part,
    *,
    alpha: bool = False,
    limits: Limits | None = None,
    option: str = "",
    progress: Progress | None = None,
) -> tuple[Kind, Part]:
    """Decode every picture once: find what they have in common, leave out what is damaged.

    Parameters
    ----------
    part : Part
        The pictures.
    alpha : bool
        Keep alpha as the last channel, where any picture has it.
    limits : (float, float), optional
        Values that become −1 and 1; black and white of integers, least and largest
        value of floats by default.
    option : str
        What takes other limits, for a remark on values in a small part of the range.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    (Kind, Part)
        And the pictures that can be read.

    Raises
    ------
    InputError
        If none can be read, or their channels differ otherwise than grey and RGB.
    """
    progress = progress or Progress()
    if part.kind is not None:
        kind = part.kind
        if kind.alpha and not alpha:
            kind = kind._replace(channels=kind.channels - 1, alpha=False)
        return (kind if limits is None else kind._replace(low=limits[0], high=limits[1])), part
    seen: list[Look | str] = []
    with (
        quiet_decoders(),
        ThreadPoolExecutor(available_cores()) as pool,
        progress.task(f"looking at {part.label}", len(part)) as task,
    ):
        for found in pool.map(_looker(part), range(len(part))):
            seen.append(found)
            task.advance()
    good = [row for row, found in enumerate(seen) if isinstance(found, Look)]
    for found in seen:
        if isinstance(found, str):
            progress.warn(f"left out {found}")
    looks = [found for found in seen if isinstance(found, Look)]
    if not looks:
        raise InputError(f"{part.label}: none of its {len(part)} pictures can be read")
    kind = common(looks, part.label, alpha=alpha, limits=limits)
    remarks, names = Remarks(), part.names
    for row, own in zip(good, looks, strict=True):
        remarks.add(remarks_of(own, kind), f"{part.label}/{names[row]}")
    remarks.tell(progress)
    part.tell_left_out(progress)
    if limits is None:
        say_narrow(looks, kind, part.label, option, progress)
    return kind, part.subset(good) if len(good) < len(part) else part


def say_narrow(
    looks: Iterable[Look], kind: Kind, label: str, option: str, progress: Progress
) -> None:
    """Warn where pictures take a small part of their kind's range only."""
    found = narrow([seen.middle for seen in looks], kind.low, kind.high)
    if found is not None:
        said, low, high = found
        progress.warn(f"{label}: {said}; {option} {low:.10g} {high:.10g} makes them fill it")


def _looker(part: Part) -> Callable[[int], Look | str]:
    def looked(index: int) -> Look | str:
        try:
            return look(part.read(index))
        except InputError as error:
            return str(error)

    return looked
