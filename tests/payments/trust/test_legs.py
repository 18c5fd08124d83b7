"""Legs of lists: asked for at submission, taken at release down to the floor, held beyond it, and owed once they settle."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from govpay.errors import InvalidInput
from ledger import books
from ledger.law.policy import PolicyRefused
from ledger.models import Entry, LotMovement
from ledger.treasury import trust as entries
from payments.models import (
    Destination,
    Disbursement,
    Election,
    Enrollment,
    Hold,
    HoldingAddress,
    Payment,
    Payout,
    Program,
    Trust,
    TrustLeg,
    TrustPurse,
    Voucher,
)
from payments.payout import rounds
from payments.services import disbursements, elections, holds, rails
from payments.states import StatusConflict
from payments.trust import following, words
from tests import claiming, factories, racing
from tests.ledger.reports.asking import columns
from tests.payments.trust.conftest import Three, elect_all, give_price, make_list, release

pytestmark = pytest.mark.django_db

# The golden payment: 51,601 sat are Rs 14,499.88 at 28,100,000 a bitcoin.
GOLDEN_SAT, GOLDEN_MINOR = 51_601, 1_449_988


@pytest.fixture
def trust() -> Trust:
    """Cash for two golden payments and a half above its floor of Rs 50,000."""
    give_price("28100000")
    return factories.make_trust(cash_minor=5_000_000 + 5 * GOLDEN_MINOR // 2, floor_minor=5_000_000)


def legs(disbursement: Disbursement) -> list[tuple[int, str, str, int | None]]:
    """Line, status, refusal and value of each leg of a list."""
    found = TrustLeg.objects.filter(payment__disbursement=disbursement).order_by("payment__line")
    return list(found.values_list("payment__line", "status", "refusal", "value_minor"))


def lines(disbursement: Disbursement) -> list[tuple[int, str]]:
    rows = Payment.objects.filter(disbursement=disbursement).order_by("line")
    return list(rows.values_list("line", "status"))


def purse_of(trust: Trust) -> TrustPurse:
    return TrustPurse.objects.get(trust=trust, currency="PKR")


def money(trust: Trust) -> tuple[int, int, int]:
    """Cash above the floor that is not promised or owed, promised, owed."""
    purse = purse_of(trust)
    return purse.free_minor, purse.promised_minor, purse.owed_minor


def balance(trust: Trust, name: str, layer: str = "settled") -> int:
    return books.balance(getattr(entries.accounts(trust.scope, "PKR"), name), layer=layer)


def settle(disbursement: Disbursement, **where: Any) -> None:
    """Let lines of a list be paid, as the engine does, without a node."""
    payout = Payout.objects.create(
        kind="payments",
        wallet=disbursement.program.wallet,
        disbursement=disbursement,
        status="settled",
        payment_count=1,
        payments_sat=1,
        manifest_hash=bytes(32),
        anchor_txid=f"{disbursement.pk:064x}",
        anchor_vout=Payout.objects.count(),
    )
    rows = Payment.objects.filter(disbursement=disbursement, status="pending", **where)
    for vout, row in enumerate(rows.order_by("pk")):
        Payment.objects.filter(pk=row.pk).update(payout=payout, vout=vout)


class TestElection:
    @pytest.fixture
    def person(self, program: Program) -> Enrollment:
        return factories.make_enrollment(program)

    def test_is_kept_and_the_newest_counts(self, trust: Trust, three: Three, person: Enrollment) -> None:
        asked = {"by": three.officer, "enrollment_id": person.pk, "note": "By letter."}
        elections.elect(choice="currency", trust_id=trust.pk, currency="PKR", **asked)
        last = elections.elect(choice="bitcoin", **asked)
        assert Election.objects.count() == 2
        assert elections.newest(Enrollment.objects.filter(pk=person.pk)).get() == last

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"currency": "USD"}, "trust_without_currency"),
            ({"trust_id": 0}, "trust_without_currency"),
            ({"choice": "bitcoin"}, "out_of_place"),
            ({"note": ""}, "missing"),
        ],
    )
    def test_refuses(
        self, trust: Trust, three: Three, person: Enrollment, changes: dict[str, Any], code: str
    ) -> None:
        asked = {"choice": "currency", "trust_id": trust.pk, "currency": "PKR", "note": "By letter."}
        with pytest.raises(InvalidInput) as refusal:
            elections.elect(by=three.officer, enrollment_id=person.pk, **asked | changes)
        assert refusal.value.details["errors"][0]["code"] == code
        assert not Election.objects.exists()

    def test_is_refused_where_the_law_forbids_the_state_to_convert(
        self, three: Three, person: Enrollment
    ) -> None:
        trust = factories.make_trust(policy_profile="el-salvador-2025")
        asked = {"choice": "currency", "trust_id": trust.pk, "currency": "PKR", "note": "By letter."}
        with pytest.raises(PolicyRefused) as refusal:
            elections.elect(by=three.officer, enrollment_id=person.pk, **asked)
        assert refusal.value.details["rule"] == "state_conversion"

    def test_that_no_process_of_ours_wrote_stops_the_submission(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT], but=(1,))
        person = claiming.person_of(draft, 1)
        Election.objects.create(
            enrollment=person,
            choice="currency",
            purse=purse_of(trust),
            note="x",
            made_by=three.officer,
            made_at="2026-11-30T00:00Z",
            key_id="tests",
            mac=bytes(32),
        )
        with pytest.raises(words.ElectionForged):
            disbursements.submit(by=three.officer, disbursement_id=draft.pk)
        draft.refresh_from_db()
        assert (draft.status, TrustLeg.objects.count()) == ("draft", 0)

    def test_is_never_changed_whoever_connects(self, trust: Trust, three: Three, person: Enrollment) -> None:
        asked = {"choice": "currency", "trust_id": trust.pk, "currency": "PKR", "note": "By letter."}
        elections.elect(by=three.officer, enrollment_id=person.pk, **asked)
        with pytest.raises(Exception, match="never"), transaction.atomic():
            Election.objects.update(choice="bitcoin", purse=None)


class TestSubmission:
    def test_lets_the_line_pay_the_trust_and_the_manifest_say_so(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT, GOLDEN_SAT], but=(2,))
        disbursements.submit(by=three.officer, disbursement_id=draft.pk)
        first, second = Payment.objects.filter(disbursement=draft).order_by("line")
        assert bytes(first.script_pubkey or b"") == bytes(
            HoldingAddress.objects.get(holding__scope=trust.scope).script_pubkey or b""
        )
        own = Destination.objects.get(beneficiary=second.beneficiary)
        assert (first.destination_id, second.destination_id) == (None, own.pk)
        assert legs(draft) == [(1, "asked", "", None)]

    def test_spreads_lines_over_the_trusts_addresses(self, three: Three, program: Program) -> None:
        give_price("28100000")
        scripts = [factories.make_script() for _ in range(3)]
        trust = factories.make_trust(cash_minor=1, addresses=scripts)
        draft = make_list(program, three, trust, [1_000] * 7)
        disbursements.submit(by=three.officer, disbursement_id=draft.pk)
        paid = Payment.objects.filter(disbursement=draft).order_by("line")
        assert [bytes(row.script_pubkey or b"") for row in paid] == [
            scripts[number % 3] for number in range(7)
        ]

    def test_is_refused_where_the_trust_has_no_address(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        HoldingAddress.objects.all().delete()
        draft = make_list(program, three, trust, [GOLDEN_SAT])
        with pytest.raises(InvalidInput) as refusal:
            disbursements.submit(by=three.officer, disbursement_id=draft.pk)
        assert refusal.value.details["errors"][0]["code"] == "trust_without_address"
        assert not TrustLeg.objects.exists()


class TestRelease:
    def test_takes_down_to_the_floor_and_holds_the_rest_of_those_who_elected(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        """Two and a half are there: two are taken, the others held, and who did not elect is paid as ever."""
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 5, but=(2,))
        release(draft, three)
        assert legs(draft) == [
            (1, "taken", "", GOLDEN_MINOR),
            (3, "taken", "", GOLDEN_MINOR),
            (4, "refused", "floor", GOLDEN_MINOR),
            (5, "refused", "floor", GOLDEN_MINOR),
        ]
        assert lines(draft) == [(1, "pending"), (2, "pending"), (3, "pending"), (4, "held"), (5, "held")]
        assert money(trust) == (GOLDEN_MINOR // 2, 2 * GOLDEN_MINOR, 0)
        assert balance(trust, "payable", "encumbered") == -2 * GOLDEN_MINOR
        assert Trust.objects.get(pk=trust.pk).promised_sat == 2 * GOLDEN_SAT
        hold = Hold.objects.filter(rule="trust_refused").first()
        assert hold is not None
        assert "below its floor" in hold.note
        assert "chooses what they take instead" in hold.note

    @pytest.mark.parametrize(
        ("terms", "refusal"),
        [
            ({"inventory_cap_sat": 2 * GOLDEN_SAT - 1}, "cap"),
            ({"limit_minor": GOLDEN_MINOR - 1}, "limit"),
        ],
    )
    def test_stops_at_the_other_terms(
        self, three: Three, program: Program, terms: dict[str, int], refusal: str
    ) -> None:
        give_price("28100000")
        trust = factories.make_trust(cash_minor=10 * GOLDEN_MINOR, **terms)
        draft = make_list(program, three, trust, [GOLDEN_SAT, GOLDEN_SAT])
        release(draft, three)
        taken = 1 if refusal == "cap" else 0
        assert [status for _, status, _, _ in legs(draft)] == ["taken"] * taken + ["refused"] * (2 - taken)
        assert {why for _, status, why, _ in legs(draft) if status == "refused"} == {refusal}

    def test_of_a_paused_trust_holds_all_of_them(self, trust: Trust, three: Three, program: Program) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT, GOLDEN_SAT], but=(2,))
        factories.decide(trust, "pause")
        before = Entry.objects.filter(scope=trust.scope).count()
        release(draft, three)
        assert legs(draft) == [(1, "refused", "paused", None)]
        assert lines(draft) == [(1, "held"), (2, "pending")]
        assert Entry.objects.filter(scope=trust.scope).count() == before

    def test_to_an_address_whose_holding_was_ended_is_not_taken(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT])
        agreed = claiming.approve(draft, three.officer, three.approver)
        HoldingAddress.objects.update(is_live=False)
        disbursements.release(by=three.releaser, disbursement_id=draft.pk, manifest_hash=agreed)
        assert (legs(draft), money(trust)[1:]) == ([(1, "refused", "address", GOLDEN_MINOR)], (0, 0))

    def test_without_a_price_holds_all_of_them(self, three: Three, program: Program) -> None:
        trust = factories.make_trust(cash_minor=10 * GOLDEN_MINOR)
        draft = make_list(program, three, trust, [GOLDEN_SAT])
        release(draft, three)
        assert (legs(draft), money(trust)[1:]) == ([(1, "refused", "no_price", None)], (0, 0))

    def test_rounds_half_to_even(self, three: Three, program: Program) -> None:
        """At 50,000,000 a bitcoin a satoshi is 50 paisa; at 1,000,500 it is 1.0005."""
        give_price("1000500")
        trust = factories.make_trust(cash_minor=10 * GOLDEN_MINOR)
        draft = make_list(program, three, trust, [1_000, 3_000, 1_001])
        release(draft, three)
        # 1000.5, 3001.5 and 1001.5005 paisa.
        assert [value for *_, value in legs(draft)] == [1_000, 3_002, 1_002]

    def test_what_a_leg_is_worth_never_changes_whoever_connects(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT])
        release(draft, three)
        with pytest.raises(IntegrityError, match="does not change"), transaction.atomic():
            TrustLeg.objects.update(value_minor=GOLDEN_MINOR + 1)

    def test_asks_as_many_statements_of_a_hundred_lines_as_of_ten(
        self, three: Three, program: Program, django_assert_max_num_queries: Any
    ) -> None:
        give_price("28100000")
        trust = factories.make_trust(
            cash_minor=200 * GOLDEN_MINOR, limit_minor=10**9, inventory_cap_sat=10**9
        )
        counts = []
        for period, count in (("2026-01", 10), ("2026-02", 100)):
            draft = make_list(program, three, trust, [GOLDEN_SAT] * count, period=period)
            agreed = claiming.approve(draft, three.officer, three.approver)
            with django_assert_max_num_queries(400) as asked:
                disbursements.release(by=three.releaser, disbursement_id=draft.pk, manifest_hash=agreed)
            counts.append(len(asked))
        assert abs(counts[1] - counts[0]) <= 3


class TestFollowing:
    def test_owes_what_settled_and_the_lot_is_in_the_inventory(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 2)
        release(draft, three)
        assert following.follow(trust.pk) == 0
        settle(draft, line=1)
        assert [(ring.task, ring.ids) for ring in rounds.trusts_to_follow()] == [
            ("follow_trust", {"trust_id": trust.pk})
        ]
        assert following.follow(trust.pk) == 1
        assert legs(draft) == [(1, "owed", "", GOLDEN_MINOR), (2, "taken", "", GOLDEN_MINOR)]
        assert money(trust) == (GOLDEN_MINOR // 2, GOLDEN_MINOR, GOLDEN_MINOR)
        assert balance(trust, "payable") == -GOLDEN_MINOR
        assert balance(trust, "payable", "encumbered") == -GOLDEN_MINOR
        assert balance(trust, "inventory") == GOLDEN_SAT
        lot = LotMovement.objects.get()
        assert (lot.scope, lot.amount_sat, lot.value_minor, lot.recorded_by) == (
            trust.scope,
            GOLDEN_SAT,
            GOLDEN_MINOR,
            three.releaser,
        )
        assert following.follow(trust.pk) == 0

    def test_golden_line_a_later_sale_at_27_0_loses_567_61(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        """The line nobody published (requirements.md): taken at 28.1M, sold at 27.0M, Rs 567.61 a payment."""
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 2)
        release(draft, three)
        settle(draft)
        following.follow(trust.pk)
        factories.decide(
            trust,
            "sale",
            currency="PKR",
            amount_sat=2 * GOLDEN_SAT,
            value_minor=2 * 1_393_227,
            reference="At 27.0M",
        )
        found = columns("lots", "amount_sat", "cost", "proceeds", "gain", scope=trust.scope)
        assert found == [(GOLDEN_SAT, GOLDEN_MINOR, 1_393_227, -56_761)] * 2
        assert columns("gains", "fifo_gain", "average_gain", scope=trust.scope) == [(-113_522, -113_522)]

    def test_frees_what_is_withdrawn_or_void(self, trust: Trust, three: Three, program: Program) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 4)
        release(draft, three)
        holds.hold(
            by=three.officer, payment_id=Payment.objects.get(disbursement=draft, line=1).pk, note="Wait."
        )
        for line, by in ((1, three.approver), (3, three.approver)):
            payment = Payment.objects.get(disbursement=draft, line=line)
            holds.withdraw(by=by, payment_id=payment.pk, note="Gone.")
        assert following.follow(trust.pk) == 2
        assert legs(draft) == [
            (1, "freed", "", GOLDEN_MINOR),
            (2, "taken", "", GOLDEN_MINOR),
            (3, "freed", "floor", GOLDEN_MINOR),
            (4, "refused", "floor", GOLDEN_MINOR),
        ]
        assert money(trust) == (3 * GOLDEN_MINOR // 2, GOLDEN_MINOR, 0)
        assert balance(trust, "payable", "encumbered") == -GOLDEN_MINOR

    def test_frees_the_legs_of_a_list_that_nobody_released(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT])
        disbursements.submit(by=three.officer, disbursement_id=draft.pk)
        disbursements.cancel(by=three.officer, disbursement_id=draft.pk, note="No.")
        assert following.follow(trust.pk) == 1
        assert (legs(draft), money(trust)[1:]) == ([(1, "freed", "", None)], (0, 0))


class TestBitcoinInstead:
    def test_takes_the_line_out_and_the_next_list_pays_the_persons_own_address(
        self, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 3)
        release(draft, three)
        held = Payment.objects.get(disbursement=draft, line=3)
        with pytest.raises(holds.HoldStands):
            holds.resume(by=three.approver, payment_id=held.pk, note="Pay.")
        elections.take_bitcoin(by=three.officer, payment_id=held.pk, note="By telephone.")
        assert lines(draft)[2] == (3, "cancelled")
        following.follow(trust.pk)
        assert legs(draft)[2][1] == "freed"
        again = factories.make_disbursement(program, three.officer, amounts_sat=[GOLDEN_SAT])
        Payment.objects.filter(disbursement=again).update(beneficiary=held.beneficiary_id)
        disbursements.submit(by=three.officer, disbursement_id=again.pk)
        own = Destination.objects.get(beneficiary=held.beneficiary_id, is_current=True)
        assert bytes(Payment.objects.get(disbursement=again).script_pubkey or b"") == bytes(own.script_pubkey)

    def test_is_for_lines_that_a_trust_refused(self, trust: Trust, three: Three, program: Program) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT])
        release(draft, three)
        payment = Payment.objects.get(disbursement=draft)
        with pytest.raises(StatusConflict):
            elections.take_bitcoin(by=three.officer, payment_id=payment.pk, note="x")
        assert (lines(draft), Election.objects.count()) == ([(1, "pending")], 1)


@pytest.mark.django_db(transaction=True)
class TestDrain:
    """Two lists at once want more than there is: they stop exactly at the floor."""

    def test_stops_exactly_at_the_floor(self, trust: Trust, three: Three, program: Program) -> None:
        other = factories.make_program("ORPHANS")
        their = Three(*(factories.make_member(other, role) for role in ("officer", "approver", "releaser")))
        mine, theirs = (
            make_list(program, three, trust, [GOLDEN_SAT] * 2),
            make_list(other, their, trust, [GOLDEN_SAT] * 2),
        )
        agreed = [
            claiming.approve(mine, three.officer, three.approver),
            claiming.approve(theirs, their.officer, their.approver),
        ]
        first = lambda: disbursements.release(  # noqa: E731
            by=three.releaser, disbursement_id=mine.pk, manifest_hash=agreed[0]
        )
        second = lambda: disbursements.release(  # noqa: E731
            by=their.releaser, disbursement_id=theirs.pk, manifest_hash=agreed[1]
        )
        _, racer = racing.race(first, second)
        assert racer.error is None
        assert [status for _, status, _, _ in legs(mine)] == ["taken", "taken"]
        assert [(status, why) for _, status, why, _ in legs(theirs)] == [("refused", "floor")] * 2
        assert money(trust) == (GOLDEN_MINOR // 2, 2 * GOLDEN_MINOR, 0)
        assert lines(theirs) == [(1, "held"), (2, "held")]

    def test_two_workers_owe_what_settled_once(self, trust: Trust, three: Three, program: Program) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 2)
        release(draft, three)
        settle(draft)
        owed, racer = racing.race(lambda: following.follow(trust.pk), lambda: following.follow(trust.pk))
        assert (owed, racer.result, racer.error) == (2, 0, None)
        assert money(trust) == (GOLDEN_MINOR // 2, 0, 2 * GOLDEN_MINOR)
        assert (balance(trust, "inventory"), LotMovement.objects.count()) == (2 * GOLDEN_SAT, 2)


class TestProgramOfMoney:
    """A list of rupees is converted by its own quote, and the trust takes its legs at that."""

    def test_owes_what_the_satoshis_of_the_golden_payment_are_worth_and_discloses_the_remainder(
        self, trust: Trust
    ) -> None:
        program = factories.make_program("RUPEES", currency="PKR")
        three = Three(*(factories.make_member(program, role) for role in ("officer", "approver", "releaser")))
        factories.fund(program, 2_000_000)
        factories.fund_cash(program, 10_000_000)
        draft = factories.make_disbursement(program, three.officer, amounts_minor=[1_450_000] * 3)
        elect_all(draft, trust, three.officer)
        agreed = claiming.approve(draft, three.officer, three.approver)
        quote = factories.make_quote("PKR", "28100000")
        disbursements.release(
            by=three.releaser, disbursement_id=draft.pk, manifest_hash=agreed, quote_id=quote.pk
        )
        assert legs(draft) == [
            (1, "taken", "", GOLDEN_MINOR),
            (2, "taken", "", GOLDEN_MINOR),
            (3, "refused", "floor", GOLDEN_MINOR),
        ]
        leg = TrustLeg.objects.filter(payment__disbursement=draft).first()
        assert leg is not None
        assert (leg.amount_sat, leg.quote_id, leg.payment.remainder_minor) == (GOLDEN_SAT, quote.pk, 12)

    def test_offers_a_voucher_for_the_line_beyond_the_floor(self, trust: Trust) -> None:
        """The line is withdrawn, which is proof that it is dead, and a list that is paid by voucher has its person."""
        program = factories.make_program("RUPEES", currency="PKR")
        three = Three(*(factories.make_member(program, role) for role in ("officer", "approver", "releaser")))
        factories.fund(program, 2_000_000)
        factories.fund_cash(program, 20_000_000)
        draft = factories.make_disbursement(program, three.officer, amounts_minor=[1_450_000] * 3)
        elect_all(draft, trust, three.officer)
        agreed = claiming.approve(draft, three.officer, three.approver)
        quote = factories.make_quote("PKR", "28100000")
        disbursements.release(
            by=three.releaser, disbursement_id=draft.pk, manifest_hash=agreed, quote_id=quote.pk
        )
        held = Payment.objects.get(disbursement=draft, line=3)
        elections.take_voucher(by=three.officer, payment_id=held.pk, note="By call.")
        assert lines(draft)[2] == (3, "cancelled")
        again = factories.make_disbursement(program, three.officer, amounts_minor=[1_450_000])
        Payment.objects.filter(disbursement=again).update(beneficiary=held.beneficiary_id)
        rails.choose(by=three.officer, disbursement_id=again.pk, rail="voucher")
        claiming.release(again, *three)
        rails.pay(again.pk)
        voucher = Voucher.objects.get(payment__disbursement=again)
        assert (voucher.amount_minor, voucher.payment.beneficiary_id) == (1_450_000, held.beneficiary_id)
        assert not TrustLeg.objects.filter(payment__disbursement=again).exists()

    def test_owing_satoshis_offers_no_voucher(self, trust: Trust, three: Three, program: Program) -> None:
        draft = make_list(program, three, trust, [GOLDEN_SAT] * 3)
        release(draft, three)
        held = Payment.objects.get(disbursement=draft, line=3)
        with pytest.raises(rails.RailNeedsMoney):
            elections.take_voucher(by=three.officer, payment_id=held.pk, note="By call.")
        assert lines(draft)[2] == (3, "held")
