"""Check examples before compute is spent on them. Knows tokens and grammar only as functions that it is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from extractft.data.answer_leaks import answer_leak_findings
from extractft.data.check_report import CheckReport, Finding, Severity, Split
from extractft.data.example import Example
from extractft.data.example_loader import parse_examples
from extractft.data.field_statistics import collect_field_stats, field_findings, field_summaries
from extractft.data.held_out_split import text_key
from extractft.data.placeholder_words import placeholder_findings
from extractft.schema import Schema

__all__ = ["check_examples"]

T = TypeVar("T")

MIN_EXAMPLES = 20
SEVERITY_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


def check_examples(
    train: Sequence[Example[T]],
    schema: Schema[T],
    *,
    eval_examples: Sequence[Example[T]] = (),
    token_count: Callable[[Example[T]], int] | None = None,
    max_length: int | None = None,
    accepts: Callable[[str], bool] | None = None,
    overlong: Literal["error", "skip"] = "error",
    train_sources: Sequence[int] | None = None,
    eval_sources: Sequence[int] | None = None,
) -> CheckReport:
    """Look for examples that would spoil training or make its scores worthless; `Finding` lists the kinds.

    Args:
        train: Training examples; rows are counted from 1. Outputs may have any form that `load_examples` takes.
        schema: The schema of the outputs.
        eval_examples: Held-out examples.
        token_count: Length of an example in tokens, prompt and answer together.
        max_length: The most tokens a row may have; needs `token_count`.
        accepts: Returns True if the grammar accepts a canonical JSON text.
        overlong: `TrainingConfig.overlong`: rows that are too long stop the training, or are skipped.
        train_sources: Row that each training example is a piece of, if any are: pieces of one are no duplicates.
        eval_sources: The same for the held-out examples.

    Returns:
        The findings, errors first.

    Raises:
        DatasetError: An output does not fit the schema.
    """
    train, eval_examples = parse_examples(train, schema), parse_examples(eval_examples, schema)
    field_stats = collect_field_stats(train, schema)
    findings: list[Finding] = []
    splits: dict[Split, Sequence[Example[T]]] = {"train": train, "eval": eval_examples}
    for split, examples in splits.items():
        if accepts is not None:
            findings.extend(_refused(split, examples, schema, accepts))
        findings.extend(_too_long(split, examples, token_count, max_length, overlong))
        sources = train_sources if split == "train" else eval_sources
        findings.extend(_content_findings(split, examples, schema, sources))
    findings += [*_leaks(train, eval_examples), *field_findings(field_stats), *_too_few(train)]
    findings.sort(key=lambda finding: SEVERITY_ORDER[finding.severity])
    return CheckReport(tuple(findings), len(train), len(eval_examples), field_summaries(field_stats))


def _content_findings(
    split: Split, examples: Sequence[Example[T]], schema: Schema[T], sources: Sequence[int] | None
) -> Iterator[Finding]:
    """Findings in the texts and outputs of one split."""
    yield from _duplicates_and_conflicts(split, examples, schema, sources)
    yield from answer_leak_findings(split, examples, schema)
    yield from placeholder_findings(split, examples, schema)


def _too_few(train: Sequence[Example[T]]) -> Iterator[Finding]:
    if len(train) < MIN_EXAMPLES:
        message = f"{len(train)} training rows: a few hundred are usual, {MIN_EXAMPLES} the least worth trying"
        yield Finding("few_examples", "info", message)


def _refused(
    split: Split, examples: Sequence[Example[T]], schema: Schema[T], accepts: Callable[[str], bool]
) -> Iterator[Finding]:
    rows = [row for row, example in enumerate(examples, 1) if not accepts(schema.canonical_json(example.output))]
    if rows:
        message = "the grammar made from the schema refuses the output, so the model could never write it"
        yield Finding("refused", "error", message, tuple(rows), split=split)


def _too_long(
    split: Split,
    examples: Sequence[Example[T]],
    token_count: Callable[[Example[T]], int] | None,
    max_length: int | None,
    overlong: Literal["error", "skip"],
) -> Iterator[Finding]:
    """Rows that are too long, if there is a limit to hold them against."""
    if token_count is None or max_length is None:
        return
    lengths = {row: token_count(example) for row, example in enumerate(examples, 1)}
    rows = tuple(row for row, length in lengths.items() if length > max_length)
    if rows:
        fate = "left out" if overlong == "skip" else "raise max_length, shorten them, or skip them by config"
        message = f"more than max_length={max_length} tokens (the longest has {max(lengths.values())}): {fate}"
        yield Finding("too_long", "warning" if overlong == "skip" else "error", message, rows, split=split)


def _duplicates_and_conflicts(
    split: Split, examples: Sequence[Example[T]], schema: Schema[T], sources: Sequence[int] | None
) -> Iterator[Finding]:
    numbers = range(1, len(examples) + 1) if sources is None else sources
    firsts_of: dict[str, dict[int, int]] = {}  # by text, the first piece of each row that has it
    for row, (example, number) in enumerate(zip(examples, numbers, strict=True), 1):
        firsts_of.setdefault(text_key(example.text), {}).setdefault(number, row)
    groups = {text: list(firsts.values()) for text, firsts in firsts_of.items()}
    repeated: list[int] = []
    conflicting: list[int] = []
    for rows in groups.values():
        if len(rows) > 1:
            outputs = {row: schema.canonical_json(examples[row - 1].output) for row in rows}
            if len(set(outputs.values())) > 1:
                conflicting.extend(rows)
            firsts = {output: row for row, output in reversed(outputs.items())}
            repeated.extend(row for row, output in outputs.items() if firsts[output] != row)
    if repeated:
        message = "the text and the output of an earlier row again"
        yield Finding("duplicate", "warning", message, tuple(sorted(repeated)), split=split)
    if conflicting:
        message = "the same text with different outputs: the model can follow only one (equal texts side by side)"
        yield Finding("conflict", "warning", message, tuple(conflicting), split=split)


def _leaks(train: Sequence[Example[T]], held_out: Sequence[Example[T]]) -> Iterator[Finding]:
    known = {text_key(example.text) for example in train}
    known_letters = {_letters_and_digits(key) for key in known}
    keys = {row: text_key(example.text) for row, example in enumerate(held_out, 1)}
    leaks = tuple(row for row, key in keys.items() if key in known)
    near = tuple(
        row
        for row, key in keys.items()
        if key not in known and _letters_and_digits(key) and _letters_and_digits(key) in known_letters
    )
    if leaks:
        message = "the text is also a training row: scores on it say nothing"
        yield Finding("leak", "warning", message, leaks, split="eval")
    if near:
        message = "but for punctuation and blanks, the text is also a training row"
        yield Finding("near_leak", "info", message, near, split="eval")


def _letters_and_digits(key: str) -> str:
    return "".join(char for char in key if char.isalnum())
