"""Shells complete commands, options and settings: what typer makes for bash, run in bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "import sys; sys.argv[0] = 'extractft'; from extractft.cli import main; main()"
"""The command under its installed name, which names the variable that asks for completions."""


def _complete(shell: str, words: str, at: int) -> list[str]:
    asked = {"_EXTRACTFT_COMPLETE": f"complete_{shell}", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    asked["_TYPER_COMPLETE_ARGS"] = words
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, **asked}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "at", "expected"),
    [
        ("extractft ex", 1, ["extract", "export"]),
        ("extractft fit --ou", 2, ["--output"]),
        ("extractft review st", 2, ["status"]),
        ("extractft fit --set lora.lora", 3, ["lora.lora_alpha", "lora.lora_dropout"]),
        ("extractft nothing", 1, []),
    ],
)
def test_bash_gets_what_may_follow(words: str, at: int, expected: list[str]) -> None:
    assert _complete("bash", words, at) == expected


def test_zsh_gets_commands_with_their_help() -> None:
    assert '"extract":"' in " ".join(_complete("zsh", "extractft ex", 1))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_the_shown_script_works_in_bash(tmp_path: Path) -> None:
    command = tmp_path / "extractft"
    command.write_text(f"#!{sys.executable}\n{PROGRAM}\n", encoding="utf-8")
    command.chmod(0o755)
    script = (
        'eval "$(extractft --show-completion)"; COMP_WORDS=(extractft ser); COMP_CWORD=1; '
        '_extractft_completion extractft; echo "${COMPREPLY[@]}"; complete -p extractft'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False
    )
    assert done.stdout.splitlines() == ["serve", "complete -o default -F _extractft_completion extractft"], done.stderr


@pytest.mark.parametrize("words", [(), ("fit",), ("serve",), ("review",), ("review", "add"), ("doctor",)])
def test_h_is_help(words: tuple[str, ...]) -> None:
    short, long = (
        subprocess.run([sys.executable, "-m", "extractft", *words, flag], capture_output=True, text=True, check=True)
        for flag in ("-h", "--help")
    )
    assert short.stdout == long.stdout
    assert "Usage:" in short.stdout
