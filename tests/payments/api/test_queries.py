"""A page of many rows asks the database as often as a page of one."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import PartialSignature, Payment, PayoutTx, Program, SigningRequest, StatusChange
from tests import factories
from tests.payments.admin import scenes
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def grow_enrollments(furnished: dict[str, Any], officer: User) -> None:
    for _ in range(20):
        factories.make_enrollment(furnished["program"])


def grow_lists(furnished: dict[str, Any], officer: User) -> None:
    for month in range(20):
        factories.make_disbursement(
            furnished["program"], officer, amounts_sat=[1_000], period=f"2027-{month:02}"
        )


def grow_payments(furnished: dict[str, Any], officer: User) -> None:
    disbursement = furnished["disbursement"]
    rows = [
        Payment(
            disbursement=disbursement,
            cycle=disbursement.cycle,
            line=line,
            beneficiary=factories.make_enrollment(furnished["program"]).beneficiary,
            amount_sat=1_000,
            script_pubkey=factories.make_script(),
        )
        for line in range(10, 30)
    ]
    made = Payment.objects.bulk_create(rows)
    scenes.make_payout(disbursement, made[:10])
    scenes.make_payout(disbursement, made[10:])


def grow_requests(furnished: dict[str, Any], officer: User) -> None:
    first, payout = furnished["signingrequest"], furnished["payout"]
    for number in range(10):
        version = PayoutTx.objects.create(
            payout=payout,
            kind="bump",
            txid=scenes.digest(f"bump {number}"),
            unsigned_tx=b"\x02",
            fee_sat=2_000 + number,
            fee_added_sat=1,
            change_sat=0,
            vsize_vb=617,
            feerate_sat_kvb=3_000,
        )
        made = SigningRequest.objects.create(
            version=version, psbt=first.psbt, needed=1, deadline_at=first.deadline_at
        )
        PartialSignature.objects.create(request=made, fingerprint="00000000", psbt="", uploaded_by=officer)


def grow_history(furnished: dict[str, Any], officer: User) -> None:
    for subject, name in [("disbursement",) * 2, ("payment",) * 2, ("payout",) * 2]:
        for _ in range(20):
            StatusChange.objects.create(
                subject=subject, subject_id=furnished[name].pk, old="a", new="b", reason="r", actor=officer
            )


def grow_intakes(furnished: dict[str, Any], officer: User) -> None:
    for errors in range(3, 23):
        scenes.refused_intake(furnished["program"], officer, errors)


def grow_programs(furnished: dict[str, Any], officer: User) -> None:
    for n in range(10):
        made = factories.make_program(f"EXTRA-{n}")
        made.memberships.create(user=officer, role="officer", granted_by=made.created_by)
        factories.make_member(furnished["program"], "auditor", f"extra {n}")


def grow_proposals(furnished: dict[str, Any], officer: User) -> None:
    for _ in range(10):
        scenes.withdrawn_proposal(furnished["program"], officer)


@pytest.mark.parametrize(
    ("address", "grow"),
    [
        ("/api/v1/programs/", grow_programs),
        ("/api/v1/auth/me/", grow_programs),
        ("/api/v1/programs/{program}/members/", grow_programs),
        ("/api/v1/programs/{program}/enrollments/", grow_enrollments),
        ("/api/v1/programs/{program}/intakes/", grow_intakes),
        ("/api/v1/programs/{program}/disbursements/", grow_lists),
        ("/api/v1/disbursements/{disbursement}/", grow_payments),
        ("/api/v1/disbursements/{disbursement}/payments/", grow_payments),
        ("/api/v1/disbursements/{disbursement}/payouts/", grow_payments),
        ("/api/v1/disbursements/{disbursement}/history/", grow_history),
        ("/api/v1/payments/{payment}/history/", grow_history),
        ("/api/v1/payouts/", grow_payments),
        ("/api/v1/payouts/{payout}/history/", grow_history),
        ("/api/v1/signing-requests/", grow_requests),
        ("/api/v1/proposals/", grow_proposals),
    ],
)
def test_many_rows_cost_as_many_queries_as_one(
    api: Api,
    furnished: dict[str, Any],
    officer: User,
    address: str,
    grow: Callable[[dict[str, Any], User], None],
) -> None:
    client = api(officer)
    url = address.format(**{name: row.pk for name, row in furnished.items()})
    with CaptureQueriesContext(connection) as few:
        small = expect.ok(client.get(url))
    grow(furnished, officer)
    with CaptureQueriesContext(connection) as many:
        large = expect.ok(client.get(url))
    assert large != small
    assert len(many) == len(few)
    assert len(few) <= 8


def test_names_are_not_even_read_for_those_who_may_not_see_them(
    api: Api, program: Program, approver: User
) -> None:
    factories.make_enrollment(program)
    with CaptureQueriesContext(connection) as queries:
        expect.ok(api(approver).get(f"/api/v1/programs/{program.pk}/enrollments/"))
    assert not any("personal" in query["sql"] for query in queries)
