"""Reads settings from the environment: one reader per kind, each naming the variable that is wrong."""

import base64
import re
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

read = environ.Env()

NETWORKS = ("regtest", "signet", "testnet3", "testnet4")


def text(name: str, default: str | None = None) -> str:
    """Return the variable's text; raise ImproperlyConfigured when it is missing and has no default."""
    value = read.str(name, default=default)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set.")
    return str(value)


def whole(name: str, default: int, *, least: int, most: int) -> int:
    """Return the variable as an integer within [least, most]."""
    raw = read.str(name, default=str(default))
    if not re.fullmatch(r"[0-9]{1,9}", raw) or not least <= int(raw) <= most:
        raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}, not {raw!r}.")
    return int(raw)


def require_longer(name: str, value_s: int, than_name: str, than_s: int) -> None:
    """Refuse a time that is not longer than another one."""
    if value_s <= than_s:
        raise ImproperlyConfigured(f"{name} ({value_s} s) must be longer than {than_name} ({than_s} s).")


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return the variable if it is one of the choices."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def network(name: str) -> str:
    """Return a test network's name; the main network is refused here first (R-21)."""
    value = text(name, "regtest").lower()
    if value in ("main", "mainnet", "bitcoin", "livenet"):
        raise ImproperlyConfigured(f"{name} names the main network; govpay pays on test networks only.")
    return choice(name, "regtest", NETWORKS)


def only_on_regtest(name: str, network: str) -> bool:
    """Return a switch that is on nowhere but on regtest."""
    is_on = read.bool(name, default=False)
    if is_on and network != "regtest":
        raise ImproperlyConfigured(f"{name} is for regtest only, and the network is {network}.")
    return bool(is_on)


def key(name: str) -> bytes:
    """Return 32 secret bytes given as 64 hex digits."""
    raw = text(name)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", raw):
        raise ImproperlyConfigured(f"{name} must be 64 hex digits (32 bytes).")
    return bytes.fromhex(raw)


def optional_key(name: str) -> bytes | None:
    """Return 32 secret bytes given as 64 hex digits, or None when the variable is not set."""
    return key(name) if read.str(name, default="") else None


def key_name(name: str, default: str) -> str:
    """Return a name under which a key signs: no spaces, no plus signs, at most 100 characters."""
    value = text(name, default)
    if not re.fullmatch(r"[\x21-\x2a\x2c-\x7e]{1,100}", value):
        raise ImproperlyConfigured(f"{name} must be a name without spaces and plus signs, not {value!r}.")
    return value


def keys(name: str) -> dict[str, bytes]:
    """Return ``id:hex`` pairs, comma separated, in order; the first encrypts or signs, all decrypt or check."""
    found: dict[str, bytes] = {}
    for pair in text(name).split(","):
        match = re.fullmatch(r"([a-z0-9]{1,8}):([0-9a-fA-F]{64})", pair.strip())
        if match is None:
            raise ImproperlyConfigured(f"{name} must be ID:64-hex-digits[,ID:64-hex-digits].")
        found[match[1]] = bytes.fromhex(match[2])
    return found


def web_address(name: str) -> str:
    """Return an http or https address, or nothing when the variable is empty.

    It may hold a token of its receiver in its path, and is in no message therefore.
    """
    value = text(name, "")
    if value and not _is_web_address(value):
        raise ImproperlyConfigured(
            f"{name} must be an address like https://host:port/path, in ASCII, without a name, a password or a #part."
        )
    return value


