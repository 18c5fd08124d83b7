"""People come in: what a file may hold, what is refused by which rule, and that nothing is left behind then."""

import io
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections

from govpay.errors import InvalidInput, NotFound
from payments.models import Beneficiary, Enrollment, Intake, Program
from payments.models.encrypted import FieldUnreadable
from payments.onchain import address
from payments.onchain.network import Network
from payments.services import authority, identity, people
from tests import factories
from tests.payments.onchain.test_address import REFUSED_ON_REGTEST, WIF
from tests.payments.services.files import (
    count_registry,
    faults_of,
    make_address,
    make_csv,
    make_person,
    people_csv,
)

NOTHING = (0, 0, 0)
GOOD = make_person(1)
# What a damaged line does to the whole file, where the address alone would have been a fault of the row.
FILE_CODES = {"\x00": ("", "nul_byte"), "b" * 1_000_000: ("", "line_too_long")}


def import_file(by: User, program: Program, file: bytes, **options: Any) -> Intake:
    return people.import_csv(
        by=by, program_id=program.pk, file=io.BytesIO(file), filename="people.csv", **options
    )


def assert_refused(intake: Intake, faults: list[tuple[int, str, str]], registry: Any = NOTHING) -> None:
    assert intake.status == "refused"
    assert faults_of(intake) == faults
    assert intake.rows_loaded == 0
    assert count_registry() == registry


