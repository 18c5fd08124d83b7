"""Tables and the facts of one row."""

from payments.models.approval import (
    Approval,
    ApprovalPolicy,
    CapKind,
    GroupMember,
    RollingCap,
    Step,
    TierNeed,
)
from payments.models.bank import (
    BankAccount,
    BankFile,
    BankFileLine,
    BankReport,
    LineOutcome,
    PayingAccount,
    TitleMatch,
)
from payments.models.beneficiary import Beneficiary, Destination, Enrollment
from payments.models.budget import BudgetPeriod, Commitment, Warrant, WarrantKind
from payments.models.chain import Block, ChainFact, Coin, MempoolLook, NodeStatus
from payments.models.claim import Channel, ClaimLink, Entitlement, Message, MessageKind
from payments.models.consent import Consent, ConsentText
from payments.models.control import AddressProof
from payments.models.destination import ChangeOutcome, DestinationChange
from payments.models.disbursement import Cycle, Disbursement
from payments.models.election import Election, ElectionChoice, Instead, LegRefusal, TrustLeg
from payments.models.erasure import Erasure, ErasureOutcome
from payments.models.event import Event
from payments.models.exclusion import Appeal, AppealOutcome, Exclusion, ExclusionList
from payments.models.grievance import Finding, Grievance, GrievanceCategory
from payments.models.history import StatusChange
from payments.models.hold import Hold, HoldRule
from payments.models.import_job import ImportFault, ImportJob, ImportPart, ImportRow
from payments.models.inflow import ClassedInflow, InflowClassing, PurchasePlan
from payments.models.institution import Institution
from payments.models.intake import Intake, IntakeError
from payments.models.intervention import Intervention, InterventionKind
from payments.models.outcome import OutcomeBaseline, OutcomeFigure
from payments.models.payment import Payment
from payments.models.payout import ChangeOutput, Payout, PayoutKind, PayoutTx, PayoutTxKind, Reservation
from payments.models.person_code import PersonCode
from payments.models.price import (
    ManualPrice,
    PriceBreaker,
    PriceReading,
    PriceRule,
    PriceSource,
    PriceStatus,
    SourceKind,
)
from payments.models.program import Membership, Program, ProofNeeded, Role
from payments.models.projection import CostBaseline
from payments.models.proof import InclusionProof
from payments.models.proposal import Proposal
from payments.models.publication import Publication
from payments.models.quote import Quote
from payments.models.rail import Rail
from payments.models.reserve import Holding, HoldingAddress, HoldingKind, ReserveStatus
from payments.models.reserve_proof import ReserveProof
from payments.models.roles import PastMembership
from payments.models.safety import Alarm, AlarmDelivery, AlarmEvent, Heartbeat, Installation, Stop
from payments.models.signing import (
    ApproverKey,
    ManifestSignature,
    PartialSignature,
    RequestState,
    SigningRequest,
)
from payments.models.travel import Originator, TravelRecord
from payments.models.trust import (
    Trust,
    TrustDecision,
    TrustDecisionKind,
    TrustPurse,
    TrustSeat,
    TrustVote,
)
from payments.models.verification import Standing, Verification
from payments.models.voucher import Voucher, VoucherDesk
from payments.models.wallet import ScriptPurpose, Signer, Wallet, WalletScript
from payments.models.webhook import PauseReason, Webhook, WebhookDelivery, WebhookSecret

__all__ = [
    "AddressProof",
    "Alarm",
    "AlarmDelivery",
    "AlarmEvent",
    "Appeal",
    "AppealOutcome",
    "Approval",
    "ApprovalPolicy",
    "ApproverKey",
    "BankAccount",
    "BankFile",
    "BankFileLine",
    "BankReport",
    "Beneficiary",
    "Block",
    "BudgetPeriod",
    "CapKind",
    "ChainFact",
    "ChangeOutcome",
    "ChangeOutput",
    "Channel",
    "ClaimLink",
    "ClassedInflow",
    "Coin",
    "Commitment",
    "Consent",
    "ConsentText",
    "CostBaseline",
    "Cycle",
    "Destination",
    "DestinationChange",
    "Disbursement",
    "Election",
    "ElectionChoice",
    "Enrollment",
    "Entitlement",
    "Erasure",
    "ErasureOutcome",
    "Event",
    "Exclusion",
    "ExclusionList",
    "Finding",
    "Grievance",
    "GrievanceCategory",
    "GroupMember",
    "Heartbeat",
    "Hold",
    "HoldRule",
    "Holding",
    "HoldingAddress",
    "HoldingKind",
    "ImportFault",
    "ImportJob",
    "ImportPart",
    "ImportRow",
    "InclusionProof",
    "InflowClassing",
    "Installation",
    "Instead",
    "Institution",
    "Intake",
    "IntakeError",
    "Intervention",
    "InterventionKind",
    "LegRefusal",
    "LineOutcome",
    "ManifestSignature",
    "ManualPrice",
    "Membership",
    "MempoolLook",
    "Message",
    "MessageKind",
    "NodeStatus",
    "Originator",
    "OutcomeBaseline",
    "OutcomeFigure",
    "PartialSignature",
    "PastMembership",
    "PauseReason",
    "PayingAccount",
    "Payment",
    "Payout",
    "PayoutKind",
    "PayoutTx",
    "PayoutTxKind",
    "PersonCode",
    "PriceBreaker",
    "PriceReading",
    "PriceRule",
    "PriceSource",
    "PriceStatus",
    "Program",
    "ProofNeeded",
    "Proposal",
    "Publication",
    "PurchasePlan",
    "Quote",
    "Rail",
    "RequestState",
    "Reservation",
    "ReserveProof",
    "ReserveStatus",
    "Role",
    "RollingCap",
    "ScriptPurpose",
    "Signer",
    "SigningRequest",
    "SourceKind",
    "Standing",
    "StatusChange",
    "Step",
    "Stop",
    "TierNeed",
    "TitleMatch",
    "TravelRecord",
    "Trust",
    "TrustDecision",
    "TrustDecisionKind",
    "TrustLeg",
    "TrustPurse",
    "TrustSeat",
    "TrustVote",
    "Verification",
    "Voucher",
    "VoucherDesk",
    "Wallet",
    "WalletScript",
    "Warrant",
    "WarrantKind",
    "Webhook",
    "WebhookDelivery",
    "WebhookSecret",
]
