"""Attacks on what commands write and keep: links, caches, servers, names, limits, signals.

    cd benchmarks/results/reliability
    python ../../attacks_on_outputs.py --json attacks-on-outputs.json

Each attack has a temporary folder of its own with a canary: a file that a link points to, or
that an output would replace. `python -m phasegan` is run in it. It must end with one line of
error and status 1 or 2, or do what it was asked to; it must say no traceback and not hang, and
the canary must stay as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from survival.attempts import Attempt, Ended, run
from survival.commands import make_commands
from survival.outputs import Broken
from survival.rows import make_row, print_rows, write_rows

CANARY = b"do not touch\n"
REFUSED = "refused in one line"
DONE = "done, nothing else touched"
AGAIN = "measured again, and said so"
MEBIBYTE = 2**20
Words = list[str]


class Scene:
    """The folder of one attack: `work` inside it, and a canary beside that.

    Parameters
    ----------
    folder : pathlib.Path
        A new one.
    data : pathlib.Path
        What `make_commands` wrote.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        self.data, self.work = data, folder / "work"
        self.work.mkdir(parents=True)
        self.canary = folder / "canary.txt"
        self.canary.write_bytes(CANARY)

    def link(self, name: str) -> None:
        """Let a name in the working folder lead to the canary."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.canary)

    def check(self) -> None:
        """Raise `Broken` if the canary is not what it was."""
        if not self.canary.is_file() or self.canary.read_bytes() != CANARY:
            raise Broken("the canary was touched")


def _words(text: str, scene: Scene) -> Words:
    return text.replace("DATA", str(scene.data)).split()


@dataclass(frozen=True)
class Attack:
    """One attack: what is laid, what is run, and what must come of it."""

    row: str
    name: str
    words: str
    """Arguments of phasegan; DATA stands for the folder of data."""
    lay: Callable[[Scene], None] = lambda scene: None
    status: tuple[int, ...] = (2,)
    says: str = ""
    """What standard error has to hold."""
    outcome: str = REFUSED
    limit: Callable[[], None] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    then: Callable[[Scene], None] = lambda scene: None
    """What is checked, or run, afterwards; raises `Broken`."""
    act: Callable[[Attempt], Ended] = Attempt.ended
    """How the command is ended; it is waited for."""

    def run(self, scene: Scene) -> str:
        """Return the outcome, or raise `Broken`."""
        self.lay(scene)
        words = [*_words(self.words, scene), "-q"]
        ended = self.act(Attempt(words, scene.work, self.environment, self.limit))
        scene.check()
        lines = [line for line in ended.said.splitlines() if line.startswith("phasegan: ")]
        if "Traceback" in ended.said or "unexpected" in ended.said:
            raise Broken(f"traceback: {ended.said[-600:]}")
        if ended.status not in self.status or len(lines) > 1 or bool(ended.status) != bool(lines):
            raise Broken(f"status {ended.status}: {ended.said[-600:]}")
        if self.says not in ended.said:
            raise Broken(f"does not say {self.says!r}: {ended.said[-600:]}")
        self.then(scene)
        scene.check()
        return self.outcome


# --- links at names that can be guessed ---------------------------------------------------

TRAIN = (
    "train DATA/paper.h5 --preset paper --epochs 2 --base-channels 2 --blocks 1 --batch-size 2 "
    "--pool-size 2 --discriminator-channels 2 --device cpu --threads 1 --resume -o run"
)
BENCH = (
    "bench --case DATA/tiny.toml --data DATA/paper.h5 --base-channels 2 --blocks 1 --widths 4,4 "
    "--precision 32 --device cpu --threads 1 -o results"
)
ATLAS = (
    "atlas DATA/paper.h5 --method mean-magnitude --oversample 1 --phase-bits 16 --phase-bits 4 "
    "--images 2 -o map"
)
PREPARE = "prepare DATA/pictures --size 16 --workers 1 -o set.h5"
RECONSTRUCT = "reconstruct DATA/paper.h5 --method zero -o"


def _links() -> Iterator[Attack]:
    row = "links at names that can be guessed"
    for words, lock in ((PREPARE, ".set.h5.lock"), (TRAIN, "run/.lock"), (BENCH, "results/.lock"),
                        (RECONSTRUCT + " out", ".out.lock"), (ATLAS, ".map.lock")):  # fmt: skip
        name = words.split()[0]
        yield Attack(row, f"{name}, lock", words, lambda s, n=lock: s.link(n), says="a link")
        done = {"status": (0,), "outcome": DONE}
        yield Attack(row, f"{name}, pid", words, lambda s, n=lock: s.link(f"{n}.pid"), **done)
    for name in (".set.h5.part", ".set.h5.journal"):
        yield Attack(row, name, PREPARE, lambda s, n=name: s.link(n), (0,), outcome=DONE)
    yield Attack(row, "losses.jsonl", TRAIN, _half_run("losses.jsonl"), (0,), outcome=DONE)
    for name in ("samples", "checkpoints", "tensorboard"):
        yield Attack(row, name, TRAIN, _half_run(name), says="a link")


def _half_run(name: str) -> Callable[[Scene], None]:
    """Leave a run that was begun, in which a name is a link."""

    def lay(scene: Scene) -> None:
        run(_words(TRAIN, scene), scene.work)
        shutil.rmtree(scene.work / "run" / "checkpoints")
        (scene.work / "run" / "status.json").unlink()
        path = scene.work / "run" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        target = scene.canary
        if "." not in name:
            target = scene.canary.with_name("elsewhere")
            target.mkdir()
        path.symlink_to(target)

    return lay


# --- caches that are not what their keys say ------------------------------------------------


def _caches() -> Iterator[Attack]:
    row = "rows and cells of a results folder, edited or exchanged"
    done = {"status": (0,), "outcome": AGAIN}

    def edit(change: Callable[[dict[str, Any]], Any], method: str) -> Callable[[Scene], None]:
        def lay(scene: Scene) -> None:
            run(_words(BENCH, scene), scene.work)
            for path in (scene.work / "results" / "rows").glob("*.json"):
                document = json.loads(path.read_text())
                if document["method"].startswith(method):
                    change(document)
                    path.write_text(json.dumps(document))

        return lay

    changes: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
        "an edited mean": ("mean-magnitude", lambda d: d.update(mse=1.0)),
        "a cut list of images": ("zero", lambda d: d["per_image"]["mse"].pop()),
        "another method's name": ("zero", lambda d: d.update(method="physics-small")),
        "another key": ("zero", lambda d: d.update(key="0" * 12)),
        "a run outside the folder": ("paper", lambda d: d.update(run="../elsewhere")),
        "text for a number": ("zero", lambda d: d.update(mse_scale="x")),
    }
    for name, (method, change) in changes.items():
        lay = edit(change, method)
        yield Attack(row, name, BENCH, lay, says="measured again", then=_all_rows, **done)

    def exchange(scene: Scene) -> None:
        run(_words(BENCH, scene), scene.work)
        first, second = sorted((scene.work / "results" / "rows").glob("*.json"))[:2]
        first.write_bytes(second.read_bytes())

    yield Attack(
        row, "one row twice", BENCH, exchange, says="measured again", then=_all_rows, **done
    )

    def cell(change: Callable[[dict[str, Any]], Any]) -> Callable[[Scene], None]:
        def lay(scene: Scene) -> None:
            run(_words(ATLAS, scene), scene.work)
            path = scene.work / "map" / "atlas.json"
            document = json.loads(path.read_text())
            change(document["cells"])
            path.write_text(json.dumps(document))

        return lay

    def swap(cells: dict[str, Any]) -> None:
        first, second = list(cells)[:2]
        cells[first], cells[second] = cells[second], cells[first]

    yield Attack(row, "two cells exchanged", ATLAS, cell(swap), says="measured again", **done)
    for name, value in (("mse_scale", 1.0), ("mse", "x"), ("exact", 99)):
        lay = cell(lambda cells, n=name, v=value: next(iter(cells.values())).update({n: v}))
        yield Attack(row, f"a cell's {name}", ATLAS, lay, says="measured again", **done)


def _all_rows(scene: Scene) -> None:
    found = json.loads((scene.work / "results" / "results.json").read_text())["rows"]
    methods = sorted(row["method"].split("-")[0] for row in found if row["status"] == "ok")
    if methods != ["mean", "paper", "physics", "zero"]:
        raise Broken(f"the rows are {methods}")


# --- servers ------------------------------------------------------------------------------


class _Server(http.server.ThreadingHTTPServer):
    """Answers as the path says: endless, long, cut, loop, scheme, drip, gzip."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        manner = self.path.strip("/").split(".")[0]
        if manner in ("loop", "scheme"):
            self.send_response(302)
            self.send_header("Location", "/loop" if manner == "loop" else "file:///etc/passwd")
            self.end_headers()
            return
        self.send_response(200)
        if manner == "long":
            self.send_header("Content-Length", str(10**15))
        if manner == "gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        block = b"\0" * MEBIBYTE
        with contextlib.suppress(OSError):
            for _ in range(2000):
                self.wfile.write(block)


