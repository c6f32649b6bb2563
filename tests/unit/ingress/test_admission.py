"""Who may come in: the table of DESIGN 10's floor of safety, row by row."""

from typing import Any

import pytest

from common.api_keys import Role
from common.config.model import ApiKey, Listen
from ingress.auth import Admission
from ingress.caller import LOCAL, Caller
from ingress.errors import FOREIGN_ORIGIN, MISDIRECTED, UNAUTHORIZED, UNKNOWN_KEY, Problem

ALICE = ApiKey(key="key-of-alice", caller="alice")
BOB = ApiKey(key="key-of-bob", caller="bob")
HERE = "127.0.0.1:8080"
LOCAL_ADMIN = Caller(name=LOCAL, role=Role.ADMIN)


def admit(listen: dict[str, Any], local_key: str = "", **headers: str) -> Caller | Problem:
    given = {"host": HERE} | {name.replace("_", "-"): text for name, text in headers.items()}
    return Admission(Listen(**listen), local_key).admit(given)


KEYS = {"api_keys": (ALICE, BOB), "host": "0.0.0.0"}  # noqa: S104 - nothing is opened


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "Bearer key-of-bob"},
            {"authorization": "bearer  key-of-bob "},
            {"x_api_key": "key-of-bob"},
            {"x_api_key": "key-of-bob", "authorization": "Basic Zm9vOmJhcg=="},
        ],
    )
    def test_either_header_names_the_caller(self, headers: dict[str, str]) -> None:
        assert admit(KEYS, **headers) == Caller(name="bob", role=Role.ADMIN)

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": ""},
            {"authorization": "Bearer"},
            {"authorization": "Basic key-of-bob"},
        ],
    )
    def test_without_a_key_nobody_comes_in(self, headers: dict[str, str]) -> None:
        assert admit(KEYS, **headers) is UNAUTHORIZED

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "Bearer key-of-bo"},
            {"authorization": "Bearer key-of-bob2"},
            {"x_api_key": "KEY-OF-BOB"},
            {"x_api_key": "\udcff"},
            {"x_api_key": "lh_\udcff"},
        ],
    )
    def test_with_a_wrong_key_nobody_does(self, headers: dict[str, str]) -> None:
        assert admit(KEYS, **headers) is UNKNOWN_KEY

    def test_a_wrong_key_does_not_hide_behind_a_right_one(self) -> None:
        found = admit(KEYS, x_api_key="wrong", authorization="Bearer key-of-bob")
        assert found is UNKNOWN_KEY

    def test_the_local_key_is_the_local_caller(self) -> None:
        assert admit(KEYS, "made-here", x_api_key="made-here") == LOCAL_ADMIN

    def test_an_empty_local_key_opens_nothing(self) -> None:
        assert admit(KEYS, "", x_api_key="") is UNAUTHORIZED

    def test_without_keys_everybody_here_is_local(self) -> None:
        assert admit({}) == LOCAL_ADMIN
        assert admit({}, x_api_key="whatever") == LOCAL_ADMIN


class TestMadeKeys:
    """Those that operators made: looked up in what the store keeps."""

    CAROL = Caller(name="carol", role=Role.OPERATOR)

    def admit(self, listen: dict[str, Any], key: str) -> Caller | Problem:
        def find(presented: str) -> Caller | Problem:
            return self.CAROL if presented == "lh_carol" else UNKNOWN_KEY

        return Admission(Listen(**listen), find=find).admit({"host": HERE, "x-api-key": key})

    def test_one_names_its_caller_and_role(self) -> None:
        assert self.admit(KEYS, "lh_carol") == self.CAROL
        assert self.admit({}, "lh_carol") == self.CAROL

    def test_one_that_is_not_known_opens_nothing_where_no_key_is_needed(self) -> None:
        """A revoked key must not make its holder the administrator that nobody is without one."""
        assert self.admit({}, "lh_mallory") is UNKNOWN_KEY
        assert self.admit(KEYS, "lh_mallory") is UNKNOWN_KEY

    def test_a_key_of_the_environment_may_look_like_one(self) -> None:
        dave = {"api_keys": (ApiKey(key="lh_mallory", caller="dave"),)}
        assert self.admit(dave, "lh_mallory") == Caller(name="dave", role=Role.ADMIN)


class TestHost:
    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", "[::1]"]
    )
    def test_loopback_names_are_served_without_keys(self, host: str) -> None:
        assert admit({}, host=host) == LOCAL_ADMIN

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8080",
            "10.0.0.7",
            "[fe80::1]",
            "",
            "[",
        ],
    )
    def test_no_other_name_is_served_without_keys(self, host: str) -> None:
        """A name that an attacker's DNS points here would make a browser our caller."""
        assert admit({}, host=host) is MISDIRECTED

    def test_opened_without_keys_only_listed_names_are_served(self) -> None:
        listen = {"host": "0.0.0.0", "insecure_no_auth": True, "allowed_hosts": ("gw.lan",)}  # noqa: S104 - nothing is opened
        assert admit(listen, host="gw.lan:8080") == LOCAL_ADMIN
        assert admit(listen, host="GW.LAN") == LOCAL_ADMIN
        assert admit(listen, host="other.lan") is MISDIRECTED

    def test_with_keys_any_name_is_served(self) -> None:
        assert admit(KEYS, host="gw.example", x_api_key="key-of-bob") == Caller(
            name="bob", role=Role.ADMIN
        )

    def test_with_keys_a_list_is_the_whole_list(self) -> None:
        listed = KEYS | {"allowed_hosts": ("gw.example",)}
        key = {"x_api_key": "key-of-bob"}
        assert isinstance(admit(listed, host="gw.example", **key), Caller)
        assert admit(listed, host="10.0.0.7", **key) is MISDIRECTED


class TestOrigin:
    @pytest.mark.parametrize(
        ("host", "origin"),
        [
            (HERE, "http://127.0.0.1:8080"),
            ("localhost", "http://localhost:80"),
            ("localhost:443", "https://localhost"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("LocalHost:8080", "http://localhost:8080"),
        ],
    )
    def test_the_own_host_may(self, host: str, origin: str) -> None:
        assert admit({}, host=host, origin=origin) == LOCAL_ADMIN

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "http://127.0.0.1:9999",
            "http://127.0.0.1:8080.evil.example",
            "null",
            "",
            "file://127.0.0.1:8080",
            "http://[",
            "chrome-extension://127.0.0.1:8080",
        ],
    )
    def test_no_other_may(self, origin: str) -> None:
        assert admit({}, origin=origin) is FOREIGN_ORIGIN

    def test_a_key_does_not_excuse_a_foreign_origin(self) -> None:
        found = admit(KEYS, origin="http://evil.example", x_api_key="key-of-bob")
        assert found is FOREIGN_ORIGIN

    def test_listed_origins_may(self) -> None:
        listen = {"allowed_origins": ("https://console.example", "null")}
        assert admit(listen, origin="https://console.example") == LOCAL_ADMIN
        assert admit(listen, origin="null") == LOCAL_ADMIN
        assert admit(listen, origin="http://console.example") is FOREIGN_ORIGIN
