"""Says which commits need not wait for the disk.

What a crash of the database server could lose then is only found again or done again: a seal, a lease, a wait, the note
that a node took the bytes. Whatever must not be lost (the commit point, signed bytes and their booking) waits for the
disk, and takes everything that was committed before with it.
"""

from django.db import connection

# A row to join in one statement, whose database transaction then does not wait.
SOFT = "(SELECT set_config('synchronous_commit', 'off', true))"


def soften() -> None:
    """Let the commit of this database transaction return before the disk has it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {SOFT}")
