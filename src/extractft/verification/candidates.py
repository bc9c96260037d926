"""Load what is verified: an exported directory, a GGUF file, an engine. Its own tokenizer and template are used.

Knows which room loads what; decodes nothing.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from extractft.artifact import load_manifest
from extractft.artifact.manifest import MANIFEST_FILE
from extractft.completion import Engine
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError
from extractft.export import EXPORT_FILE, ExportManifest, read_export
from extractft.extractor import Extractor
from extractft.extractor.engine_registry import engine_name
from extractft.extractor.loaded_model import LoadedModel
from extractft.modeling import ADAPTER_FILE, BaseModelRef, load_adapter, resolve_base_model
from extractft.modeling.gguf_conversion import unpack_gguf
from extractft.prompt import ChatFrame, ChatRenderer

__all__ = ["Candidate", "load_candidate", "under_schema_of", "with_engine"]

T = TypeVar("T")
SYSTEM_SLOT, USER_SLOT = "ExtractFTVerifiedSystem", "ExtractFTVerifiedText"
"""Placeholders: letters only, so that no template trims, escapes or splits them."""
GGUF_QUANTIZED = ("q", "iq", "tq")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """Something that should give an extractor's records.

    Attributes:
        extractor: Decodes with the candidate's own weights, tokenizer and chat template.
        name: Its name in the report.
        quantized: Whether its weights have less than 16 bits.
    """

    extractor: Extractor[T]
    name: str
    quantized: bool = False


def load_candidate(
    place: str | Path,
    reference: Extractor[T],
    *,
    directory: str | Path | None = None,
    base_model: str | Path | None = None,
    device: str = "auto",
) -> Candidate[T]:
    """Load an export, or connect to a server that has one.

    Args:
        place: An exported directory, a GGUF file, or a server's address such as `http://127.0.0.1:8000`.
        reference: The extractor that it was made from.
        directory: The saved extractor, which a server's client is made from.
        base_model: Where the base weights of an adapter are now, if not where they were.
        device: Device to load weights on.

    Raises:
        ArtifactNotFoundError: There is no such export.
        ArtifactMismatchError: It is another schema's, or its weights do not fit its configuration.
        ArtifactError: It is damaged.
        EngineError: The server cannot be reached or does not do what is needed.
    """
    if "://" in str(place):
        return _from_server(str(place), reference, directory)
    path = Path(place).expanduser()
    if path.suffix.lower() == ".gguf":
        return _from_gguf(path, reference, None, device)
    if not path.is_dir():
        raise ArtifactNotFoundError(f"Expected an export at {path}, found no such directory.").hint(
            "Give a directory that `extractft export` wrote, a .gguf file, or a server's address."
        )
    export = read_export(path) if (path / EXPORT_FILE).exists() else None
    _require_schema(path, export, reference)
    if export is not None and export.weights_file is not None:
        return _from_gguf(path / export.weights_file, reference, export, device)
    if (path / ADAPTER_FILE).exists():
        return _from_adapter(path, reference, base_model, device)
    return _from_merged(path, reference, export, device)


def with_engine(reference: Extractor[T], engine: Engine) -> Extractor[T]:
    """The extractor with another engine: the same prompts, grammars and calibration."""
    own = reference._pipeline
    return Extractor(
        reference.schema,
        own.chat,
        engine,
        own.grammar,
        generation=own.generation,
        max_window=own.max_window,
        calibration=reference._explainer.calibration,
    )


def under_schema_of(reference: Extractor[T], candidate: Extractor[Any]) -> Extractor[T]:
    """The candidate, giving records of the reference's own class, so that the two can be compared.

    One of them may have been loaded without its class: then its records are of a class that was rebuilt.

    Raises:
        ArtifactMismatchError: Its schema is another.
    """
    expected, found = reference.schema, candidate.schema
    if found.fingerprint != expected.fingerprint:
        raise ArtifactMismatchError(
            f"Expected a candidate with the extractor's schema ({expected.name}, fingerprint "
            f"{expected.fingerprint[:12]}), found {found.name}, fingerprint {found.fingerprint[:12]}.",
            expected=expected.fingerprint,
            found=found.fingerprint,
        ).hint("Load both with the same schema: Extractor.from_pretrained(path, schema=YourModel).")
    if found.type is expected.type:
        return candidate
    own = candidate._pipeline
    return Extractor(
        expected,
        own.chat,
        own.engine,
        own.grammar,
        generation=own.generation,
        max_window=own.max_window,
        calibration=candidate._explainer.calibration,
    )


def _require_schema(path: Path, export: ExportManifest | None, reference: Extractor[Any]) -> None:
    expected = reference.schema.fingerprint
    if export is not None and export.extractor.schema_fingerprint != expected:
        raise ArtifactMismatchError(
            f"Expected an export of the extractor's schema in {path}, found one of another.",
            expected=expected,
            found=export.extractor.schema_fingerprint,
        ).hint("Give the extractor that it was made from.")


def _from_server(address: str, reference: Extractor[T], directory: str | Path | None) -> Candidate[T]:
    """A client of a server, which renders prompts and checks records itself."""
    if directory is None:
        raise ArtifactError("Expected the saved extractor that a server's client is made from, found none.").hint(
            "Give the directory that `save_pretrained` wrote."
        )
    remote: Extractor[T] = Extractor.from_pretrained(directory, schema=reference.schema, engine=address)
    return Candidate(remote, engine_name(address))


def _from_merged(path: Path, reference: Extractor[T], export: ExportManifest | None, device: str) -> Candidate[T]:
    dtype = export.dtype if export is not None else _stored_dtype(path)
    ref = BaseModelRef(str(path), "local", str(path.resolve()))
    base = LoadedModel.load(ref, device=device, dtype=dtype)
    return Candidate(_assembled(base, reference, export), f"merged, {dtype}")


def _from_adapter(path: Path, reference: Extractor[T], base_model: str | Path | None, device: str) -> Candidate[T]:
    """The base model with the adapter beside it, not merged: as engines serve adapters."""
    manifest = load_manifest(path) if (path / MANIFEST_FILE).exists() else None
    if base_model is not None:
        ref = resolve_base_model(base_model)
        if manifest is not None:
            manifest.require_base_model(ref)
    elif manifest is not None:
        ref = manifest.locate_base_model()
    else:
        ref = _base_of(reference)
    base = LoadedModel.load(ref, device=device, dtype="auto", tokenizer_path=path if manifest else None)
    base = replace(base, model=load_adapter(base.model, path))
    prompt = reference.system_prompt if manifest is None else manifest.system_prompt
    frame = None if manifest is None else manifest.chat_frame
    return Candidate(_built(base, reference, ChatRenderer(base.tokenizer, prompt, frame=frame)), "adapter, float32")


def _base_of(reference: Extractor[Any]) -> BaseModelRef:
    """The extractor's own base model."""
    base = reference._own_base().base_model
    return base if isinstance(base, BaseModelRef) else resolve_base_model(base.name, revision=base.revision)


