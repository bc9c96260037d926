"""Runs on a cluster of Ray: two nodes on this machine, of which workers and one as a whole are killed in mid-run.

Skipped where Ray is not installed: it is an extra, and nothing else needs it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_doubles import InstantExtractor, Person, lines_of, output_of
from pydantic import BaseModel, Field

sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))

from loopback_vllm import fake_for, served

from extractft import Extractor, GenerationConfig, bulk
from extractft.bulk import BulkConfig
from extractft.bulk.extractor_source import ExtractorSource
from extractft.bulk.extractor_worker import ExtractorWorker, WorkerRecipe
from extractft.bulk.input_files import InputFiles
from extractft.bulk.ray_actors import connected_to_ray
from extractft.bulk.ray_shards import decode_on_ray
from extractft.bulk.shard_tasks import ShardTasks
from extractft.errors import ArtifactError, BulkRunError, ConfigError, EngineError

WITHIN = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Nothing leaves the machine, and nodes of one machine know each other by its loopback address."""
os.environ.update(WITHIN)  # read when Ray is imported
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'extractft[ray]'")
cluster_utils = pytest.importorskip("ray.cluster_utils")

TEXTS = ["tea 1", "rice 22", "", "long", "salt of the earth", "tea 1"]
ROWS = [{"id": f"row {number}", "text": f"{TEXTS[number % 6]}"} for number in range(80)]
SETTINGS: dict[str, Any] = {"id_column": "id", "shard_rows": 11, "explain": ("confidence",), "min_confidence": 0.1}
NODE: dict[str, Any] = {"object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1", "include_dashboard": False}
SMALL = bulk.RayActors(max_size=1)
"""Actors that leave room for what reads and writes."""
HERE = Path(__file__).resolve().parent
further = pytest.mark.skipif(
    os.environ.get("EXTRACTFT_TESTS") != "all", reason="runs on Ray beyond those of every test run: EXTRACTFT_TESTS=all"
)


class SlowExtractor(InstantExtractor):
    """Takes its time, so that there is a middle of the run."""

    def _outcome(self, text: str, explain: Any) -> Any:
        time.sleep(0.002)
        return super()._outcome(text, explain)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of a head that decodes nothing and a node that does."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, sys.path)]))
        found = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
        found.add_node(num_cpus=1, **NODE)
        try:
            yield found
        finally:
            ray.shutdown()
            found.shutdown()
            signal.signal(signal.SIGTERM, before)  # nodes that are started from here take it


@pytest.fixture(scope="module")
def roomy(cluster: Any) -> Any:
    """The cluster with a node more, since reading and writing take processors as well."""
    cluster.add_node(num_cpus=3, **NODE)
    return cluster


def workers_of(node: Any) -> list[int]:
    """Processes of actors on a node."""
    raylet = str(node.all_processes["raylet"][0].process.pid)
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if entry.name.isdigit() and parent == raylet and b"MapWorker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a run but for its summary and marks, which count texts that were decoded once."""
    return {name: content for name, content in output_of(folder).items() if not name.startswith(("state/", "summary"))}


