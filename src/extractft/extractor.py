"""The three lines: fit, extract, save. Wires the rooms together and owns nothing that a lower floor could own.

Knows which room comes after which; knows no tensors, no grammar syntax and no file formats.
"""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from extractft.artifact import Manifest, load_manifest, save_artifact
from extractft.config import GenerationConfig, PromptConfig, TrainingConfig
from extractft.data import Example, check_examples, load_examples, split_examples
from extractft.decoding import (
    Completion,
    Engine,
    GenerationRequest,
    GrammarCompiler,
    RecordSize,
    TransformersEngine,
    accepts,
)
from extractft.errors import (
    ArtifactMismatchError,
    DatasetError,
    ExtractionError,
    InputTooLongError,
    OutputInvalidError,
    OutputTruncatedError,
    PromptError,
    TrainingError,
)
from extractft.evaluation import EvaluationReport, Failure, evaluate_records, score_records
from extractft.modeling import BaseModelRef, attach_lora, load_adapter, load_model, load_tokenizer, resolve_base_model
from extractft.prompt import ChatRenderer, normalize_text, render_system_prompt
from extractft.schema import Schema
from extractft.training import TrainingResult, build_features, train

__all__ = ["Extraction", "Extractor"]

T = TypeVar("T")
DEFAULT_BASE_MODEL = "Qwen/Qwen3-0.6B"
MIN_ROOM = 64
"""New tokens that must fit into the window behind the prompt, or the text is too long."""
MIN_STRING = 64
"""Characters that a free string may have at least, however short the text: not every value is copied."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Extraction(Generic[T]):
    """A record with what is known about how it came about.

    Attributes:
        output: The validated record.
        text: The text as it was handed in.
        raw_output: The JSON that the model wrote.
        completion: The decided tokens with their log-probabilities and alternatives.
        truncated: Whether the budget ran out and the record was closed early.
    """

    output: T
    text: str
    raw_output: str
    completion: Completion
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class _Base:
    """A base model in memory, and where it came from."""

    ref: BaseModelRef
    tokenizer: Any
    model: Any


class Extractor(Generic[T]):
    """Extracts validated records of one schema from texts.

    Made by `fit`, `from_base` or `from_pretrained`; the constructor is the seam for other engines and for tests.
    Safe to share between threads.

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
        self.schema = schema
        self.generation = generation or GenerationConfig()
        self.max_window = max_window
        self.metrics: dict[str, float] = {}
        self.config = TrainingConfig(generation=self.generation)
        self.training_result: TrainingResult | None = None
        self._chat = chat
        self._engine = engine
        self._grammar = grammar
        self._size = RecordSize.of(schema, lambda piece: len(chat.text_ids(piece)))
        self._base: _Base | None = None

    # ------------------------------------------------------------------------------------------------- making one

    @classmethod
    def fit(
        cls,
        schema: type[T] | Schema[T] | Any,
        data: Any,
        *,
        base_model: str = DEFAULT_BASE_MODEL,
        eval_data: Any = None,
        config: TrainingConfig | None = None,
        output_dir: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        init_adapter: str | Path | None = None,
        resume: bool = False,
    ) -> Extractor[T]:
        """Fine-tune a small model to extract records of `schema`.

        Args:
            schema: A Pydantic model, or any type that Pydantic's `TypeAdapter` takes.
            data: Examples: pairs, dicts, `Example`s, a file, a `datasets.Dataset` or a pandas `DataFrame`; see
                `extractft.data.load_examples`.
            base_model: Hub id, local directory, `.gguf` file or short name.
            eval_data: Examples to choose the best checkpoint on; a share of `data` is held out if there are none.
            config: Training settings.
            output_dir: Where checkpoints and, in `extractor/`, the finished extractor are kept; a temporary directory
                if `None`, and then a run cannot be resumed.
            columns: Column mapping, `{"text": "their column", "output": "their column"}`.
            init_adapter: A saved extractor of the same schema and base model to go on from.
            resume: Go on with an interrupted run in `output_dir`.

        Raises:
            SchemaError: The type cannot be turned into a schema.
            DatasetError: Rows are bad; all of them are in `.issues`.
            ArtifactNotFoundError: The base model is not to be had.
            TrainingError: Training failed, or the interrupted run was another one.
        """
        config = config or TrainingConfig()
        if resume and output_dir is None:
            raise TrainingError("resume=True needs the output_dir of the interrupted run, found None.")
        spec: Schema[T] = Schema.of(schema, omit_defaults=config.prompt.omit_defaults)
        rows = load_examples(data, spec, columns=columns)
        if eval_data is None:
            train_rows, eval_rows = split_examples(rows, fraction=config.eval_fraction, seed=config.seed)
        else:
            train_rows, eval_rows = rows, load_examples(eval_data, spec, columns=columns)
        ref = resolve_base_model(base_model)
        base = _Base(ref, load_tokenizer(ref), load_model(ref, device=config.device, dtype=config.dtype))
        manifest = None if init_adapter is None else _matching_manifest(init_adapter, spec, ref)
        prompt = manifest.system_prompt if manifest else render_system_prompt(spec, config.prompt)
        extractor = cls._assemble(spec, base, prompt, config.generation)
        extractor._refuse_bad_rows(train_rows, eval_rows)
        if init_adapter is None:
            model = attach_lora(base.model, config.lora, seed=config.seed)
        else:
            model = load_adapter(base.model, init_adapter, trainable=True)
        with ExitStack() as stack:
            directory = Path(output_dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="extractft-")))
            result = train(
                model,
                build_features(train_rows, spec, extractor._chat, config),
                config=config,
                output_dir=directory,
                scorer=extractor._scorer(eval_rows[: config.max_eval_rows]) if eval_rows else None,
                eval_features=build_features(eval_rows, spec, extractor._chat, config) if eval_rows else None,
                resume=resume,
            )
        extractor._adopt(_Base(ref, base.tokenizer, model))
        extractor.config = config
        extractor.training_result = result
        extractor.metrics = dict(result.metrics)
        if output_dir is not None:
            extractor.save_pretrained(Path(output_dir) / "extractor")
        return extractor

    @classmethod
    def from_base(
        cls,
        schema: type[T] | Schema[T] | Any,
        *,
        base_model: str = DEFAULT_BASE_MODEL,
        prompt: PromptConfig | None = None,
        generation: GenerationConfig | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> Extractor[T]:
        """The untrained baseline: the same prompt and the same guarantees, without an adapter.

        Raises:
            SchemaError: The type cannot be turned into a schema.
            ArtifactNotFoundError: The base model is not to be had.
        """
        prompt = prompt or PromptConfig()
        spec: Schema[T] = Schema.of(schema, omit_defaults=prompt.omit_defaults)
        ref = resolve_base_model(base_model)
        base = _Base(ref, load_tokenizer(ref), load_model(ref, device=device, dtype=dtype))
        extractor = cls._assemble(spec, base, render_system_prompt(spec, prompt), generation or GenerationConfig())
        extractor.config = TrainingConfig(prompt=prompt, generation=extractor.generation)
        return extractor

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        schema: type[T] | Schema[T] | Any = None,
        base_model: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> Extractor[T]:
        """Load a saved extractor.

        Args:
            path: The directory that `save_pretrained` wrote.
            schema: The class of the records; rebuilt from the manifest if `None`.
            base_model: Where the base model is now, if not where it was; its weights have to be the same.
            device: Device to load the model on.
            dtype: Type of the base weights.

        Raises:
            ArtifactNotFoundError: The directory, or the base model, is missing.
            ArtifactMismatchError: The class or the base model is not the one of the extractor.
        """
        manifest = load_manifest(path)
        spec: Schema[T] = manifest.rebuild_schema()
        if schema is not None:
            spec = Schema.of(schema, omit_defaults=manifest.config.prompt.omit_defaults)
            manifest.require_schema(spec)
        own = manifest.base_model
        ref = resolve_base_model(base_model) if base_model else resolve_base_model(own.name, revision=own.revision)
        manifest.require_base_model(ref)
        base = _Base(ref, load_tokenizer(ref), load_model(ref, device=device, dtype=dtype))
        extractor = cls._assemble(spec, base, manifest.system_prompt, manifest.config.generation)
        if manifest.adapter:
            extractor._adopt(_Base(ref, base.tokenizer, load_adapter(base.model, path)))
        extractor.config = manifest.config
        extractor.metrics = dict(manifest.metrics)
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
        )
        save_artifact(path, manifest=manifest, model=base.model, tokenizer=base.tokenizer)

    # ------------------------------------------------------------------------------------------------- using it

    @property
    def base_model(self) -> str:
        """Name of the base model, as it was given."""
        return self._own_base().ref.name

    @property
    def system_prompt(self) -> str:
        """The system prompt that the model sees."""
        return self._chat.system_prompt

    def render(self, text: str) -> str:
        """The whole prompt for `text` as the model sees it, control tokens spelled out."""
        return self._chat.render(text)

    def extract(self, text: str) -> T:
        """Extract the record from one text.

        Raises:
            ExtractionError: There is no valid record; the text and the raw output are on the exception.
        """
        return self.inspect(text).output

    def inspect(self, text: str) -> Extraction[T]:
        """Extract the record from one text, with the completion that it was read from.

        Raises:
            ExtractionError: There is no valid record; the text and the raw output are on the exception.
        """
        outcome = next(self._run([text]))
        if isinstance(outcome, ExtractionError):
            raise outcome
        return outcome

    def extract_many(self, texts: Iterable[str], *, batch_size: int | None = None) -> Iterator[T | ExtractionError]:
        """Extract from many texts, lazily and in order; a text that fails gives its error and spoils only itself.

        Args:
            texts: Any iterable; it is read a batch ahead at most.
            batch_size: Texts decoded side by side; the extractor's setting if `None`.

        Yields:
            A record, or the `ExtractionError` that `extract` would have raised.
        """
        for outcome in self._run(texts, batch_size=batch_size):
            yield outcome if isinstance(outcome, ExtractionError) else outcome.output

    def evaluate(
        self, data: Any, *, columns: Mapping[str, str] | None = None, keep_records: bool = False
    ) -> EvaluationReport:
        """Extract from examples and compare with their gold records, field by field.

        Args:
            data: Examples, as `fit` takes them.
            columns: Column mapping, ours to theirs.
            keep_records: Keep every difference in `EvaluationReport.errors`. They are private data.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
        """
        examples = load_examples(data, self.schema, columns=columns)
        predictions, closed_early = self._predictions(examples)
        return evaluate_records(
            self.schema,
            [example.output for example in examples],
            predictions,
            texts=[example.text for example in examples],
            closed_early=closed_early,
            keep_records=keep_records,
        )

    # ------------------------------------------------------------------------------------------------- inside

    @classmethod
    def _assemble(cls, schema: Schema[T], base: _Base, prompt: str, generation: GenerationConfig) -> Extractor[T]:
        chat = ChatRenderer(base.tokenizer, prompt)
        vocab_size = base.model.get_input_embeddings().num_embeddings
        grammar = GrammarCompiler(base.tokenizer, vocab_size=vocab_size, end_token_id=chat.end_token_id)
        engine = _engine(base, chat, generation)
        window = base.model.config.get_text_config().max_position_embeddings
        extractor = cls(schema, chat, engine, grammar, generation=generation, max_window=window)
        extractor._base = base
        return extractor

    def _adopt(self, base: _Base) -> None:
        self._base = base
        self._engine = _engine(base, self._chat, self.generation)

    def _own_base(self) -> _Base:
        if self._base is None:
            raise TrainingError("This extractor runs on an engine of its own and has no model to save or train.")
        return self._base

    def _scorer(self, examples: Sequence[Example[T]]) -> Any:
        """What training calls to score the model as it stands, by real generation."""
        gold = [example.output for example in examples]

        def score(model: Any) -> dict[str, float]:
            self._adopt(_Base(self._own_base().ref, self._own_base().tokenizer, model))
            return score_records(self.schema, gold, self._predictions(examples)[0])

        return score

    def _predictions(self, examples: Sequence[Example[T]]) -> tuple[list[T | Failure], list[int]]:
        """A record or a failure for each example, and the positions of records that were closed early."""
        outcomes = list(self._run(example.text for example in examples))
        closed = [i for i, o in enumerate(outcomes) if isinstance(o, Extraction) and o.truncated]
        return [_failure(o) if isinstance(o, ExtractionError) else o.output for o in outcomes], closed

    def _refuse_bad_rows(self, train_rows: Sequence[Example[T]], eval_rows: Sequence[Example[T]]) -> None:
        grammar = self._grammar.compile(self.schema)
        report = check_examples(
            train_rows,
            self.schema,
            eval_examples=eval_rows,
            accepts=lambda json_text: accepts(grammar, self._chat.completion_ids(json_text)),
        )
        if not report.ok:
            raise DatasetError("The training data has rows that cannot be learned.", issues=report.issues())
        for finding in report.warnings:
            logger.warning("%s", finding)

    def _run(self, texts: Iterable[str], *, batch_size: int | None = None) -> Iterator[Extraction[T] | ExtractionError]:
        """Outcomes in order; texts that cannot even be asked wait in line between those that can."""
        line: deque[str | ExtractionError] = deque()

        def requests() -> Iterator[GenerationRequest]:
            for text in texts:
                try:
                    request = self._request(text)
                except ExtractionError as error:
                    line.append(error)
                else:
                    line.append(text)
                    yield request

        for completion in self._engine.generate(requests(), batch_size=batch_size):
            while isinstance(head := line.popleft(), ExtractionError):
                yield head
            yield self._outcome(head, completion)
        yield from (error for error in line if isinstance(error, ExtractionError))

    def _request(self, text: str) -> GenerationRequest:
        if not isinstance(text, str):
            raise ExtractionError(f"Expected a text (str), found {type(text).__name__}.", text=str(text))
        try:
            normalized = normalize_text(text).text
            prompt_ids = self._chat.prompt_ids(normalized)
        except PromptError as error:
            raise ExtractionError(f"The text cannot be put into the prompt: {error}", text=text) from error
        text_tokens = len(prompt_ids) - len(self._chat.prefix_ids)
        budget = self.generation.max_new_tokens or self._size.budget(text_tokens)
        room = self.max_window - len(prompt_ids)
        if room < min(budget, MIN_ROOM):
            raise InputTooLongError(
                f"Expected at most {self.max_window - MIN_ROOM} prompt tokens (window {self.max_window}, "
                f"{MIN_ROOM} kept for the record), found {len(prompt_ids)}.",
                text=text,
            ).hint("Split the text, or take a base model with a longer window.")
        return GenerationRequest(
            prompt_ids=tuple(prompt_ids),
            grammar=self._grammar.compile(self.schema, max_string_length=max(len(normalized), MIN_STRING)),
            max_new_tokens=min(budget, room),
            draft_ids=tuple(self._chat.text_ids(normalized)),
        )

    def _outcome(self, text: str, completion: Completion) -> Extraction[T] | ExtractionError:
        raw = self._chat.decode(completion.token_ids)
        if completion.finish_reason == "error":
            return ExtractionError(f"Decoding failed: {completion.error}", text=text, raw_output=raw)
        truncated = completion.finish_reason != "stop"
        if completion.finish_reason == "length" or (truncated and not self.generation.keep_truncated):
            return OutputTruncatedError(
                f"The record was not complete after {len(completion.steps)} new tokens.", text=text, raw_output=raw
            ).hint("Raise GenerationConfig.max_new_tokens, or set keep_truncated to get the closed record, marked.")
        try:
            record = self.schema.parse(raw)
        except ValidationError as error:
            return _invalid(error, text, raw)
        return Extraction(record, text, raw, completion, truncated)


