"""The one door out to web addresses that people name: one request to the very address that was checked, nothing followed.

A name is looked up once for each attempt, every address that it has must be permitted, and the connection goes to one of
them, with the name in TLS and in Host. So a name that changes its mind in between, or from attempt to attempt, leads
nowhere else (ADR 46). No proxy of the environment is asked.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from govpay.deadline import DeadlineSocket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Every address of a host; raises OSError where it has none.
Resolver = Callable[[str, int], Iterable[str]]
DEFAULT_PORTS = {"http": 80, "https": 443}
# Of those that a name has, so many are tried.
MOST_TRIED = 3
# Beyond what ipaddress calls global: relays that embed another address, protocol assignments, and a metadata service.
NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16", "3fff::/20"),
    )
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


class Unanswered(Exception):
    """No answer came; the text says why, without the address: it may hold a token of its receiver."""


class AddressRefused(Unanswered):
    """The address is not one to which we send anything."""


class TooLong(Unanswered):
    """An answer came, and is longer than it may be."""


class Answer(NamedTuple):
    """What came back: the status, and of the body what was asked for."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Rule:
    """Where a request may go: by which schemes, and to which addresses by each."""

    schemes: tuple[str, ...]
    permits: Callable[[str, Address], bool]
    is_own_permitted: bool = False


# For what the operator says in a setting: the receiver may be our own host.
OPERATOR = Rule(("https", "http"), lambda scheme, address: True, is_own_permitted=True)


def public() -> Rule:
    """Return the rule for addresses that users name: https and public; on regtest loopback too, if a setting says so."""
    if settings.GOVPAY_OUTBOUND_LOOPBACK:
        return Rule(
            ("https", "http"), lambda scheme, address: address.is_loopback or _is_public(scheme, address)
        )
    return Rule(("https",), _is_public)


def check(url: str, rule: Rule) -> None:
    """Raise AddressRefused unless the text is an address that the rule could permit; nobody is asked."""
    parts = _split(url, rule)
    try:
        address = _plain(parts.hostname or "")
    except ValueError:
        # A name: whether its addresses are permitted is asked with each attempt.
        return
    if not rule.permits(parts.scheme, address):
        raise AddressRefused("The host is at an address to which nothing is sent.")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    rule: Rule,
    timeout_s: float,
    most_bytes: int = 0,
    resolve: Resolver | None = None,
) -> Answer:
    """POST and return the answer; of its body nothing is read unless ``most_bytes`` says how long it may be.

    All of it, from the look-up to the last byte, ends after ``timeout_s``. Raises AddressRefused, Unanswered.
    """
    return _ask("POST", url, body, headers, rule, timeout_s, most_bytes, resolve or lookup)


def get(
    url: str,
    headers: Mapping[str, str],
    *,
    rule: Rule,
    timeout_s: float,
    most_bytes: int,
    resolve: Resolver | None = None,
) -> Answer:
    """GET and return the answer, whose body is ``most_bytes`` long at most; else as ``post``."""
    return _ask("GET", url, None, headers, rule, timeout_s, most_bytes, resolve or lookup)


def _ask(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    rule: Rule,
    timeout_s: float,
    most_bytes: int,
    resolve: Resolver,
) -> Answer:
    parts = _split(url, rule)
    deadline = time.monotonic() + timeout_s
    try:
        return _send(method, parts, body, headers, rule, deadline, most_bytes, resolve)
    except TimeoutError as error:
        raise Unanswered(f"The receiver did not answer within {timeout_s} s.") from error
    except ssl.SSLError as error:
        raise Unanswered(f"No TLS with the receiver: {error.reason or type(error).__name__}.") from error
    except http.client.HTTPException as error:
        raise Unanswered(f"What the receiver answered is not HTTP ({type(error).__name__}).") from error
    except OSError as error:
        raise Unanswered(
            f"No connection to the receiver: {error.strerror or type(error).__name__}."
        ) from error


def why_not_taken(status: int) -> str:
    """Return why an answer with this status is no success, or nothing."""
    if 300 <= status < 400:
        return f"The receiver answered HTTP {status}; no redirect is followed."
    return "" if 200 <= status < 300 else f"The receiver answered HTTP {status}."


