"""The three lines: fit, extract, save. Wires the rooms together and owns nothing that a lower floor could own.

Knows which room comes after which; knows no tensors, no grammar syntax and no file formats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, TypeVar

from extractft.artifact import Manifest, load_manifest, require_unchanged, save_artifact
from extractft.completion import Engine
from extractft.confidence.calibration import Calibration
from extractft.config import GenerationConfig, PromptConfig, TrainingConfig
from extractft.constraints import GrammarCompiler
from extractft.data import Example, load_examples, load_numbered_examples
from extractft.errors import ArtifactError, ConfigError, ExtractionError, TrainingError
from extractft.evaluation import CalibrationReport, EvaluationReport
from extractft.extractor import preflight
from extractft.extractor.data_split import DataSplit
from extractft.extractor.extraction import Extraction, Outcome
from extractft.extractor.fit import fit_adapter
from extractft.extractor.loaded_model import LoadedModel
from extractft.extractor.outcomes import answers_of, comparable, report_of, route_low_confidence
from extractft.extractor.pipeline import EXPLANATIONS, Pipeline
from extractft.modeling import resolve_base_model
from extractft.processes import BoundToProcess
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.schema import Schema
from extractft.training import TrainingResult, exclusive_randomness, is_main_process

__all__ = ["Extractor"]

T = TypeVar("T")


class Extractor(BoundToProcess, Generic[T]):
    """Extracts validated records of one schema from texts.

    Made by `fit`, `from_base` or `from_pretrained`; the constructor is the seam for other engines and for tests.
    Safe to share between threads, and not between processes: each loads it for itself with `from_pretrained`.

    Args:
        schema: The schema of the records.
        chat: Renders prompts and answers.
        engine: Makes completions.
        grammar: Compiles the schema for the engine's vocabulary.
        generation: Decoding settings.
        max_window: Longest prompt and answer together, in tokens.
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
    ) -> None:
        preflight.require_parts(schema, max_window)
        self.schema = schema
        self.generation = preflight.setting(generation, GenerationConfig)
        self.config = TrainingConfig(generation=self.generation)
        self.metrics: dict[str, float] = {}
        self.training_result: TrainingResult | None = None
        self._pipeline = Pipeline(schema, chat, engine, grammar, self.generation, max_window)
        self._base: LoadedModel | None = None
        self._columns: Mapping[str, str] | None = None

    # ------------------------------------------------------------------------------------------------- making one

    @classmethod
    def fit(
        cls,
        schema: type[T] | Schema[T] | Any,
        data: Any,
        *,
        base_model: str | Path | None = None,
        eval_data: Any = None,
        config: TrainingConfig | None = None,
        output_dir: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        init_adapter: str | Path | None = None,
        resume: bool = False,
    ) -> Extractor[T]:
        """Fine-tune a small model to extract records of `schema`.

        One run trains at a time in a process; a second one, in another thread, waits.

        Args:
            schema: A Pydantic model, or any type that Pydantic's `TypeAdapter` takes; `None` for `init_adapter`'s own.
            data: Examples: pairs, dicts, `Example`s, a file, a `datasets.Dataset` or a pandas `DataFrame`; see
                `extractft.data.load_examples`.
            base_model: Hub id, local directory, `.gguf` file or short name; `None` for that of `init_adapter`, or else
                `"Qwen/Qwen3-0.6B"`.
            eval_data: Examples to choose the best checkpoint on; a share of `data` is held out if there are none.
            config: Training settings.
            output_dir: Where checkpoints and, in `extractor/`, the finished extractor are kept, by one run at a time; a
                temporary directory if `None`, and then a run cannot be resumed.
            columns: Column mapping, `{"text": "their column", "output": "their column"}`; `None` for that of
                `init_adapter`.
            init_adapter: A saved extractor to go on from, with its schema, base model, columns, prompt and the shape of
                its adapter.
            resume: Go on with an interrupted run in `output_dir`.

        Raises:
            SchemaError: The type cannot be turned into a schema, or what is saved of it not into classes again.
            DatasetError: Rows are bad; all of them are in `.issues`.
            ArtifactNotFoundError: The base model is not to be had.
            ArtifactMismatchError: `init_adapter` has another schema, base model, prompt or shape than is asked for.
            ArtifactError: In `output_dir`, something else has the place of the finished extractor.
            ConfigError: `config` is not a `TrainingConfig`, says otherwise than a `Schema` about defaults, or leaves no
                room for a text.
            TrainingError: Training failed, `output_dir` cannot be written, is in use or holds files of others, or the
                interrupted run was another one or is damaged.
        """
        if resume and output_dir is None:
            raise TrainingError("resume=True needs the output_dir of the interrupted run, found None.")
        origin: preflight.Origin[T] = preflight.Origin.of(schema, base_model, columns, config, init_adapter)
        directory = None if output_dir is None else preflight.user_directory(output_dir, "output_dir")
        with ExitStack() as stack:
            place = stack.enter_context(preflight.run_place(directory, resume=resume))
            rows = origin.load_rows(data, eval_data)
            stack.enter_context(exclusive_randomness())
            extractor = cls._to_train(origin)
            extractor._fit(rows, place, resume=resume)
            if directory is not None and is_main_process():
                extractor.save_pretrained(directory / "extractor")
        return extractor

    @classmethod
    def from_base(
        cls,
        schema: type[T] | Schema[T] | Any,
        *,
        base_model: str | Path = preflight.DEFAULT_BASE_MODEL,
        prompt: PromptConfig | None = None,
        generation: GenerationConfig | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> Extractor[T]:
        """The untrained baseline: the same prompt and the same guarantees, without an adapter.

        Raises:
            SchemaError: The type cannot be turned into a schema.
            ArtifactNotFoundError: The base model is not to be had.
            ConfigError: A setting is of another kind or contradicts a `Schema`, or there is no such device here.
        """
        config = TrainingConfig(
            prompt=preflight.setting(prompt, PromptConfig), generation=preflight.setting(generation, GenerationConfig)
        )
        spec, config = preflight.settled_schema(schema, config)
        system_prompt = render_system_prompt(spec, config.prompt)
        base = LoadedModel.load(resolve_base_model(base_model), device=device, dtype=dtype)
        extractor = cls._assemble(spec, base, ChatRenderer(base.tokenizer, system_prompt), config.generation)
        extractor.config = config
        return extractor

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        schema: type[T] | Schema[T] | Any = None,
        base_model: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> Extractor[T]:
        """Load a saved extractor.

        Args:
            path: The directory that `save_pretrained` wrote.
            schema: The class of the records; rebuilt from the manifest if `None`.
            base_model: Where the base model is now, if not where it was; its weights have to be the same.
            device: Device to load the model on.
            dtype: Type of the base weights; `int8` is faster on a processor, and `evaluate` says at what price.

        Raises:
            ConfigError: There is no such device or dtype here.
            ArtifactNotFoundError: The directory, or the base model, is missing.
            ArtifactMismatchError: The class or the base model is not the one of the extractor.
        """
        path = preflight.user_directory(path, "path")
        manifest = load_manifest(path)
        spec: Schema[T] = preflight.own_schema(manifest, schema)
        if base_model is not None:
            ref = resolve_base_model(base_model)
            manifest.require_base_model(ref)
        else:
            ref = manifest.locate_base_model()
        base = LoadedModel.restored(ref, path, manifest, device=device, dtype=dtype)
        chat = ChatRenderer(base.tokenizer, manifest.system_prompt, frame=manifest.chat_frame)
        extractor = cls._assemble(spec, base, chat, manifest.config.generation)
        extractor.config = manifest.config
        extractor.metrics = dict(manifest.metrics)
        extractor._columns = manifest.columns
        if manifest.calibration is not None:
            extractor._pipeline.calibration = Calibration.from_dict(manifest.calibration)
        require_unchanged(path, manifest)
        return extractor

    def save_pretrained(self, path: str | Path) -> None:
        """Write the extractor to a directory that PEFT can load as well: adapter, tokenizer, manifest.

        Raises:
            ArtifactError: The directory holds something else, or the extractor has no model of its own.
        """
        base = self._own_base()
        manifest = Manifest.create(
            schema=self.schema,
            system_prompt=self.system_prompt,
            config=self.config,
            base_model=base.ref,
            metrics=self.metrics,
            columns=self._columns,
            calibration=None if self._pipeline.calibration is None else self._pipeline.calibration.to_dict(),
            chat_frame=self._pipeline.chat.frame,
        )
        save_artifact(path, manifest=manifest, model=base.model, tokenizer=base.tokenizer)

    # ------------------------------------------------------------------------------------------------- using it

    @property
    def base_model(self) -> str:
        """Name of the base model as it was given; of a directory or a file, its absolute path."""
        ref = self._own_base().ref
        return ref.origin or ref.name

    @property
    def system_prompt(self) -> str:
        """The system prompt that the model sees."""
        return self._pipeline.chat.system_prompt

    def render(self, text: str) -> str:
        """The whole prompt for `text` as the model sees it, control tokens spelled out."""
        return self._pipeline.chat.render(text)

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
        return self._pipeline.explanation(self._pipeline.run_one(text))

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Collection[str] = EXPLANATIONS
    ) -> Iterator[Outcome[T]]:
        """`inspect` for many texts, lazily and in order; the same arguments and errors as `extract_many`.

        Args:
            texts: As for `extract_many`.
            batch_size: As for `extract_many`.
            explain: Parts to compute, of `"confidence"` and `"spans"`; each takes time beside decoding.
        """
        if unknown := sorted(set(explain) - set(EXPLANATIONS)):
            raise ConfigError(f"expected parts to explain out of {', '.join(EXPLANATIONS)}, found {unknown[0]!r}")
        outcomes = self._pipeline.outcomes(texts, batch_size)
        return (self._pipeline.explained(outcome, explain) for outcome in outcomes)

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
        """
        if min_confidence is not None and not (isinstance(min_confidence, int | float) and 0 <= min_confidence <= 1):
            raise ConfigError(f"expected a min_confidence between 0 and 1, found {min_confidence!r}")
        outcomes = self._pipeline.outcomes(texts, batch_size)
        if min_confidence is not None:
            outcomes = (route_low_confidence(outcome, min_confidence, self._pipeline) for outcome in outcomes)
        return (outcome if isinstance(outcome, ExtractionError) else outcome.output for outcome in outcomes)

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
        answers = answers_of(self.schema, loaded.examples, outcomes, self._pipeline.confidence)
        return report.with_calibration(answers.report())

    def calibrate(self, data: Any, *, columns: Mapping[str, str] | None = None) -> dict[str, CalibrationReport]:
        """Learn anew how far confidences can be believed, from examples that the model was not trained on.

        `fit` does so on the held-out rows, which are few; a hundred more make a better curve.

        Args:
            data: Examples, as `fit` takes them.
            columns: Column mapping, ours to theirs.

        Returns:
            How good the new confidences of `"values"` and `"records"` are, each example's made from the others alone.

        Raises:
            DatasetError: Rows are bad, or there is no record to learn from.
        """
        examples = load_examples(data, self.schema, columns=columns)
        answers = answers_of(self.schema, examples, self._run(examples), self._pipeline.raw_confidence)
        reports = answers.cross_fitted().report()
        self._pipeline.calibration = Calibration.fit(answers)
        return reports

    # ------------------------------------------------------------------------------------------------- inside

    @classmethod
    def _assemble(
        cls, schema: Schema[T], base: LoadedModel, chat: ChatRenderer, generation: GenerationConfig
    ) -> Extractor[T]:
        engine, grammar = base.engine(chat, generation), base.grammar(chat)
        extractor = cls(schema, chat, engine, grammar, generation=generation, max_window=base.window)
        extractor._base = base
        return extractor

    @classmethod
    def _to_train(cls, origin: preflight.Origin[T]) -> Extractor[T]:
        """An extractor whose adapter is trainable: a fresh one, or a saved one with the prompt it was trained with."""
        ref, manifest, config = origin.resolve(), origin.manifest, origin.config
        prompt = render_system_prompt(origin.schema, config.prompt) if manifest is None else manifest.system_prompt
        base = LoadedModel.trainable(ref, config, origin.adapter)
        if origin.adapter is not None and manifest is not None:
            require_unchanged(origin.adapter, manifest)
        chat = ChatRenderer(base.tokenizer, prompt, frame=None if manifest is None else manifest.chat_frame)
        extractor = cls._assemble(origin.schema, base, chat, config.generation)
        extractor.config = config.replace(max_length=min(config.max_length, base.window))
        extractor._columns = origin.columns
        return extractor

    def _fit(self, rows: DataSplit[T], directory: Path, *, resume: bool) -> None:
        fitted = fit_adapter(self._pipeline, self._own_base().model, rows, self.config, directory, resume=resume)
        self.generation, self.config = self._pipeline.generation, fitted.config
        self.training_result = fitted.result
        self.metrics = dict(fitted.result.metrics)

    def _own_base(self) -> LoadedModel:
        if self._base is None:
            raise ArtifactError("Expected an extractor with a model, found one on an engine of its own.").hint(
                "Only extractors made by fit, from_base or from_pretrained have a base model and can be saved."
            )
        return self._base

    def _run(self, examples: Sequence[Example[T]]) -> list[Outcome[T]]:
        return comparable(self.schema, self._pipeline.run(example.text for example in examples))
