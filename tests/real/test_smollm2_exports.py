"""Exports of real weights: SmolLM2-135M, tuned for a few steps, held against itself; one that is broken is caught."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from complaints.writer import generate
from extractft import Extractor, GenerationConfig, TrainingConfig
from extractft.demo.complaints import Complaint
from extractft.export import EXPORT_FILE
from extractft.verification import ReferenceRecords, load_candidate

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXAMPLES = [(row.text, row.output) for row in generate(14, seed=3)]
CONFIG = TrainingConfig(
    num_train_epochs=2,
    per_device_train_batch_size=2,
    learning_rate=2e-3,
    warmup_steps=1,
    eval_fraction=0,
    generation=GenerationConfig(keep_truncated=True),
    device="cpu",
)


def test_merged_weights_give_the_records_and_unmerged_ones_are_caught(tmp_path: Path) -> None:
    extractor: Extractor[Complaint] = Extractor.fit(Complaint, EXAMPLES[:8], base_model="smollm2-135m", config=CONFIG)
    known: ReferenceRecords[Any] = ReferenceRecords(extractor, EXAMPLES[8:])
    extractor.export(tmp_path / "merged", dtype="float32")
    sound = known.compare(load_candidate(tmp_path / "merged", extractor).extractor)
    assert sound.passed, str(sound)
    assert (sound.records_equal, sound.tokens_equal) == (6, 6)
    assert sound.widest_gap is not None
    assert sound.widest_gap < 1e-3
    (tmp_path / "merged" / EXPORT_FILE).unlink()
    base = Path(extractor._own_base().base_model.path or "")
    shutil.copy(base / "model.safetensors", tmp_path / "merged" / "model.safetensors")
    broken = known.compare(load_candidate(tmp_path / "merged", extractor).extractor)
    assert broken.prompts_equal == 6
    assert broken.records_equal < 6
    assert not broken.passed
