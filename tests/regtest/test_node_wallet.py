"""A real node's wallet as the signer: never made twice, signs through PSBTs, sends nothing itself."""

import pytest

from payments.onchain import address, node, psbt, tx
from payments.onchain.network import Network
from tests import services
from tests.regtest.paying_wallet import PayingWallet


@pytest.fixture(scope="module")
def paying() -> PayingWallet:
    return PayingWallet(services.ensure_node().url, coins=2)


class TestEnsureWallet:
    def test_makes_a_descriptor_wallet_with_keys(self, paying: PayingWallet) -> None:
        paying.node.ensure_wallet("funding")
        info = paying.node.for_wallet("funding").call("getwalletinfo")
        assert (info["walletname"], info["descriptors"], info["private_keys_enabled"]) == (
            "funding",
            True,
            True,
        )

    def test_loads_a_wallet_again_with_the_same_keys(self, paying: PayingWallet) -> None:
        paying.node.ensure_wallet("kept")
        wallet = paying.node.for_wallet("kept")
        known = address.address_from_script(wallet.new_scripts("receive", 1)[0], Network.REGTEST)
        paying.node.call("unloadwallet", "kept")
        with pytest.raises(node.WalletUnavailable):
            wallet.new_scripts("receive", 1)[0]
        paying.node.ensure_wallet("kept")
        assert wallet.call("getaddressinfo", known)["ismine"] is True

    def test_is_loaded_after_a_restart_of_the_node(self) -> None:
        service = services.ensure_node()
        if service.node is None:
            pytest.skip("GOVPAY_NODE_URL names an outside node, which tests do not restart.")
        asked = node.Node(service.url)
        asked.ensure_wallet("restarted")
        service.node.restart()
        assert asked.for_wallet("restarted").call("getwalletinfo")["walletname"] == "restarted"


class TestNewScripts:
    @pytest.mark.parametrize("kind", ["receive", "change"])
    def test_are_native_segwit_and_fresh(self, paying: PayingWallet, kind: str) -> None:
        scripts = paying.wallet.new_scripts(kind, 3)  # type: ignore[arg-type]
        assert [address.kind(script) for script in scripts] == ["p2wpkh"] * 3
        assert len(set(scripts)) == 3


class TestSignPsbt:
    def test_signs_what_it_was_given_and_sends_nothing(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        unsigned = tx.build_unsigned([outpoint], [tx.Output(prevout.amount_sat - 1000, paying.script)])
        signed = paying.wallet.sign_psbt(psbt.from_unsigned(unsigned, [prevout]))
        assert signed.is_complete is True
        assert signed.raw is not None
        tx.check_signed(signed.raw, unsigned, [prevout])
        assert tx.txid_of(signed.raw) == tx.txid_of(unsigned)
        assert paying.node.mempool_has(tx.txid_of(unsigned)) is False
        assert paying.node.utxo(outpoint, include_mempool=True) == prevout

    def test_is_not_complete_without_the_keys(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        unsigned = tx.build_unsigned([outpoint], [tx.Output(prevout.amount_sat - 1000, paying.script)])
        paying.node.ensure_wallet("stranger")
        stranger = paying.node.for_wallet("stranger")
        given = psbt.from_unsigned(unsigned, [prevout])
        signed = stranger.sign_psbt(given)
        assert (signed.is_complete, signed.raw) == (False, None)
        assert psbt.unsigned_tx(signed.psbt) == unsigned
