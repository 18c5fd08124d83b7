"""The signer's own configuration: what it may sign, decided on its host and by nothing that a bundle says."""

import re
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from payments.signer import bundle, conversion, descriptor, manifest
from payments.signer.descriptor import Descriptor, Key
from payments.signer.refusal import Refusal, Unreadable

FILE = "config.toml"
NETWORKS = ("regtest", "signet", "testnet3", "testnet4")
# What a person may accept at the screen, where the configuration lets them.
ACCEPTABLE = ("input_reused", "reissue_without_void")
_KEYS: dict[str, type] = {
    "network": str,
    "wallet": str,
    "programs": list,
    "descriptor": str,
    "key": dict,
    "approvers": dict,
    "caps": dict,
}


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that is signed: satoshis a tx, a UTC day, and for fees; sat/vB; fees in 1/10,000 of what is paid.

    ``change_index`` is the last place of the change chain that money goes to, where whoever restores the wallet looks.
    ``is_attended``: a person at the screen must confirm each tx. ``may_accept`` names refusals that they may overrule.
    """

    tx_sat: int
    day_sat: int
    fee_sat: int
    feerate_sat_vb: int
    fee_share_bps: int
    change_index: int
    kinds: tuple[str, ...]
    is_attended: bool
    needs_previous_txs: bool
    may_accept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which prices of a bitcoin money is converted, in hundred-millionths of major units of a currency.

    ``scale`` is how many digits its minor units have.
    """

    lowest: int
    highest: int
    scale: int


@dataclass(frozen=True, slots=True)
class Config:
    """What this signer is: the wallet, its own key there, whom it trusts as approvers, and its caps.

    ``prices`` has the currencies of programs of money; in any other nothing is signed. ``key_file`` is empty where the key
    is in a hardware device.
    """

    network: str
    wallet: str
    programs: tuple[str, ...]
    descriptor: Descriptor
    key: Key
    key_file: Path | None
    approvers: dict[bytes, str]
    approvals_needed: int
    caps: Caps
    prices: dict[str, Bounds] = field(default_factory=dict)


def read(home: Path) -> Config:
    """Return the configuration in the signer's home; raise Unreadable with the setting that is missing or wrong."""
    path = home / FILE
    try:
        # Whoever may write in the folder may put another file, or an older store, in a file's place.
        for mine in (home, path):
            if mine.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise Unreadable(
                    "config_permissions", f"{mine} can be written by others; make it yours alone."
                )
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Unreadable("config_missing", f"There is no {path}; make it with `init`.") from error
    except (OSError, ValueError) as error:
        raise Unreadable("config", f"{path} cannot be read: {error}") from error
    return parse(content, home)


def parse(content: dict[str, Any], home: Path) -> Config:
    """Return the configuration that the TOML says; raise Unreadable."""
    top = _table(content, "the file", _KEYS, {"prices": dict})
    network = require_test_network(top["network"])
    found = descriptor.parse(top["descriptor"])
    require_overlap(found)
    key = _table(top["key"], "key", {"fingerprint": str, "path": str}, {"file": str})
    approvers, needed = _approvers(top["approvers"])
    return Config(
        network=network,
        wallet=top["wallet"],
        programs=_texts(top["programs"], "programs"),
        descriptor=found,
        key=key_of(found, key["fingerprint"], key["path"]),
        key_file=home / key["file"] if "file" in key else None,
        approvers=approvers,
        approvals_needed=needed,
        caps=_caps(top["caps"]),
        prices=_prices(top.get("prices", {})),
    )


def require_test_network(network: str) -> str:
    """Return the network; refuse the main network before anything else."""
    if network not in NETWORKS:
        code = "network_main" if network in ("main", "mainnet", "bitcoin") else "network"
        raise Refusal(code, f"This signs on {', '.join(NETWORKS)} only, not on {network[:40]!r}.")
    return network


def require_overlap(found: Descriptor) -> None:
    """Refuse a wallet where two groups of signers who share nobody suffice: no memory would know of both."""
    if 2 * found.needed <= len(found.keys):
        raise Unreadable(
            "config_overlap",
            f"{found.needed} of {len(found.keys)} keys sign in this wallet: two groups of signers could pay the same "
            "people, each without knowing of the other. More than half of the keys must be needed.",
        )


