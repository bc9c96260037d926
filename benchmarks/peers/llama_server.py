"""llama.cpp's server from the library `xllamacpp`, by the flags of llama.cpp's own program.

Run by the `llama-server` that make_environment.py puts into the environment `llamacpp`. Knows the flags that
extractft starts a server with, and the types of its cache; llama.cpp's own program knows many more. Serves until it is
ended. The key of the environment variable LLAMA_API_KEY is asked for, as by the program.
"""

from __future__ import annotations

import argparse
import os
import signal

import xllamacpp

TYPES = {"f32": xllamacpp.ggml_type.GGML_TYPE_F32, "f16": xllamacpp.ggml_type.GGML_TYPE_F16}
FLASH = {
    "auto": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


def parameters(args: argparse.Namespace) -> xllamacpp.CommonParams:
    """llama.cpp's defaults but for what was asked for."""
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.hostnames = [args.host]
    params.port = args.port
    params.offline = True
    params.ui = False
    params.n_parallel = args.parallel
    params.n_ctx = args.ctx_size
    params.cache_prompt = True
    params.cache_type_k, params.cache_type_v = TYPES[args.cache_type_k], TYPES[args.cache_type_v]
    params.flash_attn_type = FLASH[args.flash_attn]
    if args.alias:
        params.model_alias = {args.alias}
    if args.threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    if key := os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [key]
    return params


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", "-m", required=True, metavar="GGUF")
    parser.add_argument("--alias", "-a", default=None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--parallel", "-np", type=int, default=1)
    parser.add_argument("--ctx-size", "-c", type=int, default=0)
    parser.add_argument("--threads", "-t", type=int, default=0)
    parser.add_argument("--cache-type-k", "-ctk", choices=sorted(TYPES), default="f16")
    parser.add_argument("--cache-type-v", "-ctv", choices=sorted(TYPES), default="f16")
    parser.add_argument("--flash-attn", "-fa", choices=sorted(FLASH), default="auto")
    parser.add_argument("--offline", action="store_true", help="always on")
    args = parser.parse_args()
    ended = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ended)  # before the library starts its threads
    server = xllamacpp.Server(parameters(args))
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait(ended)
    os._exit(0)  # its threads need not be waited for


if __name__ == "__main__":
    main()
