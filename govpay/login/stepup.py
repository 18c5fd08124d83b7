"""Acts that need a code given within the last minutes: which they are, and whether it was."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from govpay.login import devices, errors
from govpay.models import TokenProof

PROVED_AT, TRUSTED = "second_factor_at", "provider_asked_for_second_factor"


@dataclass(frozen=True)
class Act:
    """An act by the names of its addresses: a POST of the API, and a page of the admin; one of them may be missing."""

    what: str
    api: str = ""
    admin: str = ""


ACTS = (
    Act("approve a list", "disbursement-approve", "payments_disbursement_approve"),
    Act("release a list", "disbursement-release", "payments_disbursement_release"),
    Act("sign a list's manifest", "disbursement-manifest-signatures", "payments_disbursement_sign_manifest"),
    Act("register an approver's key", "approver-keys", "payments_disbursement_approver_key"),
    Act("bring signatures", "signing-request-upload", "payments_signingrequest_upload_signatures"),
    Act("approve an intervention", "intervention-approve", "payments_intervention_approve"),
    Act("lift a stop", "stop-lift", "payments_stop_lift"),
    Act("approve a case's resolution", "reconciliation-case-approve", "ledger_case_approve"),
    Act("agree to a redaction", "redaction-agree", "ledger_redactionrequest_agree"),
    Act("seal a period", "period-seal", "ledger_period_seal"),
    Act("let a held payment go on", "payment-resume", "payments_payment_resume"),
    Act("confirm a proposal", "proposal-confirm", "payments_proposal_confirm"),
    Act("confirm rules of approval", "approval-policy-confirm", "payments_approvalpolicy_confirm"),
    Act("confirm a bank account", "bank-account-confirm", "payments_bankaccount_confirm"),
    Act("take a file to the bank", "bank-file-fetch", "payments_bankfile_download"),
    Act("take a trust's file to the bank", "trust-bank-file-fetch", "payments_trustdecision_take_file"),
    Act("read who pays whom", "travel-record-fetch", "payments_travelrecord_download"),
    Act("cancel a voucher", "voucher-cancel"),
    Act("confirm a change of address", "destination-change-confirm", "payments_destinationchange_confirm"),
    Act("erase a person", "erasure-confirm", "payments_erasure_confirm"),
    Act("lift an exclusion", "appeal-lift", "payments_appeal_lift"),
    Act("confirm a warrant", "warrant-confirm", "payments_warrant_confirm"),
    Act("confirm a manual price", "manual-price-confirm", "payments_manualprice_confirm"),
    Act("confirm what bitcoin came for", "classing-confirm", "payments_inflowclassing_confirm"),
    Act("approve a purchase plan", "purchase-plan-approve", "payments_purchaseplan_approve"),
    Act("close a price's breaker", "price-breaker-confirm", "payments_pricebreaker_confirm"),
    Act("sign a trust's decision", "trust-decision-sign", "payments_trustdecision_sign"),
    Act("make a webhook's secret", "webhook-secrets", "payments_webhook_rotate"),
    Act("give a role", "program-members", "payments_program_add_member"),
    # It opens doors for months without a code.
    Act("make a named token", "tokens"),
    # Of whoever has a second factor already; the first is enrolled with the password. The admin's page asks by itself.
    Act("enroll an authenticator", "authenticator-enroll"),
    Act("confirm an authenticator", "authenticator-confirm"),
    Act("remove an authenticator", "authenticator-remove"),
    Act("make recovery codes", "recovery-codes"),
    Act("ask for a new security key", "security-key-question"),
    Act("add a security key", "security-key-add"),
    Act("remove a security key", "security-key-remove"),
    # Whoever gives passwords and rights can become anybody.
    Act("add a user", admin="auth_user_add"),
    Act("change a user", admin="auth_user_change"),
    Act("give a password", admin="auth_user_password_change"),
    Act("add a group", admin="auth_group_add"),
    Act("change a group", admin="auth_group_change"),
)
# Addresses that are named like acts and need no code, each with the reason.
EXEMPT = {
    "import-job-confirm": "only whoever brought the file confirms it, and what it makes is approved like any other",
    "payments_importjob_confirm": "as over the API",
    "program-wallet-unhalt": "it proposes an intervention, and approving that needs a code",
    "payments_wallet_lift": "as over the API",
    "webhook-resume": "it goes on at the address that two people agreed to, with the secrets that there are",
    "payments_webhook_resume": "as over the API",
}
# What whoever must enroll a second factor first may do before.
WAYS_OUT = frozenset(
    {
        *("auth-logout", "auth-factors", "authenticator-enroll", "authenticator-confirm"),
        *("security-key-question", "security-key-add"),
    }
)
OF_API = {act.api: act for act in ACTS if act.api}
OF_ADMIN = {act.admin: act for act in ACTS if act.admin}


def require_of_token(token: Any, request: HttpRequest) -> None:
    """Raise NotEnrolled or StepUpNeeded where the bearer of a token may not go on without a code."""
    if devices.is_required() and not token.has_factor and not _is_way_out(request):
        raise errors.NotEnrolled("A second factor is required: enroll one first.")
    act = _act(request, OF_API) if request.method == "POST" else None
    if act is None or not token.has_factor:
        return
    since = timezone.now() - timedelta(seconds=settings.GOVPAY_STEP_UP_S)
    if not TokenProof.objects.filter(token=token, proved_at__gt=since).exists():
        raise _needed(act)


def require_of_session(request: HttpRequest) -> None:
    """Raise StepUpNeeded where a page of the admin may not be opened without a code."""
    act = _act(request, OF_ADMIN)
    if act is not None and not is_fresh(request) and needs_one(request.user):
        raise _needed(act)


def needs_one(user: Any) -> bool:
    """Say whether acts need a code of this user: everybody's where it is required, else theirs who have enrolled."""
    return devices.is_required() or devices.has_one(user)


def is_fresh(request: HttpRequest) -> bool:
    """Say whether the session had a code within the last minutes, of an authenticator that is still there."""
    user: Any = request.user
    age_s = timezone.now().timestamp() - request.session.get(PROVED_AT, 0)
    return bool(0 <= age_s < settings.GOVPAY_STEP_UP_S and user.is_verified())


def prove_session(request: HttpRequest) -> None:
    """Remember that the session had a code now."""
    request.session[PROVED_AT] = timezone.now().timestamp()


def is_proved(request: HttpRequest) -> bool:
    """Say whether the session showed a second factor: one of ours, or one that settings trust the provider for."""
    user: Any = request.user
    return bool(user.is_verified() or (request.session.get(TRUSTED) and settings.GOVPAY_OIDC_SECOND_FACTORS))


def trust_provider(request: HttpRequest) -> None:
    """Remember that the provider asked for a second factor. It signs in; acts want one of ours all the same."""
    request.session[TRUSTED] = True


def prove_token(token: Any) -> Any:
    """Remember that the bearer of the token had a code now; return until when it counts."""
    now = timezone.now()
    TokenProof.objects.update_or_create(token=token, defaults={"proved_at": now})
    return now + timedelta(seconds=settings.GOVPAY_STEP_UP_S)


def _act(request: HttpRequest, acts: dict[str, Act]) -> Act | None:
    match = request.resolver_match
    return acts.get(match.url_name or "") if match is not None else None


def _is_way_out(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and match.url_name in WAYS_OUT


def _needed(act: Act) -> errors.StepUpNeeded:
    minutes = max(1, settings.GOVPAY_STEP_UP_S // 60)
    return errors.StepUpNeeded(
        f"To {act.what} give a code or use your security key first; it counts for {minutes} minutes."
    )