def _servers() -> Iterator[Attack]:
    row = "servers that send something else"
    server = _Server()
    says = dict.fromkeys(("endless", "long", "gzip"), "has by its recipe")
    says |= dict.fromkeys(("loop", "scheme"), "leads to no file")
    for manner, text in says.items():
        url = f"http://127.0.0.1:{server.server_port}/{manner}.zip"
        yield Attack(
            row, manner, f"datasets fetch recipe.toml --url {url}", _recipe, (1,), text,
            environment={"NO_PROXY": "127.0.0.1"}, then=_little_left,
        )  # fmt: skip
    for kind in ("link", "device", "absolute", "upwards"):
        yield Attack(
            "archives that lead away", kind, "datasets fetch recipe.toml",
            lambda s, k=kind: _archive(s, k), (2,), "do not use it",
        )  # fmt: skip


def _recipe(scene: Scene, archive: str = "zip") -> None:
    layout = "".join(f'{n} = "{n}"\n' for n in ("trainA", "trainB", "testA", "testB"))
    (scene.work / "recipe.toml").write_text(
        f'name = "pair"\n[download]\nurl = "https://example.org/pair.{archive}"\n'
        f'archive = "{archive}"\nbytes = {5 * MEBIBYTE}\n[layout]\n{layout}'
    )


