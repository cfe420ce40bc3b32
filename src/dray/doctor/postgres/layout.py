"""What the migrations say that there is: the storage settings of the tables, and the indexes."""

from __future__ import annotations

import re

from dray.store.postgres import schema
from dray.store.postgres.plans import in_schema

_TABLE = re.compile(r"^create table dray\.(dray_\w+) \((.*?)^\)(?:\s*with \((.*?)\))?;", re.MULTILINE | re.DOTALL)
_INDEX = re.compile(r"^create (?:unique )?index\s+(dray_\w+)\s+on\s+dray\.(dray_\w+)[^;]*;", re.MULTILINE)
_ALTER = re.compile(r"^alter table dray\.(dray_\w+) set \((.*?)\);", re.MULTILINE | re.DOTALL)
_DROP = re.compile(r"^drop (?:index|table) (?:if exists )?dray\.(dray_\w+)", re.MULTILINE)


def expected_settings(until: int) -> dict[str, dict[str, str]]:
    """The storage settings of each table after the migrations up to `until`."""
    found: dict[str, dict[str, str]] = {}
    for text in _texts(until):
        for table, _, given in _TABLE.findall(text):
            found[table] = _pairs(given)
        for table, given in _ALTER.findall(text):
            found.setdefault(table, {}).update(_pairs(given))
        for gone in _DROP.findall(text):
            found.pop(gone, None)
    return found


def expected_indexes(until: int, name: str) -> dict[str, tuple[str, str]]:
    """Table and statement of each index after the migrations up to `until`, in the schema `name`; primary keys and unique
    constraints are not among them."""
    found: dict[str, tuple[str, str]] = {}
    for text in _texts(until):
        for match in _INDEX.finditer(text):
            found[match[1]] = (match[2], " ".join(in_schema(match[0], name).split()))
        for gone in _DROP.findall(text):
            found = {index: (table, made) for index, (table, made) in found.items() if gone not in (index, table)}
    return found


def _texts(until: int) -> list[str]:
    return [text for number, _, text in schema.migrations() if number <= until]


def _pairs(given: str) -> dict[str, str]:
    found = {}
    for part in given.split(","):
        key, equals, value = part.partition("=")
        if equals:
            found[key.strip()] = value.strip()
    return found
