"""Builders of the things that tests need, each with honest defaults."""

import hashlib
import itertools
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.utils import timezone

from ledger import books, events
from ledger.models import ReserveScan
from ledger.treasury import reserve
from payments.models import (
    ApprovalPolicy,
    Beneficiary,
    Block,
    BudgetPeriod,
    Coin,
    Cycle,
    Destination,
    Disbursement,
    Enrollment,
    Holding,
    HoldingAddress,
    Institution,
    Intake,
    Membership,
    Payment,
    PriceRule,
    PriceSource,
    PriceStatus,
    Program,
    Proposal,
    Quote,
    ScriptPurpose,
    Trust,
    TrustDecision,
    Wallet,
    WalletScript,
    Webhook,
    WebhookSecret,
)
from payments.models.intake import IntakeKind, IntakeStatus
from payments.onchain import address, network
from payments.prices import quotes
from payments.services import budgets, policies, programs, trust_boards, trusts

PASSWORD = "a long enough password"
# Begins elsewhere in each process, because several may build in one database.
_serial = itertools.count(int.from_bytes(os.urandom(4), "big") * 1_000)


def make_user(name: str, *permissions: str, **columns: Any) -> User:
    """A staff user with permissions such as ``payments.add_program``."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, **columns)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return User.objects.get(pk=user.pk)


def rename(user: User, name: str) -> User:
    """Give somebody another name, as whoever may change users can."""
    User.objects.filter(pk=user.pk).update(username=name)
    return User.objects.get(pk=user.pk)


def make_administrator() -> User:
    """Whoever sets up programs and roles."""
    found = User.objects.filter(username="administrator").first()
    return found or make_user("administrator", "payments.add_program", "payments.add_membership")


def make_program(code: str = "PENSIONS", *, is_ready: bool = True, **rules: Any) -> Program:
    """A program; its wallet looks ready unless a test wants the engine to make it."""
    program = programs.create(
        by=make_administrator(), code=code, name=f"{code.title()} of the state", **rules
    )
    if is_ready:
        Wallet.objects.filter(program=program).update(ready_at=timezone.now(), birth_height=0)
        WalletScript.objects.create(
            wallet=program.wallet, script_pubkey=make_script(), purpose=ScriptPurpose.FUNDING
        )
    return program


def make_member(program: Program, role: str, name: str = "") -> User:
    """A staff user with one role in the program."""
    user = make_user(name or f"{role}-{program.code.lower()}")
    Membership.objects.create(program=program, user=user, role=role, granted_by=make_administrator())
    return user


def change_role(program: Program, user: User, role: str) -> None:
    """Give somebody another role in the program, after the one that they held."""
    program.memberships.filter(user=user).delete()
    program.memberships.create(user=user, role=role, granted_by=make_administrator())


def make_policy(program: Program, **rules: Any) -> ApprovalPolicy:
    """Rules of approval that one administrator proposed and another confirmed."""
    serial = next(_serial)
    one, other = (make_user(f"rules-{serial}-{n}", policies.RIGHT) for n in (1, 2))
    rules = {"groups": {}, "tiers": [], "caps": [], "note": "As the regulation says."} | rules
    made = policies.propose(by=one, program_id=program.pk, **rules)
    return policies.confirm(by=other, policy_id=made.pk)


def make_script() -> bytes:
    """A P2WPKH script that nobody else has."""
    return b"\x00\x14" + hashlib.sha256(f"script {next(_serial)}".encode()).digest()[:20]


def make_enrollment(program: Program, *, script_pubkey: bytes | None = None, **columns: Any) -> Enrollment:
    """A person with a current destination, enrolled in the program."""
    serial = next(_serial)
    person = Beneficiary.objects.create(
        identity_hash=hashlib.sha256(f"person {serial}".encode()).digest(),
        personal={"full_name": f"Person {serial}", "phone": ""},
    )
    by = make_administrator()
    Destination.objects.create(
        beneficiary=person, script_pubkey=script_pubkey or make_script(), created_by=by
    )
    columns = {"reference": f"REF-{serial:06}", "created_by": by} | columns
    return Enrollment.objects.create(program=program, beneficiary=person, **columns)


def make_disbursement(
    program: Program,
    made_by: User,
    *,
    amounts_sat: list[int] | None = None,
    amounts_minor: list[int] | None = None,
    period: str = "2026-11",
) -> Disbursement:
    """A draft that pays each of some new people one of the amounts: satoshis, or minor units of the program's money."""
    amounts = amounts_minor or amounts_sat or [50_000, 60_000, 70_000]
    cycle, _ = Cycle.objects.get_or_create(program=program, period=period, purpose="pension")
    intake = Intake.objects.create(
        program=program,
        kind=IntakeKind.LINES,
        status=IntakeStatus.LOADED,
        sha256=hashlib.sha256(f"file {next(_serial)}".encode()).digest(),
        rows_total=len(amounts),
        rows_loaded=len(amounts),
        rows_refused=0,
        created_by=made_by,
    )
    disbursement = Disbursement.objects.create(
        program=program,
        cycle=cycle,
        intake=intake,
        payment_count=len(amounts),
        **program.amounts("total", sum(amounts)),
        made_by=made_by,
    )
    Payment.objects.bulk_create(
        Payment(
            disbursement=disbursement,
            cycle=cycle,
            line=line,
            beneficiary=make_enrollment(program).beneficiary,
            **program.amounts("amount", amount),
        )
        for line, amount in enumerate(amounts, start=1)
    )
    return disbursement


