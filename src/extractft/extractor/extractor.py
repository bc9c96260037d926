"""The three lines: fit, extract, save. The verbs alone: each is done in a room of its own.

Knows which room comes after which; knows no tensors, no grammar syntax and no file formats, and loads no torch until a
model is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack, cast, overload

from extractft.artifact import load_manifest, require_unchanged
from extractft.completion import Engine
from extractft.confidence.calibration import Calibration
from extractft.config import GenerationConfig, PromptConfig, TrainingConfig
from extractft.data import load_examples, load_numbered_examples
from extractft.errors import ExtractionError
from extractft.evaluation import CalibrationReport, EvaluationReport
from extractft.export.export_manifest import ExportFormat, ExportManifest
from extractft.extractor.argument_checks import (
    DEFAULT_BASE_MODEL,
    own_schema,
    setting,
    settled_schema,
    user_directory,
)
from extractft.extractor.engine_registry import EXPORT, FIT, FRAME, OPEN_BASE, PUSH, engine_kind, load_entry
from extractft.extractor.explain import EXPLANATIONS, require_explanations
from extractft.extractor.extraction import Extraction, Outcome
from extractft.extractor.extractor_parts import ExtractorParts
from extractft.extractor.keyword_settings import BaseSettings, FitSettings, LoadSettings
from extractft.extractor.outcomes import answers_of, report_of
from extractft.extractor.runtime import EngineOptions, Provenance, Runtime, SavedExtractor
from extractft.schema import Schema

__all__ = ["Extractor"]

T = TypeVar("T")
R = TypeVar("R")  # pyright does not find a class's own variable through its bare name
F = TypeVar("F")


class Extractor(ExtractorParts[T]):
    """Extracts validated records of one schema from texts.

    Made by `fit`, `from_base` or `from_pretrained`; the constructor is the seam for other engines and for tests.
    Immutable but for `calibrate`. Safe to share between threads; processes load it for themselves.

    Args:
        schema: The schema of the records.
        chat: Renders prompts and answers.
        engine: Makes completions.
        grammar: Compiles the schema for the engine's vocabulary.
        generation: Decoding settings.
        max_window: Longest prompt and answer together, in tokens.
        provenance: Settings, scores and weights of an extractor that was trained or loaded.
        calibration: Makes confidences believable.

    Example:
        ```python
        extractor = Extractor.fit(Complaint, "complaints.jsonl")
        complaint = extractor.extract(text)
        ```
    """

    @overload
    @classmethod
    def fit(cls, schema: type[R] | Schema[R], data: Any, **settings: Unpack[FitSettings]) -> Extractor[R]: ...

    @overload
    @classmethod
    def fit(cls, schema: Any, data: Any, **settings: Unpack[FitSettings]) -> Extractor[Any]: ...

    @classmethod
    def fit(
        cls,
        schema: Any,
        data: Any,
        *,
        base_model: str | Path | None = None,
        eval_data: Any = None,
        config: TrainingConfig | None = None,
        output_dir: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        init_adapter: str | Path | None = None,
        from_scratch: bool = False,
        add: Any = None,
        resume: bool = False,
        overwrite: bool = False,
        callbacks: Sequence[Any] = (),
    ) -> Extractor[Any]:
        """Fine-tune a small model to extract records of `schema`. One run at a time trains in a process; others wait.

        Args:
            schema: A Pydantic model, or another type that `Schema.of` takes; `None` for `init_adapter`'s own.
            data: Examples: pairs, dicts, `Example`s, a file, a `datasets.Dataset` or a pandas `DataFrame`.
            base_model: Hub id, local directory, `.gguf` file or short name; `None` for `init_adapter`'s or Qwen3 0.6B.
            eval_data: Examples to choose the best checkpoint on; a share of `data` is held out if there are none.
            config: Training settings.
            output_dir: Place of checkpoints and, in `extractor/`, of the result; `None` for one that is not kept.
            columns: Column mapping, `{"text": "their column", ...}`; `None` for that of `init_adapter`.
            init_adapter: A saved extractor to go on from: schema, base model, columns, prompt, LoRA shape, held-out.
            from_scratch: Take all of that from `init_adapter` but its weights, and begin with the base model's.
            add: Corrections, merged into `data` by text or id: rows, files, a review's database; see `comparison`.
            resume: Go on with an interrupted run in `output_dir`; of a finished one, return the extractor at once.
            overwrite: Train anew where `output_dir` holds a finished run, which is refused otherwise.
            callbacks: `transformers.TrainerCallback`s, told of steps, logs (`on_log`) and scores (`on_evaluate`).

        Raises:
            SchemaError: The type cannot be turned into a schema, or what is saved of it not into classes again.
            DatasetError: Rows are bad; all of them are in `.issues`.
            ArtifactError: No such base model, `init_adapter` does not fit, or `output_dir/extractor` is something else.
            ConfigError: `config` is none, contradicts a `Schema`, leaves no room, or names an unknown tracker.
            TrainingError: Training failed, or `output_dir` cannot be used or resumed from.
        """
        options = {"base_model": base_model, "eval_data": eval_data, "config": config, "output_dir": output_dir}
        options |= {"columns": columns, "init_adapter": init_adapter, "resume": resume, "overwrite": overwrite}
        options |= {"from_scratch": from_scratch, "add": add, "callbacks": callbacks}
        return cast("Extractor[Any]", load_entry(FIT)(cls, schema, data, **options))

    @overload
    @classmethod
    def from_base(cls, schema: type[R] | Schema[R], **settings: Unpack[BaseSettings]) -> Extractor[R]: ...

    @overload
    @classmethod
    def from_base(cls, schema: Any, **settings: Unpack[BaseSettings]) -> Extractor[Any]: ...

    @classmethod
    def from_base(
        cls,
        schema: Any,
        *,
        base_model: str | Path = DEFAULT_BASE_MODEL,
        prompt: PromptConfig | None = None,
        generation: GenerationConfig | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> Extractor[Any]:
        """The untrained baseline: the same prompt and the same guarantees, without an adapter.

        Raises:
            SchemaError: The type cannot be turned into a schema.
            ArtifactNotFoundError: The base model is not to be had.
            ConfigError: A setting is of another kind or contradicts a `Schema`, or there is no such device here.
        """
        config = TrainingConfig(prompt=setting(prompt, PromptConfig), generation=setting(generation, GenerationConfig))
        spec, config = settled_schema(schema, config)
        options = EngineOptions(base_model=base_model, device=device, dtype=dtype)
        runtime: Runtime = load_entry(OPEN_BASE)(spec, config, options)
        return cls._on(runtime, spec, Provenance(config, weights=runtime.weights))

    @overload
    @classmethod
    def from_pretrained(
        cls, path: str | Path, *, schema: type[R] | Schema[R], **settings: Unpack[LoadSettings]
    ) -> Extractor[R]: ...

    @overload
    @classmethod
    def from_pretrained(
        cls, path: str | Path, *, schema: Any = None, **settings: Unpack[LoadSettings]
    ) -> Extractor[Any]: ...

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        schema: Any = None,
        engine: str | Engine | None = None,
        base_model: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> Extractor[Any]:
        """Load a saved extractor.

        Args:
            path: The directory that `save_pretrained` wrote.
            schema: The class of the records; rebuilt from the manifest if `None`.
            engine: `None` to load the model here; the address of a server that has it, `http://host:8000` or with its
                kind `vllm+http://host:8000`, for which manifest and tokenizer are enough; `"vllm"`, `"llama.cpp"` or
                `"vllm-lora"` (an adapter beside others) to start one, which ends with this process; or an engine.
            base_model: Where the base model is now, if not where it was; its weights have to be the same.
            device: Device to load the model on.
            dtype: Type of the base weights; `int8` is faster on a processor, and `evaluate` says at what price.

        Raises:
            ConfigError: There is no such device, dtype or engine.
            ArtifactNotFoundError: The directory, or the base model, is missing.
            ArtifactMismatchError: The class or the base model is not the one of the extractor.
            EngineError: The server cannot be reached, or cannot stand in for the model; the note says what to set.
        """
        path, kind = user_directory(path, "path"), engine_kind(engine)
        manifest = load_manifest(path, needed=kind.needed)
        spec: Schema[Any] = own_schema(manifest, schema)
        calibration = None if manifest.calibration is None else Calibration.from_dict(manifest.calibration)
        options = EngineOptions(engine, base_model, device, dtype)
        runtime: Runtime = load_entry(kind.opener)(SavedExtractor(path, manifest, spec), options)
        require_unchanged(path, manifest)
        told = manifest.config, manifest.metrics, manifest.columns
        rates, held_out = manifest.field_rates, manifest.held_out_rule
        past = Provenance(*told, weights=runtime.weights, field_rates=rates, held_out=held_out)
        return cls._on(runtime, spec, past, calibration)

    def save_pretrained(self, path: str | Path) -> None:
        """Write the extractor to a directory that PEFT can load as well: adapter, tokenizer, manifest.

        Raises:
            ArtifactError: The directory holds something else, or the extractor has no model of its own.
            SchemaError: The stored schema could not be turned into classes again.
        """
        self.schema.require_loadable()
        self._own_base().save(path, self._manifest())

    def export(
        self,
        path: str | Path,
        *,
        format: ExportFormat = "merged",
        dtype: str | None = None,
        quantization: str | None = None,
        force: bool = False,
    ) -> ExportManifest:
        """Write the extractor for another engine; arguments and errors are those of `export.export_model`."""
        settings = {"format": format, "dtype": dtype, "quantization": quantization, "force": force}
        parts = self._own_base(), self._pipeline.chat, self._manifest()
        return cast(ExportManifest, load_entry(EXPORT)(*parts, path, **settings))

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: str | None = None, **settings: Any) -> str:
        """Export and upload; see `export.push_to_hub`, and `export` for the `settings`. Gives the commit's address."""
        options = {"private": private, "token": token, **settings}
        return str(load_entry(PUSH)(self._own_base(), self._pipeline.chat, self._manifest(), repo_id, **options))

    def extract(self, text: str) -> T:
        """Extract the record from one text.

        Raises:
            ExtractionError: There is no valid record; the text and the raw output are on the exception.
        """
        return self._pipeline.run_one(text).output

    def inspect(self, text: str) -> Extraction[T]:
        """Extract the record from one text, with its places in the text, its confidence and its completion.

        Gives what `extract` gives; where places or confidence cannot be computed, `explanation_error` says so.

        Raises:
            ExtractionError: There is no valid record; the text and the raw output are on the exception.
        """
        return self._explainer.explanation(self._pipeline.run_one(text))

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Collection[str] = EXPLANATIONS
    ) -> Iterator[Outcome[T]]:
        """`inspect` for many texts, lazily and in order; the same arguments and errors as `extract_many`.

        Args:
            texts: As for `extract_many`.
            batch_size: As for `extract_many`.
            explain: Parts to compute, of `"confidence"` and `"spans"`; each takes time beside decoding.
        """
        require_explanations(explain)
        outcomes, explainer = self._pipeline.outcomes(texts, batch_size), self._explainer
        return (explainer.explained(outcome, explain) for outcome in outcomes)

    def extract_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, min_confidence: float | None = None
    ) -> Iterator[T | ExtractionError]:
        """Extract from many texts, lazily and in order; a text that fails gives its error and spoils only itself.

        Args:
            texts: Any iterable; it is read two batches ahead at most, not counting texts that are refused at once. If
                it raises, the texts that it gave are dealt with before the exception goes on.
            batch_size: Texts decoded side by side; the extractor's setting if `None`.
            min_confidence: Give a `LowConfidenceError` in place of each record that is less certain than this. The
                record is on the error, for a person to look it over.

        Returns:
            For each text its record, or the `ExtractionError` that `extract` would have raised.

        Raises:
            TypeError: `texts` is one text, a table, a mapping, a set, a file or no iterable.
            ConfigError: `batch_size` is less than 1, or `min_confidence` is no probability.
            EngineError: `min_confidence` is given, and the engine gives no log-probabilities.
        """
        convert = self._converter(min_confidence)
        outcomes = self._pipeline.outcomes(texts, batch_size)
        return (convert(outcome) for outcome in outcomes)

    def extract_frame(
        self, frame: F, *, text: str = "text", explain: Collection[str] = ("confidence",), batch_size: int | None = None
    ) -> F:
        """Extract from a column of a data frame: the same frame with a column for each field of the record.

        Args:
            frame: A data frame of pandas, polars or pyarrow. Rows keep their order, and in pandas their index.
            text: The column of texts; a missing one has no record.
            explain: Columns to add, of `"confidence"` (of the record) and `"spans"` (the likeliest of each value).
            batch_size: As for `extract_many`.

        Returns:
            Its columns and the records', and `error`, the kind and message for a row without a record. A column of
            `frame` that has the name of a new one becomes `input_` and its name.

        Raises:
            ConfigError: It is no data frame in memory, or has no such column of texts.
        """
        return load_entry(FRAME)(self, frame, text, tuple(explain), batch_size)  # type: ignore[no-any-return]

    async def aextract(self, text: str) -> T:
        """`extract` for callers on an event loop. Cancelling the caller cancels the request.

        Raises:
            ExtractionError: There is no valid record; the text and the raw output are on the exception.
        """
        return (await self.ainspect(text, explain=())).output

    async def ainspect(
        self, text: str, *, explain: Collection[str] = EXPLANATIONS, batch_size: int | None = None
    ) -> Extraction[T]:
        """`inspect` for callers on an event loop; arguments as of `inspect_many`, errors as of `aextract`."""
        require_explanations(explain)
        explainer, outcome = self._explainer, await self._async_pipeline.run_one(text, batch_size=batch_size)
        if isinstance(outcome, ExtractionError):
            raise outcome
        return await asyncio.to_thread(explainer.explanation, outcome, explain) if explain else outcome

    def aextract_many(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        batch_size: int | None = None,
        min_confidence: float | None = None,
    ) -> AsyncIterator[T | ExtractionError]:
        """`extract_many` for callers on an event loop; the same arguments and errors.

        A record is handed out as soon as it is its turn, also while `texts` has no more for the moment. Leaving the
        loop, or cancelling it, cancels the requests that are under way.

        Args:
            texts: An iterable of either kind. One that is not asynchronous is read on the event loop.
            batch_size: As for `extract_many`.
            min_confidence: As for `extract_many`.
        """
        return self._async_pipeline.outcomes(texts, batch_size, self._converter(min_confidence))

    def evaluate(
        self,
        data: Any,
        *,
        columns: Mapping[str, str] | None = None,
        keep_records: bool = False,
        keep_texts: bool = False,
    ) -> EvaluationReport:
        """Extract from examples and compare with their gold records, field by field.

        Args:
            data: Examples, as `fit` takes them.
            columns: Column mapping, ours to theirs.
            keep_records: Keep every difference in `EvaluationReport.errors`, with its row number in the file. They are
                private data.
            keep_texts: Keep the texts in `EvaluationReport.texts`, to show differences in them. Private data too.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
        """
        loaded = load_numbered_examples(data, self.schema, columns=columns)
        outcomes = self._run(loaded.examples)
        report = report_of(self.schema, loaded, outcomes, keep_records=keep_records, keep_texts=keep_texts)
        if not self._explainer.has_logprobs:
            return report
        answers = answers_of(self.schema, loaded.examples, outcomes, self._explainer.confidence)
        return report.with_calibration(answers.report())

    def calibrate(self, data: Any, *, columns: Mapping[str, str] | None = None) -> dict[str, CalibrationReport]:
        """Learn anew how far confidences can be believed, from examples that the model was not trained on.

        `fit` does so on the held-out rows, which are few; a hundred more make a better curve. It takes the place of the
        old one in one step: calls that are under way go on with the one that they began with.

        Args:
            data: Examples, as `fit` takes them.
            columns: Column mapping, ours to theirs.

        Returns:
            How good the new confidences of `"values"` and `"records"` are, each example's made from the others alone.

        Raises:
            DatasetError: Rows are bad, or there is no record to learn from.
            EngineError: The engine gives no log-probabilities.
        """
        self._explainer.require_logprobs()
        examples = load_examples(data, self.schema, columns=columns)
        answers = answers_of(self.schema, examples, self._run(examples), self._explainer.raw_confidence)
        reports = answers.cross_fitted().report()
        self._explainer = self._explainer.calibrated(Calibration.fit(answers))
        return reports
