"""The tutorial from its file to its saved extractor, with a tiny base model that is really trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from extractft import Extractor, GenerationConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_tutorial_trains_saves_and_loads(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands but for the base model, which has no English and no Chinese, and the time that it may take."""
    fit = Extractor.fit
    found: dict[str, Any] = {}

    def tiny_fit(schema: Any, data: Any, *, config: Any, **options: Any) -> Any:
        closed = GenerationConfig(keep_truncated=True)  # an untrained model does not end its records by itself
        short = config.replace(num_train_epochs=1, max_eval_rows=1, per_device_train_batch_size=16, generation=closed)
        found.update(schema=schema, data=data)
        return fit(schema, data, **{**options, "base_model": tiny_base, "config": short})

    monkeypatch.setattr(Extractor, "fit", tiny_fit)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "tutorial"}
    for code in BLOCK.findall(PAGE.read_text("utf-8")):
        fewer = code.replace('evaluate("test.json")', 'evaluate(load_examples("test.json", schema)[:2])')
        exec(compile(fewer, str(PAGE), "exec", dont_inherit=True), namespace)
    again = namespace["again"]
    assert again.schema.fingerprint == namespace["schema"].fingerprint
    assert again.extract(namespace["text"]) == namespace["complaint"]
    assert (tmp_path / "run" / "result.json").exists()
    assert found["data"] == "train.json"
    assert "120 training rows, 30 held out: 0 errors" in capsys.readouterr().out
