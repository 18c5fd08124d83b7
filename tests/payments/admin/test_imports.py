"""Imports in the admin: brought, followed, looked at, confirmed, and what others are not shown."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from ledger.models import AuditEvent
from payments.models import Disbursement, ImportJob, Program
from payments.selectors import imports as selector
from payments.services import importing
from tests import factories
from tests.payments.services.files import count_registry, list_csv, make_csv, make_person, people_csv

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
        assert '<meta http-equiv="refresh" content="5">' in waits.content.decode()
        assert 'aria-valuetext="0 of 2 rows are checked."' in waits.content.decode()
        importing.run(job.pk)
        ready = client.get(page(job))
        shown = ready.content.decode()
        assert "refresh" not in shown
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


HEADER = ("Sr", "Name", "CNIC No.", "Mobile", "Ref_No", "Wallet")
PLACES = {"reference": "5", "national_id": "3", "full_name": "2", "phone": "4", "address": "6"}


def ministry(*persons: dict[str, str]) -> bytes:
    names = ("full_name", "national_id", "phone", "reference", "address")
    return make_csv(HEADER, [(str(n), *(p[name] for name in names)) for n, p in enumerate(persons, start=1)])


class TestColumns:
    @pytest.fixture
    def job(self, program: Program, officer: User, browser: Browser) -> ImportJob:
        file = SimpleUploadedFile("f.csv", ministry(make_person(1), make_person(2, phone="1")), "text/csv")
        answer = browser(officer).post(PEOPLE, {"program": program.pk, "file": file})
        job = ImportJob.objects.get()
        assert (answer.status_code, answer["Location"]) == (302, page(job, "columns"))
        return job

    def test_are_guessed_shown_with_values_and_said(
        self, officer: User, browser: Browser, job: ImportJob
    ) -> None:
        client = browser(officer)
        form = client.get(page(job, "columns")).context["form"]
        assert {name: str(place) for name, place in form.initial.items()} == PLACES
        assert form.fields["national_id"].choices[3] == ("3", "3. CNIC No. (99123-0000001-1)")
        answer = client.post(page(job, "columns"), PLACES)
        assert (answer.status_code, answer["Location"]) == (302, page(job))
        importing.run(job.pk)
        shown = client.get(page(job)).content.decode()
        assert "Column 5: Reference; Column 3: National id" in shown
        # The wrong value stands in place, in the row that it is of.
        bad = client.get(page(job)).context["bad"]
        assert [(cell.label, cell.value, cell.faults) for row in bad.rows for cell in row][:5] == [
            ("Row", "2", []),
            ("reference", "PEN-000002", []),
            ("national_id", "99123-0000002-1", []),
            ("full_name", "عائشہ Muñoz 2", []),
            (
                "phone",
                "1",
                [("phone_malformed", "A phone number has 7 to 15 digits, with or without a plus.")],
            ),
        ]

    def test_are_offered_again_for_the_next_file_of_the_kind(
        self, program: Program, officer: User, browser: Browser, job: ImportJob
    ) -> None:
        client = browser(officer)
        other = PLACES | {"full_name": "1", "phone": "2", "address": "4"}
        client.post(page(job, "columns"), other)
        file = SimpleUploadedFile("g.csv", ministry(make_person(3)), "text/csv")
        client.post(PEOPLE, {"program": program.pk, "file": file})
        shown = client.get(page(ImportJob.objects.latest("pk"), "columns"))
        assert {name: str(place) for name, place in shown.context["form"].initial.items()} == other
        assert "what was said of the last file" in shown.content.decode()

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"phone": "3"}, "phone", "column_shared"),
            ({"phone": ""}, "phone", "required"),
            ({"phone": "7"}, "phone", "invalid_choice"),
            ({"consent_date": "3"}, "consent_date", "column_shared"),
        ],
    )
    def test_are_refused_where_they_cannot_be(
        self, officer: User, browser: Browser, job: ImportJob, changes: dict[str, str], field: str, code: str
    ) -> None:
        answer = browser(officer).post(page(job, "columns"), PLACES | changes)
        assert answer.status_code == 422
        assert [error.code for error in answer.context["form"].errors.as_data()[field]] == [code]
        job.refresh_from_db()
        assert (job.status, job.columns) == ("mapping", None)

    def test_are_shown_to_officers_alone_each_time_recorded(
        self, officer: User, auditor: User, releaser: User, browser: Browser, job: ImportJob
    ) -> None:
        for user in (auditor, releaser):
            client = browser(user)
            assert client.get(page(job, "columns")).status_code == 403
            assert client.post(page(job, "columns"), PLACES).status_code == 403
            assert "99123" not in client.get(page(job)).content.decode()
        assert AuditEvent.objects.filter(action="import.look").count() == 0
        browser(officer).get(page(job, "columns"))
        event = AuditEvent.objects.get(action="import.look")
        assert (event.actor, event.subject_id) == (officer.username, str(job.pk))

    def test_are_asked_once(self, officer: User, browser: Browser, job: ImportJob) -> None:
        client = browser(officer)
        client.post(page(job, "columns"), PLACES)
        answer = client.post(page(job, "columns"), PLACES)
        assert (answer.status_code, answer["Location"]) == (302, page(job))


class TestProgress:
    def test_is_asked_for_and_ends_with_the_page_loaded_anew(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        job = upload(client, program, people_csv(make_person(1), make_person(2)))
        address = client.get(page(job)).context["progress"].url
        assert address == f"{page(job, 'progress')}?at=waiting&done=0"
        assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
        ImportJob.objects.filter(pk=job.pk).update(rows_done=1)
        answer = client.get(address, headers={"HX-Request": "true"})
        assert (answer.status_code, b"1 of 2 rows are checked." in answer.content) == (200, True)
        importing.run(job.pk)
        answer = client.get(address, headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Refresh"], answer.content) == (286, "true", b"")

    def test_is_not_of_programs_of_others(
        self, program: Program, officer: User, outsider: User, browser: Browser
    ) -> None:
        job = upload(browser(officer), program, people_csv(make_person(1)))
        client = browser(outsider)
        assert client.get(page(job, "progress")).status_code in (302, 403, 404)


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
