"""The history of every status, and ``move``, the only function that changes one."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from ledger import audit
from payments import states


class Tracked(models.Model):
    """A row whose ``status`` changes only by ``move``; ``status_subject`` is its key in TRANSITIONS.

    What nobody but the engine does to it is an audit event where ``program_path`` says whose program it is of.
    """

    status_subject: ClassVar[str]
    program_path: ClassVar[str] = ""
    status: Any

    class Meta:
        abstract = True


class StatusChange(models.Model):
    """One change of one row's status: from, to, why, by whom (nobody: the engine) and when."""

    subject = models.CharField(max_length=20)
    subject_id = models.BigIntegerField()
    old = models.CharField(max_length=20)
    new = models.CharField(max_length=20)
    reason = models.CharField(max_length=200)
    note = models.TextField(blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["subject", "subject_id", "id"], name="statuschange_subject")]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id}: {self.old} → {self.new}"


def move(
    rows: models.QuerySet[Any],
    *,
    old: str,
    new: str,
    actor_id: int | None = None,
    note: str = "",
    expected: int = 1,
    locked_ids: Sequence[int] | None = None,
    locked: Sequence[Any] = (),
    **changes: Any,
) -> None:
    """Move ``expected`` rows from ``old`` to ``new``, with other column changes, and write a history row each.

    Call it inside a database transaction. Raises StatusConflict, and changes nothing, when the arrow is not in the
    table, or when not exactly ``expected`` of ``rows`` (the caller's filter may hold a fencing token) are in ``old``.
    A caller that has locked all of ``rows``, and read that they are in ``old``, may say so by their ``locked_ids``, or give
    them as ``locked`` where it read them by ``standing``.
    """
    subject = rows.model.status_subject
    reason = states.reason_of(subject, old, new)
    waiting = rows.filter(status=old).order_by("pk").select_for_update()
    if locked:
        locked_ids = [row.pk for row in locked]
    ids = list(waiting.values_list("pk", flat=True)) if locked_ids is None else list(locked_ids)
    if len(ids) != expected:
        raise states.StatusConflict(
            f"The {subject} is not {old} any more.",
            subject=subject,
            old=old,
            new=new,
            found=len(ids),
            expected=expected,
        )
    is_engines = actor_id is None and bool(rows.model.program_path)
    before = list(locked or standing(rows.model, ids)) if is_engines else []
    rows.model._default_manager.filter(pk__in=ids).update(status=new, **changes)
    StatusChange.objects.bulk_create(
        StatusChange(
            subject=subject, subject_id=pk, old=old, new=new, reason=reason, note=note, actor_id=actor_id
        )
        for pk in ids
    )
    if before:
        _record(before, new, {row.pk: audit.digest_of(row.row_state) for row in before})


def begin(row: Tracked, *, reason: str, note: str = "", actor_id: int | None = None) -> None:
    """Write the first history row of what was just made; what nobody but the engine has made is recorded as in ``move``."""
    StatusChange.objects.create(
        subject=row.status_subject,
        subject_id=row.pk,
        old="",
        new=row.status,
        reason=reason,
        note=note,
        actor_id=actor_id,
    )
    if actor_id is None and row.program_path:
        _record([row], row.status, {})


def standing(model: type[Tracked], ids: Sequence[int]) -> models.QuerySet[Any]:
    """Return rows as they stand, in order, with what an audit event says of them before they are moved."""
    related = model.program_path.rpartition("__")[0]
    rows = model._default_manager.filter(pk__in=ids).order_by("pk").annotate(row_state=audit.RowState())
    return rows.select_related(related) if related else rows


def _record(rows: Sequence[Tracked], status: str, before: Mapping[int, bytes]) -> None:
    model = type(rows[0])
    program_id = attrgetter(model.program_path.replace("__", "."))
    scopes = {row.pk: f"program:{program_id(row)}" for row in rows}
    audit.record_all(f"{model.status_subject}.{status}", model, scopes, before=before)
