"""Gives the application role exactly the rights it needs; on the books that is reading and adding."""

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from psycopg import sql

from ledger import grants

EVERYTHING = ["SELECT", "INSERT", "UPDATE", "DELETE"]
# Histories and facts that the application may add to and read, but neither change nor take away.
APPEND_ONLY = {
    "payments_statuschange": ["SELECT", "INSERT"],
    "payments_chainfact": ["SELECT", "INSERT"],
    # A version's signed bytes come later, once; a trigger refuses to change them.
    "payments_payouttx": ["SELECT", "INSERT", "UPDATE (raw, signed_at, vsize_vb)"],
    "payments_changeoutput": ["SELECT", "INSERT"],
    "payments_partialsignature": ["SELECT", "INSERT"],
    "payments_manifestsignature": ["SELECT", "INSERT"],
    "payments_installation": ["SELECT", "INSERT"],
    "payments_intake": ["SELECT", "INSERT"],
    "payments_intakeerror": ["SELECT", "INSERT"],
    "django_migrations": ["SELECT"],
}


class Command(BaseCommand):
    """``manage.py grant_roles``: run it as the owner after every migrate."""

    help = "Grant the application role its rights on every table, and no more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", default="govpay_app", help="the application's database role")

    def handle(self, *args: Any, **options: Any) -> None:
        role = options["role"]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            if cursor.fetchone() is None:
                raise CommandError(f"The database role {role} does not exist; create it first.")
            tables = sorted(set(connection.introspection.table_names(cursor)))
            name = sql.Identifier(role)
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
            cursor.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(name))
            for table in tables:
                rights = (APPEND_ONLY | grants.TABLE_GRANTS).get(table, EVERYTHING)
                identifier = sql.Identifier(table)
                cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(identifier, name))
                cursor.execute(
                    sql.SQL("GRANT {} ON {} TO {}").format(
                        sql.SQL(", ").join(map(sql.SQL, rights)), identifier, name
                    )
                )
        self.stdout.write(f"{role}: rights on {len(tables)} tables ({len(apps.get_models())} models).")
