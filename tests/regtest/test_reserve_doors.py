"""A proof of reserves through the API and the admin on a real node: refused by its rule, kept once it proves all of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from deploy.local.regtest import Miner
from deploy.local.rpc import Rpc
from payments.models import Program, ReserveProof
from payments.reserve import scanning
from tests import factories
from tests.payments.api import expect
from tests.regtest.reserve import Hold, hold, miner, security, wallet
from tests.regtest.test_signing_returned import api

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["hold", "miner", "security"]
PROOFS = "/api/v1/reserve/proofs/"


@pytest.fixture
def vault(miner: Miner, hold: Hold) -> Rpc:
    """A wallet that holds an output of the reserve."""
    made = wallet(miner)
    where = made.call("getnewaddress", "", "bech32")
    hold(kind="addresses", addresses=[where])
    miner.fund([where], 80_000)
    miner.mine(1)
    scanning.look()
    return made


def test_the_api_takes_what_a_wallet_signed_and_hands_it_to_everybody(
    vault: Rpc, program: Program, security: User
) -> None:
    treasurer = factories.make_member(program, "treasurer", "tara")
    made = expect.ok(api(security).post(PROOFS, {"scope": "reserve:1", "message": "By the API"}), 201)
    address = f"{PROOFS}{made['id']}/"
    psbt = expect.ok(api(treasurer).get(f"{address}file/"))["psbt"]
    refused = expect.problem(
        api(treasurer).post(f"{address}answer/", {"signed": psbt}), 422, "reserves_not_proved"
    )
    assert refused["details"]["rule"] == "signature"
    assert ReserveProof.objects.get().state == "asked"
    signed = vault.call("walletprocesspsbt", psbt)["psbt"]
    done = expect.ok(api(treasurer).post(f"{address}answer/", {"signed": signed}))
    assert (done["state"], done["answered_by"]) == ("proved", "tara")
    file: dict[str, Any] = expect.ok(api(security).get(f"{address}file/"))
    shown = Client().get(f"/transparency/proofs/{made['id']}.json").json()
    assert shown == {name: value for name, value in file.items() if name != "psbt"}
    assert len(shown["tx"]) > len(bytes(ReserveProof.objects.get().unsigned_tx).hex())


def test_the_admin_checks_it_before_anything_is_kept(vault: Rpc, program: Program, security: User) -> None:
    treasurer = factories.make_member(program, "treasurer", "tara")
    client, other = Client(), Client()
    client.force_login(security)
    other.force_login(treasurer)
    client.post("/admin/payments/reserveproof/ask/", {"scope": "reserve:1", "message": "By a page"})
    page = f"/admin/payments/reserveproof/{ReserveProof.objects.get().pk}"
    psbt = other.get(f"{page}/download/").json()["psbt"]
    refused = other.post(f"{page}/answer/", {"signed": psbt})
    assert refused.status_code == 422
    assert "Input 1 is not signed" in refused.content.decode()
    other.post(f"{page}/answer/", {"signed": vault.call("walletprocesspsbt", psbt)["psbt"]})
    assert ReserveProof.objects.get().state == "proved"
    assert "proved" in client.get(f"{page}/change/").content.decode()
