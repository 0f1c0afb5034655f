"""Fixtures of the tests with bad inputs."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    """The weights of a small generator."""
    save_weights(ResNetGenerator(3, 3, 4, 1), tmp_path / "generator.safetensors")
    return tmp_path / "generator.safetensors"


def _state(root: Path) -> dict[str, object]:
    """Return what there is below a folder: kinds, modes and contents."""
    found: dict[str, object] = {}
    for folder, folders, names in os.walk(os.fsencode(root)):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content: object = stat.S_IFMT(status.st_mode)
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as stream:
                    content = hashlib.sha256(stream.read()).hexdigest()
            found[os.fsdecode(path)] = content
    return found


@pytest.fixture
def untouched() -> Callable[[Path], Callable[..., None]]:
    """Remember a folder; what is given back asserts that it is as it was, but for some."""

    def remember(root: Path) -> Callable[..., None]:
        before = _state(root)

        def check(*new: Path) -> None:
            after = _state(root)
            added = {name for name in after if name not in before}
            assert {name: after.get(name) for name in before} == before
            allowed = [str(path) for path in new]
            strange = [
                n for n in added if not any(n == a or n.startswith(a + "/") for a in allowed)
            ]
            assert not strange

        return check

    return remember
