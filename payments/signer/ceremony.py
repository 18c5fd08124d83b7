"""Setting a signer up: its home, its configuration from what was agreed, and an empty memory."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from payments.signer import config, descriptor, keys, store
from payments.signer.refusal import KeyRefused, Unreadable

KEY_FILE = "key.json"
# A node looks through so many addresses in a minute or two.
CHANGE_INDEX = 100_000
ALL_KINDS = ("original", "bump", "void", "child", "consolidation", "anchor")


def make_home(home: Path) -> None:
    """Make the signer's folder, for its owner alone."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unreadable("home", f"{home} cannot be made: {error.strerror}.") from error


def set_up(
    home: Path,
    *,
    network: str,
    wallet: str,
    programs: Sequence[str],
    descriptor_text: str,
    device: str | None,
    approvers: Sequence[str],
    approvals_needed: int,
    caps: dict[str, int],
    now: datetime,
) -> None:
    """Write the configuration and make the store. Approvers are ``name=public key``; a device is a fingerprint.

    Raises Refusal when a value is wrong or the home has a configuration or a store already.
    """
    config.require_test_network(network)
    make_home(home)
    path = home / config.FILE
    if path.exists():
        raise Unreadable("config_exists", f"There is a {path} already; edit it, or use another home.")
    found = descriptor.parse(descriptor_text)
    content: dict[str, Any] = {
        "network": network,
        "wallet": wallet,
        "programs": list(programs),
        "descriptor": descriptor_text,
        "key": _key(home, found, network, device),
        "approvers": {"needed": approvals_needed, "keys": dict(_approver(text) for text in approvers)},
        "caps": {
            **caps,
            "change_index": CHANGE_INDEX,
            "kinds": list(ALL_KINDS),
            "is_attended": True,
            # One signer is protected by its own memory; several could be told different amounts.
            "needs_previous_txs": found.is_multisig,
            "may_accept": [],
        },
    }
    config.parse(content, home)
    store.create(home, network=network, wallet=wallet, descriptor=descriptor_text, now=now)
    path.touch(mode=0o600)
    path.write_text(_toml(content), encoding="utf-8")


def _key(home: Path, found: descriptor.Descriptor, network: str, device: str | None) -> dict[str, str]:
    if device is not None:
        for key in found.keys:
            if key.fingerprint.hex() == device:
                return {"fingerprint": device, "path": descriptor.path_text(key.path)}
        raise KeyRefused("key_other", f"The descriptor has no key of the device [{device}].")
    about = keys.read(home / KEY_FILE)
    if about["network"] != network:
        raise KeyRefused("key_other", f"The key was made for {about['network']}, not {network}.")
    if keys.origin_text(about) not in found.text:
        raise KeyRefused("key_other", "The descriptor does not have the key of this home.")
    return {"file": KEY_FILE, "fingerprint": about["fingerprint"], "path": about["path"]}


def _approver(text: str) -> tuple[str, str]:
    name, _, public_key = text.partition("=")
    if not name or not public_key:
        raise Unreadable("approver", f"{text[:80]} is not name=public key.")
    return name, public_key


def _toml(content: dict[str, Any]) -> str:
    """Return TOML of texts, numbers, lists and tables of these; a JSON text is a TOML text."""
    plain = [f"{_name(k)} = {_value(v)}" for k, v in content.items() if not isinstance(v, dict)]
    parts = ["\n".join(plain)]
    for name, table in content.items():
        if isinstance(table, dict):
            parts += [
                f"\n[{path}]\n" + "\n".join(f"{_name(k)} = {_value(v)}" for k, v in rows.items())
                for path, rows in _flat(name, table)
            ]
    return "\n".join(parts) + "\n"


def _flat(path: str, table: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    inner = {k: v for k, v in table.items() if isinstance(v, dict)}
    rest = {k: v for k, v in table.items() if k not in inner}
    return [(path, rest), *((f"{path}.{_name(k)}", v) for k, v in inner.items())]


def _name(text: str) -> str:
    return text if text.replace("_", "").isalnum() and text.isascii() else json.dumps(text)


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)
