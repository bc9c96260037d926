"""Bulk runs: files of a million texts in, records out, in shards that survive whatever stops the run.

Knows extractors by `inspect_many`; loads none before there is something to do.
"""

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.bulk_run import run
from extractft.bulk.database_query import DatabaseQuery
from extractft.bulk.database_table import DatabaseTable
from extractft.bulk.ray_actors import RayActors, RayCluster
from extractft.bulk.ray_datasets import map_dataset
from extractft.bulk.run_progress import RunProgress
from extractft.bulk.run_summary import FieldSummaryLine, RunSummary

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
