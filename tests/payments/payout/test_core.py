"""The pure core: every status with every observation, and what no observation may ever lead to."""

from itertools import product

import pytest

from payments.onchain.send import SendOutcome
from payments.payout import core
from payments.states import PayoutStatus

TXID = "aa" * 32
OBSERVATIONS: list[core.Observation] = [
    core.Nothing(),
    core.CoinsThere(),
    core.CoinGone("bb:0"),
    core.Signed(b"raw"),
    core.SignerLacks(),
    core.SignerContradicts("altered"),
    *(core.SendReply(outcome, "why") for outcome in SendOutcome),
    core.Spender(None),
    core.Spender(TXID),
    core.Spender("cc" * 32),
]
EXPECTED = {
    (PayoutStatus.SEALED, core.Nothing()): core.CheckCoins,
    (PayoutStatus.SEALED, core.CoinsThere()): core.Commit,
    (PayoutStatus.SEALED, core.CoinGone("bb:0")): core.Unseal,
    (PayoutStatus.COMMITTED, core.Nothing()): core.Sign,
    (PayoutStatus.COMMITTED, core.Signed(b"raw")): core.Persist,
    (PayoutStatus.COMMITTED, core.SignerLacks()): core.Retry,
    (PayoutStatus.COMMITTED, core.SignerContradicts("altered")): core.Freeze,
}
SENDING = {
    core.Nothing(): core.Send,
    core.SendReply(SendOutcome.ACCEPTED, "why"): core.RecordSent,
    core.SendReply(SendOutcome.KNOWN, "why"): core.RecordSent,
    core.SendReply(SendOutcome.UNKNOWN, "why"): core.Retry,
    core.SendReply(SendOutcome.FEE_TOO_LOW, "why"): core.Retry,
    core.SendReply(SendOutcome.CHAIN_TOO_LONG, "why"): core.Retry,
    core.SendReply(SendOutcome.MISSING_INPUTS, "why"): core.FindSpender,
    core.SendReply(SendOutcome.CONFLICT, "why"): core.FindSpender,
    core.SendReply(SendOutcome.FEE_TOO_HIGH, "why"): core.Freeze,
    core.SendReply(SendOutcome.REJECTED, "why"): core.Freeze,
    core.Spender(None): core.Retry,
    core.Spender(TXID): core.RecordSent,
    core.Spender("cc" * 32): core.Freeze,
}
for sending in (PayoutStatus.SIGNED, PayoutStatus.SENT):
    EXPECTED |= {(sending, seen): command for seen, command in SENDING.items()}
AT_REST = (PayoutStatus.UNSEALED, PayoutStatus.MINED, PayoutStatus.SETTLED, PayoutStatus.FROZEN)


def snapshot(status: str, *, is_due: bool = True) -> core.Snapshot:
    raw = None if status in (PayoutStatus.SEALED, PayoutStatus.COMMITTED, PayoutStatus.UNSEALED) else b"raw"
    return core.Snapshot(1, status, TXID, raw, is_due)


class TestDecide:
    @pytest.mark.parametrize(("status", "seen"), list(product(PayoutStatus, OBSERVATIONS)))
    def test_answers_every_status_and_observation(self, status: str, seen: core.Observation) -> None:
        if status in AT_REST:
            assert core.decide(snapshot(status), seen) == core.Rest()
        elif (status, seen) in EXPECTED:
            assert isinstance(core.decide(snapshot(status), seen), EXPECTED[status, seen])
        else:
            with pytest.raises(core.Impossible):
                core.decide(snapshot(status), seen)

    def test_offers_sent_bytes_again_only_when_they_are_due(self) -> None:
        assert core.decide(snapshot(PayoutStatus.SENT, is_due=False), core.Nothing()) == core.Rest()

    def test_sends_exactly_the_stored_bytes(self) -> None:
        assert core.decide(snapshot(PayoutStatus.SIGNED), core.Nothing()) == core.Send(b"raw")

    def test_unseals_only_what_no_signer_can_have_seen(self) -> None:
        for status, seen in product(PayoutStatus, OBSERVATIONS):
            try:
                command = core.decide(snapshot(status), seen)
            except core.Impossible:
                continue
            assert not isinstance(command, core.Unseal) or status == PayoutStatus.SEALED