def make_webhook(
    program: Program, url: str, *, secret: str = "", event_types: list[str] | None = None
) -> Webhook:
    """A webhook that two people set, with a secret of the test's own if one is given."""
    by = make_administrator()
    after = {"webhook_id": None, "url": url, "event_types": event_types or []}
    proposal = _proposed("webhook", program, after)
    made = Webhook.objects.create(
        program=program, url=url, event_types=event_types or [], proposal=proposal, seen_number=0
    )
    if secret:
        WebhookSecret.objects.create(webhook=made, secret={"secret": secret}, made_by=by)
    return made


def _proposed(kind: str, program: Program | None, after: dict[str, Any]) -> Proposal:
    return Proposal.objects.create(
        kind=kind,
        program=program,
        asked={},
        before={},
        after=after,
        note="For the tests.",
        proposed_by=make_administrator(),
        expires_at=timezone.now(),
    )


def make_price_rule(currency: str = "USD", **changes: Any) -> PriceRule:
    """A rule that two people set: two sources within 2 %, jumps of 10 %, from 1,000 to 1,000,000; never looked at yet."""
    terms = {
        "least_sources": 2,
        "spread_bps": 200,
        "jump_bps": 1_000,
        "floor": Decimal(1_000),
        "ceiling": Decimal(1_000_000),
        "quote_s": 600,
    } | changes
    made = PriceRule.objects.create(
        currency=currency, proposal=_proposed("price_rule", None, {"currency": currency}), **terms
    )
    PriceStatus.objects.create(rule=made, due_at=timezone.now())
    return made


def make_holding(
    addresses: Sequence[str] = ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",), **changes: Any
) -> Holding:
    """A holding of addresses of this network that two people set."""
    terms = {"scope": "reserve:1", "name": "Vault", "kind": "addresses", "network": "regtest"} | changes
    made = Holding.objects.create(proposal=_proposed("holding", None, {"holding_id": None}), **terms)
    HoldingAddress.objects.bulk_create(
        HoldingAddress(
            holding=made,
            network=made.network,
            address=text,
            script_pubkey=address.script_from_address(text, network.Network.REGTEST),
        )
        for text in addresses
    )
    return made


def make_trust(
    scope: str = "trust:1", *, cash_minor: int = 0, addresses: Sequence[bytes] = (), **changes: Any
) -> Trust:
    """A trust in rupees with a board of three (``amir``, ``bela``, ``chand``), whose capital two of them paid in."""
    board = [make_user(f"{name}-{scope.replace(':', '-')}") for name in ("amir", "bela", "chand")]
    asked = {
        "trust_id": None,
        "scope": scope,
        "name": "Convertibility trust",
        "policy_profile": "sandbox",
        "jurisdiction": "sandbox",
        "members": [user.username for user in board],
        "inventory_cap_sat": 100_000_000,
        "currency": "PKR",
        "floor_minor": 0,
        "limit_minor": 100_000_000,
    } | changes
    with transaction.atomic():
        trusts.KIND.apply(_proposed("trust", None, asked), board[0])
    made = Trust.objects.get(scope=scope)
    if cash_minor:
        decide(made, "capital_in", currency="PKR", amount_minor=cash_minor, reference="Letter 1")
    holding = Holding.objects.create(
        scope=scope,
        name="Takings",
        kind="addresses",
        network="regtest",
        proposal=_proposed("holding", None, {"holding_id": None}),
    )
    for script in addresses or (make_script(),):
        HoldingAddress.objects.create(
            holding=holding,
            network="regtest",
            address=address.address_from_script(script, network.Network.REGTEST),
            script_pubkey=script,
        )
    return Trust.objects.get(pk=made.pk)


def decide(trust: Trust, kind: str, **terms: Any) -> TrustDecision:
    """Have the first member of a trust's board propose something, and the second sign it."""
    first, second, _ = board_of(trust)
    made = trust_boards.propose(by=first, trust_id=trust.pk, kind=kind, note="The board met.", **terms)
    return trust_boards.sign(by=second, decision_id=made.pk)


