"""Keeps the tables that the migrations make, so that later test runs and stacks copy them instead of migrating again.

A file of SQL below ``var/test/schema``, named by what it depends on: the migrations, what they import, and the packages.
"""

import hashlib
import os
import subprocess
from pathlib import Path

import psycopg
from django.db import connection

from deploy.local import postgres
from deploy.local.stack import ROOT, Stack
from tests import services

KEPT = services.RUNS / "schema"
AT_MOST = 8
DATABASE = "schema_of_the_migrations"
# Migrations and the modules that they import.
SOURCES = ("*/migrations/*.py", "ledger/models/entry.py", "payments/models/encrypted.py", "requirements.lock")


def begin() -> None:
    """Let the database of the tests begin with the tables of an earlier run with the same migrations, if there was one."""
    if services.has_own_postgres() and _file().exists():
        with psycopg.connect(services.ensure_database(), autocommit=True) as database:
            database.execute(f"CREATE DATABASE {DATABASE}")
        _load(services.ensure_database(), DATABASE)
        connection.settings_dict["TEST"]["TEMPLATE"] = DATABASE


def keep() -> None:
    """Keep the tables of the database of the tests, which is migrated and empty, for the next run."""
    if not services.has_own_postgres() or _file().exists():
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    made = KEPT / f"{os.getpid()}.part"
    _run("pg_dump", services.ensure_database(), str(connection.settings_dict["NAME"]), f"--file={made}")
    made.rename(_file())
    for old in sorted(KEPT.iterdir(), key=lambda path: path.stat().st_mtime)[:-AT_MOST]:
        old.unlink(missing_ok=True)


def fill(stack: Stack) -> None:
    """Migrate a fresh stack whose services run, from the tables that were kept, if any were."""
    if stack.postgres is not None and _file().exists():
        _load(stack.postgres.owner_url, postgres.DATABASE)
    stack.migrate()


def _load(server: str, database: str) -> None:
    _run("psql", server, database, "--quiet", "--set=ON_ERROR_STOP=1", f"--file={_file()}")


def _file() -> Path:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return KEPT / f"{digest.hexdigest()[:32]}.sql"


def _run(program: str, server: str, database: str, *words: str) -> None:
    address = psycopg.conninfo.make_conninfo(server, dbname=database)
    subprocess.run(
        [str(postgres.find_binaries() / program), "--no-password", f"--dbname={address}", *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )
