"""The reserve for anybody: by address at a block, proofs as files, a limit and caches, and nobody's name (R-28, R-32)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ledger.treasury import reserve
from payments.models import Holding, Program, ReserveProof
from payments.services import reserve_proofs
from tests import factories

pytestmark = pytest.mark.django_db

A = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
B = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
ROOT = "/transparency/"


@pytest.fixture
def held(program: Program) -> Holding:
    return factories.make_holding([A, B])


def proved(security: User, by: User) -> ReserveProof:
    """A proof that was given; what checks it is tested on a real node."""
    made = reserve_proofs.ask(by=security, scope="reserve:1", message="Audit 7f3a")
    ReserveProof.objects.filter(pk=made.pk).update(
        signed_tx=b"\x02\x00",
        answered_by=by,
        proved_at=timezone.now(),
        proved_height=102,
        proved_hash="cd" * 32,
    )
    return ReserveProof.objects.get()


def test_shows_each_address_at_the_newest_block_that_stands(held: Holding, client: Client) -> None:
    assert client.get(f"{ROOT}reserve.json").status_code == 404
    at = timezone.now() - timedelta(hours=1)
    factories.make_scan(held, [(1, A, 2_100_000_000)], at=at)
    reserve.lose([factories.make_scan(held, [(2, B, 5)], height=101)])
    answer = client.get(f"{ROOT}reserve.json")
    found = answer.json()
    assert (found["block_height"], found["block_hash"], found["network"]) == (100, f"{100:064x}", "regtest")
    assert found["institutions"] == [
        {
            "scope": "reserve:1",
            "verified_sat": 2_100_000_000,
            "declared_sat": 0,
            "share_percent": "0.00010000",
        }
    ]
    assert [(row["address"], row["badge"], row["amount_sat"]) for row in found["addresses"]] == [
        (B, "verified", 0),
        (A, "verified", 2_100_000_000),
    ]
    assert answer["Cache-Control"] == "public, max-age=300"
    again = client.get(f"{ROOT}reserve.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    factories.make_scan(held, [(1, A, 7)], height=102)
    changed = client.get(f"{ROOT}reserve.json", headers={"If-None-Match": answer["ETag"]})
    assert changed.json()["block_height"] == 102


def test_hands_out_proofs_that_were_given_and_names_nobody(
    held: Holding, program: Program, client: Client
) -> None:
    security = factories.make_member(program, "security", "sana-khan")
    treasurer = factories.make_member(program, "treasurer", "tara-malik")
    factories.make_scan(held, [(1, A, 700)])
    made = proved(security, treasurer)
    waiting = reserve_proofs.ask(by=security, scope="reserve:1", message="Another")
    found = client.get(f"{ROOT}reserve.json").json()
    assert found["proofs"] == [
        {
            "id": made.pk,
            "scope": "reserve:1",
            "message": "Audit 7f3a",
            "amount_sat": 700,
            "height": 100,
            "all_unspent_at": 102,
        }
    ]
    answer = client.get(f"{ROOT}proofs/{made.pk}.json")
    assert answer.json() == reserve_proofs.document(made)
    assert client.get(f"{ROOT}proofs/{waiting.pk}.json").status_code == 404
    text = answer.content.decode() + client.get(f"{ROOT}reserve.json").content.decode()
    for name in ("sana", "khan", "tara", "malik"):
        assert name not in text


def test_is_limited_by_address(held: Holding, client: Client, settings: Any) -> None:
    settings.GOVPAY_RATES = settings.GOVPAY_RATES | {"public": 3}
    factories.make_scan(held, [(1, A, 700)])
    answers = [client.get(f"{ROOT}reserve.json", REMOTE_ADDR="198.51.100.7") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) in range(1, 61)
    assert answers[-1]["Cache-Control"] == "no-store"
    assert client.get(f"{ROOT}reserve.json", REMOTE_ADDR="198.51.100.8").status_code == 200
    assert client.post(f"{ROOT}reserve.json", REMOTE_ADDR="198.51.100.9").status_code == 405
