"""Carries PSBTs to signers elsewhere, and takes back what they returned."""

import base64
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction

from govpay.errors import Conflict, NotFound
from ledger import audit
from payments import doorbell
from payments.models import PartialSignature, Payment, Payout, PayoutTxKind, Role, SigningRequest
from payments.models.signing import OPEN_STATES, RequestState
from payments.onchain import psbt, returned
from payments.payout import guard, signing
from payments.services import authority, reissues

# Whoever carries files to and from the signers; the signatures say who agreed, not the person who carries them.
CARRIERS = (Role.SIGNER, Role.TREASURER)
# Auditors see what went out as well.
READERS = (*CARRIERS, Role.AUDITOR)


class SigningRequestClosed(Conflict):
    """Signatures come too late: it is signed, given up, replaced by a signed version, or in a block."""

    code = "signing_request_closed"


class Upload(NamedTuple):
    """What an upload brought: the signers whose signatures are new, and those who had signed before."""

    request: SigningRequest
    added: tuple[str, ...]
    repeated: tuple[str, ...]


def download(*, by: User, request_id: int) -> bytes:
    """Return the binary PSBT of a request; raise what ``hand_out`` raises."""
    return base64.b64decode(hand_out(by=by, request_id=request_id).psbt)


def hand_out(*, by: User, request_id: int) -> SigningRequest:
    """Return a request whose files may leave the house now.

    Raises NotFound, RoleMissing, EngineStopped, WalletHalted, and SigningRequestClosed: somebody might sign, and send by
    themselves, what two people gave up. VoidNotFinal of a reissue whose void was undone by a reorganization.
    """
    request = get(request_id)
    wallet = request.version.payout.wallet
    authority.require(user=by, program_id=wallet.program_id, roles=READERS)
    guard.require_wallet_runs(wallet)
    if request.version.kind != PayoutTxKind.VOID:
        reissues.require_final(Payment.objects.filter(payout=request.version.payout))
    _require_state(request_id, *OPEN_STATES, RequestState.SIGNED)
    return request


@transaction.atomic
def upload(*, by: User, request_id: int, data: bytes) -> Upload:
    """Store the valid signatures in what a signer returned (returned.read), and let the engine go on.

    What is known already is kept as it is, also where the same signer signed again with another valid signature: one
    agreement counts once. Raises NotFound, RoleMissing, SigningRequestClosed, EngineStopped, WalletHalted, and
    SignatureRefused with the rule; nothing is stored then.
    """
    request = get(request_id)
    version = request.version
    wallet = version.payout.wallet
    authority.require(user=by, program_id=wallet.program_id, roles=CARRIERS)
    # Whoever builds another version, or stores signed bytes, holds this row: the state cannot change meanwhile.
    Payout.objects.select_for_update().get(pk=version.payout_id)
    guard.require_wallet_runs(wallet)
    _require_state(request_id, *OPEN_STATES)
    sent = signing.sent_of(wallet, version)
    found = returned.read(data, sent)
    known = set(request.signatures.values_list("fingerprint", flat=True))
    added = tuple(fingerprint for fingerprint in found if fingerprint not in known)
    PartialSignature.objects.bulk_create(
        PartialSignature(
            request=request,
            fingerprint=fingerprint,
            psbt=psbt.with_signatures(
                sent.unsigned, sent.prevouts, sent.pairs(fingerprint, found[fingerprint])
            ),
            uploaded_by=by,
        )
        for fingerprint in added
    )
    if added:
        audit.record("signing_request.sign", request, by=by, scope=wallet.program.scope)
        doorbell.ring("advance", payout_id=version.payout_id)
    return Upload(request, added, tuple(fingerprint for fingerprint in found if fingerprint in known))


def find(*, by: User, data: bytes) -> int:
    """Return the id of the request that the tx inside a file belongs to.

    Raises SignatureRefused (malformed, too_large), and NotFound for a tx that nobody asked to sign in the programs where
    the user carries files.
    """
    txid = returned.txid_of(data)
    rows = SigningRequest.objects.filter(
        version__txid=txid,
        version__payout__wallet__program__memberships__user=by,
        version__payout__wallet__program__memberships__role__in=CARRIERS,
    )
    found = rows.values_list("pk", flat=True).first()
    if found is None:
        raise NotFound(f"Nobody asked for signatures of tx {txid} in your programs.", txid=txid)
    return found


def list_waiting(*, by: User) -> list[int]:
    """Return the ids of the requests that take signatures, in the programs whose files the user may read."""
    annotated: Any = SigningRequest.objects.with_state()
    rows = annotated.filter(
        state__in=OPEN_STATES,
        version__payout__wallet__program__memberships__user=by,
        version__payout__wallet__program__memberships__role__in=READERS,
    )
    return list(rows.order_by("pk").distinct().values_list("pk", flat=True))


def _require_state(request_id: int, *states: str) -> None:
    found: Any = SigningRequest.objects.with_state().select_related("version__payout").get(pk=request_id)
    if found.state not in states:
        payout = found.version.payout
        raise SigningRequestClosed(
            f"Signing request {request_id} is {found.state}: payout {payout.pk} is {payout.status}, and takes no more "
            "signatures for this version.",
            state=found.state,
            payout_status=payout.status,
        )


def get(request_id: int) -> SigningRequest:
    """Return the request with its version, payout, wallet and program; raise NotFound."""
    rows = SigningRequest.objects.select_related("version__payout__wallet__program")
    found = rows.filter(pk=request_id).first()
    if found is None:
        raise NotFound("There is no such signing request.")
    return found
