"""Where an event may be sent: against requests that lead into the installation's own network.

A name is resolved once, and the request goes to the address that was judged: another answer of the
name server a moment later changes nothing.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address

LONGEST_URL = 2000
_LOOK_UP_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")


class RefusedAddressError(ValueError):
    """An address that no event may be sent to; the message says why."""


@dataclass(frozen=True)
class Rules:
    """Which addresses are allowed.

    Attributes:
        hosts: names, `*.name` for those below a name, with `:port` for a port of their own.
        networks: outside the public internet, that are allowed nevertheless.
        private: whether every network of the installation itself is; those of the link, among them
            the metadata services of clouds, never are.
    """

    hosts: Sequence[str]
    networks: Sequence[str] = ()
    private: bool = False


@dataclass(frozen=True)
class Target:
    """An address that has been judged.

    Attributes:
        url: as it was given.
        address: that its host has been resolved to.
    """

    url: SplitResult
    address: Address

    @property
    def host(self) -> str:
        """Name of the host."""
        return self.url.hostname or ""

    @property
    def pinned_url(self) -> str:
        """The URL with the resolved address in place of the name."""
        literal = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return self.url._replace(netloc=f"{literal}:{port_of(self.url)}").geturl()

    @property
    def host_header(self) -> str:
        """Value of the header `Host`."""
        return self.url.netloc


def check_url(url: str, rules: Rules) -> SplitResult:
    """Judge a URL by its text alone.

    Raises:
        RefusedAddressError: it is no URL of an allowed host.
    """
    if len(url) > LONGEST_URL or not url.isascii() or any(each <= " " for each in url):
        raise RefusedAddressError(f"not a URL of at most {LONGEST_URL} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = port_of(parts)
        (parts.hostname or "").encode("idna")  # as a look-up does: it refuses long and empty labels
    except ValueError:
        raise RefusedAddressError("not a URL") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.fragment:
        raise RefusedAddressError("not a URL with http or https, a host and no fragment")
    if "@" in parts.netloc:
        raise RefusedAddressError("a URL with a user or a password")
    if not any(_matches(parts.hostname, port, parts.scheme, each) for each in rules.hosts):
        raise RefusedAddressError(f"host {parts.hostname}, port {port}, is not allowed")
    return parts


async def resolve(url: str, rules: Rules) -> Target:
    """Judge a URL and the addresses of its host.

    Raises:
        RefusedAddressError: the URL, or one of the addresses, is not allowed.
        OSError: the name cannot be resolved.
    """
    parts = check_url(url, rules)
    found = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, port_of(parts), type=socket.SOCK_STREAM
    )
    addresses = [ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    for address in addresses:
        if not is_allowed(address, rules):
            raise RefusedAddressError(
                f"host {parts.hostname} leads to an address outside the allowed networks"
            )
    return Target(parts, addresses[0])


async def check_now(url: str, rules: Rules) -> None:
    """Judge a URL and the addresses that its host has now; without any, they are judged later.

    Raises:
        RefusedAddressError: see `resolve`.
    """
    with suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            await resolve(url, rules)


def is_allowed(address: Address, rules: Rules) -> bool:
    """Judge an address; of one that stands for another one, that one."""
    return all(_is_allowed(each, rules) for each in _embedded(address) or [address])


def port_of(url: SplitResult) -> int:
    """Port of a URL, its scheme's own where it names none.

    Raises:
        ValueError: it is not a number up to 65535.
    """
    return url.port or _PORTS.get(url.scheme, 0)


def _is_allowed(address: Address, rules: Rules) -> bool:
    if _within(address, rules.networks):
        return True
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return rules.private or (address.is_global and not address.is_reserved)


def _within(address: Address, networks: Iterable[str]) -> bool:
    # Of different versions: False.
    return any(address in ip_network(each) for each in networks)


def _embedded(address: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return []
    found: list[Address] = [each for each in (address.ipv4_mapped, address.sixtofour) if each]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return found


def _matches(host: str, port: int, scheme: str, allowed: str) -> bool:
    entry = urlsplit(f"//{allowed}")
    name = entry.hostname or ""
    if port != (entry.port or _PORTS[scheme]):
        return False
    host = host.rstrip(".")
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
