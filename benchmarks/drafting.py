"""Passes that drafting saves, without a model: the engine's own drafter on rows whose gold records are the answers.

    python benchmarks/drafting.py snips_restaurant complaints
    python benchmarks/drafting.py snips_restaurant complaints --rehearsed 180
    python benchmarks/drafting.py snips_restaurant --rows 50 --rehearsed 180 --known schema
    python benchmarks/drafting.py snips_restaurant --rows 400 --misses

Rows are drafted one after the other, each pass ends at the first token that was not guessed, and every record is
learned from, as one caller's texts would be. For each stretch of rows: passes a record, drafted tokens that were right
and wrong, and all tokens in the passes. `--misses` says where in a record passes ended, and whether the token had been
thought of: *unknown*, or *doubted* (guessed, and not likely enough), or *cut* (there was no room for it).

`--known` says what of the rows beforehand is known: *all* that is kept today; *schema*, without anything that names a
word of a text or a byte of a value (what follows strings of the schema, rates, and what distances and shapes of words
are worth); *structure*, without the latter; *nothing*.

A tuned model errs, mostly towards what is usual, so that its answers are a little easier to guess than gold ones.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import AutoTokenizer

from extractft import PromptConfig, Schema
from extractft.decoding import Experience, GenerationRequest, GrammarCompiler, Rehearsal, accepts, clues
from extractft.decoding.chances import PLACES
from extractft.decoding.drafts import Guess
from extractft.modeling import resolve_base_model
from extractft.prompt import ChatRenderer, render_system_prompt
from lib.command_line import make_parser
from lib.paths import QWEN3_TOKENIZER
from lib.tasks import Rows, add_set_argument, load_task

STRETCHES = (12, 40, 50, 100, 200, 400, 800)
KNOWN = ("all", "schema", "structure", "nothing")


@dataclass(slots=True)
class Count:
    """Passes and tokens of some rows."""

    rows: int = 0
    passes: int = 0
    tokens: int = 0
    right: int = 0
    wrong: int = 0
    misses: Counter[tuple[str, str]] = field(default_factory=Counter)


class Simulation:
    """One drafter's memory, and the rows that it sees."""

    def __init__(self, tokenizer: Any, schema: Schema[Any], *, price: float | None) -> None:
        self.schema, self.price = schema, price
        self.chat = ChatRenderer(tokenizer, render_system_prompt(schema, PromptConfig()))
        self.end = self.chat.end_token_id
        size = max(len(tokenizer), self.end + 1)
        compiler = GrammarCompiler(tokenizer, vocab_size=size, end_token_id=self.end)
        self.grammar = compiler.compile(schema)
        self.rehearsal = Rehearsal(self.end)
        self.free: set[int] = set()

    def watch(self) -> None:
        """Take note of the places of clues that name no word of a text and no byte of a value."""
        anywhere, beginning, inside = clues._anywhere, clues._beginning, clues._inside
        strings = {string.encode() for string in self.schema.strings}

        def noted(found: list[int], *which: int) -> list[int]:
            self.free.update(found[index] % PLACES for index in which if found)
            return found

        def known(standing: Any) -> bool:
            return not standing.written or any(string.startswith(standing.written) for string in strings)

        clues._anywhere = lambda s, *others: noted(anywhere(s, *others), *((0,) if known(s) else ()))
        clues._beginning = lambda *all_: noted(beginning(*all_), 0, 1, 4)
        clues._inside = lambda *all_: noted(inside(*all_), 2, 4)

    def run(self, text: str, gold: Any, count: Count) -> bool:
        """Draft one row; false if the grammar refuses its gold record."""
        answer = self.chat.completion_ids(self.schema.canonical_json(self.schema.parse_value(gold)))
        if not accepts(self.grammar, answer):
            return False
        prompt = self.chat.prompt_ids(text)
        request = GenerationRequest(tuple(prompt), self.grammar, len(answer) + 64, tuple(self.chat.text_ids(text)))
        pending = len(prompt) - len(self.chat.prefix_ids)
        for seen in self.rehearsal.passes(request, answer, price=self.price):
            if seen.decided[-1] != self.end:
                node = seen.drafter._nodes[seen.path[-1] + 1 if seen.path else 0]
                count.misses[_place(node.standing), _reason(node.guesses, seen.decided[-1], full=seen.full)] += 1
            count.passes += 1
            count.tokens += pending + len(seen.draft)
            count.right += len(seen.path)
            count.wrong += len(seen.draft) - len(seen.path)
            pending = 1
        count.rows += 1
        return True

    def begin_anew(self, known: str) -> None:
        """Forget what would not be kept."""
        strings = {string.encode() for string in self.schema.strings}
        kept = self.rehearsal.experience(strings, self.grammar.spelling).to_bytes()
        experience = Experience.from_bytes(kept)
        assert experience is not None
        self.rehearsal = Rehearsal(self.end)
        tables = experience.tables
        if known == "nothing":
            return
        if known in ("structure", "schema"):
            starts = {key: entry for key, entry in tables.starts.items() if not key[1:]}
            free = self.free if known == "schema" else set()
            worths = {place: worth for place, worth in tables.worths.items() if place in free}
            tables = replace(tables, starts=starts, stops={}, worths=worths)
        self.rehearsal.memory.restore(tables)


def _place(standing: Any) -> str:
    if standing.part != "value" or not standing.quoted:
        return {"key": "key", "value": "value, not a string"}.get(standing.part, "behind a value")
    return "in a string" if standing.written else "beginning of a string"


def _reason(guesses: Sequence[Guess], token: int, *, full: bool) -> str:
    if all(guess.token_id != token for guess in guesses):
        return "unknown"
    return "cut" if full else "doubted"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    add_set_argument(parser, several=True)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--tokenizer", default="smollm2-135m", help="a base model's, or `qwen3`")
    parser.add_argument("--price", type=float, default=None, help="least chance that makes a guess worth a place")
    parser.add_argument("--rehearsed", type=int, default=0, help="rows beforehand, of which only what is kept is known")
    parser.add_argument("--known", choices=KNOWN, default="all", help="what of those is known")
    parser.add_argument("--misses", action="store_true", help="where passes ended, behind the first rows")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each stretch of rows of each set."""
    args = build_parser().parse_args(argv)
    path = QWEN3_TOKENIZER if args.tokenizer == "qwen3" else resolve_base_model(args.tokenizer).path
    tokenizer = AutoTokenizer.from_pretrained(path)
    print("| set | rows | passes | right | wrong | tokens |\n| --- | --- | --- | --- | --- | --- |")
    for name in args.sets:
        task = load_task(name, args.rehearsed + args.rows, 0, data=args.data)
        simulation = Simulation(tokenizer, Schema.of(task.schema, omit_defaults=True), price=args.price)
        if args.rehearsed:
            simulation.watch()
            for text, gold in task.train[: args.rehearsed]:
                simulation.run(text, gold, Count())
            simulation.begin_anew(args.known)
        later = report(simulation, task.name, task.train[args.rehearsed :])
        if args.misses:
            for (place, reason), number in later.misses.most_common():
                print(f"    {place}, {reason}: {number / later.rows:.2f} a record")


def report(simulation: Simulation, name: str, examples: Rows) -> Count:
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
