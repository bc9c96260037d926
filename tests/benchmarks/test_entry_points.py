"""Every benchmark starts and measures something: on a tiny random model and a dozen rows.

The numbers mean nothing here. The scripts reach into the package's internals, and nobody else notices when they break.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from extractft.speculation import PROPOSERS

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINTS = (
    "bulk",
    "decoding",
    "demo",
    "drafting",
    "gpu",
    "labelling",
    "memory",
    "peers",
    "quality",
    "review_loop",
    "revisions",
    "servers",
    "serving",
    "training",
    "trust",
)
COMMANDS = {
    "bulk": ("cost", "instant", "kills", "disk", "ray"),
    "decoding": ("speed", "floor", "equality", "products", "eight-bit"),
    "labelling": ("select",),
    "quality": ("run", "table", "forms", "long"),
    "servers": ("equality", "throughput"),
    "serving": ("load", "kill", "share", "baseline", "clients"),
    "trust": ("records", "places", "similar", "lookup-speed", "exports"),
}
SETTINGS = ["--config", "num_train_epochs=1", "--config", "max_eval_rows=2", "--config", "lora.r=2"]
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def trained(load_benchmark: Load, small_set: Path, small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results and checkpoints that `quality.py run` leaves behind."""
    folder = tmp_path_factory.mktemp("quality")
    places = ["--data", str(small_set), "--results", str(folder / "results"), "--cache", str(folder / "cache")]
    sizes = ["--train", "12", "--test", "4", "--threads", "1", "--label", "tiny"]
    load_benchmark("quality").main(["run", "bookings", "--base-model", str(small_base), *places, *sizes, *SETTINGS])
    return folder


@pytest.fixture
def extractor(trained: Path) -> str:
    return str(trained / "cache" / "quality" / "runs" / "bookings-12-4-s0-tiny" / "extractor")


def test_there_are_no_other_entry_points() -> None:
    found = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert found == {*ENTRY_POINTS, "get_data"}


