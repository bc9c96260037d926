"""The demo's script, from generated data to one record, on a tiny model."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from extractft import Extractor, GenerationConfig, LoRAConfig, TrainingConfig
from extractft.demo.complaints import Complaint
from extractft.demo.run import SAMPLE, run_demo


def test_the_demo_runs_to_its_end(tiny_base: Path, tmp_path: Path) -> None:
    shown = StringIO()
    config = TrainingConfig(
        num_train_epochs=1,
        max_eval_rows=2,
        lora=LoRAConfig(r=2),
        generation=GenerationConfig(keep_truncated=True, max_new_tokens=40),
    )
    extractor = run_demo(
        base_model=str(tiny_base),
        train=20,
        test=2,
        output=tmp_path / "kept",
        config=config,
        console=Console(file=shown, width=120),
    )
    assert isinstance(extractor.extract(SAMPLE), Complaint)
    text = shown.getvalue()
    for part in ("the untrained", "trained", "龙琳", '"question"', "minutes"):
        assert part in text
    assert Extractor.from_pretrained(tmp_path / "kept", schema=Complaint).system_prompt == extractor.system_prompt
