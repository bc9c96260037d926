"""Files and directories that are published whole or not at all, locked while in use, and known by their hash.

Knows paths and bytes, not what they mean.
"""

from extractft.storage.atomic import (
    publish_bytes,
    publish_text,
    published_directory,
    published_file,
    remove_leftovers,
    remove_tree,
    restore_lost,
    sync_tree,
)
from extractft.storage.digests import file_digest, tree_digests
from extractft.storage.directory_lock import LOCK_FILE, DirectoryInUse, lock_directory
from extractft.storage.scratch import scratch_directory
from extractft.storage.streamed_output import PartialFileExists, partial_path, partial_paths, streamed_file

__all__ = [
    "LOCK_FILE",
    "DirectoryInUse",
    "PartialFileExists",
    "file_digest",
    "lock_directory",
    "partial_path",
    "partial_paths",
    "publish_bytes",
    "publish_text",
    "published_directory",
    "published_file",
    "remove_leftovers",
    "remove_tree",
    "restore_lost",
    "scratch_directory",
    "streamed_file",
    "sync_tree",
    "tree_digests",
]
