"""Bulk runs: what the machinery costs, whether memory is bounded, and whether kills and full disks leave a trace.

    python benchmarks/bulk.py cost                          # bulk.run and extract_many in turns, on a tiny model
    python benchmarks/bulk.py instant --rows 1000000        # an extractor that answers at once: time and memory
    python benchmarks/bulk.py kills --rows 100000 --kills 50
    python benchmarks/bulk.py disk                          # a small tmpfs fills up, and room is made again (as root)
    python benchmarks/bulk.py ray --rows 100000             # two nodes of Ray; workers and one node are killed

Each command prints a verdict and exits with 1 if it is not `held`. `cost` holds if the fastest `bulk.run` is at most 3%
above the fastest `extract_many`, since other work on the machine can only slow them; `instant` if a row costs under 50
microseconds of processor time beyond the extractor itself, and no tenth has 5 % more resident memory than the second;
`kills` and `disk` if the output is that of a run that nobody stopped, byte for byte, `kills` if nine in ten rows are
records besides, and memory is as flat; `ray` if the records are those of
a run on one machine. The texts are complaints of `examples/complaints`, invented.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from extractft import Extractor, GenerationConfig, bulk
from extractft.completion import Completion
from extractft.errors import BulkRunError
from extractft.extractor.extraction import Extraction
from extractft.schema import Schema
from extractft.testing import byte_tokenizer, tiny_model
from lib.command_line import make_parser
from lib.killed_runs import KilledRun, output_of, run_in_fork
from lib.process_memory import resident_memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

MOST_COST, MOST_MICROSECONDS, MOST_GROWTH = 0.03, 50.0, 0.05
ENOUGH_FOR_MEMORY = 20_000
"""Rows in whose second tenth nothing is loaded any more."""
MIB = 1 << 20
EMPTY, LEAST_CONFIDENCE, LEAST_RECORDS = 0.02, 0.0002, 0.9
"""Of the rows that are decoded while the run is killed: the share without a text, confidences below which a random
model's records go to review, and the share that has to be records all the same."""


class Note(BaseModel):
    """A short record, which a random model ends soon."""

    code: Annotated[str, Field(max_length=3)]
    urgent: bool


class InstantExtractor:
    """Answers at once: the beginning of a text is its code."""

    def __init__(self) -> None:
        self.schema: Schema[Any] = Schema.of(Note)
        self._completion = Completion((), "stop")

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Sequence[str] = ()
    ) -> Iterator[Any]:
        for text in texts:
            yield Extraction(Note(code=text[:3], urgent=len(text) % 2 == 0), text, "", self._completion)


class PacedExtractor(InstantExtractor):
    """Takes its time and no processor, so that there is a middle of a run."""

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Sequence[str] = ()
    ) -> Iterator[Any]:
        for outcome in super().inspect_many(texts):
            time.sleep(0.0005)
            yield outcome


def save_tiny(folder: Path) -> Path:
    """Save an extractor with a random model of a few thousand weights, which writes a record for every text."""
    tiny_model().save_pretrained(folder / "base")
    byte_tokenizer().save_pretrained(folder / "base")
    generation = GenerationConfig(batch_size=64)
    extractor: Extractor[Any] = Extractor.from_base(Note, base_model=str(folder / "base"), generation=generation)
    extractor.save_pretrained(folder / "extractor")
    return folder / "extractor"


def write_rows(path: Path, rows: int, *, repeated: float = 0.1, empty: float = 0.0) -> list[str]:
    """Write complaints as JSONL, a share of them again and a share of them empty, and return their texts."""
    from complaints.writer import generate

    chance = random.Random(16)
    texts = [example.text for example in generate(min(rows, 2000), seed=16)]
    made = []
    for number in range(rows):
        fresh = f"{texts[number % len(texts)][:60]} {number}"
        made.append(made[chance.randrange(len(made))] if made and chance.random() < repeated else fresh)
    made = ["" if chance.random() < empty else text for text in made]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"id": f"r{n}", "text": text}, ensure_ascii=False) + "\n" for n, text in enumerate(made)
        )
    return made


def verdict(held: bool, words: str) -> None:
    """Print the verdict, and end with 1 if it is not held."""
    print(f"{'held' if held else 'NOT HELD'}: {words}")
    if not held:
        raise SystemExit(1)


