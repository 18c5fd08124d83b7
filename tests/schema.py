"""Keeps the tables that the migrations make, so that the next test run copies them instead of migrating again.

A file of SQL below ``var/test/schema``, named by what it depends on: the migrations, what they import, and the packages.
"""

import hashlib
import os
import subprocess
from pathlib import Path

import psycopg
from django.db import connection

from deploy.local.postgres import find_binaries
from deploy.local.stack import ROOT
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
        _run("psql", DATABASE, "--quiet", "--set=ON_ERROR_STOP=1", f"--file={_file()}")
        connection.settings_dict["TEST"]["TEMPLATE"] = DATABASE


def keep() -> None:
    """Keep the tables of the database of the tests, which is migrated and empty, for the next run."""
    if not services.has_own_postgres() or _file().exists():
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    made = KEPT / f"{os.getpid()}.part"
    _run("pg_dump", str(connection.settings_dict["NAME"]), f"--file={made}")
    made.rename(_file())
    for old in sorted(KEPT.iterdir(), key=lambda path: path.stat().st_mtime)[:-AT_MOST]:
        old.unlink(missing_ok=True)


def _file() -> Path:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return KEPT / f"{digest.hexdigest()[:32]}.sql"


def _run(program: str, database: str, *words: str) -> None:
    address = psycopg.conninfo.make_conninfo(services.ensure_database(), dbname=database)
    subprocess.run(
        [str(find_binaries() / program), "--no-password", f"--dbname={address}", *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )
