"""Statistics learned from record to record, and that they stay bounded."""

from __future__ import annotations

import pytest

from extractft.speculation import proposal_statistics
from extractft.speculation.json_cursor import INITIAL
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.proposal_statistics import (
    AgreedKind,
    EvidenceKind,
    Kind,
    PairContext,
    ProposalStatistics,
    Source,
    close_context,
    contexts,
)


def ids(text: str) -> list[int]:
    return list(text.encode())


def pair(text: str) -> PairContext:
    return PairContext(*text.encode())


def spelling(token_id: int) -> bytes:
    return bytes((token_id,))


def source(*words: str) -> PromptLookup:
    """A text whose tokens are words."""
    pieces = [word.encode() for word in words]
    return PromptLookup(range(len(pieces)), pieces.__getitem__, lambda spelled: list(spelled))


def learned(*records: str) -> ProposalStatistics:
    memory = ProposalStatistics()
    for record in records:
        memory.learn(ids(record), spelling, None)
    return memory


def test_what_follows_is_known_by_place_and_by_the_last_two_tokens() -> None:
    memory = learned('{"a":"x","b":1}', '{"a":"yy","b":1}', '{"a":"z"}')
    place = INITIAL.advance(b'{"a":"q"')
    tail = pair('q"')
    known = contexts(place, tail)
    assert known[0] == tail
    assert memory.next_token_counts(known[0]) == []  # `q"` was never seen
    assert memory.next_token_counts(known[1]) == [(ord(","), 2, 1), (ord("}"), 1, 2)]
    assert memory.next_token_counts(pair('{"')) == [(ord("a"), 3, 0)]


def test_how_strings_of_a_field_end_is_known_whatever_they_say() -> None:
    memory = learned('{"a":"x"}', '{"a":"yyyy"}')
    inside = INITIAL.advance(b'{"a":"something else')
    closing = close_context(inside)
    assert closing is not None
    assert memory.next_token_counts(closing) == [(ord('"'), 2, 0)]
    assert contexts(inside, PairContext(0, 0))[-1] != closing
    assert close_context(INITIAL.advance(b'{"a')) is None


def test_long_values_are_no_places_of_their_own() -> None:
    place = INITIAL.advance(b'{"a":"' + b"x" * 33)
    assert contexts(place, PairContext(1, 2)) == [PairContext(1, 2)]


def test_rare_followers_make_way_and_counts_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal_statistics, "_MOST_NEXT_TOKENS", 4)
    memory = learned(*(f'{{"a":"{char}"}}' for char in "vwxyzzz"))
    next_token_counts = memory.next_token_counts(contexts(INITIAL.advance(b'{"a":"'), pair(':"'))[1])
    assert len(next_token_counts) == 4
    assert max(next_token_counts, key=lambda follower: follower[1])[0] == ord("z")
    memory = learned(*['{"a":1}'] * 40)
    assert memory.next_token_counts(pair('{"'))[0][1] <= 16


def test_words_around_values_are_learned() -> None:
    memory = ProposalStatistics()
    for name, place in (("Tre", "Rome"), ("Ab", "Bonn")):
        text = source("name", f" {name}", " from", f" {place}", " please", " name")
        memory.learn(ids(f'{{"name":"{name}","place":"{place}"}}'), spelling, text)
    assert memory.starts(b"name", [(9, b"name", b"")]) == [(9, 2, 2, 0)]
    assert memory.starts(b"name", [(9, b"name", b"other")]) == [(9, 1, 2, 0)]
    assert memory.starts(b"place", [(9, b"from", b"x")]) == [(9, 1, 2, 0)]
    assert memory.starts(b"place", [(9, b"name", b"")]) == []
    assert memory.stop(b"place", b"please") == (2, 0)
    assert memory.stop(b"place", b"from") == (0, 0)
    # A value of several words, and words that look like a beginning and are none.
    memory.learn(ids('{"name":"Ab please"}'), spelling, source("name", " Ab", " please", " name", " Ab"))
    assert memory.stop(b"name", b"please") == (0, 1)
    assert memory.starts(b"name", [(9, b"name", b"please")]) == [(9, 1, 3, 1)]


def test_values_that_are_not_in_the_text_tell_nothing() -> None:
    memory = ProposalStatistics()
    memory.learn(ids('{"a":"other","b":""}'), spelling, source("a", " text"))
    assert len(memory._starts) == len(memory._stops) == 0


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal_statistics, "_KEPT", 10)
    memory = learned(*(f'{{"key{n}":"value{n}"}}' for n in range(20)))
    assert len(memory._next_tokens) == 10
    assert memory.next_token_counts(pair('9"')) != []


@pytest.mark.parametrize(
    "kind",
    [
        EvidenceKind(Source.FORCED),
        EvidenceKind(Source.PAIR, (2, 1)),
        EvidenceKind(Source.PLACE, (4, 0)),
        EvidenceKind(Source.START, (1, 2, 3)),
        EvidenceKind(Source.COPY, (1, 3, 0, 4)),
        EvidenceKind(Source.CLOSE, (1, 4, 0, 2, 2)),
        EvidenceKind(Source.CLOSE, (0, 0, 0, 1, 0)),
        AgreedKind((Source.COPY,), 9),
    ],
)
def test_rates_follow_what_is_observed(kind: Kind) -> None:
    memory = ProposalStatistics()
    before = memory.rate(kind)
    assert 0 < before <= 1
    memory.observe((kind, False) for _ in range(40))
    assert memory.rate(kind) < before / 3
    memory.observe((kind, True) for _ in range(200))
    assert memory.rate(kind) > 0.9
