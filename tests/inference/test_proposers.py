"""Every proposer leaves every record as `ReferenceEngine` decides it: the registered ones, the docs' example, bad ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from test_engine import SCHEMA, VOCAB, assert_same, build, make_engine, make_requests
from test_model_runner import PACKED, reference, with_sources

from extractft.completion import GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler
from extractft.inference import TransformersEngine
from extractft.speculation import PROPOSERS, Choices, Proposal, Proposer, make_proposer


@pytest.fixture(scope="module")
def grammar(tokenizer: Any) -> Any:
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    return compiler.compile(SCHEMA, max_string_length=100)


class LastRecordProposer:
    """The example of `speculation/registry.py`: the record before, token by token."""

    def __init__(self) -> None:
        self.last: tuple[int, ...] = ()

    def start(self, request: GenerationRequest) -> LastRecord:
        return LastRecord(self)


class LastRecord:
    def __init__(self, proposer: LastRecordProposer) -> None:
        self.proposer = proposer

    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        if choices.forced is not None:
            return [Proposal(choices.forced, 0.95)]
        last = self.proposer.last
        return [Proposal(last[len(record)], 0.5)] if len(record) < len(last) else []

    def observe(self, record: tuple[int, ...], decided: Sequence[int]) -> None:
        pass

    def finish(self, record: tuple[int, ...]) -> None:
        self.proposer.last = record


class WildProposer(LastRecordProposer):
    """Proposes anything: tokens that are not allowed or are none, the end, the same twice, probabilities of any size."""

    def start(self, request: GenerationRequest) -> LastRecord:
        return WildRecord(self)


class WildRecord(LastRecord):
    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        rng = random.Random(hash(record))
        tokens = [rng.randrange(-5, VOCAB + 5) for _ in range(20)]
        chances = [0.0, -1.0, 0.5, 3.0, float("nan"), float("inf")]
        return [Proposal(token_id, rng.choice(chances)) for token_id in (*tokens, *tokens[:5])]


MAKERS: dict[str, Callable[[], Proposer]] = {**PROPOSERS, "last record": LastRecordProposer, "wild": WildProposer}


@pytest.mark.parametrize("name", PACKED)
def test_no_proposer_changes_a_record(tokenizer: Any, grammar: Any, name: str) -> None:
    model = build(name)
    requests = make_requests(tokenizer, grammar, 6, seed=5)
    expected = list(reference(model, tokenizer).generate(requests))
    requests = with_sources(requests, expected)
    for proposer, maker in MAKERS.items():
        for batch_size in (1, 6):
            engine = make_engine(model, tokenizer, batch_size=batch_size, proposer=maker())
            assert_same(list(engine.generate(requests)), expected)
            assert (engine.statistics.drafted > 0) is (proposer != "none")


def test_the_config_names_the_proposer(tokenizer: Any, grammar: Any) -> None:
    model, drafted = build("qwen3"), {}
    requests = make_requests(tokenizer, grammar, 4)
    for name in PROPOSERS:
        engine = TransformersEngine(
            model, end_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            config=GenerationConfig(proposer=name),
        )  # fmt: skip
        list(engine.generate(requests))
        drafted[name] = engine.statistics.drafted
    assert drafted["none"] == 0 < drafted["forced"] <= drafted["prompt_lookup"]


class Broken(LastRecordProposer):
    """Fails in the midst of a record of some prompts, and at its start for others."""

    def __init__(self, at: Iterable[tuple[int, ...]]) -> None:
        super().__init__()
        self.at = set(at)

    def start(self, request: GenerationRequest) -> LastRecord:
        return BrokenRecord(self) if request.prompt_ids in self.at else LastRecord(self)


class BrokenRecord(LastRecord):
    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        if len(record) > 3:
            raise LookupError("broken")
        return super().propose(record, choices)


def test_a_proposer_that_fails_spoils_its_own_record_only(tokenizer: Any, grammar: Any) -> None:
    model = build("qwen3")
    requests = make_requests(tokenizer, grammar, 3)
    expected = list(make_engine(model, tokenizer, proposer=make_proposer("none")).generate(requests))
    engine = make_engine(model, tokenizer, proposer=Broken([requests[1].prompt_ids]))
    with pytest.raises(LookupError, match="broken"):
        list(engine.generate(requests))
    good = [requests[0], requests[2]]
    assert_same(list(engine.generate(good)), [expected[0], expected[2]])
