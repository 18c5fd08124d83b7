"""The same world with a stop switch in it, thrown and lifted while workers are in the middle of their visits."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.simulation.machine import PayoutMachine, Worker


class StoppingMachine(PayoutMachine):
    """Under the brake no worker claims, commits, signs or sends; once it is lifted everybody is paid."""

    @rule(reason=st.sampled_from(["", "An auditor stopped the engine."]))
    def brake(self, reason: str) -> None:
        """Somebody throws the stop, or lifts it."""
        self.store.brake = reason

    def step(self, worker: Worker) -> bool:
        signed, sent = set(self.network.signed), self.network.offers
        status = self.store.payouts[worker.payout_id].status
        goes_on = super().step(worker)
        if self.store.brake:
            assert set(self.network.signed) == signed, "signed under the brake"
            assert self.network.offers == sent, "sent under the brake"
            moved = self.store.payouts[worker.payout_id].status
            assert (status, moved) != ("sealed", "committed"), "committed under the brake"
        return goes_on

    def teardown(self) -> None:
        if hasattr(self, "network"):
            self.store.brake = ""
        super().teardown()
