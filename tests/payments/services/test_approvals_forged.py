"""Whoever writes rows without our keys makes no list payable: raw SQL with every trigger off (A1, A3, A22)."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from ledger.models import Entry
from payments.models import Alarm, Approval, Disbursement, Payment, Payout, Program, WalletScript
from payments.payout import agreed, dispatch, lookout, seal
from payments.services import disbursements, policies
from payments.states import DisbursementStatus
from tests import factories

pytestmark = pytest.mark.django_db

TABLES = ("payments_approval", "payments_disbursement", "payments_payment")
Sql = Callable[..., None]


@pytest.fixture
def sql() -> Iterator[Sql]:
    """Write rows as the tables' owner, past every trigger and check of ours that the owner can switch off."""
    with connection.cursor() as cursor:
        # What the test did before has triggers of its own to come, which a change of the table would wait for.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield lambda text, *values: cursor.execute(text, values) and None
        for table, trigger in [
            ("payments_approval", "approval_by_another"),
            ("payments_approval", "approval_unchanged"),
            ("payments_disbursement", "disbursement_agreed"),
            ("payments_payment", "payment_changed"),
            ("payments_payment", "payment_gone"),
        ]:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


@pytest.fixture
def submitted(program: Program, officer: User) -> Disbursement:
    factories.fund(program, 1_000_000)
    for _ in range(10):
        WalletScript.objects.create(
            wallet=program.wallet, script_pubkey=factories.make_script(), purpose="change"
        )
    return disbursements.submit(by=officer, disbursement_id=factories.make_disbursement(program, officer).pk)


@pytest.fixture
def approved(submitted: Disbursement, approver: User) -> Disbursement:
    return disbursements.approve(by=approver, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))


@pytest.fixture
def released(approved: Disbursement, releaser: User) -> Disbursement:
    return disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved))


def hash_of(disbursement: Disbursement) -> bytes:
    """What the list hashes to."""
    return bytes(disbursement.manifest_hash or b"")


def assert_pays_nobody(disbursement: Disbursement) -> None:
    """Sealing refuses, and whoever looks sounds one alarm."""
    before = Entry.objects.count()
    with pytest.raises(agreed.ApprovalForged):
        seal.seal_next(Disbursement.objects.get(pk=disbursement.pk), feerate_sat_kvb=1_000)
    assert (Payout.objects.count(), Entry.objects.count()) == (0, before)
    assert not Payment.objects.filter(payout__isnull=False).exists()


def alarmed() -> list[tuple[str, str, int]]:
    """Every open alarm after a look around."""
    lookout.look()
    rows = Alarm.objects.filter(closed_at=None, code="approval_forged").order_by("pk")
    return list(rows.values_list("code", "subject", "subject_id"))


FORGED = (
    "INSERT INTO payments_approval"
    " (disbursement_id, step, user_id, group_name, manifest_hash, at, expires_at, key_id, mac)"
    " VALUES (%s, %s, %s, %s, %s, now(), {}, 'k1', %s)"
)


def forge(sql: Sql, row: Disbursement, step: str, user: User, *, mac: bytes = bytes(32)) -> None:
    """Write an approval without the key."""
    end = "now() + interval '1 day'" if step == "approve" else "NULL"
    group = "approvers" if step == "approve" else ""
    sql(FORGED.format(end), row.pk, step, user.pk, group, hash_of(row), mac)


