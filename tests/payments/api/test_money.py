"""A list of money over the API: made, agreed to, quoted, released, and what is refused on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from payments.models import Disbursement, PriceRule, Program, Quote
from payments.prices import watch
from payments.services import rails
from tests import factories
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

LISTS = "/api/v1/disbursements"


@pytest.fixture
def program(db: None) -> Program:
    return factories.make_program("STIPENDS", currency="PKR")


@pytest.fixture
def approved(api: Api, program: Program, officer: User, approver: User) -> dict[str, Any]:
    """A list of two at Rs 14,500 each, as the API tells it."""
    factories.fund_cash(program, 10_000_000)
    factories.fund(program, 1_000_000)
    lines = [
        {"reference": factories.make_enrollment(program).reference, "amount_minor": 1_450_000}
        for _ in range(2)
    ]
    body = {"period": "2026-12", "purpose": "pension", "expected_count": 2, "lines": lines}
    made = api(officer).post(
        f"/api/v1/programs/{program.pk}/disbursements/", body | {"expected_total_minor": 2_900_000}
    )
    assert made.status_code == 201, made.content
    address = f"{LISTS}/{made.json()['id']}"
    submitted = api(officer).post(f"{address}/submit/").json()
    return api(approver).post(f"{address}/approve/", {"manifest_hash": submitted["manifest_hash"]}).json()  # type: ignore[no-any-return]


@pytest.fixture
def prices(settings: Any, tmp_path: Path) -> None:
    """Three files that say 28,100,000 rupees."""
    settings.GOVPAY_PRICE_FOLDER = str(tmp_path)
    factories.make_price_rule("PKR", floor="1000000", ceiling="100000000")
    for number in range(3):
        said = {"base": "BTC", "currency": "PKR", "price": "28100000.00", "time": timezone.now().isoformat()}
        (tmp_path / f"pkr{number}.json").write_text(json.dumps(said))
        factories.make_price_source("PKR", "file", f"pkr{number}.json", name=f"File {number}")
    watch.look(PriceRule.objects.get().pk)


def release(api: Api, by: User, made: dict[str, Any], **body: Any) -> Any:
    return api(by).post(f"{LISTS}/{made['id']}/release/", {"manifest_hash": made["manifest_hash"], **body})


class TestEstimate:
    @pytest.mark.usefixtures("prices")
    def test_says_satoshis_price_and_its_age_and_takes_no_quote(
        self, api: Api, approved: dict[str, Any], approver: User
    ) -> None:
        told = api(approver).get(f"{LISTS}/{approved['id']}/estimate/").json()
        assert (told["amount_minor"], told["amount_sat"], told["message"]) == (2_900_000, 103_202, "")
        assert (told["currency"], told["price"]) == ("PKR", "28100000")
        assert told["price_at"] is not None
        assert 0 <= told["price_age_s"] < 600
        assert Quote.objects.count() == 0

    def test_says_why_there_is_no_price(self, api: Api, approved: dict[str, Any], approver: User) -> None:
        told = api(approver).get(f"{LISTS}/{approved['id']}/estimate/").json()
        assert (told["amount_sat"], told["price"], told["price_age_s"]) == (None, None, None)
        assert told["message"] == "Nobody has said how a price in PKR is made."

    @pytest.mark.usefixtures("prices")
    def test_says_nothing_of_what_was_converted(
        self, api: Api, approved: dict[str, Any], releaser: User
    ) -> None:
        seen = api(releaser).post(f"{LISTS}/{approved['id']}/quote/").json()
        release(api, releaser, approved, quote_id=seen["quote"]["id"])
        told = api(releaser).get(f"{LISTS}/{approved['id']}/estimate/").json()
        assert (told["amount_sat"], told["message"]) == (None, "The list was converted at its release.")

    def test_says_nothing_of_satoshis_and_of_other_rails(self, api: Api, officer: User) -> None:
        for changes, message in (
            ({"currency": "sat"}, "The list is of satoshis."),
            ({"currency": "PKR"}, "The list is not paid in bitcoin."),
        ):
            program = factories.make_program(f"P-{changes['currency'].upper()}", **changes)
            by = factories.make_member(program, "officer")
            amounts = {"amounts_sat" if program.pays_sat else "amounts_minor": [50_000]}
            made = factories.make_disbursement(program, by, **amounts)
            if not program.pays_sat:
                rails.choose(by=by, disbursement_id=made.pk, rail="voucher")
            assert api(by).get(f"{LISTS}/{made.pk}/estimate/").json()["message"] == message


class TestTemplate:
    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("", "reference,amount_sat\r\nPEN-000001,51601\r\n"),
            ("?currency=sat", "reference,amount_sat\r\nPEN-000001,51601\r\n"),
            ("?currency=PKR", "reference,amount_minor\r\nPEN-000001,1450000\r\n"),
            ("?currency=JPY", "reference,amount_minor\r\nPEN-000001,1450000\r\n"),
        ],
    )
    def test_is_of_the_currency(self, api: Api, officer: User, query: str, text: str) -> None:
        answer = api(officer).get(f"/api/v1/import-templates/list.csv{query}")
        assert (answer.status_code, answer.content.decode().lstrip("\ufeff")) == (200, text)

    @pytest.mark.parametrize("code", ["XYZ", "pkr", "A" * 500])
    def test_refuses_a_currency_that_there_is_not(self, api: Api, officer: User, code: str) -> None:
        answer = api(officer).get(f"/api/v1/import-templates/list.csv?currency={code}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "currency_unknown")

    def test_refuses_other_questions(self, api: Api, officer: User) -> None:
        assert api(officer).get("/api/v1/import-templates/list.csv?colour=red").status_code == 400


class TestQuote:
    @pytest.mark.usefixtures("prices")
    def test_is_seen_and_then_releases(self, api: Api, approved: dict[str, Any], releaser: User) -> None:
        assert (approved["currency"], approved["total_minor"], approved["total_sat"]) == (
            "PKR",
            2_900_000,
            None,
        )
        answer = api(releaser).post(f"{LISTS}/{approved['id']}/quote/")
        assert answer.status_code == 201, answer.content
        seen = answer.json()
        assert (seen["amount_sat"], seen["remainder_minor"], seen["dust_count"]) == (103_202, 24, 0)
        assert (seen["count"], seen["amount_minor"], seen["available_sat"] > 103_202) == (2, 2_900_000, True)
        assert len(seen["quote"]["values"]) == 3
        made = release(api, releaser, approved, quote_id=seen["quote"]["id"])
        assert made.status_code == 200, made.content
        told = made.json()
        assert (told["status"], told["total_sat"], told["quote_id"]) == (
            "released",
            103_202,
            seen["quote"]["id"],
        )
        lines = api(releaser).get(f"{LISTS}/{approved['id']}/payments/").json()["results"]
        assert {
            (row["currency"], row["amount_minor"], row["amount_sat"], row["remainder_minor"]) for row in lines
        } == {("PKR", 1_450_000, 51_601, 12)}

    def test_is_none_without_a_price(self, api: Api, approved: dict[str, Any], releaser: User) -> None:
        answer = api(releaser).post(f"{LISTS}/{approved['id']}/quote/")
        assert (answer.status_code, answer.json()["code"]) == (409, "no_price")
        assert Quote.objects.count() == 0

    def test_is_the_releasers_alone(self, api: Api, approved: dict[str, Any], officer: User) -> None:
        assert api(officer).post(f"{LISTS}/{approved['id']}/quote/").status_code == 403


class TestRelease:
    @pytest.mark.parametrize(
        ("case", "status", "code"),
        [
            ("none", 422, "quote_required"),
            ("nobodys", 404, "not_found"),
            ("other", 409, "quote_of_another_currency"),
        ],
    )
    def test_is_refused_by_its_rule(
        self, case: str, status: int, code: str, api: Api, approved: dict[str, Any], releaser: User
    ) -> None:
        body = {
            "none": {},
            "nobodys": {"quote_id": 10**15},
            "other": {"quote_id": factories.make_quote("USD").pk},
        }
        answer = release(api, releaser, approved, **body[case])
        found = answer.json()
        codes = {found["code"], *(error["code"] for error in found.get("errors", []))}
        assert (answer.status_code, code in codes) == (status, True), found
        row = Disbursement.objects.get()
        assert (row.status, row.quote, row.total_sat) == ("approved", None, None)


class TestProgram:
    def test_refuses_what_is_no_currency(self, api: Api) -> None:
        answer = api(factories.make_administrator()).post(
            "/api/v1/programs/", {"code": "GOLD", "name": "Gold", "currency": "XAU"}
        )
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["column"], error["code"]) == (422, "currency", "unknown_currency")
