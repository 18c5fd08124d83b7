"""The law that a program goes by, in the admin: shown with its sources, and in the way of what it refuses."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from payments.models import Program
from payments.services import disbursements
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


class TestLaw:
    def test_stands_on_the_program_with_every_rule(
        self, program: Program, auditor: User, browser: Browser
    ) -> None:
        Program.objects.filter(pk=program.pk).update(policy_profile="el-salvador-2025")
        shown = browser(auditor).get(f"/admin/payments/program/{program.pk}/change/").content.decode()
        for words in (
            "Law: El Salvador, Bitcoin Law as amended in 2025",
            "Bitcoin Law, art. 1 as amended on 29 January 2025",
            "At most 0 sat.",
        ):
            assert words in shown

    def test_warns_whoever_approves_and_releases_what_it_refuses(
        self, program: Program, officer: User, approver: User, releaser: User, browser: Browser
    ) -> None:
        factories.fund(program, 1_000_000)
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        words = "The law of the program does not let this list be released"
        pages = {verb: f"/admin/payments/disbursement/{made.pk}/{verb}/" for verb in ("approve", "release")}
        assert words not in browser(approver).get(pages["approve"]).content.decode()
        Program.objects.filter(pk=program.pk).update(policy_profile="el-salvador-2025")
        assert words in browser(approver).get(pages["approve"]).content.decode()
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
        client = browser(releaser)
        assert words in client.get(pages["release"]).content.decode()
        answer = client.post(pages["release"], {"manifest_hash": agreed.hex()})
        assert answer.status_code == 409
        assert "Bitcoin Law, art. 1 as amended on 29 January 2025" in answer.content.decode()
        made.refresh_from_db()
        assert made.status == "approved"
