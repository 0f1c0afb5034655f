"""A set of hashes is a set."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from phasegan.data.prepare.loop import FileHashes


def sha(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_it_holds_what_was_added_and_nothing_else(added, asked):
    found, expected = FileHashes(), set()
    for number in added:
        found.add(sha(number))
        expected.add(number)
    assert len(found) == len(expected)
    for number in asked:
        assert (sha(number) in found) == (number in expected)


def test_it_grows():
    found = FileHashes()
    for number in range(5000):
        found.add(sha(number))
    assert len(found) == 5000
    assert all(sha(number) in found for number in range(5000))
    assert not any(sha(number) in found for number in range(5000, 9000))


def test_hashes_that_fall_into_one_place_are_told_apart():
    found = FileHashes()
    hashes = [f"{0:016x}{i:016x}{'0' * 32}" for i in range(40)]
    for one in hashes[:20]:
        found.add(one)
    assert [one in found for one in hashes] == [True] * 20 + [False] * 20
