"""The URL of a callback, taken apart once, and which addresses may be asked. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from urllib.parse import urlsplit

from common.errors import CallbackRefusedError

LONGEST = 2_048  # characters of a URL
# Narrow on purpose: what two parsers might read in two ways is refused.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})"
    r"(:(?P<port>[0-9]{1,5}))?(?P<path>(/[!-\"$-\[\]-~]*)?(\?[!-\"$-\[\]-~]*)?)",
    re.ASCII | re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
# What the standard library's word for "global" says too little of, in one of its versions.
_NOBODYS = tuple(
    ip_network(each)
    for each in (
        "168.63.129.16",  # of Azure's machines: public by its number alone
        *("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)
_NAT64 = ip_network("64:ff9b::/96")

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    scheme: str
    host: str  # in lower case, without brackets
    port: int
    path: str  # with its query

    @property
    def authority(self) -> str:
        """As the header Host has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_target(url: str) -> Target:
    """Raises: CallbackRefusedError: It is not an address that is sent to."""
    found = _URL.fullmatch(url) if len(url) <= LONGEST else None
    if found is None:
        raise CallbackRefusedError(
            "the callback's url should be https://host[:port]/path, at most "
            f"{LONGEST} characters, without a user, a fragment or anything that needs quoting"
        )
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65_536:
        raise CallbackRefusedError(f"the callback's url has no port {port}")
    host = found["host"].lower().strip("[]").rstrip(".")
    path = found["path"]
    return Target(scheme=scheme, host=host, port=port, path=path if path[:1] == "/" else f"/{path}")


def shown_url(url: str) -> str:
    """Without its query, which may be a secret."""
    bare, question, _ = url.partition("?")
    return f"{bare}?…" if question else bare


def shown_host(url: str) -> str:
    return urlsplit(url).hostname or ""


class Reach:
    """Whom callbacks may reach: the public net over https, and what the operator allows besides."""

    def __init__(self, allow: Sequence[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._names: list[str] = []
        for each in allow:
            try:
                self._networks.append(ip_network(each))
            except ValueError:
                self._names.append(each.lower())

    def refusal(self, target: Target, address: IpAddress) -> str:
        """Why the target may not be asked at this address; empty when it may."""
        if self._named(target.host) or self._listed(address):
            return ""
        if not is_public(address):
            return f"{target.host} is not on the public net, and callbacks.allow does not have it"
        if target.scheme != "https":
            return f"the callback to {target.host} should go over https"
        return ""

    def _named(self, host: str) -> bool:
        return any(
            host.endswith(name[1:]) if name.startswith("*.") else host == name
            for name in self._names
        )

    def _listed(self, address: IpAddress) -> bool:
        plain = _unwrapped(address)
        return any(plain in network for network in self._networks)


def is_public(address: IpAddress) -> bool:
    """Whether it is somebody's in the public net; one in disguise is what it stands for."""
    plain = _unwrapped(address)
    if any(plain in network for network in _NOBODYS) or getattr(plain, "scope_id", None):
        return False
    return plain.is_global and not (
        plain.is_multicast or plain.is_reserved or plain.is_unspecified or plain.is_loopback
    )


def _unwrapped(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 one only carries."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address