def _archive(scene: Scene, kind: str) -> None:
    import tarfile

    _recipe(scene, "tar")
    with tarfile.open(scene.work / "pair.tar", "w") as archive:
        names = {"absolute": str(scene.canary), "upwards": "../canary.txt"}
        info = tarfile.TarInfo(names.get(kind, "trainA/0.png"))
        kinds = {"link": tarfile.SYMTYPE, "device": tarfile.CHRTYPE}
        info.type, info.linkname = kinds.get(kind, tarfile.REGTYPE), str(scene.canary)
        archive.addfile(info)


def _little_left(scene: Scene) -> None:
    size = sum(path.stat().st_size for path in scene.work.rglob("*") if path.is_file())
    if size > 6 * MEBIBYTE:
        raise Broken(f"{size:,} bytes were taken")


# --- names ----------------------------------------------------------------------------------


def _names() -> Iterator[Attack]:
    row = "names that are those of something else, or of nothing"
    for words in (RECONSTRUCT, TRAIN.rsplit(" ", 1)[0], BENCH.rsplit(" ", 1)[0],
                  ATLAS.rsplit(" ", 1)[0], PREPARE.rsplit(" ", 1)[0]):  # fmt: skip
        for name in ("rec.png", "est.npy"):
            yield Attack(
                row, f"{words.split()[0]} -o {name}", f"{words} {name}", says="written there",
                then=lambda s, n=name: _absent(s, n),
            )  # fmt: skip
        name = words.split()[0]
        yield Attack(row, f"{name} -o, not UTF-8", f"{words} \udce9", says="UTF-8")
        yield Attack(row, f"{name} -o, 255 bytes", f"{words} {'n' * 252}.h5", status=(1, 2))
    yield Attack(row, "prepare, not UTF-8", "prepare \udce9 -o x.h5", says="UTF-8")
    evaluate = "evaluate DATA/paper.h5 --method zero"
    twice = f"{evaluate} --json a.png --sheet a.png"
    yield Attack(row, "one name for two outputs", twice, says="two outputs")
    yield Attack(row, "scores over a configuration", f"{evaluate} --json run/config.json",
                 lambda s: _mkjson(s), says="no scores")  # fmt: skip
    yield Attack(
        row, "an input under the output's name", RECONSTRUCT + " r.h5 --overwrite", _own_sheet,
        status=(0,), outcome=DONE,
    )  # fmt: skip


def _mkjson(scene: Scene) -> None:
    (scene.work / "run").mkdir()
    (scene.work / "run" / "config.json").write_text('{"format": 1, "config": {}}')


def _own_sheet(scene: Scene) -> None:
    run(_words(RECONSTRUCT + " r.h5", scene), scene.work)
    words = ["reconstruct", "r-contact-sheet.png", "-o", "r.h5", "--overwrite", "-q"]
    ended = Attempt(words, scene.work).ended()
    if ended.status != 2 or "is or holds the input" not in ended.said:
        raise Broken(f"the input was replaced: {ended.said}")


def _absent(scene: Scene, name: str) -> None:
    if (scene.work / name).exists():
        raise Broken(f"{name} was made")


# --- limits and signals ---------------------------------------------------------------------


def _little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (400 * MEBIBYTE, 400 * MEBIBYTE))


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def _twice(attempt: Attempt) -> Ended:
    """Press Ctrl-C twice, fast."""
    attempt.wait(3.0)
    attempt.send(signal.SIGINT)
    attempt.wait(0.01)
    return attempt.ended(signal.SIGINT)


