"""Reads signing requests: what waits for signers, who signed, and until when it should be done."""

from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from payments.models import PartialSignature, SigningRequest
from payments.onchain import descriptor as descriptors
from payments.selectors import scope

_REQUEST = (
    "id",
    "program_id",
    "payout_id",
    "payout_status",
    "disbursement_id",
    "kind",
    "txid",
    "payments_sat",
    "fee_sat",
    "feerate_sat_kvb",
    "state",
    "needed",
    "signed",
    "deadline_at",
    "created_at",
    "completed_at",
)


def requests(user: Any) -> QuerySet[Any]:
    """Return a dict for each signing request of the user's programs."""
    parts = PartialSignature.objects.filter(request=OuterRef("pk")).values("request")
    rows = SigningRequest.objects.filter(version__payout__wallet__program_id__in=scope.programs(user))
    return (
        rows.with_state()
        .annotate(
            program_id=F("version__payout__wallet__program_id"),
            payout_id=F("version__payout_id"),
            payout_status=F("version__payout__status"),
            disbursement_id=F("version__payout__disbursement_id"),
            kind=F("version__kind"),
            txid=F("version__txid"),
            payments_sat=F("version__payout__payments_sat"),
            fee_sat=F("version__fee_sat"),
            feerate_sat_kvb=F("version__feerate_sat_kvb"),
            signed=Coalesce(Subquery(parts.annotate(count=Count("pk")).values("count")), 0),
        )
        .values(*_REQUEST)
    )


def request(user: Any, request_id: int) -> dict[str, Any]:
    """Return one request of the user's programs with its progress, signer by signer."""
    row: dict[str, Any] = requests(user).get(pk=request_id)
    return row | progress(request_id)


def progress(request_id: int) -> dict[str, Any]:
    """Return the wallet's descriptor and each of its signers: when they signed, and who brought it."""
    found = SigningRequest.objects.select_related("version__payout__wallet").get(pk=request_id)
    wallet = found.version.payout.wallet
    parts = {part.fingerprint: part for part in found.signatures.select_related("uploaded_by")}
    signers = []
    for fingerprint in descriptors.parse(wallet.descriptor).fingerprints:
        part = parts.get(fingerprint)
        signers.append(
            {
                "fingerprint": fingerprint,
                "is_signed": part is not None,
                "signed_at": part and part.created_at,
                "uploaded_by": part and part.uploaded_by,
            }
        )
    return {"wallet": wallet.name, "descriptor": wallet.descriptor, "signers": signers}
