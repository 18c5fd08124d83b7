"""Writes down why the lines are held that were held before holds had rows."""

from django.db import migrations

FORWARD = """
INSERT INTO payments_hold (payment_id, rule, subject_id, note, placed_by_id, placed_at)
SELECT p.id, CASE WHEN c.actor_id IS NULL THEN 'node_refused' ELSE 'officer' END, 0, c.note, c.actor_id, c.at
FROM payments_payment p CROSS JOIN LATERAL (
    SELECT actor_id, note, at FROM payments_statuschange
    WHERE subject = 'payment' AND subject_id = p.id AND new = 'held' ORDER BY id DESC LIMIT 1
) c WHERE p.status = 'held'
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0035_holds_and_changed_destinations")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
