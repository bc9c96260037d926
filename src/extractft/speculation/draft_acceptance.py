"""Drafts, and how much of one is accepted: a tree of proposed tokens that one pass of the model checks at once.

Knows token ids; knows no model and no grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["MAX_DRAFT", "Draft", "min_acceptance"]

MAX_DRAFT = 64
"""Most tokens of one draft."""
_THRESHOLD, _ROW_THRESHOLD, _HIGHEST_THRESHOLD = 0.16, 0.02, 0.5


def min_acceptance(rows: int) -> float:
    """Least probability to be right that makes a proposal worth a place in a pass of so many rows.

    A pass of many rows costs more for each token. To begin with, 0.12 to 0.23 came to the same within a fiftieth on
    five sets, counted at 52 ms a pass and 2.7 ms a token beyond six (`benchmarks/drafting.py`).
    """
    return min(_HIGHEST_THRESHOLD, _THRESHOLD + _ROW_THRESHOLD * rows)


@dataclass(slots=True)
class Draft:
    """A tree of proposed tokens.

    Attributes:
        token_ids: The tokens, each behind the one that it follows.
        parents: Index of the token that each follows; -1 for those that may come next.
    """

    token_ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.token_ids)

    def accepted(self, decided: Sequence[int]) -> list[int]:
        """The proposals that the model decided on as well, as indices from the first on.

        Args:
            decided: The token decided behind the record, and behind each token of the draft: one more than those.
        """
        children = {pair: index for index, pair in enumerate(zip(self.parents, self.token_ids, strict=True))}
        path: list[int] = []
        following = children.get((-1, decided[0]))
        while following is not None:
            path.append(following)
            following = children.get((following, decided[following + 1]))
        return path
