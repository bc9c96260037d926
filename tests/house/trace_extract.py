"""The files of the package that one `extract` enters, in the order of their first function.

`python tests/house/trace_extract.py` prints them, and those that `inspect` enters beyond them. The model is a tiny one
with random weights; grammar, drafts and engine are the real ones. A file counts once a function of it runs, those of
dataclasses included, so imports do not count.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

import extractft
from extractft.testing import byte_tokenizer, tiny_model

PACKAGE = Path(extractft.__file__).resolve().parent
WARM_UP = ("Lin Long, l@x.com, 2020-01-02: three bins at 3.5 are full.", "Ma Yun: the lift stood still on 2021-01-02.")
TEXT = "Wu Qi, w@z.com: no light in the yard since 2022-01-02, a lamp is 2.5."


class TracedItem(BaseModel):
    """A part of a record."""

    name: str = Field(max_length=8)
    price: float | None = None


class TracedRecord(BaseModel):
    """A record with a field of most kinds, verbatim ones among them."""

    name: Annotated[str | None, extractft.Verbatim()] = None
    email: Annotated[str, extractft.Verbatim()]
    kind: Literal["rubbish", "light"]
    day: date | None = None
    items: list[TracedItem] = Field(default=[], max_length=2)


def entered(work: Callable[[], Any], package: Path = PACKAGE) -> list[str]:
    """Run `work` and list the files whose functions it entered, in this thread and in new ones."""
    names: dict[str, None] = {}

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_name != "<module>":
            names.setdefault(str(frame.f_globals.get("__file__")))

    before = sys.gettrace()
    threading.settrace(note)
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
        threading.settrace(before)  # type: ignore[arg-type]
    inside = [Path(name) for name in names if name.startswith(f"{package}/")]
    return [path.relative_to(package).as_posix() for path in inside]


def trace_extract(base_model: Path) -> dict[str, list[str]]:
    """List the files that the first `extract` enters, one after a warm-up, and `inspect` after a warm-up."""
    extractor = extractft.Extractor.from_base(TracedRecord, base_model=base_model, device="cpu")
    files = {"first": entered(lambda: extractor.extract(WARM_UP[0]))}
    for text in WARM_UP[1:]:
        extractor.inspect(text)
    files["extract"] = entered(lambda: extractor.extract(TEXT))
    files["inspect"] = entered(lambda: extractor.inspect(TEXT))
    return files


def _main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        tiny_model().save_pretrained(directory)
        byte_tokenizer().save_pretrained(directory)
        files = trace_extract(Path(directory))
    warm = files["extract"]
    print(*warm, f"{len(warm)} files on the way of one extract", "", sep="\n")
    for name in ("first", "inspect"):
        further = [file for file in files[name] if file not in warm]
        print(*further, f"{len(files[name])} files on the way of {name}, these among them", "", sep="\n")


if __name__ == "__main__":
    _main()
