"""Funding wallets and the scripts that belong to them."""

from typing import Self

from django.db import models

from payments.models.program import Program
from payments.onchain import descriptor, fee


class ScriptPurpose(models.TextChoices):
    """What one of our own scripts is for."""

    FUNDING = "funding", "Funding"
    CHANGE = "change", "Change"


class Signer(models.TextChoices):
    """Who holds the keys."""

    NODE = "node", "The node's wallet"  # Tier 0: regtest only.
    PSBT = "psbt", "Signers elsewhere"  # Tiers 1 and 2: PSBTs go out and come back; the node only watches.


class WalletQuerySet(models.QuerySet["Wallet"]):
    """Wallets, and the lock under which their coins and fees are spent."""

    def lock(self) -> Self:
        """Lock them until the database transaction ends; take it before any payout's row, and in pk order.

        Rows that refer to a wallet may still be written: who holds a payout's row must not wait for the wallet's.
        """
        return self.select_for_update(of=("self",), no_key=True)


class Wallet(models.Model):
    """A program's funding wallet in the node; made by the engine, so ``ready_at`` is empty at first.

    Its coins are counted from ``birth_height`` on. ``name`` is the wallet's name in the node. ``descriptor`` is the
    multipath descriptor (BIP389) of a watch-only wallet, and ``descriptor_checksum`` what the node's wallet showed when
    it was made. ``signed_count`` counts what was handed to a signer; the node's wallet keeps the same count, so that a
    database restored from an older day, or a second installation, is noticed. ``halted_at``: nothing is sealed, signed
    or sent until two people lift it.
    """

    program = models.OneToOneField(Program, on_delete=models.PROTECT, related_name="wallet")
    name = models.CharField(max_length=64, unique=True)
    birth_height = models.PositiveIntegerField(null=True)
    ready_at = models.DateTimeField(null=True)
    signer = models.CharField(max_length=10, choices=Signer, default=Signer.NODE)
    descriptor = models.TextField(blank=True)
    descriptor_checksum = models.CharField(max_length=64, blank=True)
    next_receive_index = models.PositiveIntegerField(default=0)
    next_change_index = models.PositiveIntegerField(default=0)
    signed_count = models.PositiveBigIntegerField(default=0)
    halted_at = models.DateTimeField(null=True)
    halt_code = models.CharField(max_length=40, blank=True)
    halt_reason = models.CharField(max_length=300, blank=True)
    # When small coins are looked at again, and why they were not merged the last time.
    consolidate_due_at = models.DateTimeField(null=True)
    consolidate_problem = models.CharField(max_length=300, blank=True)

    objects = WalletQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(signer=Signer.NODE, descriptor="")
                | (models.Q(signer=Signer.PSBT) & ~models.Q(descriptor="")),
                name="wallet_descriptor_of_signer",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def input_weight(self) -> int:
        """The weight units of an input that spends one of its coins, signed."""
        if self.signer == Signer.PSBT:
            return descriptor.parse(self.descriptor).input_weight
        return fee.P2WPKH_INPUT_WEIGHT

    @property
    def change_weight(self) -> int:
        """The weight units of an output that pays one of its change scripts."""
        if self.signer == Signer.PSBT:
            return descriptor.parse(self.descriptor).output_weight
        return fee.output_weight(b"\0" * 22)


class WalletScript(models.Model):
    """A script_pubkey that the wallet owns. A change script is claimed by one payout and never used again.

    ``descriptor_index`` is its place in a watch-only wallet's descriptor: in the receive chain for funding, in the
    change chain for change.
    """

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="scripts")
    script_pubkey = models.BinaryField(max_length=34, unique=True)
    purpose = models.CharField(max_length=10, choices=ScriptPurpose)
    is_claimed = models.BooleanField(default=False)
    descriptor_index = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["wallet", "purpose"],
                condition=models.Q(is_claimed=False),
                name="walletscript_free",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {bytes(self.script_pubkey).hex()}"
