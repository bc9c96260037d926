"""The proposers by name, as `GenerationConfig.proposer` names them: the place to register another one.

A proposer guesses the next tokens of a record. `Drafter` grows its guesses into a draft, one pass of the model checks
the draft, and what was wrong is thrown away: so a proposer changes the time that a record takes, and never the record.
The protocols are `Proposer` and `RecordProposer` in `completion.py`. A proposer is two small classes in a module beside
this one, the first for the engine and the second for each record:

    class LastRecordProposer:
        def __init__(self) -> None:
            self.last: tuple[int, ...] = ()

        def start(self, request: GenerationRequest) -> LastRecord:
            return LastRecord(self)

    class LastRecord:
        def __init__(self, proposer: LastRecordProposer) -> None:
            self.proposer = proposer

        def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
            if choices.forced is not None:
                return [Proposal(choices.forced, 0.95)]
            last = self.proposer.last
            return [Proposal(last[len(record)], 0.5)] if len(record) < len(last) else []

        def observe(self, record: tuple[int, ...], decided: Sequence[int]) -> None:
            pass

        def finish(self, record: tuple[int, ...]) -> None:
            self.proposer.last = record

Its "last record" is the one that ended last: of records side by side, that may be one that began later.

Then add its name to `ProposerName` in `config.py` and a line to `PROPOSERS` below, which is in the order of passes:
each takes as many as the one before or fewer, and a test holds them to it. `tests/inference/test_proposers.py` and
`tests/speculation/test_registry.py` try it like all others: every record has to be as `ReferenceEngine` decides it.
`python benchmarks/drafting.py passes SET` counts what it buys, and `seconds` what it takes. Then write it where its
name is told to users: the docstring of `GenerationConfig.proposer`, the table of `docs/design.md` ("Proposers"), the
tables of `docs/benchmarks.md` and `CHANGELOG.md`. A proposer that is not registered can be handed to an engine:
`TransformersEngine(..., proposer=LastRecordProposer())`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from extractft.completion import Proposer
from extractft.config import ProposerName
from extractft.errors import ConfigError
from extractft.speculation.learned_proposer import LearnedProposer
from extractft.speculation.prompt_lookup_proposer import PromptLookupProposer
from extractft.speculation.simple_proposers import ForcedProposer, NoProposer

__all__ = ["PROPOSERS", "make_proposer"]

PROPOSERS: Mapping[ProposerName, Callable[[], Proposer]] = MappingProxyType(
    {
        "none": NoProposer,
        "forced": ForcedProposer,
        "prompt_lookup": PromptLookupProposer,
        "learned": LearnedProposer,
    }
)
"""Each proposer by its name, in the order of the passes that a record takes, most first."""


def make_proposer(name: str) -> Proposer:
    """A new proposer, which has seen nothing yet.

    Raises:
        ConfigError: There is no proposer of this name.
    """
    for known, make in PROPOSERS.items():
        if known == name:
            return make()
    raise ConfigError(f"Expected a proposer ({', '.join(PROPOSERS)}), found {name!r}.")
