"""The public page over lists that were really paid: its figures, its files, their signature, and what is not in them."""

import csv
import hashlib
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from ledger.models import AuditEvent
from ledger.reports import signing
from ledger.seals import checkpoints, note
from payments.models import Destination, Enrollment, Payout, Publication
from payments.onchain import address, network
from payments.payout import reconciling, rounds
from payments.transparency import publishing
from tests import factories
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db
ROOT = "/transparency/"


@pytest.fixture
def paid(settings: Any) -> Ministry:
    """Seven people of whom six were paid in one program, and another program that paid two."""
    use_node(settings)
    settings.GOVPAY_SEAL_KEY = bytes(range(32))
    ministry = Ministry.open(deposits_sat=[1_000_000])
    ministry.pay(ministry.release([10_000] * 6))
    few = Ministry.open(deposits_sat=[1_000_000], code="FEW")
    few.pay(few.release([77_777] * 2))
    ministry.mine(6)
    ministry.release([5_000] * 7, period="2026-12")
    reconciling.reconcile(program_id=ministry.program.pk)
    return ministry


def figures(client: Client) -> dict[str, Any]:
    answer = client.get(f"{ROOT}figures.json")
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.content)
    return found


class TestFigures:
    def test_say_what_was_paid_what_it_cost_and_what_is_pending(self, paid: Ministry, client: Client) -> None:
        publishing.publish()
        mine = {row["code"]: row for row in figures(client)["programs"]}["PENSIONS"]
        (payout,) = Payout.objects.filter(disbursement__program=paid.program, status="settled")
        assert mine["paid"] == {"payments": 6, "people": 6, "amount_sat": "60000"}
        assert mine["pending"] == {"payments": 7, "people": 7, "amount_sat": "35000"}
        assert mine["fees"] == {
            "fees_sat": str(payout.booked_fee_sat),
            "of_sat": "60000",
            "share_bps": f"{payout.booked_fee_sat / 6:.2f}",
        }
        assert mine["time_to_settle"]["payments"] == 6
        assert mine["time_to_settle"]["p50_s"] == mine["time_to_settle"]["p95_s"]
        (month,) = mine["months"]
        assert month["paid"] == mine["paid"]
        assert mine["reconciliation"]["status"] == "clean"
        assert mine["reconciliation"]["open_breaks"] == 0

    def test_leave_small_groups_out_everywhere(self, paid: Ministry, client: Client) -> None:
        publishing.publish()
        few = {row["code"]: row for row in figures(client)["programs"]}["FEW"]
        assert [few[name] for name in ("paid", "fees", "time_to_settle")] == [None, None, None]
        assert [row["paid"] for row in few["months"]] == [None]
        for name in ("", "figures.json", "programs.csv"):
            text = client.get(f"{ROOT}{name}").content.decode()
            assert "155554" not in text.replace(",", "")

    def test_name_nobody(self, paid: Ministry, client: Client) -> None:
        publishing.publish()
        secret = {*Enrollment.objects.values_list("reference", flat=True)}
        for script in Destination.objects.values_list("script_pubkey", flat=True):
            secret |= {bytes(script).hex(), address.address_from_script(bytes(script), network.current())}
        assert len(secret) >= 45
        text = "".join(client.get(f"{ROOT}{name}").content.decode() for name in ("", "figures.json"))
        assert [word for word in secret if word in text] == []

    def test_take_as_many_statements_for_many_programs_as_for_one(
        self, paid: Ministry, client: Client, django_assert_num_queries: Any
    ) -> None:
        publishing.publish()
        with django_assert_num_queries(1):
            client.get(ROOT)


class TestFiles:
    def test_are_signed_by_the_key_of_the_seals(self, paid: Ministry, client: Client, tmp_path: Any) -> None:
        publishing.publish()
        document = client.get(f"{ROOT}figures.json").content
        signed = client.get(f"{ROOT}figures.json.note").content.decode()
        signing.check(document, signed, checkpoints.signer().verifier)
        with pytest.raises(note.NoteRefused):
            signing.check(document.replace(b"60000", b"70000"), signed, checkpoints.signer().verifier)
        (tmp_path / "figures.json").write_bytes(document)
        (tmp_path / "figures.json.note").write_text(signed)
        out = io.StringIO()
        call_command("report", "check", str(tmp_path / "figures.json"), stdout=out)
        assert "figures.json is the file that" in out.getvalue()

    def test_programs_are_a_row_each(self, paid: Ministry, client: Client) -> None:
        publishing.publish()
        rows = list(csv.DictReader(io.StringIO(client.get(f"{ROOT}programs.csv").content.decode())))
        assert [(row["code"], row["people_paid"], row["paid_sat"]) for row in rows] == [
            ("FEW", "", ""),
            ("PENSIONS", "6", "60000"),
        ]

    def test_may_be_kept_by_caches_until_there_are_others(self, paid: Ministry, client: Client) -> None:
        publishing.publish()
        first = client.get(ROOT)
        assert "public" in first["Cache-Control"]
        assert "Set-Cookie" not in first.headers
        assert client.get(ROOT, headers={"if-none-match": first["ETag"]}).status_code == 304
        factories.make_program("OTHER")
        publishing.publish()
        assert client.get(ROOT, headers={"if-none-match": first["ETag"]}).status_code == 200


class TestRounds:
    def test_publish_once_in_the_time_that_the_settings_say(self, paid: Ministry, settings: Any) -> None:
        assert [found.task for found in rounds.figures_to_publish()] == ["publish_figures"]
        publishing.publish_when_due()
        publishing.publish_when_due()
        assert Publication.objects.count() == 1
        assert list(rounds.figures_to_publish()) == []
        with pytest.MonkeyPatch.context() as patched:
            later = timezone.now() + timedelta(days=1, seconds=1)
            patched.setattr(timezone, "now", lambda: later)
            assert publishing.is_due()
        settings.GOVPAY_TRANSPARENCY_S = 0
        assert not publishing.is_due()

    def test_are_an_act_that_is_recorded(self, paid: Ministry) -> None:
        made = publishing.publish()
        assert AuditEvent.objects.filter(action="figures.publish", subject_id=made.pk).exists()


class TestNothing:
    def test_is_said_before_the_first(self, client: Client) -> None:
        answer = client.get(ROOT)
        assert answer.status_code == 503
        assert "No figures have been published yet" in answer.content.decode()
        assert client.get(f"{ROOT}figures.json").status_code == 404

    def test_is_there_where_none_are_asked_for(self, client: Client, settings: Any) -> None:
        settings.GOVPAY_TRANSPARENCY_S = 0
        assert client.get(ROOT).status_code == 404

    def test_is_written_to(self, client: Client) -> None:
        assert client.post(ROOT).status_code == 405


class TestRows:
    def test_never_change(self) -> None:
        made = publishing.publish()
        assert bytes(made.sha256) == hashlib.sha256(made.document.encode()).digest()
        with pytest.raises(IntegrityError, match="never"), connection.cursor() as cursor:
            cursor.execute("UPDATE payments_publication SET document = '{}'")
