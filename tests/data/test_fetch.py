"""Fetching pairs of domains, from servers of all manners."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import pathlib
import re
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data.download import fetch as fetching
from phasegan.data.download import http as downloading
from phasegan.data.download.fetch import fetch, read_fetched
from phasegan.data.recipes import PAIR_FOLDERS, known_pairs, known_recipes, load_pair
from phasegan.errors import InputError, Interrupted, RunError
from phasegan.progress import Progress

COUNTS = {"trainA": 5, "trainB": 4, "testA": 3, "testB": 2}


def png(number):
    pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def archive_of(counts, prefix="pair"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for folder, count in counts.items():
            for i in range(count):
                archive.writestr(f"{prefix}/{folder}/{i:03d}.png", png(i))
        archive.writestr(f"{prefix}/LICENCE.txt", "as you like")
        archive.writestr(f"{prefix}/trainA/Thumbs.db", "nothing")
        archive.writestr(f"__MACOSX/{prefix}/trainA/._000.png", "nothing")
    return stream.getvalue()


class Server:
    """Serve one file, in the manner that its fields say."""

    def __init__(self, data):
        self.data, self.etag, self.ranges, self.status = data, '"1"', True, 200
        self.stop_after, self.stops = None, 0
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/files/pair.zip"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, handler):
        self.requests.append(dict(handler.headers))
        if self.status != 200:
            handler.send_error(self.status)
            return
        start, wanted = 0, re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if wanted and self.ranges and handler.headers.get("If-Range", self.etag) == self.etag:
            start = int(wanted[1])
        if start:
            handler.send_response(206)
            handler.send_header(
                "Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
            )
        else:
            handler.send_response(200)
        if self.etag:
            handler.send_header("ETag", self.etag)
        body = self.data[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.stops:
            self.stops -= 1
            body = body[: self.stop_after]
        handler.wfile.write(body)

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloading, "WAITS_S", (0.0,))
    monkeypatch.setattr(downloading, "_BLOCK", 1000)
    started = Server(archive_of(COUNTS))
    yield started
    started.close()


@pytest.fixture
def recipe(tmp_path, server):
    return write_recipe(tmp_path, server, hashlib.sha256(server.data).hexdigest())


def write_recipe(folder, server, sha256, layout=None):
    path = folder / "pair.toml"
    lines = layout or [f'{name} = "pair/{name}"' for name in PAIR_FOLDERS]
    path.write_text(
        f'name = "pair"\n[download]\nurl = "{server.url}"\narchive = "zip"\n'
        f'bytes = {len(server.data)}\nsha256 = "{sha256}"\n[layout]\n' + "\n".join(lines)
    )
    return str(path)


def left_in(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".toml")


def test_a_pair_arrives_with_its_four_folders(server, recipe, tmp_path):
    folder = fetch(recipe, tmp_path / "out" / "pair")
    assert folder == tmp_path / "out" / "pair"
    found = read_fetched(folder)
    assert (found.name, found.pictures) == ("pair", COUNTS)
    assert (folder / "testB" / "001.png").read_bytes() == png(1)
    assert left_in(folder) == sorted([*PAIR_FOLDERS, "dataset.json"])
    assert left_in(tmp_path / "out") == ["pair"]
    mark = json.loads((folder / "dataset.json").read_text())
    assert mark["sha256"] == hashlib.sha256(server.data).hexdigest()
    assert mark["url"] == server.url


def test_a_second_call_asks_nobody(server, recipe, tmp_path):
    said = []

    class Listener(Progress):
        def say(self, text):
            said.append(text)

    fetch(recipe, tmp_path / "pair")
    asked = len(server.requests)
    assert fetch(recipe, tmp_path / "pair", progress=Listener()) == tmp_path / "pair"
    assert len(server.requests) == asked
    assert "complete" in said[0]


def test_the_archive_stays_if_asked(server, recipe, tmp_path):
    fetch(recipe, tmp_path / "pair", keep_archive=True)
    assert (tmp_path / "pair.zip").read_bytes() == server.data
    assert left_in(tmp_path) == ["pair", "pair.zip"]


def test_an_archive_put_there_by_hand_is_used_and_stays(server, recipe, tmp_path):
    (tmp_path / "pair.zip").write_bytes(server.data)
    fetch(recipe, tmp_path / "pair")
    assert server.requests == []
    assert left_in(tmp_path) == ["pair", "pair.zip"]


def test_another_file_of_the_archives_name_is_left_alone(server, recipe, tmp_path):
    (tmp_path / "pair.zip").write_bytes(b"my own")
    with pytest.raises(InputError, match="move it away"):
        fetch(recipe, tmp_path / "pair")
    assert (tmp_path / "pair.zip").read_bytes() == b"my own"
    assert left_in(tmp_path) == ["pair.zip"]


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server, recipe, tmp_path):
    server.stop_after, server.stops = 9_000, 3
    fetch(recipe, tmp_path / "pair")
    starts = [request.get("Range") for request in server.requests]
    assert starts == [None, "bytes=9000-", "bytes=18000-", "bytes=27000-"]
    assert {request.get("If-Range") for request in server.requests[1:]} == {'"1"'}
    assert read_fetched(tmp_path / "pair").pictures == COUNTS


def test_what_came_is_kept_for_the_next_command(server, recipe, tmp_path, monkeypatch):
    server.stop_after, server.stops = 20_000, 1
    monkeypatch.setattr(downloading, "MAX_TRIES", 1)
    with pytest.raises(RunError, match="the same command goes on from there"):
        fetch(recipe, tmp_path / "pair")
    assert left_in(tmp_path) == ["pair.zip.part", "pair.zip.part.json"]
    fetch(recipe, tmp_path / "pair")
    assert server.requests[-1]["Range"] == "bytes=20000-"
    assert left_in(tmp_path) == ["pair"]


def test_a_server_without_ranges_starts_over(server, recipe, tmp_path):
    server.ranges, server.stop_after, server.stops = False, 9_000, 1
    fetch(recipe, tmp_path / "pair")
    assert len(server.requests) == 2
    assert read_fetched(tmp_path / "pair").pictures == COUNTS


def test_a_server_that_never_gets_through_is_given_up(server, recipe, tmp_path):
    server.ranges, server.stop_after, server.stops = False, 9_000, 10**6
    with pytest.raises(RunError, match="connection was"):
        fetch(recipe, tmp_path / "pair")
    assert len(server.requests) <= 2 * downloading.MAX_TRIES


def test_a_file_that_changed_meanwhile_is_not_spliced(server, recipe, tmp_path, monkeypatch):
    server.stop_after, server.stops = 20_000, 1
    monkeypatch.setattr(downloading, "MAX_TRIES", 1)
    with pytest.raises(RunError):
        fetch(recipe, tmp_path / "pair")
    server.data, server.etag = archive_of({**COUNTS, "testB": 6}), '"2"'
    fetch(write_recipe(tmp_path, server, ""), tmp_path / "pair")
    assert server.requests[-1]["If-Range"] == '"1"'
    assert read_fetched(tmp_path / "pair").pictures["testB"] == 6


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_a_strong_version_the_download_starts_over(server, recipe, tmp_path, etag):
    server.etag, server.stop_after, server.stops = etag, 9_000, 1
    fetch(recipe, tmp_path / "pair")
    assert [r.get("Range") for r in server.requests] == [None, None]


def test_a_wrong_checksum_leaves_nothing(server, recipe, tmp_path):
    server.data = server.data[:-1] + b"x"
    with pytest.raises(InputError, match="does not have the checksum"):
        fetch(recipe, tmp_path / "pair")
    assert left_in(tmp_path) == []


def test_the_first_checksum_is_asked_for_from_then_on(server, tmp_path):
    recipe = write_recipe(tmp_path, server, "")
    fetch(recipe, tmp_path / "pair")
    record = (tmp_path / "pair.zip.sha256").read_text()
    assert record == f"{hashlib.sha256(server.data).hexdigest()}  pair.zip\n"
    server.data = archive_of({**COUNTS, "trainA": 4})
    with pytest.raises(InputError, match="does not have the checksum"):
        fetch(recipe, tmp_path / "again")
    (tmp_path / "pair.zip.sha256").unlink()
    fetch(recipe, tmp_path / "again")


def test_a_mirror_gives_the_same_archive(server, recipe, tmp_path):
    mirror = Server(server.data)
    try:
        fetch(recipe, tmp_path / "pair", url=mirror.url)
    finally:
        mirror.close()
    assert server.requests == []
    assert len(mirror.requests) == 1


@pytest.mark.parametrize(
    ("status", "message"), [(404, "no such file"), (403, "refuses"), (401, "")]
)
def test_refusals_say_why_and_are_not_repeated(server, recipe, tmp_path, status, message):
    server.status = status
    with pytest.raises(RunError, match=f"{message}.*{status}.*--url") as caught:
        fetch(recipe, tmp_path / "pair")
    assert server.url in str(caught.value)
    assert len(server.requests) == 1
    assert left_in(tmp_path) == []


def test_a_server_that_is_ill_is_asked_again(server, recipe, tmp_path):
    server.status = 503
    with pytest.raises(RunError, match="HTTP 503"):
        fetch(recipe, tmp_path / "pair")
    assert len(server.requests) == downloading.MAX_TRIES


def test_no_network_is_one_clear_line(server, recipe, tmp_path):
    with pytest.raises(RunError, match="cannot be reached") as caught:
        fetch(recipe, tmp_path / "pair", url="http://127.0.0.1:1/pair.zip")
    assert len(str(caught.value)) < 200


def test_silence_ends_in_a_time_out(recipe, tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(downloading, "READ_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(RunError, match="nothing came"):
            fetch(recipe, tmp_path / "pair", url=f"http://127.0.0.1:{port}/pair.zip")


@pytest.mark.parametrize("url", ["ftp://example.org/a.zip", "pair.zip", "", "http://example.org"])
def test_addresses_are_checked_before_anything_is_asked(recipe, tmp_path, url):
    with pytest.raises(InputError, match="not an address"):
        fetch(recipe, tmp_path / "pair", url=url)


def test_a_full_disk_is_noticed_before(server, recipe, tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "free")
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: usage(1000))
    with pytest.raises(RunError, match="free some space"):
        fetch(recipe, tmp_path / "pair")


def test_ctrl_c_keeps_what_came(server, recipe, tmp_path, monkeypatch):
    from contextlib import contextmanager

    class Impatient(Progress):
        @contextmanager
        def task(self, label, total, done=0):
            yield self

        def advance(self, count=1, note=""):
            raise KeyboardInterrupt

    monkeypatch.setattr(downloading, "MEGABYTE", 10_000)
    with pytest.raises(Interrupted, match="kept in") as caught:
        fetch(recipe, tmp_path / "pair", progress=Impatient())
    assert caught.value.exit_status == 130
    kept = (tmp_path / "pair.zip.part").stat().st_size
    assert 10_000 <= kept <= 11_000
    fetch(recipe, tmp_path / "pair")
    assert server.requests[-1]["Range"] == f"bytes={kept}-"


def test_ctrl_c_while_unpacking_keeps_the_archive(server, recipe, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "unpack", interrupted)
        with pytest.raises(Interrupted, match=r"pair\.zip,"):
            fetch(recipe, tmp_path / "pair")
    assert left_in(tmp_path) == ["pair.zip", "pair.zip.part.json"]
    fetch(recipe, tmp_path / "pair")
    assert len(server.requests) == 1
    assert left_in(tmp_path) == ["pair"]


def test_what_a_killed_process_left_is_removed(server, recipe, tmp_path):
    for left in (".pair.abcd_123.tmp", ".pair.zip.0123456789abcdef.tmp"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half.png").write_text("half")
    fetch(recipe, tmp_path / "pair")
    assert left_in(tmp_path) == ["pair"]


def test_another_folder_is_refused(server, recipe, tmp_path):
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not pair"):
        fetch(recipe, tmp_path / "pair")
    assert server.requests == []
    assert left_in(tmp_path / "pair") == ["mine.txt"]


def test_a_folder_that_lost_pictures_is_not_called_complete(server, recipe, tmp_path):
    folder = fetch(recipe, tmp_path / "pair")
    (folder / "trainA" / "002.png").unlink()
    assert read_fetched(folder) is None
    with pytest.raises(InputError, match="pictures are missing"):
        fetch(recipe, folder)


def test_an_archive_with_other_folders_is_refused(server, tmp_path):
    layout = [f'{name} = "other/{name}"' for name in PAIR_FOLDERS]
    recipe = write_recipe(tmp_path, server, "", layout)
    with pytest.raises(InputError, match="no pictures for trainA"):
        fetch(recipe, tmp_path / "pair")
    assert not (tmp_path / "pair").exists()


def test_two_folders_are_split_by_names_and_seed(tmp_path, server):
    server.data = archive_of({"red": 30, "blue": 20})
    layout = [
        'A = "pair/red"',
        'B = "pair/blue"',
        "test_share = 0.2",
        'keep = ["pair/LICENCE.txt"]',
    ]

    def fetched(seed, name):
        recipe = write_recipe(tmp_path, server, "", [*layout, f"seed = {seed}"])
        folder = fetch(recipe, tmp_path / name)
        return {p.relative_to(folder).as_posix() for p in folder.rglob("*.png")}

    once, again, other = fetched(0, "one"), fetched(0, "two"), fetched(1, "three")
    assert once == again != other
    assert read_fetched(tmp_path / "one").pictures == {
        "trainA": 24, "trainB": 16, "testA": 6, "testB": 4,
    }  # fmt: skip
    assert {name.split("/")[1] for name in once} == {f"{i:03d}.png" for i in range(30)}
    assert (tmp_path / "one" / "LICENCE.txt").read_text() == "as you like"
    assert not (tmp_path / "one" / "A").exists()


def test_shipped_pairs_are_valid():
    for name in known_pairs():
        pair = load_pair(name)
        assert pair.name == name
        assert pair.title
        assert pair.licence
        assert pair.download.sha256
        assert pair.download.bytes
    assert "horse2zebra" in known_pairs()
    assert known_recipes() == ["builtin"]


def test_preparing_a_pair_says_to_fetch_it_first(tmp_path, recipe, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("horse2zebra", recipe):
        with pytest.raises(InputError, match="phasegan datasets fetch"):
            phasegan.prepare(name, tmp_path / "x.h5")
    with pytest.raises(InputError, match="builtin"):
        phasegan.prepare("no-such-thing", tmp_path / "x.h5")


@pytest.mark.parametrize(
    ("name", "message"),
    [("horse2zebr", "did you mean horse2zebra"), ("builtin", "there are"), ("no.toml", "no such")],
)
def test_unknown_pairs_name_the_known_ones(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        fetch(name, tmp_path / "x")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (['trainA = "a"'], "name either"),
        (['A = "a"', 'B = "b"', 'testA = "c"'], "name either"),
        (['A = "a"', 'B = "b"', "test_share = 1.0"], "test_share"),
        (['A = "a"', 'B = "b"', "sede = 1"], "did you mean seed"),
    ],
)
def test_bad_layouts_name_the_problem(tmp_path, server, layout, message):
    with pytest.raises(InputError, match=message):
        load_pair(write_recipe(tmp_path, server, "", layout))


def raw_server(answer):
    """Serve what `answer` writes to a request's handler; return the server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *arguments):
            pass

    started = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=started.serve_forever, args=(0.01,)).start()
    return started


