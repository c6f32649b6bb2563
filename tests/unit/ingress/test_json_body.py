"""No route reads a JSON body in a way of its own."""

from fastapi.routing import APIRoute

from ingress.api import (
    backends,
    batches,
    blobs,
    callbacks,
    dead_letters,
    fleet,
    health,
    jobs,
    keys,
    output,
    worker_health,
)
from ingress.api.json_body import JsonRoute

PARTS = (
    *(jobs, output, callbacks, dead_letters, fleet, backends, keys, blobs, batches),
    *(health, worker_health),
)


def test_every_route_with_a_body_reads_it_strictly() -> None:
    routes = [route for part in PARTS for route in part.router.routes]
    with_body = [each for each in routes if isinstance(each, APIRoute) and each.body_field]
    assert len(with_body) >= 6
    assert [each.path for each in with_body if not isinstance(each, JsonRoute)] == []
