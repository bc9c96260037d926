"""Keyword arguments of the verbs that make an extractor, for type checkers: the record's type decides what they give.

What each means stands with the verbs of `Extractor`. Knows types alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from extractft.completion import Engine
from extractft.config import GenerationConfig, PromptConfig, TrainingConfig

__all__ = ["BaseSettings", "FitSettings", "LoadSettings"]


class FitSettings(TypedDict, total=False):
    """Keyword arguments of `Extractor.fit`."""

    base_model: str | Path | None
    eval_data: Any
    config: TrainingConfig | None
    output_dir: str | Path | None
    columns: Mapping[str, str] | None
    init_adapter: str | Path | None
    from_scratch: bool
    add: Any
    resume: bool
    overwrite: bool
    callbacks: Sequence[Any]


class BaseSettings(TypedDict, total=False):
    """Keyword arguments of `Extractor.from_base`."""

    base_model: str | Path
    prompt: PromptConfig | None
    generation: GenerationConfig | None
    device: str
    dtype: str


class LoadSettings(TypedDict, total=False):
    """Keyword arguments of `Extractor.from_pretrained` beside `schema`."""

    engine: str | Engine | None
    base_model: str | Path | None
    device: str
    dtype: str
