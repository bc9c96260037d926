"""What people do around `fit`: rows of a notebook, a sweep with Optuna, TensorBoard beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from transformers import TrainerCallback

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.errors import ConfigError


class Order(BaseModel):
    """An order."""

    item: str
    note: str | None = None


RECORDS = {"tea now": ("tea", "now"), "rice": ("rice", None), "salt soon": ("salt", "soon"), "oil": ("oil", None)}
CONFIG = TrainingConfig(
    learning_rate=2e-2, num_train_epochs=2, eval_fraction=0, warmup_steps=0, seed=1, lora=LoRAConfig(r=4)
)


@pytest.fixture
def notebook_file(tmp_path: Path) -> Path:
    """One JSON file as notebooks have it: a system prompt, the text as instruction or input, the record as a string."""
    rows = [
        {
            "system": "You extract orders.",
            "instruction": text if index % 2 else "Extract the order as JSON.",
            "input": "" if index % 2 else text,
            "output": json.dumps({"item": item, "note": note}, ensure_ascii=False),
        }
        for index, (text, (item, note)) in enumerate(RECORDS.items())
    ]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    return path


def test_the_file_of_a_notebook_is_trained_on_as_it_is(notebook_file: Path, tiny_base: Path) -> None:
    config = CONFIG.replace(num_train_epochs=100, learning_rate=2e-2, lora=LoRAConfig(r=8, lora_dropout=0.0))
    extractor = Extractor.fit(Order, notebook_file, base_model=tiny_base, config=config)
    found = {text: extractor.extract(text) for text in RECORDS}
    assert found == {text: Order(item=item, note=note) for text, (item, note) in RECORDS.items()}


def test_a_sweep_with_optuna_keeps_the_best_and_ends_hopeless_trials(notebook_file: Path, tiny_base: Path) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    scores: dict[int, float] = {}

    class Prune(TrainerCallback):
        def __init__(self, trial: Any) -> None:
            self.trial = trial

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            self.trial.report(metrics["eval_field_f1"], state.global_step)
            if self.trial.params["learning_rate"] < 1e-3:
                raise optuna.TrialPruned

    def objective(trial: Any) -> float:
        config = CONFIG.replace(
            learning_rate=trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
            lora=LoRAConfig(r=trial.suggest_categorical("r", [4, 8])),
        )
        options: dict[str, Any] = {"base_model": tiny_base, "eval_data": notebook_file, "config": config}
        extractor = Extractor.fit(Order, notebook_file, callbacks=[Prune(trial)], **options)
        scores[trial.number] = extractor.metrics["field_f1"]
        return scores[trial.number]

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({"learning_rate": 1e-4, "r": 4})
    study.optimize(objective, n_trials=4)
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED
    assert study.trials[0].intermediate_values
    assert 0 not in scores
    assert study.best_value == max(scores.values())
    assert len(scores) == 4 - sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)


def test_callbacks_and_trackers_are_checked_before_rows_are_read(tiny_base: Path, tmp_path: Path) -> None:
    for options in (
        {"callbacks": [print]},
        {"config": CONFIG.replace(report_to="tensorbord")},
        {"config": CONFIG.replace(report_to=["swanlab"])},
    ):
        with pytest.raises(ConfigError):
            Extractor.fit(Order, tmp_path / "missing.json", base_model=tiny_base, **options)


def test_tensorboard_beside_a_fit(notebook_file: Path, tiny_base: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = CONFIG.replace(report_to="tensorboard")
    options: dict[str, Any] = {"base_model": tiny_base, "eval_data": notebook_file, "config": config}
    extractor = Extractor.fit(Order, notebook_file, output_dir=tmp_path / "run", **options)
    (directory,) = (tmp_path / "run" / "runs").iterdir()
    events = EventAccumulator(str(directory)).Reload()
    assert len(events.Scalars("train/loss")) == extractor.training_result.steps
    assert max(event.value for event in events.Scalars("eval/field_f1")) >= extractor.metrics["field_f1"] - 1e-6
    written = b"".join(path.read_bytes() for path in directory.iterdir())
    assert not [text for text in RECORDS if text.encode() in written and " " in text]
