"""Tools to generate texts of which the record, and the place of every value, is known.

Shared by the generators of complaints and of orders. Knows no schema and no language.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pydantic import BaseModel

from extractft.errors import MissingDependencyError

if TYPE_CHECKING:
    from faker import Faker

__all__ = [
    "GeneratedExample",
    "Generator",
    "TextBuilder",
    "chance",
    "distinct",
    "fill",
    "generator_command",
    "load_faker",
    "pick",
    "write_jsonl",
]

T = TypeVar("T", bound=BaseModel)
Item = TypeVar("Item")
SLOT = re.compile(r"\{([\w.]+)\}")
MAX_REPEATS = 1000


@dataclass(frozen=True, slots=True)
class GeneratedExample(Generic[T]):
    """A text, the record in it, and where the text says each value.

    Attributes:
        text: The text.
        output: The record.
        spans: Path of a field (`"lines.0.total"`) to the characters that state it, end exclusive. For a value that is
            copied from the text, `text[start:end]` is the value; for one that is converted, it is the wording
            that was converted. Absent fields have no span.
    """

    text: str
    output: T
    spans: Mapping[str, tuple[int, int]]

    def row(self) -> dict[str, object]:
        """The example as a row of a JSONL file: `{"text": ..., "output": {...}}`, every field present."""
        return {"text": self.text, "output": self.output.model_dump(mode="json")}


class Generator(Protocol[T]):
    """A function that invents `n` examples, the same ones for the same seed."""

    def __call__(self, n: int, *, seed: int) -> Sequence[GeneratedExample[T]]: ...


class TextBuilder:
    """Writes a text piece by piece and remembers where the values stand."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.spans: dict[str, tuple[int, int]] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def write(self, template: str, values: Mapping[str, str] | None = None) -> None:
        """Append a template; each `{path}` in it becomes the value of that path, and its place is kept.

        Args:
            template: Plain text with `{path}` slots.
            values: What the slots stand for.

        Raises:
            KeyError: A slot has no value.
            ValueError: A path is written a second time.
        """
        end = 0
        for slot in SLOT.finditer(template):
            self._append(template[end : slot.start()])
            path, value = slot[1], (values or {})[slot[1]]
            if path in self.spans:
                raise ValueError(f"expected each path once, found {path!r} a second time")
            self.spans[path] = (self._length, self._length + len(value))
            self._append(value)
            end = slot.end()
        self._append(template[end:])

    def _append(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)


def chance(rng: Random, probability: float) -> bool:
    """True with the given probability."""
    return rng.random() < probability


def pick(rng: Random, weighted: Mapping[Item, float]) -> Item:
    """One of the keys, each as likely as its weight says."""
    return rng.choices(list(weighted), weights=list(weighted.values()))[0]


def fill(template: str, slots: Mapping[str, Callable[[], str]]) -> str:
    """Replace every `{slot}` by a fresh draw; the draws may hold slots themselves.

    Raises:
        KeyError: A slot is unknown.
    """
    while SLOT.search(template):
        template = SLOT.sub(lambda match: slots[match[1]](), template)
    return template


def distinct(draw: Callable[[], GeneratedExample[T]], n: int) -> list[GeneratedExample[T]]:
    """The first `n` examples with different texts.

    More rows of the same generator start with the same rows: `generate(20)[:10] == generate(10)`.

    Raises:
        ValueError: The generator repeats itself too much to give `n` texts.
    """

    def fresh() -> Iterator[GeneratedExample[T]]:
        seen: set[str] = set()
        repeats = 0
        while repeats < MAX_REPEATS:
            example = draw()
            if example.text in seen:
                repeats += 1
                continue
            seen.add(example.text)
            yield example

    examples = list(islice(fresh(), n))
    if len(examples) < n:
        raise ValueError(f"expected {n} different texts, found no more than {len(examples)}")
    return examples


def load_faker(seed: int) -> Faker:
    """A Faker for Chinese with a random state of its own.

    Raises:
        MissingDependencyError: Faker is not installed.
    """
    try:
        from faker import Faker
    except ImportError as error:
        raise MissingDependencyError("expected the package 'faker', found none").hint(
            "Install it with: pip install faker"
        ) from error
    faker = Faker("zh_CN")
    faker.seed_instance(seed)
    return faker


def write_jsonl(path: Path, examples: Sequence[GeneratedExample[T]]) -> None:
    """Write rows `{"text": ..., "output": {...}}`, one a line, in UTF-8."""
    lines = (json.dumps(example.row(), ensure_ascii=False) + "\n" for example in examples)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def generator_command(generate: Generator[T], schema: Path, argv: Sequence[str] | None = None) -> None:
    """The command line of a generator: writes `train.jsonl`, `test.jsonl` and `schema.py` into a folder.

    No text stands in both files. The test rows depend on the seed and on `--test` alone, so that runs with more or
    fewer training rows are scored on the same texts.

    Args:
        generate: The generator.
        schema: The file with the schema, copied next to the rows.
        argv: The arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(description="Generate examples, reproducibly.")
    parser.add_argument("--train", type=int, default=200, help="training rows (default: %(default)s)")
    parser.add_argument("--test", type=int, default=60, help="test rows (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to, made if it is missing")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same rows (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.train < 1 or args.test < 1:
        parser.error(f"expected at least one row each, found --train {args.train} --test {args.test}")
    examples = generate(args.train + args.test, seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(args.out / "test.jsonl", examples[: args.test])
    write_jsonl(args.out / "train.jsonl", examples[args.test :])
    shutil.copyfile(schema, args.out / "schema.py")
    print(f"{args.train} training rows and {args.test} test rows in {args.out}")
