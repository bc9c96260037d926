"""Training of an extractor's adapter: rows prepared, trained on, and what the extractor knows afterwards.

Knows which room comes after which; knows no tensors and no file formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from extractft.confidence.calibration import Calibration
from extractft.config import TrainingConfig
from extractft.data import Example
from extractft.extractor.data_split import DataSplit
from extractft.extractor.outcomes import BestOutcomes, answers_of, comparable
from extractft.extractor.pipeline import Pipeline
from extractft.extractor.row_windows import split_long_rows
from extractft.modeling import merge_adapter
from extractft.training import TrainingResult, build_features, train

__all__ = ["Fitted", "fit_adapter"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Result of training beside the weights in the model and the pipeline's settings.

    Attributes:
        config: The settings as they were filled in.
        result: How training ended.
    """

    config: TrainingConfig
    result: TrainingResult


def fit_adapter(
    runner: Pipeline[T], model: Any, rows: DataSplit[T], config: TrainingConfig, directory: Path, *, resume: bool
) -> Fitted:
    """Train the adapter of a model on rows, score it with the runner, and calibrate the runner's confidences.

    Args:
        runner: Extracts with the model; its decoding settings and its calibration are replaced.
        model: The model with its adapter, which is merged afterwards if the settings say so.
        rows: The rows as they were loaded.
        config: Training settings.
        directory: Where the run works.
        resume: Go on with an interrupted run.

    Raises:
        DatasetError: Rows cannot be learned; all of them are in `.issues`.
        TrainingError: Training failed.
    """
    rows = split_long_rows(rows, runner, config)
    rows.check(runner.schema, runner.chat, runner.grammar, config)
    rows = rows.with_absences(runner.schema, config)
    features = build_features(rows.train, runner.schema, runner.chat, config)
    longest = max(len(row.completion_ids) for row in features)
    runner.generation = runner.generation.replace(min_budget=max(runner.generation.min_budget, 2 * longest))
    config = config.replace(generation=runner.generation)
    best = BestOutcomes(runner.schema, rows.scored[: config.max_eval_rows])
    result = train(
        model,
        features,
        config=config,
        output_dir=directory,
        scorer=best.scorer(runner.run_in_training) if rows.scored else None,
        eval_features=build_features(rows.held_out, runner.schema, runner.chat, config) if rows.held_out else None,
        resume=resume,
        scored_rows=len(rows.scored),
    )
    if runner.generation.merge_adapter:
        merge_adapter(model)
    if rows.scored:
        _calibrate(runner, best, rows.scored[: config.max_eval_rows], result)
    return Fitted(config, result)


def _calibrate(
    pipeline: Pipeline[T], best: BestOutcomes[T], scored: Sequence[Example[T]], result: TrainingResult
) -> None:
    """Calibrate confidences on held-out rows, by the outcomes of the best scoring where they are known."""
    texts = (example.text for example in scored)
    outcomes = best.outcomes_of(result.metrics.get("field_f1")) or comparable(pipeline.schema, pipeline.run(texts))
    answers = answers_of(pipeline.schema, scored, outcomes, pipeline.raw_confidence)
    pipeline.calibration = Calibration.fit(answers)
