"""Nothing in the books is changed or taken away, whoever connects and however they try."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from psycopg import sql

from ledger import audit, books, chart, events, grants
from ledger.models import Account, AccountKind, AuditEvent, Case, Entry, Period, PeriodChange, Posting
from ledger.reconciliation import service
from tests import services
from tests.ledger import rights

CODES = chart.program_accounts(7)
APP_ROLE = "books_test_app"

CHANGES = [
    "UPDATE ledger_posting SET amount = amount * 2",
    "UPDATE ledger_posting SET amount = 5 WHERE amount > 0",
    "UPDATE ledger_posting SET reference = 9",
    "UPDATE ledger_posting SET amount = amount WHERE false",
    "DELETE FROM ledger_posting",
    "DELETE FROM ledger_posting WHERE false",
    "TRUNCATE ledger_posting",
    "UPDATE ledger_entry SET memo = 'x'",
    "UPDATE ledger_entry SET effective_at = now()",
    "UPDATE ledger_entry SET idempotency_key = 'x'",
    "DELETE FROM ledger_entry",
    "TRUNCATE ledger_entry CASCADE",
    "UPDATE ledger_account SET code = 'Assets:Another' WHERE code = 'Assets:HotWallet:P7'",
    "UPDATE ledger_account SET kind = 'expense'",
    "UPDATE ledger_account SET currency = 'PKR', scale = 2",
    "DELETE FROM ledger_account",
    "TRUNCATE ledger_account CASCADE",
    "INSERT INTO ledger_account SELECT * FROM ledger_account ON CONFLICT (code) DO UPDATE SET name = 'x'",
    "INSERT INTO ledger_posting SELECT * FROM ledger_posting ON CONFLICT (id) DO UPDATE SET amount = 1",
    "UPDATE ledger_posting SET layer = 'pending'",
    "UPDATE ledger_account SET fund = 'F2'",
    "UPDATE ledger_entry SET original_at = NULL, recorded_at = now()",
    "UPDATE ledger_period SET ends_at = now()",
    "DELETE FROM ledger_period",
    "TRUNCATE ledger_period CASCADE",
    "UPDATE ledger_periodchange SET status = 'open'",
    "DELETE FROM ledger_periodchange",
    "TRUNCATE ledger_periodchange",
    "MERGE INTO ledger_posting p USING ledger_entry e ON e.id = p.entry_id WHEN MATCHED THEN DELETE",
    "MERGE INTO ledger_posting p USING ledger_entry e ON e.id = p.entry_id WHEN MATCHED THEN UPDATE SET amount = 1",
]
ADD_TO_AN_ENTRY = """
INSERT INTO ledger_posting (entry_id, account_id, amount)
SELECT e.id, a.id, v.amount FROM ledger_entry e, ledger_account a, (VALUES (5), (-5)) v (amount)
WHERE a.code = 'Assets:HotWallet:P7'
"""
NEW_ENTRY = """
INSERT INTO ledger_entry (kind, scope, idempotency_key, input_hash, effective_at, memo, source_ref, actor, approver,
    block_hash)
VALUES ('funding', 'program:7', 'raw', '\\x00', now(), '', '', 'tester', '', '') RETURNING id
"""
ADD_LINES = """
INSERT INTO ledger_posting (entry_id, account_id, amount)
SELECT e.id, a.id, v.amount FROM {entry} e, (VALUES ('Assets:HotWallet:P7', %s), ('Assets:InTransit:P7', %s))
    v (code, amount) JOIN ledger_account a ON a.code = v.code
"""
WHOLE_ENTRY = f"WITH new AS ({NEW_ENTRY}) {ADD_LINES.format(entry='new')}"
MORE_LINES = ADD_LINES.format(entry="ledger_entry") + "WHERE e.idempotency_key = 'raw'"


def everything() -> list[list[tuple[Any, ...]]]:
    """Read the books' tables."""
    tables = (Account, Entry, Posting, Period, PeriodChange)
    return [list(model.objects.order_by("pk").values_list()) for model in tables]


