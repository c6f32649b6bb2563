"""A receiver of callbacks, as a process: notes what comes, answers as the file `answers` says.

Each line of it is for one request: a status, then headers as `name=value`; `hang` never answers.
Without a line the answer is 204.
"""

import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

FOLDER = Path(sys.argv[1])
LOCK = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with LOCK:
            answer = next_answer()
            came = {
                "at": time.time(),
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": base64.b64encode(body).decode(),
            }
            with (FOLDER / "came.jsonl").open("a") as log:
                log.write(json.dumps(came) + "\n")
        if answer == ["hang"]:
            threading.Event().wait()
        self.send_response(int(answer[0]))
        for header in answer[1:]:
            self.send_header(*header.split("=", 1))
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the names that the library asks for

    @override
    def log_message(self, *_: object) -> None:
        """Quiet."""


def next_answer() -> list[str]:
    answers = FOLDER / "answers"
    lines = answers.read_text().splitlines() if answers.exists() else []
    if not lines:
        return ["204"]
    if lines[0] != "hang":
        answers.write_text("\n".join(lines[1:]))
    return lines[0].split()


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
(FOLDER / "port.new").write_text(str(server.server_port))
(FOLDER / "port.new").rename(FOLDER / "port")
server.serve_forever()
