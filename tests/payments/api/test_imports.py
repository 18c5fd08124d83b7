"""Imports over HTTP: 202 with the job, followed, confirmed; its errors for officers only."""

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from payments.models import Disbursement, ImportJob, Program
from payments.services import importing
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.services.files import count_registry, list_csv, make_person, people_csv

pytestmark = pytest.mark.django_db


def post(api: Api, user: User, program: Program, content: bytes, headers: Any = None, **fields: Any) -> Any:
    body = {"kind": "people", "file": SimpleUploadedFile("f.csv", content, "text/csv")} | fields
    return api(user).post(
        f"/api/v1/programs/{program.pk}/import-jobs/", body, format="multipart", headers=headers
    )


class TestPeople:
    def test_are_followed_and_confirmed(self, api: Api, program: Program, officer: User) -> None:
        answer = post(api, officer, program, people_csv(make_person(1), make_person(2)))
        assert answer.status_code == 202
        job = answer.json()
        assert (job["status"], job["rows_total"], job["preview"], job["made_by"]) == (
            "waiting",
            2,
            [],
            officer.username,
        )
        importing.run(job["id"])
        shown = api(officer).get(f"/api/v1/import-jobs/{job['id']}/").json()
        assert (shown["status"], shown["rows_done"], len(shown["preview"]), shown["faults"]) == (
            "ready",
            2,
            2,
            [],
        )
        assert "Muñoz" not in str(shown)
        answer = api(officer).post(f"/api/v1/import-jobs/{job['id']}/confirm/")
        assert (answer.status_code, answer.json()["status"], count_registry()) == (202, "loading", (0, 0, 0))
        importing.run(job["id"])
        shown = api(officer).get(f"/api/v1/import-jobs/{job['id']}/").json()
        assert (shown["status"], count_registry()) == ("done", (2, 2, 2))
        listed = api(officer).get(f"/api/v1/programs/{program.pk}/import-jobs/?status=done").json()
        assert [row["id"] for row in listed["results"]] == [job["id"]]

    def test_are_brought_once_by_a_request_that_is_repeated(
        self, api: Api, program: Program, officer: User
    ) -> None:
        file = people_csv(make_person(1))
        answers = [post(api, officer, program, file, {"Idempotency-Key": "k"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert ImportJob.objects.count() == 1

    def test_show_no_preview_to_others_and_no_errors(
        self, api: Api, program: Program, officer: User, auditor: User
    ) -> None:
        job = post(api, officer, program, people_csv(make_person(1), make_person(2, address="x"))).json()
        importing.run(job["id"])
        address = f"/api/v1/import-jobs/{job['id']}/"
        shown = api(auditor).get(address).json()
        assert (shown["status"], shown["preview"]) == ("refused", None)
        assert shown["faults"] == [{"code": "address_malformed", "column": "address", "count": 1}]
        expect.problem(api(auditor).get(f"{address}errors.csv"), 403, "role_missing")
        answer = api(officer).get(f"{address}errors.csv")
        assert answer["Cache-Control"] == "no-store"
        rows = list(csv.reader(io.StringIO(answer.getvalue().decode())))
        assert [row[5] for row in rows] == ["code", "address_malformed"]

    def test_can_be_taken_back_until_they_count(self, api: Api, program: Program, officer: User) -> None:
        job = post(api, officer, program, people_csv(make_person(1))).json()
        address = f"/api/v1/import-jobs/{job['id']}/"
        assert api(officer).post(f"{address}cancel/").json()["status"] == "cancelled"
        expect.problem(api(officer).post(f"{address}cancel/"), 409, "status_conflict")
        expect.problem(api(officer).post(f"{address}confirm/"), 409, "status_conflict")
        expect.problem(api(officer).get(f"{address}errors.csv"), 409, "import_emptied")

    def test_of_too_large_a_file_are_refused(
        self, api: Api, program: Program, officer: User, settings: Any
    ) -> None:
        settings.GOVPAY_IMPORT_MAX_BYTES = 1_024
        expect.problem(post(api, officer, program, b"x" * 1_025), 413, "file_too_large")
        assert ImportJob.objects.count() == 0


class TestColumns:
    """Files whose columns have names of their own."""

    FILE = (
        "Sr,Name,CNIC,Mobile,Ref,Wallet\n1,{full_name},{national_id},{phone},{reference},{address}\n".format(
            **make_person(1)
        ).encode()
    )
    NAMES = {
        "reference": "Ref",
        "national_id": "CNIC",
        "full_name": "Name",
        "phone": "Mobile",
        "address": "Wallet",
    }

    def test_are_said_with_the_file(self, api: Api, program: Program, officer: User) -> None:
        answer = post(api, officer, program, self.FILE, columns=json.dumps(self.NAMES))
        assert answer.status_code == 202
        places = {"reference": 5, "national_id": 3, "full_name": 2, "phone": 4, "address": 6}
        assert (answer.json()["status"], answer.json()["columns"]) == ("waiting", places)
        importing.run(answer.json()["id"])
        shown = api(officer).get(f"/api/v1/import-jobs/{answer.json()['id']}/").json()
        assert (shown["status"], shown["preview"][0]["reference"]) == ("ready", "PEN-000001")

    def test_are_those_of_the_fields_where_nothing_is_said(
        self, api: Api, program: Program, officer: User
    ) -> None:
        job = post(api, officer, program, people_csv(make_person(1))).json()
        assert (job["status"], job["columns"]) == ("waiting", None)
        job = post(api, officer, program, self.FILE).json()
        importing.run(job["id"])
        shown = api(officer).get(f"/api/v1/import-jobs/{job['id']}/").json()
        assert (shown["status"], shown["code"], len(shown["faults"])) == ("refused", "column_unknown", 11)

    @pytest.mark.parametrize(
        ("changes", "column", "code"),
        [
            ({"phone": "Ref"}, "reference", "column_shared"),
            ({"phone": "Tel"}, "phone", "column_unknown"),
            ({"phone": None}, "phone", "column_missing"),
            ({"status": "Sr"}, "status", "field_unknown"),
        ],
    )
    def test_are_refused_by_field(
        self, api: Api, program: Program, officer: User, changes: dict[str, Any], column: str, code: str
    ) -> None:
        names = {field: name for field, name in {**self.NAMES, **changes}.items() if name}
        answer = post(api, officer, program, self.FILE, columns=json.dumps(names))
        problem = expect.problem(answer, 422, "columns_refused")
        assert (problem["errors"][0]["column"], problem["errors"][0]["code"]) == (column, code)
        assert ImportJob.objects.count() == 0

    @pytest.mark.parametrize(
        "text", ["x", "[]", "1", '{"phone": 1}', '{"phone": "a", "phone": "b"}', "[" * 100_000]
    )
    def test_must_be_an_object_of_names(self, api: Api, program: Program, officer: User, text: str) -> None:
        assert post(api, officer, program, self.FILE, columns=text).status_code == 400
        assert ImportJob.objects.count() == 0


class TestList:
    def test_becomes_a_draft(self, api: Api, program: Program, officer: User) -> None:
        reference = factories.make_enrollment(program).reference
        fields = {
            "kind": "lines",
            "period": "2026-11",
            "purpose": "pension",
            "expected_count": "1",
            "expected_total_sat": "5000",
        }
        job = post(api, officer, program, list_csv((reference, "5000")), **fields).json()
        importing.run(job["id"])
        api(officer).post(f"/api/v1/import-jobs/{job['id']}/confirm/")
        importing.run(job["id"])
        shown = api(officer).get(f"/api/v1/import-jobs/{job['id']}/").json()
        assert (shown["status"], shown["total_sat"]) == ("done", 5_000)
        assert shown["disbursement_id"] == Disbursement.objects.get().pk

    @pytest.mark.parametrize(
        "fields",
        [
            {"kind": "lines"},
            {"kind": "people", "period": "2026-11"},
            {"kind": "people", "status": "done"},
            {"kind": "people", "expected_count": "1e3"},
            {"kind": "other"},
        ],
    )
    def test_needs_its_own_fields_and_no_others(
        self, api: Api, program: Program, officer: User, fields: dict[str, str]
    ) -> None:
        answer = post(api, officer, program, b"x", **fields)
        assert answer.status_code == 400
        assert ImportJob.objects.count() == 0


class TestTemplates:
    @pytest.mark.parametrize(("name", "first"), [("people", "reference,national_id"), ("list", "reference")])
    def test_are_files_to_fill_in(self, api: Api, officer: User, name: str, first: str) -> None:
        answer = api(officer).get(f"/api/v1/import-templates/{name}.csv")
        assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert answer.content.decode().startswith(first)
        assert answer.content.count(b"\r\n") == 2
