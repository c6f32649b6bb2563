"""The peer of `longhaul batch`: a line of results for each line of rows, in their order.

python celery_batch.py ROWS.jsonl RESULTS.jsonl
"""

import json
import sys
from pathlib import Path

from celery import group
from celery_app import echo


def main(rows: str, results: str) -> None:
    lines = Path(rows).read_text().splitlines()
    called = group(echo.s(json.loads(line)) for line in lines).apply_async()
    with Path(results).open("w") as out:
        out.writelines(json.dumps(result) + "\n" for result in called.join_native(timeout=600))


main(*sys.argv[1:])
