"""Finds a bitcoind: the one named, the one on PATH, or Debian's beside its own libraries, without root."""

import os
import shutil
from pathlib import Path

from deploy.local import debian
from deploy.local.errors import LocalStackError

ADVICE = "install Bitcoin Core so that bitcoind is on PATH, or name it in GOVPAY_BITCOIND"


def find(cache: Path) -> list[str]:
    """Return the words that start bitcoind; raise LocalStackError in one sentence when none can be had."""
    named = os.environ.get("GOVPAY_BITCOIND")
    if named:
        found = shutil.which(named)
        if found is None:
            raise LocalStackError(f"GOVPAY_BITCOIND names {named}, which is not a program: {ADVICE}.")
        return [found]
    on_path = shutil.which("bitcoind")
    if on_path:
        return [on_path]
    try:
        root = debian.unpack("bitcoin-knots", suite="unstable", depends=True, cache=cache)
    except LocalStackError as error:
        raise LocalStackError(f"No bitcoind: {ADVICE}. {error}") from error
    return beside_libraries(root)


def beside_libraries(root: Path) -> list[str]:
    """Return the words that run the bitcoind under ``root`` with the loader and libraries beside it."""
    try:
        return debian.beside_libraries(root, "usr/bin/bitcoind")
    except LocalStackError as error:
        raise LocalStackError(f"{error} Or {ADVICE}.") from error
