"""Passes of each proposer, without a model: gold records are the answers, as of a model that is never wrong.

    python benchmarks/drafting.py passes snips_restaurant complaints
    python benchmarks/drafting.py passes snips_restaurant --proposers learned --rows 400 --misses

Rows are drafted one after the other, each pass ends at the first token that was not guessed, and every record is
learned from, as one caller's texts would be. For each proposer and each stretch of rows: passes a record, drafted
tokens that were right and wrong, and all tokens in the passes. `--misses` says where in a record passes ended, and
whether the token had been thought of: *unknown*, or *doubted* (guessed, and not likely enough), or *cut* (there was no
room for it).

A tuned model errs, mostly towards what is usual, so that its answers are a little easier to guess than gold ones.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import AutoTokenizer

from extractft import PromptConfig, Schema
from extractft.completion import Choices, GenerationRequest, Proposal, RecordProposer
from extractft.constraints import GrammarCompiler, TokenMasks, accepts
from extractft.modeling import resolve_base_model
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.speculation import MAX_DRAFT, PROPOSERS, Draft, Drafter, Proposer, make_proposer, min_acceptance
from extractft.speculation.json_cursor import INITIAL
from lib.paths import QWEN3_TOKENIZER
from lib.tasks import DataSplit, add_set_argument, load_task

STRETCHES = (12, 40, 50, 100, 200, 400, 800)


@dataclass(slots=True)
class Count:
    """Passes and tokens of some rows."""

    rows: int = 0
    passes: int = 0
    tokens: int = 0
    right: int = 0
    wrong: int = 0
    misses: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass through a model that is never wrong.

    Attributes:
        record: The tokens known before it.
        draft: The guesses.
        full: True if there was no room for more.
        path: Indices of the guesses that were right.
        decided: The tokens that are known behind it and were not before.
    """

    record: tuple[int, ...]
    draft: Draft
    full: bool
    path: list[int]
    decided: Sequence[int]


class RecordingProposer:
    """A proposer whose guesses for the present record are kept, by the tokens before them."""

    def __init__(self, proposer: Proposer) -> None:
        self.proposer = proposer
        self.guesses: dict[tuple[int, ...], list[int]] = {}

    def start(self, request: GenerationRequest) -> RecordProposer:
        """Begin a record."""
        self.guesses = {}
        return _Recording(self, self.proposer.start(request))


class _Recording:
    def __init__(self, owner: RecordingProposer, proposals: RecordProposer) -> None:
        self._owner, self._proposals = owner, proposals
        self.observe, self.finish = proposals.observe, proposals.finish

    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        proposals = list(self._proposals.propose(record, choices))
        self._owner.guesses[record] = [proposal.token_id for proposal in proposals]
        return proposals


