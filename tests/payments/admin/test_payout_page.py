"""A payout's page: how deep it is, its txs as a picture and in tables, and its fee rates over time."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from payments.admin import fee_chart, payout_graph
from payments.models import Block, Disbursement, MempoolLook, Payment, Payout, PayoutTx, Program, Reservation
from payments.models.payout import ChangeOutput
from payments.services import disbursements
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


def page(payout: Payout, verb: str = "change") -> str:
    return reverse(f"admin:payments_payout_{verb}", args=[payout.pk])


def plain(cell: Any) -> str:
    return re.sub("<[^>]*>", "", str(cell))


def make(
    program: Program,
    officer: User,
    approver: User,
    releaser: User,
    count: int,
    period: str = "2026-11",
    **columns: Any,
) -> Payout:
    """A payout of so many payments."""
    made = scenes.approved(
        program, officer, approver, amounts_sat=[50_000 + n for n in range(count)], period=period
    )
    agreed = bytes(made.manifest_hash or b"")
    made = disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
    lines = list(Payment.objects.filter(disbursement=made).order_by("line"))
    payout = scenes.make_payout(Disbursement.objects.get(pk=made.pk), lines, change_sat=7_000, **columns)
    ChangeOutput.objects.create(
        version=payout.current, vout=count, amount_sat=7_000, script_pubkey=factories.make_script()
    )
    return Payout.objects.get(pk=payout.pk)


def replace(payout: Payout, number: int, kind: str = "bump") -> PayoutTx:
    """Add a version, which is the newest then."""
    version = PayoutTx.objects.create(
        payout=payout,
        kind=kind,
        txid=scenes.digest(f"version {number} of {payout.pk}"),
        unsigned_tx=b"\x02",
        raw=b"\x02",
        fee_sat=1_234 + number,
        fee_added_sat=1,
        change_sat=7_000 - number,
        vsize_vb=617,
        feerate_sat_kvb=2_000 + 500 * number,
        signed_at=timezone.now(),
    )
    Payout.objects.filter(pk=payout.pk).update(current=version)
    return version


@pytest.fixture
def payout(program: Program, officer: User, approver: User, releaser: User) -> Payout:
    """A payout of a hundred payments that waits in the mempool."""
    factories.fund(program, 100_000_000)
    return make(program, officer, approver, releaser, 100)


def drawn(payout: Payout) -> payout_graph.Graph:
    payout = Payout.objects.get(pk=payout.pk)
    found = payout_graph.draw(
        payout,
        list(payout.reservations.order_by("position")),
        list(payout.txs.order_by("pk")),
        list(payout.payments.order_by("vout")[:4]),
    )
    assert found is not None
    return found


class TestGraph:
    def test_folds_many_payments_and_says_everything_in_words(self, payout: Payout) -> None:
        found = drawn(payout)
        assert [box.lines[0] for box in found.boxes] == [
            f"{payout.payments_sat + 8_234:,} sat",
            "1. Original, newest",
            *("50,000 sat", "50,001 sat", "50,002 sat", "and 97 more payments", "7,000 sat"),
        ]
        assert found.boxes[-2].lines[1] == f"{payout.payments_sat - 150_003:,} sat"
        # A line in, five out.
        assert len(found.lines) == 6
        assert found.description == (
            f"1 coin of {payout.payments_sat + 8_234:,} sat goes in."
            " Version 1 (original) is newest and pays a fee of 1,234 sat, 2 sat/vB."
            f" 100 payments of {payout.payments_sat:,} sat come out."
            " From version 1 7,000 sat come back to the wallet."
        )

    def test_shows_what_replaced_what_and_which_one_is_in_a_block(self, payout: Payout) -> None:
        bumped = replace(payout, 2)
        replace(payout, 3)
        Payout.objects.filter(pk=payout.pk).update(mined_txid=bumped.txid, mined_height=7, status="mined")
        found = drawn(payout)
        versions = [box for box in found.boxes if box.x == payout_graph.MIDDLE]
        assert [(box.lines[0], box.is_faded) for box in versions] == [
            ("1. Original, replaced", True),
            ("2. Fee bump, in a block", False),
            ("3. Fee bump, replaced", True),
        ]
        assert len([line for line in found.lines if line.is_replacement]) == 2

    def test_folds_many_versions_and_coins(self, payout: Payout) -> None:
        for number in range(2, 10):
            replace(payout, number)
        Reservation.objects.bulk_create(
            Reservation(
                payout=payout,
                position=position,
                txid=scenes.digest(f"coin {position}"),
                vout=0,
                amount_sat=1_000,
                script_pubkey=factories.make_script(),
            )
            for position in range(1, 9)
        )
        found = drawn(payout)
        heads = [box.lines[0] for box in found.boxes]
        assert "and 5 more coins" in heads
        assert "and 5 versions more" in heads
        assert len([box for box in found.boxes if box.x == payout_graph.MIDDLE]) == 5
        assert max(box.y + box.height for box in found.boxes) == found.height
        assert min(box.y for box in found.boxes) == 0

    def test_lets_a_void_pay_nobody(self, payout: Payout) -> None:
        void = replace(payout, 2, kind="void")
        found = drawn(payout)
        (box,) = [box for box in found.boxes if box.lines[0].startswith("2. Void")]
        out = [line for line in found.lines if line.path.startswith(f"M{box.x + box.width} {box.center} ")]
        assert len(out) == 1
        assert void.change_sat == 6_998

    def test_is_a_picture_with_a_description_that_only_holds_text(
        self, payout: Payout, auditor: User, browser: Browser
    ) -> None:
        shown = browser(auditor).get(page(payout)).content.decode()
        assert 'role="img" aria-labelledby="graph-title graph-words"' in shown
        assert "100 payments of" in shown
        tables = {t.title: t for t in browser(auditor).get(page(payout)).context["tables"]}
        assert [plain(row[0]) for row in tables["Outputs"].rows[-2:]] == [
            "and 96 more payments",
            "Back to the wallet",
        ]


class TestConfirmed:
    def test_counts_to_what_is_needed_and_comes_to_rest(
        self, payout: Payout, auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        asked = f'hx-get="{page(payout, "confirmed")}"'
        shown = client.get(page(payout, "confirmed"), headers={"HX-Request": "true"}).content.decode()
        assert asked in shown
        assert 'aria-valuemax="6" aria-valuenow="0"' in shown
        assert "A node has it; no block holds it yet." in shown
        tip = Block.objects.filter(is_active=True).latest("height")
        Payout.objects.filter(pk=payout.pk).update(
            status="mined", mined_height=tip.height, mined_block_hash=tip.block_hash
        )
        shown = client.get(page(payout)).content.decode()
        assert asked in shown
        assert 'aria-valuenow="1" aria-valuetext="1 of 6 blocks"' in shown
        Payout.objects.filter(pk=payout.pk).update(status="settled")
        Block.objects.create(
            block_hash="b9" * 32, prev_hash="b8" * 32, height=tip.height + 9, time=timezone.now()
        )
        part = client.get(page(payout, "confirmed"), headers={"HX-Request": "true"}).content.decode()
        assert "hx-get" not in part
        assert 'aria-valuenow="6" aria-valuetext="10 of 6 blocks"' in part

    def test_is_hidden_from_another_program_and_ends_with_the_session(
        self, payout: Payout, browser: Browser
    ) -> None:
        stranger = factories.make_member(factories.make_program("OTHER"), "officer")
        assert browser(stranger).get(page(payout, "confirmed")).status_code == 404
        part = Client().get(page(payout, "confirmed"), headers={"HX-Request": "true"})
        assert (part.status_code, part["HX-Refresh"]) == (286, "true")


class TestChart:
    def test_compares_versions_with_what_others_were_built_at(
        self, payout: Payout, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        versions = list(payout.txs.order_by("pk"))
        assert fee_chart.of_payout(payout, []) is None
        assert fee_chart.of_payout(payout, versions) is None
        make(program, officer, approver, releaser, 1, period="2026-12", feerate_sat_kvb=5_500)
        versions.append(replace(payout, 2))
        found = fee_chart.of_payout(payout, versions)
        assert found is not None
        assert [point["y"] for point in found.data["versions"]] == [2.0, 3.0, 3.0]
        assert [point["y"] for point in found.data["others"]] == [5.5]
        with translation.override("es"):
            spoken = fee_chart.of_payout(payout, versions)
        assert spoken is not None
        assert spoken.data["labels"]["versions"] == "Este envío"
        assert sorted(plain(what) + " " + plain(rate) for _, what, rate in found.rows) == [
            "Another payout 5.5 sat/vB",
            "Version 1 of this payout 2 sat/vB",
            "Version 2 of this payout 3 sat/vB",
        ]

    def test_compares_them_with_what_the_node_expected(self, payout: Payout) -> None:
        (version,) = versions = list(payout.txs.all())
        minute = version.built_at.replace(second=0, microsecond=0) + timedelta(minutes=1)
        # Of each minute the first look; one without an estimate, and what came before or after, tell nothing.
        for seconds, expected in (
            (-3_000, 1_000),
            (1, 4_000),
            (2, 9_000),
            (90, None),
            (150, 6_000),
            (7_000, 8_000),
        ):
            MempoolLook.objects.create(
                at=minute + timedelta(seconds=seconds),
                tx_count=1,
                vsize_vb=200,
                least_sat_kvb=1_000,
                hour_sat_kvb=expected,
            )
        with time_machine.travel(minute + timedelta(minutes=10), tick=False):
            found = fee_chart.of_payout(payout, versions)
        assert found is not None
        assert [point["y"] for point in found.data["expected"]] == [4.0, 6.0]
        assert [plain(what) + " " + plain(rate) for _, what, rate in found.rows] == [
            "Version 1 of this payout 2 sat/vB",
            "The node's estimate for an hour 4 sat/vB",
            "The node's estimate for an hour 6 sat/vB",
        ]


class TestQueries:
    def test_are_as_many_for_many_payments_versions_and_coins_as_for_few(
        self, program: Program, officer: User, approver: User, releaser: User, browser: Browser
    ) -> None:
        factories.fund(program, 100_000_000)
        client = browser(approver)
        found = []
        for period, count in (("2026-01", 2), ("2026-02", 60)):
            payout = make(program, officer, approver, releaser, count, period=period)
            for number in range(2, 2 + count // 2):
                replace(payout, number)
            Reservation.objects.bulk_create(
                Reservation(
                    payout=payout,
                    position=position,
                    txid=scenes.digest(f"coin {position} {period}"),
                    vout=0,
                    amount_sat=1_000,
                    script_pubkey=factories.make_script(),
                )
                for position in range(1, count)
            )
            client.get(page(payout))
            with CaptureQueriesContext(connection) as captured:
                assert client.get(page(payout)).status_code == 200
            found.append(len(captured))
        assert found[0] == found[1]