def fetch_from(answer, recipe, folder):
    started = raw_server(answer)
    try:
        return fetch(recipe, folder, url=f"http://127.0.0.1:{started.server_port}/pair.zip")
    finally:
        started.shutdown()
        started.server_close()


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(10_000))


def claimed(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**15))
    handler.end_headers()


@pytest.mark.parametrize("answer", [endless, claimed])
def test_no_more_is_taken_than_the_recipe_states(server, recipe, tmp_path, answer):
    with pytest.raises(RunError, match="has by its recipe"):
        fetch_from(answer, recipe, tmp_path / "pair")
    assert left_in(tmp_path) == []


def test_without_a_stated_size_there_is_a_limit_too(server, tmp_path, monkeypatch):
    recipe = pathlib.Path(write_recipe(tmp_path, server, ""))
    recipe.write_text(re.sub("bytes = .*", "", recipe.read_text()))
    monkeypatch.setattr(downloading, "MAX_BYTES", 100_000)
    with pytest.raises(RunError, match=r"without a stated size may have 100,000 bytes"):
        fetch_from(endless, str(recipe), tmp_path / "pair")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("location", ["/again", "file:///etc/passwd", "ftp://localhost/x"])
def test_redirections_that_lead_nowhere_end_at_once(server, recipe, tmp_path, location):
    def lead(handler):
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    with pytest.raises(RunError, match="leads to no file"):
        fetch_from(lead, recipe, tmp_path / "pair")


