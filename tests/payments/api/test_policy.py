"""Policy profiles over HTTP: they can be read, and a refusal cites the law."""

import pytest
from django.contrib.auth.models import User

from payments.models import Program
from payments.services import disbursements
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def test_shows_every_rule_with_its_law(api: Api, officer: User) -> None:
    found = {each["name"]: each for each in expect.ok(api(officer).get("/api/v1/policy-profiles/"))}
    old = found["el-salvador-2021"]
    assert (old["effective_from"], old["effective_before"], old["successor"]) == (
        "2021-09-07",
        "2025-05-01",
        "el-salvador-2025",
    )
    assert found["el-salvador-2025"]["rules"][1] == {
        "effective_from": "2025-05-01",
        "effective_before": None,
        "rule": "tax_in_btc",
        "ruling": "refused",
        "text": "Taxes are paid in dollars only.",
        "law": "Bitcoin Law, art. 4, repealed on 29 January 2025; IMF press release 24/485",
        "source": found["el-salvador-2025"]["rules"][1]["source"],
        "ceiling_sat": None,
        "licensed_by": "",
        "threshold": None,
    }
    assert found["el-salvador-2025"]["rules"][5]["threshold"] == {
        "currency": "USD",
        "from_minor": 100_000,
        "linked_days": 30,
        "keep_days": 1_827,
    }


def test_refuses_a_release_with_rule_and_law(
    api: Api, program: Program, officer: User, approver: User, releaser: User
) -> None:
    factories.fund(program, 1_000_000)
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    Program.objects.filter(pk=program.pk).update(policy_profile="el-salvador-2025")
    answer = api(releaser).post(f"/api/v1/disbursements/{made.pk}/release/", {"manifest_hash": agreed.hex()})
    body = expect.problem(answer, 409, "policy_refused")
    assert body["detail"].startswith("pay_in_btc: It is not allowed. Bitcoin is accepted voluntarily")
    cited = body["details"]
    assert (cited["rule"], cited["law"]) == (
        "pay_in_btc",
        "Bitcoin Law, art. 1 as amended on 29 January 2025",
    )
