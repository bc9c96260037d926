"""The proposers by name, as `GenerationConfig.proposer` names them: the one place to register another one.

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

Then add a line to `PROPOSERS` below. `tests/inference/test_proposers.py` and `tests/speculation/test_registry.py` try
it like all others: every record has to be as `ReferenceEngine` decides it. `python benchmarks/drafting.py passes SET`
counts what it buys. A proposer that is not registered can be handed to an engine:
`TransformersEngine(..., proposer=LastRecordProposer())`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from extractft.completion import Proposer
from extractft.errors import ConfigError
from extractft.speculation.learned_proposer import LearnedProposer
from extractft.speculation.prompt_lookup_proposer import PromptLookupProposer
from extractft.speculation.simple_proposers import ForcedProposer, NoProposer

__all__ = ["PROPOSERS", "make_proposer"]

PROPOSERS: Mapping[str, Callable[[], Proposer]] = MappingProxyType(
    {
        "none": NoProposer,
        "forced": ForcedProposer,
        "prompt_lookup": PromptLookupProposer,
        "learned": LearnedProposer,
    }
)
"""Each proposer by its name, the simplest first."""


def make_proposer(name: str) -> Proposer:
    """A new proposer, which has seen nothing yet.

    Raises:
        ConfigError: There is no proposer of this name.
    """
    if name not in PROPOSERS:
        raise ConfigError(f"Expected a proposer ({', '.join(PROPOSERS)}), found {name!r}.")
    return PROPOSERS[name]()
