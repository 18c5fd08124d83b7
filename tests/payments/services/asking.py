"""How tests propose what people may do to a payout, and what a refusal must not move."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User

from govpay.errors import GovPayError
from payments.models import (
    Alarm,
    Intervention,
    Payout,
    PayoutTx,
    StatusChange,
    Wallet,
)
from payments.services import interventions


def figures(payout: Payout, added_sat: int = 500, **changed: Any) -> dict[str, Any]:
    """What a preview shows."""
    assert payout.current is not None
    return {
        "old_txid": payout.current.txid,
        "old_fee_sat": 1_234,
        "new_fee_sat": 1_234 + added_sat,
        "fee_added_sat": added_sat,
        "added_inputs": [],
        "spent_inputs": [f"{payout.anchor_txid}:0"],
        "child_id": None,
        "feerate_sat_kvb": 3_000,
    } | changed


def propose(payout: Payout, by: User, kind: str = "void", **given: Any) -> Intervention:
    """Ask for it."""
    given = {"note": "Stuck for a day.", "shown": figures(payout)} | given
    return interventions.propose(by=by, payout_id=payout.pk, kind=kind, **given)


def put(payout: Payout, status: str) -> None:
    """Where the engine might have brought it."""
    Payout.objects.filter(pk=payout.pk).update(status=status)


def state() -> tuple[Any, ...]:
    """What a refusal must not move."""
    return (
        list(Payout.objects.order_by("pk").values()),
        list(PayoutTx.objects.order_by("pk").values_list("pk", "kind")),
        list(Intervention.objects.order_by("pk").values()),
        StatusChange.objects.count(),
        list(Wallet.objects.order_by("pk").values()),
        Alarm.objects.count(),
    )


@contextmanager
def refused(error: type[GovPayError]) -> Iterator[pytest.ExceptionInfo[GovPayError]]:
    """Check that the block is refused and that nothing moved."""
    before = state()
    with pytest.raises(error) as info:
        yield info
    assert state() == before


def intervene_done(found: Intervention) -> None:
    """As if the engine had carried it out, without a new version."""
    Intervention.objects.filter(pk=found.pk).update(status="done")


def other_payout(payout: Payout) -> Payout:
    """Another payout of the same wallet."""
    found = Payout.objects.exclude(pk=payout.pk).filter(wallet=payout.wallet).first()
    return found or Payout.objects.create(
        kind="consolidation",
        wallet=payout.wallet,
        status="settled",
        payment_count=0,
        payments_sat=0,
        manifest_hash=bytes(32),
        anchor_txid="ab" * 32,
        anchor_vout=0,
    )


def add_version(payout: Payout, kind: str = "bump", *, raw: bytes | None = None) -> PayoutTx:
    """Another version of it, the newest."""
    number = PayoutTx.objects.count()
    version = PayoutTx.objects.create(
        payout=payout,
        kind=kind,
        txid=f"{number:064x}",
        unsigned_tx=b"\x02",
        raw=raw,
        fee_sat=2_000,
        fee_added_sat=766,
        change_sat=0,
        vsize_vb=617,
        feerate_sat_kvb=3_241,
    )
    Payout.objects.filter(pk=payout.pk).update(current=version)
    return version
