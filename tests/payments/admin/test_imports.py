"""Imports in the admin: brought, followed, looked at, confirmed, and what others are not shown."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from payments.models import Disbursement, ImportJob, Program
from payments.selectors import imports as selector
from payments.services import importing
from tests import factories
from tests.payments.services.files import count_registry, list_csv, make_person, people_csv

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
PEOPLE = reverse("admin:payments_importjob_bring_people")
LIST = reverse("admin:payments_importjob_bring_list")
TEMPLATES = [reverse(f"admin:payments_importjob_{name}_template") for name in ("people", "list")]


def page(job: ImportJob, verb: str = "change") -> str:
    return reverse("admin:payments_importjob_change", args=[job.pk]).replace("/change/", f"/{verb}/")


def upload(client: Client, program: Program, file: bytes, **fields: Any) -> ImportJob:
    body = {"program": program.pk, "file": SimpleUploadedFile("f.csv", file, "text/csv")} | fields
    answer = client.post(LIST if fields else PEOPLE, body)
    job = ImportJob.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (302, page(job))
    return job


class TestPeople:
    def test_are_followed_looked_at_and_confirmed(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        job = upload(client, program, people_csv(make_person(1), make_person(2)))
        waits = client.get(page(job))
        assert waits["Refresh"] == "3"
        assert '<progress max="2" value="0"' in waits.content.decode()
        importing.run(job.pk)
        ready = client.get(page(job))
        shown = ready.content.decode()
        assert "Refresh" not in ready
        assert page(job, "confirm") in shown
        assert "M•••• 1" in shown
        assert "Muñoz" not in shown
        assert client.get(page(job, "confirm")).status_code == 200
        assert count_registry() == (0, 0, 0)
        assert client.post(page(job, "confirm"))["Location"] == page(job)
        importing.run(job.pk)
        assert count_registry() == (2, 2, 2)
        assert page(job, "confirm") not in client.get(page(job)).content.decode()
        assert client.post(page(job, "confirm")).status_code == 409

    def test_that_are_not_as_many_as_their_maker_says_are_refused(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        file = SimpleUploadedFile("f.csv", people_csv(make_person(1)), "text/csv")
        body = {"program": program.pk, "file": file, "expected_count": "2"}
        assert client.post(PEOPLE, body).status_code == 302
        job = ImportJob.objects.get()
        importing.run(job.pk)
        shown = client.get(page(job)).content.decode()
        assert "control_count" in shown
        assert page(job, "confirm") not in shown

    def test_without_an_address_are_looked_at_like_others(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        program.claim_term_days = 30
        program.save()
        client = browser(officer)
        job = upload(client, program, people_csv(make_person(1, address=""), make_person(2)))
        importing.run(job.pk)
        ready = client.get(page(job))
        assert ready.status_code == 200
        assert page(job, "confirm") in ready.content.decode()
        assert [bool(row["address"]) for row in selector.preview(job)] == [False, True]

    def test_that_are_wrong_have_a_file_of_errors_for_officers(
        self, program: Program, officer: User, auditor: User, browser: Browser
    ) -> None:
        client = browser(officer)
        job = upload(client, program, people_csv(make_person(1, address="x")))
        importing.run(job.pk)
        shown = client.get(page(job)).content.decode()
        assert ">address_malformed<" in shown
        assert page(job, "errors") in shown
        assert b"PEN-000001" in client.get(page(job, "errors")).getvalue()
        other = browser(auditor)
        assert page(job, "errors") not in other.get(page(job)).content.decode()
        assert other.get(page(job, "errors")).status_code == 403

    def test_can_be_withdrawn(self, program: Program, officer: User, browser: Browser) -> None:
        client = browser(officer)
        job = upload(client, program, people_csv(make_person(1)))
        assert client.get(page(job, "withdraw")).status_code == 200
        assert client.post(page(job, "withdraw")).status_code == 302
        job.refresh_from_db()
        assert (job.status, job.parts.count()) == ("cancelled", 0)

    def test_of_a_ready_file_are_masked_and_not_shown_to_others(
        self, program: Program, officer: User, auditor: User, browser: Browser
    ) -> None:
        job = upload(browser(officer), program, people_csv(make_person(1)))
        importing.run(job.pk)
        client = browser(auditor)
        shown = client.get(page(job)).content.decode()
        assert "PEN-000001" not in shown
        for verb in ("confirm", "withdraw"):
            assert client.post(page(job, verb)).status_code == 403
        job.refresh_from_db()
        assert job.status == "ready"


class TestList:
    def test_becomes_a_draft(self, program: Program, officer: User, browser: Browser) -> None:
        client = browser(officer)
        reference = factories.make_enrollment(program).reference
        job = upload(
            client,
            program,
            list_csv((reference, "5000")),
            period="2026-11",
            purpose="pension",
            expected_count="1",
            expected_total="5000",
        )
        importing.run(job.pk)
        assert "5,000 sat" in client.get(page(job)).content.decode()
        client.post(page(job, "confirm"))
        importing.run(job.pk)
        assert f"List {Disbursement.objects.get().pk}" in client.get(page(job)).content.decode()


class TestWaysIn:
    @pytest.mark.parametrize("who", ["approver", "releaser", "auditor"])
    def test_are_for_officers_only(
        self, who: str, request: pytest.FixtureRequest, program: Program, browser: Browser
    ) -> None:
        client = browser(request.getfixturevalue(who))
        for url in (PEOPLE, LIST, *TEMPLATES):
            assert client.get(url).status_code == 403

    def test_begin_with_a_template(self, program: Program, officer: User, browser: Browser) -> None:
        client = browser(officer)
        for url in TEMPLATES:
            assert client.get(url).content.startswith(b"reference,")
            assert url in client.get(reverse("admin:payments_importjob_changelist")).content.decode()
