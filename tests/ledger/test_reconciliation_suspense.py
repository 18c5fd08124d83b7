"""Suspense is cleared on its case by two people: moved to an account on evidence, or undone, and never twice."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import Forbidden, GovPayError, InvalidInput, SamePersonTwice
from ledger import books, chart, reports
from ledger.models import Account, Case, CaseEvent, Entry, Posting, RunStatus
from ledger.reconciliation import cases, suspense
from tests import factories
from tests.ledger import witness
from tests.ledger.witness import World, reconcile

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)
SUSPENSE = "Liabilities:Suspense:P7"
LOSSES = "Expenses:Losses:P7"
LETTER = hashlib.sha256(b"the letter of the treasury").digest()


@pytest.fixture
def dalia(db: None) -> User:
    return factories.make_user("dalia", cases.RIGHT)


@pytest.fixture
def omar(db: None) -> User:
    return factories.make_user("omar", cases.RIGHT)


@pytest.fixture
def case(world: World, dalia: User, omar: User) -> Case:
    """A deposit of 70 sat that nobody knew, in suspense since the second run."""
    world.deposit(9, 70, is_booked=False)
    reconcile()
    return suspend(dalia, omar)


def suspend(dalia: User, omar: User) -> Case:
    """Book the one case to suspense, and let a run look."""
    case = Case.objects.get()
    proposed = cases.propose(by=dalia, case_id=case.pk, resolution="suspense", note="Nobody knows.")
    cases.approve(by=omar, case_id=case.pk, proposal=proposed.proposal)
    assert reconcile().status == RunStatus.CLEAN
    return cases.get(case.pk)


def propose(case: Case, by: User, account: str = ACCOUNTS.appropriation, **asked: Any) -> Case:
    """Say where it belongs."""
    asked = {
        "resolution": "account",
        "note": "The treasury sent it.",
        "account": account,
        "evidence_sha256": LETTER,
    } | asked
    return cases.propose(by=by, case_id=case.pk, **asked)


def propose_undoing(case: Case, by: User, entry_id: int | None) -> Case:
    return cases.propose(
        by=by, case_id=case.pk, resolution="reversal", note="It was wrong.", entry_id=entry_id
    )


def approve(case: Case, by: User) -> Case:
    return cases.approve(by=by, case_id=case.pk, proposal=cases.get(case.pk).proposal)


def status(case: Case) -> str:
    return Case.objects.get(pk=case.pk).status


def ageing() -> list[tuple[str, int]]:
    """What the report of suspense says: items and amounts."""
    report = reports.get_report("suspense")
    with reports.tabulate(report, reports.ask(report, now=timezone.now())) as table:
        return [(row[3], row[-1]) for row in table.rows]


def lines(entry_id: int | None) -> list[tuple[str, int]]:
    found = Posting.objects.filter(entry=entry_id).order_by("pk").values_list("account__code", "amount")
    return list(found)


class TestStays:
    def test_open_until_somebody_knows(self, case: Case, world: World) -> None:
        assert (case.status, case.closed_at, suspense.standing_sat(case)) == ("suspended", None, -70)
        assert ageing() == [(case.suspense_ref, -70)]
        for _ in range(2):
            world.mine()
            reconcile()
        events = CaseEvent.objects.filter(case=case).order_by("pk").values_list("action", flat=True)
        assert list(events) == ["opened", "proposed", "approved", "suspended"]
        assert status(case) == "suspended"

    def test_owned_by_somebody(self, case: Case, dalia: User, omar: User) -> None:
        assert cases.assign(by=omar, case_id=case.pk, owner="dalia").owner == dalia


class TestMove:
    def test_takes_two_people_and_leaves_nothing(self, case: Case, dalia: User, omar: User) -> None:
        proposed = propose(case, dalia)
        assert (proposed.status, proposed.proposal, reconcile().status) == ("proposed", 2, RunStatus.CLEAN)
        assert status(case) == "proposed"
        done = approve(case, omar)
        entry = Entry.objects.get(pk=done.entry_id)
        assert (entry.kind, entry.actor, entry.approver) == ("reclassification", "dalia", "omar")
        # What somebody wrote stays in the case: entries leave in packs.
        digest = hashlib.sha256(b"The treasury sent it.").hexdigest()
        assert (entry.source_ref, entry.memo) == (case.suspense_ref, f"Case {case.pk}, note {digest}")
        assert lines(entry.pk) == [(SUSPENSE, 70), (ACCOUNTS.appropriation, -70)]
        assert (done.status, bytes(done.evidence_sha256 or b"")) == ("explained", LETTER)
        assert ageing() == []
        assert [reconcile().status, status(case)] == [RunStatus.CLEAN, "closed"]
        assert reconcile(is_full=True).status == RunStatus.CLEAN
        events = CaseEvent.objects.filter(case=case).order_by("pk").values_list("action", "entry_id")
        assert list(events)[-3:] == [("proposed", None), ("approved", entry.pk), ("closed", None)]

    def test_books_what_is_lost_for_good(self, world: World, dalia: User, omar: User) -> None:
        world.steal()
        reconcile()
        case = suspend(dalia, omar)
        lost_sat = 1_000_000 - 600 - witness.FEE_SAT
        assert not Account.objects.filter(code=LOSSES).exists()
        propose(case, dalia, LOSSES, note="It was stolen.")
        assert lines(approve(case, omar).entry_id) == [(SUSPENSE, -lost_sat), (LOSSES, lost_sat)]
        wallet = Account.objects.get(code=ACCOUNTS.hot_wallet)
        losses = Account.objects.get(code=LOSSES)
        assert (losses.kind, losses.object) == ("expense", "28")
        assert losses.elements._replace(object="") == wallet.elements._replace(object="")
        assert (reconcile().status, status(case), books.trial_balance().is_balanced) == (
            RunStatus.CLEAN,
            "closed",
            True,
        )

    def test_happens_once(self, case: Case, dalia: User, omar: User) -> None:
        propose(case, dalia)
        approve(case, omar)
        count = Entry.objects.count()
        with pytest.raises(cases.CaseState):
            approve(case, omar)
        with pytest.raises(cases.CaseState):
            propose(case, dalia)
        assert (Entry.objects.count(), books.balance(SUSPENSE)) == (count, 0)

    def test_of_what_is_gone_is_refused(self, case: Case, dalia: User, omar: User) -> None:
        propose(case, dalia)
        suspended = suspense.bookings(case).get()
        books.reverse(suspended.pk, idempotency_key="x", effective_at=timezone.now(), memo="", actor="tester")
        with pytest.raises(suspense.NothingSuspended):
            approve(case, omar)
        assert status(case) == "proposed"


class TestUndo:
    def test_the_booking_to_suspense_opens_the_case_again(self, case: Case, dalia: User, omar: User) -> None:
        propose_undoing(case, dalia, case.entry_id)
        done = approve(case, omar)
        reversal = Entry.objects.get(pk=done.entry_id)
        assert (reversal.kind, reversal.reversal_of_id) == ("suspense_reversal", case.entry_id)
        assert (reversal.actor, reversal.approver) == ("dalia", "omar")
        assert (reconcile().status, status(case), ageing()) == (RunStatus.BREAKS, "open", [])

    def test_a_move_out_of_suspense_brings_it_back(self, case: Case, dalia: User, omar: User) -> None:
        propose(case, dalia)
        moved = approve(case, omar).entry_id
        reconcile()
        assert status(case) == "closed"
        propose_undoing(case, dalia, moved)
        reconcile()
        assert status(case) == "proposed"
        approve(case, omar)
        assert (reconcile().status, status(case)) == (RunStatus.CLEAN, "suspended")
        assert ageing() == [(case.suspense_ref, -70)]
        propose(case, omar, ACCOUNTS.payable)
        approve(case, dalia)
        assert (reconcile().status, status(case), ageing()) == (RunStatus.CLEAN, "closed", [])

    def test_takes_the_bookings_of_the_case_only(self, case: Case, world: World, dalia: User) -> None:
        other = Entry.objects.exclude(pk=case.entry_id).latest("pk")
        for entry_id in (other.pk, 10**12, None):
            with pytest.raises(InvalidInput) as refused:
                propose_undoing(case, dalia, entry_id)
            assert refused.value.details["errors"][0]["column"] == "entry_id"
        assert status(case) == "suspended"


class TestRefusals:
    def refuse(self, error: type[GovPayError], act: Callable[[], Any]) -> GovPayError:
        before = list(Case.objects.values()), CaseEvent.objects.count(), Entry.objects.count()
        with pytest.raises(error) as refused:
            act()
        assert before == (list(Case.objects.values()), CaseEvent.objects.count(), Entry.objects.count())
        return refused.value

    def test_of_the_proposer_as_second_person(self, case: Case, dalia: User) -> None:
        propose(case, dalia)
        self.refuse(SamePersonTwice, lambda: approve(case, dalia))

    def test_of_who_may_not(self, case: Case, dalia: User) -> None:
        auditor = factories.make_user("auditor", "ledger.view_entry")
        self.refuse(Forbidden, lambda: propose(case, auditor))
        propose(case, dalia)
        self.refuse(Forbidden, lambda: approve(case, auditor))

    @pytest.mark.parametrize(
        ("asked", "column"),
        [
            ({"account": ACCOUNTS.hot_wallet}, "account"),
            ({"account": ACCOUNTS.in_transit}, "account"),
            ({"account": SUSPENSE}, "account"),
            ({"account": "Equity:Appropriation:P8"}, "account"),
            ({"account": None}, "account"),
            ({"evidence_sha256": None}, "evidence_sha256"),
            ({"note": " "}, "note"),
            ({"entry_id": 1}, "entry_id"),
        ],
    )
    def test_of_what_is_not_whole(self, case: Case, dalia: User, asked: dict[str, Any], column: str) -> None:
        refused = self.refuse(InvalidInput, lambda: propose(case, dalia, **asked))
        assert refused.details["errors"][0]["column"] == column

    def test_of_what_answers_another_question(self, case: Case, world: World, dalia: User) -> None:
        for resolution in ("evidence", "suspense"):
            asked = {"by": dalia, "case_id": case.pk, "resolution": resolution, "note": "x"}
            self.refuse(cases.CaseState, lambda asked=asked: cases.propose(**asked))  # type: ignore[misc]
        world.deposit(10, 80, is_booked=False)
        reconcile()
        young = Case.objects.latest("pk")
        self.refuse(cases.CaseState, lambda: propose(young, dalia))
        self.refuse(cases.CaseState, lambda: propose_undoing(young, dalia, case.entry_id))

    def test_leave_the_case_what_it_was(self, case: Case, dalia: User, omar: User) -> None:
        number = propose(case, dalia).proposal
        rejected = cases.reject(by=omar, case_id=case.pk, proposal=number, note="No such letter.")
        assert (rejected.status, rejected.account, rejected.resolution) == ("suspended", None, "")
        number = propose(case, dalia).proposal
        assert cases.withdraw(by=dalia, case_id=case.pk, proposal=number).status == "suspended"
        propose(case, dalia)
        moved = approve(case, omar).entry_id
        reconcile()
        closed_at = cases.get(case.pk).closed_at
        number = propose_undoing(case, dalia, moved).proposal
        back = cases.withdraw(by=dalia, case_id=case.pk, proposal=number)
        assert (back.status, back.closed_at) == ("closed", closed_at)

    def test_by_the_database(self, case: Case, dalia: User) -> None:
        propose(case, dalia)
        rows = Case.objects.filter(pk=case.pk)
        for changes in ({"account": None}, {"evidence_sha256": None}, {"resolution": "evidence"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                rows.update(**changes)
