"""The kind of proposals about the account from which an institution pays: two security administrators for each."""

import re
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import PayingAccount, Proposal
from payments.prices import currency
from payments.rails import iban
from payments.services import rules
from payments.services.change import Kind

OF_ACCOUNT = ("title", "iban", "bic", "currency")
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")


def is_bic(text: str) -> bool:
    """Say whether a text is a business identifier code (ISO 9362)."""
    return _BIC.fullmatch(text) is not None


def _current(proposal: Proposal) -> dict[str, Any]:
    scope = proposal.asked["scope"]
    found = PayingAccount.objects.select_for_update().filter(scope=scope, ended_at=None).first()
    return {"scope": scope} | {name: getattr(found, name, None) for name in OF_ACCOUNT}


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    asked = proposal.asked
    after = {
        "scope": asked["scope"],
        "title": str(asked.get("title", "")).strip(),
        "iban": iban.normalize(str(asked.get("iban", ""))),
        "bic": str(asked.get("bic", "")).upper(),
        "currency": str(asked.get("currency", "")),
    }
    currency.scale(after["currency"])
    if not after["title"] or not after["title"].isprintable():
        raise InvalidInput.of("title", "title_missing", "Give the account's title, as the bank has it.")
    if after["bic"] and not is_bic(after["bic"]):
        raise InvalidInput.of("bic", "bic_malformed", "A BIC (ISO 9362) has 8 or 11 letters and digits.")
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The institution pays from this account already.")
    rules.check(PayingAccount(**after, proposal=proposal), exclude=("proposal", "ended_at"))
    return after


def _apply(proposal: Proposal, by: User) -> None:
    PayingAccount.objects.filter(scope=proposal.after["scope"], ended_at=None).update(ended_at=timezone.now())
    made = PayingAccount.objects.create(**proposal.after, proposal=proposal)
    audit.record("paying_account.set", made, by=by, scope=made.scope, reason=proposal.note)


KIND = Kind("paying_account", "Account to pay from", _current, _change, _apply)
