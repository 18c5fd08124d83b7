"""The engine's view of node and signer for one payout; nothing here runs inside a database transaction."""

from functools import cached_property

from payments.models import Payout, PayoutTx, PayoutTxKind, Signer
from payments.onchain import node, psbt, tx
from payments.onchain.send import SendOutcome
from payments.payout import claim, core, examine, guard, signing, versions, wallets, words

FEERATE_TOLERANCE = 2


class NodeChain:
    """Implements ``ports.Chain`` with a real node; its wallet signs on regtest (tier 0), else signers elsewhere do.

    Made anew for each visit: while the visit has the payout's lease, nobody else changes its coins and versions, so that
    they are read once.
    """

    def __init__(self, client: node.Node, payout_id: int) -> None:
        self.client = client
        self.payout_id = payout_id

    @cached_property
    def payout(self) -> Payout:
        """The payout with its wallet and current version."""
        return Payout.objects.select_related("wallet", "current").get(pk=self.payout_id)

    @cached_property
    def reserved(self) -> dict[tx.OutPoint, tx.Output]:
        """The coins of all versions by outpoint, those of the original first."""
        return versions.reserved(self.payout_id)

    @property
    def current(self) -> PayoutTx:
        """The version that is signed next, or was last."""
        assert self.payout.current is not None, "sealed with its first version"
        return self.payout.current

    def check_coins(self) -> words.CoinsThere | words.CoinGone:
        """Ask for every reserved outpoint; a node that does not know one at all answers the same as for a spent one."""
        found = self.client.utxos(list(self.reserved), include_mempool=True)
        gone = [
            str(outpoint) for outpoint, output in zip(self.reserved, found, strict=True) if output is None
        ]
        # Its own tx may be out there already, if this database is of an older day: then it goes on, never back.
        if gone and PayoutTx.objects.filter(payout_id=self.payout_id, txid=self.spender()).exists():
            return words.CoinsThere()
        return words.CoinGone(gone[0]) if gone else words.CoinsThere()

    def examine(self) -> words.Acceptable | words.CoinGone | words.Poisoned:
        """Ask whether the node would take the tx, were it signed."""
        return examine.examine(self.current, self._inputs(), self.client)

    def claim(self) -> words.Claimed:
        """Note with the wallet's node that this installation hands the payout to a signer; raise guard.WalletHalted.

        What the node shows afterwards is looked at again: of two installations that claim at once, one sees the other.
        Raises wallets.KeysMissing when the node's wallet could not sign it.
        """
        wallet = self.payout.wallet
        if wallet.signer == Signer.NODE:
            # While it can still be taken back: a restored wallet may not have all keys.
            wallets.require_keys(wallet, self._scripts(), self.client)
        number = claim.count(self.payout)
        if not claim.is_noted(number, guard.check_claims(wallet, self.client)):
            claim.note(wallet, self.client)
            guard.check_claims(wallet, self.client)
        return words.Claimed()

    def sign(self) -> words.Signed | words.SignerWaits | words.SignerContradicts:
        """Have the node's wallet sign, or gather what signers elsewhere returned; accept only what was sealed."""
        wallet = self.payout.wallet
        if wallet.signer == Signer.PSBT:
            return signing.collect(self.payout, self.client)
        guard.require_node_may_sign()
        unsigned = bytes(self.current.unsigned_tx)
        prevouts = [spent.output for spent in self._inputs()]
        unsigned_psbt = psbt.from_unsigned(unsigned, prevouts)
        of_wallet = self.client.for_wallet(wallet.name)
        reply = of_wallet.sign_psbt(unsigned_psbt)
        if not reply.is_complete:
            try:
                wallets.require_keys(wallet, self._scripts(), self.client)
            except wallets.KeysMissing as error:
                return words.SignerWaits(error.message, core.SIGN_RETRY_S)
            reply = of_wallet.sign_psbt(unsigned_psbt)
        if not reply.is_complete or reply.raw is None:
            reason = "The wallet did not sign every input; does it hold all of its keys?"
            return words.SignerWaits(reason, core.SIGN_RETRY_S)
        try:
            tx.check_signed(reply.raw, unsigned, prevouts)
        except tx.SignatureRefused as error:
            return words.SignerContradicts(f"{error.details['rule']}: {error.message}")
        return words.Signed(reply.raw)

    def send(self, version: words.Version) -> words.SendReply:
        """Offer the bytes. A node that is down took nothing, yet the answer is the same: send them again later."""
        row = self.current
        if row.txid != version.txid:
            row = PayoutTx.objects.get(payout_id=self.payout_id, txid=version.txid)
        # The node's own guard against a mistake: what was approved when it was built, and not much more.
        limit = row.fee_sat * 1000 // row.vsize_vb * FEERATE_TOLERANCE
        try:
            reply = self.client.send_raw(version.raw, max_feerate_sat_kvb=limit, txid=version.txid)
        except node.NodeError as error:
            return words.SendReply(SendOutcome.UNKNOWN, error.message, version.is_older)
        return words.SendReply(reply.outcome, reply.reason, version.is_older)

    def spender(self) -> str | None:
        """Return the memory pool's spender of the first input that has one."""
        return self.client.mempool_spender(list(self.reserved))

    def sendable(self) -> words.Sendable:
        """Look for the newest older version of which every input is unspent; of what is given up, a void."""
        rows = PayoutTx.objects.filter(payout_id=self.payout_id)
        if rows.filter(kind=PayoutTxKind.VOID).exists():
            rows = rows.filter(kind=PayoutTxKind.VOID)
        older = rows.filter(raw__isnull=False).order_by("-pk")[1:]
        for version in older:
            if all(self.client.utxos(tx.inputs_of(bytes(version.unsigned_tx)), include_mempool=True)):
                is_bump = version.kind == PayoutTxKind.BUMP
                found = words.Version(version.txid, bytes(version.raw or b""), is_bump, is_older=True)
                return words.Sendable(found)
        return words.Sendable(None)

    def _inputs(self) -> list[versions.Input]:
        return versions.inputs_of(self.current, self.reserved)

    def _scripts(self) -> list[bytes]:
        return [output.script_pubkey for output in self.reserved.values()]
