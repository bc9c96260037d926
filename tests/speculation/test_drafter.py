"""Trees of proposals: what is in them, what they leave as it was, and which of them were right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import BaseModel

from extractft.completion import GenerationRequest
from extractft.constraints import GrammarCompiler
from extractft.constraints.token_masks import TokenMasks
from extractft.inference.kv_cache import KVCache
from extractft.schema import Schema
from extractft.speculation.drafter import MAX_DRAFT, Draft, Drafter
from extractft.speculation.json_cursor import JsonCursor
from extractft.speculation.proposal_statistics import ProposalStatistics

VOCAB = 264


class Pair(BaseModel):
    name: str
    place: str | None = None


class Case:
    """A row that is at some place of its record."""

    def __init__(
        self, tokenizer: Any, schema: Any, text: str, record: str, memory: ProposalStatistics | None = None
    ) -> None:
        self.tokenizer = tokenizer
        compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
        self.grammar = compiler.compile(Schema.of(schema))
        request = GenerationRequest((1,), self.grammar, 50, draft_ids=tuple(tokenizer.encode(text)))
        self.memory = memory or ProposalStatistics()
        self.drafter = Drafter(request, self.memory, tokenizer.eos_token_id)
        self.masks = TokenMasks(1 + MAX_DRAFT, VOCAB)
        self.matcher = self.grammar.matcher()
        self.go_on(record)

    def go_on(self, record: str, path: tuple[int, ...] = ()) -> None:
        ids = self.tokenizer.encode(record)
        for token_id in ids:
            self.matcher.consume(token_id)
        self.drafter.observe(ids, path)

    def draft(self, *, limit: int = MAX_DRAFT, threshold: float = 0.01) -> Draft:
        self.masks.fill(0, self.matcher)
        return self.drafter.draft(self.matcher, self.masks, 0, limit=limit, threshold=threshold)

    def branches(self, draft: Draft) -> list[str]:
        """What each leaf and all before it spell."""
        spelled: list[str] = []
        for token_id, parent in zip(draft.token_ids, draft.parents, strict=True):
            spelled.append((spelled[parent] if parent >= 0 else "") + self.tokenizer.decode([token_id]))
        return [text for index, text in enumerate(spelled) if index not in draft.parents]


def test_a_value_is_copied_from_the_text(tokenizer: Any) -> None:
    case = Case(tokenizer, str, "hello world", '"hel')
    draft = case.draft()
    assert case.branches(draft) == ["lo world"]
    assert draft.parents == list(range(-1, 7))


def test_the_grammar_is_where_it_was_and_masks_are_those_behind_each_token(tokenizer: Any) -> None:
    memory = ProposalStatistics()
    known = Case(tokenizer, Pair, "", "", memory)
    for record in ('{"name":"ab","place":"x"}', '{"name":"ac"}', '{"name":"ad","place":"y"}'):
        known.drafter.learn(tokenizer.encode(record))
    case = Case(tokenizer, Pair, "", '{"name":"', memory)
    draft = case.draft()
    assert len(set(draft.parents)) < len(draft.parents)  # there are branches
    fresh = bytearray(4 * -(-VOCAB // 32))
    matchers = [case.matcher.copy()]
    for index, (token_id, parent) in enumerate(zip(draft.token_ids, draft.parents, strict=True)):
        assert case.masks.allows(parent + 1, token_id)
        matchers.append(matchers[parent + 1].copy())
        matchers[-1].consume(token_id)
        if not matchers[-1].is_finished():
            matchers[-1].fill_mask(fresh)
            for i in range(VOCAB):
                assert case.masks.allows(index + 1, i) == bool(fresh[i >> 3] >> (i & 7) & 1)
    case.matcher.consume(tokenizer.encode("a")[0])  # still at the beginning of the name


def test_both_likely_ways_on_are_tried(tokenizer: Any) -> None:
    memory = ProposalStatistics()
    known = Case(tokenizer, Pair, "", "", memory)
    for record in ('{"name":"ab","place":"x"}', '{"name":"ac"}') * 3:
        known.drafter.learn(tokenizer.encode(record))
    case = Case(tokenizer, Pair, "I am Tre and live here", '{"name":"Tre', memory)
    ways = case.branches(case.draft(threshold=0.05))
    assert any(way.startswith('","place":"') for way in ways)
    assert any(way.startswith('"}') for way in ways)
    assert any(way.startswith(" and") for way in ways)


def test_a_value_is_guessed_where_words_stand_that_stood_before_others(tokenizer: Any) -> None:
    memory = ProposalStatistics()
    for name in ("Ab", "Cd", "Ef"):
        known = Case(tokenizer, Pair, f"i={name};", "", memory)
        known.drafter.learn(tokenizer.encode(f'{{"name":"{name}"}}'))
    case = Case(tokenizer, Pair, "i=Xyz;", '{"name":"', memory)
    assert any(way.startswith('Xyz"}') for way in case.branches(case.draft()))


def test_a_draft_ends_where_it_is_no_longer_worth_it(tokenizer: Any) -> None:
    case = Case(tokenizer, str, "hello world", '"hel')
    assert len(case.draft(limit=3)) == 3
    assert len(case.draft(limit=0)) == 0
    assert 0 < len(case.draft(threshold=0.4)) < 8
    for _ in range(30):
        case.draft()
        case.drafter.observe(tokenizer.encode("z"), [])
        case.drafter._cursor = JsonCursor("value", True, b"hel")
    assert len(case.draft(threshold=0.2)) == 0


def test_what_is_right_is_found_along_the_tree() -> None:
    #   -1 -> 5 -> 6 -> 7
    #      -> 8 -> 6
    draft = Draft([5, 8, 6, 6, 7], [-1, -1, 0, 1, 2])
    assert draft.path([5, 6, 0, 7, 0, 9]) == [0, 2, 4]
    assert draft.path([8, 0, 6, 1, 2, 3]) == [1, 3]
    assert draft.path([5, 9, 0, 0, 0, 0]) == [0]
    assert draft.path([9, 0, 0, 0, 0, 0]) == []
    assert Draft().path([3]) == []


@pytest.fixture
def store() -> KVCache:
    store = KVCache()
    store.reserve(1, 5)
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    store.write(0, keys, keys + 100, torch.tensor([0, 0]), torch.tensor([0, 1]))
    return store


def test_slots_grow_and_keep_what_was_written(store: KVCache) -> None:
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    store.reserve(4, 100)
    assert (store.slots, store.places) == (4, 128)
    kept_keys, kept_values = store.read(0, 0, 1, 2)
    assert torch.equal(kept_keys[0].transpose(0, 1), keys)
    assert torch.equal(kept_values[0].transpose(0, 1), keys + 100)
    assert not store.read(0, 1, 4, 100)[0].any()
    store.wipe(0)
    assert not store.read(0, 0, 1, 64)[1].any()
    assert store.nbytes == 2 * 4 * 128 * 3 * 4 * 4
    store.clear()
    assert store.nbytes == 0


def test_slots_take_other_shapes_in_the_same_memory(store: KVCache) -> None:
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    store.reserve(2, 640)
    filled = torch.full((2 * 640, 3, 4), float("nan"))
    rows, places = torch.arange(2).repeat_interleave(640), torch.arange(640).repeat(2)
    store.write(0, filled, filled, rows, places)
    store.write(0, keys, keys + 100, torch.tensor([1, 1]), torch.tensor([0, 1]))
    taken = store.nbytes
    store.reserve(2, 5)  # there is room
    assert (store.slots, store.places) == (2, 640)
    store.reserve(10, 70)
    assert (store.slots, store.places) == (10, 128)
    assert store.nbytes == taken
    assert torch.equal(store.read(0, 1, 2, 2)[1][0].transpose(0, 1), keys + 100)
    assert torch.isnan(store.read(0, 1, 2, 128)[0][:, :, 2:]).all()  # what stood there
    assert not store.read(0, 2, 10, 128)[0].any()
    store.reserve(2, 600)  # the slots stay where there is room for them, or the places
    assert (store.slots, store.places) == (2, 640)
    store.reserve(1, 641)
    assert (store.slots, store.places) == (1, 800)
    assert store.nbytes == taken


def test_what_is_moved_within_a_slot_is_read_before_it_is_overwritten(store: KVCache) -> None:
    keys = torch.arange(2 * 3 * 4.0).view(2, 3, 4)
    slots = torch.tensor([0, 0])
    store.move(slots, torch.tensor([1, 0]), torch.tensor([0, 2]))
    found, values = store.read(0, 0, 1, 3)
    assert torch.equal(found[0].transpose(0, 1), keys[[1, 1, 0]])
    assert torch.equal(values[0].transpose(0, 1), keys[[1, 1, 0]] + 100)


class Choice(BaseModel):
    name: str | None = None
    place: str | None = None


def test_a_word_of_the_text_tells_the_next_key(tokenizer: Any) -> None:
    memory = ProposalStatistics()
    for _ in range(12):
        for text, key in (("red car", "name"), ("blue bus", "place")):
            case = Case(tokenizer, Choice, text, '{"', memory)
            case.draft()
            case.go_on(key[0])
            case.drafter.learn(tokenizer.encode(f'{{"{key}":"x"}}'))

    def acceptance(text: str) -> dict[str, float]:
        case = Case(tokenizer, Choice, text, '{"', memory)
        case.draft()
        return {tokenizer.decode([scored.token_id]): scored.probability for scored in case.drafter._nodes[0].scored}

    red, blue, other = acceptance("red van"), acceptance("blue van"), acceptance("my own")
    assert red["n"] > 0.7 > 0.3 > red["p"]
    assert blue["p"] > 0.7 > 0.3 > blue["n"]
    assert abs(other["n"] - other["p"]) < 0.2


def test_a_long_copy_is_drafted_whole_and_no_longer_than_the_limit(tokenizer: Any) -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(100))
    draft = Case(tokenizer, str, text, '"abc').draft(threshold=1e-30)
    assert len(draft) == MAX_DRAFT
    assert tokenizer.decode(draft.token_ids) == text[3 : 3 + MAX_DRAFT]
    assert len(Case(tokenizer, str, text, '"abc').draft(limit=10, threshold=1e-30)) == 10


@pytest.mark.parametrize("text", ["", "   ", "\n", "\u200b"])
def test_texts_without_words_have_nothing_to_draft_from(tokenizer: Any, text: str) -> None:
    case = Case(tokenizer, Choice, text, "{", ProposalStatistics())
    case.draft()
    assert not case.drafter.disabled
