"""A program that is started as a server would be: answers `/health` for its key, and has a child of its own.

`FAKE_PROGRAM` says how it behaves: `serve`, `fail`, `busy-once`, `never-ready`, `end-late`. Its arguments and the ids of its
processes go into files of the folder `FAKE_FOLDER`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        keys = [os.environ.get("LLAMA_API_KEY"), os.environ.get("VLLM_API_KEY")]
        right = self.headers.get("authorization") in [f"Bearer {key}" for key in keys if key]
        body = json.dumps({"data": []}).encode()
        self.send_response(200 if right else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def end_late(number: int, frame: object) -> None:
    time.sleep(2)
    os._exit(0)


def main() -> None:
    way, folder = os.environ["FAKE_PROGRAM"], Path(os.environ["FAKE_FOLDER"])
    started = len(list(folder.glob("start-*.json")))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    about = {"arguments": sys.argv[1:], "pids": [os.getpid(), os.getppid(), child.pid]}
    (folder / f"start-{started}.json").write_text(json.dumps(about), encoding="utf-8")
    if way == "end-late":
        signal.signal(signal.SIGTERM, end_late)
    print("loading weights", flush=True)
    if way == "fail" or (way == "busy-once" and started == 0):
        print("no such model" if way == "fail" else "bind: address already in use", flush=True)
        sys.exit(3)
    if way == "never-ready":
        time.sleep(600)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
