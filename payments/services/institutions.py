"""The kind of proposals about institutions that hold bitcoin: their law, currency and limits."""

from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import Institution, Proposal, PurchasePlan
from payments.prices import currency as currencies
from payments.reserve import risk
from payments.services import rules
from payments.services.change import Kind

# Whoever proposes or confirms an institution waits for whoever does so now: there is not always a row to lock.
LOCK = 0x676F7672 + 2
OF_INSTITUTION = (
    *("scope", "name", "policy_profile", "currency", "most_sat", "other_reserves_minor", "most_share_bps"),
    *("most_var_bps", "var_window_days", "var_quantile_bps"),
)
NEEDED = ("scope", "name", "policy_profile", "currency", "var_window_days", "var_quantile_bps")
# Lots and plans are in it.
FIXED = ("scope", "currency")


def _current(proposal: Proposal) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    institution_id = proposal.asked["institution_id"]
    if institution_id is None:
        return {"institution_id": None} | dict.fromkeys(OF_INSTITUTION)
    found = Institution.objects.select_for_update(no_key=True).filter(pk=institution_id).first()
    if found is None:
        raise InvalidInput.of("institution_id", "unknown_institution", "There is no such institution.")
    return {"institution_id": institution_id} | {name: getattr(found, name) for name in OF_INSTITUTION}


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    is_new = before["institution_id"] is None
    after = before | {name: proposal.asked[name] for name in OF_INSTITUTION if name in proposal.asked}
    missing = [(name, "missing", "This is needed of a new one.") for name in NEEDED if after[name] is None]
    if missing:
        raise InvalidInput.of_each(missing)
    for name in FIXED:
        if not is_new and after[name] != before[name]:
            raise InvalidInput.of(name, "institution_fixed", "Scope and currency of an institution stay.")
    currencies.scale(after["currency"])
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The institution is set like this already.")
    if not is_new and after["policy_profile"] != before["policy_profile"]:
        _require_no_plans(before["institution_id"])
    row = Institution() if is_new else Institution.objects.get(pk=before["institution_id"])
    for name in OF_INSTITUTION:
        setattr(row, name, after[name])
    row.proposal = proposal
    rules.check(row, exclude=("proposal",))
    _require_days(row)
    return after


def _require_days(row: Institution) -> None:
    """Refuse a window in which there are never so many pairs of days that the quantile is among them."""
    needed = risk.least_days(row.var_quantile_bps)
    if row.var_window_days < needed:
        raise InvalidInput.of(
            "var_window_days",
            "window_too_short",
            f"At {row.var_quantile_bps / 100:g} % it takes {needed} pairs of days, and a window of {row.var_window_days}"
            " days never has so many.",
        )


def _require_no_plans(institution_id: int) -> None:
    """Refuse another law while plans stand that were agreed to under the old one."""
    plans = PurchasePlan.objects.filter(institution=institution_id, ended_at=None, approved_at__isnull=False)
    first = plans.order_by("pk").first()
    if first is not None:
        raise InvalidInput.of(
            "policy_profile", "plans_stand", f"{first} was agreed to under the law as it is: end it first."
        )


def _apply(proposal: Proposal, by: User) -> None:
    after = proposal.after
    columns = {name: after[name] for name in OF_INSTITUTION}
    if after["institution_id"] is None:
        made = Institution.objects.create(**columns, proposal=proposal)
        audit.record("institution.create", made, by=by, scope=made.scope, reason=proposal.note)
        return
    found = Institution.objects.get(pk=after["institution_id"])
    was = audit.digest(found)
    Institution.objects.filter(pk=found.pk).update(**columns, proposal=proposal)
    audit.record("institution.change", found, by=by, scope=found.scope, reason=proposal.note, before=was)


KIND = Kind("institution", "Institution that holds bitcoin", _current, _change, _apply)
