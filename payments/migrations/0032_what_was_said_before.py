"""Writes the approvals of lists that were submitted, approved or released before there were any: one approver, fourteen days.

What the columns of a list say at this moment is taken as said; from here on only people's acts add to it.
"""

import hmac
import json
from datetime import UTC, timedelta

from django.conf import settings
from django.db import migrations

STANDING = ["submitted", "approved", "released", "completed"]
TIER = {"policy": None, "up_to_sat": None, "needs": {"approvers": 1}, "days": 14}
AT_ONCE = 500


def _moment(at):
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")


def _steps(row):
    """Yield step, user, group, time and end of what was said of a list."""
    yield "submit", row.made_by_id, "", row.submitted_at, None
    if row.approved_by_id is not None and row.approved_at is not None:
        end = row.approved_at + timedelta(days=TIER["days"])
        if row.released_at is not None:
            end = max(end, row.released_at + timedelta(seconds=1))
        yield "approve", row.approved_by_id, "approvers", row.approved_at, end
    if row.released_by_id is not None and row.released_at is not None:
        yield "release", row.released_by_id, "", row.released_at, None


def write(apps, schema_editor):
    disbursements = apps.get_model("payments", "Disbursement").objects
    approval = apps.get_model("payments", "Approval")
    key_id, key = next(iter(settings.GOVPAY_APPROVAL_KEYS.items()))
    standing = disbursements.filter(status__in=STANDING, manifest_hash__isnull=False, submitted_at__isnull=False)
    rows = []
    for row in standing.filter(approval_tier__isnull=True).order_by("pk").iterator(chunk_size=AT_ONCE):
        manifest_hash = bytes(row.manifest_hash)
        for step, user_id, group, at, end in _steps(row):
            said = [key_id, "govpay-approval-1", step, row.pk, manifest_hash.hex(), user_id, group]
            said += [_moment(at), _moment(end), TIER]
            text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
            rows.append(
                approval(
                    disbursement_id=row.pk,
                    step=step,
                    user_id=user_id,
                    group_name=group,
                    manifest_hash=manifest_hash,
                    at=at,
                    expires_at=end,
                    key_id=key_id,
                    mac=hmac.digest(key, text.encode(), "sha256"),
                )
            )
    approval.objects.bulk_create(rows, batch_size=AT_ONCE)
    standing.filter(approval_tier__isnull=True).update(approval_tier=TIER)


def forget(apps, schema_editor):
    apps.get_model("payments", "Approval").objects.all().delete()
    apps.get_model("payments", "Disbursement").objects.update(approval_tier=None)


class Migration(migrations.Migration):
    dependencies = [("payments", "0031_approvals")]
    operations = [migrations.RunPython(write, forget)]
