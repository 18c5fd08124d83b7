"""Visits of the reserve on a real node: by the sweep, one at a time, anew for what was set meanwhile, and inconclusive."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from deploy.local.regtest import Miner
from ledger.models import ReserveBalance, ReserveScan
from payments import tasks
from payments.models import Alarm, HoldingAddress, ReserveStatus
from payments.payout import alone, rounds
from payments.reserve import scanning
from payments.services import proposals
from tests import sessions
from tests.regtest.ministry import use_node
from tests.regtest.reserve import Hold, hold, miner, security

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["hold", "miner", "security"]


class TestVisit:
    def test_is_rung_by_the_sweep_while_there_are_holdings_and_none_was_made(
        self, miner: Miner, hold: Hold
    ) -> None:
        assert list(rounds.reserve_to_scan()) == []
        hold(kind="addresses", addresses=[miner.make_address()])
        (ring,) = rounds.reserve_to_scan()
        assert (ring.task, ring.ids) == ("scan_reserve", {})
        tasks.scan_reserve()
        assert ReserveScan.objects.get() == ReserveStatus.objects.get().scan
        assert list(rounds.reserve_to_scan()) == []

    def test_comes_again_at_once_for_a_holding_that_was_set_meanwhile(
        self, miner: Miner, hold: Hold, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hold(kind="addresses", addresses=[miner.make_address()])
        look = scanning.look

        def look_while_somebody_confirms() -> ReserveScan:
            scan = look()
            hold(kind="addresses", addresses=[miner.make_address()])
            return scan

        monkeypatch.setattr(scanning, "look", look_while_somebody_confirms)
        scanning.visit()
        assert ReserveStatus.objects.get().state == "done"
        assert scanning.due() is True
        monkeypatch.setattr(scanning, "look", look)
        scanning.visit()
        assert scanning.due() is False
        assert ReserveBalance.objects.filter(scan=ReserveStatus.objects.get().scan).count() == 2

    def test_finds_nothing_once_the_last_holding_has_ended(
        self, miner: Miner, hold: Hold, security: User
    ) -> None:
        """Or the scan before would be told as what is held for ever."""
        held = hold(kind="addresses", addresses=[miner.make_address()])
        scanning.visit()
        ended = proposals.propose_holding(by=security, note="Moved.", holding_id=held.pk, is_ended=True)
        proposals.confirm(by=User.objects.get(username="samuel"), proposal_id=ended.pk)
        assert scanning.due() is True
        scanning.visit()
        newest = ReserveScan.objects.latest("pk")
        assert (ReserveScan.objects.count(), newest.balances.count(), scanning.due()) == (2, 0, False)
        ReserveStatus.objects.update(due_at=timezone.now())
        assert scanning.due() is False

    def test_is_one_at_a_time(self, miner: Miner, hold: Hold) -> None:
        hold(kind="addresses", addresses=[miner.make_address()])
        scanning.visit()
        # Somebody else is at it until then.
        ReserveStatus.objects.update(ended_at=None)
        scanning.visit()
        assert ReserveScan.objects.count() == 1
        assert ReserveStatus.objects.get().state == "running"


class TestInconclusive:
    def test_while_a_reconciliation_has_the_node_scan(self, miner: Miner, hold: Hold) -> None:
        hold(kind="addresses", addresses=[miner.make_address()])
        with sessions.holding(alone.SCAN_LOCK):
            scanning.visit()
            status = ReserveStatus.objects.get()
            assert (status.state, status.fault, status.scan) == ("inconclusive", "scan_inconclusive", None)
            with pytest.raises(CommandError, match="scan_inconclusive"):
                call_command("scan_reserve")
        assert ReserveScan.objects.count() == 0
        # It comes again in a minute, not in a day.
        assert (status.due_at - timezone.now()).total_seconds() < 61
        ReserveStatus.objects.update(due_at=timezone.now())
        scanning.visit()
        status = ReserveStatus.objects.get()
        assert (status.state, status.fault, status.scan) == ("done", "", ReserveScan.objects.get())

    def test_while_the_node_is_away(self, miner: Miner, hold: Hold, settings: Any) -> None:
        hold(kind="addresses", addresses=[miner.make_address()])
        settings.GOVPAY_NODE_URL = "http://u:p@127.0.0.1:9"
        scanning.visit()
        status = ReserveStatus.objects.get()
        assert (status.state, status.fault) == ("inconclusive", "node_unreachable")
        assert ReserveScan.objects.count() == 0
        late = timezone.now() + 3 * timezone.timedelta(seconds=settings.GOVPAY_RESERVE_S)
        scanning.tell(late)
        alarm = Alarm.objects.get(closed_at=None)
        assert alarm.code == "reserve_unscanned"
        assert status.message in alarm.message
        use_node(settings)
        scanning.look()
        scanning.tell(timezone.now())
        assert Alarm.objects.get(pk=alarm.pk).closed_at is not None


def test_the_command_prints_the_block_and_each_holding(
    miner: Miner, hold: Hold, capsys: pytest.CaptureFixture[str]
) -> None:
    where = miner.make_address()
    held = hold(kind="addresses", addresses=[where])
    miner.fund([where], 250_000)
    (block_hash,) = miner.mine(1)
    call_command("scan_reserve")
    scan = ReserveScan.objects.get()
    assert capsys.readouterr().out.splitlines() == [
        f"{scan}, {block_hash}, {scan.block_at:%Y-%m-%d %H:%M:%S} UTC.",
        f"reserve:1 {held.name}: 250000 sat on 1 addresses, verified; 0 reused, 0 over the cap.",
    ]
    assert HoldingAddress.objects.get().is_live is True
