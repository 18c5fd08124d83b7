"""Blocks: the header commits to every tx, and a scan finds exactly what is ours."""

import pytest
from bitcoin.core import CBlock, CMutableTransaction, COutPoint, CTransaction, CTxIn, CTxOut
from bitcoin.core.script import CScript
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import block, scan, tx

OURS, CHANGE, THEIRS = (b"\x00\x14" + bytes([n]) * 20 for n in (1, 2, 3))
OLD = tx.OutPoint("11" * 32, 4)


def made_tx(spent: list[tx.OutPoint], paid: list[tuple[int, bytes]]) -> CTransaction:
    return CTransaction(
        [CTxIn(COutPoint(bytes.fromhex(o.txid)[::-1], o.vout)) for o in spent],
        [CTxOut(sat, CScript(script)) for sat, script in paid],
        0,
        2,
    )


def made_block(txs: list[CTransaction]) -> bytes:
    root = CBlock(2, bytes(32), bytes(32), 7, 0x207FFFFF, 0, txs).calc_merkle_root()
    return bytes(CBlock(2, b"\xaa" * 32, root, 7, 0x207FFFFF, 0, txs).serialize())


def outpoint_of(made: CTransaction, vout: int) -> tx.OutPoint:
    return tx.OutPoint(made.GetTxid()[::-1].hex(), vout)


COINBASE = CTransaction(CMutableTransaction([CTxIn()]).vin, [CTxOut(5_000_000_000, CScript(THEIRS))], 0, 2)
FUNDING = made_tx([tx.OutPoint("22" * 32, 0)], [(1000, THEIRS), (900, OURS)])
CHAINED = made_tx([outpoint_of(FUNDING, 1)], [(800, THEIRS)])
SPENDING = made_tx([OLD], [(500, THEIRS), (400, CHANGE)])
STRANGER = made_tx([tx.OutPoint("33" * 32, 0)], [(1, THEIRS)])


class TestParse:
    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
    def test_reads_header_and_txs(self, count: int) -> None:
        txs = [COINBASE, FUNDING, CHAINED, SPENDING, STRANGER][:count]
        raw = made_block(txs)
        theirs = CBlock.deserialize(raw)
        found = block.parse(raw, block_hash=theirs.GetHash()[::-1].hex())
        assert (found.hash, found.prev_hash, found.time) == (theirs.GetHash()[::-1].hex(), "aa" * 32, 7)
        assert [t.txid for t in found.txs] == [t.GetTxid()[::-1].hex() for t in txs]
        assert [t.raw for t in found.txs] == [t.serialize() for t in txs]

    def test_refuses_another_block_than_asked_for(self) -> None:
        with pytest.raises(block.MalformedBlock, match="another block"):
            block.parse(made_block([COINBASE]), block_hash="00" * 32)

    def test_refuses_a_tx_the_header_does_not_commit_to(self) -> None:
        raw = made_block([COINBASE, FUNDING])
        with pytest.raises(block.MalformedBlock, match="commits to"):
            block.parse(raw.replace((900).to_bytes(8, "little"), (901).to_bytes(8, "little")))

    def test_refuses_a_tail_repeated_under_the_same_root(self) -> None:
        txs = [COINBASE, FUNDING, CHAINED]
        root = CBlock.deserialize(made_block(txs)).hashMerkleRoot
        repeated = CBlock(2, b"\xaa" * 32, root, 7, 0x207FFFFF, 0, [*txs, CHAINED])
        assert repeated.calc_merkle_root() == root
        with pytest.raises(block.MalformedBlock, match="twice"):
            block.parse(repeated.serialize())

    @given(st.integers(0, len(made_block([COINBASE, FUNDING])) - 1))
    def test_refuses_every_truncation(self, length: int) -> None:
        with pytest.raises(block.MalformedBlock):
            block.parse(made_block([COINBASE, FUNDING])[:length])


class TestMovements:
    def test_yields_what_is_ours_in_block_order(self) -> None:
        found = block.parse(made_block([COINBASE, STRANGER, FUNDING, CHAINED, SPENDING]))
        moved = list(scan.movements(found, {OURS, CHANGE}, {OLD}))
        assert [(m.tx.txid, m.received, m.spent) for m in moved] == [
            (outpoint_of(FUNDING, 0).txid, ((outpoint_of(FUNDING, 1), tx.Output(900, OURS)),), ()),
            (outpoint_of(CHAINED, 0).txid, (), (outpoint_of(FUNDING, 1),)),
            (outpoint_of(SPENDING, 0).txid, ((outpoint_of(SPENDING, 1), tx.Output(400, CHANGE)),), (OLD,)),
        ]

    def test_yields_nothing_of_a_block_of_strangers(self) -> None:
        found = block.parse(made_block([COINBASE, STRANGER]))
        assert list(scan.movements(found, {OURS}, {OLD})) == []


class TestBranches:
    @pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
    def test_lead_from_each_tx_to_the_root(self, count: int) -> None:
        raw = made_block([made_tx([tx.OutPoint("11" * 32, n)], [(n + 1, THEIRS)]) for n in range(count)])
        found = block.parse(raw)
        txids = [each.txid for each in found.txs]
        branches = block.branches(txids, set(txids))
        assert len(branches) == count
        for txid, steps in branches.items():
            reached = bytes.fromhex(txid)[::-1]
            for is_left, other in steps:
                reached = tx.double_sha256(other + reached if is_left else reached + other)
            assert reached == found.header[36:68]

    def test_are_of_the_blocks_own_txs_only(self) -> None:
        with pytest.raises(ValueError):
            block.branches(["11" * 32], {"22" * 32})
