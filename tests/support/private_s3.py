"""A private S3: moto's server, in a process and a place of its own."""

import os
import sys
from urllib.request import Request, urlopen

from typing_extensions import override

from tests.support.guardian import Command
from tests.support.peers import peer_python
from tests.support.private import PrivateProcess

BUCKET = "longhaul"
# The shell gives its pid, which the server then has, to whoever started it.
NOTING_THE_PID = 'echo $$ > "$0"; exec "$@"'


class PrivateS3(PrivateProcess):
    name = "s3"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What S3's clients read from their environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
        }

    @override
    def command(self) -> Command:
        server = [str(peer_python("moto")), "-m", "moto.server"]
        where = ["-H", "127.0.0.1", "-p", str(self.port)]
        shell = ["sh", "-c", NOTING_THE_PID, str(self.folder / "pid")]
        return Command(argv=[*shell, *server, *where], env={"PATH": os.environ["PATH"]})

    @override
    def answers(self) -> bool:
        return answers_s3(f"{self.endpoint}/{BUCKET}")


def answers_s3(bucket: str) -> bool:
    """Whether it serves; the bucket is there then."""
    try:
        with urlopen(Request(bucket, method="PUT"), timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return False