def key_of(found: Descriptor, fingerprint: str, path: str) -> Key:
    """Return the descriptor's key with this origin; raise Unreadable when it has none."""
    for key in found.keys:
        if key.fingerprint.hex() == fingerprint and key.path == descriptor.parse_path(path):
            return key
    raise Unreadable("config_key", f"The descriptor has no key [{fingerprint}] at {path}.")


def _approvers(value: dict[str, Any]) -> tuple[dict[bytes, str], int]:
    table = _table(value, "approvers", {"needed": int, "keys": dict})
    found: dict[bytes, str] = {}
    for name, public_key in table["keys"].items():
        if not isinstance(public_key, str) or not re.fullmatch(r"[0-9a-f]{64}", public_key):
            raise Unreadable(
                "config_value", f"approvers.keys.{name} is not a public key: 64 characters of hex."
            )
        if manifest.is_weak(bytes.fromhex(public_key)):
            raise Unreadable("config_value", f"approvers.keys.{name} is a key that anybody can sign for.")
        found[bytes.fromhex(public_key)] = name
    if len(found) != len(table["keys"]):
        raise Unreadable("config_value", "Two approvers have one public key.")
    if not 1 <= table["needed"] <= len(found):
        raise Unreadable("config_value", f"approvers.needed is not between 1 and the {len(found)} approvers.")
    return found, table["needed"]


def _caps(value: dict[str, Any]) -> Caps:
    figures = ("tx_sat", "day_sat", "fee_sat", "feerate_sat_vb", "fee_share_bps", "change_index")
    types: dict[str, type] = dict.fromkeys(figures, int)
    rest = {"kinds": list, "is_attended": bool, "needs_previous_txs": bool, "may_accept": list}
    table = _table(value, "caps", types | rest)
    for name in figures:
        if table[name] < 0:
            raise Unreadable("config_value", f"caps.{name} is negative.")
    for name, allowed in (("kinds", bundle.KINDS), ("may_accept", ACCEPTABLE)):
        if unknown := set(_texts(table[name], f"caps.{name}")) - set(allowed):
            raise Unreadable("config_value", f"caps.{name} knows no {min(unknown)}.")
    return Caps(**{**table, "kinds": tuple(table["kinds"]), "may_accept": tuple(table["may_accept"])})


def _prices(value: dict[str, Any]) -> dict[str, Bounds]:
    found: dict[str, Bounds] = {}
    for currency, item in value.items():
        name = f"prices.{currency}"
        if not re.fullmatch(r"[A-Z]{3}", currency) or type(item) is not dict:
            raise Unreadable(
                "config_value", f"{name} is no currency of ISO 4217 with lowest, highest and scale."
            )
        table = _table(item, name, {"lowest": str, "highest": str, "scale": int})
        prices = [conversion.price_of(f"{table[end]}.00000000") for end in ("lowest", "highest")]
        if None in prices:
            raise Unreadable("config_value", f"{name} needs whole prices above zero, as texts of digits.")
        lowest, highest = (price or 0 for price in prices)
        if lowest >= highest or not 0 <= table["scale"] <= 4:
            raise Unreadable(
                "config_value", f"{name} needs a lowest price below the highest, and a scale of 0 to 4."
            )
        found[currency] = Bounds(lowest, highest, table["scale"])
    return found


def _texts(value: list[Any], name: str) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in value):
        raise Unreadable("config_value", f"{name} is not a list of texts.")
    return tuple(value)


def _table(
    value: dict[str, Any], name: str, types: dict[str, type], optional: dict[str, type] | None = None
) -> dict[str, Any]:
    allowed = types | (optional or {})
    for key, item in value.items():
        if key not in allowed:
            raise Unreadable("config_value", f"{name} has the unknown setting {key!r}.")
        if type(item) is not allowed[key]:
            raise Unreadable("config_value", f"{key} in {name} is not of type {allowed[key].__name__}.")
    if missing := types.keys() - value.keys():
        raise Unreadable("config_value", f"{name} lacks {min(missing)}.")
    return value
