"""Callers that come and go one text at a time: their rows are not left empty, and nobody waits for those who stay away."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import BaseModel, Field

from extractft.completion import GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler
from extractft.inference import TransformersEngine
from extractft.inference import engine as engines
from extractft.schema import Schema
from extractft.testing import tiny_model


class Short(BaseModel):
    ok: bool


class Long(BaseModel):
    words: list[str] = Field(min_length=30, max_length=30)


@pytest.fixture
def engine(tokenizer: Any) -> TransformersEngine:
    model = tiny_model()
    end = tokenizer.eos_token_id
    return TransformersEngine(model, end_token_id=end, pad_token_id=end, config=GenerationConfig(proposer="none"))


@pytest.fixture
def compiler(tokenizer: Any, engine: TransformersEngine) -> GrammarCompiler:
    width = engine._model.get_input_embeddings().num_embeddings  # type: ignore[no-untyped-call]
    return GrammarCompiler(tokenizer, vocab_size=width, end_token_id=tokenizer.eos_token_id)


def rows_of_passes(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each pass, noted as they are made."""
    rows: list[int] = []
    step = engine._scheduler.step

    def counted() -> int:
        rows.append(len(engine._scheduler))
        return step()

    monkeypatch.setattr(engine._scheduler, "step", counted)
    return rows


def long_requests(compiler: GrammarCompiler, tokenizer: Any) -> list[GenerationRequest]:
    """One that takes some hundred passes."""
    grammar = compiler.compile(Schema.of(Long), max_string_length=8)
    return [GenerationRequest(tuple(tokenizer("words").input_ids), grammar, 400)]


def run_side_by_side(engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, rows: list[int]) -> int:
    """One caller with a long record, one with six short ones; the pass after which the latter stops."""
    short = compiler.compile(Schema.of(Short), max_string_length=8)
    prompt = tuple(tokenizer("words").input_ids)
    assert engine.packed
    first = threading.Thread(target=lambda: list(engine.generate(long_requests(compiler, tokenizer))))
    first.start()
    while not rows:
        threading.Event().wait(0.001)
    for _ in range(6):
        list(engine.generate([GenerationRequest(prompt, short, 40)]))
    stopped = len(rows)
    engines._GRACE = min(engines._GRACE, 0.05)  # nobody comes back any more
    first.join()
    return stopped


def test_a_row_is_not_empty_while_its_caller_comes_back(
    engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_passes(engine, monkeypatch)
    monkeypatch.setattr(engines, "_GRACE", 1e9)
    stopped = run_side_by_side(engine, compiler, tokenizer, rows)
    joined = rows.index(2)
    assert set(rows[joined:stopped]) == {2}
    assert len(rows) > stopped > joined + 6


def test_who_stays_away_holds_up_nobody_for_longer_than_a_share_of_a_pass(
    engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_passes(engine, monkeypatch)
    slept: list[float] = []
    monkeypatch.setattr(engines.time, "sleep", slept.append)
    stopped = run_side_by_side(engine, compiler, tokenizer, rows)
    assert rows[stopped:]
    assert set(rows[stopped + 1 :]) == {1}
    assert all(0 < seconds <= engines._LOOK for seconds in slept)
    before = len(slept)
    list(engine.generate(long_requests(compiler, tokenizer)))
    assert len(slept) == before  # a record alone waits for nobody


def test_one_caller_of_many_texts_waits_for_nobody(
    engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("waited for a caller that is this one")

    monkeypatch.setattr(engines.time, "sleep", never)
    short = compiler.compile(Schema.of(Short), max_string_length=8)
    prompt = tuple(tokenizer("words").input_ids)
    requests = (GenerationRequest(prompt, short, 40) for _ in range(9))
    assert len(list(engine.generate(requests, batch_size=4))) == 9
