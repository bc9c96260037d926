"""The slow ways that the fast ones are measured against, taken for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from extractft.inference import TransformersEngine
from extractft.training import plan


@contextmanager
def padded_training(*, active: bool = True) -> Iterator[None]:
    """Train in padded batches, as if no model could be packed."""
    packed = plan.packed_engine
    if active:
        plan.packed_engine = lambda *_, **__: "asked for"  # type: ignore[assignment]
    try:
        yield
    finally:
        plan.packed_engine = packed


@contextmanager
def reference_decoding(*, active: bool = True) -> Iterator[None]:
    """Decode a token at a time, as if no model could be packed."""
    packed: Any = TransformersEngine.__dict__["packed"]
    if active:
        TransformersEngine.packed = property(lambda _: False)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        TransformersEngine.packed = packed  # type: ignore[method-assign]
