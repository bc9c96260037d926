"""`doctor` tells what is here: the machine, versions, models within reach, optional parts, servers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers

from extractft.cli import doctor_command, main
from extractft.modeling import machine_report


def run_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["extractft", "doctor", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_report_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run_doctor(monkeypatch, capsys, "--json"))
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["transformers"] == transformers.__version__
    machine = machine_report()
    assert found["machine"]["device"] == machine.device
    assert found["machine"]["cores"] == machine.cores > 0
    assert 0 < found["machine"]["memory"] < 1 << 50
    assert set(found["extras"]) >= {"gguf", "excel", "ray", "database", "tracking"}
    assert found["extras"]["gguf"] == [], "make setup installs it"


def test_the_report_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor_command, "_extras", lambda: {"ray": {"ray"}, "gguf": set()})
    lines = run_doctor(monkeypatch, capsys).splitlines()
    assert f"torch {torch.__version__}" in lines[0]
    assert "extra      gguf: ready" in lines
    assert "extra      ray: missing ray: pip install 'extractft[ray]'" in lines
    assert any(line.startswith("chosen ") and "weights in" in line for line in lines)


def test_models_are_those_that_can_be_loaded_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, files in {
        "models--whole--model": ("config.json", "tokenizer.json", "model.safetensors"),
        "models--only--config": ("config.json",),
    }.items():
        snapshot = tmp_path / name / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        for file in files:
            (snapshot / file).write_text("{}")
    scan = doctor_command.huggingface_hub.scan_cache_dir
    monkeypatch.setattr(doctor_command.huggingface_hub, "scan_cache_dir", lambda: scan(tmp_path))
    monkeypatch.setattr(doctor_command, "_version", lambda name: None)
    assert doctor_command._models() == ["whole/model"]


def test_a_server_that_can_be_started_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXTRACTFT_LLAMACPP", str(tmp_path / "none"))
    assert doctor_command._program("llama.cpp") is None
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("EXTRACTFT_LLAMACPP", str(program))
    assert doctor_command._program("llama.cpp") == str(program)


def test_advice_is_for_the_machine() -> None:
    small = SimpleNamespace(devices=(), cores=2, memory=1 << 30)
    assert sum("GPU" in line or "cores" in line or "memory" in line for line in doctor_command._advice(small)) == 3
    large = SimpleNamespace(devices=(("cuda:0", 80 << 30),), cores=64, memory=1 << 38)
    assert not any("GPU" in line or "cores" in line or "memory" in line for line in doctor_command._advice(large))
