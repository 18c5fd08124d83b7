"""Audit events: who did what, when, through which door, with the hashes of the state before and after.

A reason is a person's words and may name somebody: its SHA-256 stands for it, as in what is sealed.
"""

from ledger.reports.report import Column, Report, Unit

RIGHT = "ledger.view_auditevent"
SQL = """
SELECT v.id, v.recorded_at, v.actor, v.actor_id, v.door, v.action, v.subject_kind, v.subject_id, v.scope, v.request_id,
    CASE WHEN v.reason <> '' THEN encode(sha256(convert_to(v.reason, 'UTF8')), 'hex') END,
    encode(v.before_sha256, 'hex'), encode(v.after_sha256, 'hex'), f.index
FROM ledger_auditevent v LEFT JOIN ledger_leaf f ON f.event_id = v.id
WHERE (%(scope)s::text IS NULL OR v.scope = %(scope)s)
AND v.recorded_at >= coalesce(%(since)s, '-infinity'::timestamptz) AND v.recorded_at < %(before)s
AND v.recorded_at <= %(known_at)s
ORDER BY v.id
"""

REPORT = Report(
    name="audit",
    title="Audit events",
    meaning="What people, commands and the engine did: who, when, through which door, on what, with the hashes of its state"
    " before and after, and the leaf of the tree that seals it.",
    columns=(
        Column("event_id", "Event", Unit.NUMBER),
        Column("recorded_at", "Recorded", Unit.MOMENT),
        Column("actor", "Who"),
        Column("actor_id", "User"),
        Column("door", "Door"),
        Column("action", "Action"),
        Column("subject_kind", "Of"),
        Column("subject_id", "Number"),
        Column("scope", "Program"),
        Column("request_id", "Request"),
        Column("reason_sha256", "SHA-256 of the reason"),
        Column("before_sha256", "Before"),
        Column("after_sha256", "After"),
        Column("leaf", "Leaf", Unit.NUMBER),
    ),
    sql=SQL,
    signed=False,
    right=RIGHT,
)
