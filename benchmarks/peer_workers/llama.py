"""llama.cpp's HTTP server, as a process of its own: run by benchmarks/peers.py in the peers' environment.

Reads its settings from the command line, prints its address as one JSON line, and serves on 127.0.0.1 until its
standard input ends, which it also does when the process that started it is gone.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from typing import Any

import xllamacpp


def parameters(settings: dict[str, Any]) -> xllamacpp.CommonParams:
    """llama.cpp's defaults but for threads, slots, and the type of keys and values (theirs is 16 bits)."""
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.offline = True
    params.ui = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["context"]
    params.cache_prompt = True
    if settings["float32_cache"]:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    return params


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints is not an answer
    start = time.process_time()
    server = xllamacpp.Server(parameters(json.loads(sys.argv[1])))
    ready = {
        "seconds": time.process_time() - start,
        "address": server.listening_address,
        "version": importlib.metadata.version("xllamacpp"),
        "system": xllamacpp.get_system_info().strip(),
    }
    print(json.dumps(ready), file=replies, flush=True)
    sys.stdin.read()
    os._exit(0)  # its threads need not be waited for


if __name__ == "__main__":
    main()
