"""The admin's pages of a list of money: a quote is taken, seen, and released with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from payments.models import Disbursement, Program, Quote
from payments.prices import watch
from payments.services import disbursements
from tests import factories

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def program(db: None) -> Program:
    return factories.make_program("STIPENDS", currency="PKR")


@pytest.fixture
def approved(program: Program, officer: User, approver: User) -> Disbursement:
    factories.fund_cash(program, 10_000_000)
    factories.fund(program, 1_000_000)
    made = factories.make_disbursement(program, officer, amounts_minor=[1_450_000, 1_450_000])
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    return disbursements.approve(
        by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )


def ask_for_prices(settings: Any, folder: Path) -> None:
    """Let the watch read three files that say 28,100,000 rupees."""
    settings.GOVPAY_PRICE_FOLDER = str(folder)
    rule = factories.make_price_rule("PKR", floor="1000000", ceiling="100000000")
    for number in range(3):
        said = {"base": "BTC", "currency": "PKR", "price": "28100000.00", "time": timezone.now().isoformat()}
        (folder / f"pkr{number}.json").write_text(json.dumps(said))
        factories.make_price_source("PKR", "file", f"pkr{number}.json", name=f"File {number}")
    watch.look(rule.pk)


class TestApprove:
    """Whoever approves sees about how many satoshis it is, and that this binds nobody."""

    @pytest.fixture
    def submitted(self, program: Program, officer: User) -> Disbursement:
        made = factories.make_disbursement(program, officer, amounts_minor=[1_450_000, 1_450_000])
        return disbursements.submit(by=officer, disbursement_id=made.pk)

    def test_says_it_at_the_price_now(
        self, submitted: Disbursement, approver: User, browser: Browser, settings: Any, tmp_path: Path
    ) -> None:
        ask_for_prices(settings, tmp_path)
        page = browser(approver).get(f"/admin/payments/disbursement/{submitted.pk}/approve/")
        shown = page.content.decode()
        for text in (
            "103,202 sat",
            "not binding",
            "28,100,000 PKR",
            " s old; the release takes a quote of its own",
        ):
            assert text in shown, text
        assert "&lt;span" not in shown
        assert Quote.objects.count() == 0

    def test_says_that_there_is_no_price(
        self, submitted: Disbursement, approver: User, browser: Browser
    ) -> None:
        page = browser(approver).get(f"/admin/payments/disbursement/{submitted.pk}/approve/")
        shown = page.content.decode()
        assert "no price" in shown
        assert "Nobody has said how a price in PKR is made." in shown


class TestRelease:
    def test_goes_by_a_quote_that_was_seen(
        self, approved: Disbursement, releaser: User, browser: Browser, settings: Any, tmp_path: Path
    ) -> None:
        ask_for_prices(settings, tmp_path)
        client, page = browser(releaser), f"/admin/payments/disbursement/{approved.pk}"
        assert "29,000.00 PKR" in client.get(f"{page}/change/").content.decode()
        assert "No quote" in client.get(f"{page}/release/").content.decode()
        taken = client.post(f"{page}/quote/")
        quote = Quote.objects.get()
        assert (taken.status_code, taken["Location"]) == (302, f"{page}/release/?quote={quote.pk}")
        shown = client.get(taken["Location"]).content.decode()
        for text in ("103,202 sat", "0.24 PKR", "28,100,000", "Release 29,000.00 PKR"):
            assert text in shown, text
        form = {"manifest_hash": bytes(approved.manifest_hash or b"").hex(), "quote_id": str(quote.pk)}
        assert client.post(f"{page}/release/", form).status_code == 302
        approved.refresh_from_db()
        assert (approved.status, approved.quote_id, approved.total_sat) == ("released", quote.pk, 103_202)
        assert "Conversion" in client.get(f"{page}/change/").content.decode()
        line = approved.payments.first()
        assert line is not None
        shown = client.get(f"/admin/payments/payment/{line.pk}/change/").content.decode()
        assert "51,601 sat" in shown
        assert "remainder 0.12 PKR" in shown

    def test_without_one_is_refused_in_place(
        self, approved: Disbursement, releaser: User, browser: Browser
    ) -> None:
        form = {"manifest_hash": bytes(approved.manifest_hash or b"").hex(), "quote_id": ""}
        page = f"/admin/payments/disbursement/{approved.pk}/release/"
        answer = browser(releaser).post(page, form)
        assert (answer.status_code, "take a quote" in answer.content.decode()) == (422, True)
        approved.refresh_from_db()
        assert approved.status == "approved"
