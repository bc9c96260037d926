"""Errors of the library, told on the command line in terms of its flags."""

from __future__ import annotations

import ast
import errno
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import extractft
from extractft.cli import app
from extractft.cli.error_messages import FLAGS, error_text, with_flags, without_run_advice
from extractft.errors import DatasetError, ExtractFTError, RowIssue, TrainingError
from extractft.training.failures import writing

SOURCE = Path(extractft.__file__).parent
KEYWORD = re.compile(r"(?<!--set )(?<!--column )(?<![\w.=?-])[a-z_][\w.]*=(?=[^\s=])")
PYTHON = {
    "schema": "speaks of the user's own Python file",
    "prompt": "speaks of a tokenizer, in code",
    "testing.py": "is used in code alone",
    "text": "speaks of strings that were made in code",
}
"""Rooms whose messages are about Python that the user of the command line writes too, or never meets."""
EXEMPT = {
    'Correct or remove the keys, or say extra="ignore" in the config of the model.': "the user's own class",
    "Load the adapter with trainable=True.": "a fault in a program that calls the trainer",
    "Pass `texts=...`, or leave `keep_texts` out.": "the command line passes texts",
}


def hints() -> Iterator[tuple[str, str]]:
    """The module and the text of every hint in the package, `{}` for what is put in."""
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0]
        if room in {"cli", *PYTHON}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"hint", "add_note"}
            ):
                yield from ((str(path.relative_to(SOURCE)), text) for text in texts(node.args))
            if isinstance(node, ast.Assign) and any("HINT" in ast.unparse(target) for target in node.targets):
                yield from ((str(path.relative_to(SOURCE)), text) for text in texts([node.value]))


def texts(nodes: list[ast.expr]) -> Iterator[str]:
    """Every string in some expressions, f-strings whole."""
    for node in nodes:
        if isinstance(node, ast.Constant):
            yield from [node.value] if isinstance(node.value, str) else []
        elif isinstance(node, ast.JoinedStr):
            yield "".join(value.value if isinstance(value, ast.Constant) else "1" for value in node.values)
        else:
            yield from texts([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)])


def test_there_are_hints_to_look_at() -> None:
    found = list(hints())
    assert len(found) > 30
    assert any("resume" in text for _, text in found)


def test_no_hint_speaks_of_keyword_arguments() -> None:
    left = {(module, text): KEYWORD.findall(with_flags(text)) for module, text in hints() if text not in EXEMPT}
    assert {place: words for place, words in left.items() if words} == {}


def test_no_hint_names_an_argument_that_has_a_flag() -> None:
    for _, text in hints():
        assert set(re.findall(r"\b\w+\b", with_flags(text))).isdisjoint(FLAGS), text


def test_articles_fit_the_flags() -> None:
    for _, text in hints():
        assert not re.search(r"\b[Aa]n --[^aeiou]|\b[Aa] --[aeiou]", with_flags(text)), text


def test_no_hint_names_an_option_of_another_library_as_a_setting() -> None:
    assert not [text for _, text in hints() if "dtype=str" in with_flags(text)]


def test_every_flag_in_a_hint_is_a_flag() -> None:
    known = set()
    for path in (SOURCE / "cli").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z-]+)"', path.read_text(encoding="utf-8")))
    for _, text in hints():
        said = set(re.findall(r"--[a-z][a-z-]+", with_flags(text))) - set(re.findall(r"--[a-z][a-z-]+", text))
        assert said <= known | {"--resume"}, text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Pass resume=True to go on with it, or another output_dir to start afresh.",
            "Pass --resume to go on with it, or another --work-dir to start afresh.",
        ),
        (
            'Map the columns, our name -> yours: columns={"text": "complaint", "output": "label"}.',
            "Map the columns, our name -> yours: --column text=complaint --column output=label.",
        ),
        (
            "Set max_length to 30 or more, or overlong='skip' to leave these rows out (counted).",
            "Set max_length to 30 or more, or --set overlong=skip to leave these rows out (counted).",
        ),
        ("Load it: from_pretrained(path, schema=YourClass).", "Load it: --schema module:Class."),
        ("Set gradient_checkpointing=True or lora.r=4.", "Give --set gradient_checkpointing=true or --set lora.r=4."),
        ("Raise GenerationConfig.max_new_tokens.", "Raise generation.max_new_tokens."),
        ('LoRAConfig(target_modules="all-linear")', "--set lora.target_modules=all-linear"),
        ('Say encoding="gb18030".', "Say --encoding gb18030."),
        (
            'Say it: load_examples(path, schema, encoding="gb18030"), on the command line --encoding gb18030; or save it.',
            "Say it: --encoding gb18030; or save it.",
        ),
        ("Say where it is (base_model=..., --base-model on the command line).", "Say where it is (--base-model)."),
        ("Save it as .xlsx, or pass pandas.read_excel(path, dtype=str).", "Save it as .xlsx."),
        (
            "Numbers where text is expected: read the file with dtype=str, or pass its path.",
            "Numbers where text is expected: write that column as text.",
        ),
        (
            "Other ways to read it: pandas.read_excel(path, dtype=str), then pass the DataFrame.",
            "Save it anew as .xlsx, or as CSV UTF-8.",
        ),
        (
            "Columns are mapped as in the extractor to go on from; columns={} maps none.",
            "Columns are mapped as in the extractor to go on from.",
        ),
        ("Free some, set TMPDIR, or give an output_dir.", "Free some, set TMPDIR, or give a --work-dir."),
        ("Pass overwrite=True.", "Pass --force."),
        ("The encoding of the columns is unknown.", "The encoding of the columns is unknown."),
    ],
)
def test_advice(said: str, shown: str) -> None:
    assert with_flags(said) == shown


def test_messages_keep_what_was_found_and_rows_are_left_alone() -> None:
    issues = [RowIssue(number, "x", "bad" if number < 12 else "worse", "base_model") for number in range(1, 13)]
    error = DatasetError("expected at most max_length=16 tokens", issues=issues).hint("Pass resume=True.")
    lines = error_text(error).splitlines()
    assert lines[0] == "DatasetError: expected at most max_length (16) tokens"
    assert lines[1] == "  row 1, base_model: bad"
    assert lines[-2:] == ["  ... and 2 more", "Pass --resume."]


def test_an_error_without_notes() -> None:
    assert error_text(ExtractFTError("Plain.")) == "ExtractFTError: Plain."


def test_a_command_that_keeps_no_run_gives_no_advice_about_runs() -> None:
    for _, text in hints():
        shown = with_flags(without_run_advice(text))
        assert not re.search(r"--(work-dir|resume)\b", shown), text


@pytest.mark.parametrize(
    ("code", "hint"), [(errno.ENOSPC, "Free some."), (errno.EACCES, "Make it writable.")], ids=["full", "refused"]
)
def test_a_training_that_fails_within_a_learning_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, hint: str
) -> None:
    def fails(*args: object, **settings: object) -> Iterator[None]:
        with writing("the checkpoint", tmp_path):
            raise OSError(code, "no")
        yield

    monkeypatch.setattr(extractft.extractor, "learning_curve", fails)
    (tmp_path / "schema.py").write_text("class Order(__import__('pydantic').BaseModel):\n    name: str\n", "utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "A", "output": {"name": "A"}}\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["learning-curve", "schema.py:Order", "rows.jsonl"])
    assert isinstance(done.exception, TrainingError)
    assert error_text(done.exception).splitlines()[1:] == [hint]
