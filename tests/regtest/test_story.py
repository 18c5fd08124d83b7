"""The story of docs/story.md runs as it stands, in curl and in Python, on a real node and with a receiver that checks.

The blocks run in a process of their own against a server in this one, which meanwhile does what workers do.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.local.regtest import Miner
from deploy.local.stack import ROOT
from ledger.seals import checkpoints, sealer
from payments.models import Disbursement, Payout, Wallet
from payments.payout import dispatch, events, hooks, proofs
from tests import factories
from tests.regtest.forger import SEED
from tests.regtest.ministry import follow, forget_installations, use_node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]

CAST = ("OFFICER", "APPROVER", "RELEASER", "FIRST", "SECOND")
ENDS_WITHIN_S = 600


def block(guide: str, language: str) -> str:
    """Return the one block of a language in a guide."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / guide).read_text(), re.DOTALL)
    return str(found)


class Workers:
    """Does what workers do, and mines; coins come once, when there is a wallet to send them to."""

    def __init__(self, miner: Miner) -> None:
        self.miner = miner
        self.is_funded = False

    def round(self) -> None:
        """Do all that waits now."""
        for wallet in Wallet.objects.filter(ready_at=None):
            follow(self.miner)
            forget_installations(self.miner, wallet.name)
            dispatch.provision(wallet_id=wallet.pk)
        for pk in Disbursement.objects.filter(status="released").values_list("pk", flat=True):
            dispatch.seal(disbursement_id=pk)
        for pk in Payout.objects.filter(status__in=["sealed", "committed", "signed"]).values_list(
            "pk", flat=True
        ):
            dispatch.advance(payout_id=pk)
        if Payout.objects.filter(status__in=["sent", "mined"]).exists():
            self.miner.mine(6)
            follow(self.miner)
            sealer.seal()
            checkpoints.issue()
            for pk in proofs.unproved().values_list("pk", flat=True):
                dispatch.prove(block_id=pk)
        events.number()
        for webhook in hooks.due():
            hooks.deliver(webhook.pk)

    def fund(self, address: str) -> None:
        """Send coins and bury them."""
        self.miner.fund([address], 1_000_000)
        self.miner.mine(1)
        follow(self.miner)


@pytest.mark.parametrize("language", ["sh", "python"])
def test_a_program_pays_and_proves_and_tells(
    language: str, live_server: Any, settings: Any, tmp_path: Path
) -> None:
    use_node(settings)
    settings.GOVPAY_SEAL_KEY = SEED
    settings.GOVPAY_OUTBOUND_LOOPBACK = True
    workers = Workers(Miner(settings.GOVPAY_NODE_URL))
    factories.make_administrator()
    logins = {"ADMINISTRATOR": f"administrator:{factories.PASSWORD}"}
    for who in CAST:
        factories.make_user(f"{who.lower()}-{language}")
        logins[who] = f"{who.lower()}-{language}:{factories.PASSWORD}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "receiver.py").write_text(block("webhooks.md", "python"))
    told = {
        "API": f"{live_server.url}/api/v1",
        "CODE": f"STORY{language.upper()}",
        "PORT": str(port),
        **logins,
    }
    words = ["bash", "-eu", "-c"] if language == "sh" else [sys.executable, "-c"]
    output = (tmp_path / "said").open("w+")
    story = subprocess.Popen(
        [*words, block("story.md", language)],
        cwd=tmp_path,
        env=os.environ | told,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    said = ""
    try:
        until = time.monotonic() + ENDS_WITHIN_S
        while story.poll() is None:
            assert time.monotonic() < until, (tmp_path / "said").read_text()
            workers.round()
            said = (tmp_path / "said").read_text()
            address = re.search(r"^fund (\S+)$", said, re.MULTILINE)
            if address and not workers.is_funded:
                workers.is_funded = True
                workers.fund(address[1])
            time.sleep(0.2)
    finally:
        story.kill()
        output.close()
    said = (tmp_path / "said").read_text()
    assert story.returncode == 0, said
    assert re.search(r"^disbursement.released [0-9]+$", said, re.MULTILINE), said
    assert re.search(r"^payout.settled [0-9]+$", said, re.MULTILINE), said
    assert Disbursement.objects.get().status == "completed"
    assert isinstance(json.loads((tmp_path / "receipt.json").read_bytes()), dict)
