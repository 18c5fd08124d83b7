"""What a kind of proposal is made of: what is now, what it would be, and how that is done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from payments.models import Proposal


@dataclass(frozen=True)
class Kind:
    """A kind of change. Its calls are made inside the database transaction that stores what came of them.

    ``current`` locks what would change and returns it by name, in values of JSON; ``change`` returns the same after the
    change, and raises what that breaks; ``apply`` does it, once two people have seen the same before and after.
    """

    name: str
    label: str
    current: Callable[[Proposal], dict[str, Any]]
    change: Callable[[Proposal, dict[str, Any]], dict[str, Any]]
    apply: Callable[[Proposal, User], None]


def program_of(proposal: Proposal) -> int:
    """Return the program of a proposal whose kind is always about one."""
    assert proposal.program_id is not None, f"Proposal {proposal.pk} is about no program."
    return proposal.program_id
