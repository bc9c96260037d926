"""Trees of proposals: what is in them, what they leave as it was, and which of them were right."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from extractft.completion import GenerationRequest
from extractft.constraints import GrammarCompiler, TokenMasks
from extractft.schema import Schema
from extractft.speculation import MAX_DRAFT, Draft, Drafter
from extractft.speculation.learned_proposer import LearnedProposer

VOCAB = 264


class Pair(BaseModel):
    name: str
    place: str | None = None


class Case:
    """A row that is at some place of its record."""

    def __init__(
        self, tokenizer: Any, schema: Any, text: str, record: str, proposer: LearnedProposer | None = None
    ) -> None:
        self.tokenizer = tokenizer
        compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
        self.grammar = compiler.compile(Schema.of(schema))
        self.request = GenerationRequest((1,), self.grammar, 50, draft_ids=tuple(tokenizer.encode(text)))
        self.proposer = proposer or LearnedProposer()
        self.drafter = Drafter(self.request, self.proposer, tokenizer.eos_token_id)
        self.masks = TokenMasks(1 + MAX_DRAFT, VOCAB)
        self.matcher = self.grammar.matcher()
        self.go_on(record)

    def go_on(self, record: str) -> None:
        ids = self.tokenizer.encode(record)
        for token_id in ids:
            self.matcher.consume(token_id)
        self.drafter.observe(ids)

    def learn(self, record: str) -> None:
        self.proposer.start(self.request).finish(tuple(self.tokenizer.encode(record)))

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
    proposer = LearnedProposer()
    known = Case(tokenizer, Pair, "", "", proposer)
    for record in ('{"name":"ab","place":"x"}', '{"name":"ac"}', '{"name":"ad","place":"y"}'):
        known.learn(record)
    case = Case(tokenizer, Pair, "", '{"name":"', proposer)
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
    proposer = LearnedProposer()
    known = Case(tokenizer, Pair, "", "", proposer)
    for record in ('{"name":"ab","place":"x"}', '{"name":"ac"}') * 3:
        known.learn(record)
    case = Case(tokenizer, Pair, "I am Tre and live here", '{"name":"Tre', proposer)
    ways = case.branches(case.draft(threshold=0.05))
    assert any(way.startswith('","place":"') for way in ways)
    assert any(way.startswith('"}') for way in ways)
    assert any(way.startswith(" and") for way in ways)


def test_a_value_is_guessed_where_words_stand_that_stood_before_others(tokenizer: Any) -> None:
    proposer = LearnedProposer()
    for name in ("Ab", "Cd", "Ef"):
        known = Case(tokenizer, Pair, f"i={name};", "", proposer)
        known.learn(f'{{"name":"{name}"}}')
    case = Case(tokenizer, Pair, "i=Xyz;", '{"name":"', proposer)
    assert any(way.startswith('Xyz"}') for way in case.branches(case.draft()))


def test_a_draft_ends_where_it_is_no_longer_worth_it(tokenizer: Any) -> None:
    case = Case(tokenizer, str, "hello world", '"hel')
    assert len(case.draft(limit=3)) == 3
    assert len(case.draft(limit=0)) == 0
    assert 0 < len(case.draft(threshold=0.4)) < 8
    proposer = LearnedProposer()
    for _ in range(30):
        case = Case(tokenizer, str, "hello world", '"hel', proposer)
        case.draft()
        case.drafter.observe(tokenizer.encode("z"))
    assert len(Case(tokenizer, str, "hello world", '"hel', proposer).draft(threshold=0.2)) == 0


def test_what_is_right_is_found_along_the_tree() -> None:
    #   -1 -> 5 -> 6 -> 7
    #      -> 8 -> 6
    draft = Draft([5, 8, 6, 6, 7], [-1, -1, 0, 1, 2])
    assert draft.accepted([5, 6, 0, 7, 0, 9]) == [0, 2, 4]
    assert draft.accepted([8, 0, 6, 1, 2, 3]) == [1, 3]
    assert draft.accepted([5, 9, 0, 0, 0, 0]) == [0]
    assert draft.accepted([9, 0, 0, 0, 0, 0]) == []
    assert Draft().accepted([3]) == []


class Choice(BaseModel):
    name: str | None = None
    place: str | None = None


def test_a_word_of_the_text_tells_the_next_key(tokenizer: Any) -> None:
    proposer = LearnedProposer()
    for _ in range(12):
        for text, key in (("red car", "name"), ("blue bus", "place")):
            case = Case(tokenizer, Choice, text, '{"', proposer)
            case.draft()
            case.go_on(key[0])
            case.learn(f'{{"{key}":"x"}}')

    def acceptance(text: str) -> dict[str, float]:
        case = Case(tokenizer, Choice, text, '{"', proposer)
        case.draft()
        state = case.drafter._proposals._states[case.drafter._record]  # type: ignore[attr-defined]
        return {tokenizer.decode([scored.token_id]): scored.probability for scored in state.scored}

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
    case = Case(tokenizer, Choice, text, "{", LearnedProposer())
    case.draft()
    assert not case.drafter.disabled
