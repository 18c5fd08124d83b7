"""Funding wallets and the scripts that belong to them."""

from django.db import models

from payments.models.program import Program


class ScriptPurpose(models.TextChoices):
    """What one of our own scripts is for."""

    FUNDING = "funding", "Funding"
    CHANGE = "change", "Change"


class Wallet(models.Model):
    """A program's funding wallet in the node; made by the engine, so ``ready_at`` is empty at first.

    Its coins are counted from ``birth_height`` on. ``name`` is the wallet's name in the node.
    """

    program = models.OneToOneField(Program, on_delete=models.PROTECT, related_name="wallet")
    name = models.CharField(max_length=64, unique=True)
    birth_height = models.PositiveIntegerField(null=True)
    ready_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class WalletScript(models.Model):
    """A script_pubkey that the wallet owns. A change script is claimed by one payout and never used again."""

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="scripts")
    script_pubkey = models.BinaryField(max_length=34, unique=True)
    purpose = models.CharField(max_length=10, choices=ScriptPurpose)
    is_claimed = models.BooleanField(default=False)
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
