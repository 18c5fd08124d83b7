"""Outputs that came: found once, classed by two people, blocked by the law, and booked as lots that add up (R-27)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from govpay.errors import Forbidden, InvalidInput, SamePersonTwice
from ledger.law.policy import PolicyRefused
from ledger.models import Inflow, InflowClass, LotMovement
from ledger.treasury import reserve
from payments.models import Alarm, ClassedInflow, Holding, InflowClassing, Institution
from payments.onchain import address, network
from payments.reserve import tasks
from payments.services import inflows
from payments.services.authority import RoleMissing
from payments.services.inflows import ClassingChanged, ClassingDecided, InflowsGone
from tests import factories
from tests.payments.reserve.conftest import A, B, C

pytestmark = pytest.mark.django_db


def ids(*numbers: int) -> list[int]:
    """The newest inflows of the txs with these numbers."""
    return [Inflow.objects.filter(txid=f"{n:064x}").latest("pk").pk for n in numbers]


def ago(**given: int) -> datetime:
    return timezone.now() - timedelta(**given)


class TestFound:
    def test_is_each_output_that_no_scan_has_seen_with_its_institution(self, held: Holding) -> None:
        factories.make_scan(held, [(1, A, 700), (2, B, 300)])
        factories.make_scan(held, [(1, A, 700), (3, C, 50)], height=101)
        rows = Inflow.objects.order_by("pk").values_list("scope", "address", "amount_sat", "height")
        assert list(rows) == [
            ("reserve:1", A, 700, 100),
            ("reserve:1", B, 300, 100),
            ("reserve:1", C, 50, 101),
        ]

    def test_is_found_anew_when_the_block_left_and_keeps_what_it_came_for(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        lost = factories.make_scan(held, [(1, A, 700)])
        made = inflows.give(
            by=tara, inflow_ids=ids(1), kind="client_deposit", funding_source="Ana", note="Hers."
        )
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        reserve.lose([lost])
        assert Inflow.objects.standing().count() == 0
        factories.make_scan(held, [(1, A, 700)], height=101)
        (row,) = Inflow.objects.standing().classed()
        assert (row.height, row.kind) == (101, "client_deposit")


class TestClassing:
    def test_counts_once_another_has_confirmed_it(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        factories.make_scan(held, [(1, A, 700), (2, B, 300)])
        made = inflows.give(
            by=tara,
            inflow_ids=ids(1, 2),
            kind="forfeiture",
            funding_source="Court 7",
            cost_minor=101,
            acquired_at=ago(days=2),
            note="Case 12.",
        )
        assert InflowClass.objects.count() == 0
        assert tasks.waiting()[0][1:3] == (2, 1_000)
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=1_000)
        assert tasks.waiting() == []
        rows = InflowClass.objects.order_by("pk").values_list(
            "kind", "funding_source", "reference", "lot_reference"
        )
        first, second = ids(1, 2)
        assert list(rows) == [
            ("forfeiture", "Court 7", f"classing:{made.pk}", f"inflow:{first}"),
            ("forfeiture", "Court 7", f"classing:{made.pk}", f"inflow:{second}"),
        ]
        # 700 of 1,000 sat of 101 are 70.7, and the rest is what is left: nothing is lost to rounding.
        lots = LotMovement.objects.order_by("pk").values_list(
            "reference", "amount_sat", "value_minor", "currency"
        )
        assert list(lots) == [(f"inflow:{first}", 700, 71, "USD"), (f"inflow:{second}", 300, 30, "USD")]

    def test_of_what_is_moved_or_a_clients_records_no_lot(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        scan = factories.make_scan(held, [(1, A, 700)])
        made = inflows.give(
            by=tara, inflow_ids=ids(1), kind="internal_transfer", funding_source="Vault 2", note="Moved."
        )
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        assert InflowClass.objects.get().effective_at == scan.block_at
        assert LotMovement.objects.count() == 0

    def test_is_confirmed_by_another_treasurer_over_what_they_saw(
        self, held: Holding, office: Institution, tara: User, tom: User, officer: User
    ) -> None:
        factories.make_scan(held, [(1, A, 700)])
        asked: dict[str, Any] = {"kind": "internal_transfer", "funding_source": "Vault 2", "note": "Moved."}
        with pytest.raises(RoleMissing):
            inflows.give(by=officer, inflow_ids=ids(1), **asked)
        made = inflows.give(by=tara, inflow_ids=ids(1), **asked)
        with pytest.raises(SamePersonTwice):
            inflows.confirm(by=tara, classing_id=made.pk, amount_sat=700)
        with pytest.raises(ClassingChanged):
            inflows.confirm(by=tom, classing_id=made.pk, amount_sat=701)
        assert InflowClass.objects.count() == 0
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        with pytest.raises(ClassingDecided):
            inflows.withdraw(by=tom, classing_id=made.pk, note="No.")

    def test_needs_the_right_to_record_lots_of_what_is_acquired(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        factories.make_scan(held, [(1, A, 700)])
        made = inflows.give(
            by=tom,
            inflow_ids=ids(1),
            kind="donation",
            funding_source="Anonymous",
            cost_minor=0,
            acquired_at=ago(hours=1),
            note="A gift.",
        )
        with pytest.raises(Forbidden, match="add_lotmovement"):
            inflows.confirm(by=tara, classing_id=made.pk, amount_sat=700)
        made.refresh_from_db()
        assert (made.state, InflowClass.objects.count(), LotMovement.objects.count()) == ("given", 0, 0)

    def test_names_each_output_that_cannot_be_classed(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        other = factories.make_holding(
            [address.address_from_script(factories.make_script(), network.Network.REGTEST)],
            scope="reserve:2",
            name="Other",
        )
        factories.make_scan(held, [(1, A, 700), (2, B, 300), (3, C, 5)])
        where = other.addresses.get().address
        factories.make_scan(other, [(4, where, 9)], height=101)
        asked: dict[str, Any] = {"kind": "internal_transfer", "funding_source": "Vault 2", "note": "Moved."}
        inflows.give(by=tara, inflow_ids=ids(2), **asked)
        booked = inflows.give(
            by=tara,
            inflow_ids=ids(3),
            kind="donation",
            funding_source="B",
            cost_minor=1,
            acquired_at=ago(hours=1),
            note="A gift.",
        )
        inflows.confirm(by=tom, classing_id=booked.pk, amount_sat=5)
        (first,) = ids(1)
        with pytest.raises(InvalidInput) as refused:
            inflows.give(by=tara, inflow_ids=[*ids(1, 2, 3, 4), 999_999, first], **asked)
        assert [(e["row"], e["code"]) for e in refused.value.details["errors"]] == [
            (2, "inflow_waits"),
            (3, "inflow_booked"),
            (4, "institutions_differ"),
            (5, "unknown_inflow"),
            (6, "inflow_twice"),
        ]
        assert InflowClassing.objects.count() == 2

    def test_refuses_half_of_what_is_needed_by_field(
        self, held: Holding, office: Institution, tara: User
    ) -> None:
        factories.make_scan(held, [(1, A, 700)])
        for given, codes in (
            ({"kind": "mining", "funding_source": "Plant"}, ["cost_minor", "acquired_at"]),
            ({"kind": "client_deposit", "cost_minor": 1, "funding_source": "Ana"}, ["cost_minor"]),
            ({"kind": "client_deposit"}, ["funding_source"]),
            ({"kind": "purchase", "cost_minor": 1}, ["plan_id"]),
            ({"kind": "mining", "plan_id": 7, "cost_minor": 1}, ["plan_id"]),
        ):
            with pytest.raises(InvalidInput) as refused:
                inflows.give(by=tara, inflow_ids=ids(1), note="x", **given)  # type: ignore[arg-type]
            assert [each["column"] for each in refused.value.details["errors"]] == codes
        assert InflowClassing.objects.count() == 0

    def test_waits_for_an_institution_to_be_set_up(self, held: Holding, tara: User) -> None:
        factories.make_scan(held, [(1, A, 700)])
        with pytest.raises(InvalidInput, match="under which law reserve:1 is"):
            inflows.give(by=tara, inflow_ids=ids(1), kind="client_deposit", funding_source="Ana", note="x")

    def test_is_not_confirmed_once_the_block_left(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        lost = factories.make_scan(held, [(1, A, 700)])
        made = inflows.give(by=tara, inflow_ids=ids(1), kind="client_deposit", funding_source="Ana", note="x")
        reserve.lose([lost])
        with pytest.raises(InflowsGone):
            inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        inflows.withdraw(by=tom, classing_id=made.pk, note="Gone.")
        factories.make_scan(held, [(1, A, 700)], height=101)
        inflows.give(by=tara, inflow_ids=ids(1), kind="client_deposit", funding_source="Ana", note="x")

    def test_of_many_outputs_takes_as_many_statements_as_of_few(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        counts = []
        for many, begin in ((2, 10), (2, 50), (400, 1_000)):
            numbers = range(begin, begin + many)
            factories.make_scan(held, [(n, A, 1_000) for n in numbers], height=begin)
            found = list(Inflow.objects.filter(height=begin).values_list("pk", flat=True))
            with CaptureQueriesContext(connection) as run:
                made = inflows.give(
                    by=tara,
                    inflow_ids=found,
                    kind="mining",
                    funding_source="Plant",
                    cost_minor=12_345,
                    acquired_at=ago(hours=1),
                    note="x",
                )
                inflows.confirm(by=tom, classing_id=made.pk, amount_sat=many * 1_000)
            counts.append(len(run))
        assert counts[1] == counts[2]
        assert sum(LotMovement.objects.values_list("value_minor", flat=True)) == 3 * 12_345


class TestLaw:
    def test_blocks_mining_under_a_ceiling_of_nothing_and_takes_a_forfeiture(
        self, held: Holding, tara: User, tom: User
    ) -> None:
        factories.make_institution(policy_profile="el-salvador-2025")
        factories.make_scan(held, [(1, A, 700)])
        asked: dict[str, Any] = {
            "funding_source": "x",
            "cost_minor": 0,
            "acquired_at": ago(hours=1),
            "note": "x",
        }
        with pytest.raises(PolicyRefused) as refused:
            inflows.give(by=tara, inflow_ids=ids(1), kind="mining", **asked)
        assert refused.value.details["rule"] == "accumulation_ceiling"
        assert refused.value.details["total_sat"] == 700
        assert "Extended Fund Facility" in refused.value.message
        assert InflowClassing.objects.count() == 0
        made = inflows.give(by=tara, inflow_ids=ids(1), kind="forfeiture", **asked)
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        assert InflowClass.objects.get().kind == "forfeiture"

    def test_allows_the_same_mining_under_another_law(
        self, held: Holding, office: Institution, tara: User
    ) -> None:
        factories.make_scan(held, [(1, A, 700)])
        inflows.give(
            by=tara,
            inflow_ids=ids(1),
            kind="mining",
            funding_source="Plant",
            cost_minor=0,
            acquired_at=ago(hours=1),
            note="x",
        )
        assert InflowClassing.objects.get().kind == "mining"


class TestTasks:
    def test_have_an_age_and_an_alarm_after_a_day(self, held: Holding, tara: User, tom: User) -> None:
        factories.make_scan(held, [(1, A, 700)])
        now = timezone.now()
        tasks.tell(now + timedelta(hours=23))
        assert Alarm.objects.count() == 0
        tasks.tell(now + timedelta(days=3))
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject) == ("institution_unknown", "reserve")
        assert "1 outputs of reserve:1, 700 sat, are not classed, for 3 days" in alarm.message
        office = factories.make_institution()
        tasks.tell(now + timedelta(days=3))
        (alarm,) = Alarm.objects.filter(closed_at=None)
        assert (alarm.code, alarm.subject_id) == ("inflow_unclassed", office.pk)
        made = inflows.give(by=tara, inflow_ids=ids(1), kind="client_deposit", funding_source="Ana", note="x")
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        assert Alarm.objects.filter(closed_at=None).count() == 0


class TestDatabase:
    def test_refuses_one_person_twice_and_changes_of_what_was_said(
        self, held: Holding, office: Institution, tara: User, tom: User
    ) -> None:
        factories.make_scan(held, [(1, A, 700)])
        made = inflows.give(by=tara, inflow_ids=ids(1), kind="client_deposit", funding_source="Ana", note="x")
        rows = InflowClassing.objects.filter(pk=made.pk)
        for changes in (
            {"confirmed_by": tara, "confirmed_at": timezone.now()},
            {"kind": "mining"},
            {"amount_sat": 1},
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                rows.update(**changes)
        with pytest.raises(IntegrityError), transaction.atomic():
            ClassedInflow.objects.all().delete()
        inflows.confirm(by=tom, classing_id=made.pk, amount_sat=700)
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(confirmed_at=timezone.now())
        with pytest.raises(DatabaseError, match="ledger_inflowclass"), transaction.atomic():
            InflowClass.objects.all().delete()
