"""A program with one row of everything, written directly, as if the engine had been at work."""

import hashlib
import io
import uuid
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.models import ReserveScan
from payments.models import (
    AddressProof,
    Alarm,
    Appeal,
    Beneficiary,
    Block,
    BudgetPeriod,
    ChainFact,
    ClaimLink,
    Consent,
    ConsentText,
    DestinationChange,
    Disbursement,
    Enrollment,
    Entitlement,
    Erasure,
    Exclusion,
    ExclusionList,
    Hold,
    Holding,
    ImportJob,
    InflowClassing,
    Institution,
    Intake,
    IntakeError,
    Intervention,
    ManualPrice,
    Membership,
    Message,
    NodeStatus,
    Payment,
    Payout,
    PayoutTx,
    PriceBreaker,
    PriceRule,
    PriceSource,
    Program,
    Proposal,
    PurchasePlan,
    Reservation,
    ReserveProof,
    Signer,
    SigningRequest,
    StatusChange,
    Stop,
    Trust,
    TrustDecision,
    TrustLeg,
    Wallet,
    Warrant,
    WebhookDelivery,
)
from payments.models.intake import IntakeKind, IntakeStatus
from payments.onchain import psbt, reserves, tx
from payments.payout import agreed as agreements
from payments.payout import alarms
from payments.services import disbursements, elections, grievances, importing, imports, people
from payments.states import PayoutStatus
from tests import banking, factories, signers, travelling


