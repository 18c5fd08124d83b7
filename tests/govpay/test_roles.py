"""The database's own roles, each over a connection of its own: what it may do, and what it is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from govpay import roles
from ledger import books, chart, events, grants
from payments.models.encrypted import EncryptedJSONField
from tests import factories, services
from tests.ledger import rights

BOOKS = ("ledger_account", "ledger_entry", "ledger_posting", "ledger_period", "ledger_periodchange")

KEYS = {model._meta.db_table: model._meta.pk.column for model in apps.get_models()}

pytestmark = pytest.mark.django_db(transaction=True)


def connect(role: str) -> psycopg.Connection:
    """Connect to the test's database as a role, with the password that the local server made."""
    try:
        server = services.get_postgres()
    except LookupError as error:
        pytest.skip(str(error))
    urls = {
        roles.APPLICATION: server.app_url,
        roles.SEALER: server.sealer_url,
        roles.AUDITOR: server.auditor_url,
    }
    return psycopg.connect(urls[role], dbname=connection.settings_dict["NAME"], autocommit=True)


@pytest.fixture
def granted() -> None:
    """A deposit in the books, and the rights that operators give."""
    chart.open_program(7)
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
    call_command("grant_roles", verbosity=0)


@pytest.fixture
def application(granted: None) -> Iterator[psycopg.Connection]:
    with connect(roles.APPLICATION) as session:
        yield session


@pytest.fixture
def sealer(granted: None) -> Iterator[psycopg.Connection]:
    with connect(roles.SEALER) as session:
        yield session


@pytest.fixture
def auditor(granted: None) -> Iterator[psycopg.Connection]:
    with connect(roles.AUDITOR) as session:
        yield session


def list_tables() -> list[str]:
    with connection.cursor() as cursor:
        return sorted(set(connection.introspection.table_names(cursor)))


