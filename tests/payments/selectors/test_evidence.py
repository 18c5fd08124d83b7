"""What payments testify: claims from the database alone, and a node that must be alive, right and read."""

import hashlib
import socket
import time
from typing import Any

import pytest
from django.conf import settings as project
from django.db import connection
from django.utils import timezone

from ledger.reconciliation.evidence import (
    ChainFacts,
    ChangeClaim,
    Claim,
    PayoutClaim,
    SourceStale,
    SourceTooOld,
    Version,
)
from payments.models import Block, ChangeOutput, Payment, Payout, PayoutTx, Program, StatusChange
from payments.models.payout import PayoutKind
from payments.onchain import network, node
from payments.onchain.network import Network, WrongChain
from payments.payout import follow
from payments.selectors import evidence
from payments.states import PayoutStatus
from tests import factories, sessions

pytestmark = pytest.mark.django_db

TIP = "ab" * 32


def txid_of(*words: object) -> str:
    return hashlib.sha256("|".join(map(str, words)).encode()).hexdigest()


@pytest.fixture
def sealed(program: Program, officer: Any) -> Payout:
    """A payout of two payments that nobody has signed."""
    disbursement = factories.make_disbursement(program, officer, amounts_sat=[1_000, 2_000])
    payout = Payout.objects.create(
        disbursement=disbursement,
        wallet=program.wallet,
        payment_count=2,
        payments_sat=3_000,
        manifest_hash=b"\x01" * 32,
        anchor_txid=txid_of("anchor"),
        anchor_vout=0,
        booked_fee_sat=0,
    )
    for vout, payment in enumerate(Payment.objects.filter(disbursement=disbursement).order_by("line")):
        script = b"\x00\x14" + bytes([vout + 10]) * 20
        Payment.objects.filter(pk=payment.pk).update(payout=payout, vout=vout, script_pubkey=script)
    return payout


def sign(payout: Payout, *, name: str = "first", fee_sat: int = 150) -> None:
    """Store a signed version."""
    version = PayoutTx.objects.create(
        payout=payout,
        txid=txid_of(name),
        unsigned_tx=b"\x02",
        raw=b"\x04",
        fee_sat=fee_sat,
        fee_added_sat=fee_sat,
        change_sat=77,
        vsize_vb=200,
        feerate_sat_kvb=1_000,
    )
    ChangeOutput.objects.create(
        version=version, vout=2, amount_sat=77, script_pubkey=b"\x00\x14" + b"\x03" * 20
    )
    Payout.objects.filter(pk=payout.pk).update(
        status=PayoutStatus.SENT, current=version, booked_fee_sat=fee_sat
    )


def claims(program: Program) -> list[Claim]:
    return list(evidence.backend().claims(program.scope, None))


def payouts(program: Program) -> list[PayoutClaim]:
    return list(evidence.backend().payouts(program.scope, None))


class TestClaims:
    def test_are_none_before_anything_is_signed(self, program: Program, sealed: Payout) -> None:
        assert claims(program) == []
        assert payouts(program) == []

    def test_are_the_payments_of_signed_payouts_in_order(self, program: Program, sealed: Payout) -> None:
        sign(sealed)
        pks = list(Payment.objects.filter(payout=sealed).order_by("vout").values_list("pk", flat=True))
        assert claims(program) == [
            Claim(pks[0], sealed.pk, txid_of("first"), 0, b"\x00\x14" + b"\x0a" * 20, 1_000, False, pks[0]),
            Claim(pks[1], sealed.pk, txid_of("first"), 1, b"\x00\x14" + b"\x0b" * 20, 2_000, False, pks[1]),
        ]
        change = b"\x00\x14" + b"\x03" * 20
        since = Payout.objects.get(pk=sealed.pk).created_at
        assert payouts(program) == [
            PayoutClaim(sealed.pk, txid_of("first"), 150, 3_000, False, False, False, False, since)
        ]
        assert list(evidence.backend().versions(program.scope, None)) == [
            Version(sealed.pk, txid_of("first"))
        ]
        assert list(evidence.backend().change(program.scope, None)) == [
            ChangeClaim(txid_of("first"), 2, change, 77)
        ]

    def test_name_the_newest_version_until_a_block_holds_another(
        self, program: Program, sealed: Payout
    ) -> None:
        sign(sealed)
        sign(sealed, name="bump", fee_sat=250)
        assert {claim.txid for claim in claims(program)} == {txid_of("bump")}
        assert [(p.txid, p.fee_sat, p.is_mined) for p in payouts(program)] == [(txid_of("bump"), 250, False)]
        Payout.objects.filter(pk=sealed.pk).update(
            mined_txid=txid_of("first"), mined_height=5, booked_fee_sat=150
        )
        assert {(claim.txid, claim.is_mined) for claim in claims(program)} == {(txid_of("first"), True)}
        assert [(p.txid, p.fee_sat, p.is_mined) for p in payouts(program)] == [(txid_of("first"), 150, True)]

    def test_of_one_program_are_not_anothers(self, program: Program, sealed: Payout) -> None:
        sign(sealed)
        assert claims(factories.make_program(code="OTHER")) == []


