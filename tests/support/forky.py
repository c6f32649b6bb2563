"""A folder with RabbitMQ 4.3 and Redis 8 from Debian's forky, for tests that want these versions.

`make servers43` makes it. Servers run out of it with chroot, so it serves root only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.packages import install_packages, mirror
from tests.support.peers import ROOT
from tests.support.private import NoServerError

PLACE = Path(os.environ.get("LONGHAUL_TEST_RABBITMQ43") or ROOT / ".servers" / "forky")
PACKAGES = "rabbitmq-server,redis-server,ca-certificates"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def why_not() -> str | None:
    """Why servers cannot be started out of the folder; None when they can."""
    if not (PLACE / "usr/lib/rabbitmq/bin/rabbitmq-server").exists():
        return f"no RabbitMQ 4.3 in {PLACE}; `make servers43` puts it there"
    if os.geteuid() != 0:
        return "servers out of another system's folder need root"
    return None


def root() -> Path:
    """The folder, ready for servers.

    Raises:
        NoServerError: It is not.
    """
    if reason := why_not():
        raise NoServerError(reason)
    (PLACE / "lh").mkdir(exist_ok=True)
    return PLACE


def inside(folder: Path, root: Path | None) -> str:
    """The path of a folder as a program sees it whose root may be another."""
    return f"/{folder.relative_to(root)}" if root else str(folder)


def make() -> None:
    if why_not() is None:
        return
    if shutil.which("mmdebstrap") is None:
        install_packages(["mmdebstrap"])
    options = [
        "--variant=minbase",
        f"--include={PACKAGES}",
        # A mirror's copy of a release in the making is often older than its own date allows.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
    ]
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mmdebstrap", *options, "forky", str(PLACE), mirror()], check=True)
    (PLACE / "etc/hosts").write_text("127.0.0.1 localhost\n")


if __name__ == "__main__":
    make()
    sys.exit(why_not())
