"""Nothing in the project says where packages come from or on which machine it was written."""

import re

from tests.support.sources import ROOT, own_files

# In pieces, so that this file does not contain what it looks for.
HOSTS = [
    r"pypi\.(org|python\.org)",
    r"files\.python" + r"hosted\.org",
    r"registry\.(npm" + r"js\.org|yarn" + r"pkg\.com)",
    r"(deb|security)\.debian" + r"\.org",
    r"(archive|security|ports)\.ubuntu" + r"\.com",
    r"proxy\.go" + r"lang\.org",
    r"static\.crates" + r"\.io",
]
PATHS = [r"/ro" + r"ot/", r"/wo" + r"rk/", r"/op" + r"t/rmq", r"/tm" + r"p/lhv"]
WANTED = re.compile("|".join(f"(?<![A-Za-z0-9.-]){pattern}" for pattern in HOSTS + PATHS))
# A lock file names where its packages came from in these fields, if it is let.
LOCKED = re.compile(r'"resolved"\s*:|^--(extra-)?index-url|^--find-links', re.MULTILINE)


def test_no_file_names_a_registry_or_a_path_of_a_machine() -> None:
    found = []
    for file in own_files():
        content = file.read_bytes()
        text = "" if b"\0" in content else content.decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if WANTED.search(line) or LOCKED.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n" + "\n".join(found)
