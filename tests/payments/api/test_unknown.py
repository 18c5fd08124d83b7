"""What nobody asked for is refused by name at every address: fields that would set a state (A8), and lookups (A18)."""

from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from tests.govpay import routes
from tests.payments.api.conftest import Api
from tests.payments.scenery import approver, furnished, officer, program, releaser, scenery

pytestmark = pytest.mark.django_db

BODY = b'{"is_staff": true, "status": "approved", "approved_by": 1}'
FIELDS = {"is_staff", "status", "approved_by"}
LOOKUPS = ["made_by__password__startswith", "program__memberships__user__password", "page_size[gt]"]
REFUSED = {"unknown_parameter", "unknown_field"}
# Signing out takes no body and looks at none.
BODILESS = "/api/v1/auth/logout/"
# Addresses name these things in two words.
NAMES = {
    "policy": "approvalpolicy",
    "budget_period": "budgetperiod",
    "import_job": "importjob",
    "signing_request": "signingrequest",
}


def operations(*, writing: bool) -> list[tuple[str, str]]:
    """Return method and address of what reads, or of what writes."""
    return sorted(each for each in routes.operations() if (each[0] != "GET") is writing)


def fill(route: str, furnished: dict[str, Any]) -> str:
    """Put ids of things that exist into an address."""
    wanted = {name: name.removesuffix("_id") for name in routes.names(route)}
    rows = {name: furnished.get(NAMES.get(model, model)) for name, model in wanted.items()}
    return route.format(**{name: 1 if row is None else row.pk for name, row in rows.items()})


@pytest.mark.parametrize(("method", "route"), operations(writing=True))
def test_fields_are_refused_by_name(
    api: Api, everybody: User, furnished: dict[str, Any], method: str, route: str
) -> None:
    response = api(everybody).generic(method, fill(route, furnished), BODY, "application/json")
    if response.status_code == 400:
        errors = response.json()["errors"]
        assert {error["field"] for error in errors if error["code"] == "unknown_field"} >= FIELDS, errors
    else:
        assert response.status_code in {403, 404, 415} or route == BODILESS, response.content


@pytest.mark.parametrize("route", [route for _, route in operations(writing=False)])
def test_lookups_change_no_answer(api: Api, everybody: User, furnished: dict[str, Any], route: str) -> None:
    # Ages that answers tell stand still meanwhile.
    with time_machine.travel(timezone.now(), tick=False):
        _compare(api(everybody), fill(route, furnished))


def _compare(client: Any, address: str) -> None:
    without = client.get(address)
    content = without.getvalue()
    for lookup in LOOKUPS:
        response = client.get(f"{address}?{lookup}=a")
        if response.status_code == 400:
            assert response.json()["errors"][0]["code"] in REFUSED, response.content
        else:
            assert response.status_code == without.status_code, response.content
            assert response.getvalue() == content
