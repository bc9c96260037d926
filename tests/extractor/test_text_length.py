"""A text of a megabyte is refused by its length, before it is composed and encoded, whatever it is made of."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from extractft.errors import InputTooLongError
from extractft.testing import scripted_extractor
from timing import assert_within


class Record(BaseModel):
    name: str


HOSTILE = ["a\u0315\u0300", "\u0315\u0300", "e\u0301", "龙琳", "1", "word and "]


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.parametrize("most", [100, 10_000])
def test_a_megabyte_is_refused_at_once(part: str, most: int) -> None:
    extractor = scripted_extractor(Record, {"Ann": Record(name="Ann")}, max_text_tokens=most)
    assert extractor.extract("Ann") == Record(name="Ann")
    text = "Ann " + part * (1_000_000 // len(part))

    def refuse() -> InputTooLongError:
        with pytest.raises(InputTooLongError) as caught:
            extractor.extract(text)
        return caught.value

    refusal = assert_within(refuse, 0.3 if most == 100 else 1.5)
    assert f"in a text of {len(text)} characters" in str(refusal)
    assert refusal.text == text
