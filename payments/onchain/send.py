"""Says what a node's answer to a send means for the payout, because a refusal may be a success."""

from enum import StrEnum
from typing import NamedTuple

from payments.onchain import rpc

_VERIFY_ERROR = -25
_REJECTED = -26
_ALREADY_IN_CHAIN = -27
_UNDECODABLE = -22
_VERDICTS = (_VERIFY_ERROR, _REJECTED, _UNDECODABLE)


class SendOutcome(StrEnum):
    """What is known after a send; only the first two mean that the tx is where it should be."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    MISSING_INPUTS = "missing_inputs"
    FEE_TOO_LOW = "fee_too_low"
    FEE_TOO_HIGH = "fee_too_high"
    CHAIN_TOO_LONG = "chain_too_long"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @property
    def is_success(self) -> bool:
        """Tell whether the node has the tx, in its mempool or in a block."""
        return self in (SendOutcome.ACCEPTED, SendOutcome.KNOWN)


class SendReply(NamedTuple):
    """The outcome of a send, the txid if the node gave one, and the node's own reason if it refused."""

    outcome: SendOutcome
    txid: str | None
    reason: str


# Searched in this order in the node's reason, lower case; the first that occurs decides.
_REASONS: tuple[tuple[str, SendOutcome], ...] = (
    ("txn-already-in-mempool", SendOutcome.KNOWN),
    ("txn-already-known", SendOutcome.KNOWN),
    ("txn-same-nonwitness-data-in-mempool", SendOutcome.KNOWN),
    ("already in block chain", SendOutcome.KNOWN),
    ("already in utxo set", SendOutcome.KNOWN),
    ("missingorspent", SendOutcome.MISSING_INPUTS),
    ("missing-inputs", SendOutcome.MISSING_INPUTS),
    # The chain became shorter for a moment; as with an input that is not there, its block may come back.
    ("premature-spend-of-coinbase", SendOutcome.MISSING_INPUTS),
    ("max-fee-exceeded", SendOutcome.FEE_TOO_HIGH),
    ("absurdly-high-fee", SendOutcome.FEE_TOO_HIGH),
    ("fee exceeds maximum", SendOutcome.FEE_TOO_HIGH),
    ("mempool-chain", SendOutcome.CHAIN_TOO_LONG),
    ("too-large-cluster", SendOutcome.CHAIN_TOO_LONG),
    ("cluster-size", SendOutcome.CHAIN_TOO_LONG),
    ("replacement-adds-unconfirmed", SendOutcome.CONFLICT),
    ("too many potential replacements", SendOutcome.CONFLICT),
    ("txn-mempool-conflict", SendOutcome.CONFLICT),
    ("insufficient fee, rejecting replacement", SendOutcome.CONFLICT),
    ("insufficient feerate", SendOutcome.CONFLICT),
    ("spends-conflicting-tx", SendOutcome.CONFLICT),
    ("replacement-failed", SendOutcome.CONFLICT),
    ("insufficient fee", SendOutcome.CONFLICT),
    ("mempool min fee not met", SendOutcome.FEE_TOO_LOW),
    ("min relay fee not met", SendOutcome.FEE_TOO_LOW),
    ("mempool full", SendOutcome.FEE_TOO_LOW),
)


def classify(answer: str | rpc.NodeError) -> SendReply:
    """Return what the txid, or the error, of a sendrawtransaction means.

    MISSING_INPUTS is also what a node says of a tx that is mined and whose outputs are all spent: look up who
    spent its inputs. UNKNOWN is every answer after which the node may or may not have taken the tx.
    """
    if isinstance(answer, str):
        return SendReply(SendOutcome.ACCEPTED, answer, "")
    if not isinstance(answer, rpc.RpcError):
        return SendReply(SendOutcome.UNKNOWN, None, answer.message)
    return SendReply(_outcome(answer.rpc_code, answer.reason.lower()), None, answer.reason)


def classify_reason(reason: str) -> SendOutcome | None:
    """Return what a node's reason means if it speaks of fee, inputs or mempool, None if of the tx itself."""
    reason = reason.lower()
    return next((outcome for part, outcome in _REASONS if part in reason), None)


def _outcome(rpc_code: int, reason: str) -> SendOutcome:
    if rpc_code == _ALREADY_IN_CHAIN:
        return SendOutcome.KNOWN
    outcome = classify_reason(reason)
    if outcome is not None:
        return outcome
    if rpc_code == _VERIFY_ERROR and "missing" in reason:
        return SendOutcome.MISSING_INPUTS
    # Any other code speaks of the node, such as one without memory or peers, and not of the tx.
    return SendOutcome.REJECTED if rpc_code in _VERDICTS else SendOutcome.UNKNOWN
