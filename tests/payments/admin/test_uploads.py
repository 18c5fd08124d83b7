"""The ways in: files and single persons, with every broken rule on the screen and nothing kept."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from payments.models import Beneficiary, Destination, Disbursement, Enrollment, Intake, Program
from payments.onchain import address
from payments.onchain.network import Network
from tests import factories
from tests.payments.admin import scenes
from tests.payments.onchain.test_address import REFUSED_ON_REGTEST

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
PEOPLE = reverse("admin:payments_enrollment_import_people")
PERSON = reverse("admin:payments_enrollment_enroll_person")
LIST = reverse("admin:payments_disbursement_upload")
MAINNET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


def new_address() -> str:
    return address.address_from_script(factories.make_script(), Network.REGTEST)


def csv_file(text: str | bytes, name: str = "file.csv") -> SimpleUploadedFile:
    content = text if isinstance(text, bytes) else text.encode()
    return SimpleUploadedFile(name, content, content_type="text/csv")


def people(*rows: str) -> SimpleUploadedFile:
    return csv_file("\n".join(["reference,national_id,full_name,phone,address", *rows, ""]))


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Beneficiary, Enrollment, Destination, Disbursement))


def post_list(client: Client, program: Program, file: SimpleUploadedFile, **changes: Any) -> Any:
    data = {
        "program": program.pk,
        "period": "2026-11",
        "purpose": "pension",
        "file": file,
        "expected_count": "2",
        "expected_total": "110000",
    } | changes
    return client.post(LIST, data)


class TestLanguages:
    """What is refused is said in the reader's language, with codes that are nobody's."""

    @pytest.mark.parametrize("language", ["es", "ur"])
    def test_of_rows(self, program: Program, officer: User, browser: Browser, language: str) -> None:
        factories.make_enrollment(program, reference="P-1")
        client = browser(officer)

        def refused() -> tuple[list[str], list[str]]:
            rows = people(
                "A-1,12345-1234567-1,,+923001234567,nonsense",
                f"A 2,12345,Ana,12,{MAINNET}",
                f"A-3,12345-1234567-3,Ana,,{new_address()},",
            )
            lines = csv_file("reference,amount_sat\nP-1,5\nP-9,70000\nP-1,x\n")
            codes, said = [], []
            for answer in (
                client.post(PEOPLE, {"program": program.pk, "file": rows}),
                post_list(client, program, lines),
            ):
                assert answer.status_code == 422
                text = answer.content.decode()
                codes += re.findall(r'<code class="gp-hash">([a-z_]+)</code>', text)
                said += re.findall(r"<strong>([^<]+)</strong></p>", text)
                said += re.findall(r"<span>([^<]{8,})</span></td>\s*</tr>", text)
            return codes, said

        codes, in_english = refused()
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
        same_codes, translated = refused()
        assert len(codes) > 8
        assert len(in_english) == len(codes) + 2
        assert codes == same_codes
        assert len(translated) == len(in_english)
        assert [text for text in translated if text in in_english] == []


class TestUploadPeople:
    def test_enrolls_them_and_shows_the_intake(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        file = people(
            f"A-1,12345-1234567-1,Ayesha Bibi,+923001234567,{new_address()}",
            f"A-2,12345-1234567-2,José Núñez,,{new_address()}",
        )
        answer = browser(officer).post(PEOPLE, {"program": program.pk, "file": file})
        intake = Intake.objects.get()
        assert (intake.status, intake.rows_loaded, intake.filename) == ("loaded", 2, "file.csv")
        assert answer.status_code == 302
        assert answer["Location"] == reverse("admin:payments_intake_change", args=[intake.pk])
        assert counts() == (2, 2, 2, 0)

    def test_shows_each_broken_row_and_keeps_nothing(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        before = counts()
        file = people(
            f"A-1,12345-1234567-1,Ayesha Bibi,,{new_address()}",
            f"A-2,12345-1234567-2,José Núñez,,{MAINNET}",
            "A-3,12345-1234567-3,,,nonsense",
        )
        answer = browser(officer).post(PEOPLE, {"program": program.pk, "file": file})
        shown = answer.content.decode()
        assert answer.status_code == 422
        for code in ("address_mainnet", "full_name_missing", "address_malformed"):
            assert shown.count(f">{code}<") == 1
        assert "2 of 3 rows are wrong" in shown
        intake = Intake.objects.get()
        assert reverse("admin:payments_intake_errors", args=[intake.pk]) in shown
        assert (intake.status, intake.rows_refused) == ("refused", 2)
        assert counts() == before

    def test_enrolls_the_good_rows_when_asked_to(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        file = people(
            f"A-1,12345-1234567-1,Ayesha Bibi,,{new_address()}", f"A-2,12345-1234567-2,José,,{MAINNET}"
        )
        data = {"program": program.pk, "file": file, "accept_partial": "on"}
        assert browser(officer).post(PEOPLE, data).status_code == 302
        assert counts() == (1, 1, 1, 0)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"", "file_empty"),
            (b"reference,national_id\n", "column_missing"),
            ("reference,national_id,full_name,phone,address\n".encode("utf-16"), "encoding"),
            (b"reference,national_id,full_name,phone,address\n", "file_empty"),
        ],
    )
    def test_says_what_is_wrong_with_the_file_itself(
        self, content: bytes, code: str, program: Program, officer: User, browser: Browser
    ) -> None:
        answer = browser(officer).post(PEOPLE, {"program": program.pk, "file": csv_file(content)})
        assert answer.status_code == 422
        assert f">{code}<" in answer.content.decode()
        assert counts() == (0, 0, 0, 0)

    def test_refuses_a_file_above_the_limit(
        self, program: Program, officer: User, browser: Browser, settings: Any
    ) -> None:
        settings.GOVPAY_UPLOAD_MAX_BYTES = 1_024
        answer = browser(officer).post(PEOPLE, {"program": program.pk, "file": csv_file(b"x" * 1_025)})
        assert answer.status_code == 422
        assert "The file has more than 1,024 bytes." in answer.content.decode()
        assert Intake.objects.count() == 0

    @pytest.mark.parametrize("who", ["approver", "releaser", "auditor"])
    def test_is_for_officers_only(
        self, who: str, request: pytest.FixtureRequest, program: Program, browser: Browser
    ) -> None:
        client = browser(request.getfixturevalue(who))
        for url in (PEOPLE, PERSON, LIST):
            assert client.get(url).status_code == 403
            assert client.post(url, {"program": program.pk}).status_code == 403
        assert PEOPLE not in client.get(reverse("admin:payments_enrollment_changelist")).content.decode()

    def test_does_not_offer_another_program(self, program: Program, outsider: User, browser: Browser) -> None:
        client = browser(outsider)
        file = people(f"A-1,12345-1234567-1,Ayesha Bibi,,{new_address()}")
        assert "PENSIONS" not in client.get(PEOPLE).content.decode()
        assert client.post(PEOPLE, {"program": program.pk, "file": file}).status_code == 422
        assert counts() == (0, 0, 0, 0)


class TestEnrollPerson:
    VALID = {"reference": "A-1", "national_id": "12345-1234567-1", "full_name": "Ayesha Bibi", "phone": ""}

    def test_enrolls_one_person(self, program: Program, officer: User, browser: Browser) -> None:
        data = self.VALID | {"program": program.pk, "address": new_address()}
        answer = browser(officer).post(PERSON, data)
        row = Enrollment.objects.get()
        assert answer["Location"] == reverse("admin:payments_enrollment_change", args=[row.pk])
        assert counts() == (1, 1, 1, 0)

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("address", MAINNET, "address_mainnet"),
            ("address", "bitcoin:bcrt1qqqq?req-x=1", "address_is_uri"),
            ("address", "cNJFgo1driFnPcBdBX8BrJrpxchBWXwXCvNH5SoSkdcF6JXXwHMm", "address_is_secret"),
            ("full_name", "zero\u200bwidth", "full_name_malformed"),
            ("national_id", "٣٤٥٦٧٨٩", "national_id_malformed"),
            ("reference", "=cmd", "reference_malformed"),
        ],
    )
    def test_refuses_what_a_file_would_refuse(
        self, field: str, value: str, code: str, program: Program, officer: User, browser: Browser
    ) -> None:
        data = self.VALID | {"program": program.pk, "address": new_address(), field: value}
        answer = browser(officer).post(PERSON, data)
        assert answer.status_code == 422
        assert f">{code}<" in answer.content.decode()
        assert counts() == (0, 0, 0, 0)

    @pytest.mark.parametrize(("text", "rule"), REFUSED_ON_REGTEST)
    def test_refuses_every_bad_address_and_enrolls_nobody(
        self, text: str, rule: str, program: Program, officer: User, browser: Browser
    ) -> None:
        data = self.VALID | {"program": program.pk, "address": text}
        answer = browser(officer).post(PERSON, data)
        assert answer.status_code == 422, rule
        assert counts() == (0, 0, 0, 0)


class TestChangeAddress:
    def test_keeps_the_old_one_as_history_once_another_officer_has_confirmed(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        url = reverse("admin:payments_enrollment_change_address", args=[row.pk])
        given = {"address": new_address(), "note": "A new telephone."}
        assert browser(officer).post(url, given).status_code == 302
        states = row.beneficiary.destinations.order_by("pk").values_list("is_current", flat=True)
        assert list(states) == [True]
        url = reverse(
            "admin:payments_destinationchange_confirm", args=[row.beneficiary.destination_changes.get().pk]
        )
        assert browser(officer).post(url, {"note": "It is me."}).status_code == 403
        assert list(states.all()) == [True]
        assert browser(approver).post(url, {"note": "Called back."}).status_code == 302
        assert list(states.all()) == [False, True]

    def test_refuses_somebody_elses(self, program: Program, officer: User, browser: Browser) -> None:
        row = factories.make_enrollment(program)
        other = factories.make_enrollment(program).beneficiary.destinations.get()
        taken = address.address_from_script(bytes(other.script_pubkey), Network.REGTEST)
        url = reverse("admin:payments_enrollment_change_address", args=[row.pk])
        answer = browser(officer).post(url, {"address": taken, "note": "Lost."})
        assert answer.status_code == 422
        assert ">destination_shared<" in answer.content.decode()
        assert counts() == (2, 2, 2, 0)

    def test_does_not_know_a_person_of_another_program(
        self, program: Program, outsider: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        url = reverse("admin:payments_enrollment_change_address", args=[row.pk])
        given = {"address": new_address(), "note": "Lost."}
        assert browser(outsider).post(url, given).status_code == 404
        assert counts() == (1, 1, 1, 0)


class TestUploadList:
    @pytest.fixture
    def enrolled(self, program: Program) -> list[Enrollment]:
        return [factories.make_enrollment(program, reference=f"A-{n}") for n in (1, 2)]

    def test_makes_a_draft(
        self, enrolled: list[Enrollment], program: Program, officer: User, browser: Browser
    ) -> None:
        file = csv_file("reference,amount_sat\nA-1,50000\nA-2,60000\n")
        answer = post_list(browser(officer), program, file)
        made = Disbursement.objects.get()
        assert (made.status, made.payment_count, made.total_sat, made.made_by) == (
            "draft",
            2,
            110_000,
            officer,
        )
        assert answer["Location"] == reverse("admin:payments_disbursement_change", args=[made.pk])

    @pytest.mark.parametrize(
        ("changes", "code"),
        [({"expected_count": "3"}, "control_count"), ({"expected_total": "110001"}, "control_total")],
    )
    def test_refuses_a_file_that_disagrees_with_its_control_totals(
        self,
        changes: dict[str, str],
        code: str,
        enrolled: list[Enrollment],
        program: Program,
        officer: User,
        browser: Browser,
    ) -> None:
        file = csv_file("reference,amount_sat\nA-1,50000\nA-2,60000\n")
        answer = post_list(browser(officer), program, file, **changes)
        assert answer.status_code == 422
        assert f">{code}<" in answer.content.decode()
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize(
        ("amount", "code"),
        [
            ("-1", "amount_negative"),
            ("0", "amount_zero"),
            ("0.000000001", "amount_fraction"),
            ("1e-8", "amount_malformed"),
            ("NaN", "amount_malformed"),
            ("Infinity", "amount_malformed"),
            ("1e400", "amount_malformed"),
            ("2100000000000001", "amount_too_large"),
            ("9223372036854775808", "amount_too_large"),
            ("1_000", "amount_malformed"),
            (" 1 ", "amount_malformed"),
            ("\uff11\uff12\uff13", "amount_malformed"),
            ("٣٤٥", "amount_malformed"),
            ('"1,5"', "amount_malformed"),
            ("$1", "amount_malformed"),
            ("0x10", "amount_malformed"),
            ("", "amount_missing"),
        ],
    )
    def test_refuses_a_bad_amount_by_its_row(
        self,
        amount: str,
        code: str,
        enrolled: list[Enrollment],
        program: Program,
        officer: User,
        browser: Browser,
    ) -> None:
        file = csv_file(f"reference,amount_sat\nA-1,50000\nA-2,{amount}\n")
        answer = post_list(browser(officer), program, file)
        assert answer.status_code == 422
        assert f">{code}<" in answer.content.decode()
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize("field", ["expected_count", "expected_total"])
    @pytest.mark.parametrize(
        "value", ["-1", "1e3", "1_000", " 2", "\uff11\uff12", "NaN", "", "1.0", "9" * 100]
    )
    def test_refuses_a_control_total_that_is_not_plain_digits(
        self,
        value: str,
        field: str,
        enrolled: list[Enrollment],
        program: Program,
        officer: User,
        browser: Browser,
    ) -> None:
        file = csv_file("reference,amount_sat\nA-1,50000\nA-2,60000\n")
        answer = post_list(browser(officer), program, file, **{field: value})
        assert answer.status_code == 422
        assert "nothing was done" in answer.content.decode()
        assert (Disbursement.objects.count(), Intake.objects.count()) == (0, 0)

    def test_refuses_a_bad_period(
        self, enrolled: list[Enrollment], program: Program, officer: User, browser: Browser
    ) -> None:
        file = csv_file("reference,amount_sat\nA-1,50000\nA-2,60000\n")
        answer = post_list(browser(officer), program, file, period="<script>alert(1)</script>")
        assert answer.status_code == 422
        assert "<script>alert(1)" not in answer.content.decode()
        assert ">period_malformed<" in answer.content.decode()
        assert Disbursement.objects.count() == 0


class TestIntakePage:
    def test_downloads_errors_that_no_spreadsheet_runs(
        self, program: Program, officer: User, auditor: User, browser: Browser
    ) -> None:
        intake = scenes.refused_intake(program, officer)
        answer = browser(auditor).get(reverse("admin:payments_intake_errors", args=[intake.pk]))
        body = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert body == (
            "row,column,code,message\r\n"
            "1,address,address_mainnet,'=Wrong in row 1.\r\n"
            "2,address,address_mainnet,'=Wrong in row 2.\r\n"
        )

    def test_keeps_errors_from_another_program(
        self, program: Program, officer: User, outsider: User, browser: Browser
    ) -> None:
        intake = scenes.refused_intake(program, officer)
        answer = browser(outsider).get(reverse("admin:payments_intake_errors", args=[intake.pk]))
        assert answer.status_code == 404
