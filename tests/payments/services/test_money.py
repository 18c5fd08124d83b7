"""Programs of money: lists, agreements and budgets in minor units, and a release that converts them by a quote (R-11)."""

import io
import re
from datetime import timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from govpay import roles
from govpay.errors import GovPayError, InvalidInput
from ledger import books, chart
from ledger.models import Account, Entry, Layer
from payments.api.serializers.payment import PaymentOut
from payments.models import (
    BudgetPeriod,
    Disbursement,
    ImportRow,
    Payment,
    Payout,
    Program,
    Quote,
    ScriptPurpose,
    WalletScript,
)
from payments.payout import agreed, commitments, manifest, seal
from payments.prices import quotes
from payments.prices.currency import UnknownCurrency
from payments.selectors import funds, imports
from payments.selectors import payments as selector
from payments.services import (
    budgets,
    conversions,
    disbursements,
    holds,
    importing,
    lists,
    policies,
    rolling_caps,
)
from payments.services import imports as jobs
from payments.signer import conversion
from payments.states import DisbursementStatus
from tests import factories, racing, services

pytestmark = pytest.mark.django_db

PAY_MINOR = 1_450_000
PAY_SAT = 51_601
REMAINDER_MINOR = 12


@pytest.fixture
def program(db: None) -> Program:
    return factories.make_program("STIPENDS", currency="PKR")


@pytest.fixture
def period(program: Program) -> BudgetPeriod:
    return factories.fund_cash(program, 10_000_000)


@pytest.fixture
def draft(program: Program, officer: User, period: BudgetPeriod) -> Disbursement:
    factories.fund(program, 1_000_000)
    return factories.make_disbursement(program, officer, amounts_minor=[PAY_MINOR] * 3)


@pytest.fixture
def approved(draft: Disbursement, officer: User, approver: User) -> Disbursement:
    return agree(draft, officer, approver)


@pytest.fixture
def quote() -> Quote:
    return factories.make_quote()


def agree(draft: Disbursement, officer: User, approver: User) -> Disbursement:
    made = disbursements.submit(by=officer, disbursement_id=draft.pk)
    return disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=hash_of(made))


def hash_of(disbursement: Disbursement) -> bytes:
    return bytes(disbursement.manifest_hash or b"")


def release(by: User, made: Disbursement, quote_id: int | None) -> Disbursement:
    return disbursements.release(
        by=by, disbursement_id=made.pk, manifest_hash=hash_of(made), quote_id=quote_id
    )


def amounts(made: Disbursement) -> list[tuple[int | None, int | None, int | None]]:
    rows = made.payments.order_by("line")
    return list(rows.values_list("amount_minor", "amount_sat", "remainder_minor"))


def shown(made: Disbursement) -> list[tuple[int | None, int | None, int | None]]:
    """The same as the API tells them."""
    rows = selector.payments(made.made_by).filter(disbursement_id=made.pk).order_by("line")
    return [
        (row["amount_minor"], row["amount_sat"], row["remainder_minor"])
        for row in PaymentOut(rows, many=True).data
    ]


def balances(program: Program) -> dict[str, int]:
    """What every account of the program stands at, by the first two parts of its code, nothing left out."""
    rows = Account.objects.filter(scope=program.scope)
    return {row.code.split(":")[1]: found for row in rows if (found := books.balance(row.code))}


def nothing_moved(made: Disbursement, entries: int) -> None:
    now = Disbursement.objects.get(pk=made.pk)
    assert (now.status, now.quote_id, now.total_sat) == (made.status, None, None)
    assert {row[1:] for row in amounts(made)} == {(None, None)}
    assert Entry.objects.count() == entries


