"""What a kind of decision that makes files for banks is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from payments.models import BankFile, BankReport


@dataclass(frozen=True)
class Origin:
    """A kind of decision. All but ``check`` are called inside the database transaction that moves the file, its row locked.

    ``require`` raises unless a user may have a file of it, and bring its answer. ``check`` raises where what was decided is
    not what people agreed to. ``written`` books the lines as in transit; ``answered`` settles or gives back what the lines
    settle whose ``report`` it is now, by sets.
    """

    name: str
    require: Callable[[User, BankFile], None]
    check: Callable[[BankFile], None]
    written: Callable[[BankFile, datetime], None]
    answered: Callable[[BankFile, BankReport], None]
