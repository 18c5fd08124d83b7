"""Watches every request that a test sends: who changes something and does not record it in its transaction fails the test.

So each test of a door is one of its audit events as well. What a route records stands in ACTS, which
tests/govpay/test_acts.py compares with the URL configuration.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models.signals import post_save
from django.http import HttpRequest, HttpResponse

from ledger.models import AuditEvent

# What a route records once it succeeds and changes anything.
ACTS: dict[str, tuple[str, ...]] = {
    "POST /api/v1/auth/login/": ("login.accept",),
    "POST /api/v1/auth/logout/": ("login.end",),
    "POST /api/v1/auth/step-up/": ("code.accept", "security_key.accept"),
    "POST /api/v1/auth/authenticator/": ("authenticator.begin",),
    "POST /api/v1/auth/authenticator/confirm/": ("authenticator.enroll",),
    "POST /api/v1/auth/authenticator/remove/": ("authenticator.remove",),
    "POST /api/v1/auth/recovery-codes/": ("recovery_codes.renew",),
    "POST /api/v1/auth/security-keys/": ("security_key.add",),
    "POST /api/v1/auth/security-keys/{pk}/rename/": ("security_key.rename",),
    "POST /api/v1/auth/security-keys/{pk}/remove/": ("security_key.remove",),
    "POST /api/v1/programs/{program_id}/grievances/": ("grievance.lodge",),
    "POST /api/v1/grievances/{grievance_id}/take/": ("grievance.take",),
    "POST /api/v1/grievances/{grievance_id}/link/": ("grievance.link",),
    "POST /api/v1/grievances/{grievance_id}/answer/": ("grievance.answer",),
    "POST /api/v1/tokens/": ("token.make",),
    "POST /api/v1/tokens/{pk}/end/": ("token.end",),
    "POST /api/v1/programs/{program_id}/import-jobs/": ("import.ask",),
    "POST /api/v1/import-jobs/{import_job_id}/confirm/": ("import.confirm",),
    "POST /api/v1/import-jobs/{import_job_id}/cancel/": ("import.cancel",),
    "POST /api/v1/stops/": ("stop.throw",),
    "POST /api/v1/stops/{stop_id}/lift/": ("stop.lift",),
    "POST /api/v1/alarms/{alarm_id}/take/": ("alarm.take",),
    "POST /api/v1/alarms/{alarm_id}/close/": ("alarm.close",),
    "POST /api/v1/programs/": ("program.create",),
    "POST /api/v1/programs/{program_id}/members/": ("membership.grant",),
    "POST /api/v1/programs/{program_id}/proposals/rules/": ("proposal.propose",),
    "POST /api/v1/programs/{program_id}/proposals/roles/": ("proposal.propose",),
    "POST /api/v1/programs/{program_id}/proposals/webhooks/": ("proposal.propose",),
    "POST /api/v1/programs/{program_id}/proposals/paying-accounts/": ("proposal.propose",),
    "POST /api/v1/programs/{program_id}/proposals/originators/": ("proposal.propose",),
    "POST /api/v1/payments/{payment_id}/travel-record/fetch/": ("travel_rule.read",),
    "POST /api/v1/disbursements/{disbursement_id}/rail/": ("list.choose_rail",),
    "POST /api/v1/disbursements/{disbursement_id}/vouchers/": ("voucher.issue",),
    "POST /api/v1/programs/{program_id}/bank-accounts/": ("bank_account.load",),
    "POST /api/v1/enrollments/{enrollment_id}/bank-accounts/": ("bank_account.propose",),
    "POST /api/v1/bank-accounts/{bank_account_id}/confirm/": ("bank_account.confirm",),
    "POST /api/v1/bank-accounts/{bank_account_id}/refuse/": ("bank_account.refuse",),
    "POST /api/v1/bank-files/{bank_file_id}/fetch/": ("bank_file.fetch",),
    "POST /api/v1/programs/{program_id}/bank-reports/": ("bank_report.take",),
    "POST /api/v1/programs/{program_id}/vouchers/redeem/": ("voucher.redeem", "voucher.miss"),
    "POST /api/v1/vouchers/{voucher_id}/cancellation/": ("voucher.ask_to_cancel",),
    "POST /api/v1/vouchers/{voucher_id}/cancel/": ("voucher.cancel",),
    "POST /api/v1/prices/proposals/rules/": ("proposal.propose",),
    "POST /api/v1/prices/proposals/sources/": ("proposal.propose",),
    "POST /api/v1/reserve/proposals/holdings/": ("proposal.propose",),
    "POST /api/v1/trusts/proposals/": ("proposal.propose",),
    "POST /api/v1/trusts/{pk}/decisions/": ("trust_decision.propose",),
    "POST /api/v1/trust-decisions/{pk}/sign/": ("trust_decision.sign",),
    "POST /api/v1/trust-decisions/{pk}/withdraw/": ("trust_decision.withdraw",),
    "POST /api/v1/enrollments/{enrollment_id}/elections/": ("election.make",),
    "POST /api/v1/payments/{payment_id}/bitcoin/": ("payment.withdraw",),
    "POST /api/v1/payments/{payment_id}/voucher/": ("payment.withdraw",),
    "POST /api/v1/payments/{payment_id}/trust/": ("payment.withdraw",),
    "POST /api/v1/disbursements/{disbursement_id}/choices/": ("list.of_choices",),
    "POST /api/v1/trusts/{pk}/proposals/paying-accounts/": ("proposal.propose",),
    "POST /api/v1/trusts/{pk}/bank-reports/": ("bank_report.take",),
    "POST /api/v1/trust-decisions/{pk}/bank-file/fetch/": ("bank_file.fetch",),
    "POST /api/v1/reserve/proposals/institutions/": ("proposal.propose",),
    "POST /api/v1/reserve/classings/": ("inflow.class",),
    "POST /api/v1/reserve/classings/{pk}/confirm/": ("inflow.confirm_class",),
    "POST /api/v1/reserve/classings/{pk}/withdraw/": ("inflow.withdraw_class",),
    "POST /api/v1/reserve/plans/": ("purchase_plan.propose",),
    "POST /api/v1/reserve/plans/{pk}/approve/": ("purchase_plan.approve",),
    "POST /api/v1/reserve/plans/{pk}/end/": ("purchase_plan.end",),
    "POST /api/v1/reserve/proofs/": ("reserve_proof.ask",),
    "POST /api/v1/reserve/proofs/{pk}/answer/": ("reserve_proof.answer",),
    "POST /api/v1/manual-prices/": ("manual_price.give",),
    "POST /api/v1/manual-prices/{pk}/confirm/": ("manual_price.confirm",),
    "POST /api/v1/manual-prices/{pk}/withdraw/": ("manual_price.withdraw",),
    "POST /api/v1/price-breakers/{pk}/close/": ("price_breaker.ask_to_close",),
    "POST /api/v1/price-breakers/{pk}/confirm/": ("price_breaker.close",),
    "POST /api/v1/webhooks/{webhook_id}/secrets/": ("webhook.rotate",),
    "POST /api/v1/webhooks/{webhook_id}/pause/": ("webhook.pause",),
    "POST /api/v1/webhooks/{webhook_id}/resume/": ("webhook.resume",),
    "POST /api/v1/webhooks/{webhook_id}/end/": ("webhook.end",),
    "POST /api/v1/webhooks/{webhook_id}/ping/": ("webhook.ping",),
    "POST /api/v1/webhooks/{webhook_id}/replay/": ("webhook.replay",),
    "POST /api/v1/proposals/{proposal_id}/confirm/": ("proposal.confirm",),
    "POST /api/v1/proposals/{proposal_id}/reject/": ("proposal.reject",),
    "POST /api/v1/proposals/{proposal_id}/withdraw/": ("proposal.withdraw",),
    "POST /api/v1/programs/{program_id}/approval-policies/": ("approval_policy.propose",),
    "POST /api/v1/approval-policies/{policy_id}/confirm/": ("approval_policy.confirm",),
    "POST /api/v1/approval-policies/{policy_id}/drop/": ("approval_policy.drop",),
    "POST /api/v1/programs/{program_id}/budget-periods/": ("budget_period.open",),
    "POST /api/v1/budget-periods/{budget_period_id}/close/": ("budget_period.close",),
    "POST /api/v1/budget-periods/{budget_period_id}/warrants/": ("warrant.propose",),
    "POST /api/v1/warrants/{warrant_id}/confirm/": ("warrant.confirm",),
    "POST /api/v1/warrants/{warrant_id}/reject/": ("warrant.reject",),
    "POST /api/v1/warrants/{warrant_id}/withdraw/": ("warrant.withdraw",),
    "POST /api/v1/programs/{program_id}/enrollments/": ("enrollment.create",),
    "POST /api/v1/programs/{program_id}/enrollments/bulk/": ("enrollment.create_many",),
    "POST /api/v1/disbursements/{disbursement_id}/payments/hold/": ("disbursement.hold",),
    "POST /api/v1/programs/{program_id}/intakes/people/": ("intake.load", "intake.refuse"),
    "POST /api/v1/programs/{program_id}/outcomes/baselines/": ("outcome.enter_baseline",),
    "POST /api/v1/programs/{program_id}/projection/baselines/": ("projection.enter_baseline",),
    "POST /api/v1/programs/{program_id}/disbursements/": ("list.create", "intake.refuse"),
    "POST /api/v1/enrollments/{enrollment_id}/destination-changes/": ("destination_change.propose",),
    "POST /api/v1/destination-changes/{change_id}/confirm/": ("destination_change.confirm",),
    "POST /api/v1/destination-changes/{change_id}/refuse/": ("destination_change.refuse",),
    "POST /api/v1/destination-changes/{change_id}/withdraw/": ("destination_change.withdraw",),
    "POST /api/v1/programs/{program_id}/exclusion-lists/": ("exclusion_list.create",),
    "POST /api/v1/exclusion-lists/{exclusion_list_id}/entries/": ("exclusion_list.load",),
    "POST /api/v1/exclusion-lists/{exclusion_list_id}/end/": ("exclusion_list.end",),
    "POST /api/v1/programs/{program_id}/consent-texts/": ("consent_text.publish",),
    "POST /api/v1/enrollments/{enrollment_id}/consents/": ("consent.give", "consent.withdraw"),
    "POST /api/v1/enrollments/{enrollment_id}/erasures/": ("erasure.ask",),
    "POST /api/v1/erasures/{erasure_id}/confirm/": ("erasure.confirm",),
    "POST /api/v1/erasures/{erasure_id}/refuse/": ("erasure.refuse",),
    "POST /api/v1/erasures/{erasure_id}/withdraw/": ("erasure.withdraw",),
    "POST /api/v1/enrollments/{enrollment_id}/address-proofs/": ("address_proof.ask",),
    "POST /api/v1/address-proofs/{address_proof_id}/signature/": ("address_proof.sign",),
    "POST /api/v1/disbursements/{disbursement_id}/claim-links/": ("claim.send",),
    "POST /api/v1/disbursements/{disbursement_id}/claims/": ("entitlement.list",),
    "POST /api/v1/enrollments/{enrollment_id}/appeals/": ("appeal.lodge",),
    "POST /api/v1/appeals/{appeal_id}/uphold/": ("appeal.uphold",),
    "POST /api/v1/appeals/{appeal_id}/lift/": ("appeal.lift",),
    "POST /api/v1/disbursements/{disbursement_id}/submit/": ("list.submit",),
    "POST /api/v1/disbursements/{disbursement_id}/approve/": ("list.approve", "list.agree"),
    "POST /api/v1/disbursements/{disbursement_id}/reject/": ("list.reject",),
    "POST /api/v1/disbursements/{disbursement_id}/quote/": ("quote.take",),
    "POST /api/v1/disbursements/{disbursement_id}/release/": ("list.release",),
    "POST /api/v1/disbursements/{disbursement_id}/cancel/": ("list.cancel",),
    "POST /api/v1/disbursements/{disbursement_id}/manifest-signatures/": ("manifest.sign",),
    "POST /api/v1/approver-keys/": ("approver_key.register",),
    "POST /api/v1/approver-keys/retire/": ("approver_key.retire",),
    "POST /api/v1/payments/{payment_id}/hold/": ("payment.hold",),
    "POST /api/v1/payments/{payment_id}/resume/": ("payment.resume",),
    "POST /api/v1/payments/{payment_id}/withdraw/": ("payment.withdraw",),
    "POST /api/v1/payouts/{payout_id}/interventions/": ("intervention.propose",),
    "POST /api/v1/payouts/{payout_id}/reissues/": ("list.reissue",),
    "POST /api/v1/disbursements/{disbursement_id}/reissues/": ("list.reissue",),
    "POST /api/v1/programs/{program_id}/wallet/unhalt/": ("intervention.propose",),
    "POST /api/v1/interventions/{intervention_id}/approve/": ("intervention.approve",),
    "POST /api/v1/interventions/{intervention_id}/reject/": ("intervention.reject",),
    "POST /api/v1/interventions/{intervention_id}/withdraw/": ("intervention.withdraw",),
    "POST /api/v1/signing-requests/{signing_request_id}/signatures/": ("signing_request.sign",),
    "POST /api/v1/lot-movements/": ("lots.record",),
    "POST /api/v1/packs/": ("pack.ask",),
    "POST /api/v1/periods/": ("period.open",),
    "POST /api/v1/periods/{pk}/close/": ("period.close",),
    "POST /api/v1/periods/{pk}/reopen/": ("period.reopen",),
    "POST /api/v1/periods/{pk}/seal/": ("period.seal",),
    "POST /api/v1/redactions/": ("redaction.ask",),
    "POST /api/v1/redactions/{pk}/agree/": ("redaction.agree",),
    "POST /api/v1/reconciliation-runs/": ("reconciliation.begin",),
    "POST /api/v1/reconciliation-cases/{pk}/assign/": ("case.assign",),
    "POST /api/v1/reconciliation-cases/{pk}/propose/": ("case.propose",),
    "POST /api/v1/reconciliation-cases/{pk}/approve/": ("case.approve",),
    "POST /api/v1/reconciliation-cases/{pk}/reject/": ("case.reject",),
    "POST /api/v1/reconciliation-cases/{pk}/withdraw/": ("case.withdraw",),
}
# What records nothing, and why.
SILENT = {
    "POST /api/v1/auth/login/question/": "It asks; the answer is recorded.",
    "POST /api/v1/auth/step-up/question/": "It asks; the answer is recorded.",
    "POST /api/v1/auth/security-keys/question/": "It asks; the answer is recorded.",
    "POST /api/v1/payouts/{payout_id}/preview/": "It only asks the node what something would cost.",
}
# Where more than one database transaction is written to, and why the event is in the first alone.
SEVERAL = {
    "POST /api/v1/auth/authenticator/confirm/": "The token that the caller goes on with follows from the enrollment.",
    "POST /api/v1/auth/security-keys/": "The token that the caller goes on with follows from the key.",
    "POST /api/v1/auth/step-up/": "The code is taken and recorded first; that the token was proved follows from it.",
    "POST /api/v1/reconciliation-runs/": "The node is asked between them; a run is a leaf of the tree by itself.",
    "POST /admin/ledger/reconciliationrun/reconcile/": "As over the API.",
}
UNAUTHORIZED, REFUSED = 401, 400
WRITE = re.compile(
    r'\s*(?:WITH\b.*?\b)?(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)"?', re.IGNORECASE | re.DOTALL
)
# Of the request itself, and questions to security keys.
OWN = ("govpay_keychallenge", "govpay_usersession", "govpay_idempotencyrecord", "ledger_auditevent")
# When somebody signed in, or used a token: no act of its own.
TIMES = re.compile(r'UPDATE "\w+" SET "(last_login|last_used_at)" = [^,]+ WHERE')
# What goes when an expired token is shown: the clock ended it.
EXPIRED = {"govpay_apitoken", "govpay_tokenproof", "knox_authtoken"}
PARAMETERS = re.compile(r"<(?:\w+:)?(\w+)>")


class Forgotten(AssertionError):
    """A request changed something, and no event says so."""


class _Watch:
    """Notes the tables that are written to, what is recorded, and in which of the outermost database transactions."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, str]] = []
        self.records: set[int] = set()
        self.actions: set[str] = set()
        # The number of the outermost database transaction; one that is no transaction has none, 0.
        self.begun = min(_depth(), 1)
        self.undone: set[int] = set()

    def __call__(self, execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        found = WRITE.match(sql) if isinstance(sql, str) else None
        if found is not None:
            table = found[1].lower()
            if table == "ledger_auditevent":
                self.records.add(self.current())
            elif table not in OWN and not TIMES.match(sql):
                self.writes.append((self.current(), table))
        return execute(sql, *rest)

    def current(self) -> int:
        """Return the number of the database transaction that is open."""
        return self.begun if _depth() else 0

    def kept(self) -> list[tuple[int, str]]:
        """Return what was written and not rolled back."""
        return [(number, table) for number, table in self.writes if number not in self.undone]


# Requests of tests that race are watched by thread, as connections are.
_local = threading.local()


def _watches() -> list[_Watch]:
    found: list[_Watch] = _local.__dict__.setdefault("watches", [])
    return found


def _depth() -> int:
    return sum(not block._from_testcase for block in connection.atomic_blocks)


def watched(call: Callable[[Any, HttpRequest], HttpResponse]) -> Callable[[Any, HttpRequest], HttpResponse]:
    """Wrap the middleware that opens the door, so that it looks at what the request did."""

    def answer(door: Any, request: HttpRequest) -> HttpResponse:
        watch = _Watch()
        _watches().append(watch)
        try:
            with connection.execute_wrapper(watch):
                response = call(door, request)
        finally:
            _watches().remove(watch)
        _compare(request, watch, response.status_code)
        return response

    return answer


def _compare(request: HttpRequest, watch: _Watch, status: int) -> None:
    route, writes = route_of(request), watch.kept()
    tables = sorted({table for _, table in writes})
    if not writes or route in SILENT or (status == UNAUTHORIZED and EXPIRED.issuperset(tables)):
        return
    if not watch.actions:
        raise Forgotten(f"{route} wrote to {tables} and recorded nothing.")
    if status < REFUSED and route in ACTS and not watch.actions & set(ACTS[route]):
        raise Forgotten(f"{route} recorded {sorted(watch.actions)}, not {ACTS[route]}.")
    apart = sorted({table for number, table in writes if number not in watch.records or not number})
    if apart and route not in SEVERAL:
        raise Forgotten(f"{route} wrote to {apart} in another database transaction than its event.")


def route_of(request: HttpRequest) -> str:
    """Return the method and the address with the names of its parameters."""
    match = request.resolver_match
    address = request.path if match is None else "/" + PARAMETERS.sub(r"{\1}", match.route)
    return f"{request.method} {address}"


@contextmanager
def watching() -> Iterator[None]:
    """Watch all requests meanwhile."""
    from govpay.middleware import AuditDoor

    call, enter, leave = AuditDoor.__call__, transaction.Atomic.__enter__, transaction.Atomic.__exit__

    def note_begin(block: Any) -> None:
        enter(block)
        if _depth() == 1:
            for watch in _watches():
                watch.begun += 1

    def note_end(block: Any, kind: Any, *rest: Any) -> None:
        if _depth() == 1 and (kind is not None or connection.needs_rollback):
            for watch in _watches():
                watch.undone.add(watch.begun)
        leave(block, kind, *rest)

    def note_event(instance: AuditEvent, **_: Any) -> None:
        for watch in _watches():
            watch.actions.add(instance.action)

    AuditDoor.__call__ = watched(call)  # type: ignore[method-assign]
    transaction.Atomic.__enter__ = note_begin  # type: ignore[method-assign]
    transaction.Atomic.__exit__ = note_end  # type: ignore[method-assign]
    post_save.connect(note_event, sender=AuditEvent, weak=False, dispatch_uid="acts")
    try:
        yield
    finally:
        AuditDoor.__call__ = call  # type: ignore[method-assign]
        transaction.Atomic.__enter__ = enter  # type: ignore[method-assign]
        transaction.Atomic.__exit__ = leave  # type: ignore[method-assign]
        post_save.disconnect(sender=AuditEvent, dispatch_uid="acts")