class TestProgram:
    def test_has_accounts_in_its_money_and_in_bitcoin(self, program: Program) -> None:
        found = dict(Account.objects.filter(scope=program.scope).values_list("code", "currency"))
        common, money = chart.program_accounts(program.pk), chart.money_accounts(program.pk)
        assert {code for code, currency in found.items() if currency == "PKR"} == {
            common.payable,
            common.transfers,
            *money._replace(clearing_sat=money.cash),
        }
        assert found.keys() == {*common, *money}
        assert set(Account.objects.filter(currency="PKR").values_list("scale", flat=True)) == {2}

    def test_refuses_what_is_no_currency(self, db: None) -> None:
        with pytest.raises(UnknownCurrency):
            factories.make_program("STIPENDS", currency="BTC")
        assert Program.objects.count() == 0

    def test_keeps_its_currency(self, program: Program) -> None:
        with pytest.raises(DatabaseError, match="program_keeps_its_currency"):
            Program.objects.filter(pk=program.pk).update(currency="USD")


class TestList:
    def test_comes_in_minor_units_with_its_control_total(self, program: Program, officer: User) -> None:
        references = [factories.make_enrollment(program).reference for _ in range(2)]
        text = "reference,amount_minor\n" + "".join(f"{reference},1450000\n" for reference in references)
        intake = lists.create_from_csv(
            by=officer,
            program_id=program.pk,
            period="2026-11",
            purpose="pension",
            file=io.BytesIO(text.encode()),
            filename="list.csv",
            expected_count=2,
            expected_total_minor=2_900_000,
        )
        made = intake.disbursement
        assert (made.total_minor, made.total_sat, made.total) == (2_900_000, None, 2_900_000)
        assert amounts(made) == [(PAY_MINOR, None, None)] * 2

    @pytest.mark.parametrize(
        ("given", "column", "code"),
        [
            ({"expected_total_sat": 1}, "expected_total_sat", "other_currency"),
            ({}, "expected_total_minor", "required"),
        ],
    )
    def test_needs_its_total_in_its_own_unit(
        self, given: dict[str, int], column: str, code: str, program: Program, officer: User
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            lists.create_from_rows(
                by=officer, program_id=program.pk, period="1", purpose="p", rows=[], expected_count=0, **given
            )
        assert [(e["column"], e["code"]) for e in refusal.value.details["errors"]] == [(column, code)]

    def test_names_row_and_column_of_satoshis_and_of_what_is_no_amount(
        self, program: Program, officer: User
    ) -> None:
        reference = factories.make_enrollment(program).reference
        rows: list[dict[str, Any]] = [
            {"reference": reference, "amount_sat": 50_000},
            {"reference": reference, "amount_minor": "14500.00"},
        ]
        intake = lists.create_from_rows(
            by=officer,
            program_id=program.pk,
            period="2026-11",
            purpose="pension",
            rows=rows,
            expected_count=2,
            expected_total_minor=1,
        )
        assert list(intake.errors.values_list("row", "column", "code")) == [
            (1, "", "row_width"),
            (2, "amount_minor", "amount_fraction"),
        ]
        assert Disbursement.objects.count() == 0

    def test_is_imported_in_the_background(self, program: Program, officer: User) -> None:
        reference = factories.make_enrollment(program).reference
        job = jobs.ask_list(
            by=officer,
            program_id=program.pk,
            period="2026-11",
            purpose="pension",
            file=io.BytesIO(f"reference,amount_minor\n{reference},1450000\n".encode()),
            filename="list.csv",
            expected_count=1,
            expected_total_minor=PAY_MINOR,
        )
        importing.run(job.pk)
        job.refresh_from_db()
        assert (job.status, job.total, ImportRow.objects.get().amount) == ("ready", PAY_MINOR, PAY_MINOR)
        (row,) = imports.preview(job)
        assert (row["amount_minor"], row["amount_sat"]) == (PAY_MINOR, None)
        jobs.confirm(by=officer, job_id=job.pk)
        importing.run(job.pk)
        assert amounts(Disbursement.objects.get()) == [(PAY_MINOR, None, None)]

    def test_manifest_says_the_money_that_people_agree_to(self, approved: Disbursement) -> None:
        text = b"".join(manifest.text(approved)).decode()
        assert "\ncurrency|PKR\ncount|3\ntotal|4350000\n" in text
        assert text.count("|1450000|") == 3

    def test_of_satoshis_is_refused_by_the_database(self, program: Program, draft: Disbursement) -> None:
        person = factories.make_enrollment(program).beneficiary
        line = {"disbursement": draft, "cycle": draft.cycle, "line": 9, "beneficiary": person}
        with pytest.raises(DatabaseError, match="payment_in_its_currency"), transaction.atomic():
            Payment.objects.create(**line, amount_sat=1_000)
        with pytest.raises(DatabaseError, match="disbursement_in_its_currency"), transaction.atomic():
            Disbursement.objects.filter(pk=draft.pk).update(total_minor=None, total_sat=3)


class TestRules:
    def test_tiers_and_caps_are_in_minor_units(
        self, program: Program, draft: Disbursement, officer: User
    ) -> None:
        tiers = [
            {"up_to_minor": PAY_MINOR, "needs": {"approvers": 1}},
            {"up_to_minor": None, "needs": {"approvers": 2}},
        ]
        caps = [{"kind": "program", "window_days": 7, "most_minor": 3 * PAY_MINOR - 1}]
        with pytest.raises(InvalidInput) as refusal:
            factories.make_policy(program, caps=[{"kind": "program", "window_days": 7, "most_sat": 1}])
        assert refusal.value.details["errors"][0]["code"] == "other_currency"
        factories.make_policy(program, tiers=tiers, caps=caps)
        with pytest.raises(rolling_caps.OverCap) as over:
            disbursements.submit(by=officer, disbursement_id=draft.pk)
        assert over.value.details["list_minor"] == 3 * PAY_MINOR
        factories.make_policy(program, tiers=tiers)
        made = disbursements.submit(by=officer, disbursement_id=draft.pk)
        assert made.approval_tier["needs"] == {"approvers": 2}
        assert made.approval_tier["up_to_minor"] is None
        assert policies.current(program.pk).tier_for(PAY_MINOR)["needs"] == {"approvers": 1}

    def test_is_held_to_budgets_from_its_first_list(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program)
        made = factories.make_disbursement(program, officer, amounts_minor=[PAY_MINOR])
        with pytest.raises(commitments.NoBudgetPeriod):
            agree(made, officer, approver)

    def test_budget_holds_the_money_and_no_fees(self, approved: Disbursement, period: BudgetPeriod) -> None:
        period.refresh_from_db()
        assert (period.committed_sat, period.spent_sat) == (3 * PAY_MINOR, 0)
        assert (approved.fee_reserved_sat or 0) > 0

    def test_cash_comes_by_warrants_of_two_people(self, program: Program, period: BudgetPeriod) -> None:
        assert balances(program) == {"Cash": 10_000_000, "MoneyAppropriation": -10_000_000}
        entry = Entry.objects.get(kind="cash_release")
        assert entry.actor != entry.approver

    def test_counts_what_is_longer_than_32_bits(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        # Half a million rupees each for ten thousand people would be 5 * 10^11 paisa.
        much = 500_000_000_000
        period = factories.fund_cash(program, much)
        assert (period.allotted_sat, period.cash_released_sat) == (much, much)
        factories.fund(program, 10**11)
        made = agree(factories.make_disbursement(program, officer, amounts_minor=[much]), officer, approver)
        period.refresh_from_db()
        assert (period.committed_sat, period.spent_sat) == (much, 0)
        release(releaser, made, factories.make_quote().pk)
        period.refresh_from_db()
        assert (period.committed_sat, period.spent_sat) == (much, much)

    def test_cash_goes_back_by_a_warrant(self, program: Program, period: BudgetPeriod) -> None:
        officer = User.objects.get(username__startswith="budget-officer")
        treasurer = User.objects.get(username__startswith="treasurer")
        warrant = budgets.propose(
            by=officer,
            budget_period_id=period.pk,
            kind="cash_release",
            note="A cut.",
            amount_minor=-1_000_000,
        )
        budgets.confirm(by=treasurer, warrant_id=warrant.pk)
        assert balances(program)["Cash"] == 9_000_000


class TestRelease:
    def test_converts_each_line_and_discloses_its_remainder(
        self, approved: Disbursement, releaser: User, quote: Quote, period: BudgetPeriod
    ) -> None:
        made = release(releaser, approved, quote.pk)
        # They are written when a line is sealed, and shown from now on.
        assert amounts(made) == [(PAY_MINOR, None, None)] * 3
        assert shown(made) == [(PAY_MINOR, PAY_SAT, REMAINDER_MINOR)] * 3
        assert (made.converted_minor, made.remainder_minor) == (3 * PAY_MINOR, 3 * REMAINDER_MINOR)
        assert (made.status, made.quote_id, made.total_sat) == ("released", quote.pk, 3 * PAY_SAT)
        assert (made.total_minor, made.total) == (3 * PAY_MINOR, 3 * PAY_MINOR)
        period.refresh_from_db()
        assert (period.committed_sat, period.spent_sat) == (3 * PAY_MINOR, 3 * PAY_MINOR)

    def test_books_what_is_owed_and_the_two_legs(
        self, program: Program, approved: Disbursement, releaser: User, quote: Quote
    ) -> None:
        release(releaser, approved, quote.pk)
        assert balances(program) == {
            "Cash": 10_000_000 - 3 * (PAY_MINOR - REMAINDER_MINOR),
            "MoneyAppropriation": -10_000_000,
            "Transfers": 3 * PAY_MINOR,
            "BeneficiariesPayable": -3 * PAY_MINOR,
            "ConversionClearing": 3 * PAY_MINOR,
            "Rounding": -3 * REMAINDER_MINOR,
            "HotWallet": 1_000_000,
            "Appropriation": -1_000_000 + 3 * PAY_SAT,
            "ConversionClearingBitcoin": -3 * PAY_SAT,
        }
        entry = Entry.objects.get(kind="conversion")
        assert entry.memo == (f"Manifest {hash_of(approved).hex()}, quote {quote.pk}: 28100000.00000000 PKR")
        transfers = chart.program_accounts(program.pk).transfers
        assert books.balance(transfers, layer=Layer.ENCUMBERED) == 0

    def test_sets_aside_its_satoshis(
        self, program: Program, approved: Disbursement, releaser: User, quote: Quote
    ) -> None:
        fees_sat = approved.fee_reserved_sat or 0
        assert funds.of_program(program.pk).reserved_sat == fees_sat
        release(releaser, approved, quote.pk)
        assert funds.of_program(program.pk).reserved_sat == fees_sat + 3 * PAY_SAT

    @pytest.mark.parametrize("case", ["none", "expired", "early", "forged", "other", "used"])
    def test_refuses_a_quote_that_does_not_hold_and_moves_nothing(
        self,
        case: str,
        program: Program,
        approved: Disbursement,
        releaser: User,
        officer: User,
        approver: User,
    ) -> None:
        now = timezone.now()
        refusals: dict[str, type[GovPayError]] = {
            "none": conversions.QuoteRequired,
            "expired": conversions.QuoteExpired,
            "early": conversions.QuoteExpired,
            "forged": quotes.QuoteForged,
            "other": conversions.QuoteOfAnother,
            "used": conversions.QuoteUsed,
        }
        if case == "none":
            quote_id = None
        elif case == "other":
            quote_id = factories.make_quote("USD", "100000").pk
        elif case == "expired":
            quote_id = factories.make_quote(taken_at=now - timedelta(hours=1), expires_at=now).pk
        elif case == "early":
            quote_id = factories.make_quote(taken_at=now + timedelta(minutes=1)).pk
        elif case == "forged":
            real = factories.make_quote()
            forged = Quote.objects.create(
                currency="PKR",
                price="1",
                taken_at=now,
                expires_at=now + timedelta(minutes=9),
                values=real.values,
                rule={},
                key_id=real.key_id,
                mac=real.mac,
            )
            quote_id = forged.pk
        else:
            quote_id = factories.make_quote().pk
            other = factories.make_disbursement(program, officer, amounts_minor=[PAY_MINOR], period="2026-10")
            release(releaser, agree(other, officer, approver), quote_id)
        entries = Entry.objects.count()
        with pytest.raises(refusals[case]):
            release(releaser, approved, quote_id)
        nothing_moved(approved, entries)

    @pytest.mark.django_db(transaction=True)
    def test_needs_no_more_rights_than_the_application_has(
        self, approved: Disbursement, releaser: User
    ) -> None:
        try:
            url = urlsplit(services.get_postgres().app_url)
        except LookupError as error:
            pytest.skip(str(error))
        quote = factories.make_quote()
        call_command("grant_roles", verbosity=0)

        def as_application() -> tuple[str, int | None]:
            own = {"USER": url.username, "PASSWORD": url.password}
            connection.settings_dict = connection.settings_dict | own
            made = release(releaser, approved, quote.pk)
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user")
                return str(cursor.fetchone()[0]), made.quote_id

        racer = racing.Racer(as_application)
        racer.start()
        racer.join(racing.DEADLINE_S)
        assert (racer.error, racer.result) == (None, (roles.APPLICATION, quote.pk))

    @pytest.mark.django_db(transaction=True)
    def test_by_one_quote_of_two_lists_at_once_is_of_the_first(
        self, program: Program, approved: Disbursement, officer: User, approver: User, releaser: User
    ) -> None:
        quote = factories.make_quote()
        made = factories.make_disbursement(program, officer, amounts_minor=[PAY_MINOR], period="2026-10")
        other = agree(made, officer, approver)
        entries: list[int] = []

        def first() -> None:
            release(releaser, approved, quote.pk)
            entries.append(Entry.objects.count())

        _, second = racing.race(first, lambda: release(releaser, other, quote.pk))
        assert isinstance(second.error, conversions.QuoteUsed)
        nothing_moved(other, entries[0])
        assert shown(approved) == [(PAY_MINOR, PAY_SAT, REMAINDER_MINOR)] * 3

    def test_locks_rows_of_no_table_that_the_application_may_not_change(
        self, approved: Disbursement, releaser: User
    ) -> None:
        """PostgreSQL lets only those lock rows who may change them, and tests run as the owner of all tables."""
        quote = factories.make_quote()
        with CaptureQueriesContext(connection) as asked:
            release(releaser, approved, quote.pk)
        locking = [each["sql"] for each in asked if re.search(r"\bFOR (NO KEY )?UPDATE", each["sql"])]
        locked = {table for text in locking for table in re.findall(r'FROM "?(payments_\w+)', text)}
        assert "payments_disbursement" in locked
        for table in locked:
            assert any(right.startswith("UPDATE") for right in roles.application(table)), table

    def test_refuses_dust_by_its_row(
        self,
        program: Program,
        officer: User,
        approver: User,
        releaser: User,
        quote: Quote,
        period: BudgetPeriod,
    ) -> None:
        # 294 satoshis are relayed to such an address: 8,250 paisa are 293.59 of them, and 8,247 are 293.49.
        factories.fund(program)
        made = factories.make_disbursement(program, officer, amounts_minor=[PAY_MINOR, 8_250, 8_247, 8_261])
        approved = agree(made, officer, approver)
        entries = Entry.objects.count()
        with pytest.raises(InvalidInput) as refusal:
            release(releaser, approved, quote.pk)
        assert [(e["row"], e["code"]) for e in refusal.value.details["errors"]] == [(3, "amount_dust")]
        nothing_moved(approved, entries)
        # Two people take the line out, and the rest is paid.
        line = Payment.objects.get(disbursement=approved, line=3)
        holds.hold(by=officer, payment_id=line.pk, note="It is dust.")
        holds.withdraw(by=approver, payment_id=line.pk, note="It is dust.")
        made = release(releaser, approved, quote.pk)
        assert [sat for _, sat, _ in shown(made)] == [PAY_SAT, 294, None, 294]

    def test_refuses_more_than_the_wallet_can_carry(
        self, program: Program, approved: Disbursement, releaser: User
    ) -> None:
        cheap, entries = factories.make_quote(price="1000000"), Entry.objects.count()
        with pytest.raises(funds.InsufficientFunds) as refusal:
            release(releaser, approved, cheap.pk)
        assert refusal.value.details["needed_sat"] == 3 * 1_450_000
        nothing_moved(approved, entries)

    def test_of_satoshis_takes_no_quote(self, db: None, quote: Quote) -> None:
        program = factories.make_program("PENSIONS")
        officer, approver, releaser = (
            factories.make_member(program, role) for role in ("officer", "approver", "releaser")
        )
        factories.fund(program)
        approved = agree(factories.make_disbursement(program, officer), officer, approver)
        with pytest.raises(conversions.QuoteUnneeded):
            release(releaser, approved, quote.pk)
        assert Disbursement.objects.get().status == DisbursementStatus.APPROVED

    def test_is_seen_by_its_releaser_before(
        self, approved: Disbursement, releaser: User, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(quotes, "take", lambda currency, at, by: factories.make_quote(currency))
        found = conversions.preview(by=releaser, disbursement_id=approved.pk)
        assert found.figures == conversions.Figures(3, 3 * PAY_MINOR, 3 * PAY_SAT, 3 * REMAINDER_MINOR, 0)
        with pytest.raises(GovPayError):
            conversions.preview(by=officer, disbursement_id=approved.pk)
        made = release(releaser, approved, found.quote.pk)
        assert made.total_sat == found.figures.amount_sat

    def test_has_no_preview_without_a_price(self, approved: Disbursement, releaser: User) -> None:
        with pytest.raises(quotes.NoPrice):
            conversions.preview(by=releaser, disbursement_id=approved.pk)
        assert Quote.objects.count() == 0


class TestAfterRelease:
    def test_sealing_writes_what_each_line_is(
        self, program: Program, approved: Disbursement, releaser: User, quote: Quote
    ) -> None:
        made = release(releaser, approved, quote.pk)
        WalletScript.objects.bulk_create(
            WalletScript(
                wallet=program.wallet, script_pubkey=factories.make_script(), purpose=ScriptPurpose.CHANGE
            )
            for _ in range(20)
        )
        whole = Disbursement.objects.select_related("program", "cycle").get(pk=made.pk)
        payout = Payout.objects.get(pk=seal.seal_next(whole, feerate_sat_kvb=2_000))
        assert amounts(made) == [(PAY_MINOR, PAY_SAT, REMAINDER_MINOR)] * 3 == shown(made)
        assert (payout.payments_sat, payout.payments_minor) == (3 * PAY_SAT, 3 * PAY_MINOR)

    def test_a_withdrawn_line_is_converted_back(
        self,
        program: Program,
        approved: Disbursement,
        releaser: User,
        officer: User,
        approver: User,
        quote: Quote,
    ) -> None:
        release(releaser, approved, quote.pk)
        before = balances(program)
        line = Payment.objects.get(disbursement=approved, line=2)
        holds.hold(by=officer, payment_id=line.pk, note="Moved.")
        holds.withdraw(by=approver, payment_id=line.pk, note="Moved.")
        changed = {
            "Cash": PAY_MINOR - REMAINDER_MINOR,
            "Transfers": -PAY_MINOR,
            "BeneficiariesPayable": PAY_MINOR,
            "ConversionClearing": -PAY_MINOR,
            "Rounding": REMAINDER_MINOR,
            "Appropriation": -PAY_SAT,
            "ConversionClearingBitcoin": PAY_SAT,
        }
        assert balances(program) == {name: sat + changed.get(name, 0) for name, sat in before.items()}

    def test_nobody_converts_it_again(self, approved: Disbursement, releaser: User, quote: Quote) -> None:
        made = release(releaser, approved, quote.pk)
        made.payments.update(amount_sat=PAY_SAT, remainder_minor=REMAINDER_MINOR)
        for change in ({"amount_sat": 1}, {"remainder_minor": 1}, {"amount_minor": 1}):
            with pytest.raises(DatabaseError, match="payment_converted_once"), transaction.atomic():
                made.payments.update(**change)
        other = factories.make_quote()
        with pytest.raises(DatabaseError, match="disbursement_converted_once"), transaction.atomic():
            Disbursement.objects.filter(pk=made.pk).update(quote=other)

    @pytest.mark.parametrize("tampered", ["line", "quote", "price"])
    def test_what_an_owner_of_the_tables_changes_is_not_sealed(
        self, tampered: str, approved: Disbursement, releaser: User, quote: Quote
    ) -> None:
        made = release(releaser, approved, quote.pk)
        # A worker that has sealed the list's first group knows it.
        agreed.read(Disbursement.objects.select_related("program", "cycle", "quote").get(pk=made.pk))
        cheap = factories.make_quote(price="14050000")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE payments_payment DISABLE TRIGGER USER")
            cursor.execute("ALTER TABLE payments_quote DISABLE TRIGGER USER")
            cursor.execute("ALTER TABLE payments_disbursement DISABLE TRIGGER USER")
            if tampered == "line":
                cursor.execute(
                    "UPDATE payments_payment SET amount_sat = 103203, remainder_minor = 0 WHERE line = 1"
                )
            elif tampered == "price":
                cursor.execute("UPDATE payments_quote SET price = 14050000 WHERE id = %s", [quote.pk])
            else:
                cursor.execute("UPDATE payments_disbursement SET quote_id = %s", [cheap.pk])
        whole = Disbursement.objects.select_related("program", "cycle").get(pk=made.pk)
        rows = Payment.objects.order_by("pk").values_list(*manifest.COLUMNS, "amount_sat")
        with pytest.raises(agreed.ApprovalForged):
            agreed.require_lines(whole, list(rows))

    def test_what_is_sealed_is_what_was_released(
        self, approved: Disbursement, releaser: User, quote: Quote
    ) -> None:
        made = release(releaser, approved, quote.pk)
        rows = Payment.objects.order_by("pk").values_list(*manifest.COLUMNS, "amount_sat")
        agreed.require_lines(made, list(rows))


def converted(number: str, values: dict[str, Any]) -> list[tuple[int, ...]]:
    """What each amount of a list is, in satoshis and in what is left over, by one type of numbers."""
    rates = conversions.rates_of(conversions.PAYABLE, number)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{rates} SELECT amount_minor, sat, remainder_minor FROM rates ORDER BY amount_minor", values
        )
        return [tuple(map(int, row)) for row in cursor.fetchall()]


class TestArithmetic:
    @pytest.mark.parametrize(("price", "number"), [("28100000", "bigint"), ("100000.12345678", "numeric")])
    def test_is_in_machine_numbers_where_they_are_exact(
        self, price: str, number: str, program: Program, officer: User
    ) -> None:
        made = factories.make_disbursement(program, officer, amounts_minor=[1_450_000, 2_100_000_000_000])
        values = conversions._values(made, factories.make_quote(price=price))
        assert conversions.number_for(2_100_000_000_000, values) == number

    @pytest.mark.parametrize("price", ["28100000", "200000000", "100000.12345678", "0.00000003", "3"])
    def test_is_exact_with_halves_to_the_even_neighbour(
        self, price: str, program: Program, officer: User
    ) -> None:
        given = [1, 2, 3, 99, 100, 101, 200, 300, 500, 700, 1_450_000, 123_456_789, 2_100_000_000_000]
        made = factories.make_disbursement(program, officer, amounts_minor=given)
        made.payments.update(script_pubkey=factories.make_script())
        quote = factories.make_quote(price=price)
        values = conversions._values(made, quote)
        found = converted("numeric", values)
        assert price != "28100000" or conversions.number_for(given[-1], values) == "bigint"
        for count in range(1, len(given) + 1):
            if conversions.number_for(given[count - 1], values) == "bigint":
                made.payments.filter(amount_minor__gt=given[count - 1]).update(script_pubkey=None)
                assert converted("bigint", values) == found[:count]
                made.payments.update(script_pubkey=factories.make_script())
        minor_a_bitcoin = Fraction(price) * 100
        expected = []
        for amount in given:
            # Python's own rounding of fractions is half to even.
            sat = round(Fraction(amount * 10**8) / minor_a_bitcoin)
            expected.append((amount, sat, amount - round(sat * minor_a_bitcoin / 10**8)))
        assert found == expected
        terms = agreed.rate(quote)
        assert [conversion.to_sat(amount, *terms) for amount in given] == [sat for _, sat, _ in expected]
        assert [a - conversion.to_minor(sat, *terms) for a, sat, _ in expected] == [r for _, _, r in expected]
        if price == "200000000":
            assert [sat for amount, sat, _ in found if amount in (100, 300, 500, 700)] == [0, 2, 2, 4]
