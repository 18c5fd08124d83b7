"""What makes files for banks, and what each does when a file is written and when its lines are answered.

Whoever adds an origin adds its entry to ORIGINS; a file names it by ``origin``.
"""

from payments.models import BankFile
from payments.services import rail_files, trust_payouts
from payments.services.bank_origin import Origin

ORIGINS: dict[str, Origin] = {
    origin.name: origin for origin in (rail_files.ORIGIN, trust_payouts.BANK_ORIGIN)
}


def of(bank_file: BankFile) -> Origin:
    """Return what made a file."""
    return ORIGINS[bank_file.origin]
