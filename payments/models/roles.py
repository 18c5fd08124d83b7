"""Which roles one person may not hold in the same program, and the roles that people held before."""

from itertools import combinations

from django.conf import settings
from django.db import models

from payments.models.program import Program, Role

USER = settings.AUTH_USER_MODEL

# Make, approve, release: each another person, whatever list it is.
OF_LISTS = (Role.OFFICER, Role.APPROVER, Role.RELEASER)
_WHY: dict[tuple[str, str], str] = {
    **dict.fromkeys(combinations(OF_LISTS, 2), "Lists are made, approved and released by three people."),
    **{(role, Role.TREASURER): "Who keeps the money does not decide whom it pays." for role in OF_LISTS},
    **{
        (role, Role.SIGNER): "Who carries txs to the signers has no part in what they pay."
        for role in OF_LISTS
    },
    **{(role, Role.AUDITOR): "Who examines takes no part." for role in Role if role != Role.AUDITOR},
    **{
        (role, Role.HELPDESK): "Who hears complaints is not whom they are about."
        for role in Role
        if role not in (Role.AUDITOR, Role.HELPDESK)
    },
    **{
        (role, Role.AGENT): "Who pays people out at a counter has no other part."
        for role in Role
        if role not in (Role.AUDITOR, Role.HELPDESK, Role.AGENT)
    },
    **{
        (role, Role.SECURITY): "Who gives roles holds none of them."
        for role in Role
        if role not in (Role.AUDITOR, Role.HELPDESK, Role.SECURITY)
    },
}
# Why of each pair, in either order; a treasurer may be signer operator too, for both carry txs to the signers.
INCOMPATIBLE = {frozenset(map(str, pair)): why for pair, why in _WHY.items()}


class PastMembership(models.Model):
    """A role that ended: whose, from when to when, who gave it and who ended it (nobody: it was deleted by hand).

    A trigger writes it whenever a Membership is deleted, whoever deletes it.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="past_memberships")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="past_memberships")
    role = models.CharField(max_length=10, choices=Role)
    granted_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    granted_at = models.DateTimeField()
    ended_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} was {self.role} of {self.program}"
