"""Blacks out sealed entries: salt and bytes are deleted, the hash stays, and the tree over it is as whole as before.

One person asks and says why, another agrees. The entry's row stays in the books, which nobody can change; what leaves them,
as packs and their journals, has neither the bytes nor the lines any more, and the files of packs that had are deleted.
"""

from django.contrib.auth.models import User
from django.db import transaction

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from ledger.models import Leaf, LeafPayload, LeafSalt, Redaction, RedactionRequest
from ledger.packs import jobs

RIGHT = "ledger.redact_leaf"
MOST_WHY = 300


class AlreadyRedacted(Conflict):
    """The entry was blacked out before."""

    code = "already_redacted"


@transaction.atomic
def ask(*, by: User, why: str, entry_id: int | None = None, index: int | None = None) -> RedactionRequest:
    """Ask that a sealed entry is blacked out, or any leaf by its index: what was done with a period has a note in it.

    Raises Forbidden, NotFound, AlreadyRedacted, InvalidInput.
    """
    _require(by)
    of_entry = entry_id is not None
    leaf = Leaf.objects.filter(**({"entry_id": entry_id} if of_entry else {"pk": index})).first()
    if leaf is None:
        name = f"sealed entry {entry_id}" if of_entry else f"leaf {index}"
        raise NotFound(f"There is no {name}.", entry_id=entry_id, index=index)
    if Redaction.objects.filter(leaf=leaf).exists():
        raise AlreadyRedacted(f"Leaf {leaf.pk} was blacked out before.", leaf=leaf.pk)
    if not 0 < len(why.strip()) <= MOST_WHY:
        message = (
            f"Say why, in at most {MOST_WHY} characters and without personal data: it is shown in packs."
        )
        raise InvalidInput(message, errors=[{"column": "why", "code": "invalid", "message": message}])
    asked = RedactionRequest.objects.create(leaf=leaf, asked_by=by.get_username(), user=by, why=why.strip())
    audit.record("redaction.ask", asked, by=by, reason=why)
    return asked


@transaction.atomic
def carry_out(*, by: User, request_id: int) -> Redaction:
    """Agree to a request of another person, and delete the entry's salt and sealed bytes with that, also in packs.

    Raises Forbidden, NotFound, SamePersonTwice, AlreadyRedacted.
    """
    _require(by)
    asked = RedactionRequest.objects.filter(pk=request_id).first()
    if asked is None:
        raise NotFound(f"There is no request {request_id} for a redaction.", request_id=request_id)
    if asked.user_id == by.pk:
        raise SamePersonTwice("Who asked for a redaction cannot agree to it.")
    if asked.asked_by == by.get_username() or asked.user_id is None:
        raise SamePersonTwice(f"Nobody can tell you from the {asked.asked_by} who asked; ask for it anew.")
    done, is_new = Redaction.objects.get_or_create(
        leaf_id=asked.leaf_id, defaults={"request": asked, "approved_by": by.get_username(), "user": by}
    )
    if not is_new:
        raise AlreadyRedacted(f"Leaf {asked.leaf_id} was blacked out before.", leaf=asked.leaf_id)
    LeafSalt.objects.filter(leaf_id=asked.leaf_id).delete()
    LeafPayload.objects.filter(leaf_id=asked.leaf_id).delete()
    jobs.black_out(asked.leaf_id)
    audit.record("redaction.agree", asked, by=by)
    return done


def _require(by: User) -> None:
    if not by.has_perm(RIGHT):
        raise Forbidden(f"Blacking out needs the permission {RIGHT}.")
