"""Empties the tables after a test with real database transactions, those of the books too: only what was written is touched.

Truncating all tables gives each of them, and each of their indexes, new files, which takes longer than most tests.
"""

import psycopg
from django.db import connection

from tests import services

# What migrating wrote; Django's own flush writes the last two anew each time.
KEPT = ["django_migrations", "django_content_type", "auth_permission"]
# Rows are deleted from tables up to this size, which the rows of some hundred tests fill; then all are truncated.
LARGE_BYTES = 2**20
# A superuser's session skips triggers, those of foreign keys among them, but for those that are always on; these guard
# the books, and are on again in the same transaction.
EMPTY = """
DO $$
DECLARE
    each record;
    is_filled boolean;
    filled regclass[] := '{}';
    is_large boolean := false;
    everything text[] := '{}';
BEGIN
    FOR each IN SELECT c.oid::regclass AS name, pg_relation_size(c.oid) AS size FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT c.relname = ANY(%(kept)s::text[])
    LOOP
        everything := everything || each.name::text;
        IF each.size > 0 THEN
            is_large := is_large OR each.size > %(large)s::bigint;
            EXECUTE format('SELECT EXISTS (SELECT FROM %%s)', each.name) INTO is_filled;
            IF is_filled THEN
                filled := filled || each.name;
            END IF;
        END IF;
    END LOOP;
    CREATE TEMPORARY TABLE always ON COMMIT DROP AS SELECT tgrelid::regclass AS guarded, tgname AS name FROM pg_trigger
        WHERE tgenabled = 'A' AND NOT tgisinternal AND (is_large OR tgrelid = ANY(filled));
    FOR each IN SELECT * FROM always LOOP
        EXECUTE format('ALTER TABLE %%s DISABLE TRIGGER %%I', each.guarded, each.name);
    END LOOP;
    IF is_large THEN
        EXECUTE 'TRUNCATE ' || array_to_string(everything, ', ');
    ELSE
        FOR each IN SELECT unnest(filled) AS name LOOP
            EXECUTE format('DELETE FROM %%s', each.name);
        END LOOP;
    END IF;
    FOR each IN SELECT * FROM always LOOP
        EXECUTE format('ALTER TABLE %%s ENABLE ALWAYS TRIGGER %%I', each.guarded, each.name);
    END LOOP;
END $$
"""


def empty() -> None:
    """Leave every table of the test's database empty, but for KEPT."""
    name = str(connection.settings_dict["NAME"])
    address = psycopg.conninfo.make_conninfo(services.get_postgres().superuser_url, dbname=name)
    # Bound here: a block of this kind takes no values.
    with psycopg.connect(address, cursor_factory=psycopg.ClientCursor) as session:
        session.execute("SET session_replication_role = replica")
        session.execute(EMPTY, {"kept": KEPT, "large": LARGE_BYTES})
