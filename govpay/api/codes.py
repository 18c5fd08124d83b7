"""Every code that a problem can have, collected from the classes of errors themselves: docs/problems.md is made of this."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import NamedTuple

from rest_framework import exceptions

import govpay
import ledger
import payments
from govpay.errors import GovPayError

# Programs of their own, whose errors never reach the API; what starts something when it is imported.
ELSEWHERE = (
    *("payments.signer", "ledger.verify", "govpay.wsgi", "govpay.celery"),
    *("govpay.migrations", "ledger.migrations", "payments.migrations"),
)

# What the caller does about it, by code, and else by status.
CURES_OF = {
    "login_failed": "Check the name and the password; twenty attempts a minute are taken.",
    "login_needed": "Sign in, and make the token with the token that gives.",
    "second_factor_needed": "Send a code as `otp`, or a security key's answer as `credential`, with name and password.",
    "code_wrong": "Wait for the next code, at most half a minute, and send that.",
    "second_factor_not_enrolled": "Enroll one: /auth/authenticator/ or /auth/security-keys/, or in the admin.",
    "step_up_needed": "Send a code or a security key's answer to /auth/step-up/, and the same request again.",
    "key_refused": "Ask for a new question, and have a key of yours answer it at this installation's address.",
    "security_keys_off": "Use an authenticator, or have the operator set `GOVPAY_ORIGIN`.",
    "provider_refused": "Begin signing in anew; where it happens again, have the operator look at the log.",
    "provider_down": "Try again later, or sign in with the password.",
    "provider_not_linked": "Sign in with the password, and link the account under *Second factor*.",
    "provider_linked_before": "End the link that there is first.",
    "last_factor": "Add another second factor first.",
    "too_many_security_keys": "Remove a key that is not used any more.",
    "locked_out": "Wait as long as `Retry-After` says, or ask an administrator to unlock you.",
    "two_administrators_needed": "Have another administrator agree.",
    "scope_missing": "Make a token with the scope that `details.scope` names.",
    "role_missing": "Ask somebody who holds one of `details.roles` in the program.",
    "same_person_twice": "Have somebody else do it.",
    "election_refused": "Check the numbers, or ask for new digits.",
    "claim_refused": "Check link and numbers; an officer makes a new link.",
    "entitlement_gone": "Withdraw the lines that `details.lines` names, or reject the list.",
    "grievance_about_you": "Ask somebody who had no part in the payment's list.",
    "grievance_not_owned": "Take it first.",
    "too_many_webhooks": "End a webhook that nobody listens to, and propose it again.",
    "webhook_ended": "Propose another webhook.",
    "too_many_pings": "Make the webhook's secret, or have its worker started.",
    "no_price": "Have what `details.rule` names mended: sources by security administrators, a breaker by treasurers.",
    "nobody_asked": "Ask for it to be closed, and have another treasurer confirm.",
    "trust_below_floor": "Pay capital in, sell bitcoin, or give a lower floor; two members of the board sign.",
    "trust_above_cap": "Sell bitcoin or give a higher cap; two members of the board sign.",
    "inventory_short": "Name no more bitcoin than the trust has.",
    "not_on_the_board": "Have two members of the trust's board decide it.",
    "decision_expired": "Propose it again, and have another member sign it within a week.",
    "vote_forged": "Find out who writes to the database; a member proposes the decision anew.",
    "election_forged": "Find out who writes to the database; an officer writes down anew what the person elects.",
    "quote_forged": "Find out who writes to the database; a new quote is taken.",
    "price_changed": "Read the price again, and name what it is now, if it is right.",
    "price_decided": "Give another price.",
    "policy_refused": "Do what `details.law` allows; where another law holds, two security administrators name its profile.",
    "lots_short": "Record first what was acquired; `details` has the disposal and what is missing.",
    "unknown_profile": "Name one that /policy-profiles/ lists.",
    "not_the_proposer": "Ask the proposer, or refuse it.",
    "insufficient_funds": "Fund the program's wallet; `details` has the figures.",
    "over_allotment": "Ask for less, or have the allotment of the period raised; `details` has the figures.",
    "over_cash_release": "Ask for less, or have more cash released in the period; `details` has the figures.",
    "no_budget_period": "Have a treasurer open a period for the day; a list of a period that is over is listed anew.",
    "budget_period_overlaps": "Choose days and a name that no other period of the program has.",
    "budget_period_closed": "Take the period that is open.",
    "insufficient_coins": "Wait for the next block, or fund the wallet.",
    "coins_too_small": "Let small coins be merged, or fund the wallet with a larger one.",
    "manifest_changed": "Read the list again, and agree to what it is now, or refuse it.",
    "group_missing": "Have an approver of one of `details.groups` approve it.",
    "already_approved": "Have somebody else approve it too.",
    "group_complete": "Have an approver of a group in `details.missing` approve it.",
    "approval_expired": "Have it approved anew; `details.missing` says by whom.",
    "approval_forged": "Find out who writes to the database; the list is withdrawn and made anew.",
    "policy_forged": "Find out who writes to the database; the rules are proposed and confirmed anew.",
    "over_cap": "Wait until the window has passed, or have the cap changed; `details` has the figures.",
    "manifest_unsigned": "Have the approver sign the manifest with the registered key.",
    "payment_sealed": "Let it be paid, or have a treasurer give its payout up.",
    "engine_stopped": "Wait until another treasurer lifts the stop.",
    "wallet_halted": "Have two people lift the halt once its cause is gone.",
    "payout_busy": "Send it again in a moment.",
    "payout_has_child": "Raise the child's fee instead.",
    "bump_too_low": "Ask for `details.least_feerate_sat_kvb` or more.",
    "too_many_replaced": "Ask for a child instead.",
    "intervention_open": "Decide, or have decided, what is open first.",
    "intervention_stale": "Look at the figures again, and propose anew.",
    "void_not_final": "Wait until the void is final.",
    "not_sealed": "Wait for the next checkpoint.",
    "receipt_not_ready": "Wait until it is settled and sealed; `details.rule` says for which.",
    "no_receipt": "None: it never has one.",
    "pack_not_there": "Wait until its `status` is made, or ask for another.",
    "period_not_over": "Wait until it has ended.",
    "period_order": "Seal the periods before it first.",
    "time_not_over": "Wait until `details.ends_at`, or take it unsigned.",
    "not_the_maker": "Have the officer who brought the file confirm it.",
    "import_emptied": "Bring the file again.",
    "too_many_imports": "Confirm or cancel one of yours first.",
    "too_many_tokens": "End a token that is not needed.",
    "incompatible_roles": "Give it to somebody else, or have the other role ended first.",
    "roles_by_proposal": "Have one security administrator propose it, and another confirm it.",
    "security_administrators_short": "Give somebody else the role first.",
    "proposal_expired": "Propose it again.",
    "challenge_expired": "Ask for a new challenge, and have that signed.",
    "control_not_proved": "Have the very challenge signed with the key of the address; `details.rule` says what is wrong.",
    "control_proof_missing": "Ask for a challenge for the address, and record the person's signature on it.",
    "file_too_large": "Split the file.",
    "body_encoded": "Send the body as it is.",
    "idempotency_key_reused": "Take a new key for a new request.",
    **dict.fromkeys(
        (
            "alarm_closed",
            "already_redacted",
            "already_reissued",
            "already_stopped",
            "breaker_closed",
            "stop_lifted",
            "token_ended",
        ),
        "None: it was done before.",
    ),
    **dict.fromkeys(
        (
            "membership_exists",
            "membership_missing",
            "nobody_to_send",
            "nothing_chosen",
            "nothing_claimed",
            "nothing_to_pay",
            "nothing_to_reissue",
        ),
        "None: nothing is left to do.",
    ),
}
CURES = {
    400: "Mend the request: the same one is refused again.",
    401: "Sign in, and send the new token.",
    403: "Ask somebody who may, or an administrator for the right.",
    404: "Check the id, and that the program is one of yours.",
    405: "Use a verb that the reference lists for the address.",
    406: "Accept what the reference says the address answers.",
    409: "Read the thing again, and decide by what it is now.",
    412: "Read the thing again, and send its new ETag.",
    413: "Send less at once.",
    415: "Send what the reference says the address takes.",
    422: "Mend what `errors` or `details` name.",
    429: "Wait as long as `Retry-After` says.",
    500: "Report it with its time; sending it again may be safe with the same Idempotency-Key only.",
    502: "Tell the operator, who looks at the node.",
    503: "Wait as long as `Retry-After` says, and send the same request with the same Idempotency-Key.",
}
# Codes of the framework, and of what happens before a view is reached.
OTHERS = {
    (
        "parse_error",
        400,
    ): "The body is not UTF-8 JSON or not the form that was announced, has a key twice or is nested too deeply.",
    (
        "validation_error",
        400,
    ): "A field or query parameter is missing, unknown or of another shape; `errors` says which.",
    ("bad_request", 400): "The request is malformed.",
    ("not_authenticated", 401): "There is no token.",
    ("authentication_failed", 401): "The token is none, has ended, or its user may not sign in any more.",
    ("method_not_allowed", 405): "The address has no such verb.",
    ("not_acceptable", 406): "The address does not answer in what the request accepts.",
    ("unsupported_media_type", 415): "The address does not take content of this type.",
    ("throttled", 429): "Too many requests came from one user, or from one address.",
    ("internal_error", 500): "A bug: it has been logged, and the answer tells nothing of it.",
}


class Code(NamedTuple):
    """A code, the HTTP status that it comes with, what it means and what to do."""

    code: str
    status: int
    meaning: str
    cure: str


def collect() -> list[Code]:
    """Return every code, in order of status and name; raise ValueError when one code has two statuses."""
    found = {code: Code(code, status, text, cure_of(code, status)) for (code, status), text in OTHERS.items()}
    for error in _classes():
        own = error.__dict__.get("code", error.__dict__.get("default_code"))
        if own is None:
            continue
        made = _of(error, own)
        known = found.setdefault(own, made)
        if known.status != made.status:
            raise ValueError(f"{own} has two statuses: {known.status} and {made.status}.")
    return sorted(found.values(), key=lambda code: (code.status, code.code))


def page() -> str:
    """Return docs/problems.md."""
    rows = [f"| {c.status} | `{c.code}` | {c.meaning} | {c.cure} |" for c in collect()]
    return "\n".join([HEAD, *rows, ""])


def _of(error: type[Exception], code: str) -> Code:
    is_ours = issubclass(error, GovPayError)
    status = int(error.http_status if is_ours else error.status_code)  # type: ignore[attr-defined]
    first = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    return Code(code, status, first.replace("``", "`").replace("|", "\\|"), cure_of(code, status))


def cure_of(code: str, status: int) -> str:
    """Return what the caller does about a code."""
    return CURES_OF.get(code, CURES[status])


def _classes() -> Iterator[type[Exception]]:
    for package in (govpay, ledger, payments):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(ELSEWHERE) and ".management" not in module.name:
                importlib.import_module(module.name)
    waiting: list[type[Exception]] = [GovPayError, exceptions.APIException]
    while waiting:
        error = waiting.pop()
        children = error.__subclasses__()
        waiting += children
        ours = (c for c in children if c.__module__.partition(".")[0] in ("govpay", "ledger", "payments"))
        yield from (c for c in ours if not c.__module__.startswith(ELSEWHERE))


HEAD = """# Problems: every stable code

`manage.py problem_codes` writes this page from the classes of errors; a test compares them. A problem (RFC 9457) has a
`code`, and its `type` is `urn:govpay:problem:` and the code. Decide by the code: titles and details may be worded anew.
Codes of rows and fields inside `errors` are in [the API's guide](api.md#problems).

| status | code | what it means | what to do |
|---|---|---|---|"""
