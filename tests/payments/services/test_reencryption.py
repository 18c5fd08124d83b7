"""Fields move to the newest key in parts; a killed run goes on, and nothing is called done while an old key is needed."""

import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from payments.models import Beneficiary, ImportPart, Program
from payments.models.encrypted import encrypt
from payments.services import imports, reencryption
from tests import factories
from tests.faults import killing

OLD = {"k1": b"\x01" * 32}
BOTH = {"k2": b"\x02" * 32} | OLD
NEW = {"k2": b"\x02" * 32}
PERSONAL = "payments_beneficiary.personal"


def people(program: Program, count: int) -> None:
    with override_settings(GOVPAY_FIELD_KEYS=OLD):
        for _ in range(count):
            factories.make_enrollment(program)


def names() -> list[str]:
    return [person.personal["full_name"] for person in Beneficiary.objects.order_by("pk")]


def by_key() -> dict[str, int]:
    return reencryption.count_by_key()[PERSONAL]


@pytest.mark.django_db
class TestRun:
    def test_moves_every_field_and_needs_the_old_key_no_more(self, program: Program) -> None:
        people(program, 7)
        with override_settings(GOVPAY_FIELD_KEYS=OLD):
            before = names()
        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            assert by_key() == {"k1": 7}
            said: list[tuple[str, int]] = []
            reencryption.run(progress=lambda name, done: said.append((name, done)), rows_a_part=3)
            assert said == [(PERSONAL, 3), (PERSONAL, 6), (PERSONAL, 7)]
            assert by_key() == {"k2": 7}
        with override_settings(GOVPAY_FIELD_KEYS=NEW):
            assert names() == before

    def test_knows_every_encrypted_column(self) -> None:
        assert [str(column) for column in reencryption.columns()] == [
            "govpay_authenticator.secret",
            "govpay_securitykey.secret",
            "payments_appeal.words",
            "payments_bankaccount.account",
            "payments_bankfileline.account",
            PERSONAL,
            "payments_claimlink.contact",
            "payments_grievance.answer",
            "payments_grievance.said",
            "payments_message.content",
            "payments_travelrecord.payload",
            "payments_webhooksecret.secret",
        ]

    def test_finds_nothing_to_do_the_second_time(self, program: Program) -> None:
        people(program, 2)
        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            reencryption.run()
            stored = list(raw())
            reencryption.run()
            assert list(raw()) == stored

    def test_refuses_to_be_done_while_a_field_cannot_be_read(self, program: Program) -> None:
        people(program, 3)
        first = Beneficiary.objects.order_by("pk").values_list("pk", flat=True)[0]
        with connection.cursor() as cursor:
            spoiled = b"k1\0" + bytes(40)
            cursor.execute("UPDATE payments_beneficiary SET personal = %s WHERE id = %s", [spoiled, first])
        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            out, errors = io.StringIO(), io.StringIO()
            with pytest.raises(CommandError, match=f"{PERSONAL}: 1 under k1"):
                call_command("reencrypt", stdout=out, stderr=errors)
            assert by_key() == {"k1": 1, "k2": 2}
        assert "Every field" not in out.getvalue()
        assert errors.getvalue() == f"cannot be read: {PERSONAL} of row {first}\n"

    def test_leaves_a_field_to_whoever_wrote_it_meanwhile_and_looks_again(self, program: Program) -> None:
        people(program, 4)
        last = Beneficiary.objects.order_by("-pk").values_list("pk", flat=True)[0]
        with override_settings(GOVPAY_FIELD_KEYS=OLD):
            late = encrypt({"full_name": "Written late", "phone": ""}, "beneficiary.personal")

        def write_with_the_old_key(name: str, done: int) -> None:
            if done == 2:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE payments_beneficiary SET personal = %s WHERE id = %s", [late, last - 3]
                    )

        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            reencryption.run(progress=write_with_the_old_key, rows_a_part=2)
            assert by_key() == {"k2": 4}
            assert names()[0] == "Written late"

    def test_says_what_is_under_which_key(self, program: Program) -> None:
        people(program, 2)
        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            factories.make_enrollment(program)
            out = io.StringIO()
            call_command("reencrypt", "--status", stdout=out)
        assert out.getvalue().splitlines() == [
            "govpay_authenticator.secret: empty",
            "govpay_securitykey.secret: empty",
            "payments_appeal.words: empty",
            "payments_bankaccount.account: empty",
            "payments_bankfileline.account: empty",
            f"{PERSONAL}: 2 under k1, 1 under k2",
            "payments_claimlink.contact: empty",
            "payments_grievance.answer: empty",
            "payments_grievance.said: empty",
            "payments_message.content: empty",
            "payments_travelrecord.payload: empty",
            "payments_webhooksecret.secret: empty",
            "payments_importpart.data: empty",
            "payments_importrow.personal: empty",
            "govpay_idempotencyrecord.body: empty",
        ]

    def test_is_not_done_while_an_import_that_will_be_forgotten_needs_the_old_key(
        self, program: Program, officer: User
    ) -> None:
        people(program, 1)
        with override_settings(GOVPAY_FIELD_KEYS=OLD):
            imports.ask_people(
                by=officer,
                program_id=program.pk,
                file=io.BytesIO(b"reference,national_id,full_name,phone,address\n"),
                filename="people.csv",
            )
        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            with pytest.raises(reencryption.OldKeyLeft) as refused:
                reencryption.run()
            assert refused.value.details["left"] == [
                {"column": "payments_importpart.data", "key": "k1", "count": 1}
            ]
            assert by_key() == {"k2": 1}
            ImportPart.objects.all().delete()
            reencryption.run()


@pytest.mark.django_db(transaction=True)
class TestKill:
    def test_in_the_middle_loses_nothing_and_the_next_run_goes_on(self, program: Program) -> None:
        people(program, 9)
        with override_settings(GOVPAY_FIELD_KEYS=OLD):
            before = names()
        with override_settings(GOVPAY_FIELD_KEYS=BOTH):
            killing.kill_at(
                "part",
                lambda: reencryption.run(progress=lambda name, done: killing.stop_at("part"), rows_a_part=4),
            )
            assert by_key() == {"k1": 5, "k2": 4}
            assert names() == before
            out = io.StringIO()
            call_command("reencrypt", stdout=out)
            assert out.getvalue() == f"{PERSONAL}: 5 done\nEvery field is under k2.\n"
            assert by_key() == {"k2": 9}
            assert names() == before


def raw() -> list[bytes]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT personal FROM payments_beneficiary ORDER BY id")
        return [bytes(value) for (value,) in cursor.fetchall()]