def refuse(session: psycopg.Connection, statement: str) -> None:
    """Expect a statement to be refused for want of a right."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement)


def refuse_writing(session: psycopg.Connection, table: str, *verbs: str) -> None:
    """Expect the named ways of writing to a table to be refused."""
    key = KEYS.get(table, "id")
    statements = {
        "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
        "UPDATE": f"UPDATE {table} SET {key} = 1 WHERE false",
        "DELETE": f"DELETE FROM {table} WHERE false",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }
    for verb in verbs:
        refuse(session, statements[verb])


class TestApplication:
    def test_adds_to_the_books_and_changes_nothing(self, application: psycopg.Connection) -> None:
        assert application.execute("SELECT current_user").fetchone() == (roles.APPLICATION,)
        for table in grants.TABLE_GRANTS.keys() - grants.CHANGING:
            application.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(table)))
            # Of what two people blacked out the triggers let it delete, and of nothing else.
            deletes = () if table in grants.BLACKED_OUT else ("DELETE",)
            refuse_writing(application, table, "UPDATE", "TRUNCATE", *deletes)
        application.execute(
            "INSERT INTO ledger_period (name, ends_at, opened_by) VALUES ('2026-10', '2026-11-01', 'dalia')"
        )
        application.execute(
            "INSERT INTO ledger_periodchange (period_id, status, actor, note)"
            " SELECT id, 'closing', 'dalia', '' FROM ledger_period"
        )
        assert application.execute("SELECT through_entry_id > 0 FROM ledger_periodchange").fetchone() == (
            True,
        )

    def test_moves_budgets_and_rewrites_none(self, application: psycopg.Connection) -> None:
        for table, column in (
            ("payments_budgetperiod", "first_date"),
            ("payments_budgetperiod", "program_id"),
            ("payments_warrant", "amount_sat"),
            ("payments_warrant", "proposed_by_id"),
            ("payments_commitment", "disbursement_id"),
        ):
            application.execute(f"SELECT {column} FROM {table} FOR NO KEY UPDATE")
            refuse(application, f"UPDATE {table} SET {column} = {column}")
            refuse_writing(application, table, "DELETE", "TRUNCATE")
        application.execute(f"UPDATE payments_budgetperiod SET ({roles.OF_A_PERIOD}) = ({roles.OF_A_PERIOD})")

    def test_adds_to_what_was_said_of_prices_and_rewrites_none(self, application: psycopg.Connection) -> None:
        for table, columns, column in (
            ("payments_manualprice", roles.OF_A_MANUAL_PRICE, "price"),
            ("payments_manualprice", roles.OF_A_MANUAL_PRICE, "given_by_id"),
            ("payments_pricebreaker", roles.OF_A_BREAKER, "from_price"),
        ):
            application.execute(f"SELECT {column} FROM {table} FOR NO KEY UPDATE")
            application.execute(f"UPDATE {table} SET ({columns}) = ({columns})")
            refuse(application, f"UPDATE {table} SET {column} = {column}")
            refuse_writing(application, table, "DELETE", "TRUNCATE")
        application.execute("SELECT price FROM payments_quote")
        refuse_writing(application, "payments_quote", "UPDATE", "DELETE", "TRUNCATE")


class TestSealer:
    def test_reads_the_books_and_writes_none_of_them(self, sealer: psycopg.Connection) -> None:
        assert sealer.execute("SELECT current_user").fetchone() == (roles.SEALER,)
        assert sealer.execute("SELECT count(*) FROM ledger_posting").fetchone() == (2,)
        for table in BOOKS:
            assert grants.SEALER_GRANTS[table] == grants.READ
            refuse_writing(sealer, table, "INSERT", "UPDATE", "DELETE", "TRUNCATE")

    def test_neither_changes_nor_takes_away_anything_of_its_own(self, sealer: psycopg.Connection) -> None:
        for table in grants.SEALER_GRANTS:
            refuse_writing(sealer, table, "UPDATE", "DELETE", "TRUNCATE")

    def test_sees_nothing_outside_the_ledger(self, sealer: psycopg.Connection) -> None:
        for table in list_tables():
            if table not in grants.SEALER_GRANTS:
                refuse(sealer, f"SELECT 1 FROM {table}")


class TestAuditor:
    def test_reads_every_table_that_is_no_secret_and_writes_none(self, auditor: psycopg.Connection) -> None:
        factories.make_user("somebody")
        assert auditor.execute("SELECT current_user").fetchone() == (roles.AUDITOR,)
        assert auditor.execute(
            "SELECT sum(amount) FILTER (WHERE amount > 0) FROM ledger_posting"
        ).fetchone() == (1_000,)
        for table in list_tables():
            if table in roles.SECRETS:
                refuse(auditor, f"SELECT * FROM {table}")
            else:
                auditor.execute(f"SELECT * FROM {table}")
            refuse_writing(auditor, table, "INSERT", "DELETE", "TRUNCATE")
        assert ("somebody",) in auditor.execute("SELECT username FROM auth_user").fetchall()

    def test_is_shown_no_password_token_session_or_personal_data(self, auditor: psycopg.Connection) -> None:
        refuse(auditor, "SELECT password FROM auth_user")
        refuse(auditor, "SELECT session_key FROM django_session")
        refuse(auditor, "SELECT digest FROM knox_authtoken")
        refuse(auditor, "SELECT body FROM govpay_idempotencyrecord")
        encrypted = [
            (model._meta.db_table, field.column)
            for model in apps.get_models()
            for field in model._meta.concrete_fields
            if isinstance(field, EncryptedJSONField)
        ]
        assert sorted(encrypted) == [
            ("govpay_authenticator", "secret"),
            ("govpay_securitykey", "secret"),
            ("payments_appeal", "words"),
            ("payments_bankaccount", "account"),
            ("payments_bankfileline", "account"),
            ("payments_beneficiary", "personal"),
            ("payments_claimlink", "contact"),
            ("payments_grievance", "answer"),
            ("payments_grievance", "said"),
            ("payments_message", "content"),
            ("payments_travelrecord", "payload"),
            ("payments_webhooksecret", "secret"),
        ]
        for table, column in encrypted:
            refuse(auditor, f"SELECT {column} FROM {table}")

    def test_names_secrets_that_exist(self) -> None:
        columns = {
            model._meta.db_table: {field.column for field in model._meta.concrete_fields}
            for model in apps.get_models(include_auto_created=True)
        }
        for table, hidden in roles.SECRETS.items():
            assert set(hidden) <= columns[table]


@pytest.mark.parametrize("role", [roles.APPLICATION, roles.SEALER, roles.AUDITOR])
class TestEveryRole:
    @pytest.mark.parametrize(
        "statement",
        [
            "SET session_replication_role = replica",
            "ALTER TABLE ledger_posting DISABLE TRIGGER ALL",
            "ALTER TABLE ledger_period DISABLE TRIGGER ALL",
            "DROP TRIGGER entry_whole ON ledger_entry",
            "CREATE OR REPLACE FUNCTION ledger_marks() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP TABLE ledger_periodchange",
            "CREATE TABLE public.mine (id int)",
            "SET ROLE govpay_owner",
        ],
    )
    def test_switches_no_guard_off(self, granted: None, role: str, statement: str) -> None:
        with connect(role) as session:
            refuse(session, statement)

    def test_holds_exactly_the_listed_rights(self, granted: None, role: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(rights.HELD, {"role": role})
            found = dict(cursor.fetchall())
        ledger = {model._meta.db_table for model in apps.get_app_config("ledger").get_models()}
        wanted = {
            roles.APPLICATION: grants.TABLE_GRANTS,
            roles.SEALER: grants.SEALER_GRANTS,
            roles.AUDITOR: {table: ["SELECT"] for table in ledger if table not in grants.AUDITOR_HIDDEN},
        }[role]
        assert found == rights.listed(wanted)


class TestGrantRoles:
    def test_refuses_a_role_that_does_not_exist(self, granted: None) -> None:
        with pytest.raises(CommandError, match="The database role nobody_here does not exist"):
            call_command("grant_roles", auditor="nobody_here", verbosity=0)
