"""Upload an export to the Hugging Face hub, or to a server that speaks its protocol (`HF_ENDPOINT`).

Knows directories and repositories, no models. Nothing is uploaded that is not listed in the export with its hash.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from extractft.errors import ArtifactError, ConfigError
from extractft.export.export_manifest import EXPORT_FILE, read_export
from extractft.export.export_source import ExportSource
from extractft.export.exporter import export_model

__all__ = ["push_to_hub", "upload_export"]

REFUSED = frozenset({401, 403})


def push_to_hub(
    source: ExportSource, repo_id: str, *, private: bool = True, token: str | None = None, **settings: Any
) -> str:
    """Export an extractor and upload it.

    Args:
        source: The extractor.
        repo_id: `name` or `organisation/name`; made if it is not there.
        private: Whether a repository that is made is private. One that is there stays as it is.
        token: The hub's token; what `hf auth login` or `HF_TOKEN` left if `None`.
        **settings: Those of `export_model`: `format`, `dtype`, `quantization`.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: There is no token, or a setting is none.
        ArtifactError: It cannot be exported, or the hub refuses it or cannot be reached.
    """
    _require_token(token)
    with tempfile.TemporaryDirectory(prefix="extractft-push-") as scratch:
        directory = Path(scratch) / "export"
        export_model(source, directory, **settings)
        return upload_export(directory, repo_id, private=private, token=token)


def upload_export(directory: Path, repo_id: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload the files of an export in one commit.

    Args:
        directory: What `export_model` wrote.
        repo_id: `name` or `organisation/name`; made if it is not there.
        private: Whether a repository that is made is private. One that is there stays as it is.
        token: The hub's token; what `hf auth login` or `HF_TOKEN` left if `None`.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: There is no token, or the name is none that a repository can have.
        ArtifactError: The export is damaged, or the hub refuses it or cannot be reached.
    """
    export = read_export(directory)
    api = huggingface_hub.HfApi(token=_require_token(token))
    try:
        repo = api.create_repo(repo_id, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo.repo_id,
            folder_path=directory,
            allow_patterns=[*export.files, EXPORT_FILE],
            commit_message=f"{export.extractor.schema_data.get('name', 'record')}: {export.format}, {export.dtype}",
        )
    except HFValidationError as error:
        raise ConfigError(f"Expected a repository such as organisation/name, found {repo_id!r}.") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        failure = ArtifactError(f"Expected to upload to {repo_id}, found that the hub answered {status}.")
        if status in REFUSED:
            failure.hint("The token has to have permission to write to this repository.")
        raise failure from error
    except Exception as error:  # httpx's own errors, and those of the hub's upload library
        raise ArtifactError(
            f"Expected to upload to {repo_id}, found that the hub cannot be reached ({type(error).__name__})."
        ).hint("Check the network, HF_ENDPOINT and HF_HUB_OFFLINE.") from error
    return str(done.commit_url)


def _require_token(token: str | None) -> str:
    known = token or huggingface_hub.get_token()
    if not known:
        raise ConfigError("Expected a token of the Hugging Face hub, found none.").hint(
            "Set HF_TOKEN, run `hf auth login`, or hand one over; it needs permission to write."
        )
    return known
