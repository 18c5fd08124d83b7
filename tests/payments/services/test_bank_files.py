"""A file is made once of what was decided, given out as it was written, and answered line by line, whatever made it."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction

from govpay.errors import InvalidInput
from payments.models import BankFile, BankFileLine, BankReport, Program
from payments.payout.guard import EngineStopped
from payments.rails import schema, transfer
from payments.services import (
    authority,
    bank_files,
    bank_origins,
    bank_reports,
    bank_writing,
    reencryption,
    stops,
)
from payments.services.bank_origin import Origin
from tests import banking, factories, racing

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
Make = Callable[..., BankFile]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a kind of decision of the tests' own was told, in order."""
    told: list[Any] = []
    origin = Origin(
        name="trial",
        require=lambda user, file: authority.require(
            user=user, program_id=file.program_id, roles=("treasurer",)
        ),
        check=lambda file: told.append("checked"),
        written=lambda file, at: told.append(("written", bytes(file.sha256 or b"").hex())),
        answered=lambda file, report: told.append(("answered", report.settled_count, report.rejected_count)),
    )
    monkeypatch.setitem(bank_origins.ORIGINS, "trial", origin)
    return told


@pytest.fixture
def treasurer(program: Program) -> User:
    """Takes files to the bank, and brings its answers."""
    return factories.make_member(program, "treasurer")


@pytest.fixture
def make(program: Program, calls: list[Any]) -> Make:
    """Makes a file of amounts."""
    banking.make_paying_account(program)

    def build(amounts: list[int], *, origin_id: int = 1, first: int = 1, of: Program = program) -> BankFile:
        lines = [
            bank_files.Instruction(
                "trial",
                first + n,
                amount,
                transfer.Party(f"Person\\{n}", banking.iban(first + n)),
                "Trial 2026-11",
            )
            for n, amount in enumerate(amounts)
        ]
        return bank_files.make(
            origin="trial",
            origin_id=origin_id,
            scope=of.scope,
            program_id=of.pk,
            currency="PKR",
            line_count=len(lines),
            total_minor=sum(amounts),
            execution_date=date(2026, 12, 1),
            fill=lambda file: bank_files.add(file, lines),
            now=NOW,
        )

    return build


@pytest.fixture
def fetched(make: Make, treasurer: User) -> tuple[BankFile, bytes]:
    """A file of three lines that is at the bank."""
    made = make([1_450_000, 2_000, 1])
    bank_writing.write(made.pk)
    found, file = bank_writing.fetch(by=treasurer, bank_file_id=made.pk)
    return found, file.read()


def outcomes(file: BankFile) -> list[tuple[str, str]]:
    return list(file.lines.order_by("number").values_list("outcome", "reason"))


def refusal(error: pytest.ExceptionInfo[InvalidInput]) -> list[tuple[int, str]]:
    return [(each["row"], each["code"]) for each in error.value.details["errors"]]