class TestNarrowed:
    def test_to_payouts_says_nothing_of_others(self, program: Program, sealed: Payout) -> None:
        sign(sealed)
        backend, other = evidence.backend(), [sealed.pk + 1]
        for testify in (backend.claims, backend.payouts, backend.versions, backend.change):
            assert list(testify(program.scope, other)) == list(testify(program.scope, [])) == []
            assert list(testify(program.scope, [sealed.pk])) == list(testify(program.scope, None)) != []

    def test_owners_are_the_payouts_of_payments(self, program: Program, sealed: Payout) -> None:
        pk = Payment.objects.filter(payout=sealed).latest("pk").pk
        assert list(evidence.backend().owners(program.scope, [pk, pk + 1])) == [sealed.pk]
        assert list(evidence.backend().owners(factories.make_program(code="OTHER").scope, [pk])) == []


class TestRivals:
    @pytest.fixture
    def chain(self, program: Program, officer: Any) -> list[Payout]:
        """Three payouts of a payment each, of which the second stands in for the first and the third for the second."""
        made: list[Payout] = []
        before = None
        for number in range(3):
            row = factories.make_disbursement(
                program, officer, amounts_sat=[1_000], period=f"2026-{number + 1:02}"
            )
            payout = Payout.objects.create(
                disbursement=row,
                wallet=program.wallet,
                payment_count=1,
                payments_sat=1_000,
                manifest_hash=bytes(32),
                anchor_txid=txid_of("anchor", number),
                anchor_vout=0,
            )
            payment = row.payments.get()
            script = b"\x00\x14" + bytes([number]) * 20
            row.payments.update(payout=payout, vout=0, reissue_of=before, script_pubkey=script)
            before = payment
            made.append(payout)
        return made

    def rivals(self, program: Program, *payouts: Payout) -> set[int]:
        return set(evidence.backend().rivals(program.scope, [payout.pk for payout in payouts]))

    def test_are_what_is_reissued(self, program: Program, chain: list[Payout]) -> None:
        first, second, third = chain
        assert self.rivals(program, third) == {first.pk, second.pk}
        assert self.rivals(program, first) == set()

    def test_are_what_reissues_what_was_void(self, program: Program, chain: list[Payout]) -> None:
        first, second, third = chain
        StatusChange.objects.create(
            subject="payout", subject_id=first.pk, old="sent", new="voided", reason="gone"
        )
        assert self.rivals(program, first) == {second.pk, third.pk}
        assert self.rivals(factories.make_program(code="OTHER"), first, third) == set()

    def test_share_one_obligation(self, program: Program, chain: list[Payout]) -> None:
        for number, payout in enumerate(chain):
            sign(payout, name=f"reissue {number}")
        found = {claim.payout_id: claim.obligation for claim in claims(program)}
        assert set(found) == {payout.pk for payout in chain}
        assert len(set(found.values())) == 1


@pytest.mark.django_db(transaction=True)
class TestChanged:
    def since(self) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_snapshot()::text")
            return str(cursor.fetchone()[0])

    def changed(self, program: Program, since: str, *txids: str) -> set[int]:
        return set(evidence.backend().changed(program.scope, since, txids))

    def test_is_what_was_written_after_the_snapshot(self, program: Program, sealed: Payout) -> None:
        since = self.since()
        assert self.changed(program, since) == set()
        sign(sealed)
        assert self.changed(program, since) == {sealed.pk}
        assert self.changed(program, self.since()) == set()

    def test_is_what_has_one_of_the_txs(self, program: Program, sealed: Payout) -> None:
        sign(sealed)
        since = self.since()
        assert self.changed(program, since, txid_of("first"), txid_of("nobody's")) == {sealed.pk}
        assert self.changed(factories.make_program(code="OTHER"), since, txid_of("first")) == set()

    def test_is_what_a_subtransaction_wrote_that_committed_after_the_snapshot(
        self, program: Program, sealed: Payout
    ) -> None:
        """A savepoint writes under a number of its own, which no snapshot lists as running."""
        with sessions.another_session() as slow:
            slow.execute("SELECT pg_current_xact_id()")
            slow.execute("SAVEPOINT one")
            slow.execute("UPDATE payments_payout SET problem = 'late' WHERE id = %s", [sealed.pk])
            since = self.since()
            assert self.changed(program, since) == set()
        assert self.changed(program, since) == {sealed.pk}

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE public.payments_payment SET amount_sat = amount_sat + 1 WHERE payout_id = %s",
            "UPDATE public.payments_changeoutput SET amount_sat = amount_sat + 1 WHERE version_id ="
            " (SELECT current_id FROM public.payments_payout WHERE id = %s)",
        ],
    )
    def test_is_what_a_payment_or_change_output_says_whatever_tables_a_session_puts_before_ours(
        self, program: Program, sealed: Payout, change: str
    ) -> None:
        sign(sealed)
        since = self.since()
        with sessions.another_session() as session:
            session.execute("CREATE TEMP TABLE payments_payout (LIKE payments_payout)")
            session.execute("CREATE TEMP TABLE payments_payouttx (LIKE payments_payouttx)")
            session.execute(change, [sealed.pk])
        assert self.changed(program, since) == {sealed.pk}

    def test_includes_the_children_of_what_changed(self, program: Program, sealed: Payout) -> None:
        sign(sealed)
        child = Payout.objects.create(
            kind=PayoutKind.CHILD,
            parent=sealed,
            wallet=program.wallet,
            payment_count=0,
            payments_sat=0,
            manifest_hash=b"\x01" * 32,
            anchor_txid=txid_of("first"),
            anchor_vout=2,
        )
        since = self.since()
        assert self.changed(program, since, txid_of("first")) == {sealed.pk, child.pk}


