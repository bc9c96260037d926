"""An extractor does not change under those who use it, and its one exception does so in one step."""

from __future__ import annotations

import inspect
import itertools
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extraction, Extractor
from extractft.completion import EngineCapabilities
from extractft.errors import ConfigError, EngineError, ExtractionError
from extractft.extractor.keyword_settings import BaseSettings, FitSettings, LoadSettings
from extractft.testing import scripted_extractor


class Person(BaseModel):
    """A person."""

    name: str


NAMES = ["Ann", "Bob", "Cid", "Dot"]
ROWS = [(f"{name} wrote this.", {"name": name}) for name in NAMES]
WRONG = [(text, {"name": "Eve"}) for text, _ in ROWS[:2]]


def extractor() -> Extractor[Person]:
    answers = {text: Person(**record) for text, record in ROWS}
    return scripted_extractor(Person, answers)


@pytest.mark.parametrize(
    "name", ["schema", "engine", "generation", "config", "metrics", "training_result", "system_prompt", "base_model"]
)
def test_attributes_are_read_and_not_written(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(extractor(), name, None)


def test_scores_that_were_read_are_a_copy() -> None:
    made = extractor()
    made.metrics["field_f1"] = 1.0
    assert made.metrics == {}


def test_a_stream_goes_on_with_the_calibration_that_it_began_with() -> None:
    made = extractor()
    before = made.inspect(ROWS[0][0]).confidence
    stream = made.inspect_many([text for text, _ in ROWS])
    first = next(stream)
    made.calibrate([*ROWS, *WRONG] * 3)
    after = made.inspect(ROWS[0][0]).confidence
    assert before is not None
    assert after is not None
    assert not before.calibrated
    assert after.calibrated
    for outcome in (first, *stream):
        assert isinstance(outcome, Extraction)
        assert outcome.confidence is not None
        assert not outcome.confidence.calibrated


def test_calibrating_beside_others_gives_them_one_curve_or_the_other() -> None:
    made = extractor()
    made.calibrate([*ROWS, *WRONG] * 3)
    curves = {made.inspect(ROWS[0][0]).confidence.record}  # type: ignore[union-attr]
    made.calibrate([*ROWS, *WRONG, *WRONG, *WRONG] * 3)
    curves.add(made.inspect(ROWS[0][0]).confidence.record)  # type: ignore[union-attr]
    assert len(curves) == 2
    found: set[float] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            confidence = made.inspect(ROWS[0][0]).confidence
            assert confidence is not None
            found.add(confidence.record)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for rows in itertools.islice(itertools.cycle([[*ROWS, *WRONG], [*ROWS, *WRONG, *WRONG, *WRONG]]), 6):
        made.calibrate(rows * 3)
    done.set()
    for thread in threads:
        thread.join()
    assert found <= curves


class Silent:
    """An engine without log-probabilities."""

    capabilities = EngineCapabilities("silent", logprobs="none")

    def __init__(self, engine: Any) -> None:
        self.generate = engine.generate


def test_an_engine_without_log_probabilities_gives_records_without_confidence() -> None:
    parts = extractor()._pipeline
    made = Extractor(parts.schema, parts.chat, Silent(parts.engine), parts.grammar, max_window=parts.max_window)
    text = ROWS[0][0]
    seen = made.inspect(text)
    assert seen.output == Person(name="Ann")
    assert seen.spans["name"]
    assert seen.confidence is None
    assert seen.explanation_error is not None
    assert "confidence" in seen.explanation_error
    report = made.evaluate(ROWS)
    assert (report.field_f1, report.calibration) == (1.0, None)
    for refused in (lambda: made.calibrate(ROWS), lambda: made.extract_many([text], min_confidence=0.5)):
        with pytest.raises(EngineError, match="log-probabilities"):
            refused()
    assert not any(isinstance(outcome, ExtractionError) for outcome in made.extract_many([text]))


def test_what_is_no_part_of_an_explanation_is_named() -> None:
    with pytest.raises(ConfigError, match="'worth'"):
        extractor().inspect_many(["x"], explain=("worth",))


@pytest.mark.parametrize(
    ("verb", "settings", "others"),
    [("fit", FitSettings, set()), ("from_base", BaseSettings, set()), ("from_pretrained", LoadSettings, {"schema"})],
)
def test_type_checkers_are_told_every_keyword(verb: str, settings: Any, others: set[str]) -> None:
    parameters = inspect.signature(getattr(Extractor, verb)).parameters.values()
    keywords = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert keywords == settings.__annotations__.keys() | others
