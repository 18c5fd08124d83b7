"""Gives each database role exactly the rights it needs; on the books none has more than reading and adding."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from psycopg import sql

from govpay import roles


class Command(BaseCommand):
    """``manage.py grant_roles``: run it as the owner after every migrate."""

    help = "Grant the application, the sealer and the auditor their rights on every table, and no more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", default=roles.APPLICATION, help="the application's database role")
        parser.add_argument("--sealer", default=roles.SEALER, help="the role of the process that seals")
        parser.add_argument("--auditor", default=roles.AUDITOR, help="the role of who may only read")

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            tables = {
                table: [
                    column.name for column in connection.introspection.get_table_description(cursor, table)
                ]
                for table in sorted(set(connection.introspection.table_names(cursor)))
            }
            rights = {
                options["role"]: {table: roles.application(table) for table in tables},
                options["sealer"]: {table: roles.sealer(table) for table in tables},
                options["auditor"]: {table: roles.auditor(table, found) for table, found in tables.items()},
            }
            for role, granted in rights.items():
                _grant(cursor, role, granted)
            name = sql.Identifier(options["role"])
            cursor.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(name))
        for role, granted in rights.items():
            self.stdout.write(
                f"{role}: rights on {sum(map(bool, granted.values()))} of {len(tables)} tables."
            )


def _grant(cursor: Any, role: str, rights: dict[str, list[str]]) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is None:
        raise CommandError(f"The database role {role} does not exist; create it first.")
    name = sql.Identifier(role)
    cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    for table, granted in rights.items():
        identifier = sql.Identifier(table)
        cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(identifier, name))
        if granted:
            wanted = sql.SQL(", ").join(map(sql.SQL, granted))
            cursor.execute(sql.SQL("GRANT {} ON {} TO {}").format(wanted, identifier, name))