def digest(text: str) -> str:
    """A hash as display hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def approved(
    program: Program,
    officer: User,
    approver: User,
    *,
    amounts_sat: list[int] | None = None,
    period: str = "2026-11",
) -> Disbursement:
    """A list that only waits for its release."""
    made = factories.make_disbursement(program, officer, amounts_sat=amounts_sat, period=period)
    submitted = disbursements.submit(by=officer, disbursement_id=made.pk)
    return disbursements.approve(
        by=approver, disbursement_id=made.pk, manifest_hash=bytes(submitted.manifest_hash or b"")
    )


def make_payout(
    disbursement: Disbursement,
    payments: list[Payment],
    *,
    change_sat: int = 0,
    feerate_sat_kvb: int = 2_000,
    **columns: Any,
) -> Payout:
    """A sent payout of the payments, its signed tx and its reservation."""
    name = f"payout {disbursement.pk} {payments[0].pk}"
    quote = Disbursement.objects.select_related("quote").get(pk=disbursement.pk).quote
    for payment in payments:
        # As sealing does, of money.
        found = agreements.converted(payment, quote)
        if found is not None:
            payment.amount_sat, payment.remainder_minor = found.amount_sat, found.remainder_minor
            payment.save(update_fields=["amount_sat", "remainder_minor"])
    values: dict[str, Any] = {
        "status": PayoutStatus.SENT,
        "payment_count": len(payments),
        "payments_sat": sum(p.amount_sat for p in payments),
        "manifest_hash": bytes.fromhex(digest(f"manifest {name}")),
        "anchor_txid": digest(f"anchor {name}"),
        "anchor_vout": 0,
        "booked_fee_sat": 1_234,
    } | columns
    payout = Payout.objects.create(disbursement=disbursement, wallet=disbursement.program.wallet, **values)
    for vout, payment in enumerate(payments):
        Payment.objects.filter(pk=payment.pk).update(payout=payout, vout=vout)
    payout.current = PayoutTx.objects.create(
        payout=payout,
        txid=digest(name),
        unsigned_tx=b"\x02",
        raw=b"\x02\x00",
        fee_sat=1_234,
        fee_added_sat=1_234,
        change_sat=change_sat,
        vsize_vb=617,
        feerate_sat_kvb=feerate_sat_kvb,
        signed_at=timezone.now(),
    )
    payout.save()
    Reservation.objects.create(
        payout=payout,
        position=0,
        txid=payout.anchor_txid,
        vout=0,
        amount_sat=payout.payments_sat + 1_234 + change_sat,
        script_pubkey=factories.make_script(),
    )
    return payout


def refused_intake(program: Program, officer: User, errors: int = 2) -> Intake:
    """A file of people that was refused."""
    intake = Intake.objects.create(
        program=program,
        kind=IntakeKind.PEOPLE,
        status=IntakeStatus.REFUSED,
        filename="people.csv",
        sha256=bytes.fromhex(digest(f"refused {program.pk} {errors}")),
        rows_total=errors,
        rows_loaded=0,
        rows_refused=errors,
        created_by=officer,
    )
    IntakeError.objects.bulk_create(
        IntakeError(
            intake=intake, row=row, column="address", code="address_mainnet", message=f"=Wrong in row {row}."
        )
        for row in range(1, errors + 1)
    )
    return intake


def checked_import(program: Program, officer: User) -> ImportJob:
    """A file of people that was checked, and refused for its only row."""
    header = ",".join(people.COLUMNS)
    file = io.BytesIO(f"{header}\nA-1,35202-7654321-1,Person Unseen,,nowhere\n".encode())
    job = imports.ask_people(by=officer, program_id=program.pk, file=file, filename="people.csv")
    importing.run(job.pk)
    return ImportJob.objects.get(pk=job.pk)


def failed_bump(payout: Payout, by: User) -> Intervention:
    """Somebody asked for a higher fee, and it was not possible any more."""
    return Intervention.objects.create(
        kind="bump",
        payout=payout,
        wallet=payout.wallet,
        status="failed",
        feerate_sat_kvb=3_000,
        preview={
            "old_txid": payout.current.txid,
            "old_fee_sat": 1_234,
            "old_vsize_vb": 617,
            "old_feerate_sat_kvb": 2_000,
            "new_fee_sat": 1_851,
            "new_vsize_vb": 617,
            "new_feerate_sat_kvb": 3_000,
            "fee_added_sat": 617,
            "added_inputs": [],
            "needs_second": False,
        },
        needs_second=False,
        note="It waits for a day.",
        proposed_by=by,
        failure="The payout is mined now.",
    )


def past_alarm(program: Program) -> Alarm:
    """An alarm whose cause is gone."""
    alarm = alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
    alarms.clear("payout_stuck", subject="payout", note="It moves.")
    return alarm


def withdrawn_proposal(program: Program, by: User) -> Proposal:
    """Somebody asked for another rule, and took it back."""
    return Proposal.objects.create(
        kind="rules",
        program=program,
        asked={"target_blocks": 3},
        before={"target_blocks": 6},
        after={"target_blocks": 3},
        note="Sooner.",
        status="withdrawn",
        proposed_by=by,
        expires_at=timezone.now(),
    )


def allotted(program: Program, officer: User, second: User) -> Warrant:
    """A budget period around today, wide enough for whatever lists a test adds, and the step that allotted it."""
    today = timezone.now().date()
    period = BudgetPeriod.objects.create(
        program=program,
        name=f"Budget of {program.code}",
        first_date=today - timedelta(days=400),
        last_date=today + timedelta(days=400),
        allotted_sat=10**12,
        cash_released_sat=10**12,
        opened_by=second,
    )
    return Warrant.objects.create(
        period=period,
        kind="allotment",
        status="confirmed",
        amount_sat=10**12,
        note="As voted.",
        proposed_by=officer,
        decided_by=second,
        decided_at=timezone.now(),
    )


def agreed(program: Program, person: Beneficiary, officer: User) -> ConsentText:
    """Record that somebody agreed to the only text of the program, and return that."""
    text = ConsentText.objects.create(program=program, version="1", text="A drill.", created_by=officer)
    Consent.objects.create(
        program=program,
        beneficiary=person,
        text=text,
        is_given=True,
        recorded_by=officer,
        recorded_at=timezone.now(),
    )
    return text


def awaited(payment: Payment, program: Program, officer: User) -> Message:
    """Somebody's entitlement, their link, and the message that brought it."""
    now = timezone.now()
    Entitlement.objects.create(payment=payment, opened_at=now, expires_at=now + timedelta(days=1))
    link = ClaimLink.objects.create(
        enrollment=Enrollment.objects.get(program=program, beneficiary=payment.beneficiary),
        secret_hash=bytes.fromhex(digest(f"link {payment.pk}")),
        channel="sms",
        made_by=officer,
        made_at=now,
        expires_at=now + timedelta(days=1),
    )
    return Message.objects.create(
        program=program,
        link=link,
        kind="claim_link",
        channel="sms",
        message_id=uuid.uuid4(),
        made_at=now,
        due_at=now,
        sent_at=now,
        expires_at=now + timedelta(days=1),
    )


