"""Trusts in the admin: proposed and changed by two, a board that asks itself and signs, and who is offered what."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from payments.models import BankFile, Payment, Program, Proposal, Trust, TrustDecision, TrustPurse
from payments.services import bank_writing, trust_boards
from payments.trust import following
from tests import banking, factories
from tests.payments.admin.test_access import Browser
from tests.payments.trust.conftest import Three, give_price, make_list, release
from tests.payments.trust.test_legs import settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def trust() -> Trust:
    return factories.make_trust(cash_minor=4_000_000)


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:payments_{name}", args=args)


class TestTrust:
    def test_is_proposed_and_changed_by_security_administrators(
        self, security: User, trust: Trust, browser: Browser
    ) -> None:
        client = browser(security)
        for name in ("x", "y", "z"):
            factories.make_user(name)
        asked = {
            "scope": "trust:7",
            "name": "Trust",
            "policy_profile": "sandbox",
            "jurisdiction": "sandbox",
            "members": "x y z",
            "inventory_cap_sat": 5,
            "currency": "PKR",
            "floor_minor": 0,
            "limit_minor": 1,
            "note": "By law.",
        }
        answer = client.post(url("trust_propose"), asked)
        assert answer.status_code == 302, answer.content
        assert Proposal.objects.get(kind="trust", status="proposed", note="By law.").after["members"] == [
            "x",
            "y",
            "z",
        ]
        changed = {name: asked[name] for name in ("policy_profile", "jurisdiction", "members", "note")}
        assert (
            client.post(url("trust_change_trust", trust.pk), changed | {"name": "Other"}).status_code == 302
        )
        assert client.get(url("trust_change_trust", trust.pk)).status_code == 200

    def test_shows_its_money_and_that_it_is_below_its_floor(
        self, security: User, trust: Trust, browser: Browser
    ) -> None:
        factories.decide(trust, "terms", currency="PKR", floor_minor=5_000_000, limit_minor=5)
        page = browser(security).get(url("trust_change", trust.pk)).content.decode()
        assert "40,000.00 PKR" in page
        assert "Below its floor: PKR" in page
        assert "Ask the board" not in page


class TestBank:
    def test_members_take_the_file_to_the_bank_and_bring_its_answer_on_the_decisions_page(
        self, trust: Trust, officer: User, approver: User, releaser: User, program: Program, browser: Browser
    ) -> None:
        give_price("28100000")
        banking.make_paying_account_of(trust.scope)
        three = Three(officer, approver, releaser)
        draft = release(make_list(program, three, trust, [51_601] * 2), three)
        settle(draft)
        following.follow(trust.pk)
        for payment in Payment.objects.filter(disbursement=draft):
            banking.make_account(payment.beneficiary, officer)
        made = factories.decide(trust, "pay", currency="PKR")
        first, page = browser(factories.board_of(trust)[0]), url("trustdecision_change", made.pk)
        take, bring = url("trustdecision_take_file", made.pk), url("trustdecision_bring_report", made.pk)
        assert take not in first.get(page).content.decode()
        bank_writing.write(BankFile.objects.get(origin="trust").pk)
        shown = first.get(page).content.decode()
        assert (take in shown, bring in shown, "28,999.76 PKR" in shown) == (True, False, True)
        refused = browser(officer).post(take, {})
        assert (refused.status_code, "takes its files" in refused.content.decode()) == (403, True)
        data = b"".join(first.post(take, {}).streaming_content)
        one, two = banking.read(data)["transfers"]
        said = banking.answer(data, {one["id"]: ("ACSC", ""), two["id"]: ("RJCT", "AC04")})
        answered = SimpleUploadedFile("report.xml", said.read())
        assert browser(officer).post(bring, {"file": answered}).status_code == 403
        answered.seek(0)
        assert bring in first.get(page).content.decode()
        done = first.post(bring, {"file": answered}, follow=True).content.decode()
        assert "The bank has paid 1 and rejected 1 transfers." in done
        purse = TrustPurse.objects.get(trust=trust)
        assert (purse.cash_minor, purse.owed_minor) == (4_000_000 - 1_449_988, 1_449_988)


class TestBoard:
    def test_asks_itself_and_signs(self, trust: Trust, browser: Browser) -> None:
        first, second, _ = factories.board_of(trust)
        asked = {
            "kind": "capital_in",
            "currency": "PKR",
            "amount_minor": 500,
            "reference": "Letter 2",
            "note": "More.",
        }
        client = browser(first)
        assert "Ask the board" in client.get(url("trust_change", trust.pk)).content.decode()
        assert client.get(reverse("admin:index")).status_code == 200
        assert client.post(url("trust_ask_board", trust.pk), asked).status_code == 302
        made = TrustDecision.objects.get(status="open")
        home = browser(second).get(reverse("admin:index")).content.decode()
        assert "Decisions to sign" in home
        page = browser(second).get(url("trustdecision_sign", made.pk)).content.decode()
        assert "Letter 2" in page
        assert browser(second).post(url("trustdecision_sign", made.pk), {}).status_code == 302
        assert TrustPurse.objects.get(trust=trust).cash_minor == 4_000_500

    def test_is_told_the_rule_that_stands_against_it(self, trust: Trust, browser: Browser) -> None:
        first, second, _ = factories.board_of(trust)
        made = trust_boards.propose(
            by=first,
            trust_id=trust.pk,
            kind="capital_out",
            currency="PKR",
            amount_minor=4_000_001,
            reference="x",
            note="x",
        )
        answer = browser(second).post(url("trustdecision_sign", made.pk), {})
        assert (answer.status_code, "before its floor" in answer.content.decode()) == (409, True)
        assert (
            browser(first).post(url("trustdecision_withdraw", made.pk), {"note": "Too much."}).status_code
            == 302
        )
        assert TrustDecision.objects.get(pk=made.pk).status == "withdrawn"

    def test_others_are_offered_nothing_and_refused(
        self, trust: Trust, officer: User, browser: Browser
    ) -> None:
        made = trust_boards.propose(
            by=factories.board_of(trust)[0], trust_id=trust.pk, kind="pause", note="A drill."
        )
        client = browser(officer)
        page = client.get(url("trustdecision_change", made.pk)).content.decode()
        assert "Withdraw" not in page
        assert client.post(url("trustdecision_sign", made.pk), {}).status_code == 403
        assert client.get(url("trust_propose")).status_code in (200, 403)
        assert not Trust.objects.get(pk=trust.pk).is_paused
