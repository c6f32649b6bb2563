"""What a record keeps of a result that is too large for it."""

from typing import Any

from common.blobs.base import Blob
from common.wire import dump_json
from workers.preview import preview_of

JOB = "01m7xrk4zp6zttncj76565"
BLOB = Blob(sha256="a" * 64, size=1_234_567)


def middle(result: dict[str, Any], room: int) -> list[dict[str, Any]]:
    """What is between the lead and the link."""
    preview = preview_of(result, JOB, BLOB, room)
    assert preview["content"][0]["type"] == "text"
    assert preview["content"][-1]["type"] == "resource_link"
    return list(preview["content"][1:-1])


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_small_parts_stay_as_they_are_until_there_is_no_room() -> None:
    parts = [text("a" * 10), {"type": "hologram"}, text("b" * 500), text("c")]
    first, second, cut, rest = middle({"content": parts}, 100)
    assert (first, second) == (parts[0], parts[1])
    assert cut["text"].startswith("bbb")
    assert cut["text"].endswith("b […]")
    assert rest == text("[1 more parts are left out here]")


def test_a_cut_is_between_characters() -> None:
    [cut] = middle({"content": [text("ü" * 100)]}, 51)
    assert cut["text"] == "ü" * 25 + " […]"


def test_a_picture_that_does_not_fit_is_named_and_what_follows_comes() -> None:
    picture = {"type": "image", "mimeType": "image/png", "data": "A" * 1_000}
    named, after = middle({"content": [picture, text("after")]}, 100)
    assert named["text"] == "[image, image/png, 1049 bytes, is left out here]"
    assert after == text("after")


def test_structure_without_text_is_shown_and_is_no_valid_result() -> None:
    preview = preview_of({"content": [], "structuredContent": {"a": "x" * 90}}, JOB, BLOB, 20)
    assert preview["isError"] is True
    assert preview["content"][0]["text"].startswith("Not an error: the result has 1234567 bytes")
    assert preview["content"][1]["text"] == '{"a":"xxxxxxxxxxxxxx […]'
    assert "structuredContent" not in preview


def test_an_error_stays_one_and_small_meta_stays() -> None:
    whole = {"content": [], "isError": True, "_meta": {"acme/x": 1}}
    preview = preview_of(whole, JOB, BLOB, 20)
    assert preview["isError"] is True
    assert preview["_meta"]["acme/x"] == 1
    assert preview["_meta"]["longhaul/result"]["size"] == 1_234_567
    assert preview["content"][0]["text"].startswith("The result has")
    large = preview_of({**whole, "_meta": {"acme/x": "x" * 5_000}}, JOB, BLOB, 20)
    assert set(large["_meta"]) == {"longhaul/result"}


def test_it_stays_small_however_many_parts_do_not_fit() -> None:
    picture = {"type": "image" * 100, "mimeType": "image/png" * 1_000, "data": "A" * 1_000}
    *named, rest = middle({"content": [picture] * 5_000}, 100)
    assert rest == text(f"[{5_000 - len(named)} more parts are left out here]")
    assert len(dump_json(named)) < 6_000