def fund() -> None:
    """Open the books of program 7 with a period that is closing, and post a deposit."""
    chart.open_program(7)
    period = Period.objects.create(
        name="2026-10", ends_at=datetime(2026, 11, 1, tzinfo=UTC), opened_by="dalia"
    )
    PeriodChange.objects.create(period=period, status="closing", actor="dalia")
    books.post(
        [
            events.funding(
                program_id=7,
                txid="ab" * 32,
                vout=0,
                amount_sat=1_000,
                occurrence=1,
                effective_at=datetime(2026, 11, 24, tzinfo=UTC),
                block_hash="cd" * 32,
                block_height=1,
            )
        ]
    )


def run(statement: str, parameters: list[Any] | None = None) -> None:
    """Run a statement as the owner of the tables."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Expect the database to refuse the statements inside, and undo them."""
    with pytest.raises((IntegrityError, psycopg.IntegrityError), match=message), transaction.atomic():
        yield


@pytest.fixture
def funded(db: None) -> None:
    """A deposit in the books, whose deferred checks are done, as after a commit."""
    fund()
    run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


@pytest.mark.usefixtures("funded")
class TestOwner:
    @pytest.mark.parametrize("statement", CHANGES)
    def test_cannot_change_anything(self, statement: str) -> None:
        before = everything()
        with (
            pytest.raises(IntegrityError, match=r"The books are never changed: \w+ on ledger_"),
            transaction.atomic(),
        ):
            run(statement)
        assert everything() == before

    def test_cannot_add_lines_to_an_entry(self) -> None:
        before = everything()
        with refused("has its lines already"):
            run(ADD_TO_AN_ENTRY)
        assert everything() == before

    @pytest.mark.parametrize(
        ("change", "refusal"),
        [
            (lambda: Posting.objects.update(amount=5), IntegrityError),
            (lambda: Posting.objects.all().delete(), IntegrityError),
            (lambda: Posting.objects.first().save(), IntegrityError),  # type: ignore[union-attr]
            (lambda: Entry.objects.update(memo="x"), IntegrityError),
            (lambda: Entry.objects.first().save(), IntegrityError),  # type: ignore[union-attr]
            (lambda: Entry.objects.all().delete(), ProtectedError),
            (lambda: Entry.objects.all()._raw_delete("default"), IntegrityError),  # type: ignore[attr-defined]
            (lambda: Account.objects.filter(code=CODES.hot_wallet).update(code="Assets:B"), IntegrityError),
            (lambda: Account.objects.update(kind=AccountKind.EXPENSE), IntegrityError),
            (lambda: Account.objects.get(code=CODES.hot_wallet).delete(), ProtectedError),
            (lambda: Account.objects.get(code=CODES.payable).delete(), IntegrityError),
        ],
    )
    def test_cannot_change_anything_through_the_models(
        self, change: Callable[[], object], refusal: type[Exception]
    ) -> None:
        before = everything()
        with pytest.raises(refusal), transaction.atomic():
            change()
        assert everything() == before


@pytest.mark.usefixtures("funded")
class TestOldAccount:
    """One from before accounts had elements."""

    @pytest.fixture(autouse=True)
    def _old(self, funded: None) -> None:
        Account.objects.create(code="Assets:Old", name="Old", kind="asset", scope="program:7")

    def test_is_classified_once(self) -> None:
        run("UPDATE ledger_account SET fund = 'F1', object = '614' WHERE code = 'Assets:Old'")
        before = everything()
        for again in ("fund = 'F2'", "fund = '', object = ''", "project = 'P1'"):
            with refused("UPDATE on ledger_account is refused"):
                run(f"UPDATE ledger_account SET {again} WHERE code = 'Assets:Old'")
        assert everything() == before

    @pytest.mark.parametrize(
        "change",
        [
            "fund = ''",
            "fund = 'F1', code = 'Assets:New'",
            "fund = 'F1', currency = 'PKR'",
            "fund = 'F1', id = 0",
        ],
    )
    def test_is_changed_in_nothing_else(self, change: str) -> None:
        before = everything()
        with refused("UPDATE on ledger_account is refused"):
            run(f"UPDATE ledger_account SET {change} WHERE code = 'Assets:Old'")
        assert everything() == before