def board_of(trust: Trust) -> list[User]:
    """The three members."""
    seats = trust.seats.filter(ended_at=None).select_related("user").order_by("user__username")
    return [seat.user for seat in seats]


def make_institution(scope: str = "reserve:1", **changes: Any) -> Institution:
    """An institution that two people set up, under no law and without limits."""
    terms: dict[str, Any] = {"name": "Reserve Office", "policy_profile": "sandbox", "currency": "USD"}
    terms |= {"var_window_days": 365, "var_quantile_bps": 9_500} | changes
    proposal = _proposed("institution", None, {"institution_id": None})
    return Institution.objects.create(scope=scope, proposal=proposal, **terms)


def make_scan(
    held: Holding,
    outputs: Sequence[tuple[int, str, int]],
    *,
    height: int = 100,
    at: datetime | None = None,
) -> ReserveScan:
    """A scan of a holding that found outputs: a number (its txid), the address, satoshis."""
    lines = [
        reserve.Line(
            held.scope,
            held.name,
            held.pk,
            held.network,
            row.address,
            held.badge,
            held.cap_sat,
            row.declared_sat or 0,
        )
        for row in held.addresses.order_by("pk")
    ]
    return reserve.record(
        network="regtest",
        block_hash=f"{height:064x}",
        height=height,
        block_at=at or timezone.now(),
        lines=lines,
        unspents=[reserve.Unspent(where, f"{n:064x}", 0, sat, height) for n, where, sat in outputs],
    )


def make_price_source(
    currency: str, kind: str, address: str = "", *, fresh_s: int = 120, name: str = ""
) -> PriceSource:
    """A source that two people set."""
    return PriceSource.objects.create(
        currency=currency,
        kind=kind,
        name=name or kind.title(),
        address=address,
        fresh_s=fresh_s,
        proposal=_proposed("price_source", None, {"source_id": None, "name": name or kind.title()}),
    )


def make_quote(
    currency: str = "PKR",
    price: str = "28100000",
    *,
    taken_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Quote:
    """A price in major units per bitcoin, taken now of two sources that agree, that holds for ten minutes."""
    at = taken_at or timezone.now()
    values = [
        {
            "source": number,
            "name": f"Exchange {number}",
            "kind": "kraken",
            "value": price,
            "value_at": at.isoformat(),
            "is_used": True,
            "why": "",
        }
        for number in (1, 2)
    ]
    made = Quote(
        currency=currency,
        price=Decimal(price),
        taken_at=at,
        expires_at=expires_at or at + timedelta(minutes=10),
        values=values,
        rule={},
    )
    quotes.sign(made)
    made.save()
    return made


def fund_cash(program: Program, amount_minor: int) -> BudgetPeriod:
    """A budget period of this year with so much money allotted and released as cash, by an officer and a treasurer."""
    officer = make_member(program, "officer", f"budget-officer-{next(_serial)}")
    treasurer = make_member(program, "treasurer", f"treasurer-{next(_serial)}")
    first, last = budgets.fiscal_year(timezone.now().date())
    period = budgets.open_period(
        by=treasurer, program_id=program.pk, name="The year", first_date=first, last_date=last
    )
    for kind in ("allotment", "cash_release"):
        warrant = budgets.propose(
            by=officer, budget_period_id=period.pk, kind=kind, note="As voted.", amount_minor=amount_minor
        )
        budgets.confirm(by=treasurer, warrant_id=warrant.pk)
    return BudgetPeriod.objects.get(pk=period.pk)


def fund(program: Program, amount_sat: int = 1_000_000) -> Coin:
    """A confirmed, booked deposit, as the follower would have recorded it, without a node."""
    tip = Block.objects.filter(is_active=True).order_by("-height").first()
    if tip is None:
        tip = Block.objects.create(block_hash="b0" * 32, prev_hash="00" * 32, height=1, time=timezone.now())
    script = program.wallet.scripts.filter(purpose=ScriptPurpose.FUNDING).get()
    txid = hashlib.sha256(f"deposit {next(_serial)}".encode()).hexdigest()
    (entry_id,) = books.post(
        [
            events.funding(
                program_id=program.pk,
                txid=txid,
                vout=0,
                amount_sat=amount_sat,
                occurrence=1,
                effective_at=timezone.now(),
                block_hash=tip.block_hash,
                block_height=tip.height,
            )
        ]
    )
    return Coin.objects.create(
        wallet=program.wallet,
        txid=txid,
        vout=0,
        amount_sat=amount_sat,
        script_pubkey=bytes(script.script_pubkey),
        is_coinbase=False,
        block_hash=tip.block_hash,
        block_height=tip.height,
        funding_entry_id=entry_id,
    )