def lookup(host: str, port: int) -> list[str]:
    """Return every address of a host, as the system resolves it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _split(url: str, rule: Rule) -> SplitResult:
    if re.fullmatch(r"[!-~]{1,2000}", url) is None:
        raise AddressRefused("An address is 1 to 2,000 ASCII characters without spaces.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressRefused("This is no web address.") from error
    if parts.scheme not in rule.schemes:
        raise AddressRefused(f"The address must begin with {' or '.join(rule.schemes)}.")
    if "@" in parts.netloc or "#" in url or "\\" in url or port == 0:
        raise AddressRefused("An address has no name or password, no #part, no backslash and no port 0.")
    if not _is_host(host):
        raise AddressRefused("The host is neither a name nor an IP address in its usual form.")
    return parts


def _is_host(host: str) -> bool:
    """Tell whether it is a name, or an address as it is usually written: not decimal, octal, hexadecimal or short."""
    last = host.rstrip(".").rpartition(".")[2]
    if ":" in host or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return "%" not in host
    return re.fullmatch(r"(?=.{1,253}\.?$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.?)+", host) is not None


def _is_public(scheme: str, address: Address) -> bool:
    if scheme != "https" or any(
        address in network for network in NOT_PUBLIC if network.version == address.version
    ):
        return False
    if address.version == 6 and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _plain(text: str) -> Address:
    """Return an address; one of IPv4 inside IPv6 as what it is."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _send(
    method: str,
    parts: SplitResult,
    body: bytes | None,
    headers: Mapping[str, str],
    rule: Rule,
    deadline: float,
    most_bytes: int,
    resolve: Resolver,
) -> Answer:
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    addresses = _permitted(parts.scheme, host, port, rule, deadline, resolve)
    sock = _connect(addresses[:MOST_TRIED], port, deadline)
    try:
        if parts.scheme == "https":
            sock.settimeout(_left(deadline))
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = DeadlineSocket(sock, deadline)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {**headers, "Host": parts.netloc, "Connection": "close"})
        response = connection.getresponse()
        read = response.read(most_bytes + 1) if most_bytes else b""
    finally:
        sock.close()
    if len(read) > most_bytes:
        raise TooLong(f"The answer is longer than {most_bytes:,} bytes.")
    return Answer(response.status, read)


def _permitted(
    scheme: str, host: str, port: int, rule: Rule, deadline: float, resolve: Resolver
) -> list[Address]:
    """Return the addresses of the host, if the rule permits each of them."""
    addresses = [_plain(text) for text in _within(deadline, lambda: list(resolve(host, port)))]
    own = set() if rule.is_own_permitted else _own(deadline, resolve)
    for address in addresses:
        # On loopback our own services are told from others by their ports.
        is_own = (address, port) in own or (
            not address.is_loopback and address in {found for found, _ in own}
        )
        if is_own or not rule.permits(scheme, address):
            raise AddressRefused("The host is at an address to which nothing is sent.")
    if not addresses:
        raise AddressRefused("The host has no address.")
    return addresses


def _own(deadline: float, resolve: Resolver) -> set[tuple[Address, int]]:
    """Return where node, broker and databases are; one that has no address now ends the attempt."""
    found: set[tuple[Address, int]] = set()
    for host, port in _own_hosts():
        texts = _within(deadline, lambda at=(host, port): list(resolve(*at)))  # type: ignore[misc]
        found |= {(_plain(text), port) for text in texts}
    return found


def _own_hosts() -> set[tuple[str, int]]:
    webs = (
        urlsplit(settings.GOVPAY_NODE_URL),
        urlsplit(settings.GOVPAY_NODE_ZMQ_URL),
        urlsplit(settings.REDIS_URL),
    )
    defaults = (80, 0, 6379)
    hosts = {(web.hostname or "", web.port or usual) for web, usual in zip(webs, defaults, strict=True)}
    hosts |= {(base["HOST"], int(base["PORT"] or 5432)) for base in settings.DATABASES.values()}
    # No host, or a folder of sockets, is reached by no address.
    return {(host, port) for host, port in hosts if host and not host.startswith("/")}


def _connect(addresses: list[Address], port: int, deadline: float) -> socket.socket:
    for position, address in enumerate(addresses, start=1):
        try:
            return socket.create_connection((str(address), port), timeout=_left(deadline))
        except OSError:
            if position == len(addresses) or time.monotonic() >= deadline:
                raise
    raise AssertionError("There is an address.")


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _within(deadline: float, call: Callable[[], list[str]]) -> list[str]:
    """Return what the call returns, or raise TimeoutError at the deadline: the system's look-up has no limit to be set."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(call())
        except Exception as error:  # noqa: BLE001 - It is raised below.
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not came:
        raise TimeoutError
    if isinstance(came[0], Exception):
        raise came[0]
    found: list[str] = came[0]
    return found
