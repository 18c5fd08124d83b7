"""Cases: opened, closed and reopened by runs alone, resolved by two people, suspense booked by both of them."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import Forbidden, GovPayError, InvalidInput, NotFound, SamePersonTwice
from ledger import books, chart
from ledger.models import Case, CaseEvent, CaseStatus, Entry, Posting, RunStatus
from ledger.reconciliation import cases, following, run, service
from tests import factories, racing
from tests.ledger import witness
from tests.ledger.witness import World, book, digest_of, reconcile

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)
SUSPENSE = "Liabilities:Suspense:P7"


@pytest.fixture
def dalia(db: None) -> User:
    return factories.make_user("dalia", cases.RIGHT)


@pytest.fixture
def omar(db: None) -> User:
    return factories.make_user("omar", cases.RIGHT)


@pytest.fixture
def auditor(db: None) -> User:
    return factories.make_user("auditor", "ledger.view_entry")


@pytest.fixture
def case(world: World) -> Case:
    """A deposit of 70 sat that nobody knows."""
    world.deposit(9, 70, is_booked=False)
    assert reconcile().status == RunStatus.BREAKS
    return Case.objects.get()


def actions(case: Case) -> list[tuple[str, str]]:
    return list(CaseEvent.objects.filter(case=case).order_by("pk").values_list("action", "actor"))


def status(case: Case) -> str:
    return Case.objects.get(pk=case.pk).status


def explain(case: Case, by: User) -> Case:
    return cases.propose(by=by, case_id=case.pk, resolution="evidence", note="A letter of the bank.")


class TestRuns:
    def test_at_once_make_one_case(self, world: World) -> None:
        def fall_silent() -> None:
            now = timezone.now()
            service.give_up(scope=witness.SCOPE, started_at=now, reason="The node is silent.")

        _, racer = racing.race(fall_silent, fall_silent)
        assert racer.error is None
        case = Case.objects.get()
        assert case.first_run_id < case.last_run_id
        assert [action for action, _ in actions(case)] == ["opened"]

    def test_open_so_many_cases_at_most_and_the_next_one_goes_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "MOST_CASES_OPENED", 2)
        monkeypatch.setattr(run, "MOST_BREAKS_STORED", 1)
        for number in range(9, 14):
            world.deposit(number, 70, is_booked=False)
        # Five breaks: all are counted, the rows of one are kept, and cases are opened two by two, the same for each run.
        found = [reconcile() for _ in range(4)]
        assert [(one.break_count, one.breaks.count(), one.uncased_count) for one in found] == [
            (5, 1, 3),
            (5, 1, 1),
            (5, 1, 0),
            (5, 1, 0),
        ]
        assert [Case.objects.filter(first_run=one).count() for one in found] == [2, 2, 1, 0]
        assert set(Case.objects.values_list("last_run", flat=True)) == {found[-1].pk}

    def test_open_a_case_a_break_and_keep_it(self, case: Case) -> None:
        first = case.first_run
        assert (case.kind, case.status, case.amount_sat, case.found) == ("unknown_in", "open", 70, "70")
        assert (case.unit, case.opened_height) == (f"outpoint:{case.txid}:1", 100)
        again = reconcile()
        case.refresh_from_db()
        assert (Case.objects.count(), case.first_run, case.last_run) == (1, first, again)
        assert actions(case) == [("opened", "reconciliation")]

    def test_let_cases_grow_old_in_blocks(self, case: Case, world: World) -> None:
        for _ in range(3):
            world.mine()
        reconcile()
        found = cases.get(case.pk)
        assert (cases.age_blocks(found), cases.age_days(found)) == (3, 0)

    def test_close_a_case_once_the_difference_is_gone_and_open_it_again(
        self, case: Case, world: World
    ) -> None:
        entry_id = world.book_deposit(case.txid, 70)
        assert reconcile().status == RunStatus.CLEAN
        assert status(case) == CaseStatus.CLOSED
        books.reverse(entry_id, idempotency_key="no", effective_at=timezone.now(), memo="", actor="tester")
        reconcile()
        assert status(case) == CaseStatus.OPEN
        assert [action for action, _ in actions(case)] == ["opened", "closed", "reopened"]

    def test_close_what_was_proposed_too(self, case: Case, world: World, dalia: User) -> None:
        explain(case, dalia)
        world.book_deposit(case.txid, 70)
        reconcile()
        assert status(case) == CaseStatus.CLOSED

    def test_that_cannot_compare_open_one_case_and_close_none(self, case: Case, world: World) -> None:
        for _ in range(2):
            world.failures = [witness.stale() for _ in range(service.ATTEMPTS)]
            reconcile()
        silent = Case.objects.get(kind="stale_source")
        assert (status(case), silent.status, silent.opened_height) == ("open", "open", None)
        reconcile()
        assert (status(case), status(silent)) == ("open", "closed")

    def test_tell_breaks_of_one_kind_apart(self, world: World) -> None:
        for number in (1, 2):
            lines = [books.Line(ACCOUNTS.hot_wallet, 9), books.Line(ACCOUNTS.appropriation, -9)]
            book(f"orphan {number}", lines, f"payout:7{number}")
        reconcile()
        assert sorted(Case.objects.values_list("kind", "unit")) == [
            ("orphan_entry", "payout:71"),
            ("orphan_entry", "payout:72"),
        ]


class TestExplain:
    def test_takes_two_people_and_makes_the_next_run_clean(self, case: Case, dalia: User, omar: User) -> None:
        sha256 = hashlib.sha256(b"the letter").digest()
        proposed = cases.propose(
            by=dalia, case_id=case.pk, resolution="evidence", note="A letter.", evidence_sha256=sha256
        )
        assert (proposed.status, proposed.proposal, reconcile().status) == ("proposed", 1, RunStatus.BREAKS)
        cases.approve(by=omar, case_id=case.pk, proposal=1, note="I have read it.")
        found = reconcile()
        assert (found.status, found.break_count, found.explained_count) == (RunStatus.CLEAN, 1, 1)
        case.refresh_from_db()
        assert (case.status, case.proposed_by, case.decided_by) == ("explained", dalia, omar)
        assert bytes(case.evidence_sha256 or b"") == sha256
        assert actions(case) == [
            ("opened", "reconciliation"),
            ("proposed", "dalia"),
            ("approved", "omar"),
        ]

    def test_holds_for_the_figures_that_were_seen_only(
        self, case: Case, world: World, dalia: User, omar: User
    ) -> None:
        explain(case, dalia)
        cases.approve(by=omar, case_id=case.pk, proposal=1)
        world.bend_output(case.txid, 1, amount_sat=71)
        found = reconcile(is_full=True)
        assert (found.status, found.explained_count) == (RunStatus.BREAKS, 0)
        case.refresh_from_db()
        assert (case.status, case.found, case.proposed_by, case.decided_by) == ("open", "71", None, None)

    def test_by_an_entry_that_does_not_help_is_open_again(self, case: Case, dalia: User, omar: User) -> None:
        entry = Entry.objects.latest("pk")
        cases.propose(by=dalia, case_id=case.pk, resolution="entry", note="This one.", entry_id=entry.pk)
        cases.approve(by=omar, case_id=case.pk, proposal=1)
        assert status(case) == CaseStatus.EXPLAINED
        assert reconcile().status == RunStatus.BREAKS
        assert status(case) == CaseStatus.OPEN

    def test_by_an_entry_that_helps_is_closed(
        self, case: Case, world: World, dalia: User, omar: User
    ) -> None:
        entry_id = world.book_deposit(case.txid, 70)
        cases.propose(by=dalia, case_id=case.pk, resolution="entry", note="Booked.", entry_id=entry_id)
        done = cases.approve(by=omar, case_id=case.pk, proposal=1)
        assert (done.entry_id, reconcile().status, status(case)) == (entry_id, RunStatus.CLEAN, "closed")


def suspend(dalia: User, omar: User) -> Case:
    """Book the one case to suspense."""
    case = Case.objects.get()
    cases.propose(by=dalia, case_id=case.pk, resolution="suspense", note="Nobody knows.")
    return cases.approve(by=omar, case_id=case.pk, proposal=1)


class TestSuspense:
    def test_takes_what_came_in(self, case: Case, dalia: User, omar: User) -> None:
        done = suspend(dalia, omar)
        entry = Entry.objects.get(pk=done.entry_id)
        assert (entry.kind, entry.actor, entry.approver) == ("suspense", "dalia", "omar")
        assert (entry.source_ref, entry.block_height) == (f"outpoint:{case.txid}:1", 100)
        lines = Posting.objects.filter(entry=entry).order_by("pk").values_list("account__code", "amount")
        assert list(lines) == [(ACCOUNTS.hot_wallet, 70), (SUSPENSE, -70)]
        assert (reconcile().status, status(case)) == (RunStatus.CLEAN, "suspended")
        assert reconcile(is_full=True).status == RunStatus.CLEAN

    def test_takes_what_went_out(self, world: World, dalia: User, omar: User) -> None:
        world.steal()
        lost_sat = 1_000_000 - 600 - witness.FEE_SAT
        reconcile()
        assert Entry.objects.get(pk=suspend(dalia, omar).entry_id).block_height == 100
        assert books.balance(SUSPENSE) == lost_sat
        assert [reconcile().status, reconcile(is_full=True).status] == [RunStatus.CLEAN] * 2

    def test_takes_what_a_tx_of_ours_paid_to_nobody_we_know(
        self, world: World, dalia: User, omar: User
    ) -> None:
        txid = digest_of("payout", 1)
        world.bend_output(txid, 3, is_ours=False)
        reconcile()
        suspend(dalia, omar)
        assert books.balance(SUSPENSE) == 1_000_000 - 600 - witness.FEE_SAT
        assert [reconcile().status, reconcile(is_full=True).status] == [RunStatus.CLEAN] * 2
        # It stays so when the payout is looked at for another reason.
        world.changed = {1}
        assert reconcile().status == RunStatus.CLEAN

    def test_whose_block_left_the_chain_is_a_break(self, world: World, dalia: User, omar: User) -> None:
        world.mine()
        world.deposit(9, 70, is_booked=False)
        reconcile()
        suspend(dalia, omar)
        assert reconcile().status == RunStatus.CLEAN
        world.reorg(1)
        assert [found.kind for found in reconcile().breaks.all()] == ["reorged_out"]

    def test_is_refused_for_what_is_known(self, world: World, dalia: User) -> None:
        world.bend_output(digest_of("payout", 1), 1, script_pubkey=witness.script_of("thief"))
        reconcile()
        with pytest.raises(InvalidInput):
            cases.propose(by=dalia, case_id=Case.objects.get().pk, resolution="suspense", note="Nobody.")


class TestRefusals:
    def refuse(self, error: type[GovPayError], act: Callable[[], Any]) -> None:
        before = list(Case.objects.values()), CaseEvent.objects.count(), Entry.objects.count()
        with pytest.raises(error):
            act()
        assert before == (list(Case.objects.values()), CaseEvent.objects.count(), Entry.objects.count())

    def test_of_the_proposer_as_second_person(self, case: Case, dalia: User) -> None:
        explain(case, dalia)
        self.refuse(SamePersonTwice, lambda: cases.approve(by=dalia, case_id=case.pk, proposal=1))
        self.refuse(SamePersonTwice, lambda: cases.reject(by=dalia, case_id=case.pk, proposal=1, note="No."))

    def test_of_the_same_person_by_another_name(self, case: Case, dalia: User) -> None:
        explain(case, dalia)
        dalia = factories.rename(dalia, "dahlia")
        self.refuse(SamePersonTwice, lambda: cases.approve(by=dalia, case_id=case.pk, proposal=1))

    def test_of_the_same_person_by_the_database(self, case: Case, dalia: User, omar: User) -> None:
        explain(case, dalia)
        rows = Case.objects.filter(pk=case.pk)
        for changes in (
            {"status": "explained", "decided_by": dalia},
            {"status": "explained"},
            {"status": "explained", "decided_by": omar, "proposed_by": None},
            {"status": "open"},
            {"status": "closed"},
            {"status": "done"},
            {"resolution": "entry"},
            {"note": ""},
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                rows.update(**changes)

    def test_of_who_only_reads(self, case: Case, auditor: User, dalia: User) -> None:
        self.refuse(Forbidden, lambda: explain(case, auditor))
        self.refuse(Forbidden, lambda: cases.assign(by=auditor, case_id=case.pk, owner="dalia"))
        explain(case, dalia)
        self.refuse(Forbidden, lambda: cases.approve(by=auditor, case_id=case.pk, proposal=1))

    def test_of_another_proposal_than_was_seen(self, case: Case, dalia: User, omar: User) -> None:
        explain(case, dalia)
        cases.withdraw(by=dalia, case_id=case.pk, proposal=1)
        cases.propose(by=dalia, case_id=case.pk, resolution="suspense", note="Nobody knows.")
        self.refuse(cases.ProposalStale, lambda: cases.approve(by=omar, case_id=case.pk, proposal=1))

    def test_of_what_is_not_open(self, case: Case, dalia: User, omar: User) -> None:
        self.refuse(cases.CaseState, lambda: cases.approve(by=omar, case_id=case.pk, proposal=0))
        explain(case, dalia)
        self.refuse(cases.CaseState, lambda: explain(case, omar))
        cases.approve(by=omar, case_id=case.pk, proposal=1)
        self.refuse(cases.CaseState, lambda: cases.approve(by=omar, case_id=case.pk, proposal=1))

    @pytest.mark.parametrize(
        "asked",
        [
            {"resolution": "evidence", "note": " "},
            {"resolution": "evidence", "note": "x" * 1_001},
            {"resolution": "luck", "note": "It will be fine."},
            {"resolution": "entry", "note": "Which?"},
            {"resolution": "entry", "note": "Not there.", "entry_id": 999_999_999},
            {"resolution": "evidence", "note": "Both.", "entry_id": 1},
            {"resolution": "suspense", "note": "A file.", "evidence_sha256": bytes(32)},
            {"resolution": "evidence", "note": "Where?", "account": ACCOUNTS.appropriation},
        ],
    )
    def test_of_a_proposal_that_explains_nothing(
        self, case: Case, dalia: User, asked: dict[str, Any]
    ) -> None:
        self.refuse(InvalidInput, lambda: cases.propose(by=dalia, case_id=case.pk, **asked))

    def test_of_what_is_not_there(self, case: Case, dalia: User) -> None:
        self.refuse(NotFound, lambda: cases.assign(by=dalia, case_id=case.pk + 1, owner="dalia"))
        self.refuse(InvalidInput, lambda: cases.assign(by=dalia, case_id=case.pk, owner="nobody"))
        with pytest.raises(NotFound):
            cases.get(case.pk + 1)


class TestPeople:
    def test_own_cases(self, case: Case, dalia: User, omar: User, auditor: User) -> None:
        cases.assign(by=dalia, case_id=case.pk, owner="omar")
        assert Case.objects.get().owner == omar
        with pytest.raises(InvalidInput):
            cases.assign(by=dalia, case_id=case.pk, owner="auditor")
        assert actions(case)[-1] == ("assigned", "dalia")

    def test_may_have_the_name_that_another_had(self, case: Case, dalia: User, omar: User) -> None:
        cases.propose(by=dalia, case_id=case.pk, resolution="suspense", note="Nobody knows.")
        dalia, omar = factories.rename(dalia, "dahlia"), factories.rename(omar, "dalia")
        done = cases.approve(by=omar, case_id=case.pk, proposal=1)
        entry = Entry.objects.get(pk=done.entry_id)
        assert (entry.actor, entry.approver) == ("dahlia", "dalia")
        found = CaseEvent.objects.filter(user__isnull=False).order_by("pk").values_list("actor", "user_id")
        assert list(found) == [("dalia", dalia.pk), ("dalia", omar.pk)]

    def test_reject_and_withdraw(self, case: Case, dalia: User, omar: User) -> None:
        explain(case, dalia)
        assert cases.reject(by=omar, case_id=case.pk, proposal=1, note="No such letter.").status == "open"
        explain(case, omar)
        with pytest.raises(Forbidden):
            cases.withdraw(by=dalia, case_id=case.pk, proposal=2)
        assert cases.withdraw(by=omar, case_id=case.pk, proposal=2).status == "open"
        assert [action for action, _ in actions(case)][1:] == [
            "proposed",
            "rejected",
            "proposed",
            "withdrawn",
        ]

    def test_who_approve_at_once_book_suspense_once(self, case: Case, dalia: User) -> None:
        approvers = [factories.make_user(f"approver{number}", cases.RIGHT) for number in range(4)]
        cases.propose(by=dalia, case_id=case.pk, resolution="suspense", note="Nobody knows.")
        meet, outcomes = threading.Barrier(4, timeout=30), []

        def approve(by: User) -> None:
            try:
                meet.wait()
                cases.approve(by=by, case_id=case.pk, proposal=1)
                outcomes.append("approved")
            except cases.CaseState:
                outcomes.append("too late")
            finally:
                connection.close()

        threads = [threading.Thread(target=approve, args=[by]) for by in approvers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["approved", "too late", "too late", "too late"]
        assert Entry.objects.filter(kind="suspense").count() == 1
        assert reconcile().status == RunStatus.CLEAN

    def test_who_agree_while_a_run_closes_the_case_are_too_late(
        self, case: Case, world: World, dalia: User, omar: User
    ) -> None:
        explain(case, dalia)
        world.book_deposit(case.txid, 70)
        _, second = racing.race(reconcile, lambda: cases.approve(by=omar, case_id=case.pk, proposal=1))
        assert isinstance(second.error, cases.CaseState)
        assert status(case) == CaseStatus.CLOSED

    def test_who_agreed_while_a_run_compared_are_heard(self, case: Case, dalia: User, omar: User) -> None:
        """The run began before they agreed: it begins again."""
        explain(case, dalia)
        _, second = racing.race(lambda: cases.approve(by=omar, case_id=case.pk, proposal=1), reconcile)
        assert second.error is None
        run = case.last_run.__class__.objects.latest("pk")
        assert (run.status, run.explained_count) == (RunStatus.CLEAN, 1)
        assert status(case) == CaseStatus.EXPLAINED
