"""Redactions: which sealed entries were blacked out, who asked for it and why, and who agreed; never changed or deleted."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ledger.models.seal import Leaf

USER = settings.AUTH_USER_MODEL


class RedactionRequest(models.Model):
    """Somebody asks that an entry's salt and sealed bytes are deleted, and says why. ``why`` is shown in packs.

    ``asked_by`` is the name that ``user`` had then.
    """

    leaf = models.ForeignKey(Leaf, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    asked_by = models.CharField(max_length=150)
    user = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    why = models.CharField(max_length=300)
    asked_at = models.DateTimeField(db_default=Now())

    class Meta:
        permissions = [("redact_leaf", "Can black out sealed entries, with a second person")]
        constraints = [
            models.CheckConstraint(condition=~Q(asked_by="") & ~Q(why=""), name="redactionrequest_says_why"),
        ]

    def __str__(self) -> str:
        return f"request {self.pk} to black out leaf {self.leaf_id}"


class Redaction(models.Model):
    """A second person agreed, and the leaf's salt and bytes are gone: the trigger lets none be deleted without this row.

    ``approved_by`` is the name that ``user`` had then; it is another user of another name than the one who asked.
    """

    leaf = models.OneToOneField(
        Leaf, primary_key=True, on_delete=models.PROTECT, related_name="redaction", db_constraint=False
    )
    request = models.OneToOneField(RedactionRequest, on_delete=models.PROTECT, related_name="redaction")
    approved_by = models.CharField(max_length=150)
    user = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    redacted_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"redaction of leaf {self.leaf_id}"
