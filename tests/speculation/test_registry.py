"""Every registered proposer keeps to the protocol; unknown names are refused; nothing here loads torch."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from extractft import GenerationConfig, completion
from extractft.completion import GenerationRequest
from extractft.config import ProposerName
from extractft.constraints import GrammarCompiler, TokenMasks
from extractft.errors import ConfigError
from extractft.schema import Schema
from extractft.speculation import MAX_DRAFT, PROPOSERS, Draft, Drafter, Proposer, make_proposer, registry

VOCAB = 264
TEXT = "Tre of Rome, and Ab"
RECORD = '{"name":"Tre","place":"Rome"}'


class Pair(BaseModel):
    name: str
    place: str | None = None


@pytest.fixture(scope="module")
def request_of_pair(tokenizer: Any) -> GenerationRequest:
    compiler = GrammarCompiler(tokenizer, vocab_size=VOCAB, end_token_id=tokenizer.eos_token_id)
    return GenerationRequest((1,), compiler.compile(Schema.of(Pair)), 80, tuple(tokenizer.encode(TEXT)))


def draft_record(request: GenerationRequest, proposer: Proposer, record: list[int], end: int) -> list[Draft]:
    """The drafts of a record that is decided as `record` says, a pass at a time."""
    masks, matcher = TokenMasks(1 + MAX_DRAFT, VOCAB), request.grammar.matcher()
    drafter, known, drafts, done = Drafter(request, proposer, end), [*record, end], [], 0
    while done < len(record):
        masks.fill(0, matcher)
        drafts.append(drafter.draft(matcher, masks, 0, limit=MAX_DRAFT, threshold=0.05))
        depths: list[int] = []
        for parent in drafts[-1].parents:
            depths.append(1 if parent < 0 else depths[parent] + 1)
        path = drafts[-1].accepted([known[min(done + depth, len(record))] for depth in (0, *depths)])
        decided = record[done : done + len(path) + 1]
        drafter.observe(decided)
        for token_id in decided:
            matcher.consume(token_id)
        done += len(decided)
    drafter.finish()
    return drafts


@pytest.mark.parametrize("name", PROPOSERS)
def test_drafts_are_what_the_grammar_allows_and_the_record_is_made(
    tokenizer: Any, request_of_pair: GenerationRequest, name: str
) -> None:
    proposer, record = make_proposer(name), tokenizer.encode(RECORD)
    for _ in range(4):
        drafts = draft_record(request_of_pair, proposer, record, tokenizer.eos_token_id)
        assert 0 < len(drafts) <= len(record)
        for draft in drafts:
            assert tokenizer.eos_token_id not in draft.token_ids
            pairs = list(zip(draft.parents, draft.token_ids, strict=True))
            assert len(set(pairs)) == len(pairs)


def test_each_proposer_takes_no_more_passes_than_the_one_before(
    tokenizer: Any, request_of_pair: GenerationRequest
) -> None:
    record = tokenizer.encode(RECORD)
    passes = []
    for name in PROPOSERS:
        proposer = make_proposer(name)
        drafts = [draft_record(request_of_pair, proposer, record, tokenizer.eos_token_id) for _ in range(4)]
        passes.append(len(drafts[-1]))
    assert passes[0] == len(record)
    assert passes == sorted(passes, reverse=True)
    assert passes[-1] < passes[1] < passes[0], "the shipped ones each save something"


def test_the_example_of_the_docstring_is_a_proposer(tokenizer: Any, request_of_pair: GenerationRequest) -> None:
    lines = str(registry.__doc__).splitlines()
    code = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line))
    names: dict[str, Any] = dict(vars(completion))
    exec(f"from __future__ import annotations\n{code}", names)
    proposer, record = names["LastRecordProposer"](), tokenizer.encode(RECORD)
    passes = [len(draft_record(request_of_pair, proposer, record, tokenizer.eos_token_id)) for _ in range(2)]
    assert passes[1] < passes[0] < len(record)


def test_unknown_proposers_are_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape(f"Expected a proposer ({', '.join(PROPOSERS)}), found 'x'")):
        make_proposer("x")


def test_settings_take_the_registered_names_and_no_others() -> None:
    assert get_args(ProposerName) == tuple(PROPOSERS)
    assert GenerationConfig().proposer in PROPOSERS
    with pytest.raises(ValidationError, match="prompt_lookup"):
        GenerationConfig(proposer="x")


def test_proposers_load_no_torch() -> None:
    code = "import sys, extractft.speculation; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
