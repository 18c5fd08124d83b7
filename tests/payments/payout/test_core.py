"""The pure core: every status with every observation, and what no observation may ever lead to."""

import dataclasses
from itertools import product

import pytest

from payments.onchain.send import SendOutcome
from payments.payout import core, words
from payments.states import PayoutStatus

TXID = "aa" * 32
OLDER = "bb" * 32
SIGNED = words.Version(TXID, b"raw")
FALLBACK = words.Version(OLDER, b"older", is_older=True)
OBSERVATIONS: list[words.Observation] = [
    words.Nothing(),
    words.CoinsThere(),
    words.CoinGone("bb:0"),
    words.Acceptable(),
    words.Poisoned((7,), "dust"),
    words.Claimed(),
    words.Signed(b"raw"),
    words.SignerWaits("one of two", 60),
    words.SignerContradicts("altered"),
    *(words.SendReply(outcome, "why") for outcome in SendOutcome),
    words.Spender(None),
    words.Spender(TXID),
    words.Spender(OLDER),
    words.Spender("cc" * 32),
    *(words.SendReply(outcome, "why", is_older=True) for outcome in SendOutcome),
    words.Sendable(None),
    words.Sendable(FALLBACK),
]
EXPECTED = {
    (PayoutStatus.SEALED, words.Nothing()): words.CheckCoins,
    (PayoutStatus.SEALED, words.CoinsThere()): words.Examine,
    (PayoutStatus.SEALED, words.CoinGone("bb:0")): words.Unseal,
    (PayoutStatus.SEALED, words.Acceptable()): words.Claim,
    (PayoutStatus.SEALED, words.Poisoned((7,), "dust")): words.Quarantine,
    (PayoutStatus.SEALED, words.Claimed()): words.Commit,
}
ALIVE = {
    words.Nothing(): words.Send,
    words.Signed(b"raw"): words.Persist,
    words.SignerWaits("one of two", 60): words.Send,
    words.SignerContradicts("altered"): words.Freeze,
    words.SendReply(SendOutcome.ACCEPTED, "why"): words.RecordSent,
    words.SendReply(SendOutcome.KNOWN, "why"): words.RecordSent,
    words.SendReply(SendOutcome.UNKNOWN, "why"): words.Retry,
    words.SendReply(SendOutcome.FEE_TOO_LOW, "why"): words.WantFee,
    words.SendReply(SendOutcome.CHAIN_TOO_LONG, "why"): words.Retry,
    words.SendReply(SendOutcome.MISSING_INPUTS, "why"): words.FindSpender,
    words.SendReply(SendOutcome.CONFLICT, "why"): words.FindSpender,
    words.SendReply(SendOutcome.FEE_TOO_HIGH, "why"): words.Freeze,
    words.SendReply(SendOutcome.REJECTED, "why"): words.Freeze,
    words.Spender(None): words.FindSendable,
    words.Spender(TXID): words.RecordSent,
    words.Spender(OLDER): words.RecordSent,
    words.Spender("cc" * 32): words.Freeze,
    words.Sendable(None): words.Retry,
    words.Sendable(FALLBACK): words.Send,
}
for outcome in SendOutcome:
    # Whatever becomes of an older version, no question leads back to it in the same visit.
    is_open = outcome in (SendOutcome.MISSING_INPUTS, SendOutcome.CONFLICT)
    older = words.SendReply(outcome, "why", is_older=True)
    ALIVE[older] = words.Retry if is_open else ALIVE[words.SendReply(outcome, "why")]
for alive in core.ALIVE:
    EXPECTED |= {(alive, seen): command for seen, command in ALIVE.items()}
AT_REST = set(PayoutStatus) - {PayoutStatus.SEALED, *core.ALIVE}


def snapshot(
    status: str, *, is_due: bool = True, is_pending: bool = False, has_bytes: bool = True
) -> words.Snapshot:
    return words.Snapshot(
        1,
        status,
        txids=frozenset([OLDER, TXID]) if has_bytes else frozenset(),
        signed=SIGNED if has_bytes else None,
        is_pending=is_pending,
        is_due=is_due,
    )


