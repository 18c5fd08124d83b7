"""A ministry on a real node: a funded program, its officers, and lists on their way."""

import time
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from deploy.local.regtest import Miner
from deploy.local.rpc import Rpc
from payments.models import Disbursement, NodeStatus, Payment, Payout, Program, ScriptPurpose, Signer
from payments.onchain import address, network, node
from payments.payout import dispatch
from payments.services import disbursements
from tests import approvals, factories, services
from tests.invariants import installation


@dataclass
class Ministry:
    """The doors that tests use: everything is done by the product's own services and doorbells."""

    program: Program
    miner: Miner
    officer: User
    approver: User
    releaser: User

    @classmethod
    def open(cls, *, deposits_sat: list[int], code: str = "PENSIONS", **rules: Any) -> "Ministry":
        """Make a program with a wallet in the node, and confirm these deposits."""
        miner = Miner(settings.GOVPAY_NODE_URL)
        program = factories.make_program(code, is_ready=False, **rules)
        follow(miner)
        forget_installations(miner, program.wallet.name)
        dispatch.provision(wallet_id=program.wallet.pk)
        ministry = cls(
            program,
            miner,
            *(factories.make_member(program, role) for role in ("officer", "approver", "releaser")),
        )
        ministry.deposit(deposits_sat)
        return ministry

    def deposit(self, amounts_sat: list[int]) -> None:
        """Confirm these deposits of the treasury."""
        for amount_sat in amounts_sat:
            self.miner.fund([self.funding_address()], amount_sat)
        self.mine(1)

    def funding_address(self) -> str:
        """Where the treasury sends coins."""
        script = self.program.wallet.scripts.get(purpose=ScriptPurpose.FUNDING)
        return address.address_from_script(bytes(script.script_pubkey), network.current())

    def release(self, amounts_sat: list[int], period: str = "2026-11") -> Disbursement:
        """Make, submit, approve and release a list of new people."""
        return self.go_on(
            factories.make_disbursement(self.program, self.officer, amounts_sat=amounts_sat, period=period)
        )

    def release_to(self, amounts_sat: list[int], scripts: dict[int, bytes]) -> Disbursement:
        """Release a list of which some lines, by number, pay to scripts that the registry would not take."""
        copy = disbursements._copy_destinations

        def copy_others(made: Disbursement) -> None:
            copy(made)
            for line, script in scripts.items():
                Payment.objects.filter(disbursement=made, line=line).update(script_pubkey=script)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(disbursements, "_copy_destinations", copy_others)
            return self.release(amounts_sat)

    def go_on(self, made: Disbursement) -> Disbursement:
        """Submit, approve and release a draft."""
        made = disbursements.submit(by=self.officer, disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=self.approver, disbursement_id=made.pk, manifest_hash=agreed)
        if self.program.wallet.signer == Signer.PSBT:
            approvals.sign(made, self.approver)
        return disbursements.release(by=self.releaser, disbursement_id=made.pk, manifest_hash=agreed)

    def pay(self, disbursement: Disbursement) -> list[Payout]:
        """Ring the doorbells that workers would answer."""
        dispatch.seal(disbursement_id=disbursement.pk)
        for pk in self.payouts(disbursement).values_list("pk", flat=True):
            dispatch.advance(payout_id=pk)
        return list(self.payouts(disbursement))

    def payouts(self, disbursement: Disbursement):  # type: ignore[no-untyped-def]
        """Return its payouts in order."""
        return Payout.objects.filter(disbursement=disbursement).order_by("pk")

    def mine(self, blocks: int) -> None:
        """Mine and follow."""
        self.miner.mine(blocks)
        follow(self.miner)

    def wallet_rpc(self) -> Rpc:
        """Speak to the program's wallet in the node, as somebody who has its keys could."""
        return Rpc(settings.GOVPAY_NODE_URL, wallet=self.program.wallet.name)

    def judge(self, *, exactly: bool) -> None:
        """Let the independent checker look at database and node."""
        parts = connection.get_connection_params()
        url = f"host={parts['host']} port={parts['port']} user={parts['user']} dbname={parts['dbname']}"
        if parts.get("password"):
            url += f" password={parts['password']}"
        installation.judge(url, settings.GOVPAY_NODE_URL, exactly=exactly)


def forget_installations(miner: Miner, wallet: str) -> None:
    """Take the labels of earlier tests off the node's wallet: each test is an installation of its own."""
    if all(entry["name"] != wallet for entry in miner.node.call("listwalletdir")["wallets"]):
        return
    node.Node(settings.GOVPAY_NODE_URL).load_wallet(wallet)
    of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet)
    for label in of_wallet.call("listlabels"):
        if label.startswith("govpay:"):
            for where in of_wallet.call("getaddressesbylabel", label):
                of_wallet.call("setlabel", where, "")


def follow(miner: Miner) -> None:
    """Follow until the node's tip is read and derived, perhaps by a worker that holds the follower's lock now."""
    best = miner.node.call("getbestblockhash")
    deadline = time.monotonic() + 30
    while NodeStatus.objects.filter(block_hash=best).count() == 0:
        assert time.monotonic() < deadline, "the follower did not reach the tip in 30 s"
        dispatch.follow()


def use_node(settings_fixture: object) -> None:
    """Point the settings at the real node of the test run."""
    settings_fixture.GOVPAY_NODE_URL = services.ensure_node().url  # type: ignore[attr-defined]
