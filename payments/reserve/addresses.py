"""Reads the addresses of a holding: given, declared with what is on them, or made of a descriptor by the node."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from govpay.errors import InvalidInput
from payments.models.reserve import MOST_ADDRESSES
from payments.onchain import address, amount, descriptor, diagnosis, network, node, rpc

MAX_INDEX = descriptor.MAX_INDEX
MOST_ERRORS = 100
# A valid address that is only not of our network: a holding elsewhere may be declared by it.
ELSEWHERE = ("address_mainnet", "address_wrong_network")
_SEGWIT = ("bc1", "tb1", "bcrt1")
Error = dict[str, Any]


class Known(NamedTuple):
    """An address in the spelling that is compared; its script where it is of our network, else what was declared of it."""

    address: str
    script_pubkey: bytes | None
    declared_sat: int | None


def expand(text: str, first: int | None, last: int | None) -> list[str]:
    """Let the node make the addresses of a watch-only descriptor, from one index to another; outside any transaction.

    Raises InvalidDescriptor (a private key, before anybody else sees the text), InvalidInput for a range that it cannot
    have, NodeError.
    """
    body = _check(text, first, last)
    client = node.connect()
    try:
        return client.derive_addresses(text, first if "*" in body else None, last)
    except rpc.RpcError as error:
        # Only a descriptor that is none is the caller's fault; what else it refuses is the node's.
        if error.rpc_code not in (rpc.NOT_FOUND, rpc.INVALID_PARAMETER):
            raise
        raise _invalid(
            "descriptor", "descriptor_refused", f"The node cannot expand it: {error.reason}"
        ) from error
    finally:
        client.close()


def read(texts: Sequence[str], at: network.Network) -> list[Known]:
    """Return addresses of our network; raise InvalidInput with row and rule of each that is none, or is there twice."""
    errors: list[Error] = []
    found: list[tuple[int, Known]] = []
    for row, text in enumerate(texts, start=1):
        try:
            script = address.script_from_address(text, at)
        except address.InvalidAddress as error:
            errors.append(_error(row, "address", str(error.details["rule"]), error.message))
            continue
        found.append((row, Known(address.address_from_script(script, at), script, None)))
    return _whole(found, errors)


def read_declared(texts: Sequence[str], at: network.Network) -> list[Known]:
    """Return addresses of another network with what is said to be on them: an address and satoshis on each line.

    Raises InvalidInput with row and rule of each: an address of our network is scanned and not declared.
    """
    errors: list[Error] = []
    found: list[tuple[int, Known]] = []
    for row, text in enumerate(texts, start=1):
        where, _, stated = text.strip().partition(" ")
        try:
            declared_sat = amount.parse_sat(stated.strip())
        except amount.InvalidAmount as error:
            errors.append(_error(row, "amount_sat", str(error.details["rule"]), error.message))
            continue
        rule = _rule(where, at)
        if rule == "":
            message = "It is an address of this network: give it as one that is scanned."
            errors.append(_error(row, "address", "address_scanned_here", message))
        elif rule not in ELSEWHERE:
            errors.append(_error(row, "address", rule, address.InvalidAddress(rule).message))
        else:
            spelling = where.lower() if where.lower().startswith(_SEGWIT) else where
            found.append((row, Known(spelling, None, declared_sat)))
    return _whole(found, errors)


def _rule(text: str, at: network.Network) -> str:
    try:
        address.script_from_address(text, at)
    except address.InvalidAddress:
        rule = diagnosis.rule_broken(text, at)
        # What is of another network is named as that, whether or not it has a typing error.
        return "address_checksum" if rule in ELSEWHERE and not diagnosis.is_whole(text) else rule
    return ""


def _whole(found: list[tuple[int, Known]], errors: list[Error]) -> list[Known]:
    seen: set[str] = set()
    for row, known in found:
        if known.address in seen:
            errors.append(_error(row, "address", "address_twice", f"{known.address} is there twice."))
        seen.add(known.address)
    if errors:
        raise InvalidInput(str(errors[0]["message"]), errors=errors[:MOST_ERRORS])
    if not 1 <= len(found) <= MOST_ADDRESSES:
        raise _invalid("addresses", "rows_out_of_range", f"A holding has 1 to {MOST_ADDRESSES:,} addresses.")
    return [known for _, known in found]


def _check(text: str, first: int | None, last: int | None) -> str:
    descriptor.require_public(text)
    body = descriptor.require_checksum(text)
    if "<" in body:
        message = "Give each branch as a holding of its own: one index a key, without <0;1>."
        raise _invalid("descriptor", "descriptor_multipath", message)
    has_range = "*" in body
    if has_range and (first is None or last is None):
        raise _invalid("last_index", "missing", "Say from which index to which it is expanded.")
    if not has_range and (first is not None or last is not None):
        raise _invalid("first_index", "out_of_place", "This descriptor has no range: leave the indexes out.")
    if first is not None and last is not None and not 0 <= first <= last <= MAX_INDEX:
        raise _invalid("last_index", "out_of_range", f"The range goes up, from 0 to {MAX_INDEX} at most.")
    if first is not None and last is not None and last - first >= MOST_ADDRESSES:
        raise _invalid("last_index", "out_of_range", f"A holding has {MOST_ADDRESSES:,} addresses at most.")
    return body


def _invalid(column: str, code: str, message: str) -> InvalidInput:
    return InvalidInput.of(column, code, message)


def _error(row: int, column: str, code: str, message: str) -> Error:
    return {"row": row, "column": column, "code": code, "message": message}
