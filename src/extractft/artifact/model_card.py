"""The model card of a saved extractor: `README.md`, for people and for model hubs."""

from __future__ import annotations

from extractft.artifact.manifest import Manifest

__all__ = ["render_model_card"]

TEMPLATE = """\
---
library_name: peft
{front}tags:
- information-extraction
- extractft
---

# {name}

Extracts validated `{name}` records from text: a LoRA adapter for `{base}`, made by extractft {version}.

```python
from extractft import Extractor

extractor = Extractor.from_pretrained("path/to/this/directory")
record = extractor.extract(text)
```

`manifest.json` holds the schema, the system prompt, the settings and the versions it was made with.
{metrics}"""


def render_model_card(manifest: Manifest) -> str:
    """Render the card; it depends on the manifest alone, so that a card which extractft wrote can be recognised."""
    base = manifest.base_model
    rows = "".join(f"| {name} | {value:.4g} |\n" for name, value in sorted(manifest.metrics.items()))
    hub_id = base.name if base.source == "huggingface" else None
    if base.source == "wheel":
        hub_id = base.transformers_name
    return TEMPLATE.format(
        front=f"base_model: {hub_id}\n" if hub_id else "",
        name=manifest.schema_data.get("name", "record"),
        base=base.name,
        version=manifest.versions.get("extractft", "unknown"),
        metrics=f"\n| metric on held-out rows | value |\n| --- | ---: |\n{rows}" if rows else "",
    )
