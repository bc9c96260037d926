"""Where the next token of a record stands: the same however the record is cut into tokens."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.speculation.json_cursor import INITIAL, JsonCursor

RECORD = b'{"name":"Tr\\"e","tags":["a","b c"],"size":12,"in":{"ok":true,"no":null}}'


def behind(record: bytes) -> JsonCursor:
    return INITIAL.advance(record)


@pytest.mark.parametrize(
    ("record", "part", "quoted", "field", "written", "nesting"),
    [
        (b"", "value", False, b"", b"", b""),
        (b"{", "key", False, b"", b"", b"{"),
        (b'{"na', "key", True, b"", b"na", b"{"),
        (b'{"name"', "colon", False, b"name", b"", b"{"),
        (b'{"name":', "value", False, b"name", b"", b"{"),
        (b'{"name":"Tr', "value", True, b"name", b"Tr", b"{"),
        (b'{"name":"Tr\\', "value", True, b"name", b"Tr", b"{"),
        (b'{"name":"Tr\\"e', "value", True, b"name", b'Tr"e', b"{"),
        (b'{"name":"Tr\\"e"', "after", False, b"name", b"", b"{"),
        (b'{"name":"Tr\\"e",', "key", False, b"name", b"", b"{"),
        (b'{"name":"","tags":["a","b', "value", True, b"tags", b"b", b"{["),
        (b'{"name":"","tags":["a"]', "after", False, b"tags", b"", b"{"),
        (b'{"name":"","tags":["a"],', "key", False, b"tags", b"", b"{"),
        (b'{"size":12', "value", False, b"size", b"12", b"{"),
        (b'{"size":12,', "key", False, b"size", b"", b"{"),
        (b'{"a":"x\\ny\\u00e9z', "value", True, b"a", b"00e9z", b"{"),
    ],
)
def test_parts(record: bytes, part: str, quoted: bool, field: bytes, written: bytes, nesting: bytes) -> None:
    found = behind(record)
    assert (found.part, found.quoted, found.field, found.written, found.nesting) == (
        part, quoted, field, written, nesting,
    )  # fmt: skip


def test_values_are_counted_when_they_are_whole() -> None:
    places = [behind(RECORD[:end]) for end in range(len(RECORD) + 1)]
    values = [later.last for earlier, later in pairwise(places) if later.values > earlier.values]
    assert values == [b'Tr"e', b"a", b"b c", b"12", b"true", b"null"]
    assert places[-1].nesting == b""


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def leaves(value: Any) -> list[Any]:
    match value:
        case dict():
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        case list():
            return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


@given(document=documents, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_tokens_make_no_difference(document: Any, cuts: list[int]) -> None:
    record = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    cursor = INITIAL
    edges = sorted({0, len(record), *(cut for cut in cuts if cut < len(record))})
    for low, high in pairwise(edges):
        cursor = cursor.advance(record[low:high])
    assert cursor == behind(record)
    assert cursor.nesting == b""
    whole = INITIAL.advance(b"[" + record + b"]")
    expected = leaves(document)
    assert whole.values == len(expected)
    if expected and isinstance(expected[-1], str) and all(ord(char) >= 32 for char in expected[-1]):
        assert whole.last == expected[-1].encode()
