"""The reserve for anybody: each address with its badge and balance at a block, and proofs that a node can check.

No person is in it: addresses are those of institutions, by the proposals that two people agreed to.
"""

import json
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition, require_safe

from ledger.treasury import positions, reserve
from payments.models import ReserveProof
from payments.public import door
from payments.selectors import reserve as selector
from payments.services import reserve_proofs

# Scans come once a day; whoever asks within so long is told the same by any cache on the way.
FRESH_S = 300
VERSION = "govpay-reserve-1"
View = Callable[..., HttpResponse]


def _etag(request: HttpRequest, **given: Any) -> str:
    """Change when what is shown does: with a scan, the loss of one, or a proof."""
    scan = reserve.standing().values_list("pk", flat=True).first()
    proof = _proved().values_list("pk", flat=True).first()
    return f'"{scan}-{proof}"'


def _public(view: View) -> View:
    cached = cache_control(public=True, max_age=FRESH_S)(condition(etag_func=_etag)(view))
    return door.limited(require_safe(cached))


@_public
def addresses(request: HttpRequest) -> HttpResponse:
    """Hand out the newest scan that stands: institutions with their totals, and each address; 404 before there is one."""
    scan = reserve.standing().first()
    if scan is None:
        raise Http404("No holding of the public sector has been looked at yet.")
    totals: dict[str, dict[str, int]] = {}
    for total in selector.totals(scan):
        sums = totals.setdefault(total.scope, {"verified": 0, "declared": 0})
        sums[total.badge] += total.amount_sat
    names = ("scope", "holding", "network", "address", "badge", "amount_sat", "utxo_count", "is_reused")
    found = {
        "format": VERSION,
        "network": scan.network,
        "block_height": scan.height,
        "block_hash": scan.block_hash,
        "block_at": scan.block_at.isoformat(),
        "institutions": [
            {
                "scope": scope,
                "verified_sat": sums["verified"],
                "declared_sat": sums["declared"],
                "share_percent": f"{positions.share_percent(sum(sums.values())):f}",
            }
            for scope, sums in totals.items()
        ],
        "addresses": list(scan.balances.order_by("scope", "holding", "address").values(*names)),
        "proofs": [
            {
                "id": row.pk,
                "scope": row.scope,
                "message": row.message,
                "amount_sat": row.amount_sat,
                "height": row.scan.height,
                "all_unspent_at": row.proved_height,
            }
            for row in _proved().select_related("scan")[:100]
        ],
    }
    return _json(found)


@_public
def proof(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand out the file of a proof that was given: verify_reserves, or any program that knows BIP-127, checks it."""
    row = _proved().select_related("scan").filter(pk=pk).first()
    if row is None:
        raise Http404("There is no such proof, or it was not given.")
    return _json(reserve_proofs.document(row))


def _proved() -> Any:
    return ReserveProof.objects.filter(proved_at__isnull=False).order_by("-pk")


def _json(found: dict[str, Any]) -> HttpResponse:
    response = HttpResponse(json.dumps(found), content_type="application/json")
    # Anybody's program may read it, from any page: nothing here is secret, and no cookie counts.
    response["Access-Control-Allow-Origin"] = "*"
    return response
