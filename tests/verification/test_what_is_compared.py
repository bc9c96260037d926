"""A verification that compared nothing does not pass, and two classes of one schema are no difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from extractft import Extractor
from extractft.completion import Completion, GenerationRequest
from extractft.errors import ArtifactMismatchError, ConfigError, EngineError
from extractft.testing import ScriptedEngine
from extractft.verification import verify
from extractft.verification.candidates import with_engine


class Ticket(BaseModel):
    """A ticket."""

    item: str
    kind: Literal["a", "b"] = "a"


RECORDS = {"tea for b": '{"item":"tea","kind":"b"}', "rice now": '{"item":"rice"}'}
ROWS = [("tea for b", Ticket(item="tea", kind="b")), ("rice now", Ticket(item="rice"))]


class DeadEngine:
    """Fails on every text, as a server does that is gone, or as decoding does."""

    def __init__(self, cause: EngineError | None = None) -> None:
        self.cause = cause

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        for _ in requests:
            yield Completion((), "error", "no answer", cause=self.cause)


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Extractor[Ticket]:
    return Extractor.from_base(Ticket, base_model=str(tiny_base))


@pytest.fixture(scope="module")
def honest(base: Extractor[Ticket]) -> Extractor[Ticket]:
    return with_engine(base, ScriptedEngine(RECORDS, base._pipeline.chat, logprob=-0.5))


@pytest.mark.parametrize("settings", [{}, {"quantized": True}, {"min_equal": 0.0}])
@pytest.mark.parametrize("cause", [None, EngineError("gone")])
def test_two_sides_that_give_nothing_do_not_pass(
    base: Extractor[Ticket], honest: Extractor[Ticket], cause: EngineError | None, settings: dict[str, Any]
) -> None:
    dead = with_engine(base, DeadEngine(cause))
    for pair in ((dead, dead), (dead, honest), (honest, dead)):
        report = verify(*pair, ROWS, **settings)
        assert report.records_compared == 0
        assert not report.passed
        assert "both sides give a record, found none of 2: nothing was compared" in report.failures[0]


def test_texts_that_a_server_did_not_answer_are_not_equal(base: Extractor[Ticket], honest: Extractor[Ticket]) -> None:
    class HalfDead(DeadEngine):
        def generate(self, requests: Iterable[GenerationRequest], **settings: Any) -> Iterator[Completion]:
            answers = honest._pipeline.engine.generate(requests, **settings)
            for number, answer in enumerate(answers):
                yield answer if number == 0 else Completion((), "error", "no answer", cause=self.cause)

    half = with_engine(base, HalfDead(EngineError("gone")))
    report = verify(half, half, ROWS)
    assert (report.records_compared, report.records_equal, report.passed) == (1, 1, False)


def test_a_class_that_was_rebuilt_is_the_same_schema(
    base: Extractor[Ticket], honest: Extractor[Ticket], tmp_path: Path
) -> None:
    base.save_pretrained(tmp_path / "saved")
    rebuilt: Extractor[Any] = Extractor.from_pretrained(tmp_path / "saved")
    rebuilt = with_engine(rebuilt, ScriptedEngine(RECORDS, rebuilt._pipeline.chat, logprob=-0.5))
    assert rebuilt.schema.type is not honest.schema.type
    report = verify(honest, rebuilt, ROWS)
    assert (report.records_equal, report.passed, report.candidate.exact_rate) == (2, True, 1.0)


def test_another_schema_is_refused(honest: Extractor[Ticket], tiny_base: Path) -> None:
    other = Extractor.from_base(dict[str, int], base_model=str(tiny_base))
    with pytest.raises(ArtifactMismatchError, match="a candidate with the extractor's schema"):
        verify(honest, other, ROWS)


@pytest.mark.parametrize("share", [True, False, "0.9", math.nan, -0.1, 1.1])
def test_shares_that_are_none(honest: Extractor[Ticket], share: Any) -> None:
    with pytest.raises(ConfigError, match="Expected min_equal between 0 and 1, found"):
        verify(honest, honest, ROWS, min_equal=share)
