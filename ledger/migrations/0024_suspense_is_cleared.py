"""Keeps cases until what they booked to suspense has left it, for an account and on evidence, or undone."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

RESOLUTIONS = {
    "entry": "An entry that was posted",
    "evidence": "Evidence",
    "suspense": "Suspense",
    "account": "An account where it belongs",
    "reversal": "A booking undone",
}
STATUSES = {
    "open": "Open",
    "proposed": "Proposed",
    "explained": "Explained",
    "suspended": "In suspense",
    "closed": "Closed",
}


class Migration(migrations.Migration):
    dependencies = [("ledger", "0023_runs_count_uncased")]
    operations = [
        migrations.RemoveConstraint("case", "case_status_is_known"),
        migrations.RemoveConstraint("case", "case_people_of_status"),
        migrations.RemoveConstraint("case", "case_resolution_is_whole"),
        migrations.AddField(
            "case",
            "account",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="ledger.account",
            ),
        ),
        migrations.AddField("case", "suspense_ref", models.CharField(blank=True, default="", max_length=100)),
        migrations.AlterField("case", "suspense_ref", models.CharField(blank=True, max_length=100)),
        migrations.AlterField(
            "case",
            "resolution",
            models.CharField(blank=True, choices=list(RESOLUTIONS.items()), max_length=10),
        ),
        migrations.AlterField(
            "case",
            "status",
            models.CharField(choices=list(STATUSES.items()), default="open", max_length=10),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(condition=Q(status__in=list(STATUSES)), name="case_status_is_known"),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=Q(status="explained", resolution__in=list(RESOLUTIONS), decided_by__isnull=False)
                | Q(
                    status="proposed",
                    resolution__in=list(RESOLUTIONS),
                    proposed_by__isnull=False,
                    decided_by=None,
                )
                | Q(status="open", resolution="", proposed_by=None, decided_by=None, closed_at=None)
                | Q(status="suspended", closed_at=None)
                | Q(status="closed", closed_at__isnull=False),
                name="case_people_of_status",
            ),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=Q(resolution__in=["", "suspense", "account"])
                | Q(resolution__in=["entry", "reversal"], entry__isnull=False)
                | (Q(resolution="evidence", entry=None) & ~Q(note="")),
                name="case_resolution_is_whole",
            ),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=(~Q(resolution="account") & Q(account=None))
                | (
                    Q(resolution="account", account__isnull=False, evidence_sha256__isnull=False)
                    & ~Q(note="")
                ),
                name="case_moves_on_evidence",
            ),
        ),
    ]
