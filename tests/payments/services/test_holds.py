"""Single payments that are stopped, resumed and withdrawn while their list goes on."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from ledger import books, chart
from payments.models import Disbursement, Payment, Payout, Program, WalletScript
from payments.payout import seal
from payments.selectors import funds
from payments.services import authority, disbursements, encumbrances, holds
from payments.states import StatusConflict
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(program: Program, officer: User, approver: User) -> Disbursement:
    factories.fund(program)
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    return disbursements.approve(
        by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )


@pytest.fixture
def payment(approved: Disbursement) -> Payment:
    return approved.payments.get(line=2)


class TestHold:
    def test_stops_one_payment_for_a_reason(self, payment: Payment, officer: User) -> None:
        assert holds.hold(by=officer, payment_id=payment.pk, note="address disputed").status == "held"

    def test_needs_a_reason(self, payment: Payment, officer: User) -> None:
        with pytest.raises(InvalidInput):
            holds.hold(by=officer, payment_id=payment.pk, note="")
        payment.refresh_from_db()
        assert payment.status == "pending"

    def test_is_too_late_once_the_payment_is_sealed(self, payment: Payment, officer: User) -> None:
        payout = Payout.objects.create(
            disbursement=payment.disbursement,
            wallet=payment.disbursement.program.wallet,
            payment_count=1,
            payments_sat=payment.amount_sat,
            manifest_hash=b"\0" * 32,
            anchor_txid="aa" * 32,
            anchor_vout=0,
        )
        Payment.objects.filter(pk=payment.pk).update(payout=payout, vout=0)
        with pytest.raises(holds.PaymentSealed):
            holds.hold(by=officer, payment_id=payment.pk, note="too late")
        payment.refresh_from_db()
        assert payment.status == "pending"

    def test_is_hidden_from_outsiders(self, payment: Payment, outsider: User) -> None:
        with pytest.raises(NotFound):
            holds.hold(by=outsider, payment_id=payment.pk, note="not mine")

    def test_is_not_for_auditors(self, payment: Payment, auditor: User) -> None:
        with pytest.raises(authority.RoleMissing):
            holds.hold(by=auditor, payment_id=payment.pk, note="I only read")


class TestResume:
    def test_needs_a_second_person(self, payment: Payment, officer: User, approver: User) -> None:
        holds.hold(by=officer, payment_id=payment.pk, note="address disputed")
        with pytest.raises(SamePersonTwice):
            holds.resume(by=officer, payment_id=payment.pk, note="fine after all")
        assert holds.resume(by=approver, payment_id=payment.pk, note="checked").status == "pending"


class TestWithdraw:
    def test_frees_what_was_encumbered_for_one_payment(
        self, payment: Payment, officer: User, approver: User, releaser: User, program: Program
    ) -> None:
        before = funds.of_program(program.pk)
        holds.hold(by=officer, payment_id=payment.pk, note="deceased")
        assert holds.withdraw(by=approver, payment_id=payment.pk, note="confirmed").status == "cancelled"
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.transfers, layer="encumbered") == 120_000
        assert books.balance(accounts.appropriation, layer="encumbered") == -120_000
        assert before.reserved_sat - funds.of_program(program.pk).reserved_sat == 60_000
        made = payment.disbursement
        agreed = bytes(made.manifest_hash or b"")
        disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        assert books.balance(accounts.payable) == -120_000
        assert books.balance(accounts.transfers) == 120_000
        assert books.balance(accounts.transfers, layer="encumbered") == 0

    def test_after_the_release_owes_one_payment_less(
        self, payment: Payment, officer: User, approver: User, releaser: User, program: Program
    ) -> None:
        made = payment.disbursement
        agreed = bytes(made.manifest_hash or b"")
        disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        holds.hold(by=officer, payment_id=payment.pk, note="deceased")
        holds.withdraw(by=approver, payment_id=payment.pk, note="confirmed")
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.payable) == -120_000
        assert books.balance(accounts.transfers) == 120_000
        assert books.balance(accounts.transfers, layer="encumbered") == 0

    def test_of_every_line_of_an_approved_list_leaves_nothing_encumbered_or_owed(
        self, payment: Payment, officer: User, approver: User, releaser: User, program: Program
    ) -> None:
        made = payment.disbursement
        for line in made.payments.all():
            holds.hold(by=officer, payment_id=line.pk, note="deceased")
            holds.withdraw(by=approver, payment_id=line.pk, note="confirmed")
        assert encumbrances.standing(made) is None
        agreed = bytes(made.manifest_hash or b"")
        disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        for layer in ("settled", "encumbered"):
            assert books.balance(chart.program_accounts(program.pk).transfers, layer=layer) == 0

    def test_needs_a_hold_first(self, payment: Payment, approver: User) -> None:
        with pytest.raises(StatusConflict):
            holds.withdraw(by=approver, payment_id=payment.pk, note="never held")

    def test_before_approval_is_neither_owed_nor_committed(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program)
        made = factories.make_disbursement(program, officer)
        first = made.payments.get(line=1)
        holds.hold(by=officer, payment_id=first.pk, note="moved abroad")
        holds.withdraw(by=approver, payment_id=first.pk, note="confirmed")
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        made = disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.transfers, layer="encumbered") == 130_000
        assert funds.of_program(program.pk).reserved_sat == 130_000 + (made.fee_reserved_sat or 0)
        disbursements.cancel(by=approver, disbursement_id=made.pk, note="wrong budget line")
        assert books.balance(accounts.payable) == books.balance(accounts.transfers) == 0
        assert books.balance(accounts.transfers, layer="encumbered") == 0
        assert funds.of_program(program.pk).reserved_sat == 0

    def test_of_every_line_leaves_nothing_to_approve(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program)
        made = factories.make_disbursement(program, officer, amounts_sat=[50_000])
        only = made.payments.get()
        holds.hold(by=officer, payment_id=only.pk, note="moved abroad")
        holds.withdraw(by=approver, payment_id=only.pk, note="confirmed")
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        with pytest.raises(disbursements.NothingToPay):
            disbursements.approve(
                by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
            )
        assert books.balance(chart.program_accounts(program.pk).payable) == 0


@pytest.mark.django_db(transaction=True)
class TestHoldWhileSealing:
    def test_waits_and_comes_too_late_instead_of_dying_in_a_deadlock(
        self,
        approved: Disbursement,
        payment: Payment,
        officer: User,
        releaser: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        agreed = bytes(approved.manifest_hash or b"")
        released = disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=agreed)
        WalletScript.objects.create(
            wallet=released.program.wallet, script_pubkey=factories.make_script(), purpose="change"
        )
        claim, refusals = seal._claim, []

        def claim_and_wait(*args: Any) -> Any:
            """Sealing has locked the payments; let the officer lock the list before it goes on."""
            lines = claim(*args)
            thread.start()
            thread.join(1)
            return lines

        def hold() -> None:
            try:
                holds.hold(by=officer, payment_id=payment.pk, note="late")
            except (OperationalError, holds.PaymentSealed) as refusal:
                refusals.append(type(refusal))
            finally:
                connection.close()

        thread = threading.Thread(target=hold)
        monkeypatch.setattr(seal, "_claim", claim_and_wait)
        seal.seal_next(released, feerate_sat_kvb=1_000)
        thread.join()
        assert refusals == [holds.PaymentSealed]
        assert Payment.objects.filter(payout__isnull=False).count() == 3
