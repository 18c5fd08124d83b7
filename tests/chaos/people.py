"""The people of a ministry while everything breaks: they release lists, stop the engine, and let it go on.

Imported once Django is set up for the stage's database. A person whose request fails tries again later.
"""

import random
from collections.abc import Callable
from contextlib import suppress

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.db.utils import InterfaceError

from govpay.errors import GovPayError
from payments.models import Disbursement, InterventionKind, Payout, PayoutKind, PayoutTx, ScriptPurpose, Stop
from payments.onchain import address, network, node
from payments.payout import bump, child
from payments.services import disbursements, interventions, stops
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories

DEPOSITS, DEPOSIT_SAT = 12, 8_000_000
ROLES = ("officer", "approver", "releaser", "treasurer", "auditor")


class Ministry:
    """One program and its officers. ``asked`` counts what they did, and what was refused."""

    def __init__(self, draw: random.Random, node_url: str) -> None:
        self.draw = draw
        self.node_url = node_url
        self.serial = 0
        self.asked: dict[str, int] = {}
        self.program = factories.make_program("CHAOS", is_ready=False, group_max_payments=4)
        self.people: dict[str, User] = {role: factories.make_member(self.program, role) for role in ROLES}

    def funding_address(self) -> str | None:
        """Where the treasury sends coins, once a worker has made the wallet."""
        script = self.program.wallet.scripts.filter(purpose=ScriptPurpose.FUNDING).first()
        if script is None:
            return None
        return address.address_from_script(bytes(script.script_pubkey), network.current())

    def act(self) -> None:
        """Let somebody do something; whatever the database does meanwhile, they come back later."""
        action = self.draw.choice(
            [self.list_people] * 5 + [self.switch] + [self.bump] * 2 + [self.pay_by_child, self.give_up]
        )
        try:
            action()
        except GovPayError as error:
            self.count(f"refused: {error.code}")
        except (DatabaseError, InterfaceError):
            self.count("database away")
            connection.close()

    def count(self, what: str) -> None:
        self.asked[what] = self.asked.get(what, 0) + 1

    def list_people(self) -> None:
        """Make a list of new people and pass it on until it is released."""
        self.serial += 1
        amounts = [self.draw.randint(1_000, 40_000) for _ in range(self.draw.randint(1, 14))]
        made = factories.make_disbursement(
            self.program, self.people["officer"], amounts_sat=amounts, period=f"P{self.serial}"
        )
        made = disbursements.submit(by=self.people["officer"], disbursement_id=made.pk)
        self.pass_on(made)
        self.count("list released")

    def pass_on(self, made: Disbursement) -> None:
        """Approve and release it."""
        agreed = bytes(made.manifest_hash or b"")
        if made.status == DisbursementStatus.SUBMITTED:
            disbursements.approve(by=self.people["approver"], disbursement_id=made.pk, manifest_hash=agreed)
        disbursements.release(by=self.people["releaser"], disbursement_id=made.pk, manifest_hash=agreed)

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

    def bump(self) -> None:
        """Raise the fee of a payout that waits, by our own builder."""
        self._raise(bump.build, "bump")

    def pay_by_child(self) -> None:
        """Raise the fee of a payout that waits, by a child of its change."""
        self._raise(child.build, "child")

    def _raise(self, build: Callable[[int, int, node.Node], PayoutTx], name: str) -> None:
        waiting = Payout.objects.filter(status=PayoutStatus.SENT).order_by("pk")
        payout_id = waiting.values_list("pk", flat=True).first()
        if payout_id is None:
            return
        # Asked directly: people look at a node that works, and find the engine's own broken or not.
        client = node.Node(self.node_url, timeout_s=3)
        try:
            build(payout_id, self.draw.choice([3_000, 6_000, 12_000]), client)
        finally:
            client.close()
        self.count(name)

    def give_up(self) -> None:
        """Two people void a payout that waits; only when that is final may its payments be issued again."""
        waiting = Payout.objects.filter(status=PayoutStatus.SENT, kind=PayoutKind.PAYMENTS).order_by("pk")
        payout_id = waiting.values_list("pk", flat=True).first()
        if payout_id is None:
            return
        treasurer = self.people["treasurer"]
        kind = InterventionKind.VOID
        shown = interventions.preview(by=treasurer, payout_id=payout_id, kind=kind, feerate_sat_kvb=6_000)
        proposed = interventions.propose(
            by=treasurer, payout_id=payout_id, kind=kind, note="Given up.", shown=shown
        )
        interventions.approve(by=self.people["approver"], intervention_id=proposed.pk)
        self.count("void agreed")

    def calm_down(self) -> None:
        """Lift the stop, and pass on every list that somebody left lying about."""
        with suppress(DatabaseError):
            connection.close()
        for stop in Stop.objects.filter(is_open=True):
            stops.lift(by=self.people["treasurer"], stop_id=stop.pk, reason="The day is over.")
        waiting = [DisbursementStatus.SUBMITTED, DisbursementStatus.APPROVED]
        for made in Disbursement.objects.filter(status__in=waiting):
            with suppress(GovPayError):
                self.pass_on(made)