def bic(name: str) -> str:
    """Return the BIC of an institution (ISO 9362), or the empty string where none is set."""
    value = text(name, "")
    if value and not re.fullmatch(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", value):
        raise ImproperlyConfigured(f"{name} must be a BIC of 8 or 11 capitals and digits, not {value!r}.")
    return value


def sms_gateway(name: str, network_name: str) -> str:
    """Return the web address of a gateway, nothing, or ``local`` (on regtest the default, and nowhere else)."""
    is_regtest = network_name == "regtest"
    value = text(name, "local" if is_regtest else "")
    return value if value == "local" and is_regtest else web_address(name)


def mail_gateway(name: str, network_name: str) -> tuple[str, dict[str, object]]:
    """Return the address of a mail server, nothing, or ``local`` (on regtest the default, and nowhere else), and what Django
    calls its parts.
    """
    is_regtest = network_name == "regtest"
    value = text(name, "local" if is_regtest else "")
    if value in ("", "local") and (is_regtest or not value):
        return value, {}
    if not re.fullmatch(r"smtp(\+tls|\+ssl)?://[!-~]{1,500}", value):
        raise ImproperlyConfigured(f"{name} must be smtp[+tls|+ssl]://[user:password@]host:port.")
    found = read.email_url(name)
    parts = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    return value, {f"EMAIL_{part}": found[f"EMAIL_{part}"] for part in parts if f"EMAIL_{part}" in found}


def _is_web_address(value: str) -> bool:
    if re.fullmatch(r"[!-~]{1,2000}", value) is None:
        return False
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https")
            and bool((parts.hostname or "").encode("idna"))
            and parts.port != 0
            and "@" not in parts.netloc
            and "#" not in value
        )
    except ValueError:
        return False


def origin(name: str) -> str:
    """Return ``scheme://host[:port]`` in lower case, or nothing when the variable is empty; http on this machine only."""
    value = text(name, "").rstrip("/")
    if not value:
        return ""
    parts = urlsplit(value)
    is_bare = value == f"{parts.scheme}://{parts.netloc}" and value == value.lower()
    if not (is_bare and _is_web_address(value)):
        raise ImproperlyConfigured(
            f"{name} must be like https://pay.example.gov, in lower case, without a path."
        )
    _require_https(name, value)
    return value


def issuer(name: str) -> str:
    """Return an issuer of identities exactly as it names itself, or nothing when the variable is empty."""
    value = web_address(name)
    if "?" in value:
        raise ImproperlyConfigured(f"{name} must be an address without a query.")
    if value:
        _require_https(name, value)
    return value


def _require_https(name: str, value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ImproperlyConfigured(f"{name} must begin with https://, except on localhost.")


def prefixed(name: str, prefixes: tuple[str, ...]) -> frozenset[str]:
    """Return comma-separated words that begin with one of the prefixes and a colon."""
    found = frozenset(filter(None, (word.strip() for word in text(name, "").split(","))))
    for word in found:
        if word.partition(":")[0] not in prefixes or not word.partition(":")[2]:
            raise ImproperlyConfigured(
                f"{name} takes {' and '.join(f'{p}:...' for p in prefixes)}, not {word!r}."
            )
    return found


def domain_of(name: str, origin_name: str, origin: str) -> str:
    """Return the origin's host, or the domain above it that the variable names."""
    host = urlsplit(origin).hostname or ""
    value = text(name, host)
    if value != host and not (value and host.endswith(f".{value}") and "." in value):
        raise ImproperlyConfigured(f"{name} must be the host of {origin_name}, or a domain above it.")
    return value


def webhook_secret(name: str) -> str:
    """Return ``whsec_`` and the base64 of 24 to 64 bytes (Standard Webhooks 1.0.0), or nothing when it is empty."""
    value = text(name, "")
    try:
        secret = base64.b64decode(value.removeprefix("whsec_"))
    except ValueError:
        secret = b""
    is_whole = value == f"whsec_{base64.b64encode(secret).decode()}"
    if value and not (is_whole and 24 <= len(secret) <= 64):
        raise ImproperlyConfigured(f"{name} must be whsec_ and 24 to 64 random bytes in base64.")
    return value


def require_both(name: str, value: str, other_name: str, other: str) -> None:
    """Refuse one of two variables without the other."""
    if bool(value) != bool(other):
        missing, there = (other_name, name) if value else (name, other_name)
        raise ImproperlyConfigured(f"{missing} is not set, and {there} is: set both or neither.")


def require_all(name: str, *others: str) -> None:
    """Refuse a variable without those that it needs."""
    missing = [other for other in others if not text(other, "")]
    if text(name, "") and missing:
        raise ImproperlyConfigured(f"{', '.join(missing)} is not set, and {name} needs it.")
