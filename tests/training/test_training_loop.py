"""The loop: it learns, keeps the best weights, stops in time, repeats itself, and refuses what cannot work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from extractft.config import PROJECTIONS, TrainingConfig
from extractft.errors import PerformanceWarning, TrainingError
from extractft.testing import tiny_model
from extractft.training import Features, TrainingResult, TrainingRow, train
from extractft.training.checkpoints import adapter_state


def settings(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{"num_train_epochs": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-2, **changes})


def greedy(model: Any, row: TrainingRow) -> tuple[int, ...]:
    ids = list(row.prompt_ids)
    while len(ids) < len(row):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return tuple(ids[len(row.prompt_ids) :])


def weights(model: Any) -> dict[str, torch.Tensor]:
    return adapter_state(model)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Scores:
    """A scorer that returns given scores and remembers the weights it saw."""

    def __init__(self, *scores: float) -> None:
        self.left: Iterator[float] = iter(scores)
        self.seen: list[dict[str, torch.Tensor]] = []

    def __call__(self, model: Any) -> dict[str, float]:
        assert not model.training
        self.seen.append(weights(model))
        torch.rand(7)
        return {"field_f1": next(self.left), "exact_rate": 0.25}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3", "lfm2"])
def test_four_rows_are_memorised(adapted: Any, make_rows: Any, tmp_path: Path, family: str) -> None:
    """Whether the model can be packed or not."""
    if family == "qwen3":
        config = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.05, target_modules=list(PROJECTIONS))
        model = get_peft_model(tiny_model(), config)
    else:
        model = adapted(family, moved=False)
    rows = make_rows(4)
    assert [greedy(model, row) for row in rows] != [row.completion_ids for row in rows]
    result = train(
        model,
        Features(rows, 20),
        config=settings(num_train_epochs=100, per_device_train_batch_size=4),
        output_dir=tmp_path,
    )
    assert result.steps == result.best_step == 100
    assert result.engine == ("packed" if family == "qwen3" else "padded")
    assert [greedy(model, row) for row in rows] == [row.completion_ids for row in rows]
    assert result.metrics == {}
    assert not model.training


def test_result_says_what_it_took(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    rows = make_rows(5)
    result = train(
        adapted(moved=False),
        Features(rows, 20, skipped=(3,)),
        config=settings(),
        output_dir=tmp_path,
        scorer=Scores(0.1, 0.2),
        eval_features=Features(rows[:2], 20),
    )
    assert result.steps == 6
    assert result.tokens == 2 * sum(len(row) for row in rows)
    assert result.skipped == (3,)
    assert result.seconds > 0
    assert result.scoring_seconds > 0
    assert result.tokens_per_second == pytest.approx(result.tokens / result.seconds)
    assert set(result.metrics) == {"field_f1", "exact_rate", "loss"}
    steps = [entry for entry in result.log_history if "loss" in entry]
    assert [entry["step"] for entry in steps] == list(range(1, 7))
    assert all(set(entry) == {"step", "epoch", "loss", "grad_norm", "learning_rate"} for entry in steps)
    assert [entry["eval_field_f1"] for entry in result.log_history if "eval_field_f1" in entry] == [0.1, 0.2]
    assert TrainingResult.from_dict(result.to_dict(), best_checkpoint=result.best_checkpoint) == result


def test_kept_adapter_is_loadable_by_peft(adapted: Any, make_rows: Any, tokenizer: Any, tmp_path: Path) -> None:
    rows, model = make_rows(4), adapted(moved=False)
    result = train(model, Features(rows, 20), config=settings(), output_dir=tmp_path, tokenizer=tokenizer)
    assert result.best_checkpoint == tmp_path / "best"
    assert (tmp_path / "best" / "tokenizer.json").exists()
    base = adapted(moved=False).unload()
    loaded = PeftModel.from_pretrained(base, result.best_checkpoint).eval()
    assert same(weights(loaded), weights(model))
    ids = torch.tensor([rows[0].ids])
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


def test_best_score_is_kept(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    model, scores = adapted(moved=False), Scores(0.2, 0.8, 0.5)
    result = train(
        model,
        Features(make_rows(4), 20),
        config=settings(num_train_epochs=3),
        output_dir=tmp_path,
        scorer=scores,
    )
    assert same(weights(model), scores.seen[1])
    assert not same(weights(model), scores.seen[2])
    assert result.metrics["field_f1"] == 0.8
    assert result.best_step == 4
    assert not result.stopped_early


def test_lower_loss_decides_between_equal_scores(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    rows = make_rows(4)
    model, scores = adapted(moved=False), Scores(0.5, 0.5, 0.5, 0.5)
    result = train(
        model,
        Features(rows, 20),
        config=settings(num_train_epochs=4, early_stopping_patience=None),
        output_dir=tmp_path,
        scorer=scores,
        eval_features=Features(rows, 20),
    )
    losses = [entry["eval_loss"] for entry in result.log_history if "eval_loss" in entry]
    best = losses.index(min(losses))
    assert best > 0
    assert same(weights(model), scores.seen[best])
    assert result.metrics["loss"] == min(losses)


def test_a_lower_loss_outweighs_a_score_that_is_hardly_better(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    """Of four rows, 0.65 is within one standard error (0.2) of 0.8, and 0.55 is not, though it is of 0.65."""
    rows = make_rows(4)
    model, scores = adapted(moved=False), Scores(0.5, 0.8, 0.65, 0.55)
    result = train(
        model,
        Features(rows, 20),
        config=settings(num_train_epochs=4, early_stopping_patience=None),
        output_dir=tmp_path,
        scorer=scores,
        eval_features=Features(rows, 20),
    )
    losses = [entry["eval_loss"] for entry in result.log_history if "eval_loss" in entry]
    assert losses == sorted(losses, reverse=True)
    assert result.metrics["field_f1"] == 0.65
    assert same(weights(model), scores.seen[2])


def test_lowest_loss_is_kept_without_a_scorer(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    """Evaluated on other rows than it learns, the loss rises in the end."""
    result = train(
        adapted(moved=False),
        Features(make_rows(4), 20),
        config=settings(num_train_epochs=6, learning_rate=3e-2, early_stopping_patience=None),
        output_dir=tmp_path,
        eval_features=Features(make_rows(4, seed=9), 20),
    )
    losses = [entry["eval_loss"] for entry in result.log_history if "eval_loss" in entry]
    assert result.metrics["loss"] == min(losses)
    assert losses[-1] > min(losses)


def test_patience_runs_out(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    model, scores = adapted(moved=False), Scores(0.2, 0.6, 0.6, 0.3, 0.9)
    result = train(
        model,
        Features(make_rows(4), 20),
        config=settings(num_train_epochs=5, early_stopping_patience=2),
        output_dir=tmp_path,
        scorer=scores,
    )
    assert result.stopped_early
    assert result.steps == 8
    assert result.best_step == 4
    assert same(weights(model), scores.seen[1])


def test_a_scored_run_trains_like_one_without(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    """The scorer uses up random numbers; dropout must not notice."""
    features, plain, scored = Features(make_rows(4), 20), adapted(dropout=0.3), adapted(dropout=0.3)
    train(plain, features, config=settings(), output_dir=tmp_path / "plain")
    train(scored, features, config=settings(), output_dir=tmp_path / "scored", scorer=Scores(0.1, 0.2))
    assert same(weights(plain), weights(scored))


def test_seeds_decide(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    features, results = Features(make_rows(6), 20), []
    for number, seed in enumerate((1, 1, 2)):
        torch.manual_seed(number)
        model = adapted(dropout=0.3)
        train(model, features, config=settings(seed=seed), output_dir=tmp_path / str(number))
        results.append(weights(model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_accumulated_passes_are_one_big_pass(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    """Rows of very different lengths, split over passes, weigh what they weigh together."""
    features, results = Features(make_rows(8, completion=30), 20), []
    for number, (batch, accumulation) in enumerate(((4, 1), (2, 2), (1, 4))):
        model = adapted()
        config = settings(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation)
        result = train(model, features, config=config, output_dir=tmp_path / str(number))
        assert result.steps == 4
        results.append([entry["loss"] for entry in result.log_history])
    assert results[1] == pytest.approx(results[0], rel=1e-4)
    assert results[2] == pytest.approx(results[0], rel=1e-4)


def test_schedule_warms_up_and_goes_down(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    config = settings(num_train_epochs=5, warmup_steps=0.2, lr_scheduler_type="linear")
    result = train(adapted(), Features(make_rows(4), 20), config=config, output_dir=tmp_path)
    rates = [entry["learning_rate"] for entry in result.log_history]
    assert rates[0] < rates[1]
    assert max(rates) == pytest.approx(1e-2)
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_part_of_an_epoch(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    result = train(
        adapted(),
        Features(make_rows(8), 20),
        config=settings(num_train_epochs=1.5),
        output_dir=tmp_path,
        scorer=Scores(0.1, 0.2),
    )
    assert result.steps == 6
    assert result.metrics["field_f1"] == 0.2


def test_gradient_checkpointing_is_on_only_while_training(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    model = adapted(moved=False)
    layers = model.get_base_model().model.layers
    states: list[bool] = []

    def score(_: Any) -> dict[str, float]:
        states.append(layers[0].gradient_checkpointing)
        return {"field_f1": 0.0}

    config = settings(gradient_checkpointing=True)
    train(model, Features(make_rows(4), 20), config=config, output_dir=tmp_path, scorer=score)
    assert states == [True, True]
    assert not layers[0].gradient_checkpointing
    assert all(tensor.any() for name, tensor in weights(model).items() if "lora_B" in name)


def test_little_memory_turns_checkpointing_on(
    adapted: Any, make_rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("extractft.training.plan.available_memory", lambda device: 100_000)
    with caplog.at_level(logging.INFO, "extractft"):
        train(adapted(), Features(make_rows(4), 20), config=settings(), output_dir=tmp_path)
    assert "recomputing activations" in caplog.text


def test_a_model_that_cannot_be_packed_says_so_once(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    with pytest.warns(PerformanceWarning) as said:
        result = train(adapted("lfm2"), Features(make_rows(4), 20), config=settings(), output_dir=tmp_path)
    slower = [str(warning.message) for warning in said if warning.category is PerformanceWarning]
    assert len(slower) == 1
    assert "rows in a pack are not independent" in slower[0]
    assert result.engine == "padded"


def test_quiet_without_a_terminal(
    adapted: Any, make_rows: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(adapted(), Features(make_rows(4), 20), config=settings(), output_dir=tmp_path, scorer=Scores(0.1, 0.2))
    assert capfd.readouterr() == ("", "")


def test_progress_bar_when_asked(
    adapted: Any, make_rows: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(
        adapted(),
        Features(make_rows(4), 20),
        config=settings(),
        output_dir=tmp_path,
        scorer=Scores(0.1, 0.2),
        progress=True,
    )
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "4/4" in shown.err
    assert "F1 0.200" in shown.err


def test_loss_that_is_not_finite_stops_training(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    model = adapted()
    model.get_base_model().model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="finite loss, found nan at step 1") as caught:
        train(model, Features(make_rows(4), 20), config=settings(), output_dir=tmp_path)
    assert "learning_rate" in "".join(caught.value.__notes__)


def test_an_adapter_without_gradients_stops_training(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    """A layer that takes no part in the answer would stay at zero and nobody would know."""
    model = adapted(moved=False)
    model.get_base_model().model.layers[1].self_attn.o_proj.base_layer.weight.data.zero_()
    for name, parameter in model.named_parameters():
        if "layers.1.self_attn.o_proj" in name:
            parameter.data.zero_()
            parameter.requires_grad_(False)
    with pytest.raises(TrainingError, match=r"every lora_B, found none for 3, such as .*layers\.1\.self_attn"):
        train(model, Features(make_rows(4), 20), config=settings(), output_dir=tmp_path)


def test_scorer_has_to_score(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="'field_f1', found \\['rouge'\\]"):
        train(
            adapted(),
            Features(make_rows(4), 20),
            config=settings(),
            output_dir=tmp_path,
            scorer=lambda _: {"rouge": 1.0},
        )


def test_frozen_or_half_adapters_are_refused(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    features = Features(make_rows(4), 20)
    frozen = adapted().requires_grad_(False)
    with pytest.raises(TrainingError, match="trainable adapter weights, found none"):
        train(frozen, features, config=settings(), output_dir=tmp_path)
    with pytest.raises(TrainingError, match=r"float32, found torch\.bfloat16"):
        train(adapted().to(torch.bfloat16), features, config=settings(), output_dir=tmp_path)