def priced(giver: User, confirmer: User) -> dict[str, Any]:
    """Prices in rupees, with what belongs to them; they are of no program, so that there is one of each."""
    rule = PriceRule.objects.filter(currency="PKR").first() or factories.make_price_rule("PKR")
    sources = PriceSource.objects.filter(currency="PKR", kind="manual")
    source = sources.first() or factories.make_price_source("PKR", "manual", fresh_s=3600)
    now = timezone.now()
    breaker = PriceBreaker.objects.create(
        rule=rule,
        opened_at=now,
        from_price=28_100_000,
        to_price=40_000_000,
        close_price=39_000_000,
        close_note="A drill.",
        asked_by=giver,
        asked_at=now,
        closed_by=confirmer,
        closed_at=now,
    )
    given = ManualPrice.objects.create(
        source=source, price=28_100_000, note="A drill.", given_by=giver, given_at=now
    )
    return {
        "pricerule": rule,
        "pricesource": source,
        "pricebreaker": breaker,
        "manualprice": given,
        "quote": factories.make_quote(),
    }


def trusted(payment: Payment, person: Enrollment, officer: User) -> dict[str, Any]:
    """A trust that was asked for the leg of a payment; it is of no program, so that there is one."""
    trust = Trust.objects.first() or factories.make_trust(cash_minor=1_000)
    made = elections.elect(
        by=officer,
        enrollment_id=person.pk,
        choice="currency",
        trust_id=trust.pk,
        currency="PKR",
        note="By letter.",
    )
    leg = TrustLeg.objects.create(
        payment=payment, trust=trust, purse=trust.purses.get(), election=made, asked_at=timezone.now()
    )
    return {
        "trust": trust,
        "trustdecision": TrustDecision.objects.filter(trust=trust).first(),
        "election": made,
        "trustleg": leg,
    }


def reserved(first: User, second: User) -> dict[str, Any]:
    """A reserve with one row of each kind; it is of no program, so that there is one of each."""
    held = Holding.objects.first() or factories.make_holding()
    office = Institution.objects.first() or factories.make_institution()
    where, now = held.addresses.first(), timezone.now()
    assert where is not None
    serial = ReserveScan.objects.count() + 1
    scan = factories.make_scan(held, [(serial, where.address, 5_000)], height=100 + serial)
    outpoint = tx.OutPoint(f"{serial:064x}", 0)
    coins = {outpoint: tx.Output(5_000, bytes(where.script_pubkey or b""))}
    plan = PurchasePlan.objects.create(
        institution=office,
        amount_sat=9_000,
        currency="USD",
        limit_price=100_000,
        funding_source="Budget",
        ends_at=now + timedelta(days=9),
        note="A drill.",
        proposed_by=first,
        proposed_at=now,
    )
    classing = InflowClassing.objects.create(
        institution=office,
        kind="internal_transfer",
        funding_source="Vault 2",
        output_count=1,
        amount_sat=5_000,
        note="A drill.",
        given_by=first,
        given_at=now,
    )
    classing.outputs.create(inflow=scan.inflows.get())
    proof = ReserveProof.objects.create(
        scope=held.scope,
        message=f"Drill {serial}",
        scan=scan,
        output_count=1,
        amount_sat=5_000,
        unsigned_tx=reserves.build(f"Drill {serial}", coins),
        asked_by=second,
        asked_at=now,
    )
    return {
        "holding": held,
        "institution": office,
        "purchaseplan": plan,
        "inflowclassing": classing,
        "reserveproof": proof,
    }


def with_pages(furnished: dict[str, Any]) -> dict[str, Any]:
    """Return the rows that have a page of their own."""
    return {name: row for name, row in furnished.items() if admin.site.is_registered(type(row))}


