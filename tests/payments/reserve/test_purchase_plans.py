"""Purchases by plan: two people, the law's ceiling with all that is planned, and lots tied to what arrived (R-27)."""

from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, SamePersonTwice
from ledger.law import policy
from ledger.law.policy import PolicyRefused
from ledger.law.tables import Span
from ledger.models import Inflow, InflowClass, LotMovement
from ledger.treasury import accumulation, movements
from ledger.treasury.lots import Movement
from payments.models import Holding, InflowClassing, Institution, Program, PurchasePlan
from payments.reserve import ceiling
from payments.reserve.ceiling import InstitutionFull
from payments.services import inflows, purchase_plans
from payments.services.classing_rules import PlanExceeded
from payments.services.purchase_plans import PlanChanged, PlanDecided
from tests import factories, racing
from tests.payments.reserve.conftest import A, B

pytestmark = pytest.mark.django_db
COIN = 100_000_000


def plan(by: User, office: Institution, **changes: Any) -> PurchasePlan:
    asked: dict[str, Any] = {
        "institution_id": office.pk,
        "amount_sat": COIN,
        "limit_price": "100000",
        "funding_source": "Budget line 7",
        "ends_at": timezone.now() + timedelta(days=30),
        "note": "As decided.",
    }
    return purchase_plans.propose(by=by, **asked | changes)


def approved(by: User, second: User, office: Institution, **changes: Any) -> PurchasePlan:
    made = plan(by, office, **changes)
    return purchase_plans.approve(by=second, plan_id=made.pk, amount_sat=made.amount_sat)


def buy(by: User, found: PurchasePlan, number: int, cost_minor: int, **changes: Any) -> InflowClassing:
    row = Inflow.objects.get(txid=f"{number:064x}")
    asked: dict[str, Any] = {
        "inflow_ids": [row.pk],
        "kind": "purchase",
        "plan_id": found.pk,
        "note": "Bought.",
    }
    asked |= {"cost_minor": cost_minor, "acquired_at": timezone.now()}
    return inflows.give(by=by, **asked | changes)


