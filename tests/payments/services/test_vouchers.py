"""Codes that are typed, desks that lock, and vouchers that two people take back."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, SamePersonTwice
from ledger.models import AuditEvent
from payments.models import Disbursement, Program, Voucher, VoucherDesk
from payments.payout.guard import EngineStopped
from payments.services import authority, stops, voucher_cancelling, voucher_codes, vouchers
from payments.services.tickets import LETTERS
from payments.states import StatusConflict
from tests import factories, racing, railing
from tests.railing import Cast, balances, draft, release, statuses

pytestmark = pytest.mark.django_db


@pytest.fixture
def money(db: None) -> Program:
    """A program that owes rupees."""
    return railing.make_money()


@pytest.fixture
def cast(money: Program) -> Cast:
    """Make, approve, release, and carry files to the bank."""
    return railing.make_cast(money)


@pytest.fixture
def agent(money: Program) -> User:
    """Pays out vouchers."""
    return factories.make_member(money, "agent")


@pytest.fixture
def printed(money: Program, cast: Cast) -> tuple[Disbursement, list[vouchers.Slip]]:
    """A released list of three vouchers that were printed."""
    made = release(draft(money, cast, "voucher"), cast)
    return made, vouchers.issue(by=cast[0], disbursement_id=made.pk)


def wrong_code() -> str:
    """A code whose check character fits, which no voucher has."""
    return voucher_codes.make()


class TestCodes:
    def test_are_read_however_they_are_typed(self) -> None:
        code = voucher_codes.make()
        plain = code.replace("-", "")
        assert voucher_codes.read(code.lower().replace("-", " ").replace("1", "l").replace("0", "o")) == plain
        assert len({voucher_codes.make() for _ in range(200)}) == 200

    def test_every_wrong_letter_is_known_before_anybody_is_asked(self) -> None:
        plain = voucher_codes.make().replace("-", "")
        for place, right in enumerate(plain):
            for letter in LETTERS:
                if letter != right:
                    with pytest.raises(voucher_codes.CodeMistyped):
                        voucher_codes.read(plain[:place] + letter + plain[place + 1 :])

    @pytest.mark.parametrize("text", ["", "A", "U" * 13, "\uff21" * 13, "0" * 2_000])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(voucher_codes.CodeMistyped):
            voucher_codes.read(text)


class TestDesk:
    def test_pays_nothing_while_the_engine_is_stopped_and_counts_nothing(
        self, money: Program, cast: Cast, printed: tuple[Disbursement, list[vouchers.Slip]], agent: User
    ) -> None:
        stop = stops.throw(by=cast[3], reason="A list looks wrong.")
        for code in (printed[1][0].code, wrong_code()):
            with pytest.raises(EngineStopped, match="A list looks wrong"):
                vouchers.redeem(by=agent, program_id=money.pk, code=code)
        assert not VoucherDesk.objects.exists()
        stops.lift(
            by=factories.make_member(money, "treasurer", "other"), stop_id=stop.pk, reason="It is not."
        )
        assert vouchers.redeem(by=agent, program_id=money.pk, code=printed[1][0].code).status == "redeemed"

    def test_locks_after_too_many_codes_that_are_none_and_opens_again(
        self,
        money: Program,
        agent: User,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        now = timezone.now()
        terms: dict[str, Any] = {"by": agent, "program_id": money.pk}
        for _ in range(vouchers.MOST_MISSES):
            with pytest.raises(vouchers.VoucherRefused):
                vouchers.redeem(**terms, code=wrong_code(), now=now)
        code = printed[1][0].code
        with pytest.raises(vouchers.DeskLocked):
            vouchers.redeem(**terms, code=code, now=now + timedelta(minutes=59))
        assert AuditEvent.objects.filter(action="voucher.miss").count() == vouchers.MOST_MISSES
        other = factories.make_member(money, "agent", "another-agent")
        assert vouchers.redeem(by=other, program_id=money.pk, code=code, now=now).status == "redeemed"
        later = now + timedelta(minutes=61)
        assert vouchers.redeem(**terms, code=printed[1][1].code, now=later).status == "redeemed"

    def test_counts_no_slip_of_a_finger_and_forgets_after_a_while(
        self,
        money: Program,
        agent: User,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        now = timezone.now()
        terms: dict[str, Any] = {"by": agent, "program_id": money.pk}
        for step in range(vouchers.MOST_MISSES * 2):
            with pytest.raises(voucher_codes.CodeMistyped):
                vouchers.redeem(**terms, code="AAAA", now=now)
            with pytest.raises(vouchers.VoucherRefused):
                vouchers.redeem(**terms, code=wrong_code(), now=now + timedelta(minutes=4 * step))

    def test_pays_nothing_of_another_program(
        self,
        agent: User,
        cast: Cast,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        other = factories.make_program("OTHER", currency="PKR")
        stranger = factories.make_member(other, "agent")
        with pytest.raises(vouchers.VoucherRefused):
            vouchers.redeem(by=stranger, program_id=other.pk, code=printed[1][0].code)
        with pytest.raises(authority.RoleMissing):
            vouchers.redeem(by=cast[0], program_id=printed[0].program_id, code=printed[1][0].code)
        assert not Voucher.objects.filter(status="redeemed").exists()

    def test_who_prints_does_not_pay_out_whatever_the_code_says(
        self,
        money: Program,
        cast: Cast,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        factories.change_role(money, cast[0], "agent")
        with pytest.raises(SamePersonTwice):
            vouchers.redeem(by=cast[0], program_id=money.pk, code=printed[1][0].code)
        with pytest.raises(IntegrityError, match="voucher_redeemed_by_another"), transaction.atomic():
            Voucher.objects.filter(pk=printed[1][0].voucher_id).update(
                status="redeemed", redeemed_by=cast[0], ended_at=timezone.now()
            )


class TestCancel:
    def test_two_people_replace_a_lost_slip_and_the_old_code_is_dead(
        self,
        money: Program,
        cast: Cast,
        agent: User,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        made, (lost, *_) = printed
        before = balances(money)
        with pytest.raises(voucher_cancelling.CancelNotAsked):
            voucher_cancelling.cancel(by=cast[1], voucher_id=lost.voucher_id, is_replaced=True)
        voucher_cancelling.ask(by=cast[0], voucher_id=lost.voucher_id, note="It was lost.")
        with pytest.raises(SamePersonTwice):
            voucher_cancelling.cancel(by=cast[0], voucher_id=lost.voucher_id, is_replaced=True)
        made_again = voucher_cancelling.cancel(by=cast[1], voucher_id=lost.voucher_id, is_replaced=True)
        assert (made_again.status, made_again.replaces_id) == ("waiting", lost.voucher_id)
        with pytest.raises(vouchers.VoucherGone):
            vouchers.redeem(by=agent, program_id=money.pk, code=lost.code)
        (slip,) = vouchers.issue(by=cast[0], disbursement_id=made.pk)
        vouchers.redeem(by=agent, program_id=money.pk, code=slip.code)
        after = balances(money)
        assert after["transit"] == before["transit"] - lost.amount_minor
        assert statuses(made) == ["pending"] * 3

    def test_without_a_replacement_the_payment_is_void_and_its_money_back(
        self,
        money: Program,
        cast: Cast,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        made, (slip, *_) = printed
        before = balances(money)
        voucher_cancelling.ask(by=cast[0], voucher_id=slip.voucher_id, note="He has moved.")
        voucher_cancelling.cancel(by=cast[1], voucher_id=slip.voucher_id, is_replaced=False)
        assert statuses(made) == ["voided", "pending", "pending"]
        assert balances(money)["cash"] == before["cash"] + slip.amount_minor
        with pytest.raises(StatusConflict):
            voucher_cancelling.ask(by=cast[0], voucher_id=slip.voucher_id, note="Again.")

    def test_needs_a_reason(self, cast: Cast, printed: tuple[Disbursement, list[vouchers.Slip]]) -> None:
        with pytest.raises(InvalidInput):
            voucher_cancelling.ask(by=cast[0], voucher_id=printed[1][0].voucher_id, note=" ")

    def test_the_database_cancels_nothing_for_one_person(
        self,
        cast: Cast,
        printed: tuple[Disbursement, list[vouchers.Slip]],
    ) -> None:
        row = Voucher.objects.filter(pk=printed[1][0].voucher_id)
        for people in ({"cancelled_by": cast[0]}, {"cancelled_by": cast[0], "cancel_asked_by": cast[0]}):
            with pytest.raises(IntegrityError, match="voucher_cancelled_by_two"), transaction.atomic():
                row.update(status="cancelled", ended_at=timezone.now(), **people)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Whoever comes second to a voucher is told, and its money goes one way only."""

    PAID, BACK = {"transit": 1_550_000, "payable": -1_550_000}, {"transit": 0, "payable": 0}

    def stands(self, money: Program) -> dict[str, int]:
        found = balances(money)
        return {name: found[name] for name in ("transit", "payable")}

    def test_two_desks_pay_a_code_once(
        self, money: Program, agent: User, printed: tuple[Disbursement, list[vouchers.Slip]]
    ) -> None:
        other = factories.make_member(money, "agent", "another agent")
        code = printed[1][0].code

        def redeem(by: User) -> Voucher:
            return vouchers.redeem(by=by, program_id=money.pk, code=code)

        _, second = racing.race(lambda: redeem(agent), lambda: redeem(other))
        assert isinstance(second.error, vouchers.VoucherGone)
        assert second.error.details["status"] == "redeemed"
        assert (Voucher.objects.get(status="redeemed").redeemed_by, self.stands(money)) == (agent, self.PAID)

    def test_what_is_being_redeemed_does_not_expire(
        self, money: Program, agent: User, printed: tuple[Disbursement, list[vouchers.Slip]]
    ) -> None:
        made, slips = printed
        over = slips[0].expires_at
        _, second = racing.race(
            lambda: vouchers.redeem(
                by=agent, program_id=money.pk, code=slips[0].code, now=over - timedelta(seconds=1)
            ),
            lambda: vouchers.expire(made.pk, now=over),
        )
        assert (second.error, second.result) == (None, 2)
        assert statuses(made) == ["pending", "voided", "voided"]
        assert self.stands(money) == self.BACK

    def test_what_is_expiring_is_not_redeemed(
        self, money: Program, agent: User, printed: tuple[Disbursement, list[vouchers.Slip]]
    ) -> None:
        made, slips = printed
        over = slips[0].expires_at
        _, second = racing.race(
            lambda: vouchers.expire(made.pk, now=over),
            # The agent typed it a second before, and waits.
            lambda: vouchers.redeem(
                by=agent, program_id=money.pk, code=slips[0].code, now=over - timedelta(seconds=1)
            ),
        )
        assert isinstance(second.error, vouchers.VoucherGone)
        assert second.error.details["status"] == "expired"
        assert statuses(made) == ["voided"] * 3
        assert self.stands(money) == self.BACK
