"""A repeated POST is answered as the first time, on one connection and on two."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction

from govpay.models import IdempotencyRecord
from payments.models import Disbursement, Enrollment, Intake, Program, StatusChange
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.services import files

ENROLLMENTS = "/api/v1/programs/{}/enrollments/"
KEY = {"Idempotency-Key": "one-key"}


@pytest.mark.django_db
class TestReplay:
    def test_answers_as_the_first_time(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), ENROLLMENTS.format(program.pk)
        first = client.post(address, files.make_person(1), headers=KEY)
        second = client.post(address, files.make_person(1), headers=KEY)
        assert expect.ok(first, 201) == expect.ok(second, 201)
        assert "Idempotency-Replayed" not in first
        assert second["Idempotency-Replayed"] == "true"
        assert Enrollment.objects.count() == 1

    def test_keeps_personal_data_encrypted(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), ENROLLMENTS.format(program.pk)
        person = files.make_person(1)
        shown = expect.ok(client.post(address, person, headers=KEY), 201)
        with connection.cursor() as cursor:
            cursor.execute("SELECT body::text FROM govpay_idempotencyrecord")
            (stored,) = cursor.fetchone()
        assert shown["full_name"] == person["full_name"]
        for text in (person["full_name"], person["national_id"], person["phone"], "full_name"):
            assert text not in stored

    def test_refuses_another_body(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), ENROLLMENTS.format(program.pk)
        expect.ok(client.post(address, files.make_person(1), headers=KEY), 201)
        response = client.post(address, files.make_person(2), headers=KEY)
        expect.problem(response, 422, "idempotency_key_reused")
        assert Enrollment.objects.count() == 1

    def test_refuses_another_address(
        self, api: Api, submitted: Disbursement, officer: User, approver: User
    ) -> None:
        client = api(officer)
        note = {"note": "Wrong."}
        payment = submitted.payments.order_by("line")[0]
        expect.ok(client.post(f"/api/v1/payments/{payment.pk}/hold/", note, headers=KEY))
        response = client.post(f"/api/v1/disbursements/{submitted.pk}/cancel/", note, headers=KEY)
        expect.problem(response, 422, "idempotency_key_reused")
        assert Disbursement.objects.get().status == "submitted"

    def test_knows_users_apart(self, api: Api, program: Program, officer: User) -> None:
        colleague = factories.make_member(program, "officer", "colleague")
        address = ENROLLMENTS.format(program.pk)
        expect.ok(api(officer).post(address, files.make_person(1), headers=KEY), 201)
        expect.ok(api(colleague).post(address, files.make_person(2), headers=KEY), 201)
        assert Enrollment.objects.count() == 2

    def test_lets_a_corrected_attempt_use_the_key(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), ENROLLMENTS.format(program.pk)
        bad = files.make_person(1, address="x")
        expect.problem(client.post(address, bad, headers=KEY), 422, "invalid_input")
        assert IdempotencyRecord.objects.count() == 0
        expect.ok(client.post(address, files.make_person(1), headers=KEY), 201)
        assert Enrollment.objects.count() == 1

    def test_repeats_a_refusal_that_was_recorded(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), f"/api/v1/programs/{program.pk}/intakes/people/"
        content = files.people_csv(files.make_person(1, address="x"))
        answers = [
            expect.problem(
                client.post(
                    address, {"file": SimpleUploadedFile("a.csv", content)}, format="multipart", headers=KEY
                ),
                422,
                "intake_refused",
            )
            for _ in range(2)
        ]
        assert answers[0] == answers[1]
        assert Intake.objects.count() == 1

    def test_compares_the_content_of_files(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), f"/api/v1/programs/{program.pk}/intakes/people/"
        for number, status in [(1, 201), (2, 422)]:
            file = SimpleUploadedFile("a.csv", files.people_csv(files.make_person(number)))
            response = client.post(address, {"file": file}, format="multipart", headers=KEY)
            assert response.status_code == status
        assert Enrollment.objects.count() == 1

    @pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
    def test_refuses_a_key_that_is_none(self, api: Api, program: Program, officer: User, key: str) -> None:
        address = ENROLLMENTS.format(program.pk)
        response = api(officer).post(address, files.make_person(1), HTTP_IDEMPOTENCY_KEY=key)
        expect.problem(response, 400, "idempotency_key_invalid")
        assert Enrollment.objects.count() == 0

    def test_no_longer_answers_who_left_the_program(self, api: Api, program: Program, officer: User) -> None:
        client, address = api(officer), ENROLLMENTS.format(program.pk)
        expect.ok(client.post(address, files.make_person(1), headers=KEY), 201)
        program.memberships.all().delete()
        expect.problem(client.post(address, files.make_person(1), headers=KEY), 404, "not_found")


def at_once(calls: list[Any]) -> list[Any]:
    """Run each call in a thread with a connection of its own; return the answers."""
    answers: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        barrier.wait()
        try:
            answers[index] = calls[index]()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_does_the_work_once(self, api: Api, program: Program, officer: User) -> None:
        address = ENROLLMENTS.format(program.pk)
        clients = [api(officer) for _ in range(4)]
        calls = [
            lambda client=client: client.post(address, files.make_person(1), headers=KEY)
            for client in clients
        ]
        answers = at_once(calls)
        assert [answer.status_code for answer in answers] == [201] * 4
        assert sorted("Idempotency-Replayed" in answer for answer in answers) == [False, True, True, True]
        assert Enrollment.objects.count() == 1

    def test_waits_for_the_first_and_then_repeats_its_answer(
        self, api: Api, program: Program, officer: User
    ) -> None:
        address, answers = ENROLLMENTS.format(program.pk), []
        first, second = api(officer), api(officer)

        def late() -> None:
            try:
                answers.append(second.post(address, files.make_person(1), headers=KEY))
            finally:
                connection.close()

        thread = threading.Thread(target=late)
        with transaction.atomic():
            done = expect.ok(first.post(address, files.make_person(1), headers=KEY), 201)
            thread.start()
            thread.join(timeout=0.5)
            assert thread.is_alive()
        thread.join()
        assert expect.ok(answers[0], 201) == done
        assert answers[0]["Idempotency-Replayed"] == "true"

    def test_many_approvals_are_one(
        self, api: Api, program: Program, submitted: Disbursement, approver: User
    ) -> None:
        body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
        address = f"/api/v1/disbursements/{submitted.pk}/approve/"
        clients = [api(approver) for _ in range(10)]
        answers = at_once([lambda client=client: client.post(address, body) for client in clients])
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
        assert StatusChange.objects.filter(new="approved").count() == 1
