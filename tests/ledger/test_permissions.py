"""The rights over the books: the guide names each, a superuser gives it in the admin, and the demo's people hold it."""

import re
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from ledger import periods
from ledger.api import access
from ledger.packs import jobs
from ledger.reconciliation import cases
from ledger.reports import audit
from ledger.seals import redaction
from ledger.treasury import movements
from payments.services import erasures, policies
from tests import factories

RIGHTS = {
    access.READ,
    access.RECONCILE,
    periods.RIGHT,
    cases.RIGHT,
    jobs.RIGHT,
    movements.RIGHT,
    redaction.RIGHT,
    audit.RIGHT,
}
TWO_PEOPLE = {periods.RIGHT, cases.RIGHT, redaction.RIGHT}
GUIDE = Path(__file__).parents[2] / "docs" / "operator.md"

pytestmark = pytest.mark.django_db


def test_the_guide_names_each() -> None:
    section = GUIDE.read_text().split("## Rights over the books\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(ledger\.\w+)` \|", section, re.MULTILINE)) == RIGHTS


@pytest.mark.parametrize("right", sorted(RIGHTS))
def test_a_superuser_gives_each_in_the_admin(right: str) -> None:
    root = User.objects.create_superuser("root", password="a long enough one")
    clerk = factories.make_user("clerk")
    client = Client()
    client.force_login(root)
    page = reverse("admin:auth_user_change", args=[clerk.pk])
    app, codename = right.split(".")
    wanted = Permission.objects.get(content_type__app_label=app, codename=codename)
    assert f'<option value="{wanted.pk}">' in client.get(page).content.decode()
    form = {"username": "clerk", "is_active": "on", "user_permissions": [wanted.pk]}
    form |= {"date_joined_0": "2026-11-24", "date_joined_1": "12:00:00"}
    assert client.post(page, form).status_code == 302
    assert User.objects.get(pk=clerk.pk).get_all_permissions() == {right}


def test_the_demo_has_enough_people_for_each() -> None:
    call_command("demo_accounts", password="a long enough one", stdout=StringIO())
    cast = User.objects.filter(is_staff=True)
    holders = {right: {user.pk for user in cast if user.has_perm(right)} for right in RIGHTS}
    for right in RIGHTS:
        assert len(holders[right]) >= (2 if right in TWO_PEOPLE else 1), right
    # What an officer asks for, and what one of these proposes, another can decide.
    for right in (erasures.PERMISSION, policies.RIGHT):
        assert len([user for user in cast if user.has_perm(right)]) == 2, right
    auditor = User.objects.get(username="farid")
    assert not any(auditor.has_perm(right) for right in TWO_PEOPLE)
