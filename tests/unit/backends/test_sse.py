"""Server-sent events, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.backends import sse
from workers.backends.sse import Event, EventParser, TooLong

LINES = st.sampled_from(
    [
        "data: a",
        "data:b",
        "data: ",
        "data",
        "event: message",
        "id: 7",
        "id:",
        "retry: 10",
        ": x",
        "",
    ]
)


def read(pieces: list[bytes]) -> list[Event]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@given(lines=st.lists(LINES, max_size=12), data=st.data())
def test_the_cuts_do_not_matter(lines: list[str], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    whole = "".join(line + end for line in [*lines, "data: last", "", ": "]).encode() + b"\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(pieces) == read([whole])
    assert read([whole])[-1].data.endswith(b"last")


def test_an_event() -> None:
    sent = b"event: message\nid: 4\nretry: 250\ndata: one\ndata: two\n\n"
    assert read([sent]) == [Event(name="message", data=b"one\ntwo", last_id="4", retry=0.25)]


def test_the_last_id_stays_and_the_rest_does_not() -> None:
    first, second = read([b"id: 4\nretry: 9\nevent: x\ndata: 1\n\ndata: 2\n\n"])
    assert first == Event(name="x", data=b"1", last_id="4", retry=0.009)
    assert second == Event(name="", data=b"2", last_id="4", retry=None)


def test_an_event_that_was_cut_off_never_was() -> None:
    assert read([b"data: half\n"]) == []


def test_comments_are_nothing() -> None:
    assert read([b": ping\n\n: ping\n\n"]) == []


def test_one_event_has_a_limit_and_a_stream_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_MESSAGE", 1_000)
    parser = EventParser()
    for _ in range(100):
        assert len(parser.feed(b"data: " + b"x" * 100 + b"\n\n: ping\n\n")) == 1
    for _ in range(9):
        assert parser.feed(b"data: " + b"x" * 100 + b"\n") == []
    with pytest.raises(TooLong):
        parser.feed(b"data: " + b"x" * 100 + b"\n")
