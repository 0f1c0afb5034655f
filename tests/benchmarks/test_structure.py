"""The structure keeps what was reached, and its figures are those of the code."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
import structure


@pytest.fixture(scope="module")
def trees():
    return structure.modules()


def test_no_modules_import_each_other(trees):
    graph = structure.import_graph(trees)
    assert len(graph) > 100
    assert structure.circles(graph) == []


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert structure.circles(graph) == [{"b", "c"}]


def test_no_folder_has_more_than_twenty_files():
    folders = Counter(path.parent for path in structure.PACKAGE.rglob("*.py"))
    assert max(folders.values()) <= 20


def test_public_functions_are_documented(trees):
    documented = structure.documentation(trees)
    assert len(documented) > 500
    assert sum(documented.values()) >= 0.9 * len(documented)


SECTION = "Parameters\n----------\na : int\n    A number."


@pytest.mark.parametrize(
    ("signature", "docstring", "complete"),
    [
        ("(a: int) -> None", SECTION, True),
        ("(a: int, b: int) -> None", SECTION, False),
        ("(a: int) -> int", SECTION, False),
        ("(a: int) -> int", f"{SECTION}\n\nReturns\n-------\nint\n    Another.", True),
        ("(a: int) -> None", "Do something with a.", False),
    ],
)
def test_sections_are_complete_or_not(signature, docstring, complete):
    (function,) = ast.parse(f"def f{signature}: ...").body
    function.body = [ast.Expr(ast.Constant(f"Summary.\n\n{docstring}"))]
    assert structure.is_complete(function) is complete


@pytest.mark.parametrize(("preset", "most"), [("physics", 25), ("paper", 25)])
def test_a_phase_passes_few_modules_from_file_to_step(tiny, preset, most):
    names = structure.passed_through(structure.one_step(tiny, preset))
    assert {"data/hdf5/records", "data/unpaired_sampler", "models/patchgan"} <= names
    assert len(names) <= most, sorted(names)


def test_a_picture_passes_few_modules_from_its_file_into_hdf5(pictures, tmp_path):
    names = structure.passed_through(structure.one_picture(pictures, tmp_path / "p.h5"))
    assert {"data/images/decoding", "fourier/phase", "data/hdf5/records"} <= names
    assert len(names) <= 26, sorted(names)
