"""Records of servers against those of the engine here: tokens, log-probabilities, confidences.

All test rows are decoded by the engine here in float32, and then by each server on the same weights. Shown are records
and tokens that are equal, the widest gaps of constrained log-probabilities and of confidences on equal records, and for
each other record how near the engine here was to the server's token. For llama.cpp, which reports the most probable
tokens alone, steps count as seen whole if at most 0.1 % of the allowed probability may be missing.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from extractft.completion import Completion, capabilities_of
from extractft.confidence.token_confidence import raw_confidence
from lib.results import write_json
from lib.server_bench import ServerBench, add_server_arguments

SEEN = 1e-3
"""Share of the allowed probability that may be missing from a step that counts as seen whole."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_server_arguments(parser, limit=200)
    parser.add_argument("--slots", type=int, default=8, help="requests side by side (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Decode on both sides, compare, print and keep."""
    bench = ServerBench.of(args)
    ours = list(bench.engine.generate(bench.requests))
    print(f"{args.set}: {len(ours)} texts decoded here", flush=True)
    result: dict[str, Any] = bench.about() | {"servers": {}}
    for kind in args.servers:
        with bench.server(kind, args.slots) as engine:
            theirs = list(engine.generate(bench.requests))
            compared = Comparison(bench)
            for one, other in zip(ours, theirs, strict=True):
                compared.add(one, other)
            about = capabilities_of(engine)
        result["servers"][kind] = compared.summary() | {"version": about.version, "logprobs": about.logprobs}
        print(kind, *(f"  {name}: {value}" for name, value in compared.summary().items()), sep="\n", flush=True)
    write_json(args.results / f"servers-equality-{args.name or result['set']}.json", result)


@dataclass(slots=True)
class Comparison:
    """Counts and widest gaps over pairs of completions."""

    bench: ServerBench
    count: int = 0
    same_record: int = 0
    same_tokens: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    seen: int = 0
    gap: float = 0.0
    gap_seen: float = 0.0
    confidence: list[float] = field(default_factory=list)
    confidence_seen: list[float] = field(default_factory=list)
    near: list[float] = field(default_factory=list)

    def add(self, ours: Completion, theirs: Completion) -> None:
        """Compare a pair."""
        self.count += 1
        if theirs.finish_reason == "error" or ours.finish_reason == "error":
            self.errors[(theirs.error or ours.error or "")[:100]] += 1
            return
        if "stop" not in (ours.finish_reason, theirs.finish_reason):
            self.same_record += 1  # neither came to an end within the budget
            self.same_tokens += 1
            return
        if ours.token_ids == theirs.token_ids:
            self.same_tokens += 1
            self._probabilities(ours, theirs)
        else:
            self.near.append(_nearness(ours, theirs))
        if self.bench.spelled(ours.token_ids) == self.bench.spelled(theirs.token_ids):
            self.same_record += 1
        else:
            self._differing_fields(ours, theirs)

    def _probabilities(self, ours: Completion, theirs: Completion) -> None:
        whole = True
        for one, other in zip(ours.steps, theirs.steps, strict=True):
            if one.forced:
                continue
            gap = abs(one.constrained_logprob - other.constrained_logprob)
            self.steps += 1
            self.gap = max(self.gap, gap)
            if other.unseen <= SEEN:
                self.seen += 1
                self.gap_seen = max(self.gap_seen, gap)
            else:
                whole = False
        schema, spelling = self.bench.extractor.schema, self.bench.extractor._pipeline.grammar.spelling
        here, there = (raw_confidence(schema, completion, spelling) for completion in (ours, theirs))
        gaps = [abs(here.record - there.record), *(abs(p - there.fields[path]) for path, p in here.fields.items())]
        self.confidence.append(max(gaps))
        if whole:
            self.confidence_seen.append(max(gaps))

    def _differing_fields(self, ours: Completion, theirs: Completion) -> None:
        values = []
        for completion in (ours, theirs):
            try:
                value = self.bench.extractor.schema.parse(self.bench.spelled(completion.token_ids))
                values.append(self.bench.extractor.schema.full_value(value))
            except ValueError:
                self.fields["(no record)"] += 1
                return
        self.fields.update(key for key in values[0] if values[0][key] != values[1].get(key))

    def summary(self) -> dict[str, Any]:
        """The figures to print and keep."""
        return {
            "records_equal": f"{self.same_record} of {self.count}",
            "token_ids_equal": f"{self.same_tokens} of {self.count}",
            "errors": dict(self.errors),
            "fields_that_differ": dict(self.fields),
            "distance_here_to_the_other_token": [round(value, 6) for value in sorted(self.near)],
            "decisions_compared": self.steps,
            "decisions_seen_whole": self.seen,
            "widest_logprob_gap": self.gap,
            "widest_logprob_gap_where_seen_whole": self.gap_seen,
            "widest_confidence_gap": max(self.confidence, default=0.0),
            "confidences_within_0.001": f"{sum(gap <= 1e-3 for gap in self.confidence)} of {len(self.confidence)}",
            "records_seen_whole": f"{len(self.confidence_seen)} of {len(self.confidence)}",
            "widest_confidence_gap_where_seen_whole": max(self.confidence_seen, default=0.0),
        }


def _nearness(ours: Completion, theirs: Completion) -> float:
    """Log-probability, here, of the token here less that of the other side's, at the first one that differs."""
    for one, other in zip(ours.steps, theirs.steps, strict=False):
        if one.token_id != other.token_id:
            known = dict(one.alternatives)
            return one.constrained_logprob - known.get(other.token_id, float("-inf"))
    return 0.0
