"""What drafts know before the first record: it helps, it says nothing of records, and it survives being kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from pydantic import BaseModel
from safetensors.torch import load, save

from extractft.decoding import Experience, GenerationRequest, GrammarCompiler, Rehearsal
from extractft.decoding import experience as module
from extractft.decoding.draft_memory import DraftMemory
from extractft.schema import Schema

VOCAB = 264


class Visit(BaseModel):
    customer: str
    kind: Literal["call", "letter"]
    places: dict[str, str] | None = None


class Rows:
    """A rehearsal of one schema, a token a byte."""

    def __init__(self, tokenizer: Any, schema: Any = Visit) -> None:
        self.tokenizer, self.schema = tokenizer, Schema.of(schema)
        self.end = tokenizer.eos_token_id
        compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=self.end)
        self.grammar = compiler.compile(self.schema)
        self.rehearsal = Rehearsal(self.end)

    def request(self, text: str) -> GenerationRequest:
        return GenerationRequest((1,), self.grammar, 200, draft_ids=tuple(self.tokenizer.encode(text)))

    def learn(self, *rows: tuple[str, dict[str, Any]]) -> None:
        for text, record in rows:
            self.rehearsal.learn(self.request(text), self.tokenizer.encode(json.dumps(record, separators=(",", ":"))))

    def passes(self, text: str, record: dict[str, Any]) -> int:
        answer = self.tokenizer.encode(json.dumps(record, separators=(",", ":")))
        return len(list(self.rehearsal.passes(self.request(text), answer)))

    def kept(self) -> Experience:
        return self.rehearsal.experience({s.encode() for s in self.schema.strings}, self.grammar.spelling)


def spelled(experience: Experience) -> dict[str, Any]:
    """The tables as they are kept."""
    read: dict[str, Any] = json.loads(bytes(load(experience.to_bytes())["tables"].tolist()))
    return read


def rows(count: int) -> list[tuple[str, dict[str, Any]]]:
    names = ["Qumran", "Xerxes", "Zwicky", "Jockel", "Vyborg", "Hobbes", "Wuzong", "Pykill"]
    return [
        (
            f"from {name} by letter at {name[::-1]}",
            {"customer": name, "kind": "letter", "places": {name[1:]: name[::-1]}},
        )
        for name in names[:count]
    ]


def test_the_first_record_takes_fewer_passes(tokenizer: Any) -> None:
    cold, rehearsed, warm = (Rows(tokenizer) for _ in range(3))
    rehearsed.learn(*rows(8))
    warm.rehearsal.memory.restore(rehearsed.kept().tables)
    new = ("from Maxim by call", {"customer": "Maxim", "kind": "call"})
    assert warm.passes(*new) < cold.passes(*new)


def test_what_is_kept_spells_nothing_but_the_schema(tokenizer: Any) -> None:
    case = Rows(tokenizer)
    case.learn(*rows(8))
    kept = case.kept().tables
    assert kept.followers
    known = [string.encode() for string in case.schema.strings]
    for context, entry in kept.followers.items():
        assert context[0] in ("key", "colon", "value", "after", "close")
        written = b"" if context[0] == "close" else context[-1]
        assert any(string.startswith(written) for string in known)
        for token in entry[::2]:
            letters = case.grammar.spelling(token).strip(b'"{}[]:,')
            assert not letters or any(string.startswith(written + letters) for string in known)
    fields = {context[1] if context[0] == "close" else context[2] for context in kept.followers}
    assert fields <= {b"", *known}


def test_words_around_values_are_kept_if_several_texts_have_them(tokenizer: Any) -> None:
    few, many = Rows(tokenizer), Rows(tokenizer)
    few.learn(*rows(4))
    many.learn(*rows(8))
    assert [key for key in few.kept().tables.starts if any(key[1:])] == []
    assert few.kept().tables.stops == {} or all(not key[1] for key in few.kept().tables.stops)
    texts = [set(text.encode()) for text, _ in rows(8)]
    words = {
        word for table in (many.kept().tables.starts, many.kept().tables.stops) for key in table for word in key[1:]
    }
    assert words - {b""}
    assert all(sum(word[0] in text for text in texts) >= 5 for word in words if word)


def test_keys_of_mappings_are_not_kept(tokenizer: Any) -> None:
    case = Rows(tokenizer, dict[str, dict[str, str]])
    case.learn(*((text, {name: {"at": name}}) for text, name in (("Qumran", "Qumran"), ("Xerxes", "Xerxes"))))
    tables = case.kept().tables
    assert {context[1] if context[0] == "close" else context[2] for context in tables.followers} <= {b""}
    assert {field for field, *_ in (*tables.starts, *tables.stops)} <= {b""}


def test_it_comes_back_as_it_was(tokenizer: Any) -> None:
    case = Rows(tokenizer)
    case.learn(*rows(8))
    kept = case.kept()
    back = Experience.from_bytes(kept.to_bytes())
    assert back is not None
    for name in ("followers", "starts", "stops", "rates"):
        assert getattr(back.tables, name) == getattr(kept.tables, name)
    assert back.tables.worths.keys() == kept.tables.worths.keys()
    assert back.to_bytes() == kept.to_bytes()
    first, second = DraftMemory(), DraftMemory()
    first.restore(kept.tables)
    second.restore(back.tables)
    for kind in kept.tables.rates:
        assert first.rate(kind) == second.rate(kind) == case.rehearsal.memory.rate(kind)


def test_a_memory_that_goes_on_learning_leaves_what_was_kept_as_it_is(tokenizer: Any) -> None:
    case = Rows(tokenizer)
    case.learn(*rows(8))
    kept = case.kept()
    before = kept.to_bytes()
    case.rehearsal.memory.restore(kept.tables)
    case.learn(*rows(8))
    assert kept.to_bytes() == before


def test_an_answer_that_the_grammar_refuses_ends_its_row_alone(tokenizer: Any) -> None:
    case = Rows(tokenizer)
    case.learn(("a", {"customer": "a", "kind": "visit"}), *rows(2))
    assert case.kept().tables.followers


def test_what_another_version_kept_is_of_no_use(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Rows(tokenizer).kept().to_bytes()
    assert Experience.from_bytes(content) is not None
    monkeypatch.setattr(module, "_VERSION", 99)
    assert Experience.from_bytes(content) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rates", [[["near"], [2.0, 1.0]]]),
        ("rates", [[["near"], [0.0, 0.0]]]),
        ("rates", [[["near"], "ab"]]),
        ("followers", [[["value"], [1]]]),
        ("followers", [[["value"], [-1, 1]]]),
        ("followers", 5),
        ("starts", [[[{"bytes": "a"}, {"bytes": "b"}], []]]),
        ("stops", [[{"other": "a"}, [1, 1]]]),
    ],
)
def test_what_is_damaged_is_refused(tokenizer: Any, name: str, value: Any) -> None:
    kept = Rows(tokenizer).kept()
    tensors = load(kept.to_bytes())
    changed = json.dumps(spelled(kept) | {name: value}).encode()
    tensors["tables"] = torch.tensor(list(changed), dtype=torch.uint8)
    with pytest.raises(ValueError, match="not what drafts have learned"):
        Experience.from_bytes(save(tensors))


def test_worths_that_are_no_numbers_and_files_that_are_none_are_refused(tokenizer: Any) -> None:
    kept = Rows(tokenizer).kept()
    for place, worth in ((3, float("nan")), (1 << 18, 1.0), (-1, 1.0)):
        tables = replace(kept.tables, worths={place: (worth, 1.0)})
        with pytest.raises(ValueError, match="not what drafts have learned"):
            Experience.from_bytes(Experience(tables).to_bytes())
    for content in (b"", b"abc", kept.to_bytes()[:-7]):
        with pytest.raises(ValueError, match="not what drafts have learned"):
            Experience.from_bytes(content)
