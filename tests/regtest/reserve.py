"""A public sector on a real node: holdings that two people set, wallets that spend from them, and what a scan found."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as live
from django.contrib.auth.models import User
from django.utils import timezone

from deploy.local.regtest import Miner
from deploy.local.rpc import Rpc
from ledger.models import ReserveBalance, ReserveScan
from payments.models import Holding, Program
from payments.onchain import descriptor
from payments.services import holdings, proposals
from tests import factories, signers
from tests.regtest.ministry import follow, use_node

COIN = 100_000_000
_serial = itertools.count(1)
Hold = Callable[..., Holding]


@pytest.fixture
def miner(settings: Any) -> Miner:
    use_node(settings)
    made = Miner(settings.GOVPAY_NODE_URL)
    follow(made)
    return made


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def hold(miner: Miner, program: Program, security: User) -> Hold:
    """Have a holding proposed by one and confirmed by another."""
    second = factories.make_member(program, "security", "samuel")

    def make(**asked: Any) -> Holding:
        known = {"scope": "reserve:1", "name": f"Vault {next(_serial)}"} | asked
        own = ("kind", "descriptor", "first_index", "last_index", "addresses")
        known["addresses"] = holdings.gather(by=security, **{k: known[k] for k in own if k in known})
        made = proposals.propose_holding(by=security, note="A drill.", **known)
        assert not Holding.objects.filter(proposal=made).exists()
        proposals.confirm(by=second, proposal_id=made.pk)
        return Holding.objects.get(proposal=made)

    return make


def branch() -> str:
    """A watch-only descriptor of one branch, of keys that no other test has."""
    signer = signers.SoftSigner(f"reserve-{next(_serial)}")
    return descriptor.parse(signers.single(signer)).of_branch(0)


def wallet(miner: Miner) -> Rpc:
    """A wallet of the node that can spend, of its own."""
    name = f"reserve-{next(_serial)}-{timezone.now().timestamp()}"
    miner.node.call("createwallet", wallet_name=name, descriptors=True)
    return Rpc(live.GOVPAY_NODE_URL, wallet=name)


def addresses_of(holding: Holding) -> list[str]:
    return list(holding.addresses.order_by("pk").values_list("address", flat=True))


def found(scan: ReserveScan, **filters: Any) -> list[tuple[Any, ...]]:
    rows = ReserveBalance.objects.filter(scan=scan, **filters).order_by("pk")
    return list(rows.values_list("address", "amount_sat", "utxo_count"))
