"""A peer is made once for each content of its pins."""

from pathlib import Path
from threading import Event, Thread

from tests.support.peers import made_once


class Maker:
    """Notes each time it is asked to make the place."""

    def __init__(self) -> None:
        self.made: list[Path] = []
        self.may_end = Event()
        self.may_end.set()

    def __call__(self, place: Path) -> None:
        place.mkdir()
        self.made.append(place)
        self.may_end.wait(10)


def test_a_peer_is_made_anew_only_when_its_pins_change(tmp_path: Path) -> None:
    pins, maker = tmp_path / "pins", Maker()
    for content in ("one", "one", "two"):
        pins.write_text(content)
        made_once(tmp_path / "peer", [pins], maker)
    assert len(maker.made) == 2


def test_who_asks_while_a_peer_is_being_made_waits_for_it(tmp_path: Path) -> None:
    pins, maker = tmp_path / "pins", Maker()
    pins.write_text("one")
    maker.may_end.clear()

    def second() -> None:
        maker.may_end.set()
        made_once(tmp_path / "peer", [pins], maker)

    askers = [Thread(target=made_once, args=(tmp_path / "peer", [pins], maker))]
    askers.append(Thread(target=second))
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(maker.made) == 1