class TestScopes:
    def test_are_the_programs_of_this_network(self, program: Program) -> None:
        other = factories.make_program(code="OTHER")
        Program.objects.filter(pk=other.pk).update(network="signet")
        assert evidence.backend().scopes() == [program.scope]


class TestChain:
    @pytest.fixture
    def said(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What the node says of itself."""
        said = {
            "chain": "regtest",
            "height": 5,
            "best_block_hash": TIP,
            "median_time": 0,
            "tip_time": int(time.time()) - 86_400,
            "pruned": False,
            "initial_download": False,
        }
        monkeypatch.setattr(node.Node, "chain_info", lambda self: node.ChainInfo(**said))
        monkeypatch.setattr(node.Node, "block_hash", lambda self, height: network.current().genesis_hash)
        return said

    def read(self, block_hash: str) -> None:
        Block.objects.create(block_hash=block_hash, prev_hash="00" * 32, height=5, time=timezone.now())

    def test_is_the_nodes_best_block_once_it_was_read(self, program: Program, said: dict[str, Any]) -> None:
        self.read(TIP)
        assert evidence.backend().chain(program.scope) == ChainFacts("regtest", TIP, 5)

    @pytest.mark.parametrize("block_hash", ["", "cd" * 32])
    def test_is_stale_while_the_follower_stands_elsewhere(
        self, program: Program, said: dict[str, Any], block_hash: str
    ) -> None:
        if block_hash:
            self.read(block_hash)
        with sessions.holding(follow.FOLLOWER_LOCK), pytest.raises(SourceStale):
            evidence.backend().chain(program.scope)

    def test_is_refused_where_the_node_follows_another(self, program: Program, said: dict[str, Any]) -> None:
        self.read(TIP)
        said["chain"] = "signet"
        with pytest.raises(WrongChain):
            evidence.backend().chain(program.scope)

    @pytest.mark.parametrize("is_old", [True, False])
    def test_is_too_old_on_a_public_network_whose_blocks_stopped(
        self, program: Program, said: dict[str, Any], settings: Any, is_old: bool
    ) -> None:
        settings.GOVPAY_NETWORK = "signet"
        said["chain"] = Network.SIGNET.chain
        self.read(TIP)
        limit_s = project.GOVPAY_TIP_MAX_AGE_S
        said["tip_time"] = int(time.time()) - limit_s + (-60 if is_old else 60)
        if is_old:
            with pytest.raises(SourceTooOld):
                evidence.backend().chain(program.scope)
        else:
            assert evidence.backend().chain(program.scope).block_hash == TIP

    def test_is_too_old_while_the_node_still_downloads(
        self, program: Program, said: dict[str, Any], settings: Any
    ) -> None:
        settings.GOVPAY_NETWORK = "signet"
        said |= {
            "chain": Network.SIGNET.chain,
            "tip_time": int(time.time()),
            "initial_download": True,
        }
        self.read(TIP)
        with pytest.raises(SourceTooOld):
            evidence.backend().chain(program.scope)


class TestUtxos:
    def test_are_stale_while_the_node_scans_for_somebody_else(
        self, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def busy(self: node.Node, scripts: list[bytes]) -> node.UtxoScan:
            raise node.NodeBusy("The node is scanning for somebody else.")

        monkeypatch.setattr(node.Node, "scan_utxos", busy)
        chain = ChainFacts("regtest", TIP, 5)
        info = node.ChainInfo("regtest", 5, TIP, 0, 0, False, False)
        monkeypatch.setattr(node.Node, "chain_info", lambda self: info)
        with pytest.raises(SourceStale, match="scanning for somebody else"):
            evidence.backend().utxos(program.scope, chain)


class TestHungNode:
    def test_is_given_up_after_the_time_of_one_call_and_not_of_the_scan(
        self, program: Program, settings: Any
    ) -> None:
        """A listener that never answers; with the scan's ten minutes this test would not end."""
        settings.GOVPAY_NODE_TIMEOUT_S = 1
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings.GOVPAY_NODE_URL = f"http://user:word@127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(node.NodeTimeout):
                evidence.backend().chain(program.scope)
