"""The feed of what happened in a program: each change of a status, numbered without a gap after it was committed."""

from django.db import models
from django.db.models import F, Q

from payments.models.history import StatusChange
from payments.models.program import Program


class Event(models.Model):
    """One change of a status and its place in its program's feed; a trigger writes it with the change.

    ``number`` is given once (payments.payout.events): a reader who has seen a number has seen all below it, whenever
    the changes were committed.
    """

    change = models.OneToOneField(
        StatusChange, primary_key=True, on_delete=models.PROTECT, related_name="event"
    )
    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="events", db_index=False)
    number = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "number"], name="event_numbered_once"),
            models.CheckConstraint(condition=Q(number=None) | Q(number__gte=1), name="event_from_one"),
        ]
        indexes = [models.Index(F("change"), condition=Q(number=None), name="event_unnumbered")]

    def __str__(self) -> str:
        return f"event {self.number}"
