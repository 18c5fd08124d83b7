"""Offers txs to the node's mempool and asks what waits there and at which feerates, one typed verb each."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from payments.onchain import amount, fee, rpc, send, tx
from payments.onchain.endpoint import Endpoint

_ALL_COINS = 21_000_000
# Part of every node's word for a tx that is right in all but its signatures.
_SIGNATURES_REFUSED = "script-verify-flag"


class MempoolEntry(NamedTuple):
    """A tx in the mempool: its own fee and vsize, and those of all that would leave the mempool with it."""

    fee_sat: int
    vsize_vb: int
    descendant_fee_sat: int
    descendant_count: int


class MempoolInfo(NamedTuple):
    """How full the mempool is, and the least feerate that it takes now."""

    tx_count: int
    vsize_vb: int
    least_sat_kvb: int


class TestReply(NamedTuple):
    """What the node says of a tx without signatures; not acceptable and not lacking inputs: its outputs are refused."""

    is_acceptable: bool
    lacks_inputs: bool
    reason: str


class Mempool(Endpoint):
    """What a node's mempool takes and has."""

    def send_raw(self, raw: bytes, *, max_feerate_sat_kvb: int, txid: str | None = None) -> send.SendReply:
        """Broadcast a tx, any number of times, and return what the answer means (send.classify).

        The answer is compared with ``txid``, which a caller that knows it need not have computed again.
        Raises tx.MalformedTx, and NodeUnreachable and NodeUnauthorized, after which nothing was sent. All
        else is an outcome: an answer that may hide an acceptance is UNKNOWN.
        """
        txid = txid or tx.txid_of(raw)
        try:
            answer = self.call("sendrawtransaction", raw.hex(), fee.btc_kvb(max_feerate_sat_kvb))
        except (rpc.NodeUnreachable, rpc.NodeUnauthorized):
            raise
        except rpc.NodeError as error:
            return send.classify(error)
        if answer != txid:
            return send.classify(rpc.NodeReplyInvalid("The node answered a send with another txid."))
        return send.classify(txid)

    def test_unsigned(self, unsigned: bytes) -> TestReply:
        """Ask whether the mempool would take a tx but for its signatures, which the node looks at last."""
        found = self.call("testmempoolaccept", [unsigned.hex()])[0]
        reason = str(found.get("reject-reason", ""))
        if found["allowed"] or _SIGNATURES_REFUSED in reason:
            return TestReply(is_acceptable=True, lacks_inputs=False, reason=reason)
        outcome = send.classify_reason(reason)
        return TestReply(
            is_acceptable=outcome not in (None, send.SendOutcome.MISSING_INPUTS),
            lacks_inputs=outcome == send.SendOutcome.MISSING_INPUTS,
            reason=reason,
        )

    def mempool_has(self, txid: str) -> bool:
        """Tell whether the tx waits in the node's mempool."""
        return self.mempool_entry(txid) is not None

    def mempool_entry(self, txid: str) -> MempoolEntry | None:
        """Return what the node's mempool says of a tx, None when it is not there."""
        try:
            found = self.call("getmempoolentry", txid)
        except rpc.RpcError as error:
            if error.rpc_code == rpc.NOT_FOUND:
                return None
            raise
        return MempoolEntry(
            fee_sat=amount.sat_from_node(found["fees"]["base"]),
            vsize_vb=int(found["vsize"]),
            descendant_fee_sat=amount.sat_from_node(found["fees"]["descendant"]),
            descendant_count=int(found["descendantcount"]),
        )

    def mempool_lacks(self, txids: Sequence[str]) -> set[str]:
        """Return those of the txs that do not wait in the node's mempool."""
        answers = self.call_many("getmempoolentry", [(txid,) for txid in txids])
        lacking = set()
        for txid, answer in zip(txids, answers, strict=True):
            if isinstance(answer, rpc.RpcError):
                if answer.rpc_code != rpc.NOT_FOUND:
                    raise answer
                lacking.add(txid)
        return lacking

    def mempool_tx(self, txid: str) -> bytes | None:
        """Return a tx that waits in the node's mempool, None when it has left it."""
        try:
            return bytes.fromhex(self.call("getrawtransaction", txid))
        except rpc.RpcError as error:
            if error.rpc_code == rpc.NOT_FOUND:
                return None
            raise

    def mempool_spender(self, outpoints: Sequence[tx.OutPoint]) -> str | None:
        """Return the txid of the mempool's tx that spends the first of the outpoints that is spent, or None."""
        return next(iter(self.mempool_spenders(outpoints)), None)

    def mempool_spenders(self, outpoints: Sequence[tx.OutPoint]) -> list[str]:
        """Return the txids of the mempool's txs that spend any of the outpoints, each once, in their order."""
        asked = [{"txid": outpoint.txid, "vout": outpoint.vout} for outpoint in outpoints]
        found = self.call("gettxspendingprevout", asked)
        return list(dict.fromkeys(entry["spendingtxid"] for entry in found if "spendingtxid" in entry))

    def mempool_info(self) -> MempoolInfo:
        """Return how full the mempool is, and the least feerate that it takes now."""
        found = self.call("getmempoolinfo")
        return MempoolInfo(int(found["size"]), int(found["bytes"]), _least_feerate(found))

    def mempool_min_feerate_sat_kvb(self) -> int:
        """Return the least feerate that this node's mempool takes now."""
        return _least_feerate(self.call("getmempoolinfo"))

    def incremental_feerate_sat_kvb(self) -> int:
        """Return the feerate, over its own size, by which a replacement must outbid what it replaces (BIP125)."""
        return fee.feerate_from_btc_kvb(self.call("getmempoolinfo")["incrementalrelayfee"])

    def estimate_feerate_sat_kvb(self, target_blocks: int) -> int | None:
        """Return the feerate expected to confirm within the blocks, None while the node has no estimate.

        What is no number at all is no estimate either; zero and less are passed on as they are.
        """
        found = self.call("estimatesmartfee", target_blocks)
        feerate: Any = found.get("feerate") if isinstance(found, dict) else None
        # More coins than there are is as little an estimate as a word is.
        if isinstance(feerate, bool) or not isinstance(feerate, int | Decimal):
            return None
        if abs(Decimal(feerate)) > _ALL_COINS:
            return None
        return fee.feerate_from_btc_kvb(feerate)


def _least_feerate(found: Any) -> int:
    return fee.feerate_from_btc_kvb(max(found["mempoolminfee"], found["minrelaytxfee"]))
