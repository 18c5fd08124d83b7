"""What institutions acquired and disposed of: recorded whole or not at all, never more out than there is, never changed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.utils import ProgrammingError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from govpay.errors import Forbidden, InvalidInput
from ledger.models import AuditEvent, LotMovement
from ledger.treasury import movements
from ledger.treasury.lots import LotsShort, Movement
from tests import factories, racing

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)
BOUGHT = Movement(START, True, 100, 1_000, "purchase:1")
SOLD = Movement(START + timedelta(days=1), False, 60, 900, "sale:1", "enrollment:12", "pakistan")


@pytest.fixture
def keeper() -> User:
    """Who may record what is acquired and disposed of."""
    return factories.make_user("keeper", movements.RIGHT)


def record(by: User, *rows: Movement, **given: Any) -> int:
    whole = {"scope": "trust:1", "currency": "PKR", "scale": 2} | given
    return movements.record(by=by, movements=rows, **whole)


class TestRecord:
    def test_keeps_what_came_and_what_went(self, keeper: User) -> None:
        assert record(keeper, BOUGHT, SOLD) == 2
        assert list(
            LotMovement.objects.order_by("pk").values_list(
                "scope", "kind", "amount_sat", "value_minor", "reference", "person", "jurisdiction"
            )
        ) == [
            ("trust:1", "acquisition", 100, 1_000, "purchase:1", "", ""),
            ("trust:1", "disposal", 60, 900, "sale:1", "enrollment:12", "pakistan"),
        ]
        event = AuditEvent.objects.get(action="lots.record")
        assert (event.actor, event.scope) == ("keeper", "trust:1")

    def test_needs_the_permission(self) -> None:
        with pytest.raises(Forbidden):
            record(factories.make_user("reader", "ledger.view_entry"), BOUGHT)
        assert not LotMovement.objects.exists()

    @pytest.mark.parametrize(
        ("rows", "row", "column", "code"),
        [
            ([BOUGHT._replace(amount_sat=0)], 1, "amount_sat", "out_of_range"),
            ([BOUGHT._replace(amount_sat=2_100_000_000_000_001)], 1, "amount_sat", "out_of_range"),
            ([BOUGHT._replace(value_minor=-1)], 1, "value_minor", "out_of_range"),
            ([BOUGHT._replace(at=timezone.now() + timedelta(hours=1))], 1, "effective_at", "date_to_come"),
            ([BOUGHT._replace(at=datetime(1, 1, 1, tzinfo=UTC))], 1, "effective_at", "date_too_early"),
            (
                [BOUGHT._replace(at=datetime(2009, 1, 2, 23, 59, tzinfo=UTC))],
                1,
                "effective_at",
                "date_too_early",
            ),
            ([BOUGHT._replace(reference="")], 1, "reference", "invalid"),
            ([BOUGHT._replace(reference="a b")], 1, "reference", "invalid"),
            ([BOUGHT, SOLD, BOUGHT], 1, "reference", "reference_taken"),
            ([BOUGHT._replace(jurisdiction="pakistan")], 1, "person", "out_of_place"),
            ([BOUGHT, SOLD._replace(person="Ayesha Khan")], 2, "person", "invalid"),
            ([BOUGHT, SOLD._replace(jurisdiction="")], 2, "jurisdiction", "unknown_jurisdiction"),
            ([BOUGHT, SOLD._replace(jurisdiction="atlantis")], 2, "jurisdiction", "unknown_jurisdiction"),
            ([], 0, "", "rows_out_of_range"),
        ],
    )
    def test_refuses_a_wrong_row_and_names_field_and_rule(
        self, keeper: User, rows: list[Movement], row: int, column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            record(keeper, *rows)
        first = refused.value.details["errors"][0]
        assert (first["row"], first["column"], first["code"]) == (row, column, code)
        assert not LotMovement.objects.exists()

    @pytest.mark.parametrize(
        ("given", "column"),
        [({"scope": "Trust 1"}, "scope"), ({"currency": "rs"}, "currency"), ({"scale": 5}, "scale")],
    )
    def test_refuses_a_wrong_whole(self, keeper: User, given: dict[str, Any], column: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            record(keeper, BOUGHT, **given)
        assert [error["column"] for error in refused.value.details["errors"]] == [column]

    def test_refuses_a_reference_that_is_recorded_and_another_scale(self, keeper: User) -> None:
        record(keeper, BOUGHT)
        for rows, given, code in (
            ([BOUGHT], {}, "reference_taken"),
            ([BOUGHT._replace(reference="purchase:2")], {"scale": 0}, "scale_differs"),
        ):
            with pytest.raises(InvalidInput) as refused:
                record(keeper, *rows, **given)
            assert refused.value.details["errors"][0]["code"] == code
        assert record(keeper, BOUGHT, scope="reserve:1") == 1

    @pytest.mark.parametrize(
        "late",
        [
            SOLD._replace(reference="sale:2", amount_sat=41),
            # Before the sale that took 60 of the 100.
            SOLD._replace(reference="sale:2", amount_sat=41, at=START + timedelta(hours=1)),
            # Before anything was bought.
            SOLD._replace(reference="sale:2", amount_sat=1, at=START - timedelta(hours=1)),
        ],
    )
    def test_refuses_more_out_than_there_is_at_any_time(self, keeper: User, late: Movement) -> None:
        record(keeper, BOUGHT, SOLD)
        with pytest.raises(LotsShort) as refused:
            record(keeper, late)
        assert refused.value.details["short_sat"] == 1
        assert LotMovement.objects.count() == 2

    def test_takes_rows_of_one_moment_in_their_order(self, keeper: User) -> None:
        at_once = SOLD._replace(at=START)
        with pytest.raises(LotsShort):
            record(keeper, at_once, BOUGHT)
        assert record(keeper, BOUGHT, at_once) == 2

    def test_does_not_lend_from_another_currency_or_institution(self, keeper: User) -> None:
        record(keeper, BOUGHT)
        for given in ({"currency": "USD"}, {"scope": "reserve:1"}):
            with pytest.raises(LotsShort):
                record(keeper, SOLD, **given)


class TestAtOnce:
    @pytest.mark.django_db(transaction=True)
    def test_two_disposals_do_not_take_the_same_lot(self, keeper: User) -> None:
        record(keeper, BOUGHT)
        sale, other = SOLD, SOLD._replace(reference="sale:2")
        _, late = racing.race(lambda: record(keeper, sale), lambda: record(keeper, other))
        assert isinstance(late.error, LotsShort)
        assert late.error.details == {"reference": "sale:2", "amount_sat": 60, "short_sat": 20}
        assert LotMovement.objects.count() == 2


class TestDatabase:
    @pytest.mark.parametrize(
        "columns",
        [
            {"amount_sat": 0},
            {"value_minor": -1},
            {"person": "enrollment:12"},
            {"kind": "disposal"},
            {"kind": "gift"},
            {"scope": "Trust"},
            {"reference": ""},
            {"currency": "rs"},
        ],
    )
    def test_refuses_what_is_no_movement(self, keeper: User, columns: dict[str, Any]) -> None:
        row = {
            "scope": "trust:1",
            "kind": "acquisition",
            "effective_at": START,
            "amount_sat": 1,
            "currency": "PKR",
            "scale": 2,
            "value_minor": 1,
            "reference": "purchase:1",
            "recorded_by": keeper,
        }
        with pytest.raises(IntegrityError), transaction.atomic():
            LotMovement.objects.create(**row | columns)

    @pytest.mark.parametrize(
        "change", ["UPDATE ledger_lotmovement SET value_minor = 1", "DELETE FROM ledger_lotmovement"]
    )
    def test_lets_nobody_change_a_row(self, keeper: User, change: str) -> None:
        record(keeper, BOUGHT)
        with (
            pytest.raises((IntegrityError, ProgrammingError)),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)
        assert LotMovement.objects.get().value_minor == 1_000


HEADER = "kind,effective_at,amount_sat,value_minor,reference,person,jurisdiction\n"


class TestCommand:
    def call(self, folder: Path, text: str, by: str = "keeper") -> None:
        file = folder / "lots.csv"
        file.write_text(text)
        call_command(
            "record_lots", str(file), "--scope", "trust:1", "--currency", "PKR", "--scale", "2", "--by", by
        )

    def test_records_a_file(self, tmp_path: Path, keeper: User, capsys: pytest.CaptureFixture[str]) -> None:
        rows = "acquisition,2026-01-01,100,1000,purchase:1,,\ndisposal,2026-01-02T05:00:00+05:00,60,900,sale:1,,sandbox\n"
        self.call(tmp_path, HEADER + rows)
        assert capsys.readouterr().out == "2 movements of trust:1 are recorded.\n"
        assert list(LotMovement.objects.order_by("pk").values_list("effective_at", flat=True)) == [
            START,
            START + timedelta(days=1),
        ]

    @pytest.mark.parametrize(
        ("text", "refusal"),
        [
            ("kind,at\n", "^header: The first line must be"),
            (HEADER + "gift,2026-01-01,100,1000,purchase:1,,\n", "row 1, kind: invalid"),
            (HEADER + "acquisition,yesterday,100,1000,purchase:1,,\n", "row 1, effective_at: invalid"),
            (HEADER + "acquisition,2026-01-01,1e3,1000,purchase:1,,\n", "row 1, amount_sat: invalid"),
            (HEADER + "acquisition,2026-01-01,100,10.00,purchase:1,,\n", "row 1, value_minor: invalid"),
            (HEADER + "acquisition,2026-01-01,100\n", "row 1: columns: The row has 3 cells"),
            (HEADER, "^rows_out_of_range"),
            (HEADER + "disposal,2026-01-01,1,1,sale:1,,sandbox\n", "lots_short: sale:1 disposes of 1 sat"),
        ],
    )
    def test_refuses_a_file_and_records_nothing(
        self, tmp_path: Path, keeper: User, text: str, refusal: str
    ) -> None:
        with pytest.raises(CommandError, match=refusal):
            self.call(tmp_path, text)
        assert not LotMovement.objects.exists()

    def test_reads_a_file_as_spreadsheets_write_it(self, tmp_path: Path, keeper: User) -> None:
        self.call(tmp_path, "\ufeff" + HEADER + "acquisition,2026-01-01,100,1000,purchase:1,,\r\n")
        assert LotMovement.objects.get().amount_sat == 100

    def test_needs_a_user_and_a_file(self, tmp_path: Path, keeper: User) -> None:
        with pytest.raises(CommandError, match="There is no active user nobody"):
            self.call(tmp_path, HEADER, by="nobody")
        with pytest.raises(CommandError, match="cannot be read"):
            call_command(
                "record_lots",
                str(tmp_path / "none.csv"),
                *("--scope", "trust:1", "--currency", "PKR", "--scale", "2", "--by", "keeper"),
            )


class TestAdmin:
    def test_shows_movements_to_readers_of_the_books(self, keeper: User, client: Client) -> None:
        record(keeper, BOUGHT, SOLD)
        reader = factories.make_user("reader", "ledger.view_entry")
        reader.is_staff = True
        reader.save()
        client.force_login(reader)
        page = client.get(reverse("admin:ledger_lotmovement_changelist"))
        assert page.status_code == 200
        for shown in ("sale:1", "60 sat", "9.00 PKR", "2026-01-02 00:00:00 UTC"):
            assert shown in page.content.decode()
        assert '<option value="trust:1"' in page.content.decode()
        assert "sale:1" not in client.get(page.request["PATH_INFO"], {"scope": "trust:2"}).content.decode()
        row = LotMovement.objects.get(reference="sale:1")
        assert client.get(reverse("admin:ledger_lotmovement_change", args=[row.pk])).status_code == 200

    @pytest.mark.parametrize("name", ["gains", "lots"])
    def test_offers_institutions_that_have_lots_for_reports(
        self, keeper: User, client: Client, name: str
    ) -> None:
        for scope in ("trust:2", "reserve:1", "trust:1"):
            record(keeper, BOUGHT, BOUGHT._replace(reference="purchase:2"), scope=scope)
        assert movements.institutions() == ["reserve:1", "trust:1", "trust:2"]
        reader = factories.make_user("reader", "ledger.view_entry")
        reader.is_staff = True
        reader.save()
        client.force_login(reader)
        shown = client.get(f"/admin/ledger/account/reports/{name}/").content.decode()
        for scope in movements.institutions():
            assert f'<option value="{scope}">' in shown


class TestApi:
    ADDRESS = "/api/v1/lot-movements/"
    ROWS: list[dict[str, Any]] = [
        {
            "kind": "acquisition",
            "effective_at": "2026-01-01T00:00:00Z",
            "amount_sat": 100,
            "value_minor": 1_000,
            "reference": "purchase:1",
        },
        {
            "kind": "disposal",
            "effective_at": "2026-01-02T00:00:00Z",
            "amount_sat": 60,
            "value_minor": 900,
            "reference": "sale:1",
            "person": "enrollment:12",
            "jurisdiction": "pakistan",
        },
    ]

    def post(self, user: User, rows: list[dict[str, Any]], key: str = "one") -> Any:
        client = APIClient()
        client.force_authenticate(user)
        given = {"scope": "trust:1", "currency": "PKR", "scale": 2, "movements": rows}
        return client.post(self.ADDRESS, given, format="json", headers={"Idempotency-Key": key})

    def get(self, user: User, query: str) -> Any:
        client = APIClient()
        client.force_authenticate(user)
        return client.get(self.ADDRESS + query)

    @pytest.fixture
    def clerk(self) -> User:
        """Who reads the books and records lots."""
        return factories.make_user("clerk", "ledger.view_entry", movements.RIGHT)

    def test_records_once_for_one_key_and_lists(self, clerk: User) -> None:
        for _ in range(2):
            answer = self.post(clerk, self.ROWS)
            assert (answer.status_code, answer.json()) == (201, {"count": 2})
        assert LotMovement.objects.count() == 2
        (found,) = self.get(clerk, "?scope=trust:1&kind=disposal").json()["results"]
        del found["id"], found["recorded_at"]
        assert found == {
            **self.ROWS[1],
            "scope": "trust:1",
            "currency": "PKR",
            "scale": 2,
        }
        assert self.get(clerk, "?reference=sale:2").json()["results"] == []

    def test_refuses_more_than_there_is(self, clerk: User) -> None:
        answer = self.post(clerk, [self.ROWS[0], self.ROWS[1] | {"amount_sat": 101}])
        assert (answer.status_code, answer.json()["code"]) == (409, "lots_short")
        assert not LotMovement.objects.exists()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"amount_sat": 0},
            {"kind": "gift"},
            {"person": "Ayesha"},
            {"jurisdiction": "atlantis"},
            {"reference": "a b"},
            {"mood": "good"},
        ],
    )
    def test_refuses_a_wrong_row(self, clerk: User, wrong: dict[str, Any]) -> None:
        assert self.post(clerk, [self.ROWS[0], self.ROWS[1] | wrong]).status_code == 400
        assert self.post(clerk, [self.ROWS[0], self.ROWS[0]], "two").status_code == 422
        assert not LotMovement.objects.exists()

    @pytest.mark.parametrize("rights", [("ledger.view_entry",), (movements.RIGHT,), ()])
    def test_needs_both_rights(self, rights: tuple[str, ...]) -> None:
        assert self.post(factories.make_user("other", *rights), self.ROWS).status_code == 403
        assert not LotMovement.objects.exists()
