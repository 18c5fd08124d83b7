"""What approved lists hold of the allotment, while several people act on one list at once."""

import pytest
from django.contrib.auth.models import User

from ledger import books, chart
from ledger.models import Entry
from payments.models import Disbursement, Program
from payments.services import disbursements, encumbrances, holds
from payments.states import StatusConflict
from tests import factories
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def approved(program: Program, officer: User, approver: User) -> Disbursement:
    """A list of 50,000, 60,000 and 70,000 sat."""
    factories.fund(program)
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    made = disbursements.approve(
        by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )
    assert figures(program) == (180_000, 0)
    return made


def figures(program: Program) -> tuple[int, int]:
    """Return what is encumbered and what is owed, after a look at both trial balances."""
    accounts = chart.program_accounts(program.pk)
    for layer in ("settled", "encumbered"):
        assert books.trial_balance(chart.program_scope(program.pk), layer=layer).is_balanced
    held, owed = (
        books.balance(accounts.transfers, layer="encumbered"),
        -books.balance(accounts.payable),
    )
    assert books.balance(accounts.transfers) == owed
    assert books.balance(accounts.appropriation, layer="encumbered") == -held
    return held, owed


class TestAtOnce:
    def release(self, made: Disbursement, by: User) -> Disbursement:
        return disbursements.release(
            by=by, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
        )

    def stop(self, made: Disbursement, line: int, by: User) -> int:
        found = made.payments.get(line=line)
        holds.hold(by=by, payment_id=found.pk, note="deceased")
        return found.pk

    def withdraw(self, payment_id: int, by: User) -> object:
        return holds.withdraw(by=by, payment_id=payment_id, note="confirmed")

    def test_a_withdrawal_that_waits_for_the_release_comes_too_late(
        self, approved: Disbursement, releaser: User, approver: User, program: Program
    ) -> None:
        _, racer = race(
            lambda: self.release(approved, releaser),
            lambda: disbursements.cancel(by=approver, disbursement_id=approved.pk, note="wrong month"),
        )
        assert type(racer.error) is StatusConflict
        assert figures(program) == (0, 180_000)
        assert not Entry.objects.filter(kind="disencumbrance").exists()

    def test_a_release_that_waits_for_the_withdrawal_owes_nothing(
        self, approved: Disbursement, releaser: User, approver: User, program: Program
    ) -> None:
        _, racer = race(
            lambda: disbursements.cancel(by=approver, disbursement_id=approved.pk, note="wrong month"),
            lambda: self.release(approved, releaser),
        )
        assert type(racer.error) is StatusConflict
        assert figures(program) == (0, 0)
        assert not Entry.objects.filter(kind="commitment").exists()

    def test_a_line_withdrawn_after_the_release_it_waited_for_is_owed_no_more(
        self, approved: Disbursement, releaser: User, officer: User, approver: User, program: Program
    ) -> None:
        stopped = self.stop(approved, 1, officer)
        _, racer = race(lambda: self.release(approved, releaser), lambda: self.withdraw(stopped, approver))
        assert racer.error is None
        assert figures(program) == (0, 130_000)

    def test_a_release_that_waited_for_a_line_owes_the_rest(
        self, approved: Disbursement, releaser: User, officer: User, approver: User, program: Program
    ) -> None:
        stopped = self.stop(approved, 1, officer)
        _, racer = race(lambda: self.withdraw(stopped, approver), lambda: self.release(approved, releaser))
        assert racer.error is None
        assert figures(program) == (0, 130_000)

    def test_two_lines_are_withdrawn_one_after_the_other(
        self, approved: Disbursement, officer: User, approver: User, program: Program
    ) -> None:
        first, second = self.stop(approved, 1, officer), self.stop(approved, 2, officer)
        _, racer = race(lambda: self.withdraw(first, approver), lambda: self.withdraw(second, approver))
        assert racer.error is None
        left_sat = approved.payments.get(line=3).amount_sat
        assert figures(program) == (left_sat, 0)
        held = encumbrances.standing(approved)
        assert held is not None
        assert held.amount == left_sat
        assert Entry.objects.filter(kind="encumbrance").count() == 3
