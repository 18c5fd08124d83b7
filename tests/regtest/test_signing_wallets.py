"""Watch-only wallets in a real node: the scripts of descriptors, how far the node watches, and what it refuses."""

import itertools

import pytest

from deploy.local.regtest import Miner
from deploy.local.rpc import Rpc
from payments.models import Alarm, Program, ScriptPurpose, Signer, Wallet
from payments.onchain import address, network, node, watch
from payments.onchain import descriptor as descriptors
from payments.payout import dispatch, wallets
from tests import factories, services, signers
from tests.regtest.ministry import follow, use_node
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)

_serial = itertools.count(1)


@pytest.fixture(autouse=True)
def _node(settings: object) -> None:
    use_node(settings)


def fresh(of: int) -> list[signers.SoftSigner]:
    serial = next(_serial)
    return [signers.SoftSigner(f"wallets {serial}-{number}") for number in range(of)]


def make_program(text: str) -> Program:
    return factories.make_program(f"SEEN-{next(_serial)}", is_ready=False, descriptor=text)


def provisioned(program: Program) -> Wallet:
    follow(Miner(services.ensure_node().url))
    dispatch.provision(wallet_id=program.wallet.pk)
    return Wallet.objects.get(program=program)


def watched(wallet: Wallet) -> dict[bool, dict[str, object]]:
    """What the node says of both branches, by whether it is the change branch."""
    found = Rpc(services.ensure_node().url, wallet=wallet.name).call("listdescriptors")["descriptors"]
    return {entry["internal"]: entry for entry in found}


class TestScripts:
    @pytest.mark.parametrize(("needed", "of"), [(1, 1), (1, 2), (2, 3), (3, 5), (15, 15)])
    def test_are_those_that_the_node_derives(self, needed: int, of: int) -> None:
        people = fresh(of)
        text = signers.single(people[0]) if of == 1 else signers.multi(needed, people)
        descriptor = descriptors.parse(text)
        rpc = Rpc(services.ensure_node().url)
        for branch in (0, 1):
            derived = rpc.call("deriveaddresses", descriptor.of_branch(branch), [0, 30])
            ours = [
                address.address_from_script(descriptor.script_pubkey(branch, index), network.current())
                for index in range(31)
            ]
            assert derived == ours
            info = rpc.call("getdescriptorinfo", descriptor.of_branch(branch))
            assert (info["checksum"], info["hasprivatekeys"]) == (descriptor.of_branch(branch)[-8:], False)

    def test_have_the_checksum_that_the_node_computes(self) -> None:
        rpc = Rpc(services.ensure_node().url)
        for text in (signers.single(fresh(1)[0]), signers.multi(2, fresh(3))):
            assert rpc.call("getdescriptorinfo", text)["checksum"] == descriptors.parse(text).checksum


class TestProvision:
    def test_makes_a_wallet_that_only_watches(self) -> None:
        text = signers.multi(2, fresh(3))
        wallet = provisioned(make_program(text))
        assert (wallet.signer, wallet.descriptor, wallet.next_receive_index) == (Signer.PSBT, text, 1)
        assert wallet.ready_at is not None
        script = wallet.scripts.get()
        expected = descriptors.parse(text).script_pubkey(0, 0)
        assert (bytes(script.script_pubkey), script.purpose, script.descriptor_index) == (
            expected,
            ScriptPurpose.FUNDING,
            0,
        )
        info = Rpc(services.ensure_node().url, wallet=wallet.name).call("getwalletinfo")
        assert info["private_keys_enabled"] is False
        assert {internal: entry["range"] for internal, entry in watched(wallet).items()} == {
            False: [0, 1_999],
            True: [0, 1_999],
        }

    def test_repeats_without_harm(self) -> None:
        program = make_program(signers.single(fresh(1)[0]))
        wallet = provisioned(program)
        dispatch.provision(wallet_id=wallet.pk)
        again = Wallet.objects.get(pk=wallet.pk)
        assert (again.ready_at, again.next_receive_index) == (wallet.ready_at, 1)
        assert wallet.scripts.count() == 1

    def test_gives_out_change_without_the_node_and_lets_it_watch_further_in_time(self) -> None:
        wallet = provisioned(make_program(signers.single(fresh(1)[0])))
        client = node.connect()
        Wallet.objects.filter(pk=wallet.pk).update(next_change_index=990)
        wallet.refresh_from_db()
        wallets.add_change(wallet, client, 5)
        assert watched(wallet)[True]["range"] == [0, 1_999]
        wallets.add_change(wallet, client, 10)
        assert (wallet.next_change_index, watched(wallet)[True]["range"]) == (1_005, [0, 2_999])
        descriptor = descriptors.parse(wallet.descriptor)
        rows = wallet.scripts.filter(purpose=ScriptPurpose.CHANGE).order_by("descriptor_index")
        assert [(row.descriptor_index, bytes(row.script_pubkey)) for row in rows] == [
            (index, descriptor.script_pubkey(1, index)) for index in range(990, 1_005)
        ]

    def test_watches_again_what_a_node_forgot(self) -> None:
        """The wallet was made and the worker died: the next visit imports what is missing."""
        program = make_program(signers.single(fresh(1)[0]))
        node.connect().ensure_wallet(program.wallet.name, is_watching=True)
        assert len(watched(provisioned(program))) == 2

    def test_refuses_a_wallet_that_holds_keys(self) -> None:
        program = make_program(signers.single(fresh(1)[0]))
        node.connect().ensure_wallet(program.wallet.name)
        wallet = provisioned(program)
        assert (wallet.ready_at, wallet.scripts.count()) == (None, 0)
        alarm = Alarm.objects.get(code="wallet_unusable")
        assert (alarm.subject, alarm.subject_id, alarm.program) == ("wallet", wallet.pk, program)
        assert "holds private keys" in alarm.message

    def test_refuses_a_wallet_that_watches_something_else(self) -> None:
        program = make_program(signers.single(fresh(1)[0]))
        other = descriptors.parse(signers.single(fresh(1)[0]))
        watch.ensure(node.connect(), program.wallet.name, other, last_index=10)
        wallet = provisioned(program)
        assert (wallet.ready_at, wallet.scripts.count()) == (None, 0)
        assert "watches other scripts" in Alarm.objects.get(code="wallet_unusable").message


class TestCoins:
    def test_of_several_deposits_and_scripts_are_signed_together(self) -> None:
        """Change of one payout and a second deposit fund the next; each input has a place of its own."""
        treasury = Treasury.open(2, 3, deposits_sat=[600_000, 500_000])
        payout, request = treasury.seal([100_000])
        treasury.sign(request, 0, 2)
        treasury.ministry.mine(6)
        payout, request = treasury.seal([750_000], period="2026-12")
        assert payout.reservations.count() >= 2
        treasury.sign(request, 1, 2)
        treasury.ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == "settled"
        treasury.ministry.judge(exactly=True)
