"""A trust's board: two of three decide, in code and in the database, and what stands against it books nothing (R-25)."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, SamePersonTwice
from ledger import books
from ledger.law.policy import PolicyRefused
from ledger.models import AuditEvent, Entry, Inflow, LotMovement
from ledger.treasury import movements
from ledger.treasury import trust as entries
from ledger.treasury.lots import Movement
from payments.models import Alarm, Holding, Program, Trust, TrustDecision, TrustPurse, TrustVote
from payments.services import inflows, proposals, trust_boards
from payments.services.trust_boards import NotOnTheBoard
from payments.states import StatusConflict
from payments.trust.money import InventoryShort, TrustAboveCap, TrustBelowFloor
from payments.trust.words import VoteForged
from tests import factories, racing

pytestmark = pytest.mark.django_db

LAKH = 10_000_000  # Rs 100,000 in paisa.
CAPITAL = {
    "kind": "capital_in",
    "currency": "PKR",
    "amount_minor": LAKH,
    "reference": "Letter 1",
    "note": "Seed.",
}


@pytest.fixture
def trust() -> Trust:
    return factories.make_trust(floor_minor=LAKH)


def purse_of(trust: Trust) -> TrustPurse:
    return TrustPurse.objects.get(trust=trust, currency="PKR")


def balance(trust: Trust, name: str) -> int:
    return books.balance(getattr(entries.accounts(trust.scope, "PKR"), name))


def booked() -> tuple[int, int]:
    return Entry.objects.count(), LotMovement.objects.count()


class TestTrust:
    @pytest.fixture
    def security(self, program: Program) -> User:
        return factories.make_member(program, "security", "sana")

    @pytest.fixture
    def second(self, program: Program) -> User:
        return factories.make_member(program, "security", "samuel")

    @pytest.fixture
    def asked(self) -> dict[str, Any]:
        for name in ("x", "y", "z", "new"):
            factories.make_user(name)
        return {
            "scope": "trust:7",
            "name": "Trust",
            "policy_profile": "sandbox",
            "jurisdiction": "pakistan",
            "members": ["x", "y", "z"],
            "inventory_cap_sat": 10,
            "currency": "PKR",
            "floor_minor": 1,
            "limit_minor": 2,
            "note": "By law.",
        }

    def test_is_there_with_its_board_once_another_person_confirmed_it(
        self, security: User, second: User, asked: dict[str, Any]
    ) -> None:
        made = proposals.propose_trust(by=security, **asked)
        assert not Trust.objects.exists()
        proposals.confirm(by=second, proposal_id=made.pk)
        trust = Trust.objects.get()
        assert [user.username for user in factories.board_of(trust)] == ["x", "y", "z"]
        assert (purse_of(trust).floor_minor, purse_of(trust).cash_minor, purse_of(trust).scale) == (1, 0, 2)

    def test_gets_another_board_which_voids_what_the_old_one_was_asked(
        self, security: User, second: User, asked: dict[str, Any]
    ) -> None:
        proposals.confirm(by=second, proposal_id=proposals.propose_trust(by=security, **asked).pk)
        trust = Trust.objects.get()
        x, y, _ = factories.board_of(trust)
        decision = trust_boards.propose(by=x, trust_id=trust.pk, **CAPITAL)
        changed = proposals.propose_trust(
            by=security, trust_id=trust.pk, members=["x", "y", "new"], note="Z left."
        )
        proposals.confirm(by=second, proposal_id=changed.pk)
        assert TrustDecision.objects.get(pk=decision.pk).status == "void"
        with pytest.raises(StatusConflict):
            trust_boards.sign(by=y, decision_id=decision.pk)
        assert purse_of(trust).cash_minor == 0
        assert [user.username for user in factories.board_of(trust)] == ["new", "x", "y"]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"members": ["x", "y"]}, "board_of_three"),
            ({"members": ["x", "y", "y"]}, "board_of_three"),
            ({"members": ["x", "y", "nobody"]}, "board_of_three"),
            ({"members": ["x", "y", "sana"]}, "member_has_a_role"),
            ({"policy_profile": "mars"}, "unknown_profile"),
            ({"jurisdiction": "mars"}, "unknown_jurisdiction"),
            ({"currency": "XXX"}, "unknown_currency"),
            ({"floor_minor": -1}, "out_of_range"),
            ({"currency": None}, "missing"),
        ],
    )
    def test_refuses(
        self, security: User, second: User, asked: dict[str, Any], changes: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            proposals.propose_trust(by=security, **asked | changes)
        assert refusal.value.details["errors"][0]["code"] == code
        assert not Trust.objects.exists()

    def test_terms_are_the_boards_once_it_is_there(self, security: User, trust: Trust) -> None:
        with pytest.raises(InvalidInput) as refusal:
            proposals.propose_trust(by=security, trust_id=trust.pk, floor_minor=0, note="Lower.")
        assert refusal.value.details["errors"][0]["code"] == "terms_are_the_boards"

    def test_members_hold_no_role_whoever_connects(self, program: Program, trust: Trust) -> None:
        member = factories.board_of(trust)[0]
        with pytest.raises(IntegrityError, match="Nobody is on the board"), transaction.atomic():
            program.memberships.create(user=member, role="auditor", granted_by=factories.make_administrator())

    def test_has_three_members_whoever_connects(self, trust: Trust) -> None:
        seats = trust.seats.filter(user=factories.board_of(trust)[0])
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError, match="three members"), transaction.atomic():
            seats.update(ended_at="2026-01-01T00:00Z")


class TestDecision:
    def test_is_done_when_a_second_member_signs(self, trust: Trust) -> None:
        first, second, third = factories.board_of(trust)
        made = trust_boards.propose(by=first, trust_id=trust.pk, **CAPITAL)
        assert (made.status, balance(trust, "cash")) == ("open", 0)
        with pytest.raises(SamePersonTwice):
            trust_boards.sign(by=first, decision_id=made.pk)
        with pytest.raises(NotOnTheBoard):
            trust_boards.sign(by=factories.make_user("outsider-1"), decision_id=made.pk)
        assert booked() == (0, 0)
        trust_boards.sign(by=second, decision_id=made.pk)
        assert (balance(trust, "cash"), balance(trust, "capital")) == (LAKH, -LAKH)
        assert purse_of(trust).cash_minor == LAKH
        with pytest.raises(StatusConflict):
            trust_boards.sign(by=third, decision_id=made.pk)
        found = AuditEvent.objects.filter(action__startswith="trust_decision").order_by("pk")
        assert list(found.values_list("action", "actor_id")) == [
            ("trust_decision.propose", str(first.pk)),
            ("trust_decision.sign", str(second.pk)),
        ]

    def test_is_withdrawn_by_its_proposer_alone(self, trust: Trust) -> None:
        first, second, _ = factories.board_of(trust)
        made = trust_boards.propose(by=first, trust_id=trust.pk, **CAPITAL)
        with pytest.raises(NotOnTheBoard):
            trust_boards.withdraw(by=second, decision_id=made.pk, note="No.")
        trust_boards.withdraw(by=first, decision_id=made.pk, note="A typo.")
        with pytest.raises(StatusConflict):
            trust_boards.sign(by=second, decision_id=made.pk)
        assert booked() == (0, 0)

    def test_expires(self, trust: Trust) -> None:
        first, second, _ = factories.board_of(trust)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trust_boards, "VALID_FOR", -trust_boards.VALID_FOR)
            made = trust_boards.propose(by=first, trust_id=trust.pk, **CAPITAL)
        with pytest.raises(trust_boards.DecisionExpired):
            trust_boards.sign(by=second, decision_id=made.pk)
        assert TrustVote.objects.count() == 1

    def test_signature_that_no_process_of_ours_took_counts_for_nothing(self, trust: Trust) -> None:
        first, second, _ = factories.board_of(trust)
        forged = TrustDecision.objects.create(
            trust=trust,
            board_number=1,
            kind="capital_in",
            terms={"currency": "PKR", "amount_minor": 5, "reference": "x"},
            note="x",
            made_by=first,
            made_at="2026-11-30T00:00Z",
            expires_at="2030-11-30T00:00Z",
        )
        TrustVote.objects.create(
            decision=forged, user=first, at="2026-11-30T00:00Z", key_id="tests", mac=bytes(32)
        )
        with pytest.raises(VoteForged):
            trust_boards.sign(by=second, decision_id=forged.pk)
        assert (booked(), purse_of(trust).cash_minor) == ((0, 0), 0)

    @pytest.mark.parametrize(
        ("sql", "says"),
        [
            ("UPDATE payments_trustdecision SET status = 'carried', ended_at = now()", "Two of three"),
            ("UPDATE payments_trustdecision SET terms = '{}'", "does not change"),
            ("UPDATE payments_trustvote SET user_id = user_id", "never|refuse|append"),
            ("DELETE FROM payments_trustvote", "never|refuse|append"),
            (
                "INSERT INTO payments_trustvote (decision_id, user_id, at, key_id, mac)"
                " SELECT id, (SELECT id FROM auth_user WHERE username = 'administrator'), now(), 'k', ''"
                " FROM payments_trustdecision",
                "Only a member",
            ),
            (
                "INSERT INTO payments_trustvote (decision_id, user_id, at, key_id, mac)"
                " SELECT decision_id, user_id, now(), 'k', '' FROM payments_trustvote",
                "trustvote_once",
            ),
        ],
    )
    def test_holds_in_the_database_whoever_connects(self, trust: Trust, sql: str, says: str) -> None:
        factories.make_administrator()
        trust_boards.propose(by=factories.board_of(trust)[0], trust_id=trust.pk, **CAPITAL)
        with pytest.raises(Exception, match=says), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)

    @pytest.mark.parametrize(
        ("changes", "column", "code"),
        [
            ({"amount_minor": 0}, "amount_minor", "out_of_range"),
            ({"amount_minor": None}, "amount_minor", "missing"),
            ({"amount_sat": 5}, "amount_sat", "out_of_place"),
            ({"reference": "x" * 61}, "reference", "invalid"),
            ({"reference": "a\nb"}, "reference", "invalid"),
            ({"currency": "XXX"}, "currency", "unknown_currency"),
            ({"note": " "}, "note", "missing"),
        ],
    )
    def test_refuses_terms(self, trust: Trust, changes: dict[str, Any], column: str, code: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            trust_boards.propose(by=factories.board_of(trust)[0], trust_id=trust.pk, **CAPITAL | changes)
        first = refusal.value.details["errors"][0]
        assert (first["column"], first["code"]) == (column, code)
        assert not TrustDecision.objects.exists()


class TestMoney:
    """A trust below its floor, or above its cap, is refused with its rule, and nothing is booked."""

    def refused(self, trust: Trust, error: type[Conflict], kind: str, **terms: Any) -> dict[str, Any]:
        before, row = booked(), (purse_of(trust).cash_minor, Trust.objects.get(pk=trust.pk).inventory_sat)
        first, second, _ = factories.board_of(trust)
        made = trust_boards.propose(by=first, trust_id=trust.pk, kind=kind, note="x", **terms)
        with pytest.raises(error) as refusal:
            trust_boards.sign(by=second, decision_id=made.pk)
        assert (booked(), TrustVote.objects.filter(decision=made).count()) == (before, 1)
        assert (purse_of(trust).cash_minor, Trust.objects.get(pk=trust.pk).inventory_sat) == row
        assert TrustDecision.objects.get(pk=made.pk).status == "open"
        return dict(refusal.value.details)

    def test_capital_leaves_down_to_the_floor_and_not_below(self, trust: Trust) -> None:
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=3 * LAKH, reference="1")
        found = self.refused(
            trust, TrustBelowFloor, "capital_out", currency="PKR", amount_minor=2 * LAKH + 1, reference="2"
        )
        assert (found["rule"], found["floor_minor"], found["needed_minor"]) == ("floor", LAKH, 2 * LAKH + 1)
        factories.decide(trust, "capital_out", currency="PKR", amount_minor=2 * LAKH, reference="3")
        assert (balance(trust, "cash"), balance(trust, "capital")) == (LAKH, -LAKH)

    def test_golden_line_a_sale_at_27_0_after_buying_at_28_1_loses_567_61(self, trust: Trust) -> None:
        """The line nobody published (requirements.md): Rs 567.61 a payment of 51,601 sat."""
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=3 * LAKH, reference="1")
        bought = {"currency": "PKR", "amount_sat": 51_601, "value_minor": 1_449_988, "reference": "At 28.1M"}
        factories.decide(trust, "purchase", **bought)
        assert (balance(trust, "inventory"), balance(trust, "position")) == (51_601, 1_449_988)
        factories.decide(trust, "sale", **bought | {"value_minor": 1_393_227, "reference": "At 27.0M"})
        assert (balance(trust, "inventory"), balance(trust, "position")) == (0, 56_761)
        assert Trust.objects.get(pk=trust.pk).inventory_sat == 0

    def test_purchase_stops_at_the_cap_and_the_floor(self, trust: Trust) -> None:
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=3 * LAKH, reference="1")
        buy = {"currency": "PKR", "reference": "2"}
        found = self.refused(
            trust, TrustAboveCap, "purchase", amount_sat=100_000_001, value_minor=LAKH, **buy
        )
        assert found["rule"] == "cap"
        self.refused(trust, TrustBelowFloor, "purchase", amount_sat=1, value_minor=2 * LAKH + 1, **buy)

    def test_sells_no_more_than_it_has(self, trust: Trust) -> None:
        self.refused(
            trust, InventoryShort, "sale", currency="PKR", amount_sat=1, value_minor=1, reference="1"
        )

    def test_law_refuses_a_purchase_where_it_forbids_to_accumulate(self) -> None:
        trust = factories.make_trust(policy_profile="el-salvador-2025", cash_minor=LAKH)
        found = self.refused(
            trust, PolicyRefused, "purchase", currency="PKR", amount_sat=1, value_minor=1, reference="1"
        )
        assert (found["rule"], found["ceiling_sat"]) == ("accumulation_ceiling", 0)

    def test_raised_floor_sounds_an_alarm_until_capital_comes(self, trust: Trust) -> None:
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=LAKH, reference="1")
        factories.decide(trust, "terms", currency="PKR", floor_minor=2 * LAKH, limit_minor=5)
        alarm = Alarm.objects.get(code="trust_below_floor", closed_at=None)
        assert "10,000,000 minor units below the floor of 20,000,000" in alarm.message
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=LAKH, reference="2")
        assert not Alarm.objects.filter(closed_at=None).exists()

    def test_lowered_cap_sounds_an_alarm(self, trust: Trust) -> None:
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=3 * LAKH, reference="1")
        factories.decide(
            trust, "purchase", currency="PKR", amount_sat=50, value_minor=1, reference="At nothing"
        )
        factories.decide(trust, "cap", inventory_cap_sat=10)
        assert "40 sat above the cap of 10" in Alarm.objects.get(code="trust_above_cap").message

    def test_people_are_covered_in_their_currency_whoever_connects(self, trust: Trust) -> None:
        """R-26: what is owed is never more than the cash of that currency, at any price."""
        with pytest.raises(IntegrityError, match="trustpurse_people_are_covered"), transaction.atomic():
            TrustPurse.objects.filter(trust=trust).update(owed_minor=1)


class TestLots:
    """Lots go with the books: one person with the right to record lots changes neither."""

    @pytest.fixture
    def tom(self, program: Program) -> User:
        user = factories.make_user("tom", "ledger.add_lotmovement")
        program.memberships.create(user=user, role="treasurer", granted_by=user)
        return user

    def test_are_not_recorded_by_hand(self, trust: Trust, tom: User) -> None:
        # Under this name no leg could ever be taken into the inventory.
        made = Movement(timezone.now(), True, 1_000, 1_000, "leg:1")
        with pytest.raises(InvalidInput) as refusal:
            movements.record(by=tom, scope=trust.scope, currency="PKR", scale=2, movements=[made])
        assert refusal.value.details["errors"][0]["code"] == "lots_of_a_trust"
        assert LotMovement.objects.count() == 0

    def test_are_not_those_of_outputs_that_somebody_classes_as_acquired(
        self, trust: Trust, tom: User
    ) -> None:
        held = Holding.objects.get(scope=trust.scope)
        factories.make_institution(trust.scope)
        factories.make_scan(held, [(1, held.addresses.all()[0].address, 700)])
        asked = {"inflow_ids": [Inflow.objects.get().pk], "funding_source": "Court 7", "note": "Case 12."}
        acquired = {"cost_minor": 0, "acquired_at": timezone.now()}
        with pytest.raises(InvalidInput) as refusal:
            inflows.give(by=tom, kind="forfeiture", **asked, **acquired)
        assert refusal.value.details["errors"][0]["code"] == "lots_of_a_trust"
        assert inflows.give(by=tom, kind="internal_transfer", **asked).amount_sat == 700


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_two_members_who_sign_together_carry_it_once(self, trust: Trust) -> None:
        first, second, third = factories.board_of(trust)
        made = trust_boards.propose(by=first, trust_id=trust.pk, **CAPITAL)
        _, racer = racing.race(
            lambda: trust_boards.sign(by=second, decision_id=made.pk),
            lambda: trust_boards.sign(by=third, decision_id=made.pk),
        )
        assert isinstance(racer.error, StatusConflict)
        assert (balance(trust, "cash"), TrustVote.objects.count()) == (LAKH, 2)

    def test_two_decisions_together_stop_at_the_floor(self, trust: Trust) -> None:
        factories.decide(trust, "capital_in", currency="PKR", amount_minor=2 * LAKH, reference="1")
        first, second, third = factories.board_of(trust)
        out = CAPITAL | {"kind": "capital_out"}
        one, other = (trust_boards.propose(by=first, trust_id=trust.pk, **out).pk for _ in range(2))
        _, racer = racing.race(
            lambda: trust_boards.sign(by=second, decision_id=one),
            lambda: trust_boards.sign(by=third, decision_id=other),
        )
        assert isinstance(racer.error, TrustBelowFloor)
        assert (purse_of(trust).cash_minor, balance(trust, "cash")) == (LAKH, LAKH)
