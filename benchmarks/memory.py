"""Memory over a long stream of texts with bad ones among them: is it bounded, and does only the bad text fail?

    python benchmarks/memory.py snips_restaurant --extractor DIR
    python benchmarks/memory.py --tiny                  # a random model of a few thousand weights: the machinery alone

10,000 texts go through `extract_many`: pieces of the set's texts, no two alike, and among them long ones, ones beyond
the window, empty ones, ones of control tokens only, and ones with lone surrogates. A tenth are texts whose record is
known from before, extracted alone: where they come out in another order, or spoiled by a neighbour, it shows.

Every 1,000 texts the peak of resident memory since the last line is printed (Linux). The verdict is `held` if

- no peak is above the bound, which is fixed before the first text: what the process has after loading and a first
  record, the memory of the engine's slots and of a layer more, the tensors of its widest pass, 256 MiB for the routines
  that oneDNN makes for each shape of a product if weights are prepacked (some five hundred, of up to 0.6 MB each), and
  256 MiB for all else;
- the peaks do not grow: none of the second half is 5 %, and 64 MiB, above the highest of the first half;
- each text that is empty, beyond the window or with a surrogate gave its own error, and no other text gave one that is
  not about its own record;
- errors carry the text that they are about, and known texts gave their known records.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field

from extractft import Extractor, GenerationConfig
from extractft.errors import (
    EmptyTextError,
    ExtractionError,
    InputTooLongError,
    OutputInvalidError,
    OutputTruncatedError,
)
from extractft.inference.scheduler import _DRAFTED_TOKENS
from extractft.speculation import MAX_DRAFT
from extractft.testing import byte_tokenizer, tiny_model
from lib.command_line import add_threads_argument, make_parser
from lib.process_memory import reset_peak, resident_memory
from lib.results import write_json
from lib.tasks import HELP, TEST, TRAIN, add_data_argument, load_task

SHARES = {"plain": 68, "known": 10, "long": 8, "huge": 4, "empty": 4, "controls": 4, "surrogate": 2}
"""Texts of each kind in a hundred."""
EXPECTED: dict[str, type[ExtractionError]] = {
    "huge": InputTooLongError,
    "empty": EmptyTextError,
    "surrogate": ExtractionError,
}
OWN = (OutputTruncatedError, OutputInvalidError)
"""Errors that are about the record that was written."""
CONTROLS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")
KNOWN = 20
MIB = 1 << 20
REST, SLACK, GROWTH = 256 * MIB, 64 * MIB, 0.05
ROUTINES = 256 * MIB


class Note(BaseModel):
    """The record of the tiny model; a random one would fill longer records to the end of their budget."""

    kind: Literal["question", "order", "complaint", "thanks"]
    code: Annotated[str, Field(max_length=6)]
    urgent: bool


def build_tiny() -> Extractor[Any]:
    """A random model behind the tokenizer with one token a byte."""
    with tempfile.TemporaryDirectory() as directory:
        tiny_model(num_hidden_layers=2).save_pretrained(directory)
        byte_tokenizer().save_pretrained(directory)
        return Extractor.from_base(Note, base_model=directory, generation=GenerationConfig(max_new_tokens=96))


class Texts:
    """The stream; its texts depend on their number alone."""

    def __init__(self, pool: Sequence[str], count: int, *, longest: int, huge: int) -> None:
        self.known = [text for text in dict.fromkeys(pool) if len(text) >= 8][:KNOWN]
        self.waiting: deque[tuple[str, str]] = deque()
        self.ahead = 0
        self.count = count
        self._pool, self._longest, self._huge = pool, longest, huge

    def __iter__(self) -> Iterator[str]:
        for number in range(self.count):
            kind, text = self._make(number)
            self.waiting.append((kind, text))
            self.ahead = max(self.ahead, len(self.waiting))
            yield text

    def _make(self, number: int) -> tuple[str, str]:
        rng = random.Random(number)
        (kind,) = rng.choices(list(SHARES), weights=list(SHARES.values()))
        base = rng.choice(self._pool)
        match kind:
            case "plain":
                start = rng.randrange(1 + len(base) // 2)
                return kind, f"{base[start : start + rng.randrange(1, 1 + len(base))]} {number}"
            case "known":
                return kind, rng.choice(self.known)
            case "long" | "huge":
                low, high = (self._longest // 4, self._longest) if kind == "long" else (self._huge, 4 * self._huge)
                return kind, self._repeated(rng, rng.randrange(low, high))
            case "empty":
                return kind, rng.choice(["", " ", "\n\n"])
            case "controls":
                return kind, "".join(rng.choices(CONTROLS, k=rng.randrange(1, 40)))
        place = rng.randrange(1 + len(base))
        return kind, base[:place] + rng.choice("\ud800\udfff") + base[place:]

    def _repeated(self, rng: random.Random, length: int) -> str:
        parts, total = [], 0
        while total < length:
            parts.append(rng.choice(self._pool))
            total += len(parts[-1]) + 1
        return " ".join(parts)[:length]


@dataclass(slots=True)
class Findings:
    """Outcomes of the stream.

    Attributes:
        outcomes: Counts of what each kind of text gave.
        wrong: Counts of what should not have happened.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def check(self, kind: str, text: str, outcome: Any, known: dict[str, Any]) -> None:
        failed = isinstance(outcome, ExtractionError)
        self.outcomes[f"{kind}: {type(outcome).__name__ if failed else 'record'}"] += 1
        if kind in EXPECTED:
            self.wrong["a bad text did not give its error"] += type(outcome) is not EXPECTED[kind]
        elif failed:
            self.wrong["a good text gave an error of another kind"] += not isinstance(outcome, OWN)
        if failed:
            self.wrong["an error was about another text"] += outcome.text != text
        if kind == "known":
            self.wrong["a known text gave another record"] += comparable(outcome) != known[text]

    @property
    def errors(self) -> int:
        """Number of texts that gave an error."""
        return sum(count for name, count in self.outcomes.items() if not name.endswith(": record"))


