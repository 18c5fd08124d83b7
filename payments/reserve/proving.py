"""Checks proofs of reserves against a node's own set of unspent outputs, whoever made them (R-32)."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from payments.onchain import address, network, node, reserves, tx
from payments.onchain.reserves import ReservesNotProved
from payments.payout import alone, guard
from payments.reserve import scanning


@dataclass(frozen=True)
class Proved:
    """What was proved: so many satoshis in so many outputs, all of them unspent at a block."""

    amount_sat: int
    output_count: int
    block_hash: str
    height: int


def prove(signed: bytes, *, message: str, claims: Mapping[str, int], height: int) -> Proved:
    """Check a proof of what addresses of our network had at a height; call it outside every database transaction.

    ``signed`` is what signers returned, ``claims`` the satoshis of each address. All outputs up to that height must be
    proved and still be there; what came later is not looked at. Raises ReservesNotProved, NodeError, WrongChain,
    MainnetRefused.
    """
    raw = reserves.signed_tx(signed)
    named = reserves.outputs_of(raw)
    scripts = {_script(text): text for text in claims}
    client = node.Node(
        settings.GOVPAY_NODE_URL, timeout_s=max(settings.GOVPAY_NODE_TIMEOUT_S, alone.SCAN_TIMEOUT_S)
    )
    try:
        guard.require_chain(client)
        found = scanning.ask(client, sorted(scripts))
        coins = {outpoint: output for outpoint, output, at in found.unspents if at <= height}
        unknown = [outpoint for outpoint in named if outpoint not in coins]
        elsewhere = client.utxos(unknown, include_mempool=False) if unknown else []
    finally:
        client.close()
    foreign = [outpoint for outpoint, output in zip(unknown, elsewhere, strict=True) if output is not None]
    amount_sat = reserves.check(raw, message=message, coins=coins, foreign=foreign)
    _require_claims(claims, scripts, coins)
    return Proved(amount_sat, len(coins), found.block_hash, found.height)


def _script(text: str) -> bytes:
    try:
        return bytes(address.script_from_address(text, network.current()))
    except address.InvalidAddress as error:
        raise ReservesNotProved(f"{text}: {error.message}", rule="foreign_address", address=text) from error


def _require_claims(
    claims: Mapping[str, int], scripts: Mapping[bytes, str], coins: Mapping[tx.OutPoint, tx.Output]
) -> None:
    held = dict.fromkeys(claims, 0)
    for output in coins.values():
        held[scripts[output.script_pubkey]] += output.amount_sat
    for text, claimed_sat in claims.items():
        if held[text] != claimed_sat:
            raise ReservesNotProved(
                f"{text} is claimed to have {claimed_sat} sat, and has {held[text]} sat.",
                rule="amount_differs",
                address=text,
                claimed_sat=claimed_sat,
                proved_sat=held[text],
            )
