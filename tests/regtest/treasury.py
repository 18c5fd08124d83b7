"""A ministry whose wallet only watches, its signers in software, and who carries files between them."""

import itertools
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from payments.models import Disbursement, Payout, SigningRequest
from payments.payout import dispatch
from payments.services import signing
from tests import factories, signers
from tests.regtest.ministry import Ministry

_serial = itertools.count(1)


@dataclass
class Treasury:
    """The doors that tests use; ``people`` are the signers in the descriptor's order."""

    ministry: Ministry
    people: list[signers.SoftSigner]
    carrier: User

    @classmethod
    def open(cls, needed: int, of: int, *, deposits_sat: list[int] | None = None, **rules: Any) -> "Treasury":
        """Open a ministry of new keys: the scripts of another test's would hold that test's coins."""
        serial = next(_serial)
        people = [signers.SoftSigner(f"{serial}-{number}") for number in range(of)]
        text = signers.single(people[0]) if of == 1 else signers.multi(needed, people)
        deposits_sat = [1_000_000, 900_000] if deposits_sat is None else deposits_sat
        ministry = Ministry.open(deposits_sat=deposits_sat, code=f"WATCH-{serial}", descriptor=text, **rules)
        return cls(ministry, people, factories.make_member(ministry.program, "signer"))

    def seal(
        self, amounts_sat: list[int] | None = None, period: str = "2026-11"
    ) -> tuple[Payout, SigningRequest]:
        """Release a list that one payout pays, and let the engine ask for signatures."""
        released: Disbursement = self.ministry.release(amounts_sat or [500_000, 50_000], period=period)
        (payout,) = self.ministry.pay(released)
        return payout, self.request(payout)

    def request(self, payout: Payout) -> SigningRequest:
        """The newest request of a payout."""
        return SigningRequest.objects.filter(version__payout=payout).latest("pk")

    def member(self, role: str) -> User:
        """Somebody with a role in the program."""
        return factories.make_member(self.ministry.program, role)

    def upload(self, request: SigningRequest, data: str | bytes) -> signing.Upload:
        """Bring back what a signer returned, and ring."""
        raw = data.encode() if isinstance(data, str) else data
        found = signing.upload(by=self.carrier, request_id=request.pk, data=raw)
        dispatch.advance(payout_id=request.version.payout_id)
        return found

    def sign(self, request: SigningRequest, *numbers: int) -> None:
        """Have signers sign, each for themselves, and bring it back."""
        for number in numbers:
            self.upload(request, self.people[number].sign(request.psbt))
