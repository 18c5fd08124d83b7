"""What a database role holds on the ledger's tables, in the words in which rights are listed."""

from collections.abc import Mapping, Sequence

HELD = """
SELECT relname, array_agg(held ORDER BY held) FROM (
    SELECT c.relname, a.privilege_type::text AS held FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.relkind = 'r' AND c.relname LIKE 'ledger%%' AND a.grantee = %(role)s::regrole
    UNION ALL
    SELECT c.relname, format('%%s (%%s)', a.privilege_type, string_agg(t.attname, ', ' ORDER BY t.attname::text COLLATE "C"))
    FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
    WHERE c.relkind = 'r' AND c.relname LIKE 'ledger%%' AND a.grantee = %(role)s::regrole
    GROUP BY c.relname, a.privilege_type
) r GROUP BY relname
"""


def listed(rights: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return listed rights as `HELD` gives them: in order, and the columns of each in order."""
    return {table: sorted(map(_ordered, held)) for table, held in rights.items() if held}


def _ordered(right: str) -> str:
    verb, _, columns = right.removesuffix(")").partition(" (")
    return f"{verb} ({', '.join(sorted(columns.split(', ')))})" if columns else verb
