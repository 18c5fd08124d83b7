"""Key files: a secret under a passphrase (scrypt, RFC 7914, and AES-256-GCM), next to what is public about it."""

import getpass
import json
import os
import stat
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from payments.signer.refusal import KeyRefused

FORMAT = "govpay-key-1"
MIN_PASSPHRASE = 12
# 128 MiB and half a second a guess.
_COST = 2**17
_BLOCK_SIZE = 8
_MAX_BYTES = 10_000


def write(path: Path, secret: bytes, passphrase: bytes, about: dict[str, str]) -> None:
    """Make a key file that its owner alone can read; raise KeyRefused when there is a file already."""
    salt, nonce = os.urandom(16), os.urandom(12)
    public = {
        "format": FORMAT,
        **about,
        "kdf": "scrypt",
        "cost": _COST,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
    }
    sealed = AESGCM(_derive(passphrase, salt, _COST)).encrypt(nonce, secret, _authenticated(public))
    text = json.dumps({**public, "sealed": sealed.hex()}, indent=2) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyRefused("key_exists", f"There is a file {path} already; a key is never replaced.") from error
    except OSError as error:
        raise KeyRefused("key_file", f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, kind: str, names: Collection[str] = ()) -> dict[str, Any]:
    """Return what a key file of this kind says openly, these names among it.

    Raises KeyRefused when it is no such file, or others may read it.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyRefused("key_permissions", f"{path} is open to others; give it the mode 600.")
            content = json.loads(file.read(_MAX_BYTES))
    except OSError as error:
        raise KeyRefused("key_file", f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise KeyRefused("key_file", f"{path} is not a key file.") from error
    if not isinstance(content, dict) or (content.get("format"), content.get("kind")) != (FORMAT, kind):
        raise KeyRefused("key_file", f"{path} is not a {FORMAT} file of a {kind} key.")
    if not all(isinstance(content.get(name), str) for name in names):
        raise KeyRefused("key_file", f"{path} is damaged.")
    return content


def open_(content: dict[str, Any], passphrase: bytes) -> bytes:
    """Return the secret; raise KeyRefused when the passphrase is wrong or the file was altered in any field."""
    public = {name: value for name, value in content.items() if name != "sealed"}
    try:
        # Whoever wrote the file must not choose a cost that takes all memory, or none.
        if public["kdf"] != "scrypt" or public["cost"] not in (2**exponent for exponent in range(15, 21)):
            raise ValueError("another derivation")
        key = _derive(passphrase, bytes.fromhex(public["salt"]), public["cost"])
        return AESGCM(key).decrypt(
            bytes.fromhex(public["nonce"]), bytes.fromhex(content["sealed"]), _authenticated(public)
        )
    except InvalidTag as error:
        raise KeyRefused("passphrase", "The passphrase is wrong, or the key file was altered.") from error
    except MemoryError as error:
        raise KeyRefused("key_memory", "This host has too little memory to open the key file.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise KeyRefused("key_file", "The key file is damaged.") from error


def ask(prompt: str, fd: int | None) -> bytes:
    """Return a secret line from the terminal, unseen, or from an open file descriptor; never from arguments."""
    return _terminal(f"{prompt}: ") if fd is None else _line(fd)


def ask_new(fd: int | None) -> bytes:
    """Return a new passphrase, twice the same at the terminal; raise KeyRefused when it is short."""
    found = ask("New passphrase", fd)
    if len(found.decode(errors="replace")) < MIN_PASSPHRASE:
        raise KeyRefused("passphrase_short", f"A passphrase has at least {MIN_PASSPHRASE} characters.")
    if fd is None and _terminal("The same again: ") != found:
        raise KeyRefused("passphrase_differs", "The two passphrases differ.")
    return found


def _terminal(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise KeyRefused("passphrase_terminal", "There is no terminal to ask at; give --passphrase-fd.")
    return getpass.getpass(prompt).encode()


def _line(fd: int) -> bytes:
    """Read one line byte by byte: several secrets may follow each other in one pipe."""
    found = bytearray()
    try:
        while (byte := os.read(fd, 1)) not in (b"", b"\n"):
            found += byte
    except OSError as error:
        raise KeyRefused("passphrase_fd", f"Nothing can be read from file descriptor {fd}.") from error
    if not found:
        raise KeyRefused("passphrase_fd", f"Nothing came from file descriptor {fd}.")
    return bytes(found)


def _derive(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=_BLOCK_SIZE, p=1).derive(passphrase)


def _authenticated(public: dict[str, Any]) -> bytes:
    return json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
