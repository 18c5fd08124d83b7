"""The two commands that bring files in, as a person at a terminal meets them; and the demo's own file."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from deploy.demo import make_people
from payments.models import Disbursement, Intake, Program
from tests import factories
from tests.payments.services.files import count_payments, count_registry, list_csv, make_person, people_csv


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line breaks."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("wide")
class TestImportPeople:
    def run(self, officer: User, path: Path, *options: str, program: str = "PENSIONS") -> None:
        call_command("import_people", "--program", program, "--by", officer.username, str(path), *options)

    def test_enrolls(self, officer: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "people.csv"
        path.write_bytes(people_csv(make_person(1), make_person(2)))
        self.run(officer, path)
        assert capsys.readouterr().out == "2 people enrolled, 0 of 2 rows refused.\n"
        assert count_registry() == (2, 2, 2)
        assert Intake.objects.get().filename == "people.csv"

    def test_shows_every_error_and_fails(
        self, officer: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "people.csv"
        path.write_bytes(people_csv(make_person(1), make_person(2, address="")))
        with pytest.raises(CommandError, match="1 of 2 rows are bad; nothing was loaded"):
            self.run(officer, path)
        cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[3].strip("│").split("│")]
        assert cells == ["2", "address", "address_missing", "There is no address."]
        assert count_registry() == (0, 0, 0)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"program": "NONE"}, "There is no program 'NONE'."),
            ({"path": Path("missing.csv")}, "missing.csv cannot be read: No such file or directory."),
        ],
    )
    def test_says_what_is_missing(
        self, officer: User, tmp_path: Path, options: dict[str, str | Path], message: str
    ) -> None:
        (tmp_path / "people.csv").write_bytes(people_csv(make_person(1)))
        with pytest.raises(CommandError) as refusal:
            self.run(officer, **{"path": tmp_path / "people.csv"} | options)
        assert str(refusal.value) == message
        assert count_registry() == (0, 0, 0)

    def test_needs_an_officer(self, approver: User, tmp_path: Path) -> None:
        (tmp_path / "people.csv").write_bytes(people_csv(make_person(1)))
        with pytest.raises(CommandError, match="role of program officer"):
            self.run(approver, tmp_path / "people.csv")
        assert count_registry() == (0, 0, 0)


@pytest.mark.usefixtures("wide")
class TestImportList:
    def run(self, officer: User, path: Path, total_sat: int) -> None:
        words = [
            "--program",
            "PENSIONS",
            "--by",
            officer.username,
            "--period",
            "2026-11",
            "--purpose",
            "pension",
        ]
        call_command("import_list", *words, "--count", "1", "--total-sat", str(total_sat), str(path))

    def test_makes_a_draft(
        self, program: Program, officer: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "list.csv"
        path.write_bytes(list_csv((factories.make_enrollment(program).reference, "1000")))
        self.run(officer, path, 1_000)
        made = Disbursement.objects.get()
        assert capsys.readouterr().out == (
            f"1 payments in the list, 0 of 1 rows refused.\nDisbursement {made.pk} is a draft.\n"
        )

    def test_fails_when_the_control_total_disagrees(
        self, program: Program, officer: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "list.csv"
        path.write_bytes(list_csv((factories.make_enrollment(program).reference, "1000")))
        with pytest.raises(CommandError, match="Refused"):
            self.run(officer, path, 1_001)
        assert "control_total" in capsys.readouterr().out
        assert count_payments() == (0, 0)


class TestDemoPeople:
    def test_is_what_its_maker_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shipped = make_people.FILE.read_bytes()
        monkeypatch.setattr(make_people, "FILE", tmp_path / "people.csv")
        make_people.main()
        assert (tmp_path / "people.csv").read_bytes() == shipped

    def test_has_eight_rows_that_are_wrong_in_eight_ways(self, officer: User, tmp_path: Path) -> None:
        call_command(
            "import_people",
            "--program",
            "PENSIONS",
            "--by",
            officer.username,
            "--accept-partial",
            str(make_people.FILE),
        )
        intake = Intake.objects.get()
        assert (intake.rows_total, intake.rows_loaded, intake.rows_refused) == (1_000, 992, 8)
        assert list(intake.errors.values_list("row", "code")) == [
            (137, "address_mainnet"),
            (212, "address_wrong_network"),
            (308, "address_checksum"),
            (424, "national_id_duplicate"),
            (556, "reference_duplicate"),
            (641, "destination_shared"),
            (778, "full_name_missing"),
            (902, "national_id_malformed"),
        ]
        assert count_registry() == (992, 992, 992)
