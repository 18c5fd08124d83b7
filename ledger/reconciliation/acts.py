"""Compares audit events with the leaves that seal them: which were changed, are gone, or were slipped in; set-based.

It rebuilds from the row what its leaf must say, by nothing but SQL: neither the sealer nor the verifier has a part in it.
That the leaf's bytes are those of its hash, and the hashes those of the tree, is what ``verify_seals`` checks.
A full run looks at every event of the scope and at those of none, any other at what the last one left open.
"""

ALL = """
SELECT event_id AS id FROM ledger_leaf WHERE event_id IS NOT NULL UNION SELECT id FROM ledger_auditevent
"""
LEFT_OPEN = (
    "SELECT substr(source_ref, 7)::bigint AS id FROM recon_source WHERE source_ref ~ '^event:[0-9]{1,18}$'"
)
# In another cluster, after a restore, numbers of transactions say nothing until it has a seal. A leaf whose salt and bytes
# are both gone was blacked out by two people.
BREAKS = """
INSERT INTO recon_break
SELECT 'event:' || a.id, 'audit_event', NULL, NULL, '', NULL, w.expected, w.found,
    format('Audit event %%s %%s.', a.id, CASE w.found
        WHEN 'gone' THEN 'is sealed, and not there any more'
        WHEN 'slipped in' THEN 'was slipped in behind those that are sealed'
        ELSE 'is not what was sealed any more' END), 0
FROM ({asked}) a
LEFT JOIN ledger_auditevent v ON v.id = a.id
LEFT JOIN ledger_leaf f ON f.event_id = a.id
LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index
LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index
LEFT JOIN (
    SELECT event_xid, event_id, cluster = (SELECT system_identifier FROM pg_control_system()) AS is_home
    FROM ledger_seal ORDER BY size DESC LIMIT 1
) l ON true
CROSS JOIN LATERAL (SELECT convert_from(d.payload, 'UTF8')::jsonb AS said,
    jsonb_build_object(
        'version', 'govpay/event/1', 'id', v.id::text, 'actor', v.actor, 'actor_id', v.actor_id, 'door', v.door,
        'action', v.action, 'subject_kind', v.subject_kind, 'subject_id', v.subject_id, 'scope', v.scope,
        'request_id', v.request_id,
        'recorded_at', to_char(v.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'reason_sha256', encode(sha256(convert_to(nullif(v.reason, ''), 'UTF8')), 'hex'),
        'before_sha256', encode(v.before_sha256, 'hex'), 'after_sha256', encode(v.after_sha256, 'hex')) AS says) t
CROSS JOIN LATERAL (SELECT
    CASE WHEN f.index IS NULL THEN '' ELSE 'leaf ' || f.index END AS expected,
    CASE WHEN f.index IS NULL AND l.is_home AND (v.insert_xid, v.id) <= (l.event_xid, l.event_id) THEN 'slipped in'
        WHEN f.index IS NULL OR (s.salt IS NULL AND d.payload IS NULL) THEN NULL
        WHEN v.id IS NULL THEN 'gone'
        WHEN t.said IS DISTINCT FROM t.says THEN 'changed' END AS found) w
WHERE w.found IS NOT NULL AND coalesce(v.scope, t.said ->> 'scope', '') IN ('', %(scope)s)
"""


def breaks(*, is_full: bool) -> str:
    """Return the statement that finds what is wrong with events."""
    return BREAKS.format(asked=ALL if is_full else LEFT_OPEN)
