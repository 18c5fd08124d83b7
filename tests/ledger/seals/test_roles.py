"""Who may seal: the sealer's role and nobody else; and nobody may change what is sealed, not even the tables' owner."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.utils import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ledger import grants
from ledger.models import PackPart, PackStatus
from ledger.packs import jobs
from ledger.seals import checkpoints, redaction, sealer, verification
from tests import factories, services
from tests.ledger.seals.scene import post, sealed

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")


@contextmanager
def acting_as(address: str) -> Iterator[None]:
    """Use the role of an address for a while."""
    parts = conninfo_to_dict(address)
    owner = connection.settings_dict
    connection.close()
    connection.settings_dict = owner | {"USER": parts["user"], "PASSWORD": parts.get("password", "")}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = owner


@pytest.fixture
def postgres() -> services.Postgres:
    try:
        found = services.get_postgres()
    except LookupError:
        pytest.skip("An outside server's roles are not known here.")
    call_command("grant_roles", stdout=io.StringIO())
    return found


def refused(statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


class TestSealer:
    def test_may_do_what_sealing_takes(self, postgres: services.Postgres) -> None:
        ids = post("a", "b")
        with acting_as(postgres.sealer_url):
            sealer.seal()
            assert sealed() == ids
            assert checkpoints.issue() is not None
            assert verification.verify().findings == []

    def test_may_not_write_the_books(self, postgres: services.Postgres) -> None:
        post("a")
        with acting_as(postgres.sealer_url):
            for table in ("ledger_account", "ledger_entry", "ledger_posting"):
                refused(f"INSERT INTO {table} SELECT * FROM {table}")
            for table in grants.SEALER_GRANTS:
                refused(f"DELETE FROM {table}")
                refused(f"TRUNCATE {table} CASCADE")
            refused("UPDATE ledger_leaf SET hash = ''")
            refused("SELECT * FROM payments_beneficiary")
            refused("SELECT * FROM auth_user")


class TestApplication:
    def test_may_make_packs_and_take_their_files_away(self, postgres: services.Postgres) -> None:
        (entry_id,) = post("a")
        sealer.seal()
        checkpoints.issue()
        auditor = factories.make_user("auditor", jobs.RIGHT)
        clerk, judge = (factories.make_user(name, redaction.RIGHT) for name in ("clerk", "judge"))
        with acting_as(postgres.app_url):
            asked = jobs.ask(by=auditor, kind="all")
            jobs.run(asked.pk)
            asked.refresh_from_db()
            assert (asked.status, asked.message) == (PackStatus.DONE, "")
            wanted = redaction.ask(by=clerk, entry_id=entry_id, why="The memo named a person.")
            redaction.carry_out(by=judge, request_id=wanted.pk)
            asked.refresh_from_db()
            assert (asked.status, PackPart.objects.count()) == (PackStatus.EXPIRED, 0)

    def test_may_read_seals_and_not_make_them(self, postgres: services.Postgres) -> None:
        post("a")
        sealer.seal()
        with acting_as(postgres.app_url):
            assert len(sealed()) == 1
            for table in grants.SEALS:
                refused(f"INSERT INTO {table} SELECT * FROM {table}")
                if table not in grants.BLACKED_OUT:
                    refused(f"DELETE FROM {table}")
            for table in grants.BLACKED_OUT:
                with pytest.raises(IntegrityError, match="nobody agreed"), transaction.atomic():
                    run(f"DELETE FROM {table}")


class TestOwner:
    @pytest.mark.parametrize("table", grants.SEALS)
    def test_cannot_change_what_is_sealed(self, table: str) -> None:
        post("a")
        sealer.seal()
        column = column_of(table)
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
                run(statement)


class TestGrantRoles:
    def test_refuses_a_sealer_that_is_not_there(self) -> None:
        with pytest.raises(CommandError, match="nobody_seals does not exist"):
            call_command("grant_roles", sealer="nobody_seals", stdout=io.StringIO())


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def column_of(table: str) -> str:
    """Return the name of a table's second column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 2", [table]
        )
        return str(cursor.fetchone()[0])