def _seconds(work: Callable[[], Any]) -> float:
    """Processor seconds of some work: the machine may have more to do."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def run_cost(args: argparse.Namespace, folder: Path) -> None:
    """`bulk.run` and `extract_many` on the same texts, in turns in one process."""
    extractor: Extractor[Any] = Extractor.from_pretrained(save_tiny(folder))
    texts = write_rows(folder / "texts.jsonl", args.rows, repeated=0.0)
    list(extractor.extract_many(texts))  # drafts learn from record to record
    plain, whole = [], []
    for turn in range(args.turns):

        def extract() -> None:
            plain.append(_seconds(lambda: list(extractor.extract_many(texts))))

        def bulk_run(turn: int = turn) -> None:
            folder_of_turn = folder / f"out-{turn}"
            whole.append(_seconds(lambda: bulk.run(extractor, folder / "texts.jsonl", folder_of_turn, id_column="id")))

        for work in (extract, bulk_run) if turn % 2 else (bulk_run, extract):
            work()
    first, second = min(plain), min(whole)
    print(f"extract_many {[round(x, 2) for x in plain]} s, bulk.run {[round(x, 2) for x in whole]} s")
    beyond = (second - first) / args.rows * 1e6
    words = f"{second / first - 1:+.1%} over extract_many, {beyond:.0f} microseconds a row (fastest of each)"
    verdict(second <= first * (1 + MOST_COST), words)


def run_instant(args: argparse.Namespace, folder: Path) -> None:
    """Time and memory with an extractor that answers at once."""
    texts = write_rows(folder / "texts.jsonl", args.rows)
    extractor = InstantExtractor()
    begin = time.process_time()
    sum(1 for _ in extractor.inspect_many(texts))
    alone = time.process_time() - begin
    del texts
    tenths: list[float] = []

    def notice(progress: bulk.RunProgress) -> None:
        _notice_memory(progress, args.rows, tenths)

    begin, wall = time.process_time(), time.monotonic()
    bulk.run(extractor, folder / "texts.jsonl", folder / "out", id_column="id", progress=notice)
    microseconds = (time.process_time() - begin - alone) / args.rows * 1e6
    print(f"{args.rows} rows in {time.monotonic() - wall:.0f} s; resident MiB by tenth: {[round(x) for x in tenths]}")
    growth = max(tenths[1:]) / tenths[1] - 1
    held = microseconds < MOST_MICROSECONDS and growth <= MOST_GROWTH
    verdict(
        held, f"{microseconds:.1f} microseconds a row beyond the extractor, memory {growth:+.1%} after the first tenth"
    )


def run_kills(args: argparse.Namespace, folder: Path) -> None:
    """One run killed at random moments and in the midst of writes, and one that is not."""
    saved = InstantExtractor() if args.instant else save_tiny(folder)
    write_rows(folder / "texts.jsonl", args.rows, repeated=args.repeated, empty=EMPTY)
    limit = None if args.instant else LEAST_CONFIDENCE
    settings: dict[str, Any] = {"id_column": "id", "explain": ("confidence",), "min_confidence": limit}
    memory = folder / "memory.json"

    def work(name: str, progress: Callable[[bulk.RunProgress], None] | None = None) -> bulk.RunSummary:
        return bulk.run(
            saved, folder / "texts.jsonl", folder / name, shard_rows=args.shard_rows, progress=progress, **settings
        )

    def whole() -> None:
        tenths: list[float] = []
        work("whole", lambda progress: _notice_memory(progress, args.rows, tenths))
        memory.write_text(json.dumps(tenths))

    begin = time.monotonic()
    run_in_fork(whole)
    seconds = time.monotonic() - begin
    summary, tenths = json.loads((folder / "whole/summary.json").read_text("utf-8")), json.loads(memory.read_text())
    counts = {name: summary[name] for name in ("rows", "records", "review", "failed", "reused")}
    growth = max(tenths[1:]) / tenths[1] - 1
    print(f"not stopped: {seconds:.0f} s, {counts}; resident MiB by tenth: {[round(x) for x in tenths]}", flush=True)
    killed = KilledRun(folder / "killed", lambda: work("killed"), random.Random(16), seconds, args.start)
    killed.kill(args.kills)
    run_in_fork(lambda: work("killed"))
    same = output_of(folder / "whole") == output_of(folder / "killed")
    share = summary["records"] / args.rows
    print(f"killed and gone on: {time.monotonic() - begin - seconds:.0f} s; kills fell {dict(killed.fell)}")
    flat = growth <= MOST_GROWTH or args.rows < ENOUGH_FOR_MEMORY
    verdict(
        same and killed.kills == args.kills and share >= LEAST_RECORDS and flat,
        f"{args.rows} rows, {share:.1%} of them records, {killed.kills} kills, output the same: {same}, "
        f"memory {growth:+.1%} after the first tenth",
    )


def _notice_memory(progress: bulk.RunProgress, rows: int, tenths: list[float]) -> None:
    """Note the memory at each tenth of a run."""
    if progress.done % (rows // 10) == 0:
        tenths.append(resident_memory("VmRSS") / MIB)


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A tmpfs of a few MiB; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def run_disk(args: argparse.Namespace, folder: Path) -> None:
    """A disk that fills up in mid-run, and room that is made again."""
    if os.name != "posix" or os.getuid() != 0:
        print("skipped: mounting a small tmpfs needs root")
        return
    write_rows(folder / "texts.jsonl", args.rows)
    extractor = InstantExtractor()
    bulk.run(extractor, folder / "texts.jsonl", folder / "whole", id_column="id")
    size = sum(len(content) for content in output_of(folder / "whole").values())
    with small_disk(folder / "disk", size * 4 // MIB + 8) as disk:
        stopped = 0
        for free in (1, 2, 4, 8):
            left = shutil.disk_usage(disk).free - free * MIB
            (disk / "ballast").write_bytes(b"x" * max(left, 0))
            try:
                bulk.run(extractor, folder / "texts.jsonl", disk / "out", id_column="id")
            except BulkRunError as error:
                stopped += 1
                print(f"{free} MiB free: {error} {' '.join(error.__notes__)}")
            (disk / "ballast").unlink()
        bulk.run(extractor, folder / "texts.jsonl", disk / "out", id_column="id")
        same = output_of(folder / "whole") == output_of(disk / "out")
    verdict(same and stopped > 0, f"{args.rows} rows, the disk full {stopped} times, output the same: {same}")


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of all shards, in order."""
    parts = sorted((folder / "shards").glob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


def run_ray(args: argparse.Namespace, folder: Path) -> None:
    """Two nodes of Ray on this machine, of which workers and one as a whole are killed in mid-run."""
    if importlib.util.find_spec("ray") is None:
        print("skipped: Ray is not installed, pip install 'extractft[ray]'")
        return
    from lib.ray_nodes import kill_worker, ray_nodes, workers_of

    write_rows(folder / "texts.jsonl", args.rows)
    settings: dict[str, Any] = {"id_column": "id", "format": "jsonl", "shard_rows": args.shard_rows}
    bulk.run(InstantExtractor(), folder / "texts.jsonl", folder / "whole", **settings)
    begin = time.monotonic()
    killed = {"workers": 0, "nodes": 0}

    def disturb(progress: bulk.RunProgress) -> None:
        shards = progress.done // args.shard_rows
        if progress.done % args.shard_rows or not shards:
            return
        if killed["nodes"] == 0 and progress.done > args.rows // 2 and workers_of(doomed):
            cluster.remove_node(doomed, allow_graceful=False)
            killed["nodes"] += 1
        elif progress.done > args.rows * (killed["workers"] + 1) // (args.kills + 1) and killed["workers"] < args.kills:
            killed["workers"] += kill_worker(cluster)

    with ray_nodes(2) as cluster:
        doomed = sorted(cluster.worker_nodes, key=lambda node: node.unique_id)[0]
        there = bulk.RayCluster(address=cluster.address, min_size=2, max_size=2)
        summary = bulk.run(
            PacedExtractor(), folder / "texts.jsonl", folder / "there", ray=there, progress=disturb, **settings
        )
    alone, found = records_of(folder / "whole"), records_of(folder / "there")
    names = {line["id"] for line in found}
    print(f"{time.monotonic() - begin:.0f} s with the start of the cluster; killed: {killed}")
    same = alone == found and len(names) == len(found) == summary.records == args.rows
    verdict(same and min(killed.values()) > 0, f"{args.rows} rows, {len(found)} records, the same: {same}")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, work, rows in (
        ("cost", run_cost, 2000),
        ("instant", run_instant, 1_000_000),
        ("kills", run_kills, 100_000),
        ("disk", run_disk, 50_000),
        ("ray", run_ray, 100_000),
    ):
        command = commands.add_parser(name, help=work.__doc__)
        command.add_argument("--rows", type=int, default=rows, help="rows (default: %(default)s)")
        command.set_defaults(work=work)
        if name == "cost":
            command.add_argument("--turns", type=int, default=5, help="turns (default: %(default)s)")
        if name == "kills":
            command.add_argument("--kills", type=int, default=50, help="kills (default: %(default)s)")
            command.add_argument("--start", type=float, default=1.0, help="seconds that loading takes (default: 1)")
            command.add_argument("--shard-rows", type=int, default=500, help="rows in a shard (default: %(default)s)")
            command.add_argument("--repeated", type=float, default=0.6, help="equal texts (default: %(default)s)")
            command.add_argument("--instant", action="store_true", help="an extractor that answers at once")
        if name == "ray":
            command.add_argument("--kills", type=int, default=5, help="workers that are killed (default: %(default)s)")
            command.add_argument("--shard-rows", type=int, default=500, help="rows in a shard (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    args = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="extractft-bulk-") as folder:
        args.work(args, Path(folder))


if __name__ == "__main__":
    main()