@pytest.mark.usefixtures("funded")
class TestNewEntry:
    @pytest.mark.parametrize("amounts", [(5, -4), (5, 5), (-1, 2), (2**62, -(2**62) + 1)])
    def test_must_balance(self, amounts: tuple[int, int]) -> None:
        before = everything()
        with refused(f"its settled BTC lines sum to {sum(amounts)}"):
            run(WHOLE_ENTRY, list(amounts))
        assert everything() == before

    def test_must_balance_in_each_currency(self) -> None:
        Account.objects.create(code="Assets:Rupees", name="Rupees", kind="asset", currency="PKR", scale=2)
        before = everything()
        with refused(r"its settled (PKR|BTC) lines sum to -?5"):
            run(WHOLE_ENTRY.replace("Assets:InTransit:P7", "Assets:Rupees"), [5, -5])
        assert everything() == before

    @pytest.mark.parametrize(
        ("amounts", "refusal"),
        [([5], "sum to 5"), ([5, -5], "has its lines already, or was written elsewhere")],
    )
    def test_gets_no_lines_by_copying(self, amounts: list[int], refusal: str) -> None:
        account_id = Account.objects.get(code=CODES.hot_wallet).pk
        entry_id = Entry.objects.get().pk
        before = everything()
        with (
            refused(refusal),
            connection.cursor() as cursor,
            cursor.copy("COPY ledger_posting (entry_id, account_id, amount) FROM STDIN") as copy,
        ):
            for amount in amounts:
                copy.write_row((entry_id, account_id, amount))
        assert everything() == before

    def test_cannot_have_a_line_of_nothing(self) -> None:
        before = everything()
        with refused("posting_not_zero"):
            run(WHOLE_ENTRY, [0, 0])
        assert everything() == before

    @pytest.mark.parametrize(
        ("entry", "account", "refusal"),
        [
            ("0", "a.id", "has no lines"),
            ("e.id", "0", "has a line on an account that does not exist"),
        ],
    )
    def test_has_lines_of_its_own_on_accounts_that_exist(
        self, entry: str, account: str, refusal: str
    ) -> None:
        before = everything()
        with refused(refusal):
            run(WHOLE_ENTRY.replace("e.id, a.id", f"{entry}, {account}"), [5, -5])
        assert everything() == before

    def test_has_no_lines_without_an_entry(self) -> None:
        before = everything()
        with refused("has its lines already, or was written elsewhere"):
            run(ADD_TO_AN_ENTRY.replace("e.id, a.id", "0, a.id"))
        assert everything() == before

    @pytest.mark.parametrize("when", ["now() - interval '1 day'", "clock_timestamp() + interval '1 hour'"])
    def test_says_when_it_was_written(self, when: str) -> None:
        before = everything()
        with refused("does not say when it was written"):
            run(NEW_ENTRY.replace("memo,", "recorded_at, memo,").replace("now(), ''", f"now(), {when}, ''"))
        assert everything() == before

    @pytest.mark.parametrize(
        ("column", "value", "constraint"),
        [
            ("actor", "''", "entry_(names_its_actor|approver_is_another)"),
            ("approver", "'tester'", "entry_approver_is_another"),
            ("block_hash", "'ab'", "entry_block_is_whole"),
            ("block_hash", f"'{'AB' * 32}'", "entry_block_is_whole"),
        ],
    )
    def test_names_people_and_blocks_that_can_be_found(
        self, column: str, value: str, constraint: str
    ) -> None:
        before = everything()
        values = {"actor": "'tester'", "approver": "''", "block_hash": "''"} | {column: value}
        with refused(constraint):
            run(NEW_ENTRY.replace("'tester', '', ''", ", ".join(values.values())))
        assert everything() == before

    def test_has_an_original_time_only_before_the_one_under_which_it_counts(self) -> None:
        before = everything()
        with refused("entry_original_is_earlier"):
            run(NEW_ENTRY.replace("memo,", "original_at, memo,").replace("now(), ''", "now(), now(), ''"))
        assert everything() == before

    def test_comes_with_its_lines_in_one_statement(self) -> None:
        before = everything()
        with refused("has no lines; they are written by the same statement"):
            run(NEW_ENTRY)
        assert everything() == before

    def test_gets_its_lines_once(self) -> None:
        before = everything()
        with refused("has its lines already"):
            run(WHOLE_ENTRY, [5, -5])
            run(MORE_LINES, [5, -5])
        assert everything() == before

    def test_is_taken_whole(self) -> None:
        run(WHOLE_ENTRY, [5, -5])
        assert (Entry.objects.count(), Posting.objects.count()) == (2, 4)


