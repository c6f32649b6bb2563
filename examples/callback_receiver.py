"""A receiver of Longhaul's callbacks with nothing but the standard library: verify, note, answer.

    LONGHAUL_CALLBACK_SECRET=whsec_... python -m examples.callback_receiver --port 8090

Three things make a receiver safe. It checks the signature over the bytes as they came, before it
reads them. It refuses what is older than five minutes, so that nobody can send it again later. And
it takes a message once: callbacks come at least once, always with the same `webhook-id`.
"""

import argparse
import base64
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 300  # seconds that clocks and networks may be apart
LARGEST = 1024 * 1024  # bytes of a message
REMEMBERED = 10_000  # ids; a real receiver keeps them where its other data is


class ForgedError(Exception):
    """It is not from Longhaul, or not from now."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> str:
    """The message's id, once it is sure who sent it, and when.

    Raises:
        ForgedError: The text says what is wrong.
    """
    name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not name or not at.isdigit() or abs(now - int(at)) > TOLERANCE:
        raise ForgedError("no id, or no time, or a time that is not now")
    signed = f"{name}.{at}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    ours = [b"v1," + base64.b64encode(hmac.digest(key, signed, sha256)) for key in keys]
    theirs = headers.get("webhook-signature", "").encode().split()
    # While a secret is being replaced there are several on either side: one pair is enough.
    if not any(hmac.compare_digest(one, other) for one in ours for other in theirs):
        raise ForgedError("no signature that fits")
    return name


class Receiver(BaseHTTPRequestHandler):
    secrets: Sequence[str] = ()
    seen: dict[str, None] = {}  # noqa: RUF012 - one for all requests, on purpose

    def do_POST(self) -> None:  # the name that the library asks for
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        try:
            name = verify(self.headers, body, self.secrets, time.time())
        except ForgedError as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            self._answer(401)
            return
        if name not in self.seen:
            self.take(json.loads(body))
            self.seen[name] = None
            if len(self.seen) > REMEMBERED:
                del self.seen[next(iter(self.seen))]
        self._answer(204)

    def take(self, message: Mapping[str, object]) -> None:
        """Where your program begins. Be quick: Longhaul waits ten seconds for the answer."""
        print(json.dumps(message), flush=True)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet: what came is printed above."""


def main() -> None:
    options = argparse.ArgumentParser(description="Receive Longhaul's callbacks; print each once.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8090)
    given = options.parse_args()
    secrets = os.environ.get("LONGHAUL_CALLBACK_SECRET", "").replace(",", " ").split()
    if not secrets:
        sys.exit("set LONGHAUL_CALLBACK_SECRET to the secret that Longhaul signs with")
    Receiver.secrets = secrets
    with ThreadingHTTPServer((given.host, given.port), Receiver) as server:
        print(f"listening on http://{given.host}:{server.server_port}", file=sys.stderr, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
