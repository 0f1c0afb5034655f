"""Figures of the code's structure: sizes, folders, import circles, documentation.

    python benchmarks/structure.py             # the table
    python benchmarks/structure.py --missing   # and each function whose sections are incomplete
    python benchmarks/structure.py --trace     # and how many modules one sample passes through
    python benchmarks/structure.py --trace --names   # and which

Counted are the files of `phasegan/`. A function is public if neither its name nor that of its
class or module begins with an underscore. Its numpydoc sections are complete if `Parameters` names
each of its parameters, and a function that returns something has `Returns` or `Yields`. Functions
without parameters, properties, and methods that a base class of the library documents are not
counted. A circle is a set of modules that import each other; imports under
`TYPE_CHECKING` count, imports inside of functions do too. `--trace` counts the modules of which
a function runs, in this process, while one image is prepared, one step is trained, one phase is
reconstructed, while pictures are read, decoded, encoded and written to their file, and while a
batch is read from a prepared file and trained on; each is done once before, so that imports do
not count.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import shutil
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "phasegan"
SECTION = r"^ *{}\n *-{{3,}}$"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of each module, by its dotted name."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        trees[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def import_graph(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Return of each module which others it imports; packages themselves are left out."""
    leaves = {name for name in trees if not (ROOT / Path(*name.split("."))).is_dir()}
    return {
        name: (_imported(tree) & leaves) - {name} for name, tree in trees.items() if name in leaves
    }


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    """Return the modules that an import of one loads, itself included."""
    seen, pending = set(), [start]
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += graph[module]
    return seen


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other."""
    reach = {module: reachable(module, graph) for module in graph}
    together = (
        frozenset(other for other in reach[module] if module in reach[other]) for module in graph
    )
    return [set(group) for group in dict.fromkeys(together) if len(group) > 1]


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the dotted name and the definition of each function and method of a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield f"{owner}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{owner}{node.name}.")


def bases(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Return the names of the classes that each class of the library derives from."""
    return {
        node.name: {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def parameters(function: Function) -> list[str]:
    """Return the names of a function's public parameters."""
    spec = function.args
    given = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
    names = [argument.arg for argument in given if argument is not None]
    return [name for name in names if name not in ("self", "cls") and name[0] != "_"]


def is_complete(function: Function) -> bool:
    """Return whether the numpydoc sections of a function are complete."""
    text = ast.get_docstring(function) or ""
    start = re.search(SECTION.format("Parameters"), text, re.M)
    if start is None:
        return False
    listed = text[start.end() :]
    named = (rf"^[^\n:]*(?<!\w){name}(?!\w)" for name in parameters(function))
    if not all(re.search(pattern, listed, re.M) for pattern in named):
        return False
    returned = ast.unparse(function.returns) if function.returns else "None"
    if returned in ("None", "NoReturn", "Self"):
        return True
    return any(re.search(SECTION.format(t), text, re.M) for t in ("Returns", "Yields"))


def documentation(trees: dict[str, ast.Module]) -> dict[tuple[str, str], bool]:
    """Return of each public function with parameters whether its sections are complete."""
    complete = {
        (module, name): is_complete(function)
        for module, tree in trees.items()
        for name, function in functions(tree)
        if "._" not in f"{module}.{name}" and parameters(function) and not _is_property(function)
    }
    documented = {name for (_, name), good in complete.items() if good}
    derived = bases(trees)
    return {
        (module, name): good
        for (module, name), good in complete.items()
        if good or not _is_inherited(name, documented, derived)
    }


def _is_property(function: Function) -> bool:
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    return any(name.endswith(("property", ".setter", "overload")) for name in decorators)


def _is_inherited(name: str, documented: set[str], derived: dict[str, set[str]]) -> bool:
    owner, _, method = name.rpartition(".")
    pending = set(derived.get(owner.split(".")[-1], ()))
    seen: set[str] = set()
    while pending:
        base = pending.pop()
        if f"{base}.{method}" in documented:
            return True
        seen.add(base)
        pending |= derived.get(base, set()) - seen
    return False


def passed_through(function: Callable[[], object]) -> set[str]:
    """Return the modules of the library that run a function while another one is called."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            files.add(frame.f_code.co_filename)

    function()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return {str(Path(file).relative_to(PACKAGE).with_suffix("")) for file in files}


def one_picture(folder: Path, output: Path) -> Callable[[], object]:
    """Return what brings the pictures of a folder into a file that has room for them."""
    from phasegan.data.folder_source import open_source
    from phasegan.data.prepare import loop
    from phasegan.data.prepare.partial import PartialFile
    from phasegan.data.prepare.pipeline import Preparation
    from phasegan.data.recipes import override, resolve_recipe
    from phasegan.progress import Progress

    class InProcessPool(loop.InProcessPool):
        def __init__(self, work: Any, count: int) -> None:
            super().__init__(work)

        __enter__ = __exit__ = lambda self, *error: self

    recipe = override(resolve_recipe(folder), {"size": 32})
    job = Preparation(recipe, output, 1, False, False).job(open_source(recipe))
    files = [job.allocate(PartialFile(output.with_suffix(f".{i}"), {})) for i in range(2)]

    def fill() -> None:
        with mock.patch.object(loop, "WorkerPool", InProcessPool):
            job.fill(files.pop(), Progress())

    return fill


def one_step(file: Path, preset: str) -> Callable[[], object]:
    """Return what reads the next batch of a prepared file, and trains on it."""
    import torch

    from phasegan.config.execution import Execution
    from phasegan.config.resolve.phases import resolve_phases
    from phasegan.data.hdf5.reader import PreparedFile
    from phasegan.training.presets import TrainingSetup
    from phasegan.training.setup.timing import benchmark_setup

    device, execution = torch.device("cpu"), Execution(resident="disk", workers=0)
    small: dict[str, Any] = {"paper": {"base_channels": 4}, "physics": {"widths": (4, 4)}}[preset]
    prepared = PreparedFile(file)
    config = resolve_phases(prepared.facts, device, preset=preset, epochs=1, **small)
    setup = TrainingSetup(config, prepared, device, execution=execution)
    gan, batches = setup.make_gan(), setup.make_batches()
    benchmark_setup(gan, batches)
    numbers = itertools.count(0, getattr(config, "period", 1))  # steps with both domains
    return lambda: gan.training_step(batches.load(next(numbers)))


def traced() -> Iterator[tuple[str, set[str]]]:
    """Yield what is done to one sample, and through which modules it passes."""
    import numpy as np
    from PIL import Image

    import phasegan

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
        for i, image in enumerate(pixels):
            Image.fromarray(image).save(folder / "images" / f"{i}.png")
        file, run = folder / "images.h5", folder / "run"
        small = {"variant": "small", "epochs": 1, "samples": 1, "device": "cpu", "widths": (4, 4)}

        def prepare() -> None:
            file.unlink(missing_ok=True)
            phasegan.prepare(folder / "images", file, size=32, test=1, workers=1)

        def train() -> None:
            shutil.rmtree(run, ignore_errors=True)
            phasegan.train(file, run, **small)

        yield "prepare of one image", passed_through(prepare)
        yield "train of one step", passed_through(train)
        for preset in ("physics", "paper"):
            step = passed_through(one_step(file, preset))
            yield f"a phase, from file to step of {preset}", step
        yield (
            "reconstruct of one phase",
            passed_through(lambda: phasegan.reconstruct(file, method="cg")),
        )
        picture = passed_through(one_picture(folder / "images", folder / "picture.h5"))
        yield "a picture, from file to HDF5", picture


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--missing", action="store_true", help="name what is not documented")
    parser.add_argument("--trace", action="store_true", help="count the modules that run")
    parser.add_argument("--names", action="store_true", help="with --trace, list them")
    arguments = parser.parse_args()
    trees = modules()
    files = sorted(PACKAGE.rglob("*.py"))
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    folders = Counter(path.parent for path in files)
    graph = import_graph(trees)
    lengths = [
        node.end_lineno - node.lineno + 1 for tree in trees.values() for _, node in functions(tree)
    ]
    documented = documentation(trees)
    largest, count = max(folders.items(), key=lambda item: item[1])
    training = sum(n for path, n in lines.items() if PACKAGE / "training" in path.parents)
    rows = [
        ("lines of the library", f"{sum(lines.values()):,}"),
        ("training package, lines", f"{training:,}"),
        ("files over 5 lines", f"{sum(n > 5 for n in lines.values())}"),
        ("largest folder", f"{largest.relative_to(ROOT)}: {count} files"),
        (
            "longest file",
            "{}: {} lines".format(
                *max((n, str(p.relative_to(ROOT))) for p, n in lines.items())[::-1]
            ),
        ),
        ("median function, lines", f"{statistics.median(lengths):.0f}"),
        ("import circles", f"{len(circles(graph))}"),
    ]
    paths = dict(traced()) if arguments.trace else {}
    rows += [(f"modules that run, {what}", f"{len(names)}") for what, names in paths.items()]
    share = sum(documented.values()) / len(documented)
    rows.append(
        ("public functions with complete sections", f"{100 * share:.0f} % of {len(documented)}")
    )
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    for group in circles(graph):
        print("circle:", ", ".join(sorted(group)))
    if arguments.names:
        for what, names in paths.items():
            print(f"{what}:", *sorted(names), sep="\n    ")
    if arguments.missing:
        for (module, name), complete in documented.items():
            if not complete:
                print(f"{module}: {name}")


if __name__ == "__main__":
    main()
