"""The engine's view of node and signer for one payout; nothing here runs inside a database transaction."""

from payments.models import Payout, Reservation
from payments.onchain import node, psbt, tx
from payments.onchain.send import SendOutcome
from payments.payout import core, plan

FEERATE_TOLERANCE = 2


class NodeChain:
    """Implements ``ports.Chain`` with a real node whose wallet signs (tier 0: regtest)."""

    def __init__(self, client: node.Node) -> None:
        self.client = client

    def check_coins(self, payout_id: int) -> core.CoinsThere | core.CoinGone:
        """Ask for every reserved outpoint; a node that does not know one at all answers the same as for a spent one."""
        for outpoint, _ in _inputs(payout_id):
            if self.client.utxo(outpoint, include_mempool=True) is None:
                return core.CoinGone(str(outpoint))
        return core.CoinsThere()

    def sign(self, payout_id: int) -> core.Signed | core.SignerLacks | core.SignerContradicts:
        """Send the PSBT through the wallet; accept only the sealed tx with valid signatures on all inputs."""
        payout = Payout.objects.select_related("wallet").get(pk=payout_id)
        unsigned = bytes(payout.unsigned_tx)
        prevouts = [output for _, output in _inputs(payout_id)]
        wallet = self.client.for_wallet(payout.wallet.name)
        reply = wallet.sign_psbt(psbt.from_unsigned(unsigned, prevouts))
        if not reply.is_complete or reply.raw is None:
            return core.SignerLacks()
        try:
            tx.check_signed(reply.raw, unsigned, prevouts)
        except tx.SignatureRefused as error:
            return core.SignerContradicts(f"{error.details['rule']}: {error.message}")
        return core.Signed(reply.raw)

    def send(self, payout_id: int, raw: bytes) -> core.SendReply:
        """Offer the bytes. A node that is down took nothing, yet the answer is the same: send them again later."""
        columns = ("disbursement__program__feerate_ceiling_sat_kvb", "vsize_vb", "txid")
        ceiling, vsize_vb, txid = Payout.objects.values_list(*columns).get(pk=payout_id)
        # Without change the rest goes to the fee, which lifts a small tx above the ceiling's rate.
        limit = (ceiling + plan.CHANGE_MIN_SAT * 1000 // vsize_vb) * FEERATE_TOLERANCE
        try:
            reply = self.client.send_raw(raw, max_feerate_sat_kvb=limit, txid=txid)
        except node.NodeError as error:
            return core.SendReply(SendOutcome.UNKNOWN, error.message)
        return core.SendReply(reply.outcome, reply.reason)

    def spender(self, payout_id: int) -> str | None:
        """Return the memory pool's spender of the first input that has one."""
        return self.client.mempool_spender([outpoint for outpoint, _ in _inputs(payout_id)])


def _inputs(payout_id: int) -> list[tuple[tx.OutPoint, tx.Output]]:
    rows = Reservation.objects.filter(payout_id=payout_id).order_by("position")
    return [
        (tx.OutPoint(row.txid, row.vout), tx.Output(row.amount_sat, bytes(row.script_pubkey))) for row in rows
    ]
