"""`phasegan datasets`: the list, and a fetch from start to end."""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from phasegan.cli import COMMANDS


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(COMMANDS, "datasets", "List and download pairs of domains.")


@pytest.fixture
def address(tmp_path):
    """A loopback server of one archive, and the recipe that names it."""
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / "flowers.tgz"
    with tarfile.open(archive, "w:gz") as opened:
        for folder in ("red", "blue"):
            for i in range(10):
                stream = io.BytesIO()
                Image.new("RGB", (8, 8), folder).save(stream, "png")
                info = tarfile.TarInfo(f"flowers/{folder}/{i}.png")
                info.size = stream.tell()
                stream.seek(0)
                opened.addfile(info, stream)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(archive.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "red2blue.toml").write_text(
        f'name = "red2blue"\n[download]\nurl = "{base}/flowers.tgz"\narchive = "tar"\n'
        f'sha256 = "{hashlib.sha256(archive.read_bytes()).hexdigest()}"\n'
        '[layout]\nA = "flowers/red"\nB = "flowers/blue"\n'
    )
    yield base
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_list_names_size_and_licence(run_cli):
    for arguments in (["datasets"], ["datasets", "list"]):
        found = run_cli(*arguments)
        assert found.status == 0
        lines = found.out.splitlines()
        (horses,) = [line for line in lines if line.startswith("horse2zebra")]
        assert "117 MB" in horses
        assert "not stated" in horses
        assert horses.endswith("–")
        assert any(line.startswith("sunflower2daisy") and "CC BY 2.0" in line for line in lines)
        assert "template" not in found.out


def test_fetch_makes_the_folders_and_counts_them(run_cli, address, tmp_path):
    recipe = tmp_path / "red2blue.toml"
    found = run_cli("datasets", "fetch", recipe)
    assert found.status == 0, found.err
    assert found.out == "red2blue: 8 trainA, 8 trainB, 2 testA, 2 testB\n"
    assert sorted(p.name for p in (tmp_path / "work").iterdir()) == ["red2blue"]
    again = run_cli("datasets", "fetch", recipe)
    assert again.status == 0
    assert "there already, complete" in again.err
    assert again.out == found.out


def test_what_is_not_there_is_one_line(run_cli, address, tmp_path):
    found = run_cli("datasets", "fetch", tmp_path / "red2blue.toml", "--url", f"{address}/x.zip")
    assert found.status == 1
    assert found.err.count("\n") == 1
    assert "404" in found.err
    assert list((tmp_path / "work").iterdir()) == []


def test_unknown_names_are_bad_input(run_cli):
    found = run_cli("datasets", "fetch", "horse2zebr")
    assert found.status == 2
    assert "did you mean horse2zebra" in found.err
    assert run_cli("datasets", "fetch").status == 2
    assert run_cli("datasets", "ftech", "horse2zebra").status == 2