class TestImportCsv:
    def test_enrolls_everybody(self, program: Program, officer: User) -> None:
        intake = import_file(officer, program, people_csv(*(make_person(n) for n in range(1, 4))))
        assert (intake.status, intake.rows_total, intake.rows_loaded, intake.rows_refused) == (
            "loaded",
            3,
            3,
            0,
        )
        assert count_registry() == (3, 3, 3)
        enrollment = Enrollment.objects.select_related("beneficiary").get(reference="PEN-000002")
        assert enrollment.created_by == officer
        assert enrollment.beneficiary.personal == {"full_name": "عائشہ Muñoz 2", "phone": "+923000000002"}
        (destination,) = enrollment.beneficiary.destinations.all()
        assert address.address_from_script(bytes(destination.script_pubkey), Network.REGTEST) == make_address(
            2
        )
        assert (destination.is_current, destination.created_by) == (True, officer)

    def test_keeps_names_and_ids_out_of_the_database(self, program: Program, officer: User) -> None:
        import_file(officer, program, people_csv(GOOD))
        with connection.cursor() as cursor:
            cursor.execute("SELECT identity_hash, personal FROM payments_beneficiary")
            (identity_hash, personal), *rest = cursor.fetchall()
        assert rest == []
        for secret in ("Muñoz", "عائشہ", "923000000001", "991230000001"):
            assert secret.encode() not in bytes(personal)
        assert bytes(identity_hash) == identity.identity_hash("9912300000011")

    def test_reads_nothing_under_another_key(self, program: Program, officer: User, settings: Any) -> None:
        import_file(officer, program, people_csv(GOOD))
        settings.GOVPAY_FIELD_KEYS = dict.fromkeys(settings.GOVPAY_FIELD_KEYS, bytes(32))
        with pytest.raises(FieldUnreadable):
            Beneficiary.objects.get()

    @pytest.mark.parametrize(("text", "rule"), REFUSED_ON_REGTEST)
    def test_refuses_bad_addresses(self, program: Program, officer: User, text: str, rule: str) -> None:
        intake = import_file(officer, program, people_csv(GOOD, make_person(2, address=text)))
        damage = next((code for mark, code in FILE_CODES.items() if mark in text), None)
        column, code = damage or ("address", rule)
        assert_refused(intake, [(2, column, code)])

    @pytest.mark.parametrize(
        ("column", "text", "code"),
        [
            ("reference", "", "reference_missing"),
            ("reference", "=1+1", "reference_malformed"),
            ("reference", "PEN 1", "reference_malformed"),
            ("reference", "\ufeffPEN-1", "reference_malformed"),
            ("reference", "P" * 41, "reference_malformed"),
            ("reference", "ＰＥＮ", "reference_malformed"),  # noqa: RUF001
            ("national_id", "", "national_id_missing"),
            ("national_id", " -. ", "national_id_missing"),
            ("national_id", "1234", "national_id_malformed"),
            ("national_id", "1" * 21, "national_id_malformed"),
            ("national_id", "35202_1234567", "national_id_malformed"),
            ("national_id", "٣٥٢٠٢١٢٣٤", "national_id_malformed"),
            ("national_id", "35202ß", "national_id_malformed"),
            ("full_name", "", "full_name_missing"),
            ("full_name", "  ", "full_name_missing"),
            ("full_name", "A" * 201, "full_name_too_long"),
            ("full_name", "Ayesha\nKhan", "full_name_malformed"),
            ("full_name", "Ayesha\u200bKhan", "full_name_malformed"),
            ("full_name", "Ayesha\u202eKhan", "full_name_malformed"),
            ("full_name", "Ayesha\x1bKhan", "full_name_malformed"),
            ("phone", "call me", "phone_malformed"),
            ("phone", "123456", "phone_malformed"),
            ("phone", "+1234567890123456", "phone_malformed"),
            ("phone", "٠٣٠٠١٢٣٤٥٦٧", "phone_malformed"),
        ],
    )
    def test_refuses_bad_fields(
        self, program: Program, officer: User, column: str, text: str, code: str
    ) -> None:
        intake = import_file(officer, program, people_csv(make_person(2, **{column: text}), GOOD))
        assert_refused(intake, [(1, column, code)])
        assert (intake.rows_total, intake.rows_refused) == (2, 1)

    def test_never_repeats_what_it_refuses(self, program: Program, officer: User) -> None:
        rows = [make_person(1, national_id="35202?secret"), make_person(2, address=WIF)]
        intake = import_file(officer, program, people_csv(*rows))
        assert faults_of(intake) == [
            (1, "national_id", "national_id_malformed"),
            (2, "address", "address_is_secret"),
        ]
        messages = " ".join(intake.errors.values_list("message", flat=True))
        assert "35202" not in messages
        assert WIF not in messages

    @pytest.mark.parametrize(
        ("changes", "column", "code"),
        [
            ({"reference": "PEN-000001"}, "reference", "reference_duplicate"),
            ({"national_id": "99123 0000001 1"}, "national_id", "national_id_duplicate"),
            ({"address": make_address(1)}, "address", "destination_shared"),
            ({"address": make_address(1).upper()}, "address", "destination_shared"),
        ],
    )
    def test_names_both_rows_of_a_duplicate(
        self, program: Program, officer: User, changes: dict[str, str], column: str, code: str
    ) -> None:
        rows = [make_person(3), GOOD, make_person(2, **changes)]
        intake = import_file(officer, program, people_csv(*rows))
        assert_refused(intake, [(3, column, code)])
        assert intake.errors.get().message.endswith("(also in row 2).")

    def test_finds_duplicates_of_rows_that_are_bad_themselves(self, program: Program, officer: User) -> None:
        intake = import_file(officer, program, people_csv(make_person(1, full_name=""), GOOD))
        assert_refused(
            intake,
            [
                (1, "full_name", "full_name_missing"),
                (2, "reference", "reference_duplicate"),
                (2, "national_id", "national_id_duplicate"),
            ],
        )

    def test_loads_the_good_rows_only_when_asked_to(self, program: Program, officer: User) -> None:
        file = people_csv(
            GOOD, make_person(2, address="x"), make_person(3), make_person(3, reference="PEN-4")
        )
        assert_refused(
            import_file(officer, program, file),
            [(2, "address", "address_malformed"), (4, "national_id", "national_id_duplicate")],
        )
        intake = import_file(officer, program, file, accept_partial=True)
        assert (intake.status, intake.rows_total, intake.rows_loaded, intake.rows_refused) == (
            "loaded",
            4,
            2,
            2,
        )
        assert sorted(Enrollment.objects.values_list("reference", flat=True)) == ["PEN-000001", "PEN-000003"]
        assert count_registry() == (2, 2, 2)

    def test_refuses_a_file_without_one_good_row_even_then(self, program: Program, officer: User) -> None:
        intake = import_file(officer, program, people_csv(make_person(1, address="")), accept_partial=True)
        assert_refused(intake, [(1, "address", "address_missing")])

    def test_refuses_people_and_references_that_are_enrolled(self, program: Program, officer: User) -> None:
        import_file(officer, program, people_csv(GOOD, make_person(2)))
        rows = [
            make_person(3, reference="PEN-000001"),
            make_person(4, national_id=GOOD["national_id"]),
            make_person(5, address=make_address(2)),
        ]
        intake = import_file(officer, program, people_csv(*rows))
        assert_refused(
            intake,
            [
                (1, "reference", "reference_taken"),
                (2, "national_id", "person_enrolled"),
                (3, "address", "destination_shared"),
            ],
            (2, 2, 2),
        )

    def test_refuses_the_same_file_again_under_another_name(self, program: Program, officer: User) -> None:
        file = people_csv(GOOD)
        import_file(officer, program, file)
        again = people.import_csv(
            by=officer, program_id=program.pk, file=io.BytesIO(file), filename="new.csv"
        )
        assert_refused(again, [(0, "", "file_seen_before")], (1, 1, 1))

    def test_refuses_the_same_people_in_another_order(self, program: Program, officer: User) -> None:
        import_file(officer, program, people_csv(GOOD, make_person(2)))
        again = import_file(officer, program, people_csv(make_person(2), GOOD))
        assert {code for _, _, code in faults_of(again)} == {"reference_taken", "person_enrolled"}
        assert (again.status, again.rows_refused, count_registry()) == ("refused", 2, (2, 2, 2))

    def test_takes_a_file_that_was_refused_before(self, program: Program, officer: User) -> None:
        enrolled = factories.make_enrollment(program, reference="PEN-000001")
        assert import_file(officer, program, people_csv(GOOD)).status == "refused"
        Enrollment.objects.filter(pk=enrolled.pk).delete()
        assert import_file(officer, program, people_csv(GOOD)).status == "loaded"

    def test_enrolls_a_person_of_another_program_without_making_a_second(
        self, program: Program, officer: User
    ) -> None:
        other = factories.make_program(code="OTHER")
        import_file(factories.make_member(other, "officer"), other, people_csv(GOOD))
        intake = import_file(officer, program, people_csv(make_person(1, full_name="Changed")))
        assert (intake.status, count_registry()) == ("loaded", (1, 2, 1))
        assert Beneficiary.objects.get().personal["full_name"] == GOOD["full_name"]

    def test_refuses_another_address_for_a_person_whom_another_program_pays(
        self, program: Program, officer: User
    ) -> None:
        other = factories.make_program(code="OTHER")
        import_file(factories.make_member(other, "officer"), other, people_csv(GOOD))
        intake = import_file(officer, program, people_csv(make_person(1, address=make_address(2))))
        assert_refused(intake, [(1, "address", "destination_differs")], (1, 1, 1))

    def test_refuses_our_own_addresses(self, program: Program, officer: User) -> None:
        script = bytes(program.wallet.scripts.get().script_pubkey)
        ours = address.address_from_script(script, Network.REGTEST)
        intake = import_file(officer, program, people_csv(make_person(1, address=ours)))
        assert_refused(intake, [(1, "address", "address_is_ours")])

    def test_counts_every_bad_row_and_keeps_some(
        self, program: Program, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("payments.services.intake.MAX_KEPT", 3)
        rows = [make_person(n, address="") for n in range(1, 6)]
        intake = import_file(officer, program, people_csv(*rows))
        assert (intake.rows_refused, intake.errors.count()) == (5, 3)

    def test_reports_progress_in_rows(self, program: Program, officer: User) -> None:
        seen: list[int] = []
        import_file(officer, program, people_csv(GOOD, make_person(2)), progress=seen.append)
        assert seen == [2]

    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_needs_an_officer(self, program: Program, role: str) -> None:
        with pytest.raises(authority.RoleMissing):
            import_file(factories.make_member(program, role), program, people_csv(GOOD))
        assert (count_registry(), Intake.objects.count()) == (NOTHING, 0)

    def test_hides_the_program_from_outsiders(self, program: Program, outsider: User) -> None:
        with pytest.raises(NotFound):
            import_file(outsider, program, people_csv(GOOD))
        assert (count_registry(), Intake.objects.count()) == (NOTHING, 0)


@pytest.mark.django_db(transaction=True)
class TestImportCsvTwiceAtOnce:
    def test_enrolls_each_person_once(self) -> None:
        program = factories.make_program()
        officer = factories.make_member(program, "officer")
        both_have_staged = threading.Barrier(2, timeout=20)
        results: list[Intake] = []

        def upload(first: int) -> None:
            rows = [make_person(n) for n in range(first, first + 20)]
            results.append(
                import_file(officer, program, people_csv(*rows), progress=lambda _: both_have_staged.wait())
            )
            connections.close_all()

        threads = [threading.Thread(target=upload, args=(first,)) for first in (1, 11)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(intake.status for intake in results) == ["loaded", "refused"]
        (refused,) = [intake for intake in results if intake.status == "refused"]
        assert refused.rows_refused == 10
        assert {code for _, _, code in faults_of(refused)} == {"reference_taken", "person_enrolled"}
        assert count_registry() == (20, 20, 20)


class TestEnroll:
    def test_enrolls_one_person(self, program: Program, officer: User) -> None:
        enrollment = people.enroll(by=officer, program_id=program.pk, **GOOD)
        assert (enrollment.reference, count_registry()) == ("PEN-000001", (1, 1, 1))

    @pytest.mark.parametrize(("text", "rule"), REFUSED_ON_REGTEST)
    def test_refuses_bad_addresses(self, program: Program, officer: User, text: str, rule: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            people.enroll(by=officer, program_id=program.pk, **make_person(1, address=text))
        (error,) = refusal.value.details["errors"]
        assert (error["row"], error["column"], error["code"]) == (0, "address", rule)
        assert count_registry() == NOTHING

    @pytest.mark.parametrize("column", people.COLUMNS + people.OPTIONAL)
    @pytest.mark.parametrize("value", [None, 1, 1.5, ["x"], {}, True])
    def test_refuses_what_is_not_text(
        self, program: Program, officer: User, column: str, value: object
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            people.enroll(by=officer, program_id=program.pk, **{**GOOD, column: value})  # type: ignore[arg-type]
        assert [(e["column"], e["code"]) for e in refusal.value.details["errors"]] == [
            (column, f"{column}_malformed")
        ]
        assert count_registry() == NOTHING

    @pytest.mark.parametrize("text", ["a\ud800b", "a\x00b"])
    def test_refuses_names_that_no_file_could_hold(self, program: Program, officer: User, text: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            people.enroll(by=officer, program_id=program.pk, **make_person(1, full_name=text))
        assert refusal.value.details["errors"][0]["code"] == "full_name_malformed"
        assert count_registry() == NOTHING

    def test_tells_everything_that_is_wrong(self, program: Program, officer: User) -> None:
        people.enroll(by=officer, program_id=program.pk, **GOOD)
        with pytest.raises(InvalidInput) as refusal:
            people.enroll(by=officer, program_id=program.pk, **GOOD)
        codes = [error["code"] for error in refusal.value.details["errors"]]
        assert codes == ["reference_taken", "person_enrolled"]
        assert count_registry() == (1, 1, 1)

    def test_stores_a_phone_number_without_its_punctuation(self, program: Program, officer: User) -> None:
        people.enroll(by=officer, program_id=program.pk, **make_person(1, phone="+92 (300) 123-45.67"))
        assert Beneficiary.objects.get().personal["phone"] == "+923001234567"

    def test_reads_back_names_with_quotes(self, program: Program, officer: User) -> None:
        people.enroll(
            by=officer,
            program_id=program.pk,
            **make_person(1, full_name='D\'Ávila "Pepe" \\ Núñez', phone=""),
        )
        assert Beneficiary.objects.get().personal == {"full_name": 'D\'Ávila "Pepe" \\ Núñez', "phone": ""}

    def test_needs_an_officer(self, program: Program, approver: User) -> None:
        with pytest.raises(authority.RoleMissing):
            people.enroll(by=approver, program_id=program.pk, **GOOD)
        assert count_registry() == NOTHING


class TestColumns:
    def test_may_come_in_any_order(self, program: Program, officer: User) -> None:
        order = ["address", "phone", "reference", "full_name", "national_id"]
        intake = import_file(officer, program, make_csv(order, [[GOOD[column] for column in order]]))
        assert (intake.status, count_registry()) == ("loaded", (1, 1, 1))
        assert Beneficiary.objects.get().personal["full_name"] == GOOD["full_name"]
