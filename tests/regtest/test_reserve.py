"""The reserve on a real node: descriptors expanded, a thousand addresses in one call, reuse, caps, branches.

Each test's keys are its own, so that no other test's coins are on them.
"""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from deploy.local.regtest import Miner
from govpay.errors import InvalidInput
from ledger.models import Badge, ReserveBalance, ReserveCoin, ReserveScan, ReserveScanLoss
from payments.models import Alarm
from payments.onchain import descriptor, node
from payments.reserve import scanning
from payments.services import holdings
from tests.regtest.ministry import follow
from tests.regtest.reserve import COIN, Hold, addresses_of, branch, found, hold, miner, security, wallet

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["hold", "miner", "security"]


class TestDescriptor:
    def test_is_expanded_by_the_node_to_the_addresses_of_its_range(self, miner: Miner, hold: Hold) -> None:
        text = branch()
        held = hold(kind="descriptor", descriptor=text, first_index=3, last_index=7)
        assert addresses_of(held) == miner.node.call("deriveaddresses", text, [3, 7])
        assert (held.proposal.after["address_count"], held.cap_sat) == (5, 500 * COIN)

    def test_with_a_private_key_is_refused_before_the_node_hears_of_it(
        self, security: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[object] = []
        monkeypatch.setattr(node.Node, "call", lambda *given: asked.append(given))
        key = "tprv8" + "a" * 106
        text = descriptor.with_checksum(f"wpkh({key}/0/*)")
        with pytest.raises(descriptor.InvalidDescriptor) as refused:
            holdings.gather(by=security, kind="descriptor", descriptor=text, first_index=0, last_index=1)
        assert refused.value.details["rule"] == "private_key"
        assert key not in str(refused.value)
        assert asked == []

    def test_that_the_node_does_not_know_is_the_callers_fault(self, miner: Miner, security: User) -> None:
        text = descriptor.with_checksum("wpkh(tpubNothing/0/*)")
        with pytest.raises(InvalidInput) as refused:
            holdings.gather(by=security, kind="descriptor", descriptor=text, first_index=0, last_index=1)
        assert refused.value.details["errors"][0]["code"] == "descriptor_refused"


class TestScan:
    def test_of_a_thousand_addresses_is_one_call_at_one_block(
        self, miner: Miner, hold: Hold, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = hold(kind="descriptor", descriptor=branch(), first_index=0, last_index=999)
        paid = addresses_of(held)[::100]
        miner.fund(paid, 70_000)
        (block_hash,) = miner.mine(1)
        asked: list[str] = []
        call = node.Node.call

        def count(self: node.Node, method: str, *given: Any) -> Any:
            asked.append(method)
            return call(self, method, *given)

        monkeypatch.setattr(node.Node, "call", count)
        scan = scanning.look()
        assert asked.count("scantxoutset") == 1
        assert (scan.block_hash, scan.height) == (block_hash, miner.node.call("getblockcount"))
        assert scan.block_at.timestamp() == miner.node.call("getblockheader", block_hash)["time"]
        rows = found(scan)
        assert len(rows) == 1_000
        assert [row for row in rows if row[1]] == [(each, 70_000, 1) for each in paid]
        assert {row[1:] for row in rows if row[0] not in paid} == {(0, 0)}
        assert ReserveCoin.objects.filter(scan=scan).count() == len(paid)
        came = scan.inflows.order_by("address").values_list("scope", "address", "amount_sat")
        assert list(came) == [("reserve:1", each, 70_000) for each in sorted(paid)]
        # Another look finds nothing new.
        assert scanning.look().inflows.count() == 0

    def test_takes_what_is_declared_as_it_was_stated(self, miner: Miner, hold: Hold) -> None:
        elsewhere = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
        hold(kind="declared", network="bitcoin", addresses=[f"{elsewhere} 60000000000"], cap_sat=500 * COIN)
        scan = scanning.look()
        assert found(scan) == [(elsewhere, 600 * COIN, None)]
        (row,) = ReserveBalance.objects.filter(scan=scan)
        assert (row.badge, row.network, row.is_over_cap) == (Badge.DECLARED, "bitcoin", True)
        assert scan.block_hash == miner.node.call("getbestblockhash")

    def test_finds_an_address_that_receives_after_a_spend_and_says_so(self, miner: Miner, hold: Hold) -> None:
        vault = wallet(miner)
        used, quiet = (vault.call("getnewaddress", "", "bech32") for _ in range(2))
        held = hold(kind="addresses", addresses=[used, quiet])
        miner.fund([used, quiet], 500_000)
        miner.mine(1)
        first = scanning.look()
        assert found(first) == [(used, 500_000, 1), (quiet, 500_000, 1)]
        # All of one address goes; nothing is wrong with that.
        (coin,) = [each for each in vault.call("listunspent") if each["address"] == used]
        raw = vault.call("createrawtransaction", [_outpoint(coin)], [{miner.make_address(): "0.00499"}])
        miner.node.call("sendrawtransaction", vault.call("signrawtransactionwithwallet", raw)["hex"])
        miner.mine(1)
        spent = scanning.look()
        marks = ReserveBalance.objects.filter(scan=spent).order_by("pk")
        assert list(marks.values_list("amount_sat", "is_spent", "is_reused")) == [
            (0, True, False),
            (500_000, False, False),
        ]
        # Then it receives again.
        miner.fund([used], 40_000)
        miner.mine(1)
        again = scanning.look()
        marks = ReserveBalance.objects.filter(scan=again).order_by("pk")
        assert list(marks.values_list("amount_sat", "is_spent", "is_reused")) == [
            (40_000, True, True),
            (500_000, False, False),
        ]
        scanning.tell(timezone.now())
        alarm = Alarm.objects.get(closed_at=None, subject="holding")
        assert (alarm.code, alarm.subject_id) == ("reserve_reused", held.pk)

    def test_flags_what_is_above_the_cap_until_it_is_split(self, miner: Miner, hold: Hold) -> None:
        vault = wallet(miner)
        where = vault.call("getnewaddress", "", "bech32")
        held = hold(kind="addresses", addresses=[where], cap_sat=100_000)
        miner.fund([where], 100_001)
        miner.mine(1)
        scan = scanning.look()
        assert ReserveBalance.objects.get(scan=scan).is_over_cap is True
        scanning.tell(timezone.now())
        assert Alarm.objects.get(closed_at=None).code == "reserve_over_cap"
        (coin,) = vault.call("listunspent")
        raw = vault.call("createrawtransaction", [_outpoint(coin)], [{miner.make_address(): "0.0009"}])
        miner.node.call("sendrawtransaction", vault.call("signrawtransactionwithwallet", raw)["hex"])
        miner.mine(1)
        scanning.look()
        scanning.tell(timezone.now())
        assert Alarm.objects.get(code="reserve_over_cap", subject_id=held.pk).closed_at is not None


def _outpoint(coin: dict[str, Any]) -> dict[str, Any]:
    return {"txid": coin["txid"], "vout": coin["vout"]}


class TestReorganization:
    def test_marks_the_scan_whose_block_is_gone_and_what_it_saw_is_no_spend(
        self, miner: Miner, hold: Hold
    ) -> None:
        where = miner.make_address()
        hold(kind="addresses", addresses=[where])
        miner.mine(1)
        before = scanning.look()
        txid = miner.fund([where], 300_000)
        miner.mine(1)
        gone = scanning.look()
        assert found(gone) == [(where, 300_000, 1)]
        # The block leaves, and the coin with it: it was never spent.
        miner.reorg(1, 2, with_mempool=False)
        after = scanning.look()
        assert list(ReserveScanLoss.objects.values_list("scan", flat=True)) == [gone.pk]
        (balance,) = ReserveBalance.objects.filter(scan=after)
        assert (balance.amount_sat, balance.is_spent) == (0, False)
        miner.node.call("getmempoolentry", txid)
        miner.mine(1)
        again = scanning.look()
        (balance,) = ReserveBalance.objects.filter(scan=again)
        assert (balance.amount_sat, balance.is_spent, balance.is_reused) == (300_000, False, False)
        assert set(scanning.reserve.standing()) == {before, after, again}

    def test_is_seen_by_the_sweep_too_which_has_the_reserve_scanned_anew(
        self, miner: Miner, hold: Hold
    ) -> None:
        hold(kind="addresses", addresses=[miner.make_address()])
        miner.mine(1)
        follow(miner)
        scanning.visit()
        scan = ReserveScan.objects.get()
        assert scanning.due() is False
        scanning.tell(timezone.now())
        assert ReserveScanLoss.objects.count() == 0
        miner.reorg(1, 2)
        follow(miner)
        scanning.tell(timezone.now())
        assert ReserveScanLoss.objects.get().scan == scan
        assert scanning.due() is True
        scanning.visit()
        assert scanning.due() is False
        assert scanning.reserve.standing().get().block_hash == miner.node.call("getbestblockhash")