class TestMake:
    """What was decided on is one file."""

    def test_is_written_once_and_given_out_as_it_was_written(
        self, make: Make, treasurer: User, calls: list[Any]
    ) -> None:
        made = make([1_450_000, 2_000])
        bank_writing.write(made.pk)
        bank_writing.write(made.pk)
        first, file = bank_writing.fetch(by=treasurer, bank_file_id=made.pk)
        again, other = bank_writing.fetch(by=treasurer, bank_file_id=made.pk)
        data = file.read()
        assert other.read() == data
        assert (first.status, again.status) == ("fetched", "fetched")
        assert calls == ["checked", ("written", bytes(first.sha256 or b"").hex())]
        said = banking.read(data)
        assert (said["count"], said["sum"], said["debtor"]) == ("2", "14520.00", banking.OWN)
        assert said["transfers"][1] == {
            "id": f"{made.message_id}-2",
            "amount": "20.00",
            "currency": "PKR",
            "name": "Person\\1",
            "iban": banking.iban(2),
        }

    def test_is_given_to_nobody_while_the_engine_is_stopped(self, make: Make, treasurer: User) -> None:
        made = make([2_000])
        bank_writing.write(made.pk)
        stops.throw(by=treasurer, reason="A list looks wrong.")
        with pytest.raises(EngineStopped, match="A list looks wrong"):
            bank_writing.fetch(by=treasurer, bank_file_id=made.pk)
        made.refresh_from_db()
        assert (made.status, made.fetched_by) == ("ready", None)

    def test_no_two_lines_settle_the_same(self, make: Make) -> None:
        make([5])
        with pytest.raises(bank_files.InstructedAlready), transaction.atomic():
            make([5], origin_id=2)
        assert BankFile.objects.count() == 1

    def test_one_decision_makes_one_file(self, make: Make) -> None:
        make([5])
        with pytest.raises(IntegrityError, match="bankfile_part_once"), transaction.atomic():
            make([5], first=9)
        assert BankFile.objects.count() == 1

    def test_refuses_lines_that_were_not_decided_on(self, program: Program, calls: list[Any]) -> None:
        banking.make_paying_account(program)
        with pytest.raises(bank_files.BankFileWrong):
            bank_files.make(
                origin="trial",
                origin_id=1,
                scope=program.scope,
                currency="PKR",
                line_count=2,
                total_minor=10,
                execution_date=date(2026, 12, 1),
                fill=lambda file: bank_files.add(
                    file, [bank_files.Instruction("trial", 1, 10, transfer.Party("A", banking.iban(1)))]
                ),
                now=NOW,
            )
        assert not BankFile.objects.exists()

    def test_needs_an_account_to_pay_from_in_the_currency(self, program: Program, make: Make) -> None:
        with pytest.raises(bank_files.NoPayingAccount):
            bank_files.paying_account(program.scope, "USD")
        with pytest.raises(bank_files.NoPayingAccount):
            bank_files.paying_account("program:999999", "PKR")

    def test_a_line_that_was_changed_is_given_to_nobody(
        self, fetched: tuple[BankFile, bytes], treasurer: User
    ) -> None:
        file, _ = fetched
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE payments_bankfileline DISABLE TRIGGER USER")
            cursor.execute("UPDATE payments_bankfileline SET amount_minor = 9 WHERE number = 3")
        with pytest.raises(bank_writing.BankFileChanged):
            bank_writing.fetch(by=treasurer, bank_file_id=file.pk)

    def test_the_database_keeps_lines_and_files_as_they_were_decided(
        self, fetched: tuple[BankFile, bytes]
    ) -> None:
        file, _ = fetched
        for change in (
            BankFileLine.objects.filter(bank_file=file).delete,
            lambda: BankFileLine.objects.filter(bank_file=file).update(amount_minor=7),
            lambda: BankFile.objects.filter(pk=file.pk).update(total_minor=7),
            lambda: BankFile.objects.filter(pk=file.pk).update(sha256=bytes(32)),
            lambda: file.lines.create(
                number=9, end_to_end_id="X", settles="trial", settles_id=99, amount_minor=1, account={}
            ),
        ):
            with pytest.raises(DatabaseError), transaction.atomic():
                change()

    def test_is_the_same_under_another_key(
        self, fetched: tuple[BankFile, bytes], treasurer: User, settings: Any
    ) -> None:
        file, data = fetched
        settings.GOVPAY_FIELD_KEYS = {"k9": b"9" * 32, **settings.GOVPAY_FIELD_KEYS}
        reencryption.run()
        assert reencryption.count_by_key()["payments_bankfileline.account"] == {"k9": 3}
        assert bank_writing.fetch(by=treasurer, bank_file_id=file.pk)[1].read() == data

    def test_only_a_treasurer_has_it(self, fetched: tuple[BankFile, bytes], officer: User) -> None:
        with pytest.raises(authority.RoleMissing):
            bank_writing.fetch(by=officer, bank_file_id=fetched[0].pk)


