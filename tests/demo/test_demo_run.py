"""The demo's script, from shipped rows to one record, on a tiny model."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from complaints.writer import generate
from extractft import Extractor, GenerationConfig, LoRAConfig, TrainingConfig
from extractft.demo.complaints import Complaint, load_complaints
from extractft.demo.run import SAMPLE, run_demo
from extractft.errors import ConfigError


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


def test_more_rows_than_are_shipped_are_refused_before_any_model() -> None:
    with pytest.raises(ConfigError, match="at most 150 complaints to train and score on, found 120 and 31") as caught:
        run_demo(base_model="no/such-model", train=120, test=31)
    assert "examples/complaints/generate.py" in caught.value.__notes__[0]


def test_the_shipped_rows_need_no_generator_and_no_torch() -> None:
    code = (
        "import sys; sys.modules['faker'] = None; from extractft.demo.complaints import load_complaints;"
        "print(len(load_complaints()), {'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "150 set()\n"


@pytest.mark.skipif(version("faker") != "40.54.0", reason="another version of Faker invents other people")
def test_the_shipped_rows_are_the_first_of_the_generator() -> None:
    generated = [(row.text, row.output) for row in generate(150, seed=0)]
    assert [(row.text, row.output) for row in load_complaints()] == generated
