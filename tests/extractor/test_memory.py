"""Memory does not grow with the texts that go through an extractor: nothing keeps what customers wrote."""

from __future__ import annotations

import ctypes
import gc
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, Verbatim
from extractft.testing import scripted_extractor

MOST = 200
"""Bytes that a text may leave behind, on average."""
SETTLED, FURTHER = 1500, 3000


class MallInfo(ctypes.Structure):
    """What malloc says of itself."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


def in_use() -> int:
    """Bytes that the process has asked malloc for and not given back, those of Rust and C++ as well."""
    gc.collect()
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = MallInfo
    info = library.mallinfo2()
    return int(info.uordblks + info.hblkhd)


pytestmark = pytest.mark.skipif(
    not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")), reason="malloc does not tell here"
)


class Free(BaseModel):
    name: str


class Copied(BaseModel):
    name: Annotated[str, Verbatim()]


class Closed(BaseModel):
    kind: Literal["question", "order"]
    urgent: bool


def texts(first: int, count: int) -> Iterator[str]:
    """Texts that are all different, as are their words."""
    for number in range(first, first + count):
        rng = random.Random(number)
        words = ["".join(rng.choice("abcxyz龙琳") for _ in range(rng.randrange(2, 12))) for _ in range(6)]
        yield " ".join([f"n{number}", *words])


def assert_flat(ask: Callable[[Iterator[str]], Any], further: int = FURTHER, settled: int = SETTLED) -> None:
    for _ in ask(texts(0, settled)):
        pass
    before = in_use()
    for _ in ask(texts(settled, further)):
        pass
    grown = (in_use() - before) / further
    assert grown < MOST, f"{grown:.0f} bytes a text"


def scripted(schema: type[Any]) -> Extractor[Any]:
    extractor = scripted_extractor(schema, {})
    answer: Callable[[str], str] = lambda text: json.dumps({"name": text.split()[0]}, separators=(",", ":"))  # noqa: E731
    extractor._pipeline.engine._script = answer  # type: ignore[attr-defined]
    return extractor


@pytest.mark.parametrize(("schema", "further"), [(Free, FURTHER), (Copied, 1000)])
def test_records_of_distinct_texts_leave_nothing_behind(schema: type[Any], further: int) -> None:
    extractor = scripted(schema)
    assert_flat(extractor.extract_many, further)
    assert_flat(lambda given: (extractor.extract(text) for text in given), further=500, settled=200)


def test_explained_records_leave_nothing_behind() -> None:
    assert_flat(scripted(Free).inspect_many, further=2000)


def test_an_engine_keeps_nothing_of_distinct_texts(tiny_base: Path) -> None:
    generation = GenerationConfig(batch_size=16, max_new_tokens=16)
    extractor = Extractor.from_base(Closed, base_model=str(tiny_base), generation=generation)
    assert_flat(extractor.extract_many, further=600, settled=1100)
