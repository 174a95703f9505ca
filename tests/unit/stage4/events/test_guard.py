"""Where an event may be sent."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from stage4.events import guard
from stage4.events.guard import (
    RefusedAddressError,
    Rules,
    Target,
    check_now,
    check_url,
    is_allowed,
    resolve,
)

HOSTS = Rules(["hooks.example.org", "*.partner.example", "odd.example:8443", "[2001:db8::1]"])
PUBLIC = Rules(["localhost:80"])


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/a?b=c",
        "http://HOOKS.example.org",
        "https://hooks.example.org.:443/",
        "https://a.b.partner.example/",
        "https://odd.example:8443/",
        "https://[2001:db8::1]/",
    ],
)
def test_allowed_urls(url: str) -> None:
    check_url(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "ftp://hooks.example.org/",
        "file:///etc/passwd",
        "https://other.example/",
        "https://hooks.example.org.evil.example/",
        "https://evilhooks.example.org/",
        "https://partner.example/",
        "https://evilpartner.example/",
        "https://hooks.example.org:8443/",
        "https://odd.example/",
        "https://user:secret@hooks.example.org/",
        "https://hooks.example.org@evil.example/",
        "https://evil.example#@hooks.example.org/",
        "https://evil.example\\@hooks.example.org/",
        "https://hooks.example.org/ x",
        "https://hooks.example.org/\r\nHost: evil.example",
        "https://hooks.example.org:99999/",
        "https://höoks.example.org/",
        "https://a..partner.example/",
        f"https://{'a' * 64}.partner.example/",
        "https://hooks.example.org/" + "x" * 2000,
    ],
)
def test_refused_urls(url: str) -> None:
    with pytest.raises(RefusedAddressError):
        check_url(url, HOSTS)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
        *("192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254"),
        *("ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    ],
)
def test_addresses_that_no_callback_leads_to(address: str) -> None:
    assert not is_allowed(ip_address(address), PUBLIC)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::808:808"])
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_allowed(ip_address(address), PUBLIC)


def test_a_named_network_is_allowed_and_no_other_one() -> None:
    rules = Rules([], networks=["10.1.0.0/16", "fd00:1::/32"])
    allowed = ("10.1.2.3", "fd00:1::5")
    for address in (*allowed, "10.2.0.1", "fd00:2::5", "127.0.0.1"):
        assert is_allowed(ip_address(address), rules) == (address in allowed)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *((own, True) for own in ("10.0.0.1", "127.0.0.1", "100.64.0.1", "::1", "8.8.8.8")),
        *((other, False) for other in ("169.254.169.254", "fe80::1", "224.0.0.1", "::")),
    ],
)
def test_what_an_administrator_names_may_be_private_but_no_metadata_service(
    address: str, expected: bool
) -> None:
    assert is_allowed(ip_address(address), Rules([], private=True)) == expected


@pytest.mark.parametrize(
    "url", ["http://localhost/", "http://127.1/", "http://2130706433/", "http://0x7f.1/"]
)
def test_a_name_of_this_machine_is_refused_however_it_is_written(url: str) -> None:
    host = url.removeprefix("http://").rstrip("/")
    with pytest.raises(RefusedAddressError, match="outside the allowed networks"):
        asyncio.run(resolve(url, Rules([host])))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_what_is_known_now_to_be_forbidden_is_refused_now(host: str) -> None:
    with pytest.raises(RefusedAddressError, match="outside the allowed networks"):
        asyncio.run(check_now(f"http://{host}/", Rules([host])))
    asyncio.run(check_now(f"http://{host}/", Rules([host], ["127.0.0.0/8", "::1/128"])))


def test_a_name_without_an_address_is_judged_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def silent(*_: Any, **__: Any) -> list[Any]:
        await asyncio.Event().wait()
        return []

    async def try_it(look_up: Any) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        await check_now("http://localhost/", PUBLIC)

    monkeypatch.setattr(guard, "_LOOK_UP_SECONDS", 0.01)
    for look_up in (nobody, silent):
        asyncio.run(try_it(look_up))


def test_one_bad_address_among_good_ones_refuses_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = [(2, 1, 6, "", (each, 80)) for each in ("8.8.8.8", "10.0.0.1")]

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return found

    async def try_it() -> Target:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return await resolve("http://localhost/", PUBLIC)

    with pytest.raises(RefusedAddressError):
        asyncio.run(try_it())
    del found[1]
    target = asyncio.run(try_it())
    assert (target.pinned_url, target.host_header) == ("http://8.8.8.8:80/", "localhost")


def test_the_request_goes_to_the_address_that_was_judged() -> None:
    url = check_url("https://odd.example:8443/a?b=c", HOSTS)
    assert Target(url, ip_address("1.2.3.4")).pinned_url == "https://1.2.3.4:8443/a?b=c"
    assert Target(url, ip_address("::2")).pinned_url == "https://[::2]:8443/a?b=c"
    assert guard.port_of(url) == 8443
