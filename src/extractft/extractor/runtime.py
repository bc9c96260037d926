"""Parts that an extractor is made of, whoever brings them: an engine with its tokenizer, a past, weights to save.

Knows the parts by their interfaces; knows no model and no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from extractft.artifact import BaseModelRecord, Manifest, ModelShape
from extractft.completion import Engine
from extractft.confidence.field_rates import FieldRates
from extractft.config import GenerationConfig, TrainingConfig
from extractft.constraints import GrammarCompiler
from extractft.data import HeldOutRule
from extractft.extractor.fit_comparison import FitComparison
from extractft.modeling.base_model_ref import BaseModelRef
from extractft.prompt import ChatRenderer
from extractft.schema import Schema
from extractft.training.result import TrainingResult

__all__ = ["EngineOptions", "Provenance", "Runtime", "SavedExtractor", "Weights"]


class Weights(Protocol):
    """The model behind an extractor, as far as saving it goes."""

    @property
    def base_model(self) -> BaseModelRef | BaseModelRecord:
        """Origin of the base weights."""
        ...

    def shape(self, chat: ChatRenderer) -> ModelShape:
        """Sizes of the model."""
        ...

    def save(self, path: str | Path, manifest: Manifest) -> None:
        """Write adapter, tokenizer and manifest to a directory.

        Raises:
            ArtifactError: It cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """An engine that is ready, with what requests to it are made of.

    Attributes:
        chat: Renders prompts and answers.
        engine: Makes completions.
        grammar: Compiles schemas for the engine's vocabulary.
        max_window: Longest prompt and answer together, in tokens.
        weights: The model to save.
    """

    chat: ChatRenderer
    engine: Engine
    grammar: GrammarCompiler
    max_window: int
    weights: Weights


@dataclass(frozen=True, slots=True)
class Provenance:
    """The past of an extractor.

    Attributes:
        config: The settings it was made with.
        metrics: Scores on the held-out rows.
        columns: Column mapping of the data that it was trained on, ours to theirs.
        training_result: End of the training that made it, in this process.
        weights: The model to save; `None` for an extractor on an engine of the caller's own.
        field_rates: Rates of the fields in its training data, `None` if they are not known.
        held_out: The rows that it was scored on and never trained on, as far as they are known.
        comparison: Scores before and after the training that made it, in this process, if corrections were added.
    """

    config: TrainingConfig
    metrics: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, str] | None = None
    training_result: TrainingResult | None = None
    weights: Weights | None = None
    field_rates: FieldRates | None = None
    held_out: HeldOutRule | None = None
    comparison: FitComparison | None = None


@dataclass(frozen=True, slots=True)
class SavedExtractor:
    """A saved extractor that is about to be opened.

    Attributes:
        path: Its directory.
        manifest: Its manifest.
        schema: The schema of its records, with the caller's classes if there are any.
    """

    path: Path
    manifest: Manifest
    schema: Schema[Any]

    @property
    def generation(self) -> GenerationConfig:
        """Its decoding settings."""
        return self.manifest.config.generation


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The caller's word on the engine.

    Attributes:
        engine: Name, address or the engine itself, as `Extractor.from_pretrained` takes it.
        base_model: Where the base model is now, if not where it was.
        device: Device to load the model on.
        dtype: Type of the base weights.
    """

    engine: Any = None
    base_model: str | Path | None = None
    device: str = "auto"
    dtype: str = "auto"
