"""Answers to a send: each reason a node was seen to give means what the payout needs to know."""

import pytest

from payments.onchain import rpc, send
from payments.onchain.send import SendOutcome

# Code and reason as Bitcoin Knots 29.4 and Bitcoin Core give them.
REFUSALS = [
    (-27, "Transaction outputs already in utxo set", SendOutcome.KNOWN),
    (-27, "Transaction already in block chain", SendOutcome.KNOWN),
    (-26, "txn-already-in-mempool", SendOutcome.KNOWN),
    (-26, "txn-already-known", SendOutcome.KNOWN),
    (-26, "txn-same-nonwitness-data-in-mempool", SendOutcome.KNOWN),
    (-25, "bad-txns-inputs-missingorspent", SendOutcome.MISSING_INPUTS),
    (-25, "Missing inputs", SendOutcome.MISSING_INPUTS),
    (-26, "min relay fee not met, 1 < 110", SendOutcome.FEE_TOO_LOW),
    (-26, "mempool min fee not met, 110 < 220", SendOutcome.FEE_TOO_LOW),
    (-26, "mempool full", SendOutcome.FEE_TOO_LOW),
    (
        -25,
        "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
        SendOutcome.FEE_TOO_HIGH,
    ),
    (-26, "max-fee-exceeded", SendOutcome.FEE_TOO_HIGH),
    (
        -26,
        "too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]",
        SendOutcome.CHAIN_TOO_LONG,
    ),
    (-26, "too-large-cluster", SendOutcome.CHAIN_TOO_LONG),
    (-26, "txn-mempool-conflict", SendOutcome.CONFLICT),
    (
        -26,
        "insufficient fee, rejecting replacement ab; new feerate 0.00001818 BTC/kvB <= old feerate 0.00002",
        SendOutcome.CONFLICT,
    ),
    (-26, "bad-txns-spends-conflicting-tx, ab spends conflicting transaction cd", SendOutcome.CONFLICT),
    (-26, "dust-nonanchor", SendOutcome.REJECTED),
    (-26, "dust", SendOutcome.REJECTED),
    (-26, "non-final", SendOutcome.REJECTED),
    (
        -26,
        "mempool-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)",
        SendOutcome.REJECTED,
    ),
    (-25, "Unspendable output exceeds maximum configured by user (maxburnamount)", SendOutcome.REJECTED),
    (-26, "bad-txns-premature-spend-of-coinbase, tried to spend at depth 99", SendOutcome.MISSING_INPUTS),
    # These speak of the node and not of the tx.
    (-1, "std::bad_alloc", SendOutcome.UNKNOWN),
    (-31, "Error: Peer-to-peer functionality missing or disabled", SendOutcome.UNKNOWN),
    (-32603, "Internal bug detected", SendOutcome.UNKNOWN),
    (-22, "TX decode failed. Make sure the tx has at least one input.", SendOutcome.REJECTED),
]


class TestClassify:
    @pytest.mark.parametrize(("rpc_code", "reason", "outcome"), REFUSALS)
    def test_knows_each_refusal(self, rpc_code: int, reason: str, outcome: SendOutcome) -> None:
        error = rpc.RpcError(method="sendrawtransaction", rpc_code=rpc_code, reason=reason)
        assert send.classify(error) == (outcome, None, reason)

    def test_takes_a_txid_as_acceptance(self) -> None:
        assert send.classify("ab" * 32) == (SendOutcome.ACCEPTED, "ab" * 32, "")

    @pytest.mark.parametrize(
        "error",
        [rpc.NodeTimeout("t"), rpc.NodeBusy("b"), rpc.NodeReplyInvalid("i"), rpc.NodeUnreachable("u")],
    )
    def test_takes_every_other_failure_as_unknown(self, error: rpc.NodeError) -> None:
        assert send.classify(error) == (SendOutcome.UNKNOWN, None, error.message)

    def test_calls_only_two_outcomes_success(self) -> None:
        assert {o for o in SendOutcome if o.is_success} == {SendOutcome.ACCEPTED, SendOutcome.KNOWN}
