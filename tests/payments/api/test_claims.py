"""Claims through the API: who waits, links to them, and the list of what they claimed; no answer has a secret."""

import pytest
from django.contrib.auth.models import User

from payments.models import Disbursement, Message, Program
from tests import claiming, factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """Lines 2 and 3 wait for their people."""
    factories.fund(program, 1_000_000)
    draft = claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000, 70_000], without=[2, 3])
    return claiming.release(draft, officer, approver, releaser)


class TestClaims:
    def test_are_listed_with_who_waits(
        self, api: Api, program: Program, released: Disbursement, officer: User
    ) -> None:
        address = f"/api/v1/programs/{program.pk}/entitlements/"
        rows = expect.ok(api(officer).get(address))["results"]
        assert [(row["amount_sat"], row["status"], row["has_link"]) for row in rows] == [
            (70_000, "waiting", False),
            (60_000, "waiting", False),
        ]
        reference = claiming.person_of(released, 2).reference
        (row,) = expect.ok(api(officer).get(f"{address}?reference={reference}"))["results"]
        assert (row["reference"], row["disbursement_id"]) == (reference, released.pk)
        assert expect.ok(api(officer).get(f"{address}?status=expired"))["results"] == []

    def test_get_links_and_a_list(
        self, api: Api, program: Program, released: Disbursement, officer: User
    ) -> None:
        client, address = api(officer), f"/api/v1/disbursements/{released.pk}/"
        sent = expect.ok(client.post(f"{address}claim-links/", {"channel": "sms"}), 202)
        assert (sent, Message.objects.count()) == ({"count": 2}, 2)
        expect.problem(client.post(f"{address}claims/", {}), 409, "nothing_claimed")
        person = claiming.person_of(released, 3).beneficiary
        person.destinations.create(script_pubkey=factories.make_script(), created_by=officer)
        made = expect.ok(client.post(f"{address}claims/", {}), 201)
        assert (made["status"], made["total_sat"], made["payment_count"]) == ("draft", 70_000, 1)
        rows = expect.ok(client.get(f"/api/v1/programs/{program.pk}/entitlements/"))["results"]
        assert (rows[0]["status"], rows[0]["paid_by_list_id"]) == ("claimed", made["id"])

    def test_refuse_others_and_other_channels(
        self, api: Api, released: Disbursement, officer: User, approver: User
    ) -> None:
        address = f"/api/v1/disbursements/{released.pk}/claim-links/"
        expect.problem(api(approver).post(address, {"channel": "sms"}), 403, "role_missing")
        expect.problem(api(officer).post(address, {"channel": "paper"}), 400, "validation_error")
        assert Message.objects.count() == 0
