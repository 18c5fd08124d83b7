"""The people of a ministry while everything breaks: they release lists, step in, and pay anew what was voided.

Imported once Django is set up for the stage's database. A person whose request fails tries again later.
"""

import random
from collections.abc import Callable
from contextlib import suppress

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.db.models import Q
from django.db.utils import InterfaceError

from deploy.local.regtest import Miner
from deploy.local.rpc import Rpc, RpcError
from govpay.errors import GovPayError
from payments.models import (
    Coin,
    Destination,
    Disbursement,
    InterventionKind,
    Payment,
    Payout,
    PayoutKind,
    ScriptPurpose,
    Stop,
    Wallet,
)
from payments.onchain import address, network
from payments.payout import consolidate
from payments.services import disbursements, holds, interventions, reissues, stops
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus
from tests import factories

DEPOSITS, DEPOSIT_SAT, SMALL_SAT = 12, 8_000_000, 40_000
ROLES = ("officer", "approver", "releaser", "treasurer", "auditor")
K = InterventionKind
# Blocks come every two seconds, so that patience is short; coins are merged at any rate that comes by itself.
RULES = {
    "group_max_payments": 4,
    "bump_after_blocks": 3,
    "consolidate_feerate_sat_kvb": 5_000,
    "consolidate_budget_daily_sat": 1_000_000,
}
# One list in so many holds a payment that no node relays (F42).
POISONED = 5


