"""Runs beancount and hledger as programs over an exported journal: they share no code with the books."""

import csv
import io
import shutil
import subprocess
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path

from deploy.local import debian
from deploy.local.stack import DEBIAN_CACHE

BIN = Path(sys.executable).parent
QUERY = "SELECT account, currency, sum(number) AS total GROUP BY account, currency ORDER BY account"


def run_beancount(path: Path) -> tuple[int, str]:
    """Return the checker's exit status and what it said."""
    return _run([str(BIN / "bean-check"), "--no-cache", str(path)])


def ask_beancount(path: Path) -> dict[tuple[str, str], Decimal]:
    """Return what beancount adds each account up to."""
    status, text = _run([str(BIN / "bean-query"), "--format", "csv", str(path), QUERY])
    assert status == 0, text
    rows = csv.DictReader(io.StringIO(text))
    return {(row["account"].strip(), row["currency"].strip()): Decimal(row["total"]) for row in rows}


def run_hledger(path: Path, *words: str) -> tuple[int, str]:
    """Return hledger's exit status and what it said."""
    return _run([*_find_hledger(), "-f", str(path), *words])


def ask_hledger(path: Path) -> dict[tuple[str, str], Decimal]:
    """Return what hledger adds each account up to."""
    status, text = run_hledger(path, "balance", "--flat", "--no-total", "--empty", "-O", "csv")
    assert status == 0, text
    rows = csv.DictReader(io.StringIO(text))
    pairs = [(row["account"], *row["balance"].split(" ")) for row in rows if row["balance"] != "0"]
    return {(account, currency): Decimal(number) for account, number, currency in pairs}


@cache
def _find_hledger() -> tuple[str, ...]:
    on_path = shutil.which("hledger")
    if on_path:
        return (on_path,)
    root = debian.unpack("hledger", suite=debian.read_codename(), depends=True, cache=DEBIAN_CACHE)
    return tuple(debian.beside_libraries(root, "usr/bin/hledger"))


def _run(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        words,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, done.stdout
