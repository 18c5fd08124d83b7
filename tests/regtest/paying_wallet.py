"""A wallet on the real node with coins to spend, for tests that need txs a node judges."""

import itertools
from collections.abc import Sequence

from deploy.local.regtest import Miner
from payments.onchain import address, fee, psbt, tx
from payments.onchain import node as node_module
from payments.onchain.network import Network

COIN_SAT = 20_000_000

_names = itertools.count(1)


class PayingWallet:
    """Holds deposits at its own script and signs through the same verbs that the engine uses."""

    def __init__(self, url: str, *, coins: int = 3) -> None:
        self.node = node_module.Node(url)
        self.name = f"paying-{next(_names)}-{self.node.chain_info().height}"
        self.node.ensure_wallet(self.name)
        self.wallet = self.node.for_wallet(self.name)
        self.script = self.wallet.new_scripts("receive", 1)[0]
        # Deposits, not coinbases: late on a long chain the subsidy is too small to spend.
        miner = Miner(url)
        where = address.address_from_script(self.script, Network.REGTEST)
        txids = [miner.fund([where], COIN_SAT) for _ in range(coins)]
        block_hash = miner.mine(1)[0]
        # Each is spent by one test only.
        self.coins = [self._deposit(txid, block_hash) for txid in txids]

    def _deposit(self, txid: str, block_hash: str) -> tx.OutPoint:
        """Return the output of a mined tx that pays our script."""
        found = tx.parse(bytes.fromhex(self.node.call("getrawtransaction", txid, False, block_hash)))
        vout = next(n for n, output in enumerate(found.outputs) if output.script_pubkey == self.script)
        return tx.OutPoint(txid, vout)

    def mine(self, count: int, *, to: bytes | None = None) -> str:
        """Mine blocks and return the hash of the last."""
        where = address.address_from_script(to or self.script, Network.REGTEST)
        return str(self.node.call("generatetoaddress", count, where)[-1])

    def coin(self) -> tuple[tx.OutPoint, tx.Output]:
        """Return a mature outpoint that no test has used, and what it holds."""
        outpoint = self.coins.pop()
        output = self.node.utxo(outpoint, include_mempool=True)
        assert output is not None
        return outpoint, output

    def sign(self, unsigned: bytes, prevouts: Sequence[tx.Output]) -> tx.Tx:
        """Sign an unsigned tx and check what the wallet returned."""
        signed = self.wallet.sign_psbt(psbt.from_unsigned(unsigned, prevouts))
        assert signed.raw is not None
        tx.check_signed(signed.raw, unsigned, prevouts)
        return tx.parse(signed.raw)

    def spend(
        self,
        outpoint: tx.OutPoint,
        prevout: tx.Output,
        *,
        fee_sat: int,
        outputs: int = 1,
        to: bytes | None = None,
    ) -> tx.Tx:
        """Return a signed tx of one input that gives this fee and splits the rest evenly."""
        share_sat, rest_sat = divmod(prevout.amount_sat - fee_sat, outputs)
        paid = [tx.Output(share_sat, to or self.script)] * outputs
        paid[0] = tx.Output(share_sat + rest_sat, paid[0].script_pubkey)
        return self.sign(tx.build_unsigned([outpoint], paid), [prevout])


def paying_fee_sat(output_scripts: Sequence[bytes], *, feerate_sat_kvb: int) -> int:
    """Return the fee of a tx of one P2WPKH input."""
    weight = fee.tx_weight(input_count=1, output_weights=map(fee.output_weight, output_scripts))
    return fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb)