@pytest.fixture
def ceiling_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set a ceiling in the profile that claims no law, which has none."""

    def set_it(ceiling_sat: int) -> None:
        old = policy.PROFILES["sandbox"]
        limited = policy.Provision(
            policy.Rule.ACCUMULATION_CEILING,
            policy.Ruling.LIMITED,
            Span(date(2009, 1, 3)),
            "No more than that.",
            "Act 1",
            "here",
            ceiling_sat,
            "",
        )
        others = tuple(each for each in old.provisions if each.rule != policy.Rule.ACCUMULATION_CEILING)
        profile = policy.Profile(old.name, old.title, old.span, old.successor, (*others, limited))
        monkeypatch.setattr(policy, "PROFILES", {**policy.PROFILES, "sandbox": profile})

    return set_it


class TestPlan:
    def test_is_approved_by_another_over_the_amount_they_saw(
        self, office: Institution, tara: User, tom: User
    ) -> None:
        made = plan(tara, office)
        with pytest.raises(SamePersonTwice):
            purchase_plans.approve(by=tara, plan_id=made.pk, amount_sat=COIN)
        with pytest.raises(PlanChanged):
            purchase_plans.approve(by=tom, plan_id=made.pk, amount_sat=COIN + 1)
        assert PurchasePlan.objects.get().state == "proposed"
        purchase_plans.approve(by=tom, plan_id=made.pk, amount_sat=COIN)
        assert PurchasePlan.objects.get().state == "approved"
        with pytest.raises(PlanDecided):
            purchase_plans.approve(by=tom, plan_id=made.pk, amount_sat=COIN)
        purchase_plans.end(by=tara, plan_id=made.pk, note="Enough.")
        assert list(ceiling.plans_left(timezone.now())) == []

    def test_names_every_field_that_is_none(self, office: Institution, tara: User) -> None:
        with pytest.raises(InvalidInput) as refused:
            plan(tara, office, amount_sat=0, limit_price="-1", funding_source=" ", ends_at=timezone.now())
        assert [(e["column"], e["code"]) for e in refused.value.details["errors"]] == [
            ("amount_sat", "out_of_range"),
            ("limit_price", "price_negative"),
            ("funding_source", "missing"),
            ("ends_at", "date_over"),
        ]

    def test_above_the_ceiling_is_refused_with_its_law_and_nothing_is_kept(self, tara: User) -> None:
        office = factories.make_institution(policy_profile="el-salvador-2025")
        with pytest.raises(PolicyRefused) as refused:
            plan(tara, office, amount_sat=1)
        assert (refused.value.details["total_sat"], refused.value.details["ceiling_sat"]) == (1, 0)
        assert refused.value.details["law"].startswith("Arrangement under the Extended Fund Facility")
        assert PurchasePlan.objects.count() == 0

    def test_under_a_law_that_does_not_speak_of_it_is_refused(self, tara: User) -> None:
        office = factories.make_institution(policy_profile="pakistan-2026")
        with pytest.raises(PolicyRefused) as refused:
            plan(tara, office)
        assert refused.value.details["ruling"] == "undetermined"

    def test_counts_what_all_institutions_under_the_law_added_and_plan(
        self, held: Holding, office: Institution, tara: User, tom: User, ceiling_of: Any
    ) -> None:
        other = factories.make_institution("reserve:2")
        ceiling_of(300)
        factories.make_scan(held, [(1, A, 100)])
        mined = inflows.give(
            by=tara,
            inflow_ids=[Inflow.objects.get().pk],
            kind="mining",
            funding_source="Plant",
            cost_minor=0,
            acquired_at=timezone.now(),
            note="x",
        )
        inflows.confirm(by=tom, classing_id=mined.pk, amount_sat=100)
        approved(tara, tom, other, amount_sat=150)
        late = plan(tara, office, amount_sat=50)
        with pytest.raises(PolicyRefused) as refused:
            plan(tara, office, amount_sat=51)
        assert refused.value.details["total_sat"] == 301
        approved(tara, tom, office, amount_sat=10)
        # What was free when it was proposed is not any more.
        with pytest.raises(PolicyRefused):
            purchase_plans.approve(by=tom, plan_id=late.pk, amount_sat=50)
        room = ceiling.room("sandbox", at=timezone.now())
        assert (room.added.net_voluntary_sat, room.planned_sat, room.left_sat) == (100, 160, 40)

    def test_counts_what_trusts_under_the_law_bought_and_gives_no_room_for_what_they_sold(
        self, office: Institution, tara: User, tom: User, ceiling_of: Any
    ) -> None:
        ceiling_of(100)
        trust = factories.make_trust(policy_profile="sandbox")
        first, *_ = factories.board_of(trust)
        now = timezone.now()

        def trade(came: bool, amount_sat: int, reference: str) -> None:
            made = Movement(now, came, amount_sat, 0, reference, "", "" if came else "sandbox")
            movements.enter(by=first, scope=trust.scope, currency="PKR", scale=2, movements=[made])

        trade(True, 70, "trust_decision:901")
        # What people's legs brought is none of it.
        trade(True, 500, "trust_leg:1")
        with pytest.raises(PolicyRefused) as refused:
            plan(tara, office, amount_sat=31)
        assert refused.value.details["total_sat"] == 101
        plan(tara, office, amount_sat=30)
        trade(False, 400, "trust_decision:902")
        # Nor is it room for another trust.
        second = factories.make_trust("trust:2", policy_profile="sandbox")
        made = Movement(now, True, 60, 0, "trust_decision:903")
        movements.enter(by=first, scope=second.scope, currency="PKR", scale=2, movements=[made])
        assert ceiling.room("sandbox", at=timezone.now()).trusts_sat == 60
        # Once its addresses are looked at, the report has both: what legs brought is in no purchase.
        factories.make_scan(Holding.objects.get(scope=trust.scope), [])
        known = timezone.now()
        found = accumulation.count(since=None, before=known, known_at=known)[trust.scope]
        assert (found.by_kind["purchase"], found.disposed_sat, found.net_voluntary_sat) == (70, 400, -330)

    def test_above_the_institutions_own_cap_is_refused(self, held: Holding, tara: User, tom: User) -> None:
        office = factories.make_institution(most_sat=1_000)
        factories.make_scan(held, [(1, A, 600)])
        approved(tara, tom, office, amount_sat=300)
        with pytest.raises(InstitutionFull) as refused:
            plan(tara, office, amount_sat=101)
        assert refused.value.details == {"held_sat": 600, "planned_sat": 300, "most_sat": 1_000}

    def test_is_one_persons_never_in_the_database(self, office: Institution, tara: User) -> None:
        made = plan(tara, office)
        rows = PurchasePlan.objects.filter(pk=made.pk)
        for changes in (
            {"approved_by": tara, "approved_at": timezone.now()},
            {"amount_sat": 5},
            {"limit_price": 9},
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                rows.update(**changes)


class TestPurchase:
    def test_is_booked_as_a_lot_of_the_output_that_arrived(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        found = approved(tara, tom, office)
        factories.make_scan(held, [(1, A, 60_000_000), (2, B, 40_000_000)])
        made = buy(tara, found, 1, 6_000_000)
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=60_000_000)
        lot, row = LotMovement.objects.get(), InflowClass.objects.get()
        assert (lot.reference, lot.amount_sat, lot.value_minor) == (row.lot_reference, 60_000_000, 6_000_000)
        assert (row.funding_source, row.kind) == ("Budget line 7", "purchase")
        assert ceiling.plans_left(timezone.now()).get().left_sat == 40_000_000

    def test_beyond_its_plan_is_refused_by_its_rule_and_nothing_is_booked(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        found = approved(tara, tom, office, amount_sat=50_000_000)
        factories.make_scan(held, [(1, A, 50_000_000), (2, B, 1)])
        early = timezone.now() - timedelta(days=1)
        waiting = plan(tara, office)
        for given, rule in (
            # A cent above 100,000 a bitcoin.
            ({"cost_minor": 5_000_001}, "plan_price"),
            ({"cost_minor": 1, "acquired_at": early}, "plan_over"),
            ({"cost_minor": 1, "plan_id": waiting.pk}, "plan_not_approved"),
        ):
            with pytest.raises(PlanExceeded) as refused:
                buy(tara, found, 1, **given)  # type: ignore[arg-type]
            assert refused.value.details["rule"] == rule
        assert InflowClassing.objects.count() == 0
        inflows.confirm(by=tom, classing_id=buy(tara, found, 1, 5_000_000).pk, amount_sat=50_000_000)
        with pytest.raises(PlanExceeded) as refused:
            buy(tara, found, 2, 0)
        assert refused.value.details["rule"] == "plan_amount"
        assert LotMovement.objects.count() == 1

    def test_is_not_confirmed_once_the_plan_was_ended_or_used_up(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        found = approved(tara, tom, office, amount_sat=50)
        factories.make_scan(held, [(1, A, 30), (2, B, 30)])
        first, second = buy(tara, found, 1, 0), buy(tara, found, 2, 0)
        inflows.confirm(by=tom, classing_id=first.pk, amount_sat=30)
        with pytest.raises(PlanExceeded) as refused:
            inflows.confirm(by=tom, classing_id=second.pk, amount_sat=30)
        assert refused.value.details["rule"] == "plan_amount"
        purchase_plans.end(by=tara, plan_id=found.pk, note="Enough.")
        with pytest.raises(PlanExceeded) as refused:
            inflows.confirm(by=tom, classing_id=second.pk, amount_sat=30)
        assert refused.value.details["rule"] == "plan_not_approved"
        assert LotMovement.objects.count() == InflowClass.objects.count() == 1

    def test_may_be_classed_once_the_plan_is_over_if_it_was_bought_before(
        self, held: Holding, office: Institution, tara: User, tom: User, ceiling_of: Any
    ) -> None:
        ceiling_of(40)
        found = approved(tara, tom, office, amount_sat=30, ends_at=timezone.now() + timedelta(minutes=5))
        factories.make_scan(held, [(1, A, 30)])
        bought_at = timezone.now()
        with time_machine.travel(timezone.now() + timedelta(minutes=6)):
            with pytest.raises(PlanExceeded) as refused:
                buy(tara, found, 1, 0)
            assert refused.value.details["rule"] == "plan_over"
            made = buy(tara, found, 1, 0, acquired_at=bought_at)
            # Nothing is set aside for a plan that is over: what others plan meanwhile comes first.
            approved(tara, tom, office, amount_sat=11)
            with pytest.raises(PolicyRefused):
                inflows.confirm(by=tom, classing_id=made.pk, amount_sat=30)
        assert LotMovement.objects.count() == 0

    def test_keeps_the_source_of_its_plan(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        found = approved(tara, tom, office)
        factories.make_scan(held, [(1, A, 30)])
        with pytest.raises(InvalidInput, match="funded by Budget line 7"):
            buy(tara, found, 1, 0, funding_source="Somebody else")


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_of_two_plans_one_fits_under_the_ceiling(self, program: Program, ceiling_of: Any) -> None:
        ceiling_of(100)
        tara, tom = (factories.make_member(program, "treasurer", name) for name in ("tara", "tom"))
        # Of two institutions under one law.
        one, other = (plan(tara, factories.make_institution(f"reserve:{n}"), amount_sat=60) for n in (1, 2))
        _, racer = racing.race(
            lambda: purchase_plans.approve(by=tom, plan_id=one.pk, amount_sat=60),
            lambda: purchase_plans.approve(by=tom, plan_id=other.pk, amount_sat=60),
        )
        assert isinstance(racer.error, PolicyRefused)
        assert racer.error.details["total_sat"] == 120
        assert PurchasePlan.objects.get(approved_at__isnull=False) == one

    def test_an_output_waits_in_one_classing(self, program: Program) -> None:
        tara, tom = (factories.make_member(program, "treasurer", name) for name in ("tara", "tom"))
        factories.make_institution()
        factories.make_scan(factories.make_holding([A]), [(1, A, 30)])
        (pk,) = Inflow.objects.values_list("pk", flat=True)
        asked: dict[str, Any] = {
            "inflow_ids": [pk],
            "kind": "client_deposit",
            "funding_source": "Ana",
            "note": "x",
        }
        _, racer = racing.race(lambda: inflows.give(by=tara, **asked), lambda: inflows.give(by=tom, **asked))
        assert isinstance(racer.error, InvalidInput)
        assert racer.error.details["errors"][0]["code"] == "inflow_waits"
        assert InflowClassing.objects.count() == 1
