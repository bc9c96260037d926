"""Rewrite messages of the library for the command line: flags in place of keyword arguments.

Only this module knows both names. A test reads every message of the package and finds those that it cannot rewrite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import BaseModel

from extractft.config import GenerationConfig, LoRAConfig, PromptConfig, TrackingConfig, TrainingConfig
from extractft.errors import ExtractFTError

__all__ = ["error_text", "setting_names", "usage_error", "with_flags", "without_run_flags"]

FLAGS = {
    "base_model": "--base-model",
    "batch_size": "--batch-size",
    "eval_data": "--eval-data",
    "id_column": "--id-column",
    "init_adapter": "--init-adapter",
    "keep_columns": "--keep",
    "max_failures": "--max-failures",
    "min_equal": "--min-equal",
    "min_confidence": "--min-confidence",
    "output_dir": "--work-dir",
    "show_values": "--show-values",
    "text_column": "--text-column",
}
"""Arguments of the library and their flags."""
ARGUMENTS = {**FLAGS, "encoding": "--encoding", "engine": "--engine"}
"""Arguments that are recognised only with a value, because they are ordinary words as well, and all others."""

PHRASES = (
    (r"Extractor\.from_pretrained\(path\)\.save_pretrained\(path\)", "`extractft resave EXTRACTOR`"),
    (r"\bresume=True\b", "--resume"),
    (r"\bskip_scans=True\b", "--skip-scans"),
    (r"\boverwrite=True\b", "--force"),
    (r"Give force=True \(--force on the command line\)", "Give --force"),
    (r"\bshow_values=True\b", "--show-values"),
    (r"\bforce=True\b", "--force"),
    (r"\bformat='(\w+)'", r"--format \1"),
    (r"\bfrom_pretrained\(path, schema=[\w.]+\)", "--schema module:Class"),
    (r"written by `save_pretrained`", "written by `extractft fit`"),
    (r"`save_pretrained` wrote", "`extractft fit` wrote"),
    (r"(\S+\([^)]*\) for \w+, )?\S+(\([^)]*\)( for \w+)?|=), on the command line (?=--)", ""),
    (r"\w+=\S*, (--[\w-]+) on the command line", r"\1"),
    (r", or pass (pandas|datasets)\.\w+\([^)]*\)", ""),
    (r"\bread the file with dtype=str, or pass its path", "write that column as text"),
    (r"Other ways to read it: .*, then pass the DataFrame", "Save it anew as .xlsx, or as CSV UTF-8"),
    (r", a folder, a pattern or a list of rows\.", ", a folder or a pattern in quotes."),
    (r"; columns=\{\} maps none", ""),
    (r"^columns maps\b", "--column maps"),
)
"""Phrases that are rewritten as a whole."""
NO_RUN_PHRASES = (
    (r"; a run with an output_dir goes on with resume=True\.", "."),
    (r", set TMPDIR, or give an output_dir\.", " or set TMPDIR."),
)
"""Phrases that are rewritten for commands without a run to go on with; other advice of that kind is left out."""

SECTIONS = {
    "TrainingConfig": TrainingConfig,
    "LoRAConfig": LoRAConfig,
    "PromptConfig": PromptConfig,
    "GenerationConfig": GenerationConfig,
    "TrackingConfig": TrackingConfig,
}
WORDS = {"True": "true", "False": "false", "None": "null"}
VALUE = r"""('[^']*'|"[^"]*"|[\w.+-]*\w)"""


