"""Outlines on transformers, as a process of its own: run by benchmarks/peers.py in the peers' environment.

Reads its settings from the command line and then requests from standard input, one JSON line each, and answers each by
one JSON line. Generation as its documentation shows it: a `Generator` of a `JsonSchema`, made once, greedy. The
prompt is rendered already, so that its tokenizer is given no chat template to render it again.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from typing import Any

import outlines
import torch
import transformers
from outlines.types import JsonSchema


def generator(settings: dict[str, Any]) -> Any:
    """The generator, and as `tokenizer` what it cuts prompts with."""
    torch.set_num_threads(settings["threads"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(settings["model"])
    tokenizer.chat_template = None
    network = transformers.AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.float32).eval()
    # The directory's settings of sampling would only be warned about.
    network.generation_config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
    model = outlines.from_transformers(network, tokenizer)
    return outlines.Generator(model, JsonSchema(settings["schema"], whitespace_pattern="", ensure_ascii=False))


def answers(generate: Any, prompts: list[str], limit: int) -> list[str]:
    options = {"max_new_tokens": limit, "do_sample": False}
    return [generate(prompts[0], **options)] if len(prompts) == 1 else generate.batch(prompts, **options)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    start = time.process_time()
    generate = generator(json.loads(sys.argv[1]))
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "version": importlib.metadata.version("outlines")}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "tokenize" in request:
            reply = {"ids": [generate.model.hf_tokenizer(text)["input_ids"] for text in request["tokenize"]]}
        else:
            reply = {"answers": answers(generate, request["prompts"], request["limit"])}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
