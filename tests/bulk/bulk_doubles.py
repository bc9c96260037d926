"""Doubles for bulk runs: an extractor that answers at once, rows, and the files that a run leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from extractft.completion import Completion
from extractft.confidence.token_confidence import Confidence
from extractft.errors import EmptyTextError, ExtractionError, InputTooLongError
from extractft.extractor.extraction import Extraction
from extractft.schema import Schema


class Person(BaseModel):
    """What the rows are about."""

    name: str
    age: int | None = None
    tags: list[str] = []


class InstantExtractor:
    """Answers at once: the words of a text are the name, its digits the age."""

    def __init__(self, schema: Any = Person) -> None:
        self.schema: Schema[Any] = Schema.of(schema)
        self.system_prompt = "instant"
        self.asked: list[str] = []
        self.broken: Exception | None = None

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Sequence[str] = ()
    ) -> Iterator[Any]:
        for text in texts:
            self.asked.append(text)
            if self.broken is not None:
                raise self.broken
            yield self._outcome(text, explain)

    def _outcome(self, text: str, explain: Sequence[str]) -> Extraction[Any] | ExtractionError:
        if not text.strip():
            return EmptyTextError("Expected a text, found nothing.", text=text)
        if "long" in text:
            return InputTooLongError("Expected a short text, found more.", text=text)
        digits = "".join(char for char in text if char.isdigit())
        record = {"name": text.split(" ")[0], "age": int(digits) if digits else None, "tags": text.split(" ")[1:]}
        output = self.schema.parse_value(record)
        sure = 1 / (1 + len(text))
        confidence = Confidence(sure, {"name": sure, "age": 0.123456789}) if "confidence" in explain else None
        return Extraction(output, text, "", Completion((), "stop"), confidence=confidence)


def output_of(folder: Path) -> dict[str, bytes]:
    """The content of all files of a finished run, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".extractft-lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def lines_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of a kind of file, over all shards."""
    parts = sorted((folder / kind).glob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


def run_in_fork(work: Callable[[], Any], *, kill_after: float | None = None) -> int:
    """Run `work` in a forked process and return its exit code, negative for the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if kill_after is not None:
                signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                signal.setitimer(signal.ITIMER_REAL, kill_after)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