def furnish(program: Program, officer: User, approver: User, releaser: User) -> dict[str, Any]:
    """Fill a program; return one row of every model by its model name."""
    coin = factories.fund(program, 10_000_000)
    disbursement = approved(program, officer, approver)
    disbursement = disbursements.release(
        by=releaser,
        disbursement_id=disbursement.pk,
        manifest_hash=bytes(disbursement.manifest_hash or b""),
    )
    payments = list(Payment.objects.filter(disbursement=disbursement).order_by("line"))
    payout = make_payout(disbursement, payments[:2])
    fact = ChainFact.objects.create(
        wallet=program.wallet,
        kind="mined",
        txid=payout.current.txid,
        block_hash=coin.block_hash,
        block_height=1,
    )
    Wallet.objects.filter(program=program).update(
        signer=Signer.PSBT, descriptor=signers.single(signers.SoftSigner(program.code))
    )
    coin_out = tx.Output(coin.amount_sat, bytes(coin.script_pubkey))
    request = SigningRequest.objects.create(
        version=payout.current,
        psbt=psbt.from_unsigned(tx.build_unsigned([tx.OutPoint(coin.txid, 0)], [coin_out]), [coin_out]),
        needed=1,
        deadline_at=timezone.now(),
    )
    node, _ = NodeStatus.objects.update_or_create(
        network="regtest", defaults={"is_ok": True, "block_height": 1, "checked_at": timezone.now()}
    )
    warrant = allotted(program, officer, approver)
    message = awaited(payments[2], program, officer)
    exclusion_list = ExclusionList.objects.create(
        program=program,
        name=f"Drill {program.code}",
        reason="A drill.",
        source="The drill's plan.",
        valid_from="2020-01-01",
        valid_to="2020-12-31",
        created_by=officer,
    )
    webhook = factories.make_webhook(program, f"https://{program.code.lower()}.example/hook")
    delivery = WebhookDelivery.objects.create(webhook=webhook)
    enrollment = Enrollment.objects.filter(program=program).select_related("beneficiary").order_by("pk")[0]
    return {
        "program": program,
        "approval": disbursement.approvals.order_by("pk")[0],
        "approvalpolicy": factories.make_policy(program),
        "membership": Membership.objects.filter(program=program).order_by("pk")[0],
        "proposal": withdrawn_proposal(program, officer),
        "wallet": program.wallet,
        "coin": coin,
        "beneficiary": enrollment.beneficiary,
        "enrollment": enrollment,
        "consenttext": agreed(program, enrollment.beneficiary, officer),
        "erasure": Erasure.objects.create(
            program=program, beneficiary=enrollment.beneficiary, note="A drill.", asked_by=officer
        ),
        "addressproof": AddressProof.objects.create(
            program=program,
            beneficiary=enrollment.beneficiary,
            script_pubkey=bytes(enrollment.beneficiary.destinations.get().script_pubkey),
            challenge=f"A challenge of {program.code}.",
            asked_by=officer,
            asked_at=timezone.now(),
            expires_at=timezone.now() + timedelta(days=7),
        ),
        "destinationchange": DestinationChange.objects.create(
            program=program,
            beneficiary=enrollment.beneficiary,
            script_pubkey=factories.make_script(),
            note="A new telephone.",
            proposed_by=officer,
        ),
        "exclusionlist": exclusion_list,
        "appeal": Appeal.objects.create(
            exclusion=Exclusion.objects.create(
                exclusion_list=exclusion_list,
                identity_hash=enrollment.beneficiary.identity_hash,
                created_by=officer,
                created_at=timezone.now(),
            ),
            beneficiary=enrollment.beneficiary,
            program=program,
            words={"lodged_by": "Her son", "text": "She lives."},
            recorded_by=officer,
            excluded_by=officer,
            lodged_at=timezone.now(),
            due_at=timezone.now(),
        ),
        "hold": Hold.objects.create(
            payment=payments[2],
            rule="officer",
            note="A drill.",
            placed_by=officer,
            placed_at=timezone.now(),
            ended_by=approver,
            ended_at=timezone.now(),
        ),
        "destination": enrollment.beneficiary.destinations.get(),
        "entitlement": Entitlement.objects.get(payment=payments[2]),
        "claimlink": message.link,
        "message": message,
        "grievance": grievances.lodge(
            by=officer, program_id=program.pk, category="other", text="Nobody listens."
        ).grievance,
        "intake": refused_intake(program, officer),
        "importjob": checked_import(program, officer),
        "cycle": disbursement.cycle,
        "disbursement": disbursement,
        "payment": Payment.objects.get(pk=payments[0].pk),
        "payout": payout,
        "payouttx": payout.txs.get(),
        "intervention": failed_bump(payout, officer),
        "signingrequest": request,
        "alarm": past_alarm(program),
        "budgetperiod": warrant.period,
        "warrant": warrant,
        **priced(officer, approver),
        **trusted(payments[0], enrollment, officer),
        **reserved(officer, approver),
        "webhook": webhook,
        "webhookdelivery": delivery,
        "travelrecord": travelling.make_record(payments[0]),
        "bankfile": banking.make_file(program, officer),
        "voucher": banking.make_voucher(program, disbursement),
        "bankaccount": banking.make_account(enrollment.beneficiary, officer),
        "stop": Stop.objects.create(
            thrown_by=officer,
            reason="A drill.",
            is_open=False,
            lifted_by=approver,
            lifted_at=timezone.now(),
            lift_reason="The drill is over.",
        ),
        "reservation": payout.reservations.get(),
        "chainfact": fact,
        "statuschange": StatusChange.objects.filter(
            subject="disbursement", subject_id=disbursement.pk
        ).order_by("pk")[0],
        "block": Block.objects.get(block_hash=coin.block_hash),
        "nodestatus": node,
    }
