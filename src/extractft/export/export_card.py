"""The model card of an export, for people and for model hubs: what it extracts, how well, and how to run it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from extractft.artifact import Manifest
from extractft.export.export_manifest import ExportManifest
from extractft.export.export_source import ExportSource

__all__ = ["base_model_licence", "render_export_card"]

KNOWN_LICENCES = {
    "HuggingFaceTB/SmolLM2-": "apache-2.0",
    "Qwen/Qwen3-": "apache-2.0",
}
"""Licences of base models by the beginning of their name on the hub, where their files here do not say."""

CARD = """\
---
{front}tags:
- information-extraction
- extractft
---

# {name} ({title})

Extracts `{name}` records from text. Made by extractft {version} from `{base}`{licence}.

{metrics}## Run it

{usage}

The records are only as valid as what constrains them. extractft sends each text's own grammar to the server and gives
validated records with their places in the text and calibrated confidences; a plain chat request gives JSON that nobody
has checked. `extractft verify` compares what an engine writes with the extractor that this was made from.

## Prompt

The chat template in the files renders the prompt that the model was trained on: thinking is off, and the system prompt
is there if a request has none. The text is the user's message.

```text
{prompt}
```

## Schema

What the model writes: a field that equals its default is left out.

```json
{schema}
```

`{manifest}` holds schema, prompt, settings, versions and the hashes of all files.
"""

MERGED = """\
```bash
vllm serve ./this-directory --structured-outputs-config.backend guidance
```

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this-directory")
model = AutoModelForCausalLM.from_pretrained("this-directory", dtype="auto")
messages = [{{"role": "user", "content": "..."}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
answer = model.generate(**inputs, max_new_tokens=256, do_sample=False)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```"""
ADAPTER = """\
```bash
vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules {slug}=./this-directory
```

```python
from peft import AutoPeftModelForCausalLM

model = AutoPeftModelForCausalLM.from_pretrained("this-directory")
```

```python
from extractft import Extractor

record = Extractor.from_pretrained("this-directory").extract("...")
```

An adapter works on the weights that it was trained on and on no others: SHA-256 `{weights}`."""
GGUF = """\
```bash
llama-server -m {file} -c {window} --jinja
```"""
OLLAMA = """\
```bash
ollama create {slug} -f Modelfile
ollama run {slug} "..."
```

```bash
llama-server -m {file} -c {window} --jinja
```"""
USAGE = {"merged": MERGED, "adapter": ADAPTER, "gguf": GGUF, "ollama": OLLAMA}
LIBRARIES = {"merged": "transformers", "adapter": "peft", "gguf": "gguf", "ollama": "gguf"}


def render_export_card(export: ExportManifest, source: ExportSource, *, manifest_file: str) -> str:
    """Render the card of an export; nothing of it comes from a text or a record."""
    manifest = export.extractor
    base, name = manifest.base_model, str(manifest.schema_data.get("name", "record"))
    licence = base_model_licence(source)
    hub_id = base.transformers_name
    front = [f"library_name: {LIBRARIES[export.format]}", "pipeline_tag: text-generation"]
    front += [f"base_model: {hub_id}"] if hub_id else []
    front += [f"license: {licence}"] if licence else []
    usage = USAGE[export.format].format(
        base=hub_id or base.name,
        rank=_served_rank(manifest.config.lora.r),
        slug=_slug(name),
        weights=base.weights_sha256,
        file=export.weights_file,
        window=export.max_window,
    )
    return CARD.format(
        front="".join(f"{line}\n" for line in front),
        name=name,
        title=f"{export.format}, {export.dtype}",
        version=manifest.versions.get("extractft", "unknown"),
        base=hub_id or base.name,
        licence=f", licence {licence}" if licence else "; its licence is not known here: see where it comes from",
        metrics=_metrics(manifest),
        usage=usage,
        prompt=_fenced(manifest.system_prompt),
        schema=_fenced(json.dumps(_schema(manifest), indent=2, ensure_ascii=False)),
        manifest=manifest_file,
    )


def base_model_licence(source: ExportSource) -> str | None:
    """The licence of the base model, as its own card or a list of known models says; `None` if neither does."""
    try:
        card = (Path(source.ref.path) / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        card = ""
    front = card.split("---", 2)[1] if card.startswith("---") and card.count("---") >= 2 else ""
    stated = re.search(r"^license:\s*([\w.-]+)\s*$", front, re.MULTILINE)
    if stated:
        return stated[1]
    hub_id = source.ref.hub_id or ""
    return next((licence for start, licence in KNOWN_LICENCES.items() if hub_id.startswith(start)), None)


def _metrics(manifest: Manifest) -> str:
    rows = "".join(f"| {name} | {value:.4g} |\n" for name, value in sorted(manifest.metrics.items()))
    return f"| metric on held-out rows | value |\n| --- | ---: |\n{rows}\n" if rows else ""


def _schema(manifest: Manifest) -> Any:
    """The shape of the records as a JSON schema."""
    schema = manifest.rebuild_schema().grammar_schema()
    return {name: value for name, value in schema.items() if name != "x-guidance"}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "extractor"


def _served_rank(rank: int) -> int:
    """The smallest of vLLM's ranks that is enough."""
    return next((known for known in (1, 8, 16, 32, 64, 128, 256, 320, 512) if known >= rank), rank)


def _fenced(text: str) -> str:
    """Text that cannot close the fence around it."""
    return text.replace("```", "'''")
