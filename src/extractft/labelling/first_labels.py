"""First labels of texts: a bulk run with a teacher, and the two files that come of it. Knows files; knows no server.

Rows that the teacher agrees with itself about are ready to train on; all others are for a person to look over. The run
goes on where it was stopped, and both files are written when it is through, all of them or none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from extractft.bulk import RunSummary
from extractft.bulk import run as run_bulk
from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_files import InputFiles
from extractft.bulk.input_row import InputRow
from extractft.bulk.run_folder import FAILED, REVIEW, SHARDS
from extractft.bulk.run_progress import ProgressListener
from extractft.storage import published_file
from extractft.text import is_blank

__all__ = ["LabelledFiles", "label_texts", "run_directory"]

SHARD_ROWS = 50
"""Rows that a kill may cost: teachers are slow."""


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """Files of first labels.

    Attributes:
        rows: Number of rows that are ready.
        review: Number of records for a person.
        failed: Number of rows without a record, which are among those for a person too.
        summary: The run's own counts.
    """

    rows: int
    review: int
    failed: int
    summary: RunSummary


def run_directory(output: str | Path) -> Path:
    """The directory of the run behind a file of labels."""
    path = Path(output)
    return path.with_name(f"{path.name}.run")


def label_texts(
    teacher: Any,
    inputs: Any,
    output: str | Path,
    review: str | Path,
    *,
    min_agreement: float = 1.0,
    progress: ProgressListener | None = None,
    force: bool = False,
    retry_failed: bool = False,
    **settings: Any,
) -> LabelledFiles:
    """Label every text of files.

    Args:
        teacher: A `Teacher`, or an extractor.
        inputs: Files, folders and patterns.
        output: JSONL for the rows that are ready: `id`, `text`, `output`, `confidence`.
        review: JSONL for all others, in the form of a bulk run's; a row that failed has `error` and `message` too.
            Rows without a text are in neither file; `failed/` of the run has them.
        min_agreement: Records of which the teacher is less sure are for a person.
        progress: Told after each row.
        force: Begin anew.
        retry_failed: Ask once more for rows that failed.
        **settings: Settings of `BulkConfig`.

    Raises:
        BulkRunError: The directory of the run holds another one, with other texts, another teacher or other settings.
        EngineError: The server is gone; what is done is kept.
    """
    settings = {"shard_rows": SHARD_ROWS, **settings}
    settings |= {"format": "jsonl", "explain": ("confidence",), "min_confidence": min_agreement}
    folder = run_directory(output)
    summary = run_bulk(teacher, inputs, folder, progress=progress, force=force, retry_failed=retry_failed, **settings)
    files = InputFiles.find(inputs, BulkConfig.checked(**settings))
    counts = {SHARDS: 0, REVIEW: 0, FAILED: 0}
    with ExitStack() as stack:
        ready = stack.enter_context(published_file(Path(output)))
        doubtful = stack.enter_context(published_file(Path(review)))
        for kind, line in _merged(files.rows(), folder):
            counts[kind] += 1
            if line["text"] is None or is_blank(line["text"]):
                continue  # nothing that a person could look over
            _write(ready if kind == SHARDS else doubtful, line)
    return LabelledFiles(counts[SHARDS], counts[REVIEW], counts[FAILED], summary)


def _merged(rows: Iterator[InputRow], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a run with their texts, in the order of the input."""
    lines = {kind: _lines(folder / kind) for kind in (SHARDS, REVIEW, FAILED)}
    heads = {kind: next(found, None) for kind, found in lines.items()}
    for row in rows:
        for kind, head in heads.items():
            if head is not None and head["id"] == row.id:
                heads[kind] = next(lines[kind], None)
                failed = {"output": None} if kind == FAILED else {}
                yield kind, {"id": row.id, "text": row.text, **failed, **head}
                break


def _lines(directory: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(directory.glob("part-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _write(file: IO[bytes], line: dict[str, Any]) -> None:
    try:
        content = json.dumps(line, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can hold
        content = json.dumps(line).encode("ascii")
    file.write(content + b"\n")
