"""A state directory and a bitcoind for each test of the local stack."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import bitcoind
from deploy.local.postgres import Postgres
from deploy.local.stack import DEBIAN_CACHE
from tests import services


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Give a directory that the database's unprivileged user can enter, unlike pytest's own."""
    path = services.ensure_state_dir() / uuid.uuid4().hex[:8]
    path.mkdir()
    yield path
    Postgres(path).remove()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def bitcoind_argv() -> list[str]:
    """Give the words that start bitcoind."""
    return bitcoind.find(DEBIAN_CACHE)
