"""Training of an extractor: rows prepared and trained on, and the extractor put together afterwards.

Knows which room comes after which; knows no tensors and no file formats. Loads torch, so that it is reached through
the engine registry alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from extractft.artifact import require_unchanged
from extractft.confidence.calibration import Calibration
from extractft.confidence.field_rates import FieldRates, field_rates
from extractft.confidence.token_confidence import Confidence
from extractft.config import TrainingConfig
from extractft.data import Example, LoadedExamples
from extractft.errors import TrainingError
from extractft.evaluation import EvaluationReport
from extractft.extractor import preflight
from extractft.extractor.argument_checks import user_directory
from extractft.extractor.data_split import DataSplit
from extractft.extractor.explain import Explainer
from extractft.extractor.extraction import Extraction, Outcome
from extractft.extractor.extractor import Extractor
from extractft.extractor.fit_comparison import FitComparison
from extractft.extractor.loaded_model import LoadedModel
from extractft.extractor.outcomes import BestOutcomes, answers_of, comparable, report_of
from extractft.extractor.pipeline import Pipeline
from extractft.extractor.row_windows import split_long_rows
from extractft.extractor.runtime import Provenance
from extractft.modeling import merge_adapter
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.training import (
    Features,
    RowEncoder,
    TrainingResult,
    build_features,
    check_callbacks,
    check_reporting,
    exclusive_randomness,
    is_main_process,
    train,
)

__all__ = ["fit_extractor"]

T = TypeVar("T")
logger = logging.getLogger(__name__)


def fit_extractor(
    cls: type[Extractor[T]],
    schema: Any,
    data: Any,
    *,
    base_model: str | Path | None,
    eval_data: Any,
    config: TrainingConfig | None,
    output_dir: str | Path | None,
    columns: Mapping[str, str] | None,
    init_adapter: str | Path | None,
    from_scratch: bool,
    add: Any,
    resume: bool,
    overwrite: bool,
    callbacks: Sequence[Any],
) -> Extractor[T]:
    """Train an extractor; arguments and errors are those of `Extractor.fit`."""
    if resume and output_dir is None:
        raise TrainingError("resume=True needs the output_dir of the interrupted run, found None.")
    origin: preflight.Origin[T] = preflight.Origin.of(schema, base_model, columns, config, init_adapter, from_scratch)
    directory = None if output_dir is None else user_directory(output_dir, "output_dir")
    check_callbacks(callbacks)
    check_reporting(origin.config, directory)
    with ExitStack() as stack:
        place = stack.enter_context(preflight.run_place(directory, resume=resume, overwrite=overwrite))
        rows = origin.load_rows(data if add is None else origin.merged(data, add), eval_data)
        stack.enter_context(exclusive_randomness())
        before = None if add is None else _before(cls, origin, rows)
        extractor = _trained(cls, origin, rows, place, before, resume=resume, callbacks=callbacks)
        if directory is not None and is_main_process():
            extractor.save_pretrained(directory / "extractor")
    return extractor


def _trained(
    cls: type[Extractor[T]],
    origin: preflight.Origin[T],
    rows: DataSplit[T],
    place: Path,
    before: EvaluationReport | None,
    *,
    resume: bool,
    callbacks: Sequence[Any],
) -> Extractor[T]:
    """An extractor with a trained adapter: a fresh one, or a saved one with the prompt it was trained with."""
    manifest, config = origin.manifest, origin.config
    prompt = render_system_prompt(origin.schema, config.prompt) if manifest is None else manifest.system_prompt
    base = LoadedModel.trainable(origin.resolve(), config, origin.weights)
    if origin.adapter is not None and manifest is not None:
        require_unchanged(origin.adapter, manifest)
    chat = ChatRenderer(base.tokenizer, prompt, frame=None if manifest is None else manifest.chat_frame)
    config = config.replace(max_length=min(config.max_length, base.window))
    engine, grammar = base.engine(chat, config.generation), base.grammar(chat)
    pipeline = Pipeline(origin.schema, chat, engine, grammar, config.generation, base.window)
    fitted = _fit_adapter(_Run(pipeline, base.model, config, place, engine.reset, callbacks), rows, resume=resume)
    return cls(
        origin.schema,
        chat,
        engine,
        grammar,
        generation=fitted.config.generation,
        max_window=base.window,
        provenance=Provenance(
            fitted.config,
            dict(fitted.result.metrics),
            origin.columns,
            fitted.result,
            base,
            fitted.rates,
            rows.rule,
            None if before is None else _comparison(origin, rows, before, fitted),
        ),
        calibration=fitted.calibration,
    )


@dataclass(frozen=True, slots=True)
class _Run(Generic[T]):
    """A run that is about to begin.

    Attributes:
        pipeline: Extracts with the model.
        model: The model with its adapter, which is merged afterwards if the settings say so.
        config: Training settings.
        directory: Where the run works.
        release: Makes the engine give its memory back to the training that goes on.
        callbacks: Callbacks of the caller's own.
    """

    pipeline: Pipeline[T]
    model: Any
    config: TrainingConfig
    directory: Path
    release: Callable[[], None]
    callbacks: Sequence[Any] = ()

    def outcomes(self, examples: Sequence[Example[T]]) -> list[Outcome[T]]:
        """The outcomes of examples in the midst of training."""
        outcomes = list(self.pipeline.run(example.text for example in examples))
        self.release()
        return outcomes


@dataclass(frozen=True, slots=True)
class _Fitted:
    """Result of training beside the weights in the model.

    Attributes:
        config: The settings as they were filled in.
        result: How training ended.
        calibration: Makes confidences believable, if there were rows to learn it from.
        rates: Rates of the fields in the rows.
        outcomes: Outcomes of the held-out rows.
    """

    config: TrainingConfig
    result: TrainingResult
    calibration: Calibration | None
    rates: FieldRates
    outcomes: Sequence[Outcome[Any]]


class _Answered(NamedTuple):
    """Use of the held-out rows after training.

    Attributes:
        calibration: Makes confidences believable, if there were rows to learn it from.
        confidences: Confidences in the records of these rows.
        outcomes: Their outcomes.
    """

    calibration: Calibration | None = None
    confidences: Sequence[Confidence] = ()
    outcomes: Sequence[Outcome[Any]] = ()


def _fit_adapter(run: _Run[T], rows: DataSplit[T], *, resume: bool) -> _Fitted:
    """Train the adapter of a model on rows, score it as it decodes, and calibrate its confidences.

    Raises:
        DatasetError: Rows cannot be learned; all of them are in `.issues`.
        TrainingError: Training failed.
    """
    pipeline, config = run.pipeline, run.config
    encoder = RowEncoder(pipeline.schema, pipeline.chat)
    trained = [example.output for example in rows.train]
    rows, generation = split_long_rows(rows, pipeline, config, encoder)
    rows.check(encoder, pipeline.grammar, config)
    rows = rows.with_absences(pipeline.schema, config)
    features = _features(rows.train, encoder, config, rows.train_numbers)
    longest = max(len(row.completion_ids) for row in features)
    generation = generation.replace(min_budget=max(generation.min_budget, 2 * longest))
    config = config.replace(generation=generation)
    run = replace(run, pipeline=pipeline.with_generation(generation), config=config)
    best = BestOutcomes(pipeline.schema, rows.scored[: config.max_eval_rows])
    result = train(
        run.model,
        features,
        config=config,
        output_dir=run.directory,
        scorer=best.scorer(run.outcomes) if rows.scored else None,
        eval_features=_features(rows.held_out, encoder, config, rows.held_out_numbers) if rows.held_out else None,
        resume=resume,
        scored_rows=len(rows.scored),
        callbacks=run.callbacks,
    )
    if generation.merge_adapter:
        merge_adapter(run.model)
    answered = _answered(run.pipeline, best, rows.scored[: config.max_eval_rows], result)
    rates = field_rates(pipeline.schema, trained, answered.confidences)
    return _Fitted(config, result, answered.calibration, rates, answered.outcomes)


def _features(
    examples: Sequence[Example[T]], encoder: RowEncoder[T], config: TrainingConfig, numbers: Sequence[int]
) -> Features:
    return build_features(examples, encoder.schema, encoder.chat, config, encoder=encoder, numbers=numbers)


def _answered(
    pipeline: Pipeline[T], best: BestOutcomes[T], scored: Sequence[Example[T]], result: TrainingResult
) -> _Answered:
    """Calibrate confidences on held-out rows, by the outcomes of the best scoring where they are known."""
    if not scored:
        return _Answered()
    texts = (example.text for example in scored)
    outcomes = best.outcomes_of(result.metrics.get("field_f1")) or comparable(pipeline.schema, pipeline.run(texts))
    explainer = Explainer(pipeline.schema, pipeline.grammar.spelling)
    calibration = Calibration.fit(answers_of(pipeline.schema, scored, outcomes, explainer.raw_confidence))
    sure = explainer.calibrated(calibration)
    confidences = [sure.confidence(found) for found in outcomes if isinstance(found, Extraction)]
    return _Answered(calibration, confidences, outcomes)


def _before(cls: type[Extractor[T]], origin: preflight.Origin[T], rows: DataSplit[T]) -> EvaluationReport | None:
    """Scores of the extractor that lends its weights or its settings, on the held-out rows; `None` if there is none."""
    scored = rows.scored[: origin.config.max_eval_rows]
    if origin.adapter is None or not scored:
        return None
    config = origin.config
    settings: dict[str, Any] = {"base_model": origin.base_model, "device": config.device, "dtype": config.dtype}
    logger.info("scoring the extractor before on %d held-out rows", len(scored))
    extractor = cls.from_pretrained(origin.adapter, schema=origin.schema, **settings)
    report = extractor.evaluate(scored)
    del extractor
    return report


def _comparison(
    origin: preflight.Origin[T], rows: DataSplit[T], before: EvaluationReport, fitted: _Fitted
) -> FitComparison:
    """Both scores, and whether the rows are those of the training before."""
    scored = rows.scored[: fitted.config.max_eval_rows]
    loaded = LoadedExamples(list(scored), list(range(1, len(scored) + 1)))
    after = report_of(origin.schema, loaded, fitted.outcomes, keep_records=False, keep_texts=False)
    known = None if origin.manifest is None else origin.manifest.held_out_rule
    same = known is not None and rows.rule is not None and known.sha256 == rows.rule.sha256
    return FitComparison(before, after, same)
