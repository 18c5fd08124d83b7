"""Proofs of reserves: somebody asks with a message, a treasurer answers with signatures over all outputs (R-32)."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from ledger.models import ReserveCoin
from ledger.treasury import reserve
from payments.models import ReserveProof, Role
from payments.models.reserve_proof import MAX_MESSAGE, MOST_COINS
from payments.onchain import address, network, reserves, tx
from payments.reserve import proving
from payments.reserve.proving import Proved
from payments.services import authority, treasurers

# Who has not the keys asks; who has them answers.
ASKERS = (Role.AUDITOR, Role.SECURITY, Role.TREASURER)
# What the verifier checks signatures of.
KINDS = ("p2wpkh", "p2wsh", "p2tr")
FORMAT = "govpay-reserves-1"


class ProofAnswered(Conflict):
    """The proof was given before; ask for another."""

    code = "proof_answered"


@transaction.atomic
def ask(*, by: User, scope: str, message: str) -> ReserveProof:
    """Ask an institution to prove that it can spend all that the newest scan found, under a message nobody could foresee.

    Raises RoleMissing, and InvalidInput: without a scan or outputs, with too many of them, for an address whose signatures
    are not checked, for a message that was asked before.
    """
    authority.require_anywhere(by, ASKERS)
    text = message.strip()
    if not 0 < len(text) <= MAX_MESSAGE or not text.isprintable():
        raise InvalidInput.of(
            "message", "invalid", f"Give 1 to {MAX_MESSAGE} printable characters in one line."
        )
    if ReserveProof.objects.filter(message=text).exists():
        raise InvalidInput.of(
            "message", "asked_before", "It was asked before: what proves nothing new is no proof."
        )
    scan = reserve.standing().first()
    found = [] if scan is None else list(_coins(scan.pk, scope))
    if scan is None or not found:
        raise InvalidInput.of(
            "scope", "nothing_to_prove", f"No scan stands that found an output of {scope!r:.60}."
        )
    if len(found) > MOST_COINS:
        raise InvalidInput.of("scope", "too_many_outputs", f"A proof is of {MOST_COINS:,} outputs at most.")
    coins = _outputs(found)
    made = ReserveProof.objects.create(
        scope=scope,
        message=text,
        scan=scan,
        output_count=len(coins),
        amount_sat=sum(coin.amount_sat for coin in coins.values()),
        unsigned_tx=reserves.build(text, coins),
        asked_by=by,
        asked_at=timezone.now(),
    )
    audit.record("reserve_proof.ask", made, by=by, scope=scope)
    return made


def verify(*, by: User, proof_id: int, signed: str) -> Proved:
    """Check an answer against the node, outside every database transaction, before `answer`.

    Raises RoleMissing, NotFound, SamePersonTwice, ProofAnswered, ReservesNotProved, NodeError.
    """
    row = _require(by, ReserveProof.objects.select_related("scan").filter(pk=proof_id).first())
    return proving.prove(signed.encode(), message=row.message, claims=claims(row), height=row.scan.height)


@transaction.atomic
def answer(*, by: User, proof_id: int, signed: str, proved: Proved) -> ReserveProof:
    """Keep an answer that `verify` found to prove all of it. Raises as `verify`, but asks no node."""
    rows = ReserveProof.objects.select_for_update(of=("self",)).select_related("scan")
    row = _require(by, rows.filter(pk=proof_id).first())
    was = audit.digest(row)
    row.signed_tx = reserves.signed_tx(signed.encode())
    row.answered_by, row.proved_at = by, timezone.now()
    row.proved_hash, row.proved_height = proved.block_hash, proved.height
    row.save(update_fields=["signed_tx", "answered_by", "proved_at", "proved_hash", "proved_height"])
    audit.record("reserve_proof.answer", row, by=by, scope=row.scope, before=was)
    return row


def to_psbt(row: ReserveProof) -> str:
    """Return the PSBT that the holders of the keys sign."""
    return reserves.to_psbt(bytes(row.unsigned_tx), list(_outputs(_coins(row.scan_id, row.scope)).values()))


def claims(row: ReserveProof) -> dict[str, int]:
    """Return the satoshis of each address that has any, as the scan found them."""
    found: dict[str, int] = {}
    for coin in _coins(row.scan_id, row.scope):
        found[coin.address] = found.get(coin.address, 0) + coin.amount_sat
    return found


def document(row: ReserveProof) -> dict[str, Any]:
    """Return a proof as a file that anybody with a node can check: message, block, outputs, and the tx if it was given."""
    names = ("txid", "vout", "address", "amount_sat")
    return {
        "format": FORMAT,
        "network": row.scan.network,
        "scope": row.scope,
        "message": row.message,
        "block_hash": row.scan.block_hash,
        "height": row.scan.height,
        "amount_sat": row.amount_sat,
        "outputs": list(_coins(row.scan_id, row.scope).values(*names)),
        "tx": "" if row.signed_tx is None else bytes(row.signed_tx).hex(),
    }


def _coins(scan_id: int, scope: str) -> Any:
    """Return an institution's outputs at a scan, in the order in which the tx names them."""
    balances = reserve.addresses_of(scan_id, scope)
    return ReserveCoin.objects.filter(scan=scan_id, address__in=balances).order_by("pk")


def _outputs(rows: Sequence[ReserveCoin]) -> dict[tx.OutPoint, tx.Output]:
    at, found = network.current(), {}
    for row in rows:
        script = bytes(address.script_from_address(row.address, at))
        if address.kind(script) not in KINDS:
            text = f"{row.address} is of a kind whose signatures are not checked here: only native segwit is."
            raise InvalidInput.of("scope", "unsupported_address", text)
        found[tx.OutPoint(row.txid, row.vout)] = tx.Output(row.amount_sat, script)
    return found


def _require(by: User, row: ReserveProof | None) -> ReserveProof:
    treasurers.require(by)
    if row is None:
        raise NotFound("There is no such proof.")
    if row.asked_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who asked must answer.")
    if row.proved_at is not None:
        raise ProofAnswered("The proof was given before; ask for another.")
    return row
