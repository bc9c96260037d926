"""Two revisions of this package timed in turns: import, training, decoding one by one and side by side.

    python benchmarks/revisions.py REVISION snips_restaurant            # the working tree beside REVISION
    python benchmarks/revisions.py bb986de snips_restaurant --turns 3 --train 32 --epochs 3

REVISION is checked out into a temporary folder. Each works in a process of its own, in the same environment: both
are trained on the same rows, then each text goes to one and to the other. Times are processor seconds; the ratio of a
row is the working tree's time over the revision's, so that 1.03 is 3 % slower. The first `--warm-up` texts are not
counted, since proposers learn from them. Records are compared as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lib.command_line import make_parser
from lib.paths import ROOT
from lib.peer_processes import WORKERS, Worker
from lib.results import environment, write_json
from lib.tasks import DataSplit, add_set_argument, find_set, load_task


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("revision", metavar="REVISION", help="a revision of this repository, as git names it")
    add_set_argument(parser)
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--turns", type=int, default=2, help="trainings and imports of each (default: %(default)s)")
    parser.add_argument("--train", type=int, default=32, help="training rows (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=16, help="texts before those that count (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=32, help="texts that count (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, help="texts side by side (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")
    return parser


def check_out(revision: str, folder: Path) -> Path:
    """The package of a revision, in a folder."""
    digest = _git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
    archive = subprocess.run(["git", "archive", digest, "src"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "src"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"expected a revision that git knows, found {arguments[-1]!r}: {done.stderr.strip()}")
    return done.stdout


def import_seconds(source: Path) -> float:
    """Processor seconds of a process that imports the package and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(source)}
    subprocess.run([sys.executable, "-c", "import extractft; extractft.Extractor"], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Pair:
    """The two revisions, the working tree first, and the seconds of each by kind of work."""

    def __init__(self, stack: ExitStack, args: argparse.Namespace) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="extractft-revision-")))
        self.sources = (ROOT / "src", check_out(args.revision, folder))
        schema = find_set(args.set, args.data) / "schema.py"
        settings = {
            "base_model": args.base_model,
            "epochs": args.epochs,
            "threads": args.threads,
            "schema": str(schema),
        }
        self.workers = [self._start(stack, source, settings, args.threads) for source in self.sources]
        self.seconds: dict[str, tuple[list[float], list[float]]] = {}
        self.equal: dict[str, list[bool]] = {}

    @staticmethod
    def _start(stack: ExitStack, source: Path, settings: dict[str, Any], threads: int) -> Worker:
        command = ["env", f"PYTHONPATH={source}", sys.executable, WORKERS / "revision.py", json.dumps(settings)]
        worker = Worker(stack, command, f"revision-{source.parent.name}", threads)
        package = Path(worker.read()["package"])
        if package.parent != source:
            raise RuntimeError(f"expected the package of {source}, found {package}")
        return worker

    def ask(self, kind: str, value: dict[str, Any], *, first: int = 0) -> None:
        """Let both do the same work, the one or the other first."""
        answers: dict[int, dict[str, Any]] = {}
        for index in (first % 2, 1 - first % 2):
            answers[index] = self.workers[index].request(value)
            self.add(kind, index, answers[index]["seconds"])
        self.equal.setdefault(kind, []).append(answers[0]["records"] == answers[1]["records"])

    def add(self, kind: str, index: int, seconds: float) -> None:
        """Count seconds of one of the two."""
        self.seconds.setdefault(kind, ([], []))[index].append(seconds)

    def summary(self, kind: str) -> dict[str, Any]:
        """The sums, their ratio, the median of the ratios pair by pair, and the ratio of the fastest."""
        new, old = self.seconds[kind]
        return {
            "here": sum(new) / len(new),
            "revision": sum(old) / len(old),
            "ratio": sum(new) / sum(old),
            "median_ratio": statistics.median(one / other for one, other in zip(new, old, strict=True)),
            "fastest_ratio": min(new) / min(old),
            "count": len(new),
            "equal": sum(self.equal.get(kind, [])),
        }


def measure(pair: Pair, args: argparse.Namespace, train: DataSplit, texts: Sequence[str]) -> None:
    """All four kinds of work, in turns."""
    for turn in range(args.turns):
        for index in (turn % 2, 1 - turn % 2):
            pair.add("import", index, import_seconds(pair.sources[index]))
        pair.ask("training", {"train": train}, first=turn)
    for start in range(args.warm_up):
        pair.ask("warm-up", {"texts": [texts[start]]}, first=start)
    counted = texts[args.warm_up :]
    for number, text in enumerate(counted):
        pair.ask("single", {"texts": [text]}, first=number)
    for number, start in enumerate(range(0, len(counted), args.batch_size)):
        pair.ask("batched", {"texts": counted[start : start + args.batch_size]}, first=number)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    args = build_parser().parse_args(argv)
    task = load_task(args.set, args.train, args.warm_up + args.limit, data=args.data)
    with ExitStack() as stack:
        pair = Pair(stack, args)
        measure(pair, args, task.train, [text for text, _ in task.test])
        found = {kind: pair.summary(kind) for kind in pair.seconds}
    print("| work | here, s | revision, s | ratio | median of pairs | of the fastest | times | same records |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, row in found.items():
        numbers = " | ".join(
            f"{row[name]:.3f}" for name in ("here", "revision", "ratio", "median_ratio", "fastest_ratio")
        )
        print(f"| {kind} | {numbers} | {row['count']} | {row['equal'] if kind not in ('import', 'training') else ''} |")
    write_json(args.output, {"environment": environment(), "revision": args.revision, "set": task.name, "work": found})


if __name__ == "__main__":
    main()
