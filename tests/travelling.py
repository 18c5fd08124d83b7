"""The travel rule in tests: a law with a threshold, a price that values lists, and an institution that is known."""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.law import policy
from ledger.law.policy import Rule, Ruling, Threshold
from payments.models import (
    Disbursement,
    Originator,
    Payment,
    PriceReading,
    PriceRule,
    PriceStatus,
    Program,
    TravelRecord,
)
from payments.prices import watch
from payments.services import disbursements
from tests import factories

LAW = "FATF Recommendation 16"
# One US dollar is 2,000 sat, so that a thousand are 2,000,000.
PRICE, LEAST_SAT = "50000.00", 2_000_000
LEI = "529900T8BM49AURSDO55"


def legislate(monkeypatch: pytest.MonkeyPatch, ruling: Ruling = Ruling.LIMITED, **changes: Any) -> None:
    """Let the law of every program ask for who pays whom from USD 1,000 on, that a person gets within 30 days."""
    known = policy.PROFILES[policy.SANDBOX]
    terms: dict[str, Any] = {"currency": "USD", "from_minor": 100_000, "linked_days": 30, "keep_days": 1_827}
    said: dict[str, Any] = {"ruling": ruling, "law": LAW, "threshold": Threshold(**terms | changes)}
    provisions = tuple(
        replace(each, **said) if each.rule == Rule.TRAVEL_RULE else each for each in known.provisions
    )
    monkeypatch.setitem(policy.PROFILES, policy.SANDBOX, replace(known, provisions=provisions))  # type: ignore[arg-type]


def quote_dollars(settings: Any, folder: Path, price: str = PRICE) -> None:
    """Let three files say what a bitcoin is in US dollars."""
    settings.GOVPAY_PRICE_FOLDER = str(folder)
    factories.make_price_rule("USD")
    for number in range(3):
        said = {"base": "BTC", "currency": "USD", "price": price, "time": timezone.now().isoformat()}
        (folder / f"usd{number}.json").write_text(json.dumps(said))
        factories.make_price_source("USD", "file", f"usd{number}.json", name=f"File {number}")
    watch.look(PriceRule.objects.get(currency="USD").pk)


def say_dollars(at: datetime, price: str = PRICE) -> None:
    """Let three sources have said at a moment what a bitcoin is in US dollars."""
    rule = factories.make_price_rule("USD")
    for kind in ("kraken", "coinbase", "bitstamp"):
        source = factories.make_price_source("USD", kind, f"https://{kind}.example")
        PriceReading.objects.create(source=source, value=Decimal(price), value_at=at, asked_at=at)
    PriceStatus.objects.filter(rule=rule).update(accepted_price=Decimal(price), accepted_at=at)


def make_originator(program: Program, **changes: Any) -> Originator:
    """Who pays in a program, as two administrators set it."""
    known = {"legal_name": "Ministry of Pensions", "lei": LEI, "country": "PK"}
    proposal = factories._proposed("originator", program, {})
    return Originator.objects.create(program=program, proposal=proposal, **known | changes)


def make_record(payment: Payment) -> TravelRecord:
    """What the rule kept of a payment, as if its list had been released under it."""
    program = payment.disbursement.program
    payload = json.dumps({"ivms101": {}, "transfer": {"payment": payment.pk}})
    now = timezone.now()
    return TravelRecord.objects.create(
        payment=payment,
        disbursement=payment.disbursement,
        originator=make_originator(program),
        profile=policy.SANDBOX,
        law=LAW,
        currency="USD",
        threshold_minor=100_000,
        counted=LEAST_SAT,
        least=LEAST_SAT,
        payload={"text": payload},
        sha256=hashlib.sha256(payload.encode()).digest(),
        made_at=now,
        keep_until=now + timedelta(days=1_827),
    )


def approve(made: Disbursement, officer: User, approver: User) -> Disbursement:
    """Submit and approve a list."""
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)


def release(made: Disbursement, releaser: User, quote_id: int | None = None) -> Disbursement:
    """Release an approved list."""
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.release(
        by=releaser, disbursement_id=made.pk, manifest_hash=agreed, quote_id=quote_id
    )
