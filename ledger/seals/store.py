"""The tree as the database keeps it: reads hashes of leaves and of whole subtrees, and adds those that became whole."""

from collections.abc import Sequence

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from govpay.errors import GovPayError
from ledger import arrays
from ledger.seals import tree

# So many subtrees at a time are read and folded: 64 of 256 hashes, half a megabyte.
AT_ONCE = 64
LEAVES = "SELECT hash FROM ledger_leaf WHERE index >= %s AND index < %s ORDER BY index"
SUBTREES = "SELECT hash FROM ledger_subtree WHERE level = %s AND index >= %s AND index < %s ORDER BY index"
ADD_SUBTREES = """
INSERT INTO ledger_subtree (level, index, hash) SELECT %s::int2, * FROM unnest(%s::bigint[], %s::bytea[])
"""


class SealsBroken(GovPayError):
    """What is stored of the tree contradicts what was sealed; ``verify_seals`` names the entry."""

    code = "seals_broken"
    http_status = 500


def database() -> BaseDatabaseWrapper:
    """Return the connection of the sealer's role, where there is one; else the application's."""
    return connections[alias()]


def alias() -> str:
    """Return the name of the sealer's connection in the settings."""
    return "sealer" if "sealer" in settings.DATABASES else "default"


def read(level: int, first: int, last: int) -> Sequence[bytes]:
    """Return hashes as ``tree.Read`` wants them; raise SealsBroken when some are missing."""
    return read_from(database(), level, first, last)


def read_from(where: BaseDatabaseWrapper, level: int, first: int, last: int) -> Sequence[bytes]:
    """Return the same over another connection, as its database transaction sees them."""
    with where.cursor() as cursor:
        if level == 0:
            cursor.execute(LEAVES, [first, last])
        else:
            cursor.execute(SUBTREES, [level, first, last])
        found = [bytes(row[0]) for row in cursor.fetchall()]
    if len(found) != last - first:
        raise SealsBroken(
            f"The tree lacks {last - first - len(found)} hashes of level {level} from {first} on.",
            level=level,
        )
    return found


def grow(old_size: int, new_size: int) -> None:
    """Add the subtrees that became whole when leaves were added, each level from the one below."""
    level = 1
    while whole := tree.grown(level, old_size, new_size):
        for first in range(whole.start, whole.stop, AT_ONCE):
            indexes = range(first, min(first + AT_ONCE, whole.stop))
            below = read(level - 1, indexes.start * tree.FANOUT, indexes.stop * tree.FANOUT)
            hashes = [
                tree.fold(below[start : start + tree.FANOUT]) for start in range(0, len(below), tree.FANOUT)
            ]
            with arrays.cursor(database()) as cursor:
                cursor.execute(ADD_SUBTREES, [level, list(indexes), hashes])
        level += 1