def setting_names(config: type[BaseModel] = TrainingConfig, prefix: str = "") -> Iterator[str]:
    """The names of all settings as `--set` takes them, `lora.r`."""
    for name, info in config.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from setting_names(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


DOTTED = {name.rpartition(".")[2]: name for name in reversed(list(setting_names()))}
"""From a setting's own name to its dotted name for `--set`; of two with one name, the first."""
PREFIXES = {
    name: next((f"{key}." for key, info in TrainingConfig.model_fields.items() if info.annotation is config), "")
    for name, config in SECTIONS.items()
}


def error_text(error: BaseException) -> str:
    """The message and the hints of an error, rewritten for the command line."""
    first, *rows = str(error).split("\n")
    rows = [row.replace(", all in `.issues`", "") for row in rows]
    notes = [with_flags(note) for note in getattr(error, "__notes__", ())]
    return "\n".join([f"{type(error).__name__}: {with_flags(first, as_advice=False)}", *rows, *notes])


def usage_error(error: BaseException, flag: str) -> typer.BadParameter:
    """An error of the library about what was typed, as wrong usage of a flag or an argument."""
    first, *rows = str(error).split("\n")
    told = first[:1].lower() + first[1:] if first.startswith("Expected ") else first
    notes = [with_flags(note) for note in getattr(error, "__notes__", ())]
    return typer.BadParameter("\n".join([with_flags(told, as_advice=False), *rows, *notes]), param_hint=flag)


def with_flags(text: str, *, as_advice: bool = True) -> str:
    """Rewrite a sentence of the library with flags in place of keyword arguments.

    Args:
        text: Names arguments and settings, and quotes no data.
        as_advice: True if `name=value` is what the user should set, False if it is what was found.
    """
    for pattern, words in PHRASES:
        text = re.sub(pattern, words, text)
    text = re.sub(r"\bcolumns=\{([^}]*)\}", lambda match: _columns(match[1]), text)
    sections = "|".join(SECTIONS)
    text = re.sub(rf"\b({sections})\((\w+={VALUE})\)", r"\1.\2", text)
    text = re.sub(rf"\b({sections})\.(\w+)", lambda match: PREFIXES[match[1]] + match[2], text)
    text = re.sub(
        rf"(?<![\w.-])((?:\w+\.)?\w+)={VALUE}", lambda match: _setting(match[1], match[2], as_advice) or match[0], text
    )
    text = re.sub(r"\b([Ss])et --set\b", lambda match: ("Give" if match[1] == "S" else "give") + " --set", text)
    names = "|".join(FLAGS)
    text = re.sub(rf"(?<![\w.`'\"-])({names})(?![\w`'\"=]|\.\w)", lambda match: FLAGS[match[1]], text)
    return re.sub(r"\b([Aa])n?(?= --(.))", lambda match: match[1] + ("n" if match[2] in "aeiou" else ""), text)


@contextmanager
def without_run_flags() -> Iterator[None]:
    """For commands that train and keep no run: take out of errors what only `fit` has, such as `--resume`."""
    try:
        yield
    except (ExtractFTError, KeyboardInterrupt) as error:
        notes = getattr(error, "__notes__", [])
        notes[:] = [kept for note in notes if (kept := without_run_advice(note))]
        raise


def without_run_advice(note: str) -> str:
    """The advice of a note for a run that is not kept; empty if there is none."""
    for pattern, words in NO_RUN_PHRASES:
        note = re.sub(pattern, words, note)
    return "" if re.search(r"\b(output_dir|resume=|overwrite=)|--(work-dir|resume)\b", note) else note


def _columns(mapping: str) -> str:
    """`"text": "complaint", "output": "label"` as flags."""
    return " ".join(f"--column {name}={column}" for name, column in re.findall(r'"([^"]*)": "([^"]*)"', mapping))


def _setting(name: str, value: str, as_advice: bool) -> str | None:
    """`overlong='skip'` as a flag; `None` if it is neither a setting nor an argument that has one."""
    value = value.strip("'\"")
    if name in ARGUMENTS:
        return f"{ARGUMENTS[name]} {value}"
    dotted = name if name in DOTTED.values() else DOTTED.get(name)
    if dotted is None:
        return None
    return f"--set {dotted}={WORDS.get(value, value)}" if as_advice else f"{dotted} ({value})"
