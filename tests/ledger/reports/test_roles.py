"""An auditor makes every report under a database role that may only read."""

import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection

from deploy.local.stack import ROOT
from ledger.models import Entry
from ledger.reports import documents
from tests import services
from tests.ledger.months import CODES, SCOPE

MAKE = """
import hashlib, json, sys
from datetime import UTC, datetime
import django
django.setup()
from django.db import connection
from ledger import reports
from ledger.reports import documents
digests = {}
for name, form, given in json.loads(sys.argv[1]):
    document = documents.get_document(name)
    asked = reports.ask(document, now=datetime(2100, 1, 1, tzinfo=UTC), **given)
    made = b"".join(documents.produce(document, form, asked))
    digests[f"{name} {form}"] = hashlib.sha256(made).hexdigest()
with connection.cursor() as cursor:
    cursor.execute("SELECT current_user")
    print(json.dumps([cursor.fetchone()[0], digests]))
"""


def wanted() -> list[tuple[str, str, dict[str, str]]]:
    """Return every document in every form that needs no key."""
    given = {"scope": SCOPE, "account": CODES.hot_wallet, "month": "2026-11"}
    return [
        (name, form.name, {key: value for key, value in given.items() if key in document.parameters})
        for name, document in documents.DOCUMENTS.items()
        for form in documents.forms_of(document)
        if form != documents.SIGNED
    ]


def made_by(url: str) -> tuple[str, dict[str, str]]:
    """Make all of them in a process of its own that knows this address of the database only."""
    address = urlsplit(url)._replace(path="/" + connection.settings_dict["NAME"]).geturl()
    done = subprocess.run(
        [sys.executable, "-c", MAKE, json.dumps(wanted())],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "govpay.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    user, digests = json.loads(done.stdout.splitlines()[-1])
    return user, digests


@pytest.mark.django_db(transaction=True)
def test_gives_an_auditor_what_it_gives_the_owner(entry_ids: list[int]) -> None:
    try:
        server = services.get_postgres()
    except LookupError as error:
        pytest.skip(str(error))
    call_command("grant_roles", verbosity=0)
    auditor, seen = made_by(server.auditor_url)
    owner, made = made_by(server.owner_url)
    assert (auditor, auditor != owner) == ("govpay_auditor", True)
    assert seen == made
    assert len(seen) == len(wanted()) == 49
    assert Entry.objects.count() == len(entry_ids) == 10
