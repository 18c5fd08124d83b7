"""Posts with django-hordak in a database and a virtual environment of its own, made for the benchmark only."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from tests.bench.intake import _database

WANTED = ["django-hordak==2.0.0", "psycopg[binary]"]
PLACE = Path(settings.BASE_DIR) / "var" / "hordak"
SCRIPT = Path(__file__).with_name("hordak_posts.py")
INSTALL_S, RUN_S = 300, 600


def measure(entries: int, ours: float) -> dict[str, Any]:
    """Return its entries a second, one and 200 a database transaction, and how many times that ours is.

    Where it cannot be installed, the reason stands in its place.
    """
    python = PLACE / "bin" / "python"
    try:
        _install(python)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return {"not_measured": f"django-hordak could not be installed: {said.strip().splitlines()[-1]}"}
    address = _database() | {"dbname": "bench_hordak"}
    with psycopg.connect(**_database(), autocommit=True) as database:
        database.execute("DROP DATABASE IF EXISTS bench_hordak")
        database.execute("CREATE DATABASE bench_hordak")
    asked = json.dumps([address, entries])
    done = subprocess.run(
        [str(python), "-P", str(SCRIPT)],
        check=True,
        stdout=subprocess.PIPE,
        input=asked,
        text=True,
        timeout=RUN_S,
    )
    found = json.loads(done.stdout)
    best = max(found["one_a_transaction"], found["batches_of_200"])
    return {
        "hordak": WANTED[0],
        "entries": entries,
        "posted_a_second": {name: round(rate) for name, rate in found.items()},
        "ours_to_the_better": round(ours / best, 1),
        "ours_to_the_better_goal": 30,
    }


def _install(python: Path) -> None:
    if python.exists() and _runs([str(python), "-c", "import hordak, psycopg"]):
        return
    _run([sys.executable, "-m", "venv", "--clear", str(PLACE)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *WANTED])


def _run(words: list[str]) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=INSTALL_S)


def _runs(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True).returncode == 0
