"""How commands reach the router: found through the environment, once per command."""

import os
from pathlib import Path

from longhaul.client import Client
from longhaul.target import find_target


def connect() -> Client:
    """To be closed by whoever asked. Raises: UnreachableError: It is still starting."""
    return Client(find_target(os.environ, Path.cwd()))
