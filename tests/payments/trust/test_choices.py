"""What people choose whose bitcoin no trust took, and the list that is made of it in one act."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from payments.models import Disbursement, Enrollment, Payment, Program, Trust, TrustLeg, Voucher
from payments.services import chosen_lists, disbursements, elections, holds, rails
from payments.services.authority import RoleMissing
from payments.services.chosen_lists import NothingChosen
from payments.states import StatusConflict
from payments.trust import following
from tests import claiming, factories, racing
from tests.payments.trust.conftest import Three, elect_all, give_price, make_list, release

pytestmark = pytest.mark.django_db

# The golden payment: 51,601 sat are Rs 14,499.88 at 28,100,000 a bitcoin, and were Rs 14,500.00.
GOLDEN_SAT, GOLDEN_MINOR, ASKED_MINOR = 51_601, 1_449_988, 1_450_000


@pytest.fixture
def trust() -> Trust:
    """Cash for one golden payment above its floor of Rs 50,000."""
    give_price("28100000")
    return factories.make_trust(cash_minor=5_000_000 + GOLDEN_MINOR, floor_minor=5_000_000)


@pytest.fixture
def rupees() -> Program:
    made = factories.make_program("RUPEES", currency="PKR")
    factories.fund(made, 2_000_000)
    factories.fund_cash(made, 20_000_000)
    return made


@pytest.fixture
def staff(rupees: Program) -> Three:
    return Three(*(factories.make_member(rupees, role) for role in ("officer", "approver", "releaser")))


@pytest.fixture
def drained(rupees: Program, staff: Three, trust: Trust) -> Disbursement:
    """A released list of money, of which the trust took the first of five lines."""
    draft = factories.make_disbursement(rupees, staff.officer, amounts_minor=[ASKED_MINOR] * 5)
    elect_all(draft, trust, staff.officer)
    return release_at(draft, staff)


def release_at(draft: Disbursement, staff: Three) -> Disbursement:
    """Release a list of money at its own quote."""
    agreed = claiming.approve(draft, staff.officer, staff.approver)
    quote = factories.make_quote("PKR", "28100000")
    return disbursements.release(
        by=staff.releaser, disbursement_id=draft.pk, manifest_hash=agreed, quote_id=quote.pk
    )


def line(draft: Disbursement, number: int) -> Payment:
    return Payment.objects.get(disbursement=draft, line=number)


def people(draft: Disbursement) -> list[tuple[int, int, str]]:
    """Line, person and rail."""
    rows = Payment.objects.filter(disbursement=draft).order_by("line")
    return list(rows.values_list("line", "beneficiary_id", "rail"))


def legs(draft: Disbursement) -> list[tuple[int, str, str]]:
    found = TrustLeg.objects.filter(payment__disbursement=draft).order_by("payment__line")
    return list(found.values_list("payment__line", "status", "instead"))


class TestAskAgain:
    def test_lets_another_list_ask_the_trust_once_it_has_more_capital(
        self, trust: Trust, staff: Three, drained: Disbursement
    ) -> None:
        elections.ask_again(by=staff.officer, payment_id=line(drained, 2).pk, note="By call.")
        assert line(drained, 2).status == "cancelled"
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=GOLDEN_MINOR, reference="Letter 2")
        made = chosen_lists.of_list(by=staff.officer, disbursement_id=drained.pk, rail="bitcoin")
        assert people(made) == [(1, line(drained, 2).beneficiary_id, "bitcoin")]
        release_at(made, staff)
        following.follow(trust.pk)
        assert legs(made) == [(1, "taken", "")]
        assert legs(drained)[1] == (2, "freed", "again")

    def test_is_refused_anew_by_a_trust_that_has_no_more(
        self, trust: Trust, staff: Three, drained: Disbursement
    ) -> None:
        """Then the person chooses on the later list, and the earlier one offers nobody any more."""
        elections.ask_again(by=staff.officer, payment_id=line(drained, 2).pk, note="By call.")
        second = chosen_lists.of_list(by=staff.officer, disbursement_id=drained.pk, rail="bitcoin")
        release_at(second, staff)
        assert legs(second) == [(1, "refused", "")]
        elections.take_voucher(by=staff.officer, payment_id=line(second, 1).pk, note="By call.")
        assert (chosen_lists.rails_of(drained), chosen_lists.rails_of(second)) == ([], ["voucher"])

    def test_is_refused_once_the_person_elected_bitcoin(self, staff: Three, drained: Disbursement) -> None:
        held = line(drained, 2)
        person = Enrollment.objects.get(program=drained.program_id, beneficiary_id=held.beneficiary_id)
        elections.elect(by=staff.officer, enrollment_id=person.pk, choice="bitcoin", note="By letter.")
        with pytest.raises(StatusConflict, match="elected bitcoin since"):
            elections.ask_again(by=staff.officer, payment_id=held.pk, note="By call.")
        assert (line(drained, 2).status, legs(drained)[1]) == ("held", (2, "refused", ""))

    def test_is_for_lines_that_a_trust_refused(self, staff: Three, drained: Disbursement) -> None:
        with pytest.raises(StatusConflict, match="No trust refused"):
            elections.ask_again(by=staff.officer, payment_id=line(drained, 1).pk, note="By call.")
        assert line(drained, 1).status == "pending"

    def test_is_for_programs_of_satoshis_too(self, trust: Trust, three: Three, program: Program) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 2)
        release(draft, three)
        elections.ask_again(by=three.officer, payment_id=line(draft, 2).pk, note="By call.")
        made = chosen_lists.of_list(by=three.officer, disbursement_id=draft.pk, rail="bitcoin")
        assert (made.total_sat, made.payment_count) == (GOLDEN_SAT, 1)

    def test_leaves_what_was_not_refused_without_a_choice(self, drained: Disbursement) -> None:
        taken = TrustLeg.objects.filter(payment=line(drained, 1))
        with (
            pytest.raises(IntegrityError, match="trustleg_instead_of_what_was_refused"),
            transaction.atomic(),
        ):
            taken.update(instead="again")
        assert legs(drained)[0] == (1, "taken", "")


class TestListOfChoices:
    @pytest.fixture
    def chosen(self, staff: Three, drained: Disbursement) -> Disbursement:
        """Lines 2 and 3 take a voucher, line 4 bitcoin, and of line 5 a trust is asked again."""
        choices = (
            elections.take_voucher,
            elections.take_voucher,
            elections.take_bitcoin,
            elections.ask_again,
        )
        for number, choose in enumerate(choices, start=2):
            choose(by=staff.officer, payment_id=line(drained, number).pk, note="By call.")
        return drained

    def test_has_everybody_who_chose_a_voucher_and_is_paid_by_them(
        self, staff: Three, chosen: Disbursement
    ) -> None:
        made = chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        who = [line(chosen, number).beneficiary_id for number in (2, 3)]
        assert people(made) == [(1, who[0], "voucher"), (2, who[1], "voucher")]
        facts = (made.status, made.rail, made.payment_count, made.total_minor, made.cycle_id)
        assert facts == ("draft", "voucher", 2, 2 * ASKED_MINOR, chosen.cycle_id)
        claiming.release(made, *staff)
        rails.pay(made.pk)
        vouchers = Voucher.objects.filter(payment__disbursement=made).order_by("pk")
        assert list(vouchers.values_list("amount_minor", flat=True)) == [ASKED_MINOR] * 2

    def test_in_bitcoin_has_those_for_whom_the_trust_is_asked_again_too(
        self, staff: Three, chosen: Disbursement
    ) -> None:
        made = chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="bitcoin")
        disbursements.submit(by=staff.officer, disbursement_id=made.pk)
        who = [line(chosen, number).beneficiary_id for number in (4, 5)]
        assert [row[1] for row in people(made)] == who
        assert legs(made) == [(2, "asked", "")]

    def test_has_nobody_twice(self, staff: Three, chosen: Disbursement) -> None:
        chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        with pytest.raises(NothingChosen) as refusal:
            chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        assert refusal.value.details == {"rail": "voucher"}
        assert Disbursement.objects.count() == 2

    def test_leaves_out_who_was_put_on_a_list_by_hand(self, staff: Three, chosen: Disbursement) -> None:
        by_hand = factories.make_disbursement(chosen.program, staff.officer, amounts_minor=[ASKED_MINOR])
        first = line(chosen, 2).beneficiary_id
        Payment.objects.filter(disbursement=by_hand).update(beneficiary=first, cycle=chosen.cycle_id)
        made = chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        assert [row[1] for row in people(made)] == [line(chosen, 3).beneficiary_id]

    def test_leaves_out_whose_line_of_a_later_list_was_withdrawn(
        self, staff: Three, chosen: Disbursement
    ) -> None:
        made = chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        claiming.release(made, *staff)
        holds.hold(by=staff.officer, payment_id=line(made, 1).pk, note="Moved away.")
        holds.withdraw(by=staff.approver, payment_id=line(made, 1).pk, note="Moved away.")
        assert chosen_lists.rails_of(chosen) == ["bitcoin"]

    def test_is_made_anew_after_it_was_withdrawn(self, staff: Three, chosen: Disbursement) -> None:
        first = chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        disbursements.cancel(by=staff.officer, disbursement_id=first.pk, note="Too early.")
        again = chosen_lists.of_list(by=staff.officer, disbursement_id=chosen.pk, rail="voucher")
        assert (again.payment_count, again.pk > first.pk) == (2, True)

    def test_is_for_officers(self, staff: Three, chosen: Disbursement, outsider: User) -> None:
        with pytest.raises(RoleMissing):
            chosen_lists.of_list(by=staff.approver, disbursement_id=chosen.pk, rail="voucher")
        assert Disbursement.objects.count() == 1


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_two_officers_who_list_the_same_choices_make_one_list(
        self, staff: Three, drained: Disbursement
    ) -> None:
        elections.take_voucher(by=staff.officer, payment_id=line(drained, 2).pk, note="By call.")
        ask = {"by": staff.officer, "disbursement_id": drained.pk, "rail": "voucher"}
        made, racer = racing.race(lambda: chosen_lists.of_list(**ask), lambda: chosen_lists.of_list(**ask))
        assert isinstance(made, Disbursement)
        assert (made.payment_count, type(racer.error)) == (1, NothingChosen)

    def test_two_officers_who_write_down_different_choices_withdraw_the_line_once(
        self, staff: Three, drained: Disbursement
    ) -> None:
        held = line(drained, 2).pk
        _, racer = racing.race(
            lambda: elections.take_voucher(by=staff.officer, payment_id=held, note="By call."),
            lambda: elections.ask_again(by=staff.officer, payment_id=held, note="By letter."),
        )
        assert isinstance(racer.error, StatusConflict)
        assert (line(drained, 2).status, legs(drained)[1][2]) == ("cancelled", "voucher")
