"""What drafts know before the first record: learned from training rows, kept with the extractor.

Knows the runner and rows; knows no model and no training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from extractft.artifact import DRAFTS_FILE, load_drafts
from extractft.data import Example
from extractft.decoding import Experience, Rehearsal, TransformersEngine
from extractft.errors import ArtifactError, ExtractionError
from extractft.extractor.runner import Runner

__all__ = ["recall", "rehearse"]

T = TypeVar("T")
MOST_ROWS = 400
"""Rows that drafts learn from, evenly chosen: 5 to 20 milliseconds each, and later ones teach little more."""


def rehearse(runner: Runner[T], examples: Sequence[Example[T]]) -> bytes:
    """Let the engine's drafts know what can be kept of training rows; returns it.

    Rows that cannot be asked for teach nothing.
    """
    rehearsal = Rehearsal(runner.chat.end_token_id)
    for example in examples[:: max(1, -(-len(examples) // MOST_ROWS))]:
        try:
            request = runner.request(example.text)
        except ExtractionError:
            continue
        rehearsal.learn(request, runner.chat.completion_ids(runner.schema.canonical_json(example.output)))
    strings = {string.encode() for string in runner.schema.strings}
    experience = rehearsal.experience(strings, runner.grammar.spelling)
    if isinstance(runner.engine, TransformersEngine):
        runner.engine.remember(experience)
    return experience.to_bytes()


def recall(runner: Runner[T], path: Path) -> bytes | None:
    """Let the engine's drafts know what was kept with a saved extractor; returns it, or `None` if it is of no use.

    Raises:
        ArtifactError: The file is damaged.
    """
    content = load_drafts(path)
    if content is None:
        return None
    try:
        experience = Experience.from_bytes(content)
        if experience is None:
            return None
        if isinstance(runner.engine, TransformersEngine):
            runner.engine.remember(experience)
    except ValueError as error:
        raise ArtifactError(f"Expected a readable {DRAFTS_FILE} in {path}, found: {error}.").hint(
            "Copy the extractor again, or delete the file: without it only the first records take longer."
        ) from error
    return content