@pytest.mark.django_db(transaction=True)
class TestReplicaMode:
    """A superuser who switches ordinary triggers off, as replication and restores do."""

    @pytest.fixture
    def superuser(self) -> Iterator[psycopg.Connection]:
        try:
            address = services.get_postgres().superuser_url
        except LookupError as error:
            pytest.skip(str(error))
        fund()
        database = connection.settings_dict["NAME"]
        with psycopg.connect(address, dbname=database, autocommit=True) as session:
            session.execute("SET session_replication_role = replica")
            yield session

    def test_does_not_open_the_books(self, superuser: psycopg.Connection) -> None:
        before = everything()
        for statement in CHANGES:
            with pytest.raises(psycopg.errors.RestrictViolation):
                superuser.execute(statement)
        with pytest.raises(psycopg.errors.CheckViolation, match="has its lines already"):
            superuser.execute(ADD_TO_AN_ENTRY)
        with pytest.raises(psycopg.errors.CheckViolation, match="has no lines"):
            superuser.execute(NEW_ENTRY)
        with refused("sum to 1"):
            superuser.execute(WHOLE_ENTRY, [5, -4])
        assert everything() == before


@pytest.mark.django_db(transaction=True)
class TestApplicationRole:
    """A role with the rights of ``ledger.grants``, given by the command that operators run."""

    @pytest.fixture
    def app(self) -> Iterator[psycopg.Connection]:
        try:
            address = services.get_postgres().superuser_url
        except LookupError as error:
            pytest.skip(str(error))
        fund()
        role = sql.Identifier(APP_ROLE)
        with psycopg.connect(address, dbname=connection.settings_dict["NAME"], autocommit=True) as session:
            session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
            try:
                call_command("grant_roles", role=APP_ROLE, verbosity=0)
                session.execute(sql.SQL("SET ROLE {}").format(role))
                yield session
                session.execute("RESET ROLE")
            finally:
                session.execute("RESET ROLE")
                session.execute(sql.SQL("DROP OWNED BY {}").format(role))
                session.execute(sql.SQL("DROP ROLE {}").format(role))

    @pytest.fixture
    def case_id(self, app: psycopg.Connection) -> int:
        """A case that a run opened because it could compare nothing."""
        service.give_up(scope="program:7", started_at=timezone.now(), reason="The node is silent.")
        return Case.objects.get().pk

    def test_may_read_and_add_and_nothing_else(self, app: psycopg.Connection) -> None:
        before = everything()
        for statement in CHANGES:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)):
                app.execute(statement)
        for table in ("ledger_reconciliationrun", "ledger_break"):
            for statement in (
                f"UPDATE {table} SET id = 1",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(statement)
        assert everything() == before
        app.execute(WHOLE_ENTRY, [5, -5])
        assert books.balance(CODES.in_transit) == -5
        assert app.execute("SELECT count(*) FROM ledger_posting").fetchone() == (4,)

    def test_may_read_and_add_audit_events_and_nothing_else(self, app: psycopg.Connection) -> None:
        """A34: by its rights alone, before any trigger is asked; whoever has taken the application has no more."""
        with transaction.atomic():
            kept = audit.record("test.act", scope="program:7", reason="Why").pk
        before = list(AuditEvent.objects.order_by("pk").values_list())
        held = app.execute(
            "SELECT array_agg(privilege_type::text ORDER BY 1) FROM information_schema.role_table_grants"
            " WHERE table_name = 'ledger_auditevent' AND grantee = %s",
            [APP_ROLE],
        ).fetchone()
        assert held == (["INSERT", "SELECT"],)
        for statement in (
            *(
                f"UPDATE ledger_auditevent SET {field.column} = {field.column}"
                for field in AuditEvent._meta.fields
            ),
            "UPDATE ledger_auditevent SET actor = 'mallory' WHERE false",
            "DELETE FROM ledger_auditevent",
            "DELETE FROM ledger_auditevent WHERE false",
            "TRUNCATE ledger_auditevent",
            "TRUNCATE ledger_auditevent RESTART IDENTITY CASCADE",
            "INSERT INTO ledger_auditevent SELECT * FROM ledger_auditevent ON CONFLICT (id) DO UPDATE SET actor = 'x'",
            "MERGE INTO ledger_auditevent a USING ledger_auditevent b ON a.id = b.id WHEN MATCHED THEN DELETE",
            "SELECT * FROM ledger_auditevent FOR UPDATE",
            "ALTER TABLE ledger_auditevent DISABLE TRIGGER auditevent_unchanged",
            "DROP TRIGGER auditevent_unchanged ON ledger_auditevent",
            "DROP TABLE ledger_auditevent",
            "SELECT setval(pg_get_serial_sequence('ledger_auditevent', 'id'), 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
        assert list(AuditEvent.objects.order_by("pk").values_list()) == before
        added = app.execute(
            "INSERT INTO ledger_auditevent (actor, actor_id, door, action, subject_kind, subject_id, scope, request_id,"
            " reason) VALUES ('ayesha', '', 'api', 'test.act', '', '', '', '', '') RETURNING id"
        ).fetchone()
        assert added is not None
        found = app.execute("SELECT id FROM ledger_auditevent ORDER BY id").fetchall()
        assert found[-2:] == [(kept,), added]

    @pytest.mark.parametrize(
        "statement",
        [
            "SET session_replication_role = replica",
            "ALTER TABLE ledger_posting DISABLE TRIGGER ALL",
            "DROP TRIGGER posting_unchanged ON ledger_posting",
            "ALTER TABLE ledger_account DROP COLUMN kind",
            "DROP TABLE ledger_posting",
            "CREATE OR REPLACE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE RULE quiet AS ON INSERT TO ledger_entry DO INSTEAD NOTHING",
            "SELECT setval(pg_get_serial_sequence('ledger_entry', 'id'), 1)",
            "CREATE TABLE public.mine (id int)",
        ],
    )
    def test_may_not_switch_the_guards_off(self, app: psycopg.Connection, statement: str) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)

    def test_holds_exactly_the_listed_rights(self, app: psycopg.Connection) -> None:
        found = app.execute(rights.HELD, {"role": APP_ROLE}).fetchall()
        assert dict(found) == rights.listed(grants.TABLE_GRANTS)

    @pytest.mark.parametrize(
        "change",
        [
            "scope = 'program:8'",
            "kind = 'unknown_out'",
            "unit = 'outpoint:x'",
            "payment_id = 9",
            "vout = 9",
            "first_run_id = first_run_id + 1",
            "id = id + 1",
        ],
    )
    def test_makes_no_case_another_one(self, app: psycopg.Connection, case_id: int, change: str) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"UPDATE ledger_case SET {change}")
        with pytest.raises(IntegrityError, match="stays what it is about"), transaction.atomic():
            run(f"UPDATE ledger_case SET {change}")

    @pytest.mark.parametrize(
        "change",
        [
            "amount_sat = 7",
            "found = 'x'",
            "txid = 'x'",
            "opened_at = now()",
            "opened_height = 9",
            "last_run_id = last_run_id - 1",
            "proposal = -1",
        ],
    )
    def test_changes_no_figure_of_a_case_without_a_run(
        self, app: psycopg.Connection, case_id: int, change: str
    ) -> None:
        with pytest.raises(psycopg.errors.RestrictViolation, match="stays what it is about"):
            app.execute(f"UPDATE ledger_case SET {change}")

    def test_works_on_cases(self, app: psycopg.Connection, case_id: int) -> None:
        app.execute("UPDATE ledger_case SET note = 'x', proposal = proposal + 1")
        app.execute("UPDATE ledger_case SET status = 'closed', closed_at = now()")
        app.execute("UPDATE ledger_case SET status = 'open', closed_at = NULL, opened_at = now()")
        assert app.execute("SELECT status, proposal FROM ledger_case").fetchall() == [("open", 1)]
