from __future__ import annotations

from typing import Any

import pytest
import torch

from extractft.decoding import GenerationRequest, GrammarCompiler
from extractft.decoding.drafts import CopySource, Drafter, DraftMemory
from extractft.decoding.scoring import MaskBuffer
from extractft.decoding.slots import SlotStore
from extractft.schema import Schema

WORDS = {1: b" Tre", 2: b"mont", 3: b" Av", 4: b" the", 5: b" area", 6: b"Tre", 7: b'":"', 8: b" ", 9: b" time"}


def follow(source: list[int], record: list[int]) -> Any:
    return CopySource(source, WORDS.__getitem__).follow(record)


def test_a_value_is_found_though_its_first_word_has_no_space_in_front() -> None:
    assert follow([4, 1, 2, 3], [7, 6]) == (2, "copy1")
    assert follow([4, 1, 2, 3], [7, 6, 2]) == (3, "copy2")
    assert follow([4, 1, 2, 3, 9], [7, 6, 2, 3]) == (9, "copy3")
    assert follow([8, 4, 8, 5], [8]) == (4, "copy1")


def test_nothing_is_found_where_nothing_follows() -> None:
    assert follow([4, 1, 2, 3], [3]) is None
    assert follow([4, 1], [7]) is None
    assert follow([4, 1], []) is None


def test_the_longest_match_wins_and_then_the_one_behind_the_last_copy() -> None:
    assert follow([4, 5, 1, 4, 9], [1, 4]) == (9, "copy2")
    source = CopySource([4, 5, 1, 4, 9, 2], WORDS.__getitem__)
    assert source.follow([4]) == (5, "copy1")
    source.advance([1])
    assert source.follow([4]) == (9, "copy1")


def test_memory_knows_what_mostly_followed() -> None:
    memory = DraftMemory()
    assert memory.phrases([]) == []
    for record in ([1, 2, 3], [1, 2, 3], [1, 2, 4], [1, 2, 3]):
        memory.learn(record)
    assert memory.phrases([1, 2]) == [(3, "phrase4"), (3, "phrase2")]
    memory.learn([1, 2, 3])
    assert memory.phrases([1, 2])[0] == (3, "phrase4+")
    assert memory.phrases([]) == [(1, "phrase4+"), (1, "phrase2+")]
    assert memory.phrases([5, 1, 2]) == [(3, "phrase2+")]


def test_memory_changes_its_mind() -> None:
    memory = DraftMemory()
    for record in ([1, 2], *[[1, 3]] * 2):
        memory.learn(record)
    assert memory.phrases([1])[0][0] == 3


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractft.decoding.drafts._PHRASES", 10)
    memory = DraftMemory()
    memory.learn(range(100))
    assert len(memory._phrases) == 10
    assert memory.phrases([95, 96, 97, 98]) == [(99, "phrase4"), (99, "phrase2")]


def test_rates_follow_what_is_observed() -> None:
    memory = DraftMemory()
    before = memory.rate("copy1")
    for _ in range(40):
        memory.observe("copy1", False)
    assert memory.rate("copy1") < before / 3
    for _ in range(200):
        memory.observe("copy1", True)
    assert memory.rate("copy1") > 0.9


@pytest.fixture
def case(tokenizer: Any) -> Any:
    """A drafter whose source is `hello world`, at the start of a record that is a string."""
    vocab = 264
    compiler = GrammarCompiler(tokenizer, vocab_size=vocab, end_token_id=tokenizer.eos_token_id)
    grammar = compiler.compile(Schema.of(str))
    request = GenerationRequest((1,), grammar, 50, draft_ids=tuple(tokenizer.encode("hello world")))
    masks = MaskBuffer(30, vocab, torch.device("cpu"))
    matcher = grammar.matcher()
    record = tokenizer.encode('"hel')
    for token_id in record:
        matcher.consume(token_id)
    masks.fill(0, matcher)
    return Drafter(request, DraftMemory(), tokenizer.eos_token_id), matcher, record, masks


def test_a_draft_copies_and_leaves_everything_as_it_was(case: Any, tokenizer: Any) -> None:
    drafter, matcher, record, masks = case
    draft = drafter.draft(matcher, record, masks, 0, limit=24, price=0.01)
    assert tokenizer.decode(draft) == "lo world"
    assert record == tokenizer.encode('"hel')
    fresh = bytearray(4 * -(-264 // 32))
    for index, token_id in enumerate([*draft, *tokenizer.encode('"')]):
        matcher.fill_mask(fresh)
        assert [i for i in range(264) if masks.allows(index, i)] == [
            i for i in range(264) if fresh[i >> 3] >> (i & 7) & 1
        ]
        matcher.consume(token_id)


def test_a_draft_ends_where_it_is_no_longer_worth_it(case: Any) -> None:
    drafter, matcher, record, masks = case
    assert len(drafter.draft(matcher, record, masks, 0, limit=3, price=0.01)) == 3
    assert drafter.draft(matcher, record, masks, 0, limit=0, price=0.01) == []
    assert len(drafter.draft(matcher, record, masks, 0, limit=24, price=0.6)) == 2
    for _ in range(30):
        drafter.draft(matcher, record, masks, 0, limit=24, price=0.01)
        drafter.observe(record, 0)
    assert drafter.draft(matcher, record, masks, 0, limit=24, price=0.2) == []


def test_slots_grow_shrink_and_keep_what_was_written() -> None:
    store = SlotStore()
    store.reserve(1, 5)
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    store.write(0, keys, keys + 100, torch.tensor([0, 0]), torch.tensor([0, 1]))
    store.reserve(4, 100)
    assert (store.slots, store.places) == (4, 128)
    kept_keys, kept_values = store.read(0, 0, 1, 2)
    assert torch.equal(kept_keys[0].transpose(0, 1), keys)
    assert torch.equal(kept_values[0].transpose(0, 1), keys + 100)
    assert not store.read(0, 1, 4, 100)[0].any()
    store.reserve(1, 5)
    assert (store.slots, store.places) == (1, 64)
    assert torch.equal(store.read(0, 0, 1, 2)[0][0].transpose(0, 1), keys)
    store.wipe(0)
    assert not store.read(0, 0, 1, 64)[1].any()
    assert store.nbytes == 2 * 64 * 3 * 4 * 4
    store.clear()
    assert store.nbytes == 0
