"""The short examples in docs/api.md run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from govpay.models import ApiToken
from payments.models import Disbursement, Program
from payments.payout import events
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def block(language: str) -> str:
    """Return the block of the language under the heading."""
    section = GUIDE.read_text().partition("## In a few lines\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return found


def run(words: list[str], live_server: Any, user: User) -> str:
    """Return what a block prints."""
    settings = {"API": f"{live_server.url}/api/v1", "NAME": user.username, "PASSWORD": factories.PASSWORD}
    done = subprocess.run(
        words, env=os.environ | settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_token_with_curl(live_server: Any, program: Program, officer: User) -> None:
    said = run(["bash", "-eu", "-c", block("sh")], live_server, officer)
    assert '"code":"PENSIONS"' in said
    assert '"code":"scope_missing"' in said
    assert ApiToken.objects.get().scopes == ["read"]


def test_a_list_with_python(live_server: Any, program: Program, officer: User) -> None:
    factories.fund(program)
    factories.make_enrollment(program)
    words = [sys.executable, "-c", block("python")]
    first = run(words, live_server, officer)
    made = Disbursement.objects.get()
    assert first.split() == [str(made.pk), "submitted", bytes(made.manifest_hash or b"").hex()]
    events.number()
    again = run(words, live_server, officer)
    assert again.splitlines() == [first.strip(), f"1 disbursement.submitted {made.pk}"]
    assert Disbursement.objects.count() == 1