class TestTake:
    """The bank's answer, line by line."""

    def test_settles_and_rejects_and_keeps_the_rest_open(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program, calls: list[Any]
    ) -> None:
        file, data = fetched
        one, two, _ = (each["id"] for each in banking.read(data)["transfers"])
        said = {one: ("ACSC", ""), two: ("RJCT", "AC04")}
        taken = bank_reports.take_of_program(
            by=treasurer, program_id=program.pk, file=banking.answer(data, said)
        )
        assert outcomes(file) == [("settled", ""), ("rejected", "AC04"), ("open", "")]
        assert (taken.settled_minor, taken.rejected_minor) == (1_450_000, 2_000)
        assert calls[-1] == ("answered", 1, 1)
        file.refresh_from_db()
        assert file.status == "fetched"

    def test_a_word_on_the_whole_file_ends_every_line(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program
    ) -> None:
        file, data = fetched
        bank_reports.take_of_program(
            by=treasurer, program_id=program.pk, file=banking.answer(data, group="ACCP")
        )
        assert outcomes(file) == [("open", "")] * 3
        first = banking.read(data)["transfers"][0]["id"]
        report = banking.answer(data, {first: ("RJCT", "AC04")}, group="RJCT", reason="AM04")
        bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)
        assert outcomes(file) == [("rejected", "AC04"), ("rejected", "AM04"), ("rejected", "AM04")]
        file.refresh_from_db()
        assert file.status == "answered"

    def test_a_later_report_may_repeat_what_an_earlier_one_said(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program, calls: list[Any]
    ) -> None:
        _, data = fetched
        first = banking.read(data)["transfers"][0]["id"]
        for _ in range(2):
            bank_reports.take_of_program(
                by=treasurer, program_id=program.pk, file=banking.answer(data, {first: ("ACSC", "")})
            )
        assert calls[-2:] == [("answered", 1, 0), ("answered", 0, 0)]

    @pytest.mark.parametrize(
        ("changes", "rule"),
        [
            ({"id": "GPNOBODY"}, "bank_file_unknown"),
            ({"name": "pain.008.001.08"}, "original_not_a_transfer"),
            ({"count": "4"}, "report_count"),
            ({"sum": "14520.02"}, "report_total"),
            ({"group": "ZZZZ"}, "status_unknown"),
        ],
    )
    def test_refuses_a_head_that_is_not_of_this_file(
        self,
        fetched: tuple[BankFile, bytes],
        treasurer: User,
        program: Program,
        calls: list[Any],
        changes: dict[str, str],
        rule: str,
    ) -> None:
        file, data = fetched
        with pytest.raises(InvalidInput) as error:
            bank_reports.take_of_program(
                by=treasurer, program_id=program.pk, file=banking.answer(data, **changes)
            )
        assert refusal(error) == [(0, rule)]
        assert (outcomes(file), BankReport.objects.count(), calls[-1][0]) == (
            [("open", "")] * 3,
            0,
            "written",
        )

    @pytest.mark.parametrize(
        ("key", "said", "changes", "found"),
        [
            ("0-stranger", ("ACSC", ""), {}, (1, "transaction_unknown")),
            ("", ("ACSC", ""), {"amount": "14500.01"}, (1, "amount_differs")),
            ("", ("ACSC", ""), {"amount": "0.001"}, (1, "amount_differs")),
            ("", ("ACSC", ""), {"currency": "USD"}, (1, "amount_differs")),
            ("", ("WHAT", ""), {}, (1, "status_unknown")),
            ("", ("ACSC", ""), {"group": "RJCT"}, (1, "status_contradicts")),
        ],
    )
    def test_refuses_a_transfer_that_is_not_of_this_file(
        self,
        fetched: tuple[BankFile, bytes],
        treasurer: User,
        program: Program,
        calls: list[Any],
        key: str,
        said: tuple[str, str],
        changes: dict[str, str],
        found: tuple[int, str],
    ) -> None:
        file, data = fetched
        of = key or banking.read(data)["transfers"][0]["id"]
        with pytest.raises(InvalidInput) as error:
            bank_reports.take_of_program(
                by=treasurer, program_id=program.pk, file=banking.answer(data, {of: said}, **changes)
            )
        assert found in refusal(error)
        assert (outcomes(file), BankReport.objects.count(), calls[-1][0]) == (
            [("open", "")] * 3,
            0,
            "written",
        )

    def test_refuses_the_same_report_twice_by_bytes_and_by_id(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program
    ) -> None:
        _, data = fetched
        report = banking.answer(data, group="ACTC", own="R-1")
        bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)
        for again in (io.BytesIO(report.getvalue()), banking.answer(data, group="ACSC", own="R-1")):
            with pytest.raises(InvalidInput) as error:
                bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=again)
            assert (0, "report_known") in refusal(error)
        assert BankReport.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_of_two_reports_at_once_the_second_is_held_to_the_first(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program
    ) -> None:
        file, data = fetched
        one = banking.read(data)["transfers"][0]["id"]

        def take(code: str) -> BankReport:
            report = banking.answer(data, {one: (code, "")})
            return bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)

        _, second = racing.race(lambda: take("ACSC"), lambda: take("RJCT"))
        assert isinstance(second.error, InvalidInput)
        assert [each["code"] for each in second.error.details["errors"]] == ["outcome_contradicts"]
        assert (outcomes(file)[0], BankReport.objects.count()) == (("settled", ""), 1)

    def test_refuses_a_report_on_a_file_of_another_program(
        self, fetched: tuple[BankFile, bytes], calls: list[Any]
    ) -> None:
        file, data = fetched
        other = factories.make_program(code="OTHER")
        with pytest.raises(InvalidInput) as error:
            bank_reports.take_of_program(
                by=factories.make_member(other, "treasurer"),
                program_id=other.pk,
                file=banking.answer(data, group="ACSC"),
            )
        assert refusal(error) == [(0, "bank_file_elsewhere")]
        assert outcomes(file) == [("open", "")] * 3

    def test_refuses_a_report_on_a_file_that_nobody_took_to_a_bank(
        self, make: Make, treasurer: User, program: Program
    ) -> None:
        made = make([5])
        bank_writing.write(made.pk)
        out = io.BytesIO()
        transfer.write(bank_files.head(made), bank_files.transfers(made), out)
        with pytest.raises(InvalidInput) as error:
            bank_reports.take_of_program(
                by=treasurer, program_id=program.pk, file=banking.answer(out.getvalue(), group="ACSC")
            )
        assert refusal(error) == [(0, "bank_file_not_fetched")]

    def test_refuses_the_opposite_of_what_was_said_before(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program
    ) -> None:
        file, data = fetched
        first = banking.read(data)["transfers"][0]["id"]
        for said, is_taken in ((("RJCT", "AC01"), True), (("ACSC", ""), False)):
            report = banking.answer(data, {first: said})
            if is_taken:
                bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)
                continue
            with pytest.raises(InvalidInput) as error:
                bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)
            assert refusal(error) == [(1, "outcome_contradicts")]
        assert outcomes(file)[0] == ("rejected", "AC01")
        with pytest.raises(DatabaseError, match="bank file"), transaction.atomic():
            BankFileLine.objects.filter(bank_file=file, number=1).update(outcome="settled")

    @pytest.mark.parametrize(("first", "whole"), [(("ACSC", ""), "RJCT"), (("RJCT", "AC01"), "ACSC")])
    def test_refuses_the_opposite_of_what_was_said_before_in_a_word_on_the_whole_file(
        self,
        fetched: tuple[BankFile, bytes],
        treasurer: User,
        program: Program,
        first: tuple[str, str],
        whole: str,
    ) -> None:
        file, data = fetched
        one, two, three = (each["id"] for each in banking.read(data)["transfers"])
        bank_reports.take_of_program(
            by=treasurer, program_id=program.pk, file=banking.answer(data, {one: first})
        )
        before = outcomes(file)
        for report in (
            banking.answer(data, group=whole),
            banking.answer(data, {two: (whole, ""), three: (whole, "")}, group=whole),
            banking.answer(data, block_status=whole),
        ):
            with pytest.raises(InvalidInput) as error:
                bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)
            assert refusal(error) == [(0, "outcome_contradicts")]
            assert one in error.value.message
        assert (outcomes(file), BankReport.objects.count()) == (before, 1)
        # The same word once more is none.
        bank_reports.take_of_program(
            by=treasurer, program_id=program.pk, file=banking.answer(data, group=first[0])
        )
        assert {outcome for outcome, _ in outcomes(file)} == {before[0][0]}

    @pytest.mark.parametrize(
        ("changes", "rule"),
        [
            ({"group": "RJCT", "block_status": "ACSC"}, "status_contradicts"),
            ({"block_status": "ACSC", "again": "RJCT"}, "status_contradicts"),
            ({"group": "ZZZZ", "block_status": "ACSC"}, "status_unknown"),
            ({"block_status": "RJCT", "block": "SOMEBODYS"}, "block_unknown"),
            ({"block_status": "ACSC", "again": "ACSC", "block": "SOMEBODYS"}, "block_unknown"),
        ],
    )
    def test_refuses_what_contradicts_itself_or_is_of_another_block(
        self,
        fetched: tuple[BankFile, bytes],
        treasurer: User,
        program: Program,
        changes: dict[str, str],
        rule: str,
    ) -> None:
        file, data = fetched
        with pytest.raises(InvalidInput) as error:
            bank_reports.take_of_program(
                by=treasurer, program_id=program.pk, file=banking.answer(data, **changes)
            )
        assert refusal(error) == [(0, rule)]
        assert (outcomes(file), BankReport.objects.count()) == ([("open", "")] * 3, 0)

    def test_takes_a_word_on_the_block_with_a_count_that_begins_with_zeros(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program
    ) -> None:
        file, data = fetched
        report = banking.answer(
            data,
            group="ACSP",
            block="NOTPROVIDED",
            block_status="ACSC",
            again="ACSC",
            count="000000000000003",
        )
        bank_reports.take_of_program(by=treasurer, program_id=program.pk, file=report)
        assert [outcome for outcome, _ in outcomes(file)] == ["settled"] * 3

    def test_refuses_a_report_that_breaks_off_wherever_it_does(
        self, fetched: tuple[BankFile, bytes], treasurer: User, program: Program
    ) -> None:
        file, data = fetched
        whole = banking.answer(data, {each["id"]: ("ACSC", "") for each in banking.read(data)["transfers"]})
        for length in range(10, len(whole.getvalue()), 67):
            with pytest.raises(schema.BadMessage), transaction.atomic():
                bank_reports.take_of_program(
                    by=treasurer, program_id=program.pk, file=io.BytesIO(whole.getvalue()[:length])
                )
        assert outcomes(file) == [("open", "")] * 3
