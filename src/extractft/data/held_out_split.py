"""Split examples into training and held-out ones, equal texts on the same side. Knows examples, no files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from extractft.data.example import Example
from extractft.errors import DatasetError
from extractft.text import normal_form

__all__ = ["row_rank", "split_examples", "text_key"]

T = TypeVar("T")


def text_key(text: str) -> str:
    """A key that texts share if they differ in nothing but Unicode form, white space and case."""
    folded = " ".join(normal_form("NFC", text).split()).casefold()
    return normal_form("NFC", folded)


def split_examples(
    examples: Sequence[Example[T]], *, fraction: float, seed: int
) -> tuple[list[Example[T]], list[Example[T]]]:
    """Hold out a share of the examples; equal texts (see `text_key`) are on the same side.

    Texts are ranked by a hash of seed and text, not by their place: the order of the rows does not matter, and when
    rows are added, those held out before mostly stay held out.

    Args:
        examples: All examples.
        fraction: Share to hold out, 0 <= fraction < 1. Above 0, both sides get at least one example if there are two
            different texts. Groups of equal texts are kept whole, so the share is met as nearly as they allow.
        seed: Seed of the split.

    Returns:
        Training and held-out examples, each in the order given.

    Raises:
        DatasetError: `fraction` is out of range.
    """
    if not 0 <= fraction < 1:
        raise DatasetError(f"expected a fraction from 0 to below 1, found {fraction}")
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(text_key(example.text), []).append(index)
    held_out: set[int] = set()
    if fraction > 0 and len(groups) > 1:
        ranked = sorted(groups, key=lambda key: row_rank(seed, key))
        target = max(1, round(fraction * len(examples)))
        for key in ranked:
            if len(held_out) + len(groups[key]) <= target:
                held_out.update(groups[key])
        if not held_out:  # every group is larger than the target
            held_out.update(groups[min(ranked, key=lambda key: len(groups[key]))])
        if len(held_out) == len(examples):
            held_out.difference_update(groups[ranked[-1]])
    train = [example for index, example in enumerate(examples) if index not in held_out]
    return train, [example for index, example in enumerate(examples) if index in held_out]


def row_rank(seed: int, key: str) -> bytes:
    """The rank of a text, by its key: equal texts have one, and the order of rows does not matter."""
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest()