def _engine(base: _Base, chat: ChatRenderer, generation: GenerationConfig) -> Engine:
    pad = base.tokenizer.pad_token_id
    return TransformersEngine(
        base.model,
        end_token_id=chat.end_token_id,
        pad_token_id=chat.end_token_id if pad is None else pad,
        config=generation,
        prefix_ids=chat.prefix_ids,
    )


def _matching_manifest(path: str | Path, schema: Schema[Any], ref: BaseModelRef) -> Manifest:
    manifest = load_manifest(path)
    manifest.require_schema(schema)
    manifest.require_base_model(ref)
    if not manifest.adapter:
        raise ArtifactMismatchError(
            "There is no adapter to go on from.", expected="a trained extractor", found="an untrained one"
        )
    return manifest


def _failure(error: ExtractionError) -> Failure:
    if isinstance(error, OutputTruncatedError):
        return Failure.TRUNCATED
    return Failure.INVALID if isinstance(error, OutputInvalidError) else Failure.ERROR


def _invalid(error: ValidationError, text: str, raw: str) -> OutputInvalidError:
    """Where the schema's validators refused the record. Pydantic's error quotes values, so it is not chained."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    places = ", ".join(f"{'.'.join(map(str, d['loc'])) or 'the record'} ({d['type']})" for d in details)
    return OutputInvalidError(
        f"The schema's own validation refused the record at {places}.", text=text, raw_output=raw
    ).hint("The grammar knows types and constraints, not validators; see .raw_output for what was written.")