def _one_worker(attempt: Attempt) -> Ended:
    """Kill one of the processes that decode."""
    attempt.until(lambda _: bool(attempt.children()))
    for child in attempt.children()[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return attempt.ended()


def _limits() -> Iterator[Attack]:
    row = "little memory, little room, no locks"
    for words in (TRAIN, BENCH, RECONSTRUCT + " out", ATLAS):
        yield Attack(
            row, f"{words.split()[0]}, ulimit -v", words, status=(1,), says="ulimit -v",
            limit=_little_memory,
        )  # fmt: skip

    def goes_on(scene: Scene) -> None:
        if any(scene.work.iterdir()):
            raise Broken(f"left: {sorted(p.name for p in scene.work.iterdir())}")
        run(_words(RECONSTRUCT + " r.h5", scene), scene.work)

    yield Attack(
        row, "no room for the second output", RECONSTRUCT + " r.h5", status=(1,), says="r.h5",
        limit=_small_files, then=goes_on,
    )  # fmt: skip
    library = _no_locks()
    without = {"LD_PRELOAD": library, "HDF5_USE_FILE_LOCKING": "FALSE"}
    for number in ("ENOLCK", "ENOSYS", "EOPNOTSUPP") if library else ():
        for words in (PREPARE, TRAIN, RECONSTRUCT + " out"):
            yield Attack(
                row, f"{words.split()[0]}, {number}", words, status=(0,), says="has no locks",
                outcome=DONE, environment=without | {"NOLOCK": number},
            )  # fmt: skip


def _no_locks() -> str:
    """Compile what makes locks fail; empty without a compiler."""
    if shutil.which("cc") is None:
        return ""
    folder = Path(tempfile.mkdtemp(prefix="no-locks-"))
    source = folder / "no_locks.c"
    source.write_text(_NO_LOCKS)
    library = folder / "no_locks.so"
    line = ["cc", "-shared", "-fPIC", "-o", str(library), str(source)]
    return str(library) if subprocess.run(line, check=False).returncode == 0 else ""


_NO_LOCKS = """
#include <errno.h>
#include <stdlib.h>
#include <string.h>
int flock(int descriptor, int operation) {
    const char *name = getenv("NOLOCK");
    errno = !strcmp(name, "ENOSYS") ? ENOSYS : !strcmp(name, "ENOLCK") ? ENOLCK : EOPNOTSUPP;
    return -1;
}
"""


def _signals() -> Iterator[Attack]:
    row = "signals"
    wide = PREPARE.replace("--workers 1", "--workers 2")
    for words in (wide, TRAIN.replace("--epochs 2", "--epochs 400"), BENCH):
        yield Attack(
            row, f"{words.split()[0]}, Ctrl-C twice", words, status=(130, -2, 0), act=_twice,
            outcome="ended, nothing left", then=_no_leftovers,
        )  # fmt: skip
    yield Attack(
        row, "prepare, a worker killed", wide.replace("--size 16", "--size 64"), status=(0,),
        act=_one_worker, outcome=DONE,
    )  # fmt: skip


def _no_leftovers(scene: Scene) -> None:
    left = [p.name for p in scene.work.rglob(".*") if p.suffix in (".tmp", ".lock", ".pid")]
    if left:
        raise Broken(f"left: {', '.join(left)}")


GROUPS = {"links": _links, "caches": _caches, "servers": _servers, "names": _names,
          "limits": _limits, "signals": _signals}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Attack, print and write the rows; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--match", default="", help="attacks whose names hold this text")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    line = shlex.join(["python", "benchmarks/attacks_on_outputs.py", *words])
    chosen = options.only.split(",") if options.only else [*GROUPS]

    rows: dict[str, Counter[str]] = {}
    names: dict[str, list[str]] = {}
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="outputs-attacked-") as place:
        data = Path(place) / "data"
        make_commands(data)
        attacks = [a for group in chosen for a in GROUPS[group]() if options.match in a.name]
        for number, attack in enumerate(attacks):
            folder = Path(place) / f"{number:03d}"
            try:
                outcome = attack.run(Scene(folder, data))
            except Broken as error:
                outcome = str(error).split(":")[0]
                failures.append(f"{attack.row}, {attack.name}: {error}")
            rows.setdefault(attack.row, Counter())[outcome] += 1
            names.setdefault(attack.row, []).append(attack.name)
            shutil.rmtree(folder, ignore_errors=True)
    made = [make_row(row, found, line, "; ".join(names[row])) for row, found in rows.items()]
    print_rows(made)
    for text in failures:
        print(f"FAILED {text}", file=sys.stderr)
    if options.json is not None:
        write_rows(options.json, made)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
