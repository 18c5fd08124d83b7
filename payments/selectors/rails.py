"""What people may see of bank files and vouchers of their programs."""

from typing import Any

from django.db.models import QuerySet

from payments.models import BankFile, Voucher
from payments.selectors import scope


def bank_files(user: Any) -> QuerySet[BankFile]:
    """Return the files of the user's programs."""
    return BankFile.objects.filter(program__in=scope.programs(user)).select_related("fetched_by")


def vouchers(user: Any) -> QuerySet[Voucher]:
    """Return the vouchers of the user's programs."""
    return Voucher.objects.filter(program__in=scope.programs(user))
