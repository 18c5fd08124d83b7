"""Tells the people of cases, periods and redactions apart by their ids: a name may be another person's tomorrow."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

ROLES = ("owner", "proposed_by", "decided_by")
# Who has another name since is not found; what they said of a case has to be said again.
FIND = "".join(
    f"UPDATE ledger_case c SET {role}_id = u.id FROM auth_user u WHERE u.username = c.{role}_name;\n"
    for role in ROLES
) + """
UPDATE ledger_case SET status = 'open', resolution = '', note = '', evidence_sha256 = NULL, entry_id = NULL,
    proposed_by_id = NULL, decided_by_id = NULL
WHERE status IN ('proposed', 'explained')
    AND (proposed_by_id IS NULL OR (decided_by_id IS NULL AND status = 'explained'));
UPDATE ledger_case SET decided_by_id = NULL WHERE proposed_by_id IS NULL;
SET CONSTRAINTS ALL IMMEDIATE
"""
NAME = (
    "".join(
        f"UPDATE ledger_case c SET {role}_name = u.username FROM auth_user u WHERE u.id = c.{role}_id;\n"
        for role in ROLES
    )
    + "SET CONSTRAINTS ALL IMMEDIATE"
)
RESOLUTIONS = ["entry", "evidence", "suspense"]


def user() -> models.ForeignKey:
    """Return a column for somebody."""
    return models.ForeignKey(
        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0020_packs"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.RemoveConstraint("case", "case_decided_by_another"),
        migrations.RemoveConstraint("case", "case_people_of_status"),
        *(migrations.RenameField("case", role, f"{role}_name") for role in ROLES),
        *(migrations.AddField("case", role, user()) for role in ROLES),
        migrations.RunSQL(FIND, NAME),
        *(migrations.RemoveField("case", f"{role}_name") for role in ROLES),
        *(
            migrations.AddField(model, "user", user())
            for model in ("caseevent", "periodchange", "redactionrequest", "redaction")
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=Q(decided_by=None)
                | (~Q(decided_by=F("proposed_by")) & Q(proposed_by__isnull=False)),
                name="case_decided_by_another",
            ),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=Q(status="explained", resolution__in=RESOLUTIONS, decided_by__isnull=False)
                | Q(
                    status="proposed",
                    resolution__in=RESOLUTIONS,
                    proposed_by__isnull=False,
                    decided_by=None,
                )
                | Q(status="open", resolution="", proposed_by=None, decided_by=None, closed_at=None)
                | Q(status="closed", closed_at__isnull=False),
                name="case_people_of_status",
            ),
        ),
    ]
