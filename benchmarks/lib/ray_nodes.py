"""A cluster of Ray on this machine: a head that decodes nothing and nodes that do, of which some are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["kill_worker", "ray_nodes", "workers_of"]

WITHIN = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Nothing leaves the machine, and nodes know each other by its loopback address. Read when Ray is imported."""
NODE: dict[str, Any] = {"node_ip_address": "127.0.0.1", "object_store_memory": 200 << 20, "include_dashboard": False}


@contextmanager
def ray_nodes(nodes: int) -> Iterator[Any]:
    """A cluster of a head and some nodes of one processor each, which ends with the block."""
    os.environ.update(WITHIN)  # before Ray is imported
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, **NODE)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def workers_of(node: Any) -> list[int]:
    """Processes of actors on a node. Linux only."""
    raylet = str(node.all_processes["raylet"][0].process.pid)
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == raylet and b"MapWorker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # no process, or one that has ended
            continue
    return found


def kill_worker(cluster: Any) -> bool:
    """Kill an actor of the cluster; False if there is none."""
    workers = [pid for node in cluster.worker_nodes for pid in workers_of(node)]
    if workers:
        os.kill(workers[0], signal.SIGKILL)
    return bool(workers)
