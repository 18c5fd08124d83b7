"""A list's page: how far it is, who did what, what speaks against it, what it costs, and what proves it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger.models import Break, PackJob, ReconciliationRun
from payments.admin.disbursement import DisbursementAdmin
from payments.models import Destination, Disbursement, Intervention, Payment, Payout, PayoutTx, Program
from payments.selectors import paying
from payments.services import disbursements, holds
from payments.states import PayoutStatus
from tests import factories, racing
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


def page(row: Disbursement, verb: str = "change") -> str:
    return reverse(f"admin:payments_disbursement_{verb}", args=[row.pk])


def text_of(answer: Any) -> str:
    """The words of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", answer.content.decode()))


def release(made: Disbursement, releaser: User) -> Disbursement:
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """A list of nine lines: one payout a stage, and a line each that waits, is held and is withdrawn."""
    factories.fund(program, 10_000_000)
    made = scenes.approved(program, officer, approver, amounts_sat=[10_000 * n for n in range(1, 10)])
    lines = list(Payment.objects.filter(disbursement=made).order_by("line"))
    for line in lines[7:9]:
        holds.hold(by=officer, payment_id=line.pk, note="Is she dead?")
    holds.withdraw(by=approver, payment_id=lines[8].pk, note="She is.")
    made = release(made, releaser)
    for line, status in zip(
        lines,
        (
            *(PayoutStatus.SETTLED, PayoutStatus.SETTLED, PayoutStatus.MINED),
            *(PayoutStatus.SENT, PayoutStatus.SIGNED, PayoutStatus.FROZEN),
        ),
        strict=False,
    ):
        scenes.make_payout(made, [line], status=status)
    return Disbursement.objects.get(pk=made.pk)


def raise_fee(payout: Payout, feerate_sat_kvb: int, **columns: Any) -> PayoutTx:
    """Add a version as a bump writes it."""
    old = payout.current
    assert old is not None
    version = PayoutTx.objects.create(
        payout=payout,
        kind="bump",
        txid=scenes.digest(f"bump {payout.pk} {feerate_sat_kvb}"),
        unsigned_tx=b"\x02",
        raw=b"\x02\x01",
        fee_sat=old.fee_sat + 1_000,
        fee_added_sat=1_000,
        change_sat=0,
        vsize_vb=617,
        feerate_sat_kvb=feerate_sat_kvb,
        signed_at=timezone.now(),
        **columns,
    )
    Payout.objects.filter(pk=payout.pk).update(current=version)
    payout.refresh_from_db()
    return version


