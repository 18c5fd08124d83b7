"""Holdings in the admin: proposed on a page, shown with what was found, and set by security administrators alone (R-30)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ledger.treasury import reserve
from payments.models import Holding, Program, Proposal, ReserveStatus
from payments.services import proposals
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
OURS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MAINNET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
LIST = "/admin/payments/holding/"
NEW = {"scope": "reserve:1", "name": "Vault", "kind": "addresses", "cap_sat": 5_000, "note": "Ours."}


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "security", "samuel")


def record(held: Holding, amount_sat: int, txid: str) -> None:
    """A scan of the one address of a holding."""
    reserve.record(
        network="regtest",
        block_hash="ab" * 32,
        height=1_234,
        block_at=timezone.now(),
        lines=[
            reserve.Line(held.scope, held.name, held.pk, "regtest", OURS, "verified", held.cap_sat),
        ],
        unspents=[reserve.Unspent(OURS, txid * 64, 0, amount_sat, 1_234)],
    )


class TestHolding:
    def test_is_proposed_on_a_page_and_confirmed_by_another(
        self, security: User, second: User, browser: Browser
    ) -> None:
        client = browser(security)
        answer = client.post(f"{LIST}propose/", NEW | {"addresses": f"{OURS}\r\n"})
        made = Proposal.objects.get(kind="holding")
        assert answer["Location"] == f"/admin/payments/proposal/{made.pk}/change/"
        shown = client.get(answer["Location"]).content.decode()
        assert "SHA-256 of all, one a line" in shown
        assert OURS in shown
        proposals.confirm(by=second, proposal_id=made.pk)
        held = Holding.objects.get()
        assert (held.cap_sat, held.badge) == (5_000, "verified")
        answer = client.post(f"{LIST}{held.pk}/change-holding/", {"cap_sat": 9, "note": "Less."})
        made = Proposal.objects.latest("pk")
        assert made.after["cap_sat"] == 9
        assert made.after["is_ended"] is False

    def test_says_on_the_page_which_line_is_no_address(self, security: User, browser: Browser) -> None:
        answer = browser(security).post(f"{LIST}propose/", NEW | {"addresses": f"{OURS}\n{MAINNET}"})
        assert answer.status_code == 422
        assert "This is an address of the main network" in answer.content.decode()
        assert Proposal.objects.count() == 0

    def test_shows_what_the_newest_scan_found(self, auditor: User, browser: Browser) -> None:
        held = factories.make_holding([OURS], cap_sat=5_000)
        client, page = browser(auditor), f"{LIST}{held.pk}/change/"
        assert "No scan stands yet." in client.get(page).content.decode()
        record(held, 6_000, "a")
        record(held, 7_000, "b")
        shown = client.get(page).content.decode()
        for text in (
            "Addresses at block 1,234",
            "7,000 sat",
            "reused",
            "over the cap",
            "Verified in this node",
        ):
            assert text in shown, text

    def test_says_why_a_scan_was_inconclusive(self, auditor: User, browser: Browser) -> None:
        held, now = factories.make_holding([OURS]), timezone.now()
        status: dict[str, Any] = {"due_at": now, "began_at": now, "ended_at": now, "fault": "node_busy"}
        ReserveStatus.objects.create(**status, message="The node is scanning for somebody else.")
        shown = browser(auditor).get(f"{LIST}{held.pk}/change/").content.decode()
        assert "The scan is inconclusive" in shown
        assert "The node is scanning for somebody else." in shown

    def test_is_offered_to_security_administrators_alone(
        self, security: User, auditor: User, browser: Browser
    ) -> None:
        held = factories.make_holding([OURS])
        for user, is_offered in ((security, True), (auditor, False)):
            shown = browser(user).get(f"{LIST}{held.pk}/change/").content.decode()
            assert ("change-holding" in shown) is is_offered
        answer = browser(auditor).post(f"{LIST}propose/", NEW | {"addresses": OURS})
        assert answer.status_code == 403
        assert Proposal.objects.filter(note="Ours.").count() == 0
