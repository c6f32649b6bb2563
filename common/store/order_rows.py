"""The form in which both stores keep an order: a name for its place, and JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

from common.store.standing import BackendOrders, Order, OrderKind
from common.wire import dump_json, load_json


def place_of(backend: str, kind: OrderKind) -> str:
    return f"{kind}:{backend}"


def encode_order(order: Order) -> bytes:
    return dump_json(asdict(order))


def decode_orders(rows: Iterable[tuple[str, bytes]]) -> Mapping[str, BackendOrders]:
    found: dict[str, BackendOrders] = {}
    for place, raw in rows:
        kind, _, backend = place.partition(":")
        known = found.get(backend, BackendOrders())
        if kind == "disabled":
            found[backend] = replace(known, disabled=_order(raw))
        elif kind == "restart":
            found[backend] = replace(known, restart=_order(raw))
        elif kind == "paused":
            found[backend] = replace(known, paused=_order(raw))
    return found


def _order(raw: bytes) -> Order:
    said = load_json(raw)
    return Order(
        id=said["id"], by=said["by"], at=said["at"], at_once=bool(said.get("at_once", False))
    )
