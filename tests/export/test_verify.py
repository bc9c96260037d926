"""Sound exports pass, broken ones do not, and the numbers of the report are what they say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM, set_seed
from typer.testing import CliRunner

from extractft import Extractor
from extractft.cli import app
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError, ConfigError
from extractft.export import EXPORT_FILE
from extractft.modeling import load_adapter, merge_adapter
from extractft.testing import ScriptedEngine, byte_tokenizer
from extractft.verification import VerificationReport, load_candidate, verify
from extractft.verification.candidates import with_engine


def _verified(place: Path, reference: Extractor[Any], rows: Any, **options: Any) -> VerificationReport:
    candidate = load_candidate(place, reference)
    options.setdefault("quantized", candidate.quantized)
    return verify(reference, candidate.extractor, rows, name=candidate.name, **options)


@pytest.fixture
def merged(extractor: Extractor[Any], tmp_path: Path) -> Path:
    """A merged directory without our own record of it, so that nothing but decoding can find a fault."""
    extractor.export(tmp_path / "merged")
    (tmp_path / "merged" / EXPORT_FILE).unlink()
    return tmp_path / "merged"


@pytest.mark.parametrize(
    ("settings", "widest"),
    [
        ({"dtype": "float32"}, 1e-5),
        ({"dtype": "bfloat16"}, 0.2),
        ({"dtype": "float16"}, 0.05),
        ({"format": "adapter"}, 1e-3),
    ],
)
def test_sound_exports_give_the_same_records(
    extractor: Extractor[Any], rows: Path, tmp_path: Path, settings: dict[str, Any], widest: float
) -> None:
    extractor.export(tmp_path / "out", **settings)
    report = _verified(tmp_path / "out", extractor, rows)
    assert report.passed, str(report)
    assert (report.rows, report.prompts_equal, report.records_equal, report.tokens_equal) == (4, 4, 4, 4)
    assert report.widest_gap is not None
    assert report.widest_gap < widest
    assert report.fields == {}
    assert report.reference.field_f1 == report.candidate.field_f1 == 1


def test_another_chat_template_is_caught(extractor: Extractor[Any], rows: Path, merged: Path) -> None:
    file = merged / "chat_template.jinja"
    file.write_text(file.read_text(encoding="utf-8").replace("enable_thinking = false", "enable_thinking = true"))
    report = _verified(merged, extractor, rows)
    assert report.prompts_equal == 0
    assert not report.passed
    assert "another tokenizer or chat template" in report.failures[0]


def test_an_adapter_that_is_not_merged_is_caught(
    extractor: Extractor[Any], rows: Path, merged: Path, qwen3_base: Path
) -> None:
    shutil.copy(qwen3_base / "model.safetensors", merged / "model.safetensors")
    report = _verified(merged, extractor, rows)
    assert report.prompts_equal == 4
    assert report.records_equal < 4
    assert sum(report.fields.values()) > 0
    assert not report.passed
    assert "records to be equal" in report.failures[0]


def test_another_tokenizer_is_caught(extractor: Extractor[Any], rows: Path, merged: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (merged / name).unlink()
    byte_tokenizer().save_pretrained(merged)
    report = _verified(merged, extractor, rows)
    assert report.prompts_equal == 0
    assert not report.passed


def test_another_base_is_caught(
    extractor: Extractor[Any], rows: Path, merged: Path, tuned: Path, qwen3_base: Path, tmp_path: Path
) -> None:
    config: Any = AutoModelForCausalLM.from_pretrained(qwen3_base).config
    set_seed(7)
    other: Any = Qwen3ForCausalLM(config)
    other.save_pretrained(tmp_path / "other")
    adapted: Any = load_adapter(other, tuned)
    merge_adapter(adapted)
    adapted.unload().save_pretrained(merged)
    assert not _verified(merged, extractor, rows).passed
    extractor._own_base().tokenizer.save_pretrained(tmp_path / "other")
    extractor.export(tmp_path / "adapter", format="adapter")
    with pytest.raises(ArtifactMismatchError, match="weights"):
        load_candidate(tmp_path / "adapter", extractor, base_model=tmp_path / "other")


def test_edited_exports_and_exports_of_others_are_refused(extractor: Extractor[Any], tmp_path: Path) -> None:
    extractor.export(tmp_path / "out")
    (tmp_path / "out" / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    with pytest.raises(ArtifactMismatchError, match=r"chat_template\.jinja"):
        load_candidate(tmp_path / "out", extractor)
    other = Extractor.from_base(dict[str, int], base_model=extractor._own_base().base_model.path)
    extractor.export(tmp_path / "mine")
    with pytest.raises(ArtifactMismatchError, match="of another"):
        load_candidate(tmp_path / "mine", other)
    with pytest.raises(ArtifactNotFoundError, match="no such directory"):
        load_candidate(tmp_path / "nowhere", extractor)
    with pytest.raises(ArtifactNotFoundError, match="GGUF file"):
        load_candidate(tmp_path / "nowhere.gguf", extractor)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"config\.json"):
        load_candidate(tmp_path / "empty", extractor)


def _scripted(extractor: Extractor[Any], rows: Path, **changes: str) -> Extractor[Any]:
    """The extractor on an engine that answers with the gold records, but for some texts."""
    lines = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    schema = extractor.schema
    script = {line["text"]: schema.canonical_json(schema.parse_value(line["output"])) for line in lines}
    script |= {text.replace("_", " "): answer for text, answer in changes.items()}
    return with_engine(extractor, ScriptedEngine(script, extractor._pipeline.chat, logprob=-0.5))


def test_the_numbers_are_those_of_a_known_difference(extractor: Extractor[Any], rows: Path) -> None:
    same = verify(extractor, _scripted(extractor, rows), rows)
    assert (same.records_equal, same.fields, same.passed) == (4, {}, True)
    assert same.widest_gap is not None
    assert 0.3 < same.widest_gap <= 0.5
    one = _scripted(extractor, rows, rice_now='{"item":"ice","kind":"b"}')
    report = verify(extractor, one, rows, keep_records=True)
    assert (report.records_equal, report.prompts_equal, report.only_candidate) == (3, 4, 0)
    assert report.fields == {"item": 1, "kind": 1, "note": 1}
    assert report.failures == ("expected 99.0% of the records to be equal, found 75.0%",)
    assert report.candidate.exact_rate == 0.75
    assert report.differences is not None
    assert [(d.row, d.candidate) for d in report.differences] == [(2, '{"item":"ice","kind":"b"}')]
    assert "ice" not in str(report)
    assert verify(extractor, one, rows, min_equal=0.75).passed
    assert not verify(extractor, one, rows, quantized=True).passed
    with pytest.raises(ConfigError, match="between 0 and 1"):
        verify(extractor, one, rows, min_equal=1.5)


def test_commands_export_and_verify_with_their_exit_codes(tuned: Path, rows: Path, tmp_path: Path) -> None:
    out, runner = tmp_path / "out", CliRunner()
    done = runner.invoke(
        app, ["export", str(tuned), str(out), "--data", str(rows), "--report", str(tmp_path / "r.json")]
    )
    assert done.exit_code == 0, done.output
    assert "the same" in done.output
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (report["passed"], report["equal_rate"], report["differences"]) == (True, 1.0, None)
    arguments = ["verify", str(out), "--extractor", str(tuned), "--data", str(rows)]
    assert runner.invoke(app, arguments).exit_code == 0
    (out / EXPORT_FILE).unlink()
    template = out / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8") + " ", encoding="utf-8")
    broken = runner.invoke(app, [*arguments, "--output", "-"])
    assert broken.exit_code == 3
    assert json.loads(broken.stdout)["failures"]
    assert runner.invoke(app, ["verify", str(out), "--extractor", str(tuned)]).exit_code == 2
    unverified = runner.invoke(app, ["export", str(tuned), str(tmp_path / "plain")])
    assert unverified.exit_code == 0
    assert "Not verified" in unverified.output