class Ministry:
    """One program and its officers. ``asked`` counts what they did, and what was refused."""

    def __init__(self, draw: random.Random, node_url: str) -> None:
        self.draw = draw
        self.node_url = node_url
        self.serial = 0
        self.asked: dict[str, int] = {}
        self.program = factories.make_program("CHAOS", is_ready=False, **RULES)
        self.people: dict[str, User] = {role: factories.make_member(self.program, role) for role in ROLES}
        self.actions: dict[Callable[[], None], int] = {
            self.list_people: 6,
            self.give_up: 4,
            self.pay_anew: 3,
            self.bump: 2,
            self.pay_by_child: 2,
            self.lift_halt: 2,
            self.thaw: 2,
            self.judge_refused: 1,
            self.merge_coins: 3,
            self.switch: 1,
        }

    def funding_address(self) -> str | None:
        """Where the treasury sends coins, once a worker has made the wallet."""
        script = self.program.wallet.scripts.filter(purpose=ScriptPurpose.FUNDING).first()
        if script is None:
            return None
        return address.address_from_script(bytes(script.script_pubkey), network.current())

    def act(self) -> None:
        """Let somebody do something; whatever the database does meanwhile, they come back later."""
        (action,) = self.draw.choices(list(self.actions), list(self.actions.values()))
        self.ask(action)

    def ask(self, action: Callable[[], None]) -> None:
        """Do something, and count how it was refused."""
        try:
            action()
        except GovPayError as error:
            self.count(f"refused: {error.code}")
        except (OSError, RpcError):
            self.count("node away")
        except (DatabaseError, InterfaceError):
            self.count("database away")
            connection.close()

    def count(self, what: str) -> None:
        self.asked[what] = self.asked.get(what, 0) + 1

    # Lists

    def list_people(self) -> None:
        """Make a list of new people and pass it on until it is released."""
        self.serial += 1
        amounts = [self.draw.randint(1_000, 40_000) for _ in range(self.draw.randint(1, 14))]
        made = factories.make_disbursement(
            self.program, self.people["officer"], amounts_sat=amounts, period=f"P{self.serial}"
        )
        if self.draw.randrange(POISONED) == 0:
            # A push of two bytes and no more: anybody could take it.
            line = self.draw.choice(list(made.payments.order_by("line")))
            odd = b"\x02" + self.serial.to_bytes(2, "big")
            Destination.objects.filter(beneficiary=line.beneficiary_id).update(script_pubkey=odd)
            self.count("payment that no node relays")
        self.pass_on(made)
        self.count("list released")

    def pay_anew(self) -> None:
        """Make a list of what a voided payout did not pay, and pass it on."""
        voided = Payment.objects.filter(status=PaymentStatus.VOIDED, reissues=None)
        payout_id = voided.order_by("payout").values_list("payout", flat=True).first()
        if payout_id is not None:
            self.pass_on(reissues.of_payout(by=self.people["officer"], payout_id=payout_id))
            self.count("list reissued")

    def pass_on(self, made: Disbursement) -> None:
        """Submit, approve and release it, from wherever it lies."""
        if made.status == DisbursementStatus.DRAFT:
            made = disbursements.submit(by=self.people["officer"], disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        if made.status == DisbursementStatus.SUBMITTED:
            disbursements.approve(by=self.people["approver"], disbursement_id=made.pk, manifest_hash=agreed)
        disbursements.release(by=self.people["releaser"], disbursement_id=made.pk, manifest_hash=agreed)

    def judge_refused(self) -> None:
        """Try a payment that the node refused again, or withdraw it."""
        held = Payment.objects.filter(status=PaymentStatus.HELD).order_by("pk").first()
        if held is not None:
            decide = self.draw.choice([holds.resume, holds.withdraw])
            decide(by=self.people["officer"], payment_id=held.pk, note="Looked at.")
            self.count(f"refused payment: {decide.__name__}")

    # Payouts

    def bump(self) -> None:
        """Raise the fee of a payout that waits."""
        self._step_in(K.BUMP, self._pick_waiting(), self.draw.choice([3_000, 6_000, 12_000]))

    def pay_by_child(self) -> None:
        """Raise the fee of a payout that waits, by a child of its change."""
        self._step_in(K.CHILD, self._pick_waiting(), self.draw.choice([6_000, 12_000]))

    def give_up(self) -> None:
        """Void a payout that waits, or that stands still; only when that is final may it be paid anew.

        What stands still because a stranger took its anchor cannot be given up, so that people do not ask for it alone.
        """
        found = [pk for pk in (self._pick_frozen(), self._pick_waiting()) if pk is not None]
        payout_id = self.draw.choice(found) if found else None
        self._step_in(K.VOID, payout_id, self.draw.choice([3_000, 6_000]))

    def thaw(self) -> None:
        """Let a payout that stands still go on."""
        self._step_in(K.THAW, self._pick_frozen(), None)

    def _pick_frozen(self) -> int | None:
        return self._pick(Q(status=PayoutStatus.FROZEN))

    def _pick_waiting(self) -> int | None:
        """People look at their node: what a block holds already, they leave alone."""
        pool = Rpc(self.node_url).call("getrawmempool")
        return self._pick(Q(status=PayoutStatus.SENT, kind=PayoutKind.PAYMENTS, txs__txid__in=pool))

    def _pick(self, which: Q) -> int | None:
        found = Payout.objects.filter(which).order_by("pk").distinct()
        ids = list(found.values_list("pk", flat=True))
        return self.draw.choice(ids) if ids else None

    def _step_in(self, kind: str, payout_id: int | None, feerate_sat_kvb: int | None) -> None:
        """A treasurer looks and asks; an approver agrees where two are needed."""
        if payout_id is None:
            return
        by = self.people["treasurer"]
        shown = interventions.preview(by=by, payout_id=payout_id, kind=kind, feerate_sat_kvb=feerate_sat_kvb)
        asked = interventions.propose(by=by, payout_id=payout_id, kind=kind, note="Looked at.", shown=shown)
        if asked.needs_second:
            interventions.approve(by=self.people["approver"], intervention_id=asked.pk)
        self.count(f"{kind} agreed")

    # The wallet and the engine

    def lift_halt(self) -> None:
        """Let a wallet pay again that was halted because a stranger took a coin of it."""
        by, program_id = self.people["treasurer"], self.program.pk
        if Wallet.objects.filter(program=program_id, halted_at=None).exists():
            return
        shown = interventions.look_at_halt(by=by, program_id=program_id)
        asked = interventions.propose_unhalt(by=by, program_id=program_id, note="Looked at.", shown=shown)
        interventions.approve(by=self.people["approver"], intervention_id=asked.pk)
        self.count("unhalt agreed")

    def merge_coins(self) -> None:
        """Send small coins to the wallet when it has few, and let the ten minutes between two mergers go by."""
        where = self.funding_address()
        small = Coin.objects.filter(wallet__program=self.program, amount_sat=SMALL_SAT, spent_by_txid=None)
        if where is not None and small.count() < consolidate.LEAST_MERGED:
            miner = Miner(self.node_url)
            for _ in range(consolidate.LEAST_MERGED):
                miner.fund([where], SMALL_SAT)
        Wallet.objects.filter(program=self.program).update(consolidate_due_at=None)

    def switch(self) -> None:
        """Throw the stop, or lift it."""
        stop = Stop.objects.filter(is_open=True).first()
        if stop is None:
            if self.draw.random() < 0.3:
                stops.throw(by=self.people["auditor"], reason="An auditor looks at something.")
                self.count("stop thrown")
        else:
            stops.lift(by=self.people["treasurer"], stop_id=stop.pk, reason="It was nothing.")
            self.count("stop lifted")

    # The end of the day

    def calm_down(self) -> None:
        """Lift the stop, and pass on every list that somebody left lying about."""
        with suppress(DatabaseError):
            connection.close()
        for stop in Stop.objects.filter(is_open=True):
            stops.lift(by=self.people["treasurer"], stop_id=stop.pk, reason="The day is over.")
        lying = [DisbursementStatus.DRAFT, DisbursementStatus.SUBMITTED, DisbursementStatus.APPROVED]
        for made in Disbursement.objects.filter(status__in=lying):
            self.ask(lambda made=made: self.pass_on(made))  # type: ignore[misc]
        for held in Payment.objects.filter(status=PaymentStatus.HELD):
            self.ask(
                lambda held=held: (
                    holds.withdraw(  # type: ignore[misc]
                        by=self.people["officer"], payment_id=held.pk, note="The day is over."
                    )
                    and None
                )
            )

    def mend(self) -> None:
        """Do what people must do for the engine to go on: lift the halt, and decide about what stands still."""
        self.ask(self.lift_halt)
        self.ask(self.draw.choice([self.thaw, self._void_frozen]))

    def _void_frozen(self) -> None:
        self._step_in(K.VOID, self._pick_frozen(), 6_000)

    def pay_all_anew(self) -> None:
        """Pay anew everything that is void by now."""
        while Payment.objects.filter(status=PaymentStatus.VOIDED, reissues=None).exists():
            before = self.asked.get("list reissued", 0)
            self.ask(self.pay_anew)
            if self.asked.get("list reissued", 0) == before:
                return
