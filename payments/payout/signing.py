"""Has signers elsewhere sign: one request for each version, and their signatures gathered until they suffice."""

import base64
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from payments.models import (
    Alarm,
    PartialSignature,
    Payout,
    PayoutTx,
    PayoutTxKind,
    RequestState,
    ScriptPurpose,
    SigningRequest,
    Wallet,
    WalletScript,
)
from payments.onchain import descriptor as descriptors
from payments.onchain import node, psbt, returned, tx
from payments.payout import alarms, core, versions, wallets, words

# The alarm about signers who take longer than the program allows.
OVERDUE = "signing_overdue"


def collect(payout: Payout, client: node.Node) -> words.Signed | words.SignerWaits | words.SignerContradicts:
    """Ask for signatures of the current version, once, and return the newest version that has enough of them.

    An older version may be completed too as long as nothing newer is: all versions share their inputs, so that at most
    one can confirm. Once a payout is given up, only its void may be. Raises NodeError.
    """
    assert payout.current is not None
    current = request_for(payout, payout.current, client)
    for version in unfinished(payout):
        request = SigningRequest.objects.filter(version=version).first()
        if request is None:
            continue
        try:
            raw = _completed(payout.wallet, request, version)
        except tx.SignatureRefused as error:
            return words.SignerContradicts(f"{error.details['rule']}: {error.message}")
        if raw is not None:
            return words.Signed(raw)
    return words.SignerWaits(_waiting(payout.wallet, current), core.SIGN_RETRY_S)


def unfinished(payout: Payout) -> list[PayoutTx]:
    """Return the versions that may still be completed, newest first."""
    rows = payout.txs.order_by("-pk")
    if rows.filter(kind=PayoutTxKind.VOID).exists():
        rows = rows.filter(kind=PayoutTxKind.VOID)
    signed = rows.filter(raw__isnull=False).values_list("pk", flat=True).first()
    return list(rows.filter(raw__isnull=True, pk__gt=signed or 0))


def request_for(payout: Payout, version: PayoutTx, client: node.Node) -> SigningRequest:
    """Return the version's request, made now unless there is one. It is the same whoever makes it."""
    found = SigningRequest.objects.filter(version=version).first()
    if found is not None:
        return found
    sent = sent_of(payout.wallet, version)
    change = _places(payout.wallet, [bytes(output.script_pubkey) for output in version.change.all()])
    text = psbt.build(
        sent.unsigned,
        sent.prevouts,
        descriptor=sent.descriptor,
        inputs=sent.places,
        change={output.vout: place for output, place in zip(version.change.all(), change, strict=True)},
        previous=_previous(payout.wallet, sent.unsigned, client),
    )
    deadline = timedelta(seconds=payout.wallet.program.signing_deadline_s)
    made, _ = SigningRequest.objects.get_or_create(
        version=version,
        defaults={
            "psbt": text,
            "needed": sent.descriptor.needed,
            "deadline_at": timezone.now() + deadline,
        },
    )
    return made


def watch_deadlines() -> None:
    """Sound an alarm for each payout whose request is overdue, and close those of which nothing waits any more.

    It asks the database alone, so that it works while the node is away, the engine stopped or a wallet halted.
    """
    late: Any = SigningRequest.objects.with_state().filter(completed_at=None, deadline_at__lte=Now())
    overdue = {
        request.version.payout_id: request
        for request in late.filter(state=RequestState.OVERDUE).select_related("version__payout__wallet")
    }
    alarmed = set(Alarm.objects.filter(code=OVERDUE, closed_at=None).values_list("subject_id", flat=True))
    for payout_id in overdue.keys() - alarmed:
        request, wallet = overdue[payout_id], overdue[payout_id].version.payout.wallet
        alarms.sound(
            OVERDUE,
            subject="payout",
            subject_id=payout_id,
            program_id=wallet.program_id,
            message=f"{_waiting(wallet, request)} Its deadline has passed: remind the signers, or give the payout up "
            "with a void.",
        )
    for payout_id in alarmed - overdue.keys():
        alarms.clear(
            OVERDUE, subject="payout", subject_id=payout_id, note="Nothing of it waits for signers any more."
        )


def sent_of(wallet: Wallet, version: PayoutTx) -> returned.Sent:
    """Return what signers were asked to sign, from our own records: nothing that came back is believed about it."""
    inputs = versions.inputs_of(version)
    return returned.Sent(
        unsigned=bytes(version.unsigned_tx),
        prevouts=[spent.output for spent in inputs],
        places=_places(wallet, [spent.output.script_pubkey for spent in inputs]),
        descriptor=descriptors.parse(wallet.descriptor),
    )


def _completed(wallet: Wallet, request: SigningRequest, version: PayoutTx) -> bytes | None:
    """Return the signed tx once enough signers signed it; what was stored is checked again."""
    parts = list(PartialSignature.objects.filter(request=request).order_by("pk"))
    if len(parts) < request.needed:
        return None
    sent = sent_of(wallet, version)
    by_signer: dict[str, returned.Signatures] = {}
    for part in parts:
        by_signer |= returned.read(base64.b64decode(part.psbt), sent)
    raw = returned.finalize(sent, by_signer)
    tx.check_signed(raw, sent.unsigned, sent.prevouts)
    return raw


def _places(wallet: Wallet, scripts: list[bytes]) -> list[psbt.Place]:
    """Return where our scripts are in the wallet's descriptor, in the order given."""
    rows = WalletScript.objects.filter(wallet=wallet, script_pubkey__in=scripts)
    found = {}
    for row in rows:
        assert row.descriptor_index is not None, "each script of a watch-only wallet has a place"
        branch = wallets.BRANCH[ScriptPurpose(row.purpose)]
        found[bytes(row.script_pubkey)] = psbt.Place(branch, row.descriptor_index)
    return [found[script] for script in scripts]


def _previous(wallet: Wallet, unsigned: bytes, client: node.Node) -> dict[int, bytes]:
    """Return the txs behind the inputs, where we or the node's wallet have them."""
    outpoints = tx.inputs_of(unsigned)
    stored = PayoutTx.objects.filter(txid__in={outpoint.txid for outpoint in outpoints}, raw__isnull=False)
    known = {txid: bytes(raw or b"") for txid, raw in stored.values_list("txid", "raw")}
    of_wallet = client.for_wallet(wallet.name)
    for outpoint in outpoints:
        if outpoint.txid not in known and (raw := of_wallet.wallet_tx(outpoint.txid)) is not None:
            known[outpoint.txid] = raw
    return {
        position: known[outpoint.txid]
        for position, outpoint in enumerate(outpoints)
        if outpoint.txid in known
    }


def _waiting(wallet: Wallet, request: SigningRequest) -> str:
    signed = set(request.signatures.values_list("fingerprint", flat=True))
    left = [name for name in descriptors.parse(wallet.descriptor).fingerprints if name not in signed]
    return (
        f"Signing request {request.pk} has {len(signed)} of {request.needed} signatures; "
        f"not signed yet: {', '.join(left)}."
    )
