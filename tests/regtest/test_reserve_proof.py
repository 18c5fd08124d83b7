"""Proofs of reserves on a real node: made by its wallet over all outputs, refused for each thing that is wrong (R-32)."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from deploy.local.regtest import Miner
from deploy.local.rpc import Rpc
from govpay.errors import InvalidInput, SamePersonTwice
from payments.models import Holding, Program, ReserveProof
from payments.onchain import reserves
from payments.onchain.reserves import ReservesNotProved
from payments.reserve import scanning
from payments.services import reserve_proofs
from payments.services.reserve_proofs import ProofAnswered
from tests import factories
from tests.regtest.reserve import Hold, addresses_of, hold, miner, security, wallet

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["hold", "miner", "security"]


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer", "tara")


@pytest.fixture
def vault(miner: Miner) -> Rpc:
    return wallet(miner)


@pytest.fixture
def held(miner: Miner, hold: Hold, vault: Rpc) -> Holding:
    """Three addresses of a wallet, of both kinds that one key signs for, with an output each."""
    texts = [vault.call("getnewaddress", "", kind) for kind in ("bech32", "bech32m", "bech32")]
    found = hold(kind="addresses", addresses=texts)
    miner.fund(texts, 200_000)
    miner.mine(1)
    scanning.look()
    return found


def signed(vault: Rpc, made: ReserveProof) -> str:
    """What the wallet returns for a proof that was asked for."""
    return str(vault.call("walletprocesspsbt", reserve_proofs.to_psbt(made))["psbt"])


def answer(by: User, made: ReserveProof, text: str) -> ReserveProof:
    proved = reserve_proofs.verify(by=by, proof_id=made.pk, signed=text)
    return reserve_proofs.answer(by=by, proof_id=made.pk, signed=text, proved=proved)


def refusal(by: User, made: ReserveProof, text: str) -> str:
    """The rule by which an answer is refused; nothing is kept of it."""
    with pytest.raises(ReservesNotProved) as refused:
        answer(by, made, text)
    made.refresh_from_db()
    assert made.state == "asked"
    return str(refused.value.details["rule"])


def spend(miner: Miner, vault: Rpc, where: str) -> None:
    (coin,) = [each for each in vault.call("listunspent") if each["address"] == where]
    raw = vault.call(
        "createrawtransaction",
        [{"txid": coin["txid"], "vout": coin["vout"]}],
        [{miner.make_address(): "0.00199"}],
    )
    miner.node.call("sendrawtransaction", vault.call("signrawtransactionwithwallet", raw)["hex"])
    miner.mine(1)


class TestProof:
    def test_is_made_by_a_wallet_checked_and_never_a_tx_that_the_network_takes(
        self, miner: Miner, held: Holding, vault: Rpc, security: User, treasurer: User
    ) -> None:
        made = reserve_proofs.ask(by=security, scope="reserve:1", message="Audit of November, 7f3a")
        assert (made.output_count, made.amount_sat) == (3, 600_000)
        with pytest.raises(InvalidInput, match="asked before"):
            reserve_proofs.ask(by=security, scope="reserve:1", message="Audit of November, 7f3a")
        text = signed(vault, made)
        # What arrives after the scan is not in it, and is no reason to refuse it.
        miner.fund([addresses_of(held)[0]], 50_000)
        (block_hash,) = miner.mine(1)
        found = answer(treasurer, made, text)
        assert (found.state, found.proved_hash) == ("proved", block_hash)
        raw = bytes(found.signed_tx or b"").hex()
        (verdict,) = miner.node.call("testmempoolaccept", [raw])
        assert (verdict["allowed"], verdict["reject-reason"]) == (False, "missing-inputs")
        with pytest.raises(ProofAnswered):
            answer(treasurer, made, text)
        with pytest.raises(IntegrityError), transaction.atomic():
            ReserveProof.objects.filter(pk=made.pk).update(signed_tx=b"another")

    def test_is_answered_by_another_than_who_asked(
        self, held: Holding, vault: Rpc, program: Program, treasurer: User
    ) -> None:
        made = reserve_proofs.ask(by=treasurer, scope="reserve:1", message="Mine")
        with pytest.raises(SamePersonTwice):
            reserve_proofs.verify(by=treasurer, proof_id=made.pk, signed=signed(vault, made))

    def test_fails_on_one_spent_output(
        self, miner: Miner, held: Holding, vault: Rpc, security: User, treasurer: User
    ) -> None:
        made = reserve_proofs.ask(by=security, scope="reserve:1", message="Spent")
        text = signed(vault, made)
        spend(miner, vault, addresses_of(held)[1])
        assert refusal(treasurer, made, text) == "spent_output"

    def test_fails_on_one_foreign_address_one_wrong_message_and_one_amount_that_differs(
        self, miner: Miner, held: Holding, vault: Rpc, security: User, treasurer: User
    ) -> None:
        made = reserve_proofs.ask(by=security, scope="reserve:1", message="Now")
        coins = reserve_proofs._outputs(reserve_proofs._coins(made.scan_id, made.scope))
        outsider = vault.call("getnewaddress", "", "bech32")
        txid = miner.fund([outsider], 10_000)
        miner.mine(1)
        (theirs,) = [each for each in vault.call("listunspent") if each["txid"] == txid]
        foreign = reserves.tx.OutPoint(txid, theirs["vout"])
        output = reserves.tx.Output(10_000, bytes.fromhex(theirs["scriptPubKey"]))
        assert self.of_coins(vault, treasurer, made, coins | {foreign: output}) == "foreign_output"
        assert self.of_coins(vault, treasurer, made, coins, message="Then") == "wrong_message"
        less = dict(list(coins.items())[1:])
        assert self.of_coins(vault, treasurer, made, less) == "output_missing"
        # The sum is a satoshi more than there is, under signatures that are valid.
        assert self.of_coins(vault, treasurer, made, coins, more_sat=1) == "amount_differs"

    def of_coins(
        self,
        vault: Rpc,
        by: User,
        made: ReserveProof,
        coins: dict[Any, Any],
        *,
        message: str = "Now",
        more_sat: int = 0,
    ) -> str:
        """The rule that refuses a proof of these outputs, which the wallet signed."""
        total_sat = sum(coin.amount_sat for coin in coins.values()) + more_sat
        unsigned = reserves.tx.build_unsigned(
            [reserves.commitment(message), *coins], [reserves.tx.Output(total_sat, b"\x6a")]
        )
        psbt = reserves.to_psbt(unsigned, list(coins.values()))
        return refusal(by, made, str(vault.call("walletprocesspsbt", psbt)["psbt"]))

    def test_fails_on_what_is_not_signed_or_signed_by_another_wallet(
        self, miner: Miner, held: Holding, vault: Rpc, security: User, treasurer: User
    ) -> None:
        made = reserve_proofs.ask(by=security, scope="reserve:1", message="Unsigned")
        assert refusal(treasurer, made, reserve_proofs.to_psbt(made)) == "signature"
        assert refusal(treasurer, made, bytes(made.unsigned_tx).hex()) == "signature"
        assert refusal(treasurer, made, signed(wallet(miner), made)) == "signature"
        assert refusal(treasurer, made, "nonsense") == "malformed"

    def test_is_asked_of_what_a_scan_found_alone(
        self, miner: Miner, hold: Hold, vault: Rpc, security: User
    ) -> None:
        with pytest.raises(InvalidInput, match="No scan stands"):
            reserve_proofs.ask(by=security, scope="reserve:1", message="x")
        legacy = vault.call("getnewaddress", "", "legacy")
        hold(kind="addresses", addresses=[legacy])
        miner.fund([legacy], 10_000)
        miner.mine(1)
        scanning.look()
        with pytest.raises(InvalidInput) as refused:
            reserve_proofs.ask(by=security, scope="reserve:1", message="x")
        assert refused.value.details["errors"][0]["code"] == "unsupported_address"


class TestCommand:
    def test_proves_a_file_against_the_node_and_names_the_rule_of_each_that_is_wrong(
        self,
        miner: Miner,
        held: Holding,
        vault: Rpc,
        security: User,
        treasurer: User,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        made = reserve_proofs.ask(by=security, scope="reserve:1", message="File")
        path, statement = tmp_path / "proof.json", tmp_path / "reserve.csv"

        def check(proof: dict[str, Any], **options: Any) -> None:
            path.write_text(json.dumps(proof))
            call_command("verify_reserves", str(path), **options)

        with pytest.raises(CommandError, match="malformed: It was asked for, and not given yet"):
            check(reserve_proofs.document(made))
        proof = reserve_proofs.document(answer(treasurer, made, signed(vault, made)))
        check(proof, message="File")
        out = capsys.readouterr().out
        assert out.startswith(
            f"PROVED: reserve:1 can spend 600000 sat in 3 outputs up to block {proof['height']},"
        )
        call_command("report", "reserve", output=str(statement), before="2100-01-01")
        check(proof, statement=statement)
        first = proof["outputs"][0]
        stranger = first | {"address": miner.make_address()}
        for changes, rule in (
            ({"outputs": [first | {"amount_sat": 199_999}, *proof["outputs"][1:]]}, "amount_differs"),
            ({"amount_sat": 600_001}, "amount_differs"),
            ({"outputs": [*proof["outputs"], stranger]}, "foreign_address"),
            ({"outputs": proof["outputs"][1:]}, "foreign_output"),
            ({"message": "Another"}, "wrong_message"),
            ({"tx": proof["tx"][:-2]}, "malformed"),
            ({"network": "signet"}, "malformed"),
            ({"height": "7"}, "malformed"),
        ):
            with pytest.raises(CommandError, match=f"NOT PROVED, {rule}: "):
                check(proof | changes)
        with pytest.raises(CommandError, match="wrong_message"):
            check(proof, message="What I asked")
        whole = statement.read_text()
        statement.write_text(whole.replace("200000", "200001", 1))
        with pytest.raises(
            CommandError, match=r"amount_differs: .* is claimed to have 200001 sat, and has 200000 sat"
        ):
            check(proof, statement=statement)
        statement.write_text(whole.replace(first["address"], miner.make_address(), 1))
        with pytest.raises(CommandError, match="foreign_address"):
            check(proof, statement=statement)
        spend(miner, vault, addresses_of(held)[0])
        with pytest.raises(CommandError, match="NOT PROVED, spent_output"):
            check(proof)


class TestMultisig:
    def test_is_signed_by_two_wallets_in_turn_and_by_one_alone_it_proves_nothing(
        self, miner: Miner, hold: Hold, security: User, treasurer: User
    ) -> None:
        first, second = two_of_two(miner)
        where = first.call("getnewaddress", "", "bech32")
        assert where.startswith("bcrt1q")
        assert len(where) == 64
        hold(kind="addresses", addresses=[where])
        miner.fund([where], 90_000)
        miner.mine(1)
        scanning.look()
        made = reserve_proofs.ask(by=security, scope="reserve:1", message="Two of two")
        one, other = signed(first, made), signed(second, made)
        assert refusal(treasurer, made, one) == "signature"
        whole = miner.node.call("combinepsbt", [one, other])
        assert answer(treasurer, made, str(whole)).state == "proved"


def two_of_two(miner: Miner) -> tuple[Rpc, Rpc]:
    """Two wallets that share addresses of which each has one key."""
    keys = []
    for _ in range(2):
        text = wallet(miner).call("listdescriptors", True)["descriptors"][0]["desc"]
        private = re.search(r"([tx]prv[1-9A-HJ-NP-Za-km-z]+)", text)
        assert private is not None
        plain = f"wpkh({private[1]}/0/*)"
        public = miner.node.call("getdescriptorinfo", plain)["descriptor"]
        keys.append((f"{private[1]}/0/*", public[len("wpkh(") : public.index(")")]))
    made = []
    for (mine, _), (_, theirs) in ((keys[0], keys[1]), (keys[1], keys[0])):
        name = f"proof-{secrets.token_hex(4)}"
        miner.node.call("createwallet", wallet_name=name, descriptors=True, blank=True)
        found = Rpc(live.GOVPAY_NODE_URL, wallet=name)
        # Sorted, so that both wallets have the same addresses.
        text = f"wsh(sortedmulti(2,{mine},{theirs}))"
        checksum = miner.node.call("getdescriptorinfo", text)["checksum"]
        (done,) = found.call(
            "importdescriptors",
            [{"desc": f"{text}#{checksum}", "active": True, "timestamp": "now", "range": [0, 9]}],
        )
        assert done["success"], done
        made.append(found)
    return made[0], made[1]
