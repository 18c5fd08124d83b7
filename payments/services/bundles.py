"""Makes the file for the separate signing program: a PSBT, and all that is needed to judge it without trusting us."""

from django.contrib.auth.models import User

from govpay.errors import Conflict
from payments.models import ManifestSignature, Payment, PayoutKind, PayoutTxKind, SigningRequest
from payments.payout import manifest
from payments.services import signing
from payments.signer import bundle
from payments.signer.refusal import Unreadable


class BundleImpossible(Conflict):
    """The bundle would break a limit of its own format, such as its size."""

    code = "bundle_impossible"


def make(*, by: User, request_id: int) -> str:
    """Return the text of a request's bundle (payments.signer.bundle); raise what ``signing.hand_out`` raises.

    It carries the list's manifest with the signatures of its approvers' keys; without enough of those the signing
    program refuses it, whatever is made of it here.
    """
    request = signing.hand_out(by=by, request_id=request_id)
    version = request.version
    payout = version.payout
    kind = (
        version.kind
        if payout.kind == PayoutKind.PAYMENTS or version.kind == PayoutTxKind.VOID
        else payout.kind
    )
    is_paying = kind in bundle.PAYING
    paid = (
        Payment.objects.filter(payout=payout).order_by("vout").values_list("pk", flat=True)
        if is_paying
        else ()
    )
    return _dump(
        bundle.Bundle(
            network=payout.wallet.program.network,
            wallet=payout.wallet.name,
            descriptor=payout.wallet.descriptor,
            payout_id=payout.pk,
            txid=version.txid,
            kind=kind,
            psbt=request.psbt,
            payment_ids=(*paid, *(None for _ in range(version.change.count() + (kind == bundle.ANCHOR)))),
            manifests=_manifests(request) if is_paying else (),
            deadline_at=request.deadline_at,
            quote=_quote(request) if is_paying else None,
        )
    )


def _quote(request: SigningRequest) -> bundle.Quote | None:
    """Return at what price the list was converted, with what each source had said; nothing of satoshis."""
    disbursement = request.version.payout.disbursement
    quote = None if disbursement is None else disbursement.quote
    if quote is None:
        return None
    return bundle.Quote(
        id=quote.pk,
        currency=quote.currency,
        price=f"{quote.price:.8f}",
        taken_at=quote.taken_at,
        expires_at=quote.expires_at,
        sources=tuple(
            bundle.Source(value["name"], value["value"] if value["is_used"] else None)
            for value in quote.values
        ),
    )


def _dump(made: bundle.Bundle) -> str:
    try:
        return bundle.dump(made)
    except Unreadable as error:
        raise BundleImpossible(f"The signing program would not read this bundle: {error.message}") from error


def _manifests(request: SigningRequest) -> tuple[bundle.SignedManifest, ...]:
    disbursement = request.version.payout.disbursement
    assert disbursement is not None
    text = b"".join(manifest.text(disbursement))
    signatures = ManifestSignature.objects.filter(
        disbursement=disbursement, manifest_sha256=manifest.compute(disbursement)
    )
    return (
        bundle.SignedManifest(
            text.decode(),
            tuple(
                bundle.Signature(bytes(row.key.public_key), bytes(row.signature))
                for row in signatures.select_related("key").order_by("pk")
            ),
        ),
    )