class TestDecide:
    @pytest.mark.parametrize(("status", "seen"), list(product(PayoutStatus, OBSERVATIONS)))
    def test_answers_every_status_and_observation(self, status: str, seen: words.Observation) -> None:
        if status in AT_REST:
            assert core.decide(snapshot(status), seen) == words.Rest()
        elif (status, seen) in EXPECTED:
            assert isinstance(core.decide(snapshot(status), seen), EXPECTED[status, seen])
        else:
            with pytest.raises(core.Impossible):
                core.decide(snapshot(status), seen)

    def test_offers_sent_bytes_again_only_when_they_are_due(self) -> None:
        assert core.decide(snapshot(PayoutStatus.SENT, is_due=False), words.Nothing()) == words.Rest()

    def test_sends_exactly_the_stored_bytes(self) -> None:
        assert core.decide(snapshot(PayoutStatus.SIGNED), words.Nothing()) == words.Send(SIGNED)

    @pytest.mark.parametrize("status", core.ALIVE)
    def test_signs_what_waits_for_a_signature_first(self, status: str) -> None:
        waiting = snapshot(status, is_pending=True)
        assert core.decide(waiting, words.Nothing()) == words.Sign()
        assert core.decide(waiting, words.SignerWaits("one of two", 60)) == words.Send(SIGNED)

    def test_waits_for_the_signer_when_there_is_nothing_to_send(self) -> None:
        waiting = snapshot(PayoutStatus.COMMITTED, is_pending=True, has_bytes=False)
        assert core.decide(waiting, words.SignerWaits("one of two", 60)) == words.Retry(
            "one of two", 60, is_failure=False
        )
        not_due = snapshot(PayoutStatus.SENT, is_pending=True, is_due=False)
        assert core.decide(not_due, words.SignerWaits("one of two", 60)) == words.Retry(
            "one of two", 60, is_failure=False
        )

    def test_takes_an_earlier_version_in_the_node_for_a_success_that_it_names(self) -> None:
        command = core.decide(snapshot(PayoutStatus.SENT), words.Spender(OLDER))
        assert isinstance(command, words.RecordSent)
        assert OLDER in command.note

    @pytest.mark.parametrize("status", [PayoutStatus.SEALED, *core.ALIVE])
    def test_commits_signs_and_sends_nothing_under_the_brake(self, status: str) -> None:
        for is_pending, seen in product((False, True), OBSERVATIONS):
            free = snapshot(status, is_pending=is_pending)
            braked = dataclasses.replace(free, brake="stopped")
            try:
                command = core.decide(free, seen)
            except core.Impossible:
                continue
            expected = (
                words.Retry("stopped", 5, is_failure=False) if isinstance(command, core.BRAKED) else command
            )
            assert core.decide(braked, seen) == expected

    def test_stores_under_the_brake_what_a_signer_returned(self) -> None:
        braked = dataclasses.replace(snapshot(PayoutStatus.COMMITTED, is_pending=True), brake="stopped")
        assert core.decide(braked, words.Signed(b"raw")) == words.Persist(b"raw")

    def test_unseals_only_what_no_signer_can_have_seen(self) -> None:
        for status, seen in product(PayoutStatus, OBSERVATIONS):
            try:
                command = core.decide(snapshot(status), seen)
            except core.Impossible:
                continue
            assert not isinstance(command, words.Unseal | words.Quarantine) or status == PayoutStatus.SEALED

    def test_takes_nothing_back_that_was_counted_as_handed_to_a_signer(self) -> None:
        claimed = dataclasses.replace(snapshot(PayoutStatus.SEALED, has_bytes=False), is_claimed=True)
        assert core.decide(claimed, words.CoinGone("bb:0")) == words.Commit()
        braked = dataclasses.replace(claimed, brake="stopped")
        assert isinstance(core.decide(braked, words.CoinGone("bb:0")), words.Retry)


class TestDelays:
    def test_of_retries_double_to_a_minute_with_a_quarter_of_spread(self) -> None:
        middles = [5, 10, 20, 40, 60, 60, 60]
        for attempts, middle_s in enumerate(middles):
            found = {core.retry_s(payout_id, attempts) for payout_id in range(1, 500)}
            assert min(found) >= middle_s * 3 // 4
            assert max(found) <= middle_s * 5 // 4 + 1
            assert len(found) > middle_s // 3
        assert core.retry_s(1, 4_000_000_000) <= 75

    def test_of_rebroadcasts_double_to_an_hour_while_a_node_keeps_the_tx(self) -> None:
        accepted = words.SendReply(SendOutcome.ACCEPTED)
        delays = []
        for offers in range(9):
            state = words.Snapshot(7, PayoutStatus.SENT, frozenset([TXID]), SIGNED, False, offers=offers)
            command = core.decide(state, accepted)
            assert isinstance(command, words.RecordSent)
            delays.append(command.delay_s)
        middles = [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
        for delay_s, middle_s in zip(delays, middles, strict=True):
            assert middle_s * 3 // 4 <= delay_s <= middle_s * 5 // 4
        assert core.decide(state, accepted) == command

    def test_of_a_fee_that_is_too_low_double_to_ten_minutes(self) -> None:
        low = words.SendReply(SendOutcome.FEE_TOO_LOW, "min relay fee not met")
        for attempts, middle_s in ((0, 60), (1, 120), (3, 480), (4, 600), (50, 600)):
            state = words.Snapshot(7, PayoutStatus.SENT, frozenset([TXID]), SIGNED, False, attempts=attempts)
            command = core.decide(state, low)
            assert isinstance(command, words.WantFee)
            assert middle_s * 3 // 4 <= command.delay_s <= middle_s * 5 // 4
