"""Debian and Ubuntu packages, installed without a service being started by it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
NOTHING_STARTS = (
    "#!/bin/sh\n# Longhaul's tests: installed programs, no running services.\nexit 101\n"
)
SOURCES = Path("/etc/apt")


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_packages(names: list[str]) -> None:
    """Install from the machine's own sources.

    Raises:
        subprocess.CalledProcessError: apt-get could not; it has said why.
    """
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o=Dpkg::Use-Pty=0", "-o=DPkg::Lock::Timeout=120"]
    with _no_service_starts():
        for command in (["update"], ["install", "-y", "--no-install-recommends", *names]):
            subprocess.run([*apt, *command], env=quiet, check=True, stdin=subprocess.DEVNULL)


def mirror() -> str:
    """The first address this machine takes its packages from."""
    for file in [*SOURCES.glob("sources.list.d/*.sources"), SOURCES / "sources.list"]:
        for line in file.read_text().splitlines() if file.exists() else ():
            key, _, rest = line.partition(" ")
            if key == "URIs:" or (key == "deb" and not rest.startswith("[")):
                return rest.split()[0]
    raise LookupError(f"no package source in {SOURCES}")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Deny service starts to the packages' scripts, unless the machine has its own word on that."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(NOTHING_STARTS)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
