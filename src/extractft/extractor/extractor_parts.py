"""The parts of an extractor, to be read and not changed. Its verbs stand in `extractor`.

Knows the parts; knows no way to use them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Self, TypeVar

from extractft.artifact import BaseModelRecord, Manifest
from extractft.completion import Engine, capabilities_of
from extractft.confidence.calibration import Calibration
from extractft.confidence.field_rates import FieldRates
from extractft.config import GenerationConfig, TrainingConfig
from extractft.constraints import GrammarCompiler
from extractft.data import Example
from extractft.errors import ArtifactError, ConfigError, ExtractionError
from extractft.extractor.argument_checks import require_parts, setting
from extractft.extractor.async_pipeline import AsyncPipeline
from extractft.extractor.explain import Explainer
from extractft.extractor.extraction import Outcome
from extractft.extractor.fit_comparison import FitComparison
from extractft.extractor.outcomes import comparable
from extractft.extractor.pipeline import Pipeline
from extractft.extractor.runtime import Provenance, Runtime, Weights
from extractft.processes import BoundToProcess
from extractft.prompt import ChatRenderer
from extractft.schema import Schema
from extractft.training.result import TrainingResult

__all__ = ["ExtractorParts"]

T = TypeVar("T")


class ExtractorParts(BoundToProcess, Generic[T]):
    """Parts of an extractor. All but the calibration stay what they are, and that changes in one step.

    Args:
        schema: The schema of the records.
        chat: Renders prompts and answers.
        engine: Makes completions.
        grammar: Compiles the schema for the engine's vocabulary.
        generation: Decoding settings.
        max_window: Longest prompt and answer together, in tokens.
        provenance: Settings, scores and weights of an extractor that was trained or loaded.
        calibration: Makes confidences believable.
    """

    def __init__(
        self,
        schema: Schema[T],
        chat: ChatRenderer,
        engine: Engine,
        grammar: GrammarCompiler,
        *,
        generation: GenerationConfig | None = None,
        max_window: int = 4096,
        provenance: Provenance | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        require_parts(schema, max_window)
        generation = setting(generation, GenerationConfig)
        self._pipeline = Pipeline(schema, chat, engine, grammar, generation, max_window)
        self._async_pipeline = AsyncPipeline(self._pipeline)
        self._provenance = provenance or Provenance(TrainingConfig(generation=generation))
        has_logprobs = capabilities_of(engine).logprobs != "none"
        self._explainer = Explainer(schema, grammar.spelling, calibration, has_logprobs)

    @classmethod
    def _on(
        cls, runtime: Runtime, schema: Schema[T], provenance: Provenance, calibration: Calibration | None = None
    ) -> Self:
        """An extractor on parts that somebody opened."""
        return cls(
            schema,
            runtime.chat,
            runtime.engine,
            runtime.grammar,
            generation=provenance.config.generation,
            max_window=runtime.max_window,
            provenance=provenance,
            calibration=calibration,
        )

    def __repr__(self) -> str:
        has_model, engine = self._provenance.weights is not None, type(self.engine).__name__
        model = f"base_model={self.base_model!r}" if has_model else f"engine={engine}"
        score = f", field_f1={self.metrics['field_f1']:.3f}" if "field_f1" in self.metrics else ""
        return f"{type(self).__name__}({self.schema.name}, {model}{score})"

    @property
    def schema(self) -> Schema[T]:
        """The schema of the records."""
        return self._pipeline.schema

    @property
    def engine(self) -> Engine:
        """The engine that makes completions; `.capabilities` says what it can."""
        return self._pipeline.engine

    @property
    def texts_at_once(self) -> int:
        """Texts that its engine works on side by side, where a caller does not say."""
        return self._async_pipeline.in_flight

    @property
    def generation(self) -> GenerationConfig:
        """Decoding settings."""
        return self._pipeline.generation

    @property
    def config(self) -> TrainingConfig:
        """The settings it was made with, every default filled in."""
        return self._provenance.config

    @property
    def metrics(self) -> dict[str, float]:
        """Scores on the held-out rows of its training."""
        return dict(self._provenance.metrics)

    @property
    def field_rates(self) -> FieldRates | None:
        """Rates of the fields in its training data: what new texts are held against; `None` if they are not known."""
        return self._provenance.field_rates

    @property
    def training_result(self) -> TrainingResult | None:
        """End of the training that made it; `None` for one that was loaded."""
        return self._provenance.training_result

    @property
    def comparison(self) -> FitComparison | None:
        """Scores before and after, if this process made it from another one with corrections (`fit(add=...)`)."""
        return self._provenance.comparison

    @property
    def base_model(self) -> str:
        """Name of the base model as it was given; of a directory or a file, its absolute path."""
        base = self._own_base().base_model
        return (base.path if isinstance(base, BaseModelRecord) else base.origin) or base.name

    @property
    def system_prompt(self) -> str:
        """The system prompt that the model sees."""
        return self._pipeline.chat.system_prompt

    def render(self, text: str) -> str:
        """The whole prompt for `text` as the model sees it, control tokens spelled out."""
        return self._pipeline.chat.render(text)

    def _manifest(self) -> Manifest:
        """The manifest of this extractor, as it stands."""
        weights, chat, calibration = self._own_base(), self._pipeline.chat, self._explainer.calibration
        return Manifest.create(
            schema=self.schema,
            system_prompt=self.system_prompt,
            config=self.config,
            base_model=weights.base_model,
            metrics=self.metrics,
            columns=self._provenance.columns,
            calibration=None if calibration is None else calibration.to_dict(),
            field_rates=self.field_rates,
            chat_frame=chat.frame,
            model_shape=weights.shape(chat),
            held_out=self._provenance.held_out,
        )

    def _own_base(self) -> Weights:
        if self._provenance.weights is None:
            raise ArtifactError("Expected an extractor with a model, found one on an engine of its own.").hint(
                "Only extractors made by fit, from_base or from_pretrained have a base model and can be saved."
            )
        return self._provenance.weights

    def _run(self, examples: Sequence[Example[T]]) -> list[Outcome[T]]:
        return comparable(self.schema, self._pipeline.run(example.text for example in examples))

    def _converter(self, min_confidence: float | None) -> Callable[[Outcome[T]], T | ExtractionError]:
        """The way from an outcome to what a caller gets, with the calibration as it is now."""
        if min_confidence is not None and not (isinstance(min_confidence, int | float) and 0 <= min_confidence <= 1):
            raise ConfigError(f"expected a min_confidence between 0 and 1, found {min_confidence!r}")
        explainer = self._explainer
        if min_confidence is not None:
            explainer.require_logprobs()

        def convert(outcome: Outcome[T]) -> T | ExtractionError:
            if min_confidence is not None:
                outcome = explainer.route_low_confidence(outcome, min_confidence)
            return outcome if isinstance(outcome, ExtractionError) else outcome.output

        return convert
