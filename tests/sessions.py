"""Who else is connected to the database of the tests."""

import time

import psycopg
from django.db import connections

from tests import services

# A session ends a moment after its connection was closed.
WAIT_S = 5
OTHERS = """
SELECT pid, usename::text, application_name, state, query FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname = %s AND NOT pid = ANY(%s)
"""


def others() -> list[str]:
    """Return what is known of each session that is not of this thread, after waiting for those that end."""
    name = connections["default"].settings_dict["NAME"]
    own = [
        held.connection.info.backend_pid
        for held in connections.all(initialized_only=True)
        if held.connection is not None
    ]
    address = psycopg.conninfo.make_conninfo(services.ensure_database(), dbname="postgres")
    with psycopg.connect(address, autocommit=True) as server:
        until = time.monotonic() + WAIT_S
        while found := server.execute(OTHERS, [name, own]).fetchall():
            if time.monotonic() > until:
                break
            time.sleep(0.05)
    return [" ".join(map(str, row)) for row in found]