class Simulation:
    """One proposer, and the rows that it sees."""

    def __init__(
        self, tokenizer: Any, schema: Schema[Any], proposer: Proposer, *, threshold: float | None = None
    ) -> None:
        self.schema, self.proposer = schema, RecordingProposer(proposer)
        self.threshold = min_acceptance(1) if threshold is None else threshold
        self.chat = ChatRenderer(tokenizer, render_system_prompt(schema, PromptConfig()))
        self.end = self.chat.end_token_id
        size = max(len(tokenizer), self.end + 1)
        compiler = GrammarCompiler(tokenizer, vocab_size=size, end_token_id=self.end)
        self.grammar = compiler.compile(schema)
        self.masks = TokenMasks(MAX_DRAFT + 1, 8 * self.grammar.mask_bytes)

    def run(self, text: str, gold: Any, count: Count) -> bool:
        """Draft one row; false if the grammar refuses its gold record."""
        answer = self.chat.completion_ids(self.schema.canonical_json(self.schema.parse_value(gold)))
        if not accepts(self.grammar, answer):
            return False
        prompt = self.chat.prompt_ids(text)
        request = GenerationRequest(tuple(prompt), self.grammar, len(answer) + 64, tuple(self.chat.text_ids(text)))
        pending = len(prompt) - len(self.chat.prefix_ids)
        for seen in self._passes(request, [token for token in answer if token != self.end]):
            if seen.decided[-1] != self.end:
                count.misses[self._miss(seen)] += 1
            count.passes += 1
            count.tokens += pending + len(seen.draft)
            count.right += len(seen.path)
            count.wrong += len(seen.draft) - len(seen.path)
            pending = 1
        count.rows += 1
        return True

    def _passes(self, request: GenerationRequest, answer: Sequence[int]) -> Iterator[Pass]:
        """The passes that a row takes; each is learned from when the next is asked for."""
        known, matcher = [*answer, self.end], request.grammar.matcher()
        drafter, done = Drafter(request, self.proposer, self.end), 0
        while done < len(answer):
            self.masks.fill(0, matcher)
            limit = min(MAX_DRAFT, request.max_new_tokens - done - 1)
            draft = drafter.draft(matcher, self.masks, 0, limit=limit, threshold=self.threshold)
            path = draft.accepted(_decisions(draft, known[done:]))
            decided = known[done : done + len(path) + 1]
            yield Pass(tuple(answer[:done]), draft, len(draft) >= limit, path, decided)
            record = [token for token in decided if token != self.end]
            drafter.observe(record)
            for token in record:
                matcher.consume(token)
            done += len(record)
        drafter.finish()

    def _miss(self, seen: Pass) -> tuple[str, str]:
        """The place in the record at which a pass ended, and the reason."""
        record, token = (*seen.record, *seen.decided[:-1]), seen.decided[-1]
        cursor = INITIAL
        for token_id in record:
            cursor = cursor.advance(self.grammar.spelling(token_id))
        if cursor.part != "value" or not cursor.quoted:
            place = {"key": "key", "value": "value, not a string"}.get(cursor.part, "behind a value")
        else:
            place = "in a string" if cursor.written else "beginning of a string"
        if token not in self.proposer.guesses.get(record, []):
            return place, "unknown"
        return place, "cut" if seen.full else "doubted"


def _decisions(draft: Draft, known: Sequence[int]) -> list[int]:
    """The choice of such a model behind the record, and behind each guess as if all before it were right."""
    depths: list[int] = []
    for parent in draft.parents:
        depths.append(1 if parent < 0 else depths[parent] + 1)
    return [known[min(depth, len(known) - 1)] for depth in (0, *depths)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sets and the proposers."""
    add_set_argument(parser, several=True)
    add_proposers_argument(parser)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--tokenizer", default="smollm2-135m", help="a base model's, or `qwen3`")
    parser.add_argument(
        "--threshold", type=float, default=None, help="least probability that makes a proposal worth a place"
    )
    parser.add_argument("--misses", action="store_true", help="where passes ended, behind the first rows")


def add_proposers_argument(parser: argparse.ArgumentParser) -> None:
    """Add the proposers that are compared."""
    parser.add_argument("--proposers", nargs="+", choices=list(PROPOSERS), default=list(PROPOSERS), metavar="NAME")


def run(args: argparse.Namespace) -> None:
    """Print a line for each stretch of rows of each proposer on each set."""
    path = QWEN3_TOKENIZER if args.tokenizer == "qwen3" else resolve_base_model(args.tokenizer).path
    tokenizer = AutoTokenizer.from_pretrained(path)
    print("| set | proposer | rows | passes | right | wrong | tokens |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.sets:
        task = load_task(name, args.rows, 0, data=args.data)
        schema = Schema.of(task.schema, omit_defaults=True)
        for proposer in args.proposers:
            simulation = Simulation(tokenizer, schema, make_proposer(proposer), threshold=args.threshold)
            later = report(simulation, f"{task.name} | {proposer}", task.train)
            if args.misses:
                for (place, reason), number in later.misses.most_common():
                    print(f"    {place}, {reason}: {number / later.rows:.2f} a record")


def report(simulation: Simulation, name: str, examples: DataSplit) -> Count:
    """Print the stretches of rows; returns the misses behind the first one."""
    later, first = Count(), 0
    ends = [stretch for stretch in STRETCHES if stretch <= len(examples)] or [len(examples)]
    for end in ends:
        count = Count()
        for text, gold in examples[first:end]:
            simulation.run(text, gold, count)
        if not count.rows:
            raise SystemExit(f"{name}: the grammar refuses the gold records of rows {first + 1} to {end}")
        numbers = (count.passes, count.right, count.wrong, count.tokens)
        shown = " | ".join(f"{number / count.rows:.1f}" for number in numbers)
        print(f"| {name} | {first + 1} to {end} | {shown} |", flush=True)
        if first:
            later.misses += count.misses
            later.rows += count.rows
        first = end
    return later
