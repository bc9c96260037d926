"""Wrong usage ends in a message and exit code 2 or 1, and replaces nothing."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from extractft.artifact.artifact_reader import read_manifest
from extractft.artifact.manifest import content_digest
from extractft.cli import main
from extractft.cli.error_messages import setting_names

BROKEN = {
    "syntax.py": "class C(\n",
    "boom.py": "x = 1\nraise RuntimeError('x')\n",
    "leaves.py": "import sys\nsys.exit(0)\n",
    "needs.py": "import a_package_that_is_missing\n",
    "nulls.py": "x = '\0'\n",
    "lazy.py": "def __getattr__(name):\n    raise KeyError(name)\n",
    "list.json": "[1]",
    "nested.json": '{"lora": 5}',
    "broken.json": "{",
    "curve.json": '[{"rows": "many"}]',
}
FIT = ("fit", "schema.py:Order", "rows.jsonl", "--base-model", "base", "--output", "x")


def outcome(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["extractft", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


@pytest.fixture
def broken(shop: Path) -> Path:
    for name, content in BROKEN.items():
        (shop / name).write_text(content)
    (shop / "empty").mkdir()
    (shop / "folder").mkdir()
    (shop / "folder/a.txt").write_text("a")
    (shop / "binary.json").write_bytes(b"\xff\xfe\x00")
    return shop


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prompt", "syntax:C"), "SyntaxError"),
        (("prompt", "syntax.py:C"), "SyntaxError"),
        (("prompt", "boom:C"), "RuntimeError: x"),
        (("prompt", "boom.py:C"), "(line 2)"),
        (("prompt", "leaves.py:C"), "ends the program"),
        (("prompt", "leaves:C"), "ends the program"),
        (("prompt", "needs:C"), "a_package_that_is_missing"),
        (("prompt", "nulls.py:C"), "null bytes"),
        (("prompt", "lazy:C"), "has no 'C'"),
        (("prompt", ".schema:C"), "module:Class"),
        (("prompt", "a/b:C"), "module:Class"),
        (("prompt", ":C"), "module:Class"),
        (("prompt", "schema.py:"), "module:Class"),
        (("prompt", ""), "module:Class"),
        (("prompt", "schema.py"), "module:Class"),
        (("prompt", "schema.py:Ordr"), "did you mean Order?"),
        (("prompt", "schema.py:order"), "did you mean Order?"),
        (("prompt", "shema.py:Order"), "did you mean schema.py?"),
        (("prompt", "shema:Order"), "did you mean schema?"),
        (("prompt", "ext:Order"), "has no 'Order'"),
        ((*FIT, "--set", "lora.rr=1"), "did you mean lora.r?"),
        ((*FIT, "--set", "batch_size=1"), "did you mean generation.batch_size?"),
        ((*FIT, "--set", "epochs=1"), "did you mean num_train_epochs?"),
        ((*FIT, "--set", "learning-rate=1"), "did you mean learning_rate?"),
        ((*FIT, "--set", "learning_rate=fast"), "learning_rate: "),
        ((*FIT, "--set", "learning_rate=NaN"), "learning_rate: "),
        ((*FIT, "--set", "seed=" + "9" * 5000), "seed: "),
        ((*FIT, "--set", "lora=" + "[" * 20000), "lora: "),
        ((*FIT, "--set", "seed=1", "--set", "seed=2"), "seed is given twice"),
        ((*FIT, "--set", "lora=5", "--set", "lora.r=4"), "lora.r is a setting in lora"),
        ((*FIT, "--set", "=5"), "NAME=VALUE"),
        ((*FIT, "--set", ""), "NAME=VALUE"),
        ((*FIT, "--set", "."), "NAME=VALUE"),
        ((*FIT, "--set", ".=1"), "there is no setting"),
        ((*FIT, "--config", "list.json", "--set", "lora.r=4"), "an object of settings"),
        ((*FIT, "--config", "nested.json", "--set", "lora.r=4"), "lora.r is a setting in lora"),
        ((*FIT, "--config", "broken.json"), "expected JSON"),
        ((*FIT, "--config", "binary.json"), "UTF-8"),
        ((*FIT, "--config", "ext"), "found the directory"),
        ((*FIT, "--config", "nope.json"), "no such file"),
        ((*FIT, "--config", ""), "empty"),
        ((*FIT, "--column", "text="), "expected the name of a column for text"),
        ((*FIT, "--column", "a", "--column", "text=b"), "text is given twice"),
        (("extract", "ext", "rows.jsonl", "--column", "output=x"), "expected COLUMN or text=COLUMN"),
        (("extract", "ext", "rows.jsonl", "--column", "a", "--column", "text=b"), "text is given twice"),
        ((*FIT, "--column", "text=a", "--column", "text=b"), "text is given twice"),
        ((*FIT, "--eval-data", "nope.jsonl"), "--eval-data"),
        ((*FIT, "--output", ""), "empty"),
        ((*FIT, "--output", "."), "you are in"),
        ((*FIT, "--output", "/"), "you are in"),
        ((*FIT, "--output", "ext"), "--force"),
        ((*FIT, "--output", "base", "--force"), "--base-model as well"),
        ((*FIT, "--output", "rows.jsonl"), "--output"),
        ((*FIT, "--init-adapter", "ext", "--output", "ext", "--force"), "--init-adapter as well"),
        (("learning-curve", "schema.py:Order", "rows.jsonl", "--fractions", "nan"), "--fractions"),
        (("learning-curve", "schema.py:Order", "rows.jsonl", "--fractions", "0,1"), "--fractions"),
        (("learning-curve", "schema.py:Order", "rows.jsonl", "--fractions", ""), "--fractions"),
        (("check", "schema.py:Order", "rows.jsonl", "--output", "no/x.json"), "no directory"),
        (("check", "schema.py:Order", "rows.jsonl", "--output", "rows.jsonl"), "DATA as well"),
        (("check", "schema.py:Order", "rows.jsonl", "--output", "schema.py"), "SCHEMA as well"),
        (("check", "schema.py:Order", "empty"), "found the directory"),
        (("check", "schema.py:Order", "*.csv"), "no such file"),
        (("check", "schema.py:Order", "rows.jsonl", "./rows.jsonl"), "given twice"),
        (("check", "schema.py:Order", "rows.jsonl", "--encoding", "gb"), "--encoding"),
        (("check", "schema.py:Order", "rows.jsonl", "--encoding", ""), "--encoding"),
        (("extract", "ext", "-", "rows.jsonl"), "found both"),
        (("extract", "ext", "rows.jsonl", "--encoding", "gb"), "--encoding"),
        (("extract", "ext", "folder", "--output", "folder/out.jsonl"), "lies in"),
        (("check", "schema.py:Order", "nope.jsonl"), "no such file"),
        (("evaluate", "ext", "rows.jsonl", "--output", "no/x.json"), "no directory"),
        (("evaluate", "ext", "rows.jsonl", "--output", "a.html", "--html", "a.html"), "--output as well"),
        (("evaluate", "ext", "rows.jsonl", "--curve", "curve.json", "--html", "a.html"), "learning-curve writes"),
        (("evaluate", "ext", "rows.jsonl", "--curve", "broken.json", "--html", "a.html"), "expected JSON"),
        (("evaluate", "ext", "rows.jsonl", "--curve", "curve.json"), "--html"),
        (("evaluate", "ext", "rows.jsonl", "--html", "-"), "expected a file"),
        (("evaluate", "ext", "rows.jsonl", "--schema", "schema.py:Nope"), "--schema"),
        (("extract", "ext", "rows.jsonl", "--output", "out/"), "found the directory"),
        (("extract", "ext", "rows.jsonl", "--output", "no/x.jsonl"), "no directory"),
        (("extract", "ext", "rows.jsonl", "--output", "rows.jsonl", "--force"), "TEXTS as well"),
        (("extract", "ext", "rows.jsonl", "--output", "ext/r.jsonl"), "lies in"),
        (("extract", "ext", "rows.jsonl", "--min-confidence", "0.5"), "--review"),
        (("extract", "ext", "rows.jsonl", "--review", "r", "--min-confidence", "nan"), "0 to 1"),
        (("extract", "ext", "rows.jsonl", "--batch-size", "0"), "--batch-size"),
        (("extract", "", "rows.jsonl"), "empty"),
        (("extract", "nowhere", "rows.jsonl"), "found no such directory"),
        (("extract", "exx", "rows.jsonl", "--output", "o.jsonl"), "Did you mean ext?"),
        (("extract", "base", "rows.jsonl"), "found a base model"),
        (("extract", "ext", "rows.jsonl", "--engine", "vlmm", "--output", "o.jsonl"), "Did you mean vllm?"),
        (("extract", "ext", "rows.jsonl", "--engine", "localhost:8000"), "Did you mean http://localhost:8000?"),
        (("extract", "ext", "rows.jsonl", "--engine", "ftp://a:1"), "--engine"),
        (("run", "exx", "rows.jsonl", "--output", "o"), "Did you mean ext?"),
        (("run", "ext", "nope.jsonl", "--output", "o"), "no such file"),
        (("run", "ext", "schema.py", "--output", "o"), "unknown file ending"),
        (("run", "ext", "rows.jsonl", "--output", "o", "--engine", "vlmm"), "Did you mean vllm?"),
        (("evaluate", "exx", "rows.jsonl"), "Did you mean ext?"),
        (("evaluate", "ext", "schema.py"), "unknown file ending"),
        (("calibrate", "exx", "rows.jsonl"), "Did you mean ext?"),
        (("fit", "rows.jsonl", "--init-adapter", "exx", "--output", "x"), "--init-adapter"),
        (("verify", "nope", "--extractor", "ext", "--data", "rows.jsonl"), "EXPORT_OR_URL"),
        (("verify", "http://127.0.0.1:9", "--extractor", "exx", "--data", "rows.jsonl"), "--extractor"),
        (("verify", "ftp://127.0.0.1:9", "--extractor", "ext", "--data", "rows.jsonl"), "EXPORT_OR_URL"),
        (("export", "exx", "x"), "Did you mean ext?"),
        (("export", "ext", "ext/merged"), "lies in"),
        (("export", "ext", "base/merged", "--base-model", "base"), "lies in"),
        (("export", "ext", "x", "--format", "ggml"), "--format"),
        (("export", "ext", "x", "--format", "adapter"), "found an untrained one"),
        (("export", "ext", "x", "--dtype", "bf17"), "--dtype"),
        (("export", "ext", "x", "--quantization", "q8_0"), "--quantization"),
        (("export", "ext", "x", "--format", "gguf", "--quantization", "q9"), "expected a GGUF type"),
        (("export", "ext", "folder"), "OUT"),
        (("demo", "--seed", "-1"), "--seed"),
        (("demo", "--output", "ext"), "--force"),
        (("frobnicate",), "No such command"),
        (("extract",), "Missing argument"),
        (("extract", "--nope"), "--nope"),
    ],
)  # fmt: skip
def test_a_message_and_exit_code_2(
    broken: Path,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {path.name for path in broken.iterdir()} | {"__pycache__"}
    code, shown = outcome(monkeypatch, capsys, *arguments)
    assert said in shown
    assert "Traceback" not in shown
    assert code == 2
    assert {path.name for path in broken.iterdir()} <= before


@pytest.mark.parametrize(
    "arguments",
    [
        ("prompt", "schema.py:fields"),
        ("prompt", "schema.py:BaseModel.__name__"),
        ("prompt", "schema:BaseModel.model_fields"),
        ("prompt", "schema.py:Order", "--text", "a", "--base-model", "ext"),
        ("fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--base-model", "nowhere"),
    ],
)
def test_errors_of_the_library_are_messages(
    broken: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = outcome(monkeypatch, capsys, *arguments)
    assert code == 1
    assert "Error: " in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(("resume", "saved"), [(False, False), (False, True), (True, True)])
def test_a_finished_run_is_not_replaced_without_force(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], resume: bool, saved: bool
) -> None:
    (shop / "x.training/extractor").mkdir(parents=True)
    if saved:
        shutil.copytree(shop / "ext", shop / "x")
    code, shown = outcome(monkeypatch, capsys, *FIT, *(["--resume"] if resume else []))
    assert code == 2
    assert "is finished, and its extractor is in " in shown
    assert ("--resume" if resume else "--work-dir") in shown
    assert "--force trains anew and replaces it" in shown
    assert ("--init-adapter" in shown) == saved
    assert ("--resume saves it" in shown) == (not saved)


def test_a_finished_run_on_the_command_line(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = [*FIT, "--set", "num_train_epochs=1", "--set", "eval_fraction=0"]

    def code_of(*more: str) -> int:
        monkeypatch.setattr("sys.argv", ["extractft", *fit, *more])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    assert code_of() == 0
    weights = (shop / "x/adapter_model.safetensors").read_bytes()
    assert code_of("--resume") == 2
    (shop / "x").rename(shop / "elsewhere")
    assert code_of() == 2
    assert code_of("--resume") == 0
    assert (shop / "x/adapter_model.safetensors").read_bytes() == weights
    (shop / "x.training/extractor").rename(shop / "also-elsewhere")  # killed before it was saved
    (shop / "x").rename(shop / "elsewhere-again")
    capsys.readouterr()
    assert code_of() == 1
    shown = capsys.readouterr().err
    assert "Pass --resume to get its extractor at once, --force to train anew in its place" in shown
    assert code_of("--force", "--set", "seed=9") == 0
    assert (shop / "x/adapter_model.safetensors").read_bytes() != weights


def test_names_that_are_no_utf_8(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = b"caf\xe9.jsonl".decode("utf-8", "surrogateescape")
    (shop / name).write_bytes((shop / "rows.jsonl").read_bytes())
    code, _ = outcome(monkeypatch, capsys, "check", "schema.py:Order", name)
    assert code == 0
    code, _ = outcome(monkeypatch, capsys, "check", "schema.py:Order", name, "--output", name)
    assert code == 2
    code, shown = outcome(monkeypatch, capsys, "prompt", "schema.py:Order", "--base-model", "base", "--text", name)
    assert code == 2
    assert "--text" in shown


def test_a_name_that_looks_like_a_number_is_a_name() -> None:
    from extractft.cli.inputs import load_config

    config = load_config(None, {"tracking.experiment_name": "2024", "lora.r": "4", "prompt.instructions": "null"})
    assert config.tracking.experiment_name == "2024"
    assert config.lora.r == 4
    assert config.prompt.instructions is None


def test_settings_in_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    from extractft.cli.inputs import load_config

    (tmp_path / "c.json").write_bytes(b'\xef\xbb\xbf{"lora": {"r": 4}}')
    assert load_config(tmp_path / "c.json", {"lora.lora_alpha": "8"}).lora.r == 4


def test_every_setting_can_be_set() -> None:
    names = list(setting_names())
    assert len(names) == len(set(names))
    assert {"seed", "lora.r", "generation.batch_size", "tracking.mode", "prompt.language"} <= set(names)


@pytest.mark.parametrize("variable", ["EXTRACTFT_CONVERT_HF_TO_GGUF", "EXTRACTFT_LLAMA_QUANTIZE"])
def test_a_missing_program_is_said_before_the_model_is_loaded(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    converter = shop / "convert_hf_to_gguf.py"
    converter.write_text("")
    monkeypatch.setenv("EXTRACTFT_CONVERT_HF_TO_GGUF", str(converter))
    monkeypatch.setenv(variable, str(shop / "missing"))
    monkeypatch.setattr("extractft.cli.export_commands.load_extractor", lambda *_, **__: pytest.fail("loaded"))
    code, shown = outcome(monkeypatch, capsys, "export", "ext", "x", "--format", "gguf", "--quantization", "q4_k_m")
    assert code == 2
    assert f"{variable}={shop / 'missing'}, found no such file" in shown
    assert not (shop / "x").exists()


def test_a_wrong_text_column_is_said_with_the_keys_that_are_there(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = outcome(monkeypatch, capsys, "run", "ext", "rows.jsonl", "-o", "records", "--text-column", "body")
    assert code == 1
    assert "expected 'body', found only 'text', 'output'" in shown
    assert "Name the column with --text-column" in shown
    assert not (shop / "records").exists()


def test_texts_without_labels_take_one_line(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "texts.jsonl").write_text('{"text": "a"}\n' * 12)
    for command in ("evaluate", "calibrate"):
        code, shown = outcome(monkeypatch, capsys, command, "ext", "texts.jsonl")
        assert code == 1
        assert shown.count("expected 'output', found only 'text'") == 1
        assert "rows 1, 2, 3 and 9 more: expected" in shown
        assert "for texts alone use `extract`" in shown


def test_a_missing_file_lists_what_the_command_line_takes(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, shown = outcome(monkeypatch, capsys, "check", "schema.py:Order", "nope.jsonl")
    assert ".xlsm), a folder or a pattern in quotes." in shown
    assert "list of rows" not in shown


def test_resave_writes_todays_format(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shop / "ext", shop / "old")
    manifest = json.loads((shop / "old/manifest.json").read_text(encoding="utf-8"))
    del manifest["model_shape"], manifest["manifest_sha256"]
    manifest["format_version"] = 2
    manifest["manifest_sha256"] = content_digest(manifest)
    (shop / "old/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # nothing is asked of it
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        code, shown = outcome(monkeypatch, capsys, "extract", "old", "rows.jsonl", "--engine", address)
        server.shutdown()
    assert code == 1
    assert "extractft resave EXTRACTOR" in shown
    code, shown = outcome(monkeypatch, capsys, "extract", "old", "rows.jsonl", "--engine", address)
    assert code == 1
    assert "nothing there that takes the connection" in shown
    assert outcome(monkeypatch, capsys, "resave", "old")[0] == 0
    after = read_manifest(shop / "old")
    assert after.format_version == 3
    assert after.model_shape is not None
