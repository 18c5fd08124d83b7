"""A list from release to settlement on a real node, step by step, with the books after each."""

import pytest
from django.utils import timezone

from deploy.local.regtest import Miner, to_btc
from ledger import books
from ledger.reconciliation.service import reconcile
from payments.models import NodeStatus, Payment, PayoutTx, StatusChange, Wallet
from payments.onchain import tx
from payments.payout import dispatch, rounds
from payments.selectors import funds
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 2_000_000])


def balances(ministry: Ministry) -> dict[str, int]:
    """The program's accounts by their noun."""
    trial = books.trial_balance(scope=ministry.program.scope)
    assert trial.is_balanced
    return {account.code.split(":")[1]: account.balance for account in trial.accounts}


class TestFunding:
    def test_books_confirmed_deposits_once(self, ministry: Ministry) -> None:
        dispatch.follow()
        assert balances(ministry)["HotWallet"] == 3_000_000
        assert balances(ministry)["Appropriation"] == -3_000_000
        assert funds.of_program(ministry.program.pk).available_sat == 3_000_000

    def test_finds_deposits_that_came_before_the_follower_first_ran(self, settings: object) -> None:
        use_node(settings)
        miner = Miner(settings.GOVPAY_NODE_URL)  # type: ignore[attr-defined]
        program = factories.make_program("EARLY", is_ready=False)
        dispatch.provision(wallet_id=program.wallet.pk)
        officers = [factories.make_member(program, role) for role in ("officer", "approver", "releaser")]
        early = Ministry(program, miner, *officers)
        miner.fund([early.funding_address()], 800_000)
        miner.mine(2)
        dispatch.follow()
        assert balances(early)["HotWallet"] == 800_000

    def test_does_not_credit_an_unconfirmed_deposit(self, ministry: Ministry) -> None:
        ministry.miner.fund([ministry.funding_address()], 500_000)
        dispatch.follow()
        assert balances(ministry)["HotWallet"] == 3_000_000
        ministry.mine(1)
        assert balances(ministry)["HotWallet"] == 3_500_000

    def test_of_nothing_at_all_does_not_stop_the_follower(self, ministry: Ministry) -> None:
        """A miner may pay zero satoshis to any script; no node relays such a tx, every node takes the block."""
        wallet, back = ministry.miner.wallet, ministry.miner.make_address()
        coin = max(wallet.call("listunspent"), key=lambda found: found["amount"])
        raw = ministry.miner.node.call(
            "createrawtransaction",
            [{"txid": coin["txid"], "vout": coin["vout"]}],
            [{ministry.funding_address(): 0}, {back: coin["amount"] - to_btc(10_000)}],
        )
        signed = wallet.call("signrawtransactionwithwallet", raw)
        block_hash = ministry.miner.mine_only([signed["hex"]])
        dispatch.follow()
        assert NodeStatus.objects.get().block_hash == block_hash
        assert balances(ministry)["HotWallet"] == 3_000_000
        (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")


class TestPayout:
    def test_pays_each_person_once_and_books_it(self, ministry: Ministry) -> None:
        amounts = [10_000 + n for n in range(7)]
        disbursement = ministry.release(amounts)
        (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SENT
        assert payout.payment_count == 7
        stored = tx.parse(bytes(PayoutTx.objects.get(payout=payout).raw))
        assert stored.txid == payout.current.txid
        lines = Payment.objects.filter(payout=payout).order_by("vout")
        assert [(o.script_pubkey, o.amount_sat) for o in stored.outputs[:7]] == [
            (bytes(p.script_pubkey or b""), p.amount_sat) for p in lines
        ]
        sent = balances(ministry)
        assert sent["InTransit"] == sum(amounts)
        assert sent["BeneficiariesPayable"] == -sum(amounts)
        assert sent["HotWallet"] == 3_000_000 - sum(amounts) - payout.current.fee_sat
        ministry.mine(1)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.MINED
        ministry.mine(5)
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert disbursement.status == DisbursementStatus.COMPLETED
        settled = balances(ministry)
        assert settled["InTransit"] == settled["BeneficiariesPayable"] == 0
        assert settled["Transfers"] == sum(amounts)
        assert settled["NetworkFees"] == payout.current.fee_sat
        ministry.judge(exactly=True)
        history = StatusChange.objects.filter(subject="payout", subject_id=payout.pk).order_by("pk")
        assert list(history.values_list("new", flat=True)) == [
            "sealed",
            "committed",
            "signed",
            "sent",
            "mined",
            "settled",
        ]

    def test_groups_by_the_programs_limit_and_waits_for_coins(self, settings: object) -> None:
        use_node(settings)
        small = Ministry.open(deposits_sat=[400_000, 400_000], code="SMALL", group_max_payments=2)
        disbursement = small.release([50_000] * 5)
        first = small.pay(disbursement)
        assert [payout.payment_count for payout in first] == [2, 2]
        disbursement.refresh_from_db()
        assert "confirmed coins" in disbursement.problem
        small.mine(1)
        last = small.pay(disbursement)[-1]
        assert (last.payment_count, last.status) == (1, PayoutStatus.SENT)
        disbursement.refresh_from_db()
        assert disbursement.problem == ""
        small.mine(6)
        small.judge(exactly=True)

    def test_without_change_is_sent_though_its_rest_lifts_the_feerate(self, settings: object) -> None:
        use_node(settings)
        rates = {"feerate_floor_sat_kvb": 2_000, "feerate_ceiling_sat_kvb": 2_000}
        low = Ministry.open(deposits_sat=[40_400, 900_000], code="LOW", **rates)
        (payout,) = low.pay(low.release([40_000]))
        assert (payout.current.change_sat, payout.current.fee_sat) == (0, 400)
        assert payout.current.feerate_sat_kvb == 3_636
        assert (payout.status, payout.problem) == (PayoutStatus.SENT, "")

    def test_ringing_again_does_nothing(self, ministry: Ministry) -> None:
        disbursement = ministry.release([20_000, 30_000])
        ministry.pay(disbursement)
        before = StatusChange.objects.count()
        ministry.pay(disbursement)
        rounds.sweep()
        assert ministry.payouts(disbursement).count() == 1
        assert StatusChange.objects.count() == before

    def test_costs_at_most_the_virtual_bytes_that_were_promised(self, settings: object) -> None:
        use_node(settings)
        # One feerate only, whatever the node estimates from what earlier tests have mined.
        rate = {"feerate_floor_sat_kvb": 2_000, "feerate_ceiling_sat_kvb": 2_000}
        big = Ministry.open(deposits_sat=[20_000_000], code="BIG", **rate)
        (payout,) = big.pay(big.release([10_000] * 500))
        planned_vb = payout.current.fee_sat * 1000 // 2_000
        # A signature is a byte shorter than the plan's bound half of the time.
        assert planned_vb - payout.current.vsize_vb in (0, 1)
        assert payout.current.vsize_vb / payout.payment_count <= 31.3


class TestNode:
    def test_that_is_down_is_noted_and_the_work_goes_on_later(
        self, ministry: Ministry, settings: object
    ) -> None:
        disbursement = ministry.release([25_000])
        right = settings.GOVPAY_NODE_URL  # type: ignore[attr-defined]
        settings.GOVPAY_NODE_URL = "http://user:secret@127.0.0.1:9"  # type: ignore[attr-defined]
        assert ministry.pay(disbursement) == []
        disbursement.refresh_from_db()
        assert disbursement.problem == "No connection to the node at 127.0.0.1:9."
        assert NodeStatus.objects.get().is_ok is False
        settings.GOVPAY_NODE_URL = right  # type: ignore[attr-defined]
        (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SENT
        dispatch.follow()
        assert NodeStatus.objects.get().is_ok is True

    def test_of_another_chain_is_refused(self, ministry: Ministry, settings: object) -> None:
        disbursement = ministry.release([25_000])
        settings.GOVPAY_NETWORK = "signet"  # type: ignore[attr-defined]
        assert ministry.pay(disbursement) == []
        disbursement.refresh_from_db()
        assert "not signet" in disbursement.problem

    def test_without_the_wallets_keys_is_given_no_new_wallet(self, ministry: Ministry) -> None:
        disbursement = ministry.release([25_000])
        name = ministry.program.wallet.name
        Wallet.objects.update(name="govpay-elsewhere")
        assert ministry.pay(disbursement) == []
        disbursement.refresh_from_db()
        assert "refused loadwallet" in disbursement.problem
        assert "govpay-elsewhere" not in ministry.miner.node.call("listwallets")
        Wallet.objects.update(name=name)
        (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SENT

    def test_that_lost_the_wallet_gets_it_loaded_again(self, ministry: Ministry) -> None:
        disbursement = ministry.release([25_000])
        ministry.miner.node.call("unloadwallet", ministry.program.wallet.name)
        (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SENT
