"""Tables and the facts of one row."""

from payments.models.beneficiary import Beneficiary, Destination, Enrollment
from payments.models.chain import Block, ChainFact, Coin, NodeStatus
from payments.models.disbursement import Cycle, Disbursement
from payments.models.history import StatusChange
from payments.models.intake import Intake, IntakeError
from payments.models.payment import Payment
from payments.models.payout import Payout, PayoutTx, Reservation
from payments.models.program import Membership, Program, Role
from payments.models.wallet import ScriptPurpose, Wallet, WalletScript

__all__ = [
    "Beneficiary",
    "Block",
    "ChainFact",
    "Coin",
    "Cycle",
    "Destination",
    "Disbursement",
    "Enrollment",
    "Intake",
    "IntakeError",
    "Membership",
    "NodeStatus",
    "Payment",
    "Payout",
    "PayoutTx",
    "Program",
    "Reservation",
    "Role",
    "ScriptPurpose",
    "StatusChange",
    "Wallet",
    "WalletScript",
]
