"""The public sets: where their originals come from, how rows are made of them, and hashes of the result.

`public_sets.json` names for each set the repository, the commit, the files with their hashes, and the rows that were
taken, by their number in the originals, in the order of the finished file. Knows no network.
"""

from __future__ import annotations

import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.paths import BENCHMARKS
from lib.tasks import load_module

DESCRIPTION = Path(__file__).with_name("public_sets.json")
SCHEMAS = BENCHMARKS / "schemas"
SPLITS = ("train", "test")
Row = tuple[str, dict[str, str]]
"""A text and the values in it, by field."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file of the original repository."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """One finished file.

    Attributes:
        originals: The files that its rows come from, read one after the other.
        rows: Numbers of the rows that were taken, in order; 0 is the first row of the first original.
        sha256: Hash of the finished file.
    """

    originals: tuple[str, ...]
    rows: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class PublicSet:
    """One set."""

    name: str
    repository: str
    commit: str
    licence: str
    originals: tuple[Original, ...]
    splits: Mapping[str, Split]

    @property
    def schema_file(self) -> Path:
        """The file with the set's `Record`."""
        return SCHEMAS / f"{self.name}.py"

    def make(self, split: str, contents: Mapping[str, bytes]) -> bytes:
        """The finished file of a split, from the contents of the originals by path."""
        fields = list(load_module(self.schema_file).Record.model_fields)
        found = self.splits[split]
        rows: list[Row] = []
        for path in found.originals:
            rows += READERS[self.name](contents[path], fields)
        lines = [written(rows[number], fields) for number in found.rows]
        return "".join(lines).encode()


def read_description(path: Path = DESCRIPTION) -> dict[str, PublicSet]:
    """All public sets by name."""
    sets = {}
    for name, value in json.loads(path.read_text(encoding="utf-8")).items():
        originals = tuple(Original(file, sha256) for file, sha256 in value["originals"].items())
        splits = {
            split: Split(tuple(part["originals"]), tuple(part["rows"]), part["sha256"])
            for split, part in value["splits"].items()
        }
        sets[name] = PublicSet(name, value["repository"], value["commit"], value["licence"], originals, splits)
    return sets


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def written(row: Row, fields: Sequence[str]) -> str:
    """A row as a line of JSONL, every field present."""
    text, values = row
    output = {field: values.get(field) for field in fields}
    return json.dumps({"text": text, "output": output}, ensure_ascii=False) + "\n"


# ----------------------------------------------------------------------------------------------------- SNIPS bookings


def read_bookings(content: bytes, fields: Sequence[str]) -> list[Row]:
    """Rows of SNIPS' JSON: a query in pieces, some of which fill a slot; white space becomes one space."""
    rows = []
    for query in json.loads(content)["BookRestaurant"]:
        pieces = query["data"]
        text = one_line("".join(piece["text"] for piece in pieces))
        slots = [piece for piece in pieces if "entity" in piece]
        rows.append((text, {snake_case(piece["entity"]): one_line(piece["text"]) for piece in slots}))
    return rows


# ---------------------------------------------------------------------------------------------------------- usaddress


def read_addresses(content: bytes, fields: Sequence[str]) -> list[Row]:
    """Rows of usaddress' XML: an element a word; neighbours with one label are one value, without edge punctuation."""
    rows = []
    for address in ET.fromstring(content):
        words = [(snake_case(word.tag), (word.text or "").strip()) for word in address]
        values: dict[str, str] = {}
        for label, word in words:
            if label in fields:
                values[label] = f"{values[label]} {word}" if label in values else word
        text = " ".join(word for _, word in words)
        rows.append((text, {label: value.strip(" ,;") for label, value in values.items()}))
    return rows


# ---------------------------------------------------------------------------------------------------------- citations

PEOPLE = ("author", "editor", "translator")
BRACKETS = {
    "citation_number": "()[]",
    "date": "()[]",
    "doi": "()",
    "edition": "()[]",
    "pages": "()[]",
    "url": "()[]<>",
    "volume": "()[]",
}
"""Brackets that are cut from the edges of a field; the others keep theirs."""


def read_citations(content: bytes, fields: Sequence[str]) -> list[Row]:
    """Rows of AnyStyle's XML: an element a segment; segments are joined by a space, values lose edge punctuation."""
    rows = []
    for reference in ET.fromstring(content):
        segments = [(part.tag.replace("-", "_"), one_line("".join(part.itertext()))) for part in reference]
        text = " ".join(segment for _, segment in segments)
        rows.append((text, {label: stripped(label, part) for label, part in segments if label in fields}))
    return rows


def stripped(field: str, value: str) -> str:
    """A segment without edge punctuation; names of people keep a final full stop."""
    marks = " ,;:" + BRACKETS.get(field, "")
    return value.lstrip(marks + ".").rstrip(marks if field in PEOPLE else marks + ".")


# ------------------------------------------------------------------------------------------------------------- common


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def snake_case(name: str) -> str:
    """`USPSBoxID` as `usps_box_id`, `timeRange` as `time_range`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


READERS: dict[str, Callable[[bytes, Sequence[str]], list[Row]]] = {
    "citations": read_citations,
    "snips_restaurant": read_bookings,
    "usaddress": read_addresses,
}


def check(content: bytes, sha256: str, what: str) -> None:
    """Stop if a file is not the expected one."""
    found = digest(content)
    if found != sha256:
        raise SystemExit(f"expected {what} with SHA-256 {sha256}, found {found}: it is another version or damaged")


def describe(sets: Mapping[str, Any]) -> str:
    """The sets as JSON, a line for each list of rows."""
    text = json.dumps(sets, indent=1)
    return re.sub(r"\[\s+((?:\d+,\s+)*\d+)\s+\]", lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n"
