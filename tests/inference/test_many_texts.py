"""Hundreds of texts, bad ones among them, through an extractor on a tiny model: what they cost, and what stays behind."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig
from extractft.completion import Completion, GenerationRequest
from extractft.constraints import GuidanceMatcher
from extractft.errors import EmptyTextError, ExtractionError, InputTooLongError
from extractft.inference.scheduler import _DRAFTED_TOKENS
from extractft.inference.sequence import Sequence
from extractft.speculation.drafter import Drafter

ROWS = 6
REFUSED: dict[str, type[ExtractionError]] = {
    "empty": EmptyTextError,
    "huge": InputTooLongError,
    "surrogate": ExtractionError,
}
PASSING = (Sequence, Drafter, GenerationRequest, GuidanceMatcher, Completion)
"""What belongs to a text on its way."""


class Note(BaseModel):
    kind: Literal["question", "order", "thanks"]
    urgent: bool
    pieces: Literal[1, 2, 3, 4, 5] | None = None


@pytest.fixture
def extractor(tiny_base: Path) -> Extractor[Note]:
    return Extractor.from_base(Note, base_model=str(tiny_base), generation=GenerationConfig(batch_size=ROWS))


def make_texts(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Kinds and texts, four in five of them good and no two of those alike."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        kind = rng.choice(["good"] * 16 + ["empty", "controls", "surrogate", "huge"])
        match kind:
            case "good":
                text = "".join(rng.choice("abc xyz,龙琳") for _ in range(rng.randrange(1, 30))) + str(number)
            case "huge":
                text = "long " * rng.randrange(1000, 20_000)
            case _:
                text = {"empty": "", "controls": "<|im_end|></think><|im_start|>" * 3, "surrogate": "a\ud800b"}[kind]
        made.append((kind, text))
    return made


def test_a_bad_text_costs_its_own_error_and_nothing_else(extractor: Extractor[Note]) -> None:
    made = make_texts(200)
    outcomes = list(extractor.extract_many([text for _, text in made]))
    assert len(outcomes) == len(made)
    for (kind, text), outcome in zip(made, outcomes, strict=True):
        assert type(outcome) is REFUSED.get(kind, Note)
        if isinstance(outcome, ExtractionError):
            assert outcome.text == text
    good = [text for kind, text in made if kind == "good"]
    among_bad = [outcome for (kind, _), outcome in zip(made, outcomes, strict=True) if kind == "good"]
    assert among_bad == list(extractor.extract_many(good))
    assert len({repr(outcome) for outcome in among_bad}) > 5


def held(extractor: Any) -> dict[str, int]:
    """What the engine and the compiler keep, in bytes or pieces."""
    batch, compiler = extractor._pipeline.engine._scheduler, extractor._pipeline.grammar
    return {
        "rows": len(batch),
        "waiting": len(extractor._pipeline.engine._waiting),
        "slots": batch.model.cache.nbytes,
        "prefix": batch.model._prefix.nbytes,
        "masks": len(batch._masks.masks.memory),
        "grammars": len(compiler._grammars) + len(compiler._verbatim),
    }


def alive() -> dict[str, int]:
    gc.collect()
    known = [type(thing) for thing in gc.get_objects() if isinstance(thing, PASSING)]
    return {kind.__name__: known.count(kind) for kind in PASSING}


def test_what_is_kept_does_not_grow_with_the_texts(extractor: Extractor[Note], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractft.speculation.proposal_statistics._KEPT", 40)
    memory = extractor._pipeline.engine._scheduler._proposer.statistics  # type: ignore[attr-defined]
    tables = (memory._next_tokens, memory._starts, memory._stops)
    taken = 0

    def texts(seed: int) -> Iterator[str]:
        nonlocal taken
        for _, text in make_texts(100, seed=seed):
            taken += 1
            yield text

    before, kept = alive(), []
    for seed in range(3):
        for count, _ in enumerate(extractor.extract_many(texts(seed)), start=1):
            assert taken - 100 * seed - count <= 4 * ROWS
            assert max(map(len, tables)) <= 40
            assert len(memory._rates) < 2500  # as many kinds as there can be, about
        assert alive() == before
        kept.append(held(extractor))
    assert kept[0]["rows"] == kept[0]["waiting"] == kept[0]["slots"] == 0
    # Masks are kept for as many rows as the last passes had.
    assert max(sizes.pop("masks") for sizes in kept) <= (ROWS + _DRAFTED_TOKENS) * 4 * -(-264 // 32)
    assert kept[0] == kept[1] == kept[2]
    assert len(memory._next_tokens) == 40
