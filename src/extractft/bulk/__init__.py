"""Bulk runs: files of a million texts in, records out, in shards that survive whatever stops the run.

Knows extractors by `inspect_many`; loads none before there is something to do. Names are loaded when they are asked
for, so that a command's help need not wait for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.bulk.bulk_config import BulkConfig
    from extractft.bulk.bulk_run import run
    from extractft.bulk.database_query import DatabaseQuery
    from extractft.bulk.database_table import DatabaseTable
    from extractft.bulk.ray_actors import RayActors, RayCluster
    from extractft.bulk.ray_datasets import map_dataset
    from extractft.bulk.run_progress import RunProgress
    from extractft.bulk.run_summary import FieldSummaryLine, RunSummary

_MODULES = {
    "BulkConfig": "bulk_config",
    "DatabaseQuery": "database_query",
    "DatabaseTable": "database_table",
    "FieldSummaryLine": "run_summary",
    "RayActors": "ray_actors",
    "RayCluster": "ray_actors",
    "RunProgress": "run_progress",
    "RunSummary": "run_summary",
    "map_dataset": "ray_datasets",
    "run": "bulk_run",
}
"""The module of each public name."""

__all__ = [
    "BulkConfig",
    "DatabaseQuery",
    "DatabaseTable",
    "FieldSummaryLine",
    "RayActors",
    "RayCluster",
    "RunProgress",
    "RunSummary",
    "map_dataset",
    "run",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
