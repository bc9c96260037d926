"""The whole circle without a person: label, choose, review, fit, serve, review the doubtful answers, fit again.

    python benchmarks/review_loop.py snips_restaurant
    python benchmarks/review_loop.py snips_restaurant --raw 1000 --chosen 150 --requests 200 --corrected 50 --epochs 3

Every step is a command of the package or a request to its servers: `select` chooses among raw texts, `label` asks a
teacher behind HTTP that is wrong in a known tenth of the texts, `serve --review` has the doubtful records looked over
by a script that knows the gold ones and speaks the review page's own HTTP API, `fit --add` trains. The tuned extractor
is served and asked, the least certain of its answers are corrected in the same way, and `fit --add` trains anew. Beside
it, the same numbers of rows chosen at random. F1 is of test rows that no step has seen.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lib.command_line import make_parser
from lib.paths import CACHE
from lib.results import environment, write_json
from lib.scripted_teacher import ScriptedTeacher
from lib.tasks import DataSplit, add_set_argument, find_set, load_task

NAME, REVIEWER = "records", "script"
WAYS = ("chosen", "random")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    add_set_argument(parser)
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--raw", type=int, default=1000, help="raw texts to begin with (default: %(default)s)")
    parser.add_argument("--chosen", type=int, default=150, help="texts that are labelled (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="texts sent to the server (default: %(default)s)")
    parser.add_argument("--corrected", type=int, default=50, help="answers that are corrected (default: %(default)s)")
    parser.add_argument("--test", type=int, default=200, help="test rows (default: %(default)s)")
    parser.add_argument("--wrong", type=float, default=0.1, help="share of texts that the teacher errs on")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--work", type=Path, default=CACHE / "review-loop", help="what the steps write goes into new folders there"
    )
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")
    return parser


def command(*arguments: object, accept: Sequence[int] = (0,)) -> str:
    """Run a command of the package; its standard output.

    Raises:
        SystemExit: It ended otherwise; what it said is shown.
    """
    done = subprocess.run(
        [sys.executable, "-m", "extractft", *map(str, arguments)], check=False, capture_output=True, text=True
    )
    if done.returncode not in accept:
        sys.exit(f"expected `extractft {arguments[0]}` to succeed, found exit code {done.returncode}: {done.stderr}")
    return done.stdout


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of JSON lines; none if there is no file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


@contextmanager
def served(extractor: Path, review: Path, log: Path) -> Iterator[httpx.Client]:
    """A client of `extractft serve`, which ends with the block by SIGTERM and has to exit with 0."""
    arguments = ["serve", f"{NAME}={extractor}", "--port", "0", "--review", review]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "extractft", *map(str, arguments)], stdout=errors, stderr=subprocess.STDOUT
        )
    try:
        limits = httpx.Limits(max_keepalive_connections=0)  # one that the server has closed meanwhile is found too late
        address = _address(process, log)
        with httpx.Client(base_url=address, timeout=120, trust_env=False, limits=limits) as client:
            while client.get("/health/ready").status_code != 200:
                time.sleep(0.2)
            yield client
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=120) != 0:
            sys.exit(f"expected the server to exit with 0, found {process.returncode}; see {log}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[Any], log: Path) -> str:
    """The address that a server says it listens on."""
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text("utf-8"))
        if found:
            return found[0]
        time.sleep(0.1)
    sys.exit(f"expected a server, found none; see {log}")


def review_all(client: httpx.Client, gold: Mapping[str, Any]) -> dict[str, int]:
    """Look over everything that waits, as somebody who knows the right records; the number of decisions by kind."""
    counts = {"accept": 0, "correct": 0}
    while True:
        item = _asked(client, "/v1/review/next", {"reviewer": REVIEWER, "extractor": NAME})["item"]
        if item is None:
            return counts
        right = gold[item["text"]]
        about = {"reviewer": REVIEWER, "version": item["version"]}
        kind = "accept" if item["record"] == right else "correct"
        body = about if kind == "accept" else about | {"record": right}
        _asked(client, f"/v1/review/items/{item['number']}/{kind}", body)
        counts[kind] += 1


def _asked(client: httpx.Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    answer.raise_for_status()
    return dict(answer.json())


@dataclass(slots=True)
class Circle:
    """One way round, with what came of each step.

    Attributes:
        way: How rows are chosen.
        folder: Where its files are.
        schema: The schema, as commands name it.
        steps: A row of the table for each fit.
    """

    args: argparse.Namespace
    way: str
    folder: Path
    schema: str
    raw: DataSplit
    test: DataSplit
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def gold(self) -> dict[str, Any]:
        """The right records by their texts."""
        return dict(self.raw)

    def go(self) -> None:
        """All steps."""
        tests = write_rows(self.folder / "test.jsonl", [{"text": t, "output": o} for t, o in self.test])
        untrained = self._untrained()
        labelled, doubts, about = self._label(self._choose())
        reviews = self.folder / "reviews.db"
        if doubts.exists() and doubts.stat().st_size:
            command("review", "add", reviews, doubts, "--extractor", NAME)
        with served(untrained, reviews, self.folder / "serve-untrained.log") as client:
            about |= {f"first_{kind}": count for kind, count in review_all(client, self.gold).items()}
        first = self._fit("first", labelled, reviews)
        self._score("labels of the teacher, doubtful ones corrected", first, tests, about)
        with served(first, reviews, self.folder / "serve-first.log") as client:
            self._send_requests(client, reviews)
            about = {f"second_{kind}": count for kind, count in review_all(client, self.gold).items()}
        second = self._fit("second", labelled, reviews)
        self._score("with corrected answers of the server", second, tests, about)

    def _untrained(self) -> Path:
        """The base model as an extractor, which is served so that the first records can be looked over."""
        from extractft import Extractor
        from lib.tasks import load_module

        folder = self.folder / "untrained"
        record = load_module(Path(self.schema.rpartition(":")[0])).Record
        Extractor.from_base(record, base_model=self.args.base_model).save_pretrained(folder)
        return folder

    def _choose(self) -> Path:
        """The texts that are labelled."""
        path = self.folder / "next.jsonl"
        if self.way == "random":
            texts = random.Random(self.args.seed).sample([text for text, _ in self.raw], self.args.chosen)
            return write_rows(path, [{"text": text} for text in texts])
        raw = write_rows(self.folder / "raw.jsonl", [{"text": text} for text, _ in self.raw])
        command("select", raw, "--count", self.args.chosen, "--output", path)
        return path

    def _label(self, texts: Path) -> tuple[Path, Path, dict[str, Any]]:
        """The teacher's labels, and those that are in doubt."""
        labelled, doubts = self.folder / "labelled.jsonl", self.folder / "doubts.jsonl"
        teacher = ScriptedTeacher(self.gold, wrong=self.args.wrong)
        with teacher.serving() as address:
            told = ["label", texts, "--schema", self.schema, "--teacher", address, "--model", "teacher"]
            command(*told, "--output", labelled, "--review", doubts, accept=(0, 3))
        rows = read_rows(labelled)
        wrong = sum(row["output"] != self.gold[row["text"]] for row in rows)
        return labelled, doubts, {"taken": len(rows), "wrong_taken": wrong, "doubts": len(read_rows(doubts))}

    def _fit(self, name: str, labelled: Path, reviews: Path) -> Path:
        folder = self.folder / name
        model = ["--base-model", self.args.base_model, "--set", f"num_train_epochs={self.args.epochs}"]
        command("fit", self.schema, labelled, "--add", reviews, "--output", folder, *model, accept=(0, 3))
        return folder

    def _send_requests(self, client: httpx.Client, reviews: Path) -> None:
        """Requests with texts that nobody has labelled; the doubtful answers go to the review."""
        known = {row["text"] for row in read_rows(self.folder / "next.jsonl")}
        texts = [text for text, _ in self.raw if text not in known][: self.args.requests]
        asked = [_asked(client, f"/v1/{NAME}/extract", {"text": t, "confidence": True, "spans": True}) for t in texts]
        rows = [
            {"text": text, "output": answer["record"], **_explained(answer)}
            for text, answer in zip(texts, asked, strict=True)
        ]
        if self.way == "random":
            rows = random.Random(self.args.seed).sample(rows, min(self.args.corrected, len(rows)))
        else:
            rows = sorted(rows, key=lambda row: row["confidence"]["record"])[: self.args.corrected]
        doubtful = write_rows(self.folder / "answers.jsonl", rows)
        command("review", "add", reviews, doubtful, "--extractor", NAME)

    def _score(self, step: str, extractor: Path, tests: Path, about: Mapping[str, Any]) -> None:
        report = json.loads(command("evaluate", extractor, tests, "--output", "-"))
        scores = {name: report[name] for name in ("field_f1", "exact_rate")}
        self.steps.append({"way": self.way, "step": step} | scores | dict(about))
        print(json.dumps(self.steps[-1], ensure_ascii=False), flush=True)


def _explained(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("confidence", "spans") if name in answer}


def main(argv: Sequence[str] | None = None) -> None:
    """Go round in each way, and print a table."""
    args = build_parser().parse_args(argv)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    task = load_task(args.set, args.raw, args.test, data=args.data)
    schema = f"{(find_set(args.set, args.data) / 'schema.py').resolve()}:Record"
    steps: list[dict[str, Any]] = []
    for way in args.ways:
        args.work.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{task.name}-{way}-", dir=args.work)).resolve()
        circle = Circle(args, way, folder, schema, task.train, task.test)
        circle.go()
        steps += circle.steps
    print("| rows | after | field F1 | exact records |\n| --- | --- | --- | --- |")
    for step in steps:
        print(f"| {step['way']} | {step['step']} | {step['field_f1']:.3f} | {step['exact_rate']:.3f} |")
    write_json(args.output, {"environment": environment(), "set": task.name, "steps": steps})


if __name__ == "__main__":
    main()