class TestPaying:
    def test_counts_every_line_at_its_stage(self, released: Disbursement) -> None:
        found = paying.of_list(released)
        assert [(tally.stage.value, tally.count, tally.amount) for tally in found.tallies] == [
            ("settled", 2, 30_000),
            ("mined", 1, 30_000),
            ("sent", 1, 40_000),
            ("sealed", 1, 50_000),
            ("pending", 1, 70_000),
            ("held", 1, 80_000),
            ("frozen", 1, 60_000),
            ("cancelled", 1, 90_000),
        ]
        assert (found.settled, found.payable, found.percent) == (2, 8, 25)

    def test_takes_no_line_of_a_payout_that_was_unsealed(self, released: Disbursement) -> None:
        line = Payment.objects.get(disbursement=released, payout__status=PayoutStatus.SIGNED)
        payout_id = line.payout_id
        Payment.objects.filter(pk=line.pk).update(payout=None, vout=None)
        Payout.objects.filter(pk=payout_id).update(status=PayoutStatus.UNSEALED)
        by_stage = {tally.stage.value: tally.count for tally in paying.of_list(released).tallies}
        assert (by_stage["pending"], "sealed" in by_stage) == (2, False)

    def test_is_told_to_those_who_do_not_see_the_bar(
        self, released: Disbursement, auditor: User, browser: Browser
    ) -> None:
        shown = browser(auditor).get(page(released)).content.decode()
        assert 'aria-valuemax="8" aria-valuenow="2"' in shown
        assert "2 of 8 payments are settled. Settled: 2; Seen in a block: 1; Sent: 1;" in shown

    def test_asks_again_only_while_the_list_is_paid(
        self, released: Disbursement, auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        part = client.get(page(released, "paying"), headers={"HX-Request": "true"})
        assert "no-store" in part["Cache-Control"]
        assert part.content.decode().count("<section") == 1
        assert f'hx-get="{page(released, "paying")}"' in part.content.decode()
        Disbursement.objects.filter(pk=released.pk).update(status="completed")
        part = client.get(page(released, "paying"), headers={"HX-Request": "true"})
        assert "hx-get" not in part.content.decode()

    def test_ends_when_the_session_has_ended(self, released: Disbursement) -> None:
        part = Client().get(page(released, "paying"), headers={"HX-Request": "true"})
        assert (part.status_code, part["HX-Refresh"], part.content) == (286, "true", b"")
        assert Client().get(page(released, "paying")).status_code == 302

    def test_does_not_lengthen_the_session(
        self, released: Disbursement, auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        before = client.session.get_expiry_date()
        with CaptureQueriesContext(connection) as captured:
            part = client.get(page(released, "paying"), headers={"HX-Request": "true"})
        assert "sessionid" not in part.cookies
        assert [query["sql"] for query in captured if not query["sql"].startswith("SELECT")] == []
        assert client.session.get_expiry_date() >= before

    def test_is_hidden_from_another_program(self, released: Disbursement, browser: Browser) -> None:
        stranger = factories.make_member(factories.make_program("OTHER"), "officer")
        assert browser(stranger).get(page(released, "paying")).status_code == 404


class TestTimeline:
    def test_tells_who_did_what_in_order(
        self, released: Disbursement, auditor: User, officer: User, approver: User, browser: Browser
    ) -> None:
        steps = browser(auditor).get(page(released)).context["timeline"].steps
        assert [re.sub("<[^>]*>", "", f"{step.what} {step.who}") for step in steps] == [
            "Made officer-pensions",
            "Submitted officer-pensions",
            "Approved approver-pensions",
            "Released releaser-pensions",
        ]
        assert all(step.when.endswith(" UTC</time>") for step in steps)


class TestScreened:
    def test_shows_who_shares_an_address_and_who_was_stopped(
        self, program: Program, officer: User, approver: User, auditor: User, browser: Browser
    ) -> None:
        factories.fund(program, 10_000_000)
        made = factories.make_disbursement(program, officer)
        first, _, third = Payment.objects.filter(disbursement=made).order_by("line")
        Destination.objects.create(
            beneficiary=third.beneficiary,
            script_pubkey=bytes(first.beneficiary.destinations.get().script_pubkey),
            is_current=False,
            created_by=officer,
        )
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        holds.hold(by=officer, payment_id=third.pk, note="Is he dead?")
        holds.resume(by=approver, payment_id=third.pk, note="He is not.")
        other = third.beneficiary.enrollments.get().reference
        for client, url in ((browser(auditor), page(made)), (browser(approver), page(made, "approve"))):
            answer = client.get(url)
            tables = {table.title: table for table in answer.context["tables"]}
            counts = [re.sub("<[^>]*>", "", " | ".join(row)) for row in tables["Holds and duplicates"].rows]
            assert counts == [
                "Somebody else is or was paid at this address | 1 | 50,000 sat | 0 | 0",
                "An officer stopped it | 0 | 0 sat | 1 | 0",
            ]
            shared = tables["Lines whose address somebody else has, too"].rows
            assert [(other in row[3], "held" in row[4]) for row in shared] == [(True, True)]
            (stopped,) = tables["Lines that a rule or a person stopped"].rows
            assert ("Is he dead?" in stopped[3], "let go" in stopped[5]) == (True, True)
        assert "1 line of 50,000 sat; the rest is paid" in text_of(answer)

    def test_says_that_nothing_speaks_against_a_list(
        self, program: Program, officer: User, auditor: User, browser: Browser
    ) -> None:
        made = factories.make_disbursement(program, officer)
        assert "Lines are checked when the list is submitted." in text_of(browser(auditor).get(page(made)))
        disbursements.submit(by=officer, disbursement_id=made.pk)
        assert "No rule speaks against any line." in text_of(browser(auditor).get(page(made)))


class TestCosts:
    def test_are_projected_before_and_added_up_after_the_release(
        self, program: Program, officer: User, approver: User, releaser: User, browser: Browser
    ) -> None:
        factories.fund(program, 10_000_000)
        made = scenes.approved(program, officer, approver, amounts_sat=[100_000] * 3)
        answer = browser(releaser).get(page(made, "release"))
        tables = {table.title: table for table in answer.context["tables"]}
        costs = [re.sub("<[^>]*>", "", " | ".join(row)) for row in tables["What paying it will cost"].rows]
        # One input and four outputs of P2WPKH: 203 vB.
        assert costs == [
            "1 sat/vB | 203 sat | 67.7 sat | 0.068 %",
            "5 sat/vB | 1,015 sat | 338.3 sat | 0.338 %",
            "20 sat/vB | 4,060 sat | 1,353.3 sat | 1.353 %",
            "50 sat/vB | 10,150 sat | 3,383.3 sat | 3.383 %",
        ]
        assert "203 sat at 1 sat/vB to 10,150 sat at 50 sat/vB" in text_of(answer)
        made = release(made, releaser)
        scenes.make_payout(made, list(Payment.objects.filter(disbursement=made)))
        tables = {table.title: table for table in browser(releaser).get(page(made)).context["tables"]}
        assert "What paying it will cost" not in tables
        (row,) = tables["What paying it has cost"].rows
        ceiling = f"{made.fee_reserved_sat:,} sat"
        assert [re.sub("<[^>]*>", "", cell) for cell in row] == [
            *("1,234 sat", "0 sat", ceiling, "411.3 sat", "0.411 %"),
        ]


class TestVersions:
    def test_tells_from_what_to_what_a_fee_was_raised_by_whom_and_why(
        self, released: Disbursement, auditor: User, browser: Browser
    ) -> None:
        sent = Payout.objects.get(disbursement=released, status=PayoutStatus.SENT)
        treasurer = factories.make_member(released.program, "treasurer")
        raise_fee(sent, 3_000)
        asked = raise_fee(sent, 9_000)
        Intervention.objects.create(
            kind="bump",
            payout=sent,
            wallet=sent.wallet,
            status="done",
            needs_second=False,
            note="It was promised for today.",
            proposed_by=treasurer,
            version=asked,
        )
        tables = {table.title: table for table in browser(auditor).get(page(released)).context["tables"]}
        rows = [[re.sub("<[^>]*>", "", str(cell)) for cell in row] for row in tables["Raised fees"].rows]
        assert [row[1:3] + row[4:] for row in rows] == [
            [
                *(f"Payout {sent.pk}", "Fee bump", "3,234 sat, 1,000 more", "3 sat/vB → 9 sat/vB"),
                "treasurer-pensions: It was promised for today.",
            ],
            [
                *(f"Payout {sent.pk}", "Fee bump", "2,234 sat, 1,000 more", "2 sat/vB → 3 sat/vB"),
                "The engine: it waited, or nodes took it no more.",
            ],
        ]
        first = re.sub("<[^>]*>", "", tables["Payouts"].rows[0][1])
        assert first == "Frozen"


class TestProved:
    def reader(self, user: User, *rights: str) -> User:
        user.user_permissions.add(*Permission.objects.filter(codename__in=rights))
        return User.objects.get(pk=user.pk)

    def test_shows_what_the_last_run_found_of_this_list_alone(
        self, released: Disbursement, auditor: User, browser: Browser
    ) -> None:
        titles = [table.title for table in browser(auditor).get(page(released)).context["tables"]]
        assert [title for title in titles if "Reconciliation" in title or "books" in title] == []
        reader = self.reader(auditor, "view_entry")
        tables = browser(reader).get(page(released)).context["tables"]
        (table,) = [table for table in tables if table.title == "Reconciliation"]
        assert (table.rows, table.empty) == (
            [],
            "Claims, books and blocks have not been compared yet.",
        )
        now = timezone.now()
        run = ReconciliationRun.objects.create(
            scope=released.program.scope,
            status="breaks",
            block_height=7,
            block_hash="ab" * 32,
            break_count=2,
            digest=bytes(32),
            started_at=now,
            finished_at=now,
        )
        mine = Payment.objects.filter(disbursement=released).earliest("pk")
        for payment_id in (mine.pk, mine.pk + 1_000_000):
            Break.objects.create(run=run, kind="amount", payment_id=payment_id, message="It is another one.")
        tables = browser(reader).get(page(released)).context["tables"]
        (table,) = [t for t in tables if t.title == "Reconciliation of its program, the last run"]
        assert re.sub("<[^>]*>", "", table.rows[0][4]) == "1"
        (differences,) = [t for t in tables if t.title == "Differences in this list"]
        assert [row[1] for row in differences.rows] == [f"Payment {mine.pk}"]

    def test_offers_the_pack_to_those_who_make_packs(
        self, released: Disbursement, auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        assert page(released, "pack") not in client.get(page(released)).content.decode()
        assert client.post(page(released, "pack")).status_code == 403
        maker = browser(self.reader(auditor, "make_pack"))
        assert page(released, "pack") in maker.get(page(released)).content.decode()
        refused = maker.post(page(released, "pack"))
        assert refused.status_code == 409
        assert "There is no checkpoint of the books yet" in refused.content.decode()
        assert not PackJob.objects.exists()
        PackJob.objects.create(
            kind="disbursement", name=str(released.pk), asked_by="a", status="running", done=3, total=9
        )
        done = PackJob.objects.create(
            kind="disbursement",
            name=str(released.pk),
            asked_by="a",
            status="done",
            size_bytes=12_345,
            sha256=bytes(32),
        )
        PackJob.objects.create(kind="disbursement", name=f"{released.pk}0", asked_by="a")
        shown = maker.get(page(released)).content.decode()
        assert "Running: 3 of 9 entries" in shown
        assert "12,345 bytes" in shown
        assert shown.count(reverse("admin:ledger_packjob_download", args=[done.pk])) == 1


class TestQueries:
    @pytest.mark.parametrize("verb", ["change", "paying", "approve"])
    def test_are_as_many_for_many_payouts_and_holds_as_for_one(
        self,
        verb: str,
        program: Program,
        officer: User,
        approver: User,
        releaser: User,
        browser: Browser,
    ) -> None:
        factories.fund(program, 100_000_000)
        approver.user_permissions.add(*Permission.objects.filter(codename__in=["view_entry", "make_pack"]))
        client = browser(User.objects.get(pk=approver.pk))
        found = []
        for period, count in (("2026-01", 2), ("2026-02", 30)):
            amounts = [50_000 + n for n in range(2 * count)]
            if verb == "approve":
                made = factories.make_disbursement(program, officer, amounts_sat=amounts, period=period)
                made = disbursements.submit(by=officer, disbursement_id=made.pk)
            else:
                made = scenes.approved(program, officer, approver, amounts_sat=amounts, period=period)
            lines = list(Payment.objects.filter(disbursement=made).order_by("line"))
            for line in lines[count:]:
                holds.hold(by=officer, payment_id=line.pk, note="Is she dead?")
            if verb != "approve":
                made = release(made, releaser)
                for line in lines[:count]:
                    raise_fee(scenes.make_payout(made, [line]), 3_000)
            client.get(page(made, verb))
            with CaptureQueriesContext(connection) as captured:
                assert client.get(page(made, verb)).status_code == 200
            found.append(len(captured))
        assert found[0] == found[1]


@pytest.mark.django_db(transaction=True)
def test_is_of_one_moment_whatever_is_done_meanwhile(
    program: Program, officer: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factories.make_disbursement(program, officer)
    find = DisbursementAdmin.get_object
    raced: list[racing.Racer] = []

    def found_and_submitted(self: DisbursementAdmin, *args: Any) -> Any:
        row = find(self, *args)
        if not raced:
            raced.append(racing.Racer(lambda: disbursements.submit(by=officer, disbursement_id=made.pk)))
            raced[0].start()
            raced[0].join(racing.DEADLINE_S)
        return row

    client = browser(officer)
    with monkeypatch.context() as patch:
        patch.setattr(DisbursementAdmin, "get_object", found_and_submitted)
        before = text_of(client.get(page(made)))
    after = text_of(client.get(page(made)))
    assert raced[0].error is None
    told = "the maker fixed the list"
    assert (told in before, told in after) == (False, True)
    assert ("Status Draft" in before, "Status Submitted" in after) == (True, True)