def test_an_entry_point_starts_as_a_script(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "quality.py"), "table", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("| set | recipe |")


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_help(name: str, load_benchmark: Load, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS.get(name, (None,)):
        with pytest.raises(SystemExit) as ended:
            load_benchmark(name).main([command, "--help"] if command else ["--help"])
        assert ended.value.code == 0
        assert "usage:" in capsys.readouterr().out


def test_quality_keeps_and_tabulates_scores(
    trained: Path, load_benchmark: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {path.name for path in (trained / "results").iterdir()}
    assert kept == {"bookings-12-4-s0-tiny.json", "bookings-12-4-untrained.json"}
    load_benchmark("quality").main(["table", "--results", str(trained / "results")])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["untrained", "tiny"]


def test_the_plain_recipe(
    load_benchmark: Load, small_set: Path, small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality = load_benchmark("quality")
    plain = quality.run_plain

    def shortly(*arguments: Any, **options: Any) -> Any:
        return plain(*arguments, **options, epochs=1, max_new_tokens=4)

    monkeypatch.setattr(quality, "run_plain", shortly)
    places = ["--data", str(small_set), "--results", str(tmp_path), "--cache", str(tmp_path / "cache")]
    sizes = ["--train", "4", "--test", "2", "--threads", "1"]
    quality.main(["run", "bookings", "--recipe", "plain", "--base-model", str(small_base), *places, *sizes])
    assert json.loads((tmp_path / "bookings-4-2-s0-plain.json").read_text("utf-8"))["rows"] == 2


def test_tokens_of_a_record(
    load_benchmark: Load, small_set: Path, small_base: Path, qwen3_tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["forms", "bookings", "--data", str(small_set), "--tokenizer", str(small_base), "--rows", "4"]
    load_benchmark("quality").main(arguments)
    assert "| bookings | Qwen3 |" in capsys.readouterr().out


def test_long_texts_in_pieces(
    load_benchmark: Load, small_set: Path, small_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--train", "12", "--test", "3", "--join", "3", "--epochs", "1", "--max-text-tokens", "70"]
    arguments = ["long", "bookings", "--data", str(small_set), "--base-model", str(small_base), *sizes]
    load_benchmark("quality").main(arguments)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("long texts")]
    assert [line.split(":")[0] for line in lines] == ["long texts left out", "long texts in pieces"]
    assert "6 texts" in lines[0]
    assert "8 texts" in lines[1]


def test_training_steps(load_benchmark: Load, small_base: Path, tmp_path: Path) -> None:
    kept = tmp_path / "steps.json"
    sizes = ["--prefix", "12", "--text", "8", "--answer", "4", "--turns", "1", "--no-warmup", "--plain-batches", "1"]
    arguments = ["--base-model", str(small_base), *sizes, "--threads", "1", "--check", "--json", str(kept)]
    load_benchmark("training").main(arguments)
    (cell,) = json.loads(kept.read_text("utf-8"))["cells"]
    assert set(cell["arms"]) == {"plain-recomputing", "plain", "packed"}
    assert cell["engine"] == "packed"
    assert cell["disagreement"]["worst_gradient"] < 1e-3


def test_decoding_speed(load_benchmark: Load, small_set: Path, extractor: str, tmp_path: Path) -> None:
    kept = tmp_path / "speed.json"
    sizes = ["--limit", "2", "--warm-up", "1", "--batch-size", "2", "--max-new-tokens", "40", "--output", str(kept)]
    load_benchmark("decoding").main(["speed", "bookings", "--data", str(small_set), "--extractor", extractor, *sizes])
    found = json.loads(kept.read_text("utf-8"))
    assert [row["way"] for row in found["single"]["ways"]] == ["generate", "lookup", "engine"]
    assert all(not pair["counts"]["fault"] for pair in found["differences"].values())


@pytest.mark.slow
def test_decoding_a_random_model_of_a_shape(
    load_benchmark: Load, small_set: Path, qwen3_tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--layers", "1", "--limit", "1", "--warm-up", "0", "--only", "single"]
    load_benchmark("decoding").main(["speed", "bookings", "--data", str(small_set), "--shape", "qwen3-0.6b", *sizes])
    assert "| engine | 100 % |" in capsys.readouterr().out


def test_decoding_floor(
    load_benchmark: Load, small_set: Path, extractor: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    from lib import decoding_floor

    monkeypatch.setattr(decoding_floor, "LEAST_WEIGHTS", 1)
    sizes = ["--limit", "2", "--warm-up", "1"]
    load_benchmark("decoding").main(["floor", "bookings", "--data", str(small_set), "--extractor", extractor, *sizes])
    assert "passes" in capsys.readouterr().out


def test_decoding_equality(load_benchmark: Load, small_set: Path, extractor: str, tmp_path: Path) -> None:
    kept = tmp_path / "equality.json"
    options = ["--limit", "2", "--batch-size", "2", "--output", str(kept)]
    load_benchmark("decoding").main(
        ["equality", "bookings", "--data", str(small_set), "--extractor", extractor, *options]
    )
    found = json.loads(kept.read_text("utf-8"))
    assert not any(found[way]["counts"]["fault"] for way in ("undrafted", "drafted", "single"))


def test_products(load_benchmark: Load, capsys: pytest.CaptureFixture[str]) -> None:
    load_benchmark("decoding").main(["products", "--layers", "1", "0", "--rows", "2", "--lengths", "300"])
    out = capsys.readouterr().out
    assert "8 bits" in out
    assert "verbatim grammar, 300 characters" in out


def test_eight_bits(load_benchmark: Load, small_set: Path, extractor: str, tmp_path: Path) -> None:
    kept = tmp_path / "eight-bit.json"
    sizes = ["--limit", "2", "--warm-up", "1", "--turns", "1", "--output", str(kept)]
    load_benchmark("decoding").main(
        ["eight-bit", "bookings", "--data", str(small_set), "--extractor", extractor, *sizes]
    )
    assert {"float32", "int8", "same"} <= json.loads(kept.read_text("utf-8")).keys()


def test_drafting(load_benchmark: Load, small_set: Path, small_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--rows", "6", "--misses"]
    load_benchmark("drafting").main(
        ["passes", "bookings", "--data", str(small_set), "--tokenizer", str(small_base), *sizes]
    )
    shown = capsys.readouterr().out
    for proposer in PROPOSERS:
        assert f"| bookings | {proposer} | 1 to 6 |" in shown


def test_drafting_takes_time(load_benchmark: Load, small_set: Path, small_base: Path, tmp_path: Path) -> None:
    kept = tmp_path / "seconds.json"
    sizes = ["--limit", "3", "--warm-up", "4", "--batch-size", "2", "--output", str(kept)]
    load_benchmark("drafting").main(
        ["seconds", "bookings", "--data", str(small_set), "--base-model", str(small_base), *sizes]
    )
    found = json.loads(kept.read_text("utf-8"))
    assert found["lines"]["none"] < found["lines"]["prompt_lookup"] < found["lines"]["learned"]
    for kind in ("single", "batched"):
        rows = found["sets"]["bookings"][kind]
        assert rows["learned"]["passes"] < rows["none"]["passes"]


def test_rows_chosen_against_rows_at_random(
    load_benchmark: Load, small_set: Path, small_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--seed-rows", "4", "--add", "2", "--pool", "6", "--test", "2", "--seeds", "1", "--epochs", "1"]
    places = ["--data", str(small_set), "--results", str(tmp_path)]
    load_benchmark("labelling").main(["select", "bookings", "--base-model", str(small_base), *places, *sizes])
    shown = capsys.readouterr().out
    assert "chosen 6" in shown
    assert "random 4" in shown
    assert len(list((tmp_path / "labelling").rglob("*.json"))) == 3


def test_trust_in_records(load_benchmark: Load, small_set: Path, extractor: str, tmp_path: Path) -> None:
    arguments = ["--extractor", extractor, "--data", str(small_set), "--train", "12", "--test", "6"]
    load_benchmark("trust").main(["records", "bookings", *arguments, "--results", str(tmp_path)])
    kept = {path.name for path in (tmp_path / "trust").iterdir()}
    assert kept == {"bookings-6-free.json", "bookings-6-verbatim.json"}


@pytest.mark.parametrize("command", ["places", "similar", "lookup-speed"])
def test_places_of_values(
    command: str, load_benchmark: Load, small_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_benchmark("trust").main([command, "bookings", "--data", str(small_set), "--rows", "30"])
    shown = capsys.readouterr().out
    assert "complaints" in shown
    assert command == "lookup-speed" or "bookings" in shown


def test_memory_of_a_tiny_model(load_benchmark: Load, tmp_path: Path) -> None:
    kept = tmp_path / "memory.json"
    arguments = ["--tiny", "--texts", "40", "--every", "20", "--huge", "2000", "--longest", "300"]
    with pytest.raises(SystemExit) as ended:
        load_benchmark("memory").main([*arguments, "--batch-size", "4", "--output", str(kept)])
    assert ended.value.code == 0, json.loads(kept.read_text("utf-8"))


def test_peers_without_peers(load_benchmark: Load, small_set: Path, extractor: str, tmp_path: Path) -> None:
    arguments = ["--extractor", extractor, "--data", str(small_set), "--results", str(tmp_path), "--threads", "1"]
    sizes = ["--limit", "2", "--warm-up", "1", "--batch-size", "2", "--engines", "ours", "ours-q8"]
    load_benchmark("peers").main(["bookings", *arguments, *sizes])
    ways = json.loads((tmp_path / "peers-bookings.json").read_text("utf-8"))["ways"]
    assert {row["way"] for row in ways} == {"ours", "ours-q8"}


def test_servers_against_the_engine_itself(
    load_benchmark: Load, small_set: Path, extractor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = load_benchmark("servers")
    from lib.server_bench import ServerBench

    @contextmanager
    def itself(bench: Any, kind: str, slots: int) -> Iterator[Any]:
        yield bench.engine

    monkeypatch.setattr(ServerBench, "server", itself)
    arguments = ["bookings", "--extractor", extractor, "--data", str(small_set), "--results", str(tmp_path)]
    servers.main(["equality", *arguments, "--limit", "3", "--servers", "vllm"])
    found = json.loads((tmp_path / "servers-equality-bookings.json").read_text("utf-8"))["servers"]["vllm"]
    assert (found["records_equal"], found["token_ids_equal"], found["errors"]) == ("3 of 3", "3 of 3", {})
    assert found["decisions_seen_whole"] == found["decisions_compared"] > 0
    assert found["widest_confidence_gap"] < 1e-3
    servers.main(["throughput", *arguments, "--limit", "3", "--warm-up", "1", "--in-flight", "1", "2"])
    rows = json.loads((tmp_path / "servers-throughput-bookings.json").read_text("utf-8"))["rows"]
    assert [(row["way"], row["in_flight"]) for row in rows] == [
        (way, number) for way in ("ours", "vllm", "llama.cpp") for number in (1, 2)
    ]
    assert all(row["records_per_second"] > 0 and row["failed"] == 0 for row in rows)


def test_the_whole_circle(load_benchmark: Load, small_set: Path, small_base: Path, tmp_path: Path) -> None:
    """Every step of it is a command or a request; the scores of a tiny model mean nothing."""
    kept = tmp_path / "circle.json"
    sizes = ["--raw", "12", "--chosen", "8", "--requests", "4", "--corrected", "2", "--test", "3", "--wrong", "0.5"]
    places = ["--data", str(small_set), "--base-model", str(small_base), "--work", str(tmp_path / "work")]
    load_benchmark("review_loop").main(
        ["bookings", *places, *sizes, "--epochs", "1", "--ways", "random", "--output", str(kept)]
    )
    first, second = json.loads(kept.read_text("utf-8"))["steps"]
    assert first["taken"] + first["doubts"] == 8
    assert first["first_accept"] + first["first_correct"] == first["doubts"] > 0
    assert second["second_accept"] + second["second_correct"] == 2
    assert {"field_f1", "exact_rate"} <= second.keys()


def test_a_revision_beside_the_working_tree(
    load_benchmark: Load, small_set: Path, small_base: Path, tmp_path: Path
) -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True).returncode:
        pytest.skip("needs a checkout of the repository with its history")
    kept = tmp_path / "revisions.json"
    sizes = ["--turns", "1", "--train", "4", "--epochs", "1", "--warm-up", "1", "--limit", "3", "--batch-size", "2"]
    arguments = ["--data", str(small_set), "--base-model", str(small_base), *sizes, "--output", str(kept)]
    load_benchmark("revisions").main(["HEAD", "bookings", *arguments])
    work = json.loads(kept.read_text("utf-8"))["work"]
    assert {kind: row["count"] for kind, row in work.items()} == {
        "import": 1, "training": 1, "warm-up": 1, "single": 3, "batched": 2,
    }  # fmt: skip
    assert all(row["here"] > 0 and row["revision"] > 0 for row in work.values())


@pytest.mark.parametrize("plain", [[], ["--plain"]])
def test_time_of_the_demo(
    plain: list[str], load_benchmark: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo runs in tests/demo; here the slow paths are in force while it does, and not afterwards."""
    from extractft.demo import run
    from extractft.inference import TransformersEngine
    from extractft.training import plan

    packed, packs = plan.packed_engine, TransformersEngine.__dict__["packed"]
    seen: list[dict[str, Any]] = []

    def run_demo(**options: Any) -> None:
        assert (plan.packed_engine is packed) is not bool(plain)
        assert (TransformersEngine.__dict__["packed"] is packs) is not bool(plain)
        seen.append(options)

    monkeypatch.setattr(run, "run_demo", run_demo)
    load_benchmark("demo").main(["--threads", "1", "--train", "40", "--test", "6", *plain])
    assert [(options["train"], options["test"]) for options in seen] == [(40, 6)]
    assert (plan.packed_engine, TransformersEngine.__dict__["packed"]) == (packed, packs)
    assert "processor seconds" in capsys.readouterr().err


def documented_commands() -> list[Any]:
    """Every benchmark command that the documentation shows."""
    text = "\n".join(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md")))
    matches = re.finditer(r"python benchmarks/(\w+)\.py([^`|#\n]*)", text)
    return [pytest.param(match[1], shlex.split(match[2]), id=match[0].strip()) for match in matches]


@pytest.mark.parametrize(("name", "arguments"), documented_commands())
def test_documented_commands_are_understood(name: str, arguments: list[str], load_benchmark: Load) -> None:
    parser: argparse.ArgumentParser = load_benchmark(name).build_parser()
    if name == "demo":
        parser.parse_known_args(arguments)
    else:
        parser.parse_args(arguments)


def test_sets_that_are_not_there_say_where_to_get_them(load_benchmark: Load, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="get_data"):
        load_benchmark("drafting").main(["passes", "citations", "--data", str(tmp_path), "--tokenizer", "qwen3"])


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        (["cost", "--rows", "12", "--turns", "1"], "over extract_many"),
        (["instant", "--rows", "3000"], "microseconds a row"),
        (["kills", "--rows", "500", "--kills", "2", "--instant", "--start", "0.01"], "kills, output the same: True"),
    ],
)
def test_bulk_runs(
    load_benchmark: Load, capsys: pytest.CaptureFixture[str], arguments: list[str], verdict: str
) -> None:
    with contextlib.suppress(SystemExit):  # a busy machine may not hold what it measures
        load_benchmark("bulk").main(arguments)
    assert verdict in capsys.readouterr().out


def test_a_service_is_killed_and_loses_nothing(load_benchmark: Load, capsys: pytest.CaptureFixture[str]) -> None:
    load_benchmark("serving").main(["kill", "--kills", "1", "--clients", "2"])
    assert "held: 1 kills" in capsys.readouterr().out