def test_the_files_are_those_of_a_run_on_one_machine(cluster: Any, jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(ROWS, end='{"id": "cut o')
    alone = bulk.run(InstantExtractor(), path, tmp_path / "alone", **SETTINGS)
    there = bulk.run(InstantExtractor(), path, tmp_path / "there", ray=cluster.address, **SETTINGS)
    assert files_of(tmp_path / "there") == files_of(tmp_path / "alone")
    for name in ("rows", "records", "review", "failed", "errors", "fields"):
        assert getattr(there, name) == getattr(alone, name)
    assert there.review > 0
    assert there.failed > 0
    assert 0 < there.reused < alone.reused  # equal texts are found within a shard, not in the whole run
    assert not ray.is_initialized()


@further
def test_a_worker_and_a_node_killed_in_mid_run(cluster: Any, jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl({"id": f"r{number}", "text": f"tea {number}"} for number in range(2000))
    settings = {"id_column": "id", "shard_rows": 50, "format": "jsonl"}
    bulk.run(InstantExtractor(), path, tmp_path / "alone", **settings)
    (first,) = cluster.worker_nodes
    second = cluster.add_node(num_cpus=1, **NODE)
    killed: list[str] = []

    def started_worker(node: Any) -> int:
        """A worker of the node. The run waits for it meanwhile: nothing is published while this is asked."""
        for _ in range(600):
            if found := workers_of(node):
                return found[0]
            time.sleep(0.1)
        raise AssertionError("no actor was started on that node")

    def disturb(progress: Any) -> None:
        if progress.done == 200:
            os.kill(started_worker(first), signal.SIGKILL)
            killed.append("worker")
        if progress.done == 600:
            started_worker(second)
            cluster.remove_node(second, allow_graceful=False)
            killed.append("node")

    there = bulk.RayCluster(address=cluster.address, min_size=2, max_size=2)
    summary = bulk.run(SlowExtractor(), path, tmp_path / "there", ray=there, progress=disturb, **settings)
    assert killed == ["worker", "node"]
    assert summary.records == 2000
    names = [line["id"] for line in lines_of(tmp_path / "there", "shards")]
    assert len(names) == len(set(names)) == 2000
    assert lines_of(tmp_path / "there", "shards") == lines_of(tmp_path / "alone", "shards")


@further
def test_what_is_done_is_not_done_again(cluster: Any, jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path, folder = jsonl(ROWS), tmp_path / "out"
    with pytest.raises(BulkRunError, match="max_failures=1"):
        bulk.run(InstantExtractor(), path, folder, ray=cluster.address, max_failures=1, **SETTINGS)
    before = {name: content for name, content in output_of(folder).items() if name.startswith("shards")}
    bulk.run(InstantExtractor(), path, folder, ray=cluster.address, **SETTINGS)  # begun there, goes on there
    assert before.items() <= output_of(folder).items()
    (folder / "shards/part-00003.parquet").unlink()
    bulk.run(InstantExtractor(), path, folder, **SETTINGS)  # and here
    bulk.run(InstantExtractor(), path, tmp_path / "alone", **SETTINGS)
    assert files_of(folder) == files_of(tmp_path / "alone")


class Forgiving(InstantExtractor):
    """Finds no text too long, and is the same extractor otherwise."""

    def _outcome(self, text: str, explain: Any) -> Any:
        return super()._outcome(text.replace("long", "short"), explain)


@further
def test_failed_rows_are_decoded_once_more(cluster: Any, jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(ROWS)
    for name, ray_address in (("alone", None), ("there", cluster.address)):
        bulk.run(InstantExtractor(), path, tmp_path / name, ray=ray_address, **SETTINGS)
        summary = bulk.run(Forgiving(), path, tmp_path / name, ray=ray_address, retry_failed=True, **SETTINGS)
        assert set(summary.errors) == {"EmptyTextError"}
    assert files_of(tmp_path / "there") == files_of(tmp_path / "alone")


class Gone(InstantExtractor):
    """A client of a server that is gone."""

    def _outcome(self, text: str, explain: Any) -> Any:
        raise EngineError("The server does not answer any more.")


@further
def test_errors_of_a_worker_come_as_they_were(cluster: Any, jsonl: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not answer") as found:
        bulk.run(Gone(), jsonl(ROWS), tmp_path / "out", ray=cluster.address, **SETTINGS)
    assert any("the same command goes on" in note for note in found.value.__notes__)


def test_there_is_no_such_cluster(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Ray Client"):
        bulk.run(InstantExtractor(), jsonl(ROWS), tmp_path / "out", ray="ray://127.0.0.1:1")


def test_sizes_of_the_pool_are_checked() -> None:
    with pytest.raises(ConfigError, match="max_size"):
        bulk.RayActors.checked(min_size=2, max_size=1)


def test_a_source_is_found_again_elsewhere() -> None:
    source = ExtractorSource.of(InstantExtractor())
    assert source.elsewhere()() is source


@further
def test_errors_of_the_reader_come_as_they_were(cluster: Any, jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(ROWS)
    table = ShardTasks(InputFiles.find(path, BulkConfig()), BulkConfig(), {0: "another"})
    recipe = WorkerRecipe.of(ExtractorSource.of(InstantExtractor()), BulkConfig())
    with connected_to_ray(cluster.address), pytest.raises(BulkRunError, match="shard 0 was made of"):
        list(decode_on_ray(table, recipe, bulk.RayActors()))


class Other(InstantExtractor):
    """Another extractor."""

    def __init__(self) -> None:
        super().__init__()
        self.system_prompt = "other"


def test_another_extractor_on_a_worker_is_refused() -> None:
    recipe = WorkerRecipe.of(ExtractorSource.of(InstantExtractor()), BulkConfig())
    other = ExtractorSource.of(Other())
    with pytest.raises(ArtifactError, match="another one in its place"):
        ExtractorWorker(dataclasses.replace(recipe, find=lambda: other))


@pytest.fixture
def saved(tmp_path: Path, tiny_base: Path) -> Path:
    generation = GenerationConfig(max_new_tokens=12, keep_truncated=True)
    extractor: Extractor[Any] = Extractor.from_base(Person, base_model=str(tiny_base), generation=generation)
    extractor.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_dataset_has_the_records_of_a_run(roomy: Any, saved: Path, tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": text or None, "shop": n} for n, text in enumerate([*TEXTS, "x" * 9999] * 5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet")
    settings: dict[str, Any] = {"explain": ("confidence", "spans"), "keep_columns": ("shop",)}
    summary = bulk.run(saved, tmp_path / "texts.parquet", tmp_path / "alone", id_column="id", **settings)
    assert summary.records > 0
    assert summary.failed >= 5
    settings["keep_columns"] = ("id", "shop")
    with connected_to_ray(roomy.address):
        ds = ray.data.read_parquet(str(tmp_path / "texts.parquet"))
        found = bulk.map_dataset(ds, extractor=saved, block_rows=8, actors=SMALL, **settings).take_all()
    records = {row["id"]: row for row in found if row["status"] == "record"}
    expected = pq.read_table(tmp_path / "alone/shards").to_pylist()
    assert len(found) == len(rows)
    assert records.keys() == {row["id"] for row in expected}
    for row in expected:
        assert {name: records[row["id"]][name] for name in row if name != "row"} == {
            name: value for name, value in row.items() if name != "row"
        }
    failures = {row["id"]: (row["error"], row["message"]) for row in found if row["status"] == "failed"}
    assert failures.keys() == {line["id"] for line in lines_of(tmp_path / "alone", "failed")}
    for line in lines_of(tmp_path / "alone", "failed"):
        assert failures[line["id"]][0] == line["error"]


@further
def test_a_dataset_goes_on_at_its_checkpoint(roomy: Any, saved: Path, tmp_path: Path) -> None:
    rows = [{"id": n, "text": f"tea {n}"} for n in range(40)]
    for part in range(4):
        pq.write_table(pa.Table.from_pylist(rows[part * 10 : part * 10 + 10]), tmp_path / f"in-{part}.parquet")
    with connected_to_ray(roomy.address):
        context = ray.data.DataContext.get_current()
        checkpoint = str(tmp_path / "checkpoint")
        context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
            id_column="id", checkpoint_path=checkpoint, delete_checkpoint_on_success=False
        )
        try:
            for inputs in ([0, 1], [0, 1, 2, 3]):
                ds = ray.data.read_parquet([str(tmp_path / f"in-{part}.parquet") for part in inputs])
                records = bulk.map_dataset(ds, extractor=saved, keep_columns=["id"], actors=SMALL)
                records.write_parquet(str(tmp_path / "out"))
        finally:
            context.checkpoint_config = None
    names = pq.read_table(tmp_path / "out")["id"].to_pylist()
    assert sorted(names) == list(range(40))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "jsonl"}, "expected settings among"),
        ({"block_rows": 0}, "block_rows"),
        ({"keep_columns": ("name",)}, "'name' twice"),
        ({"keep_columns": ("status",)}, "'status' twice"),
    ],
)
def test_settings_of_a_dataset_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bulk.map_dataset(None, extractor=InstantExtractor(), **settings)


class Code(BaseModel):
    """A record that a random model ends soon."""

    item: str = Field(max_length=6)
    urgent: bool


def modules_of(node: Any) -> list[str]:
    """Libraries of torch that actors on a node have in memory."""
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in workers_of(node)]
    return [Path(line.split()[-1]).name for text in maps for line in text.splitlines() if "libtorch" in line]


def test_actors_are_clients_of_a_server(
    cluster: Any, tiny_base: Path, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    local: Extractor[Code] = Extractor.from_base(Code, base_model=str(tiny_base))
    local.save_pretrained(tmp_path / "code")
    path = jsonl({"id": f"r{n}", "text": f"order {n}" if n % 5 else ""} for n in range(12))
    settings: dict[str, Any] = {"id_column": "id", "shard_rows": 4, "format": "jsonl"}
    seen: list[str] = []
    loaded: list[str] = []

    def look(progress: Any) -> None:
        for node in cluster.worker_nodes:
            seen.extend(map(str, workers_of(node)))
            loaded.extend(modules_of(node))

    fake = fake_for(local)
    with served(fake) as address:
        alone = bulk.run(tmp_path / "code", path, tmp_path / "alone", engine=address, **settings)
        fake.asked.clear()
        there = bulk.run(
            tmp_path / "code", path, tmp_path / "there", engine=address, ray=cluster.address, progress=look, **settings
        )
    assert len([asked for asked in fake.asked if "completions" in asked[0]]) >= 9
    assert lines_of(tmp_path / "there", "shards") == lines_of(tmp_path / "alone", "shards")
    assert lines_of(tmp_path / "there", "failed") == lines_of(tmp_path / "alone", "failed")
    assert (there.records, there.failed) == (alone.records, alone.failed) == (9, 3)
    assert seen
    assert not loaded, "a client of a server loads no torch"


def test_the_page_runs(roomy: Any, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (HERE.parents[1] / "docs" / "many-machines.md").read_text("utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    saved.rename("complaint-extractor")
    Path("texts.jsonl").write_text('{"text": "tea"}\n{"text": "rice"}\n')
    pq.write_table(pa.table({"id": [1, 2, 3], "text": ["tea", "rice", ""]}), "calls.parquet")
    namespace: dict[str, Any] = {}
    with connected_to_ray(roomy.address):
        try:
            for block in blocks:
                exec(
                    compile(block.replace("/mnt/shared", str(tmp_path)), "many-machines.md", "exec", dont_inherit=True),
                    namespace,
                )
        finally:
            ray.data.DataContext.get_current().checkpoint_config = None
    written = pq.read_table("records-of-calls").to_pylist()
    assert sorted(row["id"] for row in written) == [1, 2, 3]
    assert {row["error"] for row in written if row["id"] == 3} == {"EmptyTextError"}