class TestStatus:
    def test_released_by_sql_pays_nobody(
        self, submitted: Disbursement, approver: User, releaser: User, sql: Sql
    ) -> None:
        sql(
            "UPDATE payments_disbursement SET status = 'released', approved_by_id = %s, released_by_id = %s",
            approver.pk,
            releaser.pk,
        )
        assert_pays_nobody(submitted)
        assert alarmed() == [("approval_forged", "disbursement", submitted.pk)]

    def test_released_by_sql_after_true_approvals_pays_nobody(
        self, approved: Disbursement, releaser: User, sql: Sql
    ) -> None:
        sql(
            "UPDATE payments_disbursement SET status = 'released', released_by_id = %s, released_at = now()",
            releaser.pk,
        )
        assert_pays_nobody(approved)
        assert alarmed() == [("approval_forged", "disbursement", approved.pk)]

    def test_approved_by_sql_is_not_released(
        self, submitted: Disbursement, approver: User, releaser: User, sql: Sql
    ) -> None:
        sql("UPDATE payments_disbursement SET status = 'approved', approved_by_id = %s", approver.pk)
        with pytest.raises(agreed.ApprovalForged):
            disbursements.release(by=releaser, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))
        submitted.refresh_from_db()
        assert (submitted.status, submitted.released_by) == (DisbursementStatus.APPROVED, None)
        assert alarmed() == [("approval_forged", "disbursement", submitted.pk)]

    def test_is_refused_by_a_trigger_before_that(
        self, submitted: Disbursement, approver: User, releaser: User
    ) -> None:
        with (
            pytest.raises(IntegrityError, match="disbursement_approved_by_enough"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "UPDATE payments_disbursement SET status = 'completed', approved_by_id = %s, released_by_id = %s",
                [approver.pk, releaser.pk],
            )


class TestRows:
    def test_inserted_by_sql_pay_nobody(
        self, submitted: Disbursement, approver: User, releaser: User, sql: Sql
    ) -> None:
        forge(sql, submitted, "approve", approver)
        forge(sql, submitted, "release", releaser)
        sql(
            "UPDATE payments_disbursement SET status = 'released', approved_by_id = %s, released_by_id = %s",
            approver.pk,
            releaser.pk,
        )
        assert_pays_nobody(submitted)
        assert alarmed() == [("approval_forged", "disbursement", submitted.pk)]

    def test_inserted_by_sql_help_no_true_approver(
        self, program: Program, officer: User, approver: User, sql: Sql
    ) -> None:
        factories.make_policy(program, tiers=[{"up_to_sat": None, "needs": {"approvers": 2}}])
        made = factories.make_disbursement(program, officer, period="2026-12")
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        forge(sql, made, "approve", factories.make_member(program, "approver", "invented"))
        with pytest.raises(agreed.ApprovalForged):
            disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=hash_of(made))
        assert Approval.objects.filter(disbursement=made, user=approver).count() == 0
        assert alarmed() == [("approval_forged", "disbursement", made.pk)]

    @pytest.mark.parametrize(
        "change",
        [
            "user_id = (SELECT max(id) FROM auth_user)",
            "group_name = 'directors'",
            "at = at + interval '1 second'",
            "expires_at = expires_at + interval '1 year'",
            "manifest_hash = '\\x00'",
            "mac = '\\x00'",
            "key_id = 'k9'",
            "step = 'release', group_name = '', expires_at = NULL",
        ],
    )
    def test_edited_by_sql_pay_nobody(
        self, change: str, released: Disbursement, outsider: User, sql: Sql
    ) -> None:
        where = "WHERE step = 'approve'"
        if change.startswith("step"):
            sql("DELETE FROM payments_approval WHERE step = 'release'")
        sql(f"UPDATE payments_approval SET {change} {where}")
        assert_pays_nobody(released)
        assert alarmed() == [("approval_forged", "disbursement", released.pk)]

    @pytest.mark.parametrize("step", ["submit", "approve", "release"])
    def test_deleted_by_sql_pay_nobody(self, step: str, released: Disbursement, sql: Sql) -> None:
        sql("DELETE FROM payments_approval WHERE step = %s", step)
        assert_pays_nobody(released)
        assert alarmed() == [("approval_forged", "disbursement", released.pk)]

    def test_of_another_list_pay_nobody(
        self, released: Disbursement, program: Program, officer: User, approver: User, sql: Sql
    ) -> None:
        other = factories.make_disbursement(program, officer, period="2026-12")
        other = disbursements.submit(by=officer, disbursement_id=other.pk)
        sql(
            "INSERT INTO payments_approval"
            " (disbursement_id, step, user_id, group_name, manifest_hash, at, expires_at, key_id, mac)"
            " SELECT %s, step, user_id, group_name, %s, at, expires_at, key_id, mac FROM payments_approval"
            " WHERE disbursement_id = %s AND step <> 'submit'",
            other.pk,
            hash_of(other),
            released.pk,
        )
        sql(
            "UPDATE payments_disbursement o SET status = 'released', approved_by_id = d.approved_by_id,"
            " released_by_id = d.released_by_id FROM payments_disbursement d WHERE d.id = %s AND o.id = %s",
            released.pk,
            other.pk,
        )
        assert_pays_nobody(other)
        assert alarmed() == [("approval_forged", "disbursement", other.pk)]


