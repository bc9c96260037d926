"""Every script under `examples/` runs, from the outside where it needs no model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from complaints.writer import generate
from extractft import Extractor, Schema
from extractft.demo.complaints import Complaint
from extractft.demo.run import SAMPLE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Load = Callable[[str], ModuleType]


@pytest.mark.parametrize("name", ["complaints", "orders"])
def test_generators_run_as_scripts(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name / "generate.py"), "--train", "20", "--test", "6", "--out"]
    outputs = []
    for hash_seed in ("0", "1"):
        out = tmp_path / hash_seed
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([*command, str(out)], check=True, cwd=tmp_path, env=env, capture_output=True)
        outputs.append([(out / file).read_bytes() for file in ("train.jsonl", "test.jsonl", "schema.py")])
    assert outputs[0] == outputs[1]
    train, test = ([json.loads(line) for line in data.decode().splitlines()] for data in outputs[0][:2])
    assert (len(train), len(test)) == (20, 6)
    assert {row["text"] for row in train}.isdisjoint(row["text"] for row in test)
    assert all(set(row) == {"text", "output"} for row in train + test)


@pytest.mark.parametrize(
    ("script", "name"), [("complaints/schema.py", "Complaint"), ("orders/schema.py", "Order"), ("receipts/schema.py", "Receipt")]
)  # fmt: skip
def test_schemas_are_taken(load_example: Load, script: str, name: str) -> None:
    schema = Schema.of(getattr(load_example(script), name))
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))).fingerprint == schema.fingerprint


@pytest.mark.parametrize("name", ["complaints", "orders"])
def test_generated_records_have_one_canonical_form(load_example: Load, name: str) -> None:
    module = load_example(f"{name}/generate.py")
    schema: Schema[Any] = Schema.of(module.SCHEMA)
    for row in module.generate(200, seed=3):
        canonical = schema.canonical_json(row.output)
        assert schema.parse(canonical) == row.output
        assert schema.parse_value(schema.full_value(row.output)) == row.output


@pytest.mark.parametrize("name", ["complaints", "orders"])
def test_the_grammar_accepts_generated_records(load_example: Load, name: str, tokenizer: Any) -> None:
    from extractft.testing import assert_roundtrip

    for row in load_example(f"{name}/generate.py").generate(20, seed=4):
        assert_roundtrip(row.output, tokenizer)


def test_complaints_train(load_example: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from extractft.testing import scripted_extractor

    record = Complaint(name="龙琳", email="nafan@example.com")
    saved: list[str] = []

    def fit(schema: type[Complaint], data: str, *, base_model: str, config: Any) -> Extractor[Complaint]:
        assert (base_model, config.num_train_epochs) == ("smollm2-135m", 2)
        assert len(Path(data).read_text("utf-8").splitlines()) == 4
        return scripted_extractor(schema, {SAMPLE: record})

    monkeypatch.setattr(Extractor, "fit", fit)
    monkeypatch.setattr(Extractor, "save_pretrained", lambda self, path: saved.append(path))
    out = tmp_path / "rows"
    load_example("complaints/generate.py").main(["--train", "4", "--test", "1", "--out", str(out)])
    arguments = ["--train", str(out / "train.jsonl"), "--out", str(tmp_path / "extractor"), "--epochs", "2"]
    load_example("complaints/train.py").main(arguments)
    assert saved == [str(tmp_path / "extractor")]
    assert json.loads(capsys.readouterr().out.partition("\n")[2]) == record.model_dump()


@pytest.mark.slow
def test_complaints_train_a_tiny_model(
    load_example: Load, tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script's own lines with nothing replaced: a random model learns nothing, and its record is valid."""
    from complaints.generation import write_jsonl

    write_jsonl(tmp_path / "train.jsonl", generate(8, seed=0))
    arguments = ["--train", str(tmp_path / "train.jsonl"), "--out", str(tmp_path / "extractor"), "--epochs", "1"]
    load_example("complaints/train.py").main([*arguments, "--base-model", str(tiny_base)])
    assert (tmp_path / "extractor" / "adapter_model.safetensors").is_file()


def test_receipts_untrained(load_example: Load, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from extractft.testing import scripted_extractor

    module = load_example("receipts/untrained.py")
    record = module.Receipt.model_validate(
        {
            "company": "NORTHWIND STATIONERS",
            "issued": "2026-05-12",
            "lines": [
                {"description": "Notebook A5", "quantity": 2, "amount": "9.80"},
                {"description": "Fountain pen", "amount": "24.50"},
            ],
            "total": "34.30",
            "payment": "card",
        }
    )
    monkeypatch.setattr(
        Extractor, "from_base", lambda schema, *, base_model: scripted_extractor(schema, {module.RECEIPT: record})
    )
    module.main([])
    out = capsys.readouterr().out
    assert "NORTHWIND STATIONERS" in out.partition('{\n  "company"')[0], "the rendered prompt comes first"
    assert json.loads('{\n  "company"' + out.rpartition('{\n  "company"')[2]) == record.model_dump(mode="json")