def test_a_drip_is_given_up_and_kept(server, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "READ_S", 0.2)

    def drip(handler):
        handler.send_response(200)
        handler.send_header("ETag", '"1"')
        handler.end_headers()
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.02)

    with pytest.raises(RunError, match=r"only \d+ bytes came .* are kept in"):
        fetch_from(drip, recipe, tmp_path / "pair")


def test_what_a_server_compressed_is_not_unpacked_on_the_way(server, recipe, tmp_path):
    packed = gzip.compress(bytes(10**8), 1)

    def bomb(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    with pytest.raises((InputError, RunError), match=r"checksum|recipe"):
        fetch_from(bomb, recipe, tmp_path / "pair")
    assert left_in(tmp_path) == []


def test_a_link_where_the_archive_is_kept_is_not_followed(server, recipe, tmp_path):
    canary = tmp_path / "canary"
    canary.write_bytes(server.data[:100])
    (tmp_path / "pair.zip.part").symlink_to(canary)
    known = {"url": server.url, "version": '"1"', "bytes": len(server.data)}
    (tmp_path / "pair.zip.part.json").write_text(json.dumps(known))
    fetch(recipe, tmp_path / "pair")
    assert canary.read_bytes() == server.data[:100]
    assert server.requests[-1].get("Range") is None
