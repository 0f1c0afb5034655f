"""Animations among the pictures of a folder."""

from __future__ import annotations

import re
from pathlib import Path

from phasegan.progress import Progress
from phasegan.translation.generator_runner import GeneratorRunner
from phasegan.translation.generators import Translator
from phasegan.translation.video.animation_reader import is_animation
from phasegan.translation.video.translate import translate_video

_COUNTS = re.compile(r"\d+ of \d+ (?=frame)|\d+ (?=frame)")


class FolderAnimations(Progress):
    """Animations of a folder through a generator; what is said of them is counted.

    Parameters
    ----------
    translator : Translator
        The generator and its domains.
    runner : GeneratorRunner
        The generator on its device.
    limits : (float, float) or None
        Values of the frames that are −1 and 1.
    alpha : bool
        Whether alpha is kept.
    """

    def __init__(
        self,
        translator: Translator,
        runner: GeneratorRunner,
        limits: tuple[float, float] | None,
        alpha: bool,
    ) -> None:
        self._translator, self._runner = translator, runner
        self._limits, self._alpha = limits, alpha
        self._source = Path()
        self._lines: dict[str, list[str]] = {}

    def takes(self, path: Path) -> bool:
        """Return whether a file is an animation that the generator can translate.

        Parameters
        ----------
        path : pathlib.Path
            A picture's file.
        """
        domains = self._translator.input_domain, self._translator.output_domain
        return all(domain.channels in (1, 3) for domain in domains) and is_animation(path)

    def translate(self, source: Path, target: Path, batch_size: int) -> None:
        """Translate an animation into one of the same kind.

        Parameters
        ----------
        source, target : pathlib.Path
            Files of one suffix.
        batch_size : int
            Frames that go through together, at most.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        self._source = source
        translate_video(
            self._translator,
            self._runner,
            source,
            target,
            limits=self._limits,
            alpha=self._alpha,
            batch_size=batch_size,
            progress=self,
        )

    def say(self, text: str) -> None:
        """Count a line of the animation at work."""
        plain = _COUNTS.sub("", text.removeprefix(f"{self._source}: "))
        self._lines.setdefault(plain, []).append(self._source.name)

    warn = say

    def report(self, progress: Progress) -> None:
        """Say each kind of line once, with its number of animations.

        Parameters
        ----------
        progress : Progress
            Where to report.
        """
        for text, names in self._lines.items():
            what = "animation" if len(names) == 1 else "animations"
            progress.warn(f"{len(names)} {what}, such as {names[0]}: {text}")
        self._lines.clear()