def comparable(outcome: Any) -> Any:
    return type(outcome).__name__ if isinstance(outcome, ExtractionError) else outcome


def memory_bound(extractor: Extractor[Any], rows: int) -> int:
    """The bound of resident memory, counted from what is resident now, in bytes."""
    model, batch = extractor._own_base().model, extractor._pipeline.engine._scheduler  # type: ignore[attr-defined]
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = next(model.parameters()).element_size()
    token = 2 * config.num_hidden_layers * config.num_key_value_heads * size * width
    slots = (
        (batch._max_tokens + 64 * rows) * token * (1 + 2 / config.num_hidden_layers)
    )  # a layer at a time is there twice
    logits = (rows + min(rows * MAX_DRAFT, _DRAFTED_TOKENS)) * batch._vocab_size * 4 * 4
    scores = 512 * config.num_attention_heads * min(batch._max_tokens, extractor._pipeline.max_window) * 4 * 3
    routines = ROUTINES if extractor._pipeline.engine._prepacked.worthwhile() else 0  # type: ignore[attr-defined]
    return int(resident_memory("VmRSS") + slots + logits + scores + routines + REST)


def held(extractor: Extractor[Any]) -> dict[str, int]:
    """Sizes of what the engine keeps from text to text."""
    batch = extractor._pipeline.engine._scheduler  # type: ignore[attr-defined]
    prefix, masks = batch.model._prefix, batch._masks
    learned = getattr(batch._proposer, "statistics", None)
    return {
        "rows": len(batch),
        "slot_bytes": batch.model.cache.nbytes,
        "prefix_bytes": 0 if prefix is None else prefix.nbytes,
        "mask_bytes": 0 if masks is None else len(masks.masks.memory),
        "draft_entries": 0 if learned is None else learned.num_entries,
    }


