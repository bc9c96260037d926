"""Passes that drafting saves, without a model: the engine's own drafter on rows whose gold records are the answers.

    python benchmarks/drafting.py snips_restaurant complaints
    python benchmarks/drafting.py snips_restaurant --rows 400 --misses

Rows are drafted one after the other, each pass ends at the first token that was not guessed, and every record is
learned from, as one caller's texts would be. For each stretch of rows: passes a record, drafted tokens that were right
and wrong, and all tokens in the passes. `--misses` says where in a record passes ended, and whether the token had been
thought of: *unknown*, or *doubted* (guessed, and not likely enough), or *cut* (there was no room for it).

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
from extractft.completion import GenerationRequest
from extractft.constraints import GrammarCompiler, accepts
from extractft.constraints.token_masks import TokenMasks
from extractft.modeling import resolve_base_model
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.speculation.drafter import MAX_DRAFT, Draft, Drafter, Proposal, min_acceptance
from extractft.speculation.proposal_statistics import ProposalStatistics
from lib.command_line import make_parser
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
    """What one pass through a model that is never wrong would have come to.

    Attributes:
        drafter: Has not learned of it yet.
        draft: What was guessed.
        full: Whether there was no room for more.
        path: Indices of the guesses that were right.
        decided: The tokens that are known behind it and were not before.
    """

    drafter: Drafter
    draft: Draft
    full: bool
    path: list[int]
    decided: Sequence[int]


class Simulation:
    """One drafter's memory, and the rows that it sees."""

    def __init__(self, tokenizer: Any, schema: Schema[Any], *, threshold: float | None) -> None:
        self.schema, self.threshold = schema, threshold
        self.chat = ChatRenderer(tokenizer, render_system_prompt(schema, PromptConfig()))
        self.end = self.chat.end_token_id
        size = max(len(tokenizer), self.end + 1)
        compiler = GrammarCompiler(tokenizer, vocab_size=size, end_token_id=self.end)
        self.grammar = compiler.compile(schema)
        self.masks = TokenMasks(MAX_DRAFT + 1, 8 * self.grammar.mask_bytes)
        self.memory = ProposalStatistics()

    def run(self, text: str, gold: Any, count: Count) -> bool:
        """Draft one row; false if the grammar refuses its gold record."""
        answer = self.chat.completion_ids(self.schema.canonical_json(self.schema.parse_value(gold)))
        if not accepts(self.grammar, answer):
            return False
        prompt = self.chat.prompt_ids(text)
        request = GenerationRequest(tuple(prompt), self.grammar, len(answer) + 64, tuple(self.chat.text_ids(text)))
        pending = len(prompt) - len(self.chat.prefix_ids)
        answer = [token for token in answer if token != self.end]
        for seen in self._passes(request, answer):
            if seen.decided[-1] != self.end:
                node = seen.drafter._nodes[seen.path[-1] + 1 if seen.path else 0]
                count.misses[_place(node.cursor), _reason(node.proposals, seen.decided[-1], full=seen.full)] += 1
            count.passes += 1
            count.tokens += pending + len(seen.draft)
            count.right += len(seen.path)
            count.wrong += len(seen.draft) - len(seen.path)
            pending = 1
        count.rows += 1
        return True

    def _passes(self, request: GenerationRequest, answer: Sequence[int]) -> Iterator[Pass]:
        """The passes that a row takes; each is learned from when the next is asked for."""
        known, masks, matcher = [*answer, self.end], self.masks, request.grammar.matcher()
        drafter, done = Drafter(request, self.memory, self.end), 0
        threshold = min_acceptance(1) if self.threshold is None else self.threshold
        while done < len(answer):
            masks.fill(0, matcher)
            limit = min(MAX_DRAFT, request.max_new_tokens - done - 1)
            draft = drafter.draft(matcher, masks, 0, limit=limit, threshold=threshold)
            path = draft.path(_best(draft, known[done:]))
            decided = known[done : done + len(path) + 1]
            yield Pass(drafter, draft, len(draft) >= limit, path, decided)
            record = [token for token in decided if token != self.end]
            drafter.observe(record, path)
            for token in record:
                matcher.consume(token)
            done += len(record)
        drafter.learn(answer)


def _best(draft: Draft, known: Sequence[int]) -> list[int]:
    """What such a model would have chosen behind the record, and behind each guess as if all before it were right."""
    depths: list[int] = []
    for parent in draft.parents:
        depths.append(1 if parent < 0 else depths[parent] + 1)
    return [known[min(depth, len(known) - 1)] for depth in (0, *depths)]


def _place(cursor: Any) -> str:
    if cursor.part != "value" or not cursor.quoted:
        return {"key": "key", "value": "value, not a string"}.get(cursor.part, "behind a value")
    return "in a string" if cursor.written else "beginning of a string"


def _reason(guesses: Sequence[Proposal], token: int, *, full: bool) -> str:
    if all(guess.token_id != token for guess in guesses):
        return "unknown"
    return "cut" if full else "doubted"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    add_set_argument(parser, several=True)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--tokenizer", default="smollm2-135m", help="a base model's, or `qwen3`")
    parser.add_argument(
        "--threshold", type=float, default=None, help="least probability that makes a proposal worth a place"
    )
    parser.add_argument("--misses", action="store_true", help="where passes ended, behind the first rows")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each stretch of rows of each set."""
    args = build_parser().parse_args(argv)
    path = QWEN3_TOKENIZER if args.tokenizer == "qwen3" else resolve_base_model(args.tokenizer).path
    tokenizer = AutoTokenizer.from_pretrained(path)
    print("| set | rows | passes | right | wrong | tokens |\n| --- | --- | --- | --- | --- | --- |")
    for name in args.sets:
        task = load_task(name, args.rows, 0, data=args.data)
        simulation = Simulation(tokenizer, Schema.of(task.schema, omit_defaults=True), threshold=args.threshold)
        later = report(simulation, task.name, task.train)
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


if __name__ == "__main__":
    main()
