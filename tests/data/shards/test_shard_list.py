"""The list of pictures that jobs share."""

from __future__ import annotations

import random
import shutil

import pytest
from shard_helper import assert_same, make, save

from phasegan.data.folder_source import ImageFolder
from phasegan.data.prepare.shards import listing_path
from phasegan.errors import InputError


def test_a_list_is_read_back_as_it_was(forty, tmp_path):
    folder = ImageFolder(forty)
    folder.save(tmp_path / "list")
    again = ImageFolder.restore(forty, tmp_path / "list")
    assert again is not None
    assert again.splits() == folder.splits()
    assert [again.item(i) for i in range(43)] == [folder.item(i) for i in range(43)]
    assert (again.listing(), again.depth(), again.max_name_bytes(), again.ignored) == (
        folder.listing(), folder.depth(), folder.max_name_bytes(), folder.ignored,
    )  # fmt: skip
    assert ImageFolder.restore(tmp_path, tmp_path / "list") is None


def test_a_damaged_list_is_not_believed(forty, tmp_path):
    ImageFolder(forty).save(tmp_path / "list")
    whole = (tmp_path / "list").read_bytes()
    draw = random.Random(2)
    for _ in range(200):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (tmp_path / "list").write_bytes(data)
        assert ImageFolder.restore(forty, tmp_path / "list") is None
    for size in (0, 10, 100, len(whole) - 1):
        (tmp_path / "list").write_bytes(whole[:size])
        assert ImageFolder.restore(forty, tmp_path / "list") is None


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_a_list_that_is_out_of_date_is_written_again(forty, tmp_path, change):
    root, path = tmp_path / "p", tmp_path / "set.h5"
    shutil.copytree(forty, root)
    make(root, path, shards=2, shard=0)
    before = listing_path(path).read_bytes()
    if change == "added":
        save(root / "1" / "new.png", 77)
    elif change == "removed":
        (root / "1" / "1.png").unlink()
    else:
        (root / "1" / "1.png").rename(root / "1" / "one.png")
    with pytest.raises(InputError, match=r"set-0000-of-0002\.h5 is there, but .* have changed"):
        make(root, path, shards=2)
    assert listing_path(path).read_bytes() != before
    report = make(root, path, shards=2, overwrite=True)
    whole = make(root, tmp_path / "whole.h5")
    assert_same(report.path, whole.path)


def test_a_damaged_list_in_the_way_is_replaced(forty, tmp_path):
    path = tmp_path / "set.h5"
    make(forty, path, shards=2, shard=0)
    listing_path(path).write_bytes(b"rubbish")
    assert make(forty, path, shards=2, shard=1).path == path


def test_output_may_stand_among_the_pictures(forty, tmp_path):
    root = tmp_path / "p"
    shutil.copytree(forty, root)
    make(root, root / "set.h5", shards=2, shard=0)
    before = listing_path(root / "set.h5").stat().st_mtime_ns
    make(root, root / "other.h5")
    assert ImageFolder.restore(root, listing_path(root / "set.h5")) is not None
    assert listing_path(root / "set.h5").stat().st_mtime_ns == before
    assert make(root, root / "set.h5", shards=2, shard=1).shards == (2, 2)