def run(extractor: Extractor[Any], texts: Texts, *, rows: int, every: int) -> dict[str, Any]:
    """All texts through `extract_many`, a line for every so many."""
    known = {text: comparable(next(extractor.extract_many([text]))) for text in texts.known}
    gc.collect()
    bound, findings, peaks = memory_bound(extractor, rows), Findings(), []
    distinct = len({repr(record) for record in known.values()})
    print(f"bound {bound / MIB:.0f} MiB, now {resident_memory('VmRSS') / MIB:.0f} MiB; {held(extractor)}")
    print(f"{len(known)} known texts with {distinct} different records", flush=True)
    reset_peak()
    started, cpu = time.perf_counter(), time.process_time()
    for done, outcome in enumerate(extractor.extract_many(texts, batch_size=rows), start=1):
        findings.check(*texts.waiting.popleft(), outcome, known)
        if done % every == 0:
            peaks.append(resident_memory("VmHWM"))
            reset_peak()
            print(
                f"{done:6d} texts, peak {peaks[-1] / MIB:.0f} MiB, now {resident_memory('VmRSS') / MIB:.0f} MiB, "
                f"{findings.errors} errors, {time.process_time() - cpu:.0f} s of processor",
                flush=True,
            )
    peaks.append(resident_memory("VmHWM"))
    seconds = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    return verdict(bound, peaks, findings, texts) | seconds | {"held": held(extractor)}


def verdict(bound: int, peaks: Sequence[int], findings: Findings, texts: Texts) -> dict[str, Any]:
    """The findings, and `held` if all is as it should be."""
    half = max(1, len(peaks) // 2)
    growth = max(peaks[half:], default=0) - max(peaks[:half])
    wrong = {name: count for name, count in findings.wrong.items() if count}
    if missing := texts.count - findings.outcomes.total():
        wrong["texts without an outcome"] = missing
    if max(peaks) > bound:
        wrong["peaks above the bound"] = sum(peak > bound for peak in peaks)
    if growth > max(GROWTH * max(peaks[:half]), SLACK):
        wrong["MiB that the second half is above the first"] = growth // MIB
    return {
        "verdict": "broken" if wrong else "held",
        "wrong": wrong,
        "bound": bound,
        "peaks": list(peaks),
        "growth": growth,
        "outcomes": dict(sorted(findings.outcomes.items())),
        "most_texts_ahead": texts.ahead,
    }


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("set", metavar="SET", nargs="?", default="complaints", help="whose texts to cut up: " + HELP)
    add_data_argument(parser)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--extractor", help="directory that save_pretrained wrote")
    model.add_argument("--tiny", action="store_true", help="a tiny random model")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=1000, help="texts between two lines")
    parser.add_argument("--longest", type=int, default=None, help="characters of the longest text that fits")
    parser.add_argument("--huge", type=int, default=100_000, help="characters of the shortest that does not")
    parser.add_argument("--batch-size", type=int, default=16)
    add_threads_argument(parser)
    parser.add_argument("--output", type=Path, default=None, help="write what was found there as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Send the stream through; the exit status is 1 if the verdict is not `held`."""
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    pool = [text for text, _ in load_task(args.set, TRAIN, TEST, data=args.data).test]
    extractor = build_tiny() if args.tiny else Extractor.from_pretrained(args.extractor)
    texts = Texts(pool, args.texts, longest=args.longest or (700 if args.tiny else 2000), huge=args.huge)
    result = run(extractor, texts, rows=args.batch_size, every=args.every)
    print("\n".join(f"{name:40} {value}" for name, value in result["outcomes"].items()))
    print({name: result[name] for name in ("held", "most_texts_ahead", "seconds", "cpu_seconds")})
    print(f"{result['verdict']}: {result['wrong'] or 'bounded, in order, each error its own'}")
    write_json(args.output, result)
    raise SystemExit(result["verdict"] != "held")


if __name__ == "__main__":
    main()
