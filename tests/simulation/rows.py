"""The rows that the simulation's store keeps: payouts, and the versions of their txs."""

from dataclasses import dataclass, field

from payments.onchain.tx import OutPoint
from payments.states import PayoutStatus, reason_of
from tests.simulation.network import decode

LEASE_S = 30
SETTLED_DEPTH = 3
# Deeper than the simulation reorganizes: what is spent there is spent for good.
FINAL_DEPTH = 6
CHANGE = b"\x00\x14" + b"\xcc" * 20
STRANGER = b"\x00\x14" + b"\xdd" * 20
MOST_VERSIONS, MOST_FEE_SAT = 4, 12_000
VOID = "void"
PAYMENTS, CHILD, CONSOLIDATION = "payments", "child", "consolidation"
S = PayoutStatus
OPEN = (S.SEALED, S.COMMITTED, S.SIGNED, S.SENT, S.MINED, S.FROZEN, S.VOIDING)


@dataclass
class StoredVersion:
    """One version of a payout's tx, signed or not."""

    kind: str
    inputs: tuple[OutPoint, ...]
    unsigned: bytes
    raw: bytes | None = None

    @property
    def txid(self) -> str:
        """Known before anybody signs."""
        return decode(self.unsigned).txid


@dataclass
class StoredPayout:
    """One row of the payout table, with its versions and the outpoints that it reserved.

    ``kind``: payments, child (of the payout ``parent_id``, whose change it spends) or consolidation.
    """

    payout_id: int
    payment_ids: tuple[int, ...]
    coins: tuple[OutPoint, ...]
    versions: list[StoredVersion]
    added: list[OutPoint] = field(default_factory=list)
    status: str = S.SEALED
    token: int = 0
    lease_until: int = 0
    due_at: int = 0
    attempts: int = 0
    offers: int = 0
    is_claimed: bool = False
    history: list[str] = field(default_factory=list)
    is_released: bool = False
    kind: str = PAYMENTS
    parent_id: int | None = None

    @property
    def current(self) -> StoredVersion:
        """The newest version."""
        return self.versions[-1]

    @property
    def is_given_up(self) -> bool:
        """Two people gave it up."""
        return any(version.kind == VOID for version in self.versions)

    def move(self, new: str) -> None:
        """Change the status; a change that is not listed raises."""
        self.history.append(reason_of("payout", self.status, new))
        self.status = new
