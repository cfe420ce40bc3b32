"""Ids: UUIDs of version 7 that increase within a process, whichever way they are made."""

from __future__ import annotations

import itertools
import threading
import uuid

import pytest

from dray.model import ids


def made() -> list[bytes]:
    """Some, made in every way, in turns."""
    return [*ids.new_ids(5), ids.new_id(), *itertools.islice(ids.stream(), 30), ids.new_id(), *ids.new_ids(2), ids.new_id()]


def test_they_are_uuids_of_version_7_with_the_time_of_their_making() -> None:
    for raw in made():
        found = uuid.UUID(bytes=raw)
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert ids.from_text(ids.to_text(raw)) == raw
        assert ids.to_text(raw) == str(found)


def test_they_increase() -> None:
    found = [*made(), *made()]
    assert found == sorted(found)
    assert len(set(found)) == len(found)


def test_threads_do_not_share_one() -> None:
    found: list[bytes] = []

    def make() -> None:
        mine = [ids.new_id() for _ in range(2000)] + ids.new_ids(2000)
        assert mine == sorted(mine)
        found.extend(mine)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 4 * 4000


def test_a_beginning_bounds_the_ids_that_have_it() -> None:
    raw = ids.new_id()
    for length in (1, 8, 13, 36):
        bounds = ids.prefix_range(ids.to_text(raw)[:length])
        assert bounds is not None
        assert bounds[0] <= raw <= bounds[1]


@pytest.mark.parametrize("text", ["", "xyz", "0" * 33, "-"])
def test_what_is_no_beginning(text: str) -> None:
    assert ids.prefix_range(text) is None