def _from_gguf(file: Path, reference: Extractor[T], export: ExportManifest | None, device: str) -> Candidate[T]:
    """A GGUF file as transformers reads it: weights unpacked to float32, tokenizer and template from the file."""
    if not file.is_file():
        raise ArtifactNotFoundError(f"Expected a GGUF file at {file}, found none.")
    with tempfile.TemporaryDirectory(prefix="extractft-verify-") as scratch:
        try:
            unpack_gguf(file, Path(scratch))
        except OSError as error:
            raise ArtifactError(f"Expected room to unpack {file.name}, found: {error}.") from error
        base = LoadedModel.load(BaseModelRef(str(file), "gguf", scratch), device=device, dtype="float32")
    dtype = export.dtype if export is not None else file.stem.rpartition("-")[2].rpartition(".")[2].lower()
    quantized = export.quantized if export is not None else dtype.startswith(GGUF_QUANTIZED)
    return Candidate(_assembled(base, reference, export), f"gguf, {dtype}, read by transformers", quantized)


def _assembled(base: LoadedModel, reference: Extractor[T], export: ExportManifest | None) -> Extractor[T]:
    prompt = reference.system_prompt if export is None else export.extractor.system_prompt
    frame = _served_frame(base.tokenizer, reference)
    return _built(base, reference, ChatRenderer(base.tokenizer, prompt, frame=frame))


def _served_frame(tokenizer: Any, reference: Extractor[Any]) -> ChatFrame:
    """The export's own chat template as any server renders it: no setting of the template is touched."""
    messages = [{"role": "system", "content": SYSTEM_SLOT}, {"role": "user", "content": USER_SLOT}]
    try:
        prompt = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template can raise whatever the expressions in it can
        raise _unfit_template(f"{type(error).__name__}: {error}") from error
    if prompt.count(SYSTEM_SLOT) != 1 or prompt.count(USER_SLOT) != 1:
        raise _unfit_template("a template that does not write both messages once")
    head, _, rest = prompt.partition(SYSTEM_SLOT)
    middle, slot, tail = rest.partition(USER_SLOT)
    if not slot:
        raise _unfit_template("a template that writes the text before the system prompt")
    return ChatFrame(head, middle, tail, reference._pipeline.chat.frame.close)


def _unfit_template(found: str) -> ArtifactMismatchError:
    return ArtifactMismatchError(
        f"Expected a chat template that renders a system prompt and a text, found: {found}.",
        expected="the extractor's prompt",
        found=found,
    ).hint("Export again: exports carry a template that renders the prompt they were trained on.")


def _built(base: LoadedModel, reference: Extractor[T], chat: ChatRenderer) -> Extractor[T]:
    """An extractor on the candidate's own model, with the reference's schema, settings and calibration."""
    generation = reference.generation
    return Extractor(
        reference.schema,
        chat,
        base.engine(chat, generation),
        base.grammar(chat),
        generation=generation,
        max_window=base.window,
        calibration=reference._explainer.calibration,
    )


def _stored_dtype(path: Path) -> str:
    """The type of the weights, as their configuration says."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        stored = config.get("dtype") or config.get("torch_dtype")
    except (OSError, ValueError, AttributeError) as error:
        raise ArtifactError(f"Expected a model's config.json in {path}, found: {type(error).__name__}.") from error
    return str(stored or "float32").removeprefix("torch.")
