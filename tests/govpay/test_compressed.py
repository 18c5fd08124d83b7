"""Bombs: nothing that is sent is ever unpacked, whatever its header says of it (A19)."""

import gzip
import io
import zlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from payments.models import Grievance, ImportJob, Intake, Program
from payments.services import importing
from tests import factories
from tests.memory import peak_bytes
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.services.files import make_person, people_csv

pytestmark = pytest.mark.django_db

# What a bomb would become, and what a request may take, the first one with all that it imports.
UNPACKED = 256 * 1024 * 1024
MAY_TAKE = UNPACKED // 8


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A quarter of a gigabyte of spaces, which are JSON's and CSV's too, in some hundred kilobytes."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * (1024 * 1024)
    packed = b"".join(packer.compress(block) for _ in range(UNPACKED // len(block))) + packer.flush()
    assert len(packed) < UNPACKED // 900
    return packed


def lists_of(program: Program) -> str:
    return f"/api/v1/programs/{program.pk}/disbursements/"


class TestJson:
    @pytest.mark.parametrize(
        "coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, identity", "a\u00ff"]
    )
    def test_that_says_it_is_packed_is_refused_unread(
        self, api: Api, program: Program, officer: User, bomb: bytes, coding: str
    ) -> None:
        def send() -> None:
            answer = api(officer).post(
                lists_of(program), bomb, content_type="application/json", HTTP_CONTENT_ENCODING=coding
            )
            expect.problem(answer, 415, "body_encoded")

        assert peak_bytes(send) < MAY_TAKE
        assert Intake.objects.count() == 0

    def test_that_does_not_say_so_is_no_json(
        self, api: Api, program: Program, officer: User, bomb: bytes
    ) -> None:
        def send() -> None:
            answer = api(officer).post(lists_of(program), bomb, content_type="application/json")
            expect.problem(answer, 400, "parse_error")

        assert peak_bytes(send) < MAY_TAKE

    def test_that_is_not_packed_but_says_so_is_refused_too(
        self, api: Api, program: Program, officer: User
    ) -> None:
        """What a proxy would unpack and we would not has two meanings."""
        answer = api(officer).post(lists_of(program), {}, HTTP_CONTENT_ENCODING="gzip")
        expect.problem(answer, 415, "body_encoded")

    def test_that_was_packed_on_the_way_is_refused_unread(
        self, api: Api, program: Program, officer: User, bomb: bytes
    ) -> None:
        answer = api(officer).post(
            lists_of(program), bomb, content_type="application/json", HTTP_TRANSFER_ENCODING="gzip, chunked"
        )
        expect.problem(answer, 415, "body_encoded")

    @pytest.mark.parametrize("coding", ["identity", " Identity ", ""])
    def test_as_it_is_may_say_so(self, api: Api, program: Program, officer: User, coding: str) -> None:
        answer = api(officer).post(lists_of(program), {}, HTTP_CONTENT_ENCODING=coding)
        expect.problem(answer, 400, "validation_error")

    def test_is_refused_before_a_password_is_looked_at(self, bomb: bytes) -> None:
        answer = Client().post(
            "/api/v1/auth/login/", bomb, content_type="application/json", HTTP_CONTENT_ENCODING="gzip"
        )
        expect.problem(answer, 415, "body_encoded")


class TestFile:
    @pytest.mark.parametrize("name", ["people.csv", "people.csv.gz", "people.zip"])
    def test_that_is_packed_is_no_csv(
        self, api: Api, program: Program, officer: User, bomb: bytes, name: str
    ) -> None:
        def send() -> None:
            answer = api(officer).post(
                f"/api/v1/programs/{program.pk}/intakes/people/",
                {"file": SimpleUploadedFile(name, bomb, "application/gzip")},
                format="multipart",
            )
            found = expect.problem(answer, 422, "intake_refused")
            assert [(error["row"], error["code"]) for error in found["errors"]] == [(0, "nul_byte")]

        assert peak_bytes(send) < MAY_TAKE

    def test_that_is_packed_and_good_is_not_unpacked_either(
        self, api: Api, program: Program, officer: User
    ) -> None:
        packed = gzip.compress(people_csv(make_person(1)))
        answer = api(officer).post(
            f"/api/v1/programs/{program.pk}/import-jobs/",
            {"kind": "people", "file": SimpleUploadedFile("people.csv.gz", packed)},
            format="multipart",
        )
        job = expect.ok(answer, 202)
        importing.run(job["id"])
        assert ImportJob.objects.get().status == "refused"

    def test_in_a_form_that_is_packed_is_refused_unread(
        self, api: Api, program: Program, officer: User, bomb: bytes
    ) -> None:
        answer = api(officer).post(
            f"/api/v1/programs/{program.pk}/intakes/people/",
            {"file": io.BytesIO(bomb)},
            format="multipart",
            HTTP_CONTENT_ENCODING="gzip",
        )
        expect.problem(answer, 415, "body_encoded")
        assert Intake.objects.count() == 0


class TestPages:
    @pytest.mark.parametrize("path", ["/admin/login/", "/person/grievance/", "/person/claim/", "/verify/"])
    def test_read_a_packed_form_as_one_without_fields(self, path: str, bomb: bytes) -> None:
        factories.make_program("OPEN")
        client = Client()
        sent: dict[str, Any] = {
            "content_type": "application/x-www-form-urlencoded",
            "HTTP_CONTENT_ENCODING": "gzip",
        }

        def send() -> None:
            assert client.post(path, bomb, **sent).status_code in (200, 400, 403, 405, 422)

        assert peak_bytes(send) < MAY_TAKE
        assert Grievance.objects.count() == 0
