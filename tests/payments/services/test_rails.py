"""Lists by bank or voucher: the same three people, one file, the bank's answer in the books, and no second leg (R-20)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from govpay.errors import InvalidInput, SamePersonTwice
from ledger.models import Entry
from payments.models import (
    Alarm,
    BankAccount,
    BankFile,
    BankFileLine,
    Disbursement,
    Hold,
    PayingAccount,
    Payment,
    Payout,
    Program,
    Quote,
    Rail,
    Voucher,
)
from payments.payout import derive, screening, seal
from payments.services import (
    bank_files,
    bank_reports,
    bank_writing,
    conversions,
    disbursements,
    holds,
    rail_legs,
    rails,
    reissues,
    vouchers,
)
from tests import banking, factories, railing
from tests.payments.admin import scenes
from tests.railing import AMOUNTS, Cast, balances, draft, release, statuses

pytestmark = pytest.mark.django_db


@pytest.fixture
def money(db: None) -> Program:
    """A program that owes rupees, with 100,000.00 of cash."""
    return railing.make_money()


@pytest.fixture
def cast(money: Program) -> Cast:
    """Make, approve, release, and carry files to the bank."""
    return railing.make_cast(money)


@pytest.fixture
def banked(money: Program, cast: Cast) -> tuple[Disbursement, BankFile, bytes]:
    """A released list whose file is at the bank."""
    made = release(draft(money, cast, Rail.BANK), cast)
    file = BankFile.objects.get()
    bank_writing.write(file.pk)
    found, data = bank_writing.fetch(by=cast[3], bank_file_id=file.pk)
    return made, found, data.read()


def release_in_bitcoin(made: Disbursement, cast: Cast) -> Disbursement:
    """Submit, approve and release a list by a quote, in a wallet that carries it."""
    factories.fund(made.program, 10_000_000)
    submitted = disbursements.submit(by=cast[0], disbursement_id=made.pk)
    agreed = bytes(submitted.manifest_hash or b"")
    disbursements.approve(by=cast[1], disbursement_id=made.pk, manifest_hash=agreed)
    quote_id = factories.make_quote().pk
    return disbursements.release(by=cast[2], disbursement_id=made.pk, manifest_hash=agreed, quote_id=quote_id)


def take(money: Program, cast: Cast, data: bytes, *codes: str) -> None:
    """Let the bank answer the transfers in their order."""
    ids = [each["id"] for each in banking.read(data)["transfers"]]
    said = {key: (code, "AC04" if code == "RJCT" else "") for key, code in zip(ids, codes, strict=False)}
    bank_reports.take_of_program(by=cast[3], program_id=money.pk, file=banking.answer(data, said))


class TestChoose:
    """A rail is chosen of a draft, for all of its lines."""

    def test_refuses_satoshis(self, program: Program, officer: User) -> None:
        made = factories.make_disbursement(program, officer)
        with pytest.raises(rails.RailNeedsMoney):
            rails.choose(by=officer, disbursement_id=made.pk, rail=Rail.BANK)

    def test_refuses_another_word(self, money: Program, cast: Cast) -> None:
        with pytest.raises(InvalidInput):
            draft(money, cast, "cheque")

    def test_the_database_holds_every_line_to_its_list(self, money: Program, cast: Cast) -> None:
        made = draft(money, cast, Rail.BANK)
        with pytest.raises(DatabaseError, match="paid as its list says"), transaction.atomic():
            Payment.objects.filter(disbursement=made, line=1).update(rail=Rail.VOUCHER)
        disbursements.submit(by=cast[0], disbursement_id=made.pk)
        with pytest.raises(DatabaseError, match="chosen while it is a draft"), transaction.atomic():
            Disbursement.objects.filter(pk=made.pk).update(rail=Rail.BITCOIN)

    def test_a_list_by_bank_names_every_person_without_an_account(self, money: Program, cast: Cast) -> None:
        made = draft(money, cast, Rail.BANK)
        BankAccount.objects.filter(beneficiary__payments__line=2).update(is_current=False)
        with pytest.raises(InvalidInput) as refusal:
            disbursements.submit(by=cast[0], disbursement_id=made.pk)
        assert [(each["row"], each["code"]) for each in refusal.value.details["errors"]] == [
            (2, "account_missing")
        ]

    def test_no_quote_is_taken_for_what_is_not_paid_in_bitcoin(self, money: Program, cast: Cast) -> None:
        made = railing.agree(draft(money, cast, Rail.VOUCHER), cast)
        with pytest.raises(conversions.QuoteUnneeded):
            conversions.preview(by=cast[2], disbursement_id=made.pk)
        assert Quote.objects.count() == 0

    def test_a_list_without_an_account_to_pay_from_is_not_released(self, money: Program, cast: Cast) -> None:
        PayingAccount.objects.update(ended_at=timezone.now())
        with pytest.raises(bank_files.NoPayingAccount):
            release(draft(money, cast, Rail.BANK), cast)
        assert Disbursement.objects.get().status == "approved"


class TestBank:
    """From the release to the bank's last word."""

    def test_makes_one_file_of_what_was_agreed_to(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        made, file, data = banked
        rails.pay(made.pk)
        assert BankFile.objects.count() == 1
        said = banking.read(data)
        assert (said["count"], said["sum"]) == ("3", "30000.00")
        assert [each["amount"] for each in said["transfers"]] == ["14500.00", "15000.00", "500.00"]
        owners = [payment.beneficiary_id for payment in made.payments.order_by("line")]
        assert [each["iban"] for each in said["transfers"]] == [banking.iban(pk) for pk in owners]
        entry = Entry.objects.get(kind="rail_sent")
        digest = bytes(file.sha256 or b"").hex()
        assert entry.memo == f"File {file.message_id}, SHA-256 {digest}, from line 1"
        assert balances(money) == {
            "cash": 7_000_000,
            "transit": 3_000_000,
            "payable": -3_000_000,
            "transfers": 3_000_000,
        }

    def test_what_the_bank_paid_is_cleared_and_what_it_rejected_is_void_and_back(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        made, _, data = banked
        take(money, cast, data, "ACSC", "RJCT")
        assert statuses(made) == ["pending", "voided", "pending"]
        assert balances(money) == {
            "cash": 8_500_000,
            "transit": 50_000,
            "payable": -50_000,
            "transfers": 1_500_000,
        }
        take(money, cast, data, "ACSC", "RJCT", "ACSC")
        derive.derive()
        made.refresh_from_db()
        assert made.status == "completed"
        assert balances(money) == {"cash": 8_500_000, "transit": 0, "payable": 0, "transfers": 1_500_000}
        period = money.budget_periods.get()
        assert (period.committed_sat, period.spent_sat) == (1_500_000, 1_500_000)

    def test_a_long_list_is_settled_and_given_back_in_parts(
        self,
        money: Program,
        cast: Cast,
        banked: tuple[Disbursement, BankFile, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        made, _, data = banked
        monkeypatch.setattr(rail_legs, "AT_ONCE", 1)
        take(money, cast, data, "ACSC", "RJCT", "RJCT")
        assert statuses(made) == ["pending", "voided", "voided"]
        assert Entry.objects.filter(kind="rail_settled").count() == 1
        assert Entry.objects.filter(kind="rail_returned").count() == 2
        assert balances(money) == {"cash": 8_550_000, "transit": 0, "payable": 0, "transfers": 1_450_000}

    def test_a_refused_report_books_nothing(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        _, _, data = banked
        before, entries = balances(money), Entry.objects.count()
        first = banking.read(data)["transfers"][0]["id"]
        with pytest.raises(InvalidInput):
            bank_reports.take_of_program(
                by=cast[3],
                program_id=money.pk,
                file=banking.answer(data, {first: ("ACSC", "")}, amount="14500.01"),
            )
        assert (balances(money), Entry.objects.count()) == (before, entries)

    def test_a_line_that_was_changed_after_the_approval_is_in_no_file(
        self, money: Program, cast: Cast
    ) -> None:
        made = draft(money, cast, Rail.BANK)
        made = disbursements.submit(by=cast[0], disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=cast[1], disbursement_id=made.pk, manifest_hash=agreed)
        made = disbursements.release(by=cast[2], disbursement_id=made.pk, manifest_hash=agreed)
        other = banking.make_account(factories.make_enrollment(money).beneficiary, cast[0])
        Payment.objects.filter(disbursement=made, line=1).update(bank_account=other)
        rails.pay(made.pk)
        made.refresh_from_db()
        assert "not what people agreed to" in made.problem
        assert not BankFile.objects.exists()

    def test_a_line_that_was_changed_before_the_file_was_written_stops_it(
        self, money: Program, cast: Cast
    ) -> None:
        made = release(draft(money, cast, Rail.BANK), cast)
        file = BankFile.objects.get()
        other = banking.make_account(factories.make_enrollment(money).beneficiary, cast[0])
        Payment.objects.filter(disbursement=made, line=1).update(bank_account=other)
        bank_writing.write(file.pk)
        file.refresh_from_db()
        assert (file.status, "not what people agreed to" in file.problem) == ("waiting", True)
        assert Alarm.objects.filter(code="approval_forged", closed_at=None).exists()
        with pytest.raises(bank_writing.BankFileNotReady, match="agreed to"):
            bank_writing.fetch(by=cast[3], bank_file_id=file.pk)
        assert not Entry.objects.filter(kind="rail_sent").exists()

    @pytest.mark.parametrize("tampered", ["account", "line"])
    def test_no_file_pays_at_an_account_whose_number_nobody_agreed_to(
        self, money: Program, cast: Cast, tampered: str
    ) -> None:
        made = railing.agree(draft(money, cast, Rail.BANK), cast)
        mine, others = BankAccount.objects.order_by("pk")[:2]
        if tampered == "account":
            # What is encrypted is moved to another row, whose keyed hash stays, as does the manifest with that.
            BankAccount.objects.filter(pk=others.pk).update(account=mine.account)
        agreed = bytes(made.manifest_hash or b"")
        disbursements.release(by=cast[2], disbursement_id=made.pk, manifest_hash=agreed)
        rails.pay(made.pk)
        file = BankFile.objects.get()
        if tampered == "line":
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute("ALTER TABLE payments_bankfileline DISABLE TRIGGER USER")
            BankFileLine.objects.filter(number=2).update(account=mine.account)
        bank_writing.write(file.pk)
        file.refresh_from_db()
        assert (file.status, "transfer 2 of file" in file.problem) == ("waiting", True)
        assert Alarm.objects.filter(code="approval_forged", closed_at=None).exists()
        with pytest.raises(bank_writing.BankFileNotReady, match="another account"):
            bank_writing.fetch(by=cast[3], bank_file_id=file.pk)
        assert not Entry.objects.filter(kind="rail_sent").exists()

    def test_what_is_on_its_way_cannot_be_stopped(
        self, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        payment = banked[0].payments.get(line=1)
        with pytest.raises(holds.PaymentSealed):
            holds.hold(by=cast[0], payment_id=payment.pk, note="Wait.")
        with pytest.raises(DatabaseError, match="cannot be stopped"), transaction.atomic():
            Payment.objects.filter(pk=payment.pk).update(status="cancelled")

    def test_what_was_held_comes_in_a_further_file(self, money: Program, cast: Cast, settings: Any) -> None:
        settings.GOVPAY_PAYEE_CHECK_URL = "http://127.0.0.1:9/"
        made = draft(money, cast, Rail.BANK)
        one, two = made.payments.filter(line__in=(1, 2)).order_by("line")
        BankAccount.objects.filter(beneficiary=one.beneficiary_id).update(title_match="NMTC")
        BankAccount.objects.filter(beneficiary=two.beneficiary_id).update(title_match="")
        release(made, cast)
        assert statuses(made) == ["held", "held", "pending"]
        assert sorted(Hold.objects.values_list("rule", flat=True)) == ["title_mismatch", "title_unconfirmed"]
        assert list(BankFileLine.objects.values_list("amount_minor", flat=True)) == [50_000]
        with pytest.raises(SamePersonTwice):
            holds.resume(by=cast[0], payment_id=one.pk, note="It is her maiden name.")
        with pytest.raises(holds.HoldStands):
            holds.resume(by=cast[1], payment_id=two.pk, note="It will be right.")
        holds.resume(by=cast[1], payment_id=one.pk, note="It is her maiden name.")
        BankAccount.objects.filter(beneficiary=two.beneficiary_id).update(title_match="MTCH")
        screening.review(made.pk)
        rails.pay(made.pk)
        files = BankFile.objects.order_by("part").values_list("part", "line_count", "total_minor")
        assert list(files) == [(1, 1, 50_000), (2, 2, 2_950_000)]

    def test_holds_an_account_that_somebody_else_has_or_that_was_just_changed(
        self, money: Program, cast: Cast
    ) -> None:
        made = draft(money, cast, Rail.BANK)
        one, two, _ = made.payments.order_by("line")
        twin = factories.make_enrollment(money).beneficiary
        banking.make_account(twin, cast[0], number=one.beneficiary_id)
        changed = BankAccount.objects.get(beneficiary=two.beneficiary_id)
        BankAccount.objects.filter(pk=changed.pk).update(is_current=False)
        banking.make_account(
            two.beneficiary,
            cast[0],
            number=two.beneficiary_id + 10**9,
            replaces=changed,
            decided_by=cast[1],
            decided_at=timezone.now(),
            changed_at=timezone.now(),
        )
        release(made, cast)
        found = Hold.objects.order_by("payment__line").values_list("payment__line", "rule")
        assert list(found) == [(1, "destination_shared"), (2, "destination_cooling")]


class TestMove:
    """Moving a payment to another rail needs the proof that its first leg is dead."""

    def test_what_was_void_in_bitcoin_is_paid_by_bank(self, money: Program, cast: Cast) -> None:
        first = factories.make_disbursement(money, cast[0], amounts_minor=AMOUNTS)
        release_in_bitcoin(first, cast)
        payout = scenes.make_payout(first, list(first.payments.order_by("line")[:2]), status="sent")
        with pytest.raises(reissues.VoidNotFinal):
            reissues.of_payout(by=cast[0], payout_id=payout.pk)
        Payout.objects.filter(pk=payout.pk).update(status="voided")
        Payment.objects.filter(payout=payout).update(status="voided")
        again = reissues.of_payout(by=cast[0], payout_id=payout.pk)
        for payment in again.payments.all():
            banking.make_account(payment.beneficiary, cast[0])
        rails.choose(by=cast[0], disbursement_id=again.pk, rail=Rail.BANK)
        release(again, cast)
        assert (
            list(BankFileLine.objects.order_by("number").values_list("amount_minor", flat=True))
            == AMOUNTS[:2]
        )

    @pytest.mark.parametrize("rail", [Rail.BANK, Rail.VOUCHER])
    def test_what_is_not_void_any_more_is_paid_by_nothing_else(
        self, money: Program, cast: Cast, rail: str
    ) -> None:
        first = factories.make_disbursement(money, cast[0], amounts_minor=AMOUNTS[:2])
        release_in_bitcoin(first, cast)
        payout = scenes.make_payout(first, list(first.payments.order_by("line")), status="sent")
        Payout.objects.filter(pk=payout.pk).update(status="voided")
        Payment.objects.filter(payout=payout).update(status="voided")
        again = reissues.of_payout(by=cast[0], payout_id=payout.pk)
        for payment in again.payments.all():
            banking.make_account(payment.beneficiary, cast[0])
        rails.choose(by=cast[0], disbursement_id=again.pk, rail=rail)
        railing.agree(again, cast)
        waits, goes = again.payments.order_by("line")
        holds.hold(by=cast[0], payment_id=waits.pk, note="Wait.")
        again.refresh_from_db()
        agreed = bytes(again.manifest_hash or b"")
        disbursements.release(by=cast[2], disbursement_id=again.pk, manifest_hash=agreed)
        rails.pay(again.pk)
        holds.resume(by=cast[1], payment_id=waits.pk, note="Go on.")
        # A very long reorganization, and the payout that was void may confirm after all.
        Payout.objects.filter(pk=payout.pk).update(status="sent")
        rails.pay(again.pk)
        assert list(again.payments.filter(sent_at__isnull=False)) == [goes]
        Payout.objects.filter(pk=payout.pk).update(status="voided")
        rails.pay(again.pk)
        assert again.payments.filter(sent_at__isnull=False).count() == 2

    def test_what_the_bank_rejected_is_claimed_for_bitcoin_again(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        made, _, data = banked
        take(money, cast, data, "ACSC", "RJCT")
        again = reissues.of_list(by=cast[0], disbursement_id=made.pk)
        assert again.rail == Rail.BITCOIN
        release_in_bitcoin(again, cast)
        with connection.cursor() as cursor:
            cursor.execute(seal.CLAIM, [again.pk, 10])
            claimed = cursor.fetchall()
        assert [row[0] for row in claimed] == [again.payments.get().pk]

    def test_a_rejected_line_is_paid_by_voucher(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        made, _, data = banked
        with pytest.raises(reissues.NothingToReissue):
            reissues.of_list(by=cast[0], disbursement_id=made.pk)
        take(money, cast, data, "ACSC", "RJCT")
        again = reissues.of_list(by=cast[0], disbursement_id=made.pk)
        rails.choose(by=cast[0], disbursement_id=again.pk, rail=Rail.VOUCHER)
        release(again, cast)
        voucher = Voucher.objects.get()
        assert (voucher.amount_minor, voucher.payment.reissue_of.line) == (1_500_000, 2)
        with pytest.raises(reissues.AlreadyReissued):
            reissues.of_list(by=cast[0], disbursement_id=made.pk)
        assert balances(money) == {
            "cash": 7_000_000,
            "transit": 1_550_000,
            "payable": -1_550_000,
            "transfers": 3_000_000,
        }

    def test_the_database_voids_nothing_that_may_arrive(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        made, _, data = banked
        take(money, cast, data, "ACSC", "RJCT")
        paid, dead, open_ = made.payments.order_by("line")
        for payment in (paid, open_):
            with pytest.raises(DatabaseError, match=r"not dead|payment_goes_one_way"), transaction.atomic():
                Payment.objects.filter(pk=payment.pk).update(status="voided")
            with pytest.raises(DatabaseError, match="may still arrive"), transaction.atomic():
                Payment.objects.create(
                    disbursement=made,
                    cycle=made.cycle,
                    line=90 + payment.line,
                    beneficiary=payment.beneficiary,
                    amount_minor=payment.amount_minor,
                    reissue_of=payment,
                )
        with pytest.raises(DatabaseError, match="void for good"), transaction.atomic():
            Payment.objects.filter(pk=dead.pk).update(status="pending")
        with pytest.raises(DatabaseError, match="has arrived"), transaction.atomic():
            Payment.objects.filter(pk=open_.pk).update(settled_at=timezone.now())

    def test_no_line_of_a_file_pays_what_no_released_list_does(
        self, money: Program, cast: Cast, banked: tuple[Disbursement, BankFile, bytes]
    ) -> None:
        waiting = draft(money, cast, Rail.BANK, period="2026-12").payments.order_by("line")[0]
        with pytest.raises(DatabaseError, match=r"no other sum|once it is written"), transaction.atomic():
            banked[1].lines.create(
                number=9,
                end_to_end_id="X",
                settles="payment",
                settles_id=waiting.pk,
                amount_minor=waiting.amount_minor or 0,
                account={},
            )


def slips(made: Disbursement, cast: Cast) -> list[vouchers.Slip]:
    return vouchers.issue(by=cast[0], disbursement_id=made.pk)


@pytest.fixture
def agent(money: Program) -> User:
    """Pays out vouchers."""
    return factories.make_member(money, "agent")


class TestVoucher:
    """From the release to the counter, or back."""

    def test_is_printed_once_and_redeemed_once(self, money: Program, cast: Cast, agent: User) -> None:
        made = release(draft(money, cast, Rail.VOUCHER), cast)
        found = slips(made, cast)
        assert [slip.amount_minor for slip in found] == AMOUNTS
        assert slips(made, cast) == []
        redeemed = vouchers.redeem(by=agent, program_id=money.pk, code=f" {found[0].code.lower()} ")
        assert (redeemed.status, redeemed.redeemed_by) == ("redeemed", agent)
        with pytest.raises(vouchers.VoucherGone):
            vouchers.redeem(by=agent, program_id=money.pk, code=found[0].code)
        assert balances(money) == {
            "cash": 7_000_000,
            "transit": 1_550_000,
            "payable": -1_550_000,
            "transfers": 3_000_000,
        }
        stored = bytes(Voucher.objects.order_by("pk")[0].code_hash or b"")
        assert found[0].code.replace("-", "").encode() not in stored

    def test_expires_back_to_the_cash_and_may_be_moved(self, money: Program, cast: Cast, agent: User) -> None:
        made = release(draft(money, cast, Rail.VOUCHER), cast)
        found = slips(made, cast)
        vouchers.redeem(by=agent, program_id=money.pk, code=found[0].code)
        late = timezone.now() + timedelta(days=91)
        with pytest.raises(vouchers.VoucherGone):
            vouchers.redeem(by=agent, program_id=money.pk, code=found[1].code, now=late)
        assert vouchers.expire(made.pk, now=timezone.now()) == 0
        assert vouchers.expire(made.pk, now=late) == 2
        assert vouchers.expire(made.pk, now=late) == 0
        assert statuses(made) == ["pending", "voided", "voided"]
        assert balances(money) == {"cash": 8_550_000, "transit": 0, "payable": 0, "transfers": 1_450_000}
        derive.derive()
        made.refresh_from_db()
        assert made.status == "completed"
        assert reissues.of_list(by=cast[0], disbursement_id=made.pk).payment_count == 2

    def test_the_database_keeps_what_was_redeemed(self, money: Program, cast: Cast, agent: User) -> None:
        made = release(draft(money, cast, Rail.VOUCHER), cast)
        code = slips(made, cast)[0].code
        redeemed = vouchers.redeem(by=agent, program_id=money.pk, code=code)
        for changes in (
            {"status": "issued", "ended_at": None, "redeemed_by": None},
            {"amount_minor": 1},
            {"expires_at": timezone.now() + timedelta(days=900)},
        ):
            with pytest.raises(DatabaseError, match="stays what it is"), transaction.atomic():
                Voucher.objects.filter(pk=redeemed.pk).update(**changes)
        with pytest.raises(DatabaseError), transaction.atomic():
            Voucher.objects.create(
                program=money,
                payment=redeemed.payment,
                amount_minor=redeemed.amount_minor,
                currency="PKR",
                made_at=timezone.now(),
                expires_at=timezone.now() + timedelta(days=1),
            )


def test_a_longer_list_takes_no_more_statements(money: Program, cast: Cast) -> None:
    counts = []
    for number, copies in enumerate((1, 1, 4), start=1):
        made = factories.make_disbursement(
            money, cast[0], amounts_minor=[100] * 3 * copies, period=f"2026-0{number}"
        )
        for payment in made.payments.all():
            banking.make_account(payment.beneficiary, cast[0])
        rails.choose(by=cast[0], disbursement_id=made.pk, rail=Rail.BANK)
        release(made, cast)
        file = BankFile.objects.get(origin_id=made.pk)
        with CaptureQueriesContext(connection) as asked:
            bank_writing.write(file.pk)
            data = bank_writing.fetch(by=cast[3], bank_file_id=file.pk)[1].read()
            bank_reports.take_of_program(
                by=cast[3], program_id=money.pk, file=banking.answer(data, group="ACSC")
            )
        counts.append(len(asked))
    # The first of a program opens its account for money on its way.
    assert counts[1] == counts[2]
