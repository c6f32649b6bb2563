"""Which URLs and addresses a callback may go to."""

from ipaddress import ip_address

import pytest

from common.errors import CallbackRefusedError
from ingress.callbacks.target import Reach, Target, is_public, read_target, shown_url

HOST = Target(scheme="https", host="hooks.example", port=443, path="/")


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("https://example.com", "https", "example.com", 443, "/"),
        ("HTTPS://Example.COM./a?b=c", "https", "example.com", 443, "/a?b=c"),
        ("http://example.com:8080/", "http", "example.com", 8080, "/"),
        ("https://[2606:4700::1111]:8443?x", "https", "2606:4700::1111", 8443, "/?x"),
    ],
)
def test_a_url_is_taken_apart(url: str, scheme: str, host: str, port: int, path: str) -> None:
    assert read_target(url) == Target(scheme=scheme, host=host, port=port, path=path)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "//example.com", "ftp://example.com", "https://", "https:///a"),
        *("https://a@b/", "https://example.com#x", "https://example.com:0/", "https://a:99999/"),
        *("https://exa mple.com/", "https://example.com/\n", "https://example.com/é"),
        *("https://example.com\\@b/", "https://[::1%25eth0]/", f"https://a/{'x' * 3000}"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(CallbackRefusedError):
        read_target(url)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.192"),  # noqa: S104 - judged, not bound
        *("168.63.129.16", "198.18.0.1", "203.0.113.7"),
        *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        *("2002:a00:1::", "fec0::1", "64:ff9b:1::a00:1", "2001:0:7f00:1::", "::10.0.0.1"),
    ],
)
def test_what_is_nobodys_in_the_public_net_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert Reach(()).refusal(HOST, ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_not(address: str) -> None:
    assert Reach(()).refusal(HOST, ip_address(address)) == ""


@pytest.mark.parametrize(
    ("allow", "host", "address", "allowed"),
    [
        ("10.0.0.0/8", "hooks.example", "10.1.2.3", True),
        ("10.0.0.0/8", "hooks.example", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "hooks.example", "192.168.0.1", False),
        ("fd00::/8", "hooks.example", "fd00::5", True),
        ("hooks.example", "hooks.example", "10.1.2.3", True),
        ("Hooks.Example", "hooks.example", "10.1.2.3", True),
        ("hooks.example", "sub.hooks.example", "10.1.2.3", False),
        ("*.example", "hooks.example", "10.1.2.3", True),
        ("*.example", "hooksexample", "10.1.2.3", False),
        ("*.example", "example", "10.1.2.3", False),
    ],
)
def test_an_operator_allows_networks_and_names(
    allow: str, host: str, address: str, allowed: bool
) -> None:
    for scheme in ("https", "http"):
        target = Target(scheme=scheme, host=host, port=1, path="/")
        assert (Reach((allow,)).refusal(target, ip_address(address)) == "") is allowed


def test_the_public_net_is_asked_over_https_only() -> None:
    plain = Target(scheme="http", host="hooks.example", port=80, path="/")
    assert "https" in Reach(("10.0.0.0/8",)).refusal(plain, ip_address("1.1.1.1"))


def test_a_refusal_tells_no_address() -> None:
    assert "10." not in Reach(()).refusal(HOST, ip_address("10.1.2.3"))


def test_a_query_is_not_shown() -> None:
    assert shown_url("https://example.com/a?token=secret") == "https://example.com/a?…"
    assert shown_url("https://example.com/a") == "https://example.com/a"