class TestList:
    @pytest.mark.parametrize(
        "change",
        [
            "made_by_id = (SELECT max(id) FROM auth_user)",
            "released_by_id = (SELECT max(id) FROM auth_user)",
            'approval_tier = \'{"days": 14, "needs": {}, "policy": null, "up_to_sat": null}\'',
            "fee_reserved_sat = fee_reserved_sat * 10",
            "manifest_hash = '\\x00'",
        ],
    )
    def test_changed_by_sql_pays_nobody(
        self, change: str, released: Disbursement, outsider: User, sql: Sql
    ) -> None:
        sql(f"UPDATE payments_disbursement SET {change}")
        assert_pays_nobody(released)

    def test_under_a_weaker_tier_is_not_approved(
        self, program: Program, officer: User, approver: User, sql: Sql
    ) -> None:
        factories.make_policy(program, tiers=[{"up_to_sat": None, "needs": {"approvers": 2}}])
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        sql(
            "UPDATE payments_disbursement SET approval_tier = jsonb_set(approval_tier, '{needs,approvers}', '1')"
        )
        with pytest.raises(agreed.ApprovalForged):
            disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=hash_of(made))

    @pytest.mark.parametrize(
        "change",
        [
            {"amount_sat": 50_001},
            {"script_pubkey": b"\x00\x14" + b"\xee" * 20},
        ],
    )
    def test_with_a_line_changed_after_release_pays_nobody(
        self, change: dict[str, Any], released: Disbursement, sql: Sql
    ) -> None:
        Payment.objects.filter(disbursement=released, line=1).update(**change)
        assert_pays_nobody(released)

    def test_with_a_line_changed_while_it_is_sealed_pays_that_one_nothing(
        self, program: Program, released: Disbursement, sql: Sql
    ) -> None:
        Program.objects.update(group_max_payments=1)
        found = Disbursement.objects.get(pk=released.pk)
        assert seal.seal_next(found, feerate_sat_kvb=1_000) is not None
        Payment.objects.filter(disbursement=released, line=2).update(script_pubkey=b"\x00\x14" + b"\xee" * 20)
        with pytest.raises(agreed.ApprovalForged):
            seal.seal_next(found, feerate_sat_kvb=1_000)
        assert Payout.objects.count() == 1

    def test_with_a_line_added_after_release_pays_nobody(
        self, program: Program, officer: User, released: Disbursement, sql: Sql
    ) -> None:
        agreed.read(released)
        first = released.payments.get(line=1)
        Payment.objects.create(
            disbursement=released,
            cycle=released.cycle,
            line=4,
            beneficiary=factories.make_enrollment(program).beneficiary,
            amount_sat=1_000,
            script_pubkey=first.script_pubkey,
        )
        assert_pays_nobody(released)

    def test_that_people_agreed_to_pays(self, released: Disbursement) -> None:
        assert seal.seal_next(released, feerate_sat_kvb=1_000) is not None
        assert alarmed() == []


class TestKeys:
    def test_are_rotated_under_what_was_said_with_the_old_one(
        self, approved: Disbursement, releaser: User, settings: Any
    ) -> None:
        settings.GOVPAY_APPROVAL_KEYS = {"k2": b"\x02" * 32} | settings.GOVPAY_APPROVAL_KEYS
        made = disbursements.release(
            by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved)
        )
        rows = Approval.objects.filter(disbursement=approved).order_by("pk")
        assert list(rows.values_list("key_id", flat=True)) == ["k1", "k1", "k2"]
        assert seal.seal_next(made, feerate_sat_kvb=1_000) is not None

    def test_that_are_not_ours_pay_nobody(self, released: Disbursement, settings: Any) -> None:
        settings.GOVPAY_APPROVAL_KEYS = {"k1": b"\x02" * 32}
        assert_pays_nobody(released)


class TestPolicies:
    def test_written_by_sql_are_refused_and_nothing_is_submitted_by_them(
        self, program: Program, officer: User, approver: User, sql: Sql
    ) -> None:
        policy = factories.make_policy(program, tiers=[{"up_to_sat": None, "needs": {"approvers": 2}}])
        sql("UPDATE payments_tierneed SET count = 1")
        made = factories.make_disbursement(program, officer)
        with pytest.raises(policies.PolicyForged) as refusal:
            disbursements.submit(by=officer, disbursement_id=made.pk)
        assert refusal.value.details == {"policy_id": policy.pk}
        made.refresh_from_db()
        assert made.status == DisbursementStatus.DRAFT


class TestEngine:
    def test_notes_why_it_pays_nothing_and_sounds_the_alarm(
        self, released: Disbursement, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sql("DELETE FROM payments_approval WHERE step = 'approve'")

        def without_node(task: str, work: Any, waits: Any, **ids: int) -> None:
            try:
                seal.seal_next(released, feerate_sat_kvb=1_000)
            except agreed.ApprovalForged as error:
                waits(error)

        monkeypatch.setattr(dispatch, "_with_node", without_node)
        dispatch.seal(disbursement_id=released.pk)
        released.refresh_from_db()
        assert "is not what people agreed to" in released.problem
        assert Alarm.objects.get().code == "approval_forged"


class TestUpgrade:
    def test_writes_what_was_said_before_there_were_approvals(
        self, approved: Disbursement, releaser: User, sql: Sql
    ) -> None:
        sql("DELETE FROM payments_approval")
        sql("UPDATE payments_disbursement SET approval_tier = NULL")
        migration = importlib.import_module("payments.migrations.0032_what_was_said_before")
        migration.write(apps, None)
        rows = Approval.objects.filter(disbursement=approved).order_by("pk")
        assert [(row.step, row.user_id, row.at) for row in rows] == [
            ("submit", approved.made_by_id, approved.submitted_at),
            ("approve", approved.approved_by_id, approved.approved_at),
        ]
        made = disbursements.release(
            by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved)
        )
        assert seal.seal_next(made, feerate_sat_kvb=1_000) is not None
        assert alarmed() == []
