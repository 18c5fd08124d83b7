"""No undocumented route: the URL configuration, the OpenAPI document and this list are equal (A38)."""

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from tests.govpay import routes

ALLOWED = {
    "POST /api/v1/auth/login/",
    "POST /api/v1/auth/logout/",
    "POST /api/v1/auth/step-up/",
    "POST /api/v1/auth/login/question/",
    "POST /api/v1/auth/step-up/question/",
    "GET /api/v1/auth/factors/",
    "POST /api/v1/auth/authenticator/",
    "POST /api/v1/auth/authenticator/confirm/",
    "POST /api/v1/auth/authenticator/remove/",
    "POST /api/v1/auth/recovery-codes/",
    "POST /api/v1/auth/security-keys/question/",
    "POST /api/v1/auth/security-keys/",
    "POST /api/v1/auth/security-keys/{pk}/rename/",
    "POST /api/v1/auth/security-keys/{pk}/remove/",
    "GET /api/v1/auth/me/",
    "GET /api/v1/tokens/",
    "POST /api/v1/tokens/",
    "GET /api/v1/tokens/{pk}/",
    "POST /api/v1/tokens/{pk}/end/",
    "GET /api/v1/prices/",
    "GET /api/v1/prices/{pk}/",
    "POST /api/v1/prices/proposals/rules/",
    "POST /api/v1/prices/proposals/sources/",
    "GET /api/v1/reserve/",
    "GET /api/v1/reserve/holdings/",
    "GET /api/v1/reserve/holdings/{pk}/",
    "GET /api/v1/reserve/holdings/{pk}/split/",
    "GET /api/v1/reserve/institutions/",
    "GET /api/v1/reserve/institutions/{pk}/",
    "GET /api/v1/reserve/floats/",
    "GET /api/v1/reserve/inflows/",
    "GET /api/v1/reserve/classings/",
    "POST /api/v1/reserve/classings/",
    "GET /api/v1/reserve/classings/{pk}/",
    "POST /api/v1/reserve/classings/{pk}/confirm/",
    "POST /api/v1/reserve/classings/{pk}/withdraw/",
    "GET /api/v1/reserve/plans/",
    "POST /api/v1/reserve/plans/",
    "GET /api/v1/reserve/plans/{pk}/",
    "POST /api/v1/reserve/plans/{pk}/approve/",
    "POST /api/v1/reserve/plans/{pk}/end/",
    "GET /api/v1/reserve/proofs/",
    "POST /api/v1/reserve/proofs/",
    "GET /api/v1/reserve/proofs/{pk}/",
    "GET /api/v1/reserve/proofs/{pk}/file/",
    "POST /api/v1/reserve/proofs/{pk}/answer/",
    "POST /api/v1/reserve/proposals/institutions/",
    "POST /api/v1/reserve/proposals/holdings/",
    "GET /api/v1/reserve/scans/",
    "GET /api/v1/reserve/scans/{pk}/balances/",
    "GET /api/v1/quotes/",
    "GET /api/v1/quotes/{pk}/",
    "GET /api/v1/trusts/",
    "GET /api/v1/trusts/{pk}/",
    "POST /api/v1/trusts/proposals/",
    "GET /api/v1/trusts/{pk}/decisions/",
    "POST /api/v1/trusts/{pk}/decisions/",
    "GET /api/v1/trusts/{pk}/legs/",
    "GET /api/v1/trust-decisions/{pk}/",
    "POST /api/v1/trust-decisions/{pk}/sign/",
    "POST /api/v1/trust-decisions/{pk}/withdraw/",
    "GET /api/v1/enrollments/{enrollment_id}/elections/",
    "POST /api/v1/enrollments/{enrollment_id}/elections/",
    "POST /api/v1/payments/{payment_id}/bitcoin/",
    "POST /api/v1/payments/{payment_id}/voucher/",
    "POST /api/v1/payments/{payment_id}/trust/",
    "POST /api/v1/disbursements/{disbursement_id}/choices/",
    "POST /api/v1/trusts/{pk}/proposals/paying-accounts/",
    "POST /api/v1/trusts/{pk}/bank-reports/",
    "GET /api/v1/trust-decisions/{pk}/bank-file/",
    "POST /api/v1/trust-decisions/{pk}/bank-file/fetch/",
    "GET /api/v1/manual-prices/",
    "POST /api/v1/manual-prices/",
    "GET /api/v1/manual-prices/{pk}/",
    "POST /api/v1/manual-prices/{pk}/confirm/",
    "POST /api/v1/manual-prices/{pk}/withdraw/",
    "GET /api/v1/price-breakers/",
    "GET /api/v1/price-breakers/{pk}/",
    "POST /api/v1/price-breakers/{pk}/close/",
    "POST /api/v1/price-breakers/{pk}/confirm/",
    "GET /api/v1/stops/",
    "POST /api/v1/stops/",
    "POST /api/v1/stops/{stop_id}/lift/",
    "GET /api/v1/alarms/",
    "GET /api/v1/alarms/{alarm_id}/",
    "POST /api/v1/alarms/{alarm_id}/take/",
    "POST /api/v1/alarms/{alarm_id}/close/",
    "GET /api/v1/programs/",
    "POST /api/v1/programs/",
    "GET /api/v1/programs/{program_id}/",
    "GET /api/v1/programs/{program_id}/events/",
    "GET /api/v1/programs/{program_id}/funds/",
    "GET /api/v1/programs/{program_id}/wallet/",
    "GET /api/v1/programs/{program_id}/outcomes/",
    "POST /api/v1/programs/{program_id}/outcomes/baselines/",
    "GET /api/v1/programs/{program_id}/projection/",
    "POST /api/v1/programs/{program_id}/projection/baselines/",
    "GET /api/v1/programs/{program_id}/members/",
    "POST /api/v1/programs/{program_id}/members/",
    "POST /api/v1/programs/{program_id}/proposals/rules/",
    "POST /api/v1/programs/{program_id}/proposals/roles/",
    "GET /api/v1/programs/{program_id}/entitlements/",
    "POST /api/v1/disbursements/{disbursement_id}/claim-links/",
    "POST /api/v1/disbursements/{disbursement_id}/claims/",
    "GET /api/v1/programs/{program_id}/grievances/",
    "POST /api/v1/programs/{program_id}/grievances/",
    "GET /api/v1/grievances/{grievance_id}/",
    "POST /api/v1/grievances/{grievance_id}/take/",
    "POST /api/v1/grievances/{grievance_id}/link/",
    "POST /api/v1/grievances/{grievance_id}/answer/",
    "GET /api/v1/grievances/{grievance_id}/history/",
    "POST /api/v1/programs/{program_id}/proposals/webhooks/",
    "POST /api/v1/programs/{program_id}/proposals/paying-accounts/",
    "POST /api/v1/programs/{program_id}/proposals/originators/",
    "GET /api/v1/disbursements/{disbursement_id}/travel-records/",
    "POST /api/v1/payments/{payment_id}/travel-record/fetch/",
    "POST /api/v1/disbursements/{disbursement_id}/rail/",
    "POST /api/v1/disbursements/{disbursement_id}/vouchers/",
    "POST /api/v1/programs/{program_id}/bank-accounts/",
    "POST /api/v1/enrollments/{enrollment_id}/bank-accounts/",
    "POST /api/v1/bank-accounts/{bank_account_id}/confirm/",
    "POST /api/v1/bank-accounts/{bank_account_id}/refuse/",
    "GET /api/v1/programs/{program_id}/bank-files/",
    "GET /api/v1/bank-files/{bank_file_id}/",
    "POST /api/v1/bank-files/{bank_file_id}/fetch/",
    "POST /api/v1/programs/{program_id}/bank-reports/",
    "GET /api/v1/programs/{program_id}/vouchers/",
    "POST /api/v1/programs/{program_id}/vouchers/redeem/",
    "POST /api/v1/vouchers/{voucher_id}/cancellation/",
    "POST /api/v1/vouchers/{voucher_id}/cancel/",
    "GET /api/v1/programs/{program_id}/webhooks/",
    "GET /api/v1/webhooks/{webhook_id}/",
    "POST /api/v1/webhooks/{webhook_id}/secrets/",
    "POST /api/v1/webhooks/{webhook_id}/pause/",
    "POST /api/v1/webhooks/{webhook_id}/resume/",
    "POST /api/v1/webhooks/{webhook_id}/end/",
    "POST /api/v1/webhooks/{webhook_id}/ping/",
    "POST /api/v1/webhooks/{webhook_id}/replay/",
    "GET /api/v1/webhooks/{webhook_id}/deliveries/",
    "GET /api/v1/proposals/",
    "GET /api/v1/proposals/{proposal_id}/",
    "POST /api/v1/proposals/{proposal_id}/confirm/",
    "POST /api/v1/proposals/{proposal_id}/reject/",
    "POST /api/v1/proposals/{proposal_id}/withdraw/",
    "GET /api/v1/proposals/{proposal_id}/history/",
    "GET /api/v1/programs/{program_id}/approval-policies/",
    "POST /api/v1/programs/{program_id}/approval-policies/",
    "GET /api/v1/approval-policies/{policy_id}/",
    "POST /api/v1/approval-policies/{policy_id}/confirm/",
    "POST /api/v1/approval-policies/{policy_id}/drop/",
    "GET /api/v1/disbursements/{disbursement_id}/approvals/",
    "GET /api/v1/programs/{program_id}/enrollments/",
    "POST /api/v1/programs/{program_id}/enrollments/",
    "POST /api/v1/programs/{program_id}/enrollments/bulk/",
    "POST /api/v1/disbursements/{disbursement_id}/payments/hold/",
    "GET /api/v1/programs/{program_id}/intakes/",
    "POST /api/v1/programs/{program_id}/intakes/people/",
    "GET /api/v1/programs/{program_id}/import-jobs/",
    "POST /api/v1/programs/{program_id}/import-jobs/",
    "GET /api/v1/programs/{program_id}/disbursements/",
    "POST /api/v1/programs/{program_id}/disbursements/",
    "GET /api/v1/enrollments/{enrollment_id}/",
    "GET /api/v1/programs/{program_id}/consent-texts/",
    "POST /api/v1/programs/{program_id}/consent-texts/",
    "GET /api/v1/enrollments/{enrollment_id}/consents/",
    "POST /api/v1/enrollments/{enrollment_id}/consents/",
    "POST /api/v1/enrollments/{enrollment_id}/erasures/",
    "GET /api/v1/programs/{program_id}/erasures/",
    "GET /api/v1/erasures/{erasure_id}/",
    "POST /api/v1/erasures/{erasure_id}/confirm/",
    "POST /api/v1/erasures/{erasure_id}/refuse/",
    "POST /api/v1/erasures/{erasure_id}/withdraw/",
    "POST /api/v1/enrollments/{enrollment_id}/address-proofs/",
    "GET /api/v1/programs/{program_id}/address-proofs/",
    "GET /api/v1/address-proofs/{address_proof_id}/",
    "POST /api/v1/address-proofs/{address_proof_id}/signature/",
    "POST /api/v1/enrollments/{enrollment_id}/destination-changes/",
    "GET /api/v1/programs/{program_id}/destination-changes/",
    "GET /api/v1/destination-changes/{change_id}/",
    "POST /api/v1/destination-changes/{change_id}/confirm/",
    "POST /api/v1/destination-changes/{change_id}/refuse/",
    "POST /api/v1/destination-changes/{change_id}/withdraw/",
    "GET /api/v1/disbursements/{disbursement_id}/holds/",
    "GET /api/v1/programs/{program_id}/exclusion-lists/",
    "POST /api/v1/programs/{program_id}/exclusion-lists/",
    "GET /api/v1/programs/{program_id}/exclusions/",
    "GET /api/v1/programs/{program_id}/appeals/",
    "POST /api/v1/exclusion-lists/{exclusion_list_id}/entries/",
    "POST /api/v1/exclusion-lists/{exclusion_list_id}/end/",
    "POST /api/v1/enrollments/{enrollment_id}/appeals/",
    "GET /api/v1/appeals/{appeal_id}/",
    "POST /api/v1/appeals/{appeal_id}/uphold/",
    "POST /api/v1/appeals/{appeal_id}/lift/",
    "GET /api/v1/payments/{payment_id}/holds/",
    "GET /api/v1/intakes/{intake_id}/",
    "GET /api/v1/intakes/{intake_id}/errors/",
    "GET /api/v1/intakes/{intake_id}/errors.csv",
    "GET /api/v1/import-jobs/{import_job_id}/",
    "POST /api/v1/import-jobs/{import_job_id}/confirm/",
    "POST /api/v1/import-jobs/{import_job_id}/cancel/",
    "GET /api/v1/import-jobs/{import_job_id}/errors.csv",
    "GET /api/v1/import-templates/people.csv",
    "GET /api/v1/import-templates/list.csv",
    "GET /api/v1/disbursements/{disbursement_id}/",
    "POST /api/v1/disbursements/{disbursement_id}/submit/",
    "POST /api/v1/disbursements/{disbursement_id}/approve/",
    "POST /api/v1/disbursements/{disbursement_id}/reject/",
    "GET /api/v1/disbursements/{disbursement_id}/estimate/",
    "POST /api/v1/disbursements/{disbursement_id}/quote/",
    "POST /api/v1/disbursements/{disbursement_id}/release/",
    "POST /api/v1/disbursements/{disbursement_id}/cancel/",
    "GET /api/v1/disbursements/{disbursement_id}/payments/",
    "GET /api/v1/disbursements/{disbursement_id}/payouts/",
    "GET /api/v1/disbursements/{disbursement_id}/history/",
    "GET /api/v1/disbursements/{disbursement_id}/manifest/",
    "GET /api/v1/disbursements/{disbursement_id}/manifest-signatures/",
    "POST /api/v1/disbursements/{disbursement_id}/manifest-signatures/",
    "GET /api/v1/approver-keys/",
    "POST /api/v1/approver-keys/",
    "POST /api/v1/approver-keys/retire/",
    "GET /api/v1/payments/{payment_id}/",
    "GET /api/v1/payments/{payment_id}/receipt/",
    "POST /api/v1/payments/{payment_id}/hold/",
    "POST /api/v1/payments/{payment_id}/resume/",
    "POST /api/v1/payments/{payment_id}/withdraw/",
    "GET /api/v1/payments/{payment_id}/history/",
    "GET /api/v1/payouts/",
    "GET /api/v1/payouts/{payout_id}/",
    "GET /api/v1/payouts/{payout_id}/history/",
    "POST /api/v1/payouts/{payout_id}/preview/",
    "GET /api/v1/payouts/{payout_id}/interventions/",
    "POST /api/v1/payouts/{payout_id}/interventions/",
    "POST /api/v1/payouts/{payout_id}/reissues/",
    "POST /api/v1/disbursements/{disbursement_id}/reissues/",
    "POST /api/v1/programs/{program_id}/wallet/unhalt/",
    "GET /api/v1/interventions/",
    "GET /api/v1/interventions/{intervention_id}/",
    "POST /api/v1/interventions/{intervention_id}/approve/",
    "POST /api/v1/interventions/{intervention_id}/reject/",
    "POST /api/v1/interventions/{intervention_id}/withdraw/",
    "GET /api/v1/interventions/{intervention_id}/history/",
    "GET /api/v1/signing-requests/",
    "GET /api/v1/signing-requests/{signing_request_id}/",
    "GET /api/v1/signing-requests/{signing_request_id}/psbt/",
    "GET /api/v1/signing-requests/{signing_request_id}/bundle/",
    "POST /api/v1/signing-requests/{signing_request_id}/signatures/",
    "GET /api/v1/programs/{program_id}/budget-periods/",
    "POST /api/v1/programs/{program_id}/budget-periods/",
    "GET /api/v1/budget-periods/{budget_period_id}/",
    "POST /api/v1/budget-periods/{budget_period_id}/close/",
    "GET /api/v1/budget-periods/{budget_period_id}/commitments/",
    "GET /api/v1/budget-periods/{budget_period_id}/warrants/",
    "POST /api/v1/budget-periods/{budget_period_id}/warrants/",
    "GET /api/v1/warrants/{warrant_id}/",
    "POST /api/v1/warrants/{warrant_id}/confirm/",
    "POST /api/v1/warrants/{warrant_id}/reject/",
    "POST /api/v1/warrants/{warrant_id}/withdraw/",
    "GET /api/v1/node/",
    "GET /api/v1/policy-profiles/",
    "GET /api/v1/accounts/",
    "GET /api/v1/entries/",
    "GET /api/v1/entries/{pk}/",
    "GET /api/v1/entries/{pk}/proof/",
    "GET /api/v1/postings/",
    "GET /api/v1/trial-balance/",
    "GET /api/v1/reports/",
    "GET /api/v1/reports/{name}/",
    "GET /api/v1/packs/",
    "POST /api/v1/packs/",
    "GET /api/v1/packs/{pk}/",
    "GET /api/v1/packs/{pk}/file/",
    "GET /api/v1/lot-movements/",
    "POST /api/v1/lot-movements/",
    "GET /api/v1/periods/",
    "POST /api/v1/periods/",
    "GET /api/v1/periods/{pk}/",
    "GET /api/v1/periods/{pk}/figures/",
    "POST /api/v1/periods/{pk}/close/",
    "POST /api/v1/periods/{pk}/reopen/",
    "POST /api/v1/periods/{pk}/seal/",
    "GET /api/v1/redactions/",
    "POST /api/v1/redactions/",
    "GET /api/v1/redactions/{pk}/",
    "POST /api/v1/redactions/{pk}/agree/",
    "GET /api/v1/audit-events/",
    "GET /api/v1/audit-events/{pk}/",
    "GET /api/v1/checkpoints/",
    "GET /api/v1/checkpoints/consistency/",
    "GET /api/v1/checkpoints/{pk}/",
    "GET /api/v1/reconciliation-runs/",
    "POST /api/v1/reconciliation-runs/",
    "GET /api/v1/reconciliation-runs/under-way/",
    "GET /api/v1/reconciliation-runs/{pk}/",
    "GET /api/v1/reconciliation-runs/{pk}/breaks/",
    "GET /api/v1/reconciliation-cases/",
    "GET /api/v1/reconciliation-cases/{pk}/",
    "POST /api/v1/reconciliation-cases/{pk}/assign/",
    "POST /api/v1/reconciliation-cases/{pk}/propose/",
    "POST /api/v1/reconciliation-cases/{pk}/approve/",
    "POST /api/v1/reconciliation-cases/{pk}/reject/",
    "POST /api/v1/reconciliation-cases/{pk}/withdraw/",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document, validated; a warning is an error."""
    out = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    loaded: dict[str, Any] = yaml.safe_load(out.getvalue())
    return loaded


def documented(document: dict[str, Any]) -> set[str]:
    """Method and address of everything in the document."""
    return {f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods}


class TestRoutes:
    def test_urls_and_document_are_equal(self, document: dict[str, Any]) -> None:
        assert {f"{method} {route}" for method, route in routes.operations()} == documented(document)

    def test_document_and_list_are_equal(self, document: dict[str, Any]) -> None:
        assert documented(document) == ALLOWED


class TestSchema:
    def test_is_openapi_3_1_with_bearer_tokens(self, document: dict[str, Any]) -> None:
        assert document["openapi"] == "3.1.1"
        scheme = document["components"]["securitySchemes"]["bearer"]
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        unprotected = {
            path
            for path, methods in document["paths"].items()
            for operation in methods.values()
            if operation.get("security") != [{"bearer": []}]
        }
        assert unprotected == {"/api/v1/auth/login/", "/api/v1/auth/login/question/"}

    def test_describes_every_error_as_problem_details(self, document: dict[str, Any]) -> None:
        for methods in document["paths"].values():
            for operation in methods.values():
                errors = {c: r for c, r in operation["responses"].items() if int(c) >= 400}
                assert {"406", "503"} <= set(errors)
                assert {frozenset(r["content"]) for r in errors.values()} == {
                    frozenset({"application/problem+json"})
                }

    def test_has_stable_names(self, document: dict[str, Any]) -> None:
        names = set(document["components"]["schemas"])
        assert {"DisbursementStatus", "PaymentStatus", "PayoutStatus", "Role", "IntakeStatus"} <= names
        ids = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
        assert len(ids) == len(set(ids)) == len(documented(document))

    def test_offers_the_idempotency_key_where_it_is_honored(self, document: dict[str, Any]) -> None:
        without = {
            path
            for path, methods in document["paths"].items()
            if "post" in methods
            and "Idempotency-Key" not in {p["name"] for p in methods["post"].get("parameters", [])}
        }
        # A token or secret must not be stored, a code and a key's answer work once, ending a token twice ends it once, and
        # each reconciliation and pack is of its own moment.
        assert without == {
            "/api/v1/auth/login/",
            # Codes are shown once, and one counts once; a file is the same every time.
            "/api/v1/disbursements/{disbursement_id}/vouchers/",
            "/api/v1/programs/{program_id}/vouchers/redeem/",
            "/api/v1/bank-files/{bank_file_id}/fetch/",
            # Who pays whom is in no stored answer.
            "/api/v1/payments/{payment_id}/travel-record/fetch/",
            "/api/v1/trust-decisions/{pk}/bank-file/fetch/",
            "/api/v1/auth/logout/",
            "/api/v1/auth/login/question/",
            "/api/v1/auth/step-up/",
            "/api/v1/auth/step-up/question/",
            "/api/v1/auth/authenticator/",
            "/api/v1/auth/authenticator/confirm/",
            "/api/v1/auth/authenticator/remove/",
            "/api/v1/auth/recovery-codes/",
            "/api/v1/auth/security-keys/question/",
            "/api/v1/auth/security-keys/",
            "/api/v1/auth/security-keys/{pk}/rename/",
            "/api/v1/auth/security-keys/{pk}/remove/",
            "/api/v1/tokens/",
            "/api/v1/tokens/{pk}/end/",
            "/api/v1/packs/",
            "/api/v1/reconciliation-runs/",
            "/api/v1/webhooks/{webhook_id}/secrets/",
        }

    def test_is_served(self, client: Client) -> None:
        response = client.get("/api/schema/", headers={"accept": "application/vnd.oai.openapi+json"})
        assert response.status_code == 200
        assert set(response.json()["paths"]) == {route for _, route in routes.operations()}


class TestDocs:
    def test_loads_only_our_own_files(self, client: Client) -> None:
        page = client.get("/api/docs/")
        assert page.status_code == 200
        text = page.content.decode()
        assert "://" not in text.replace("http://www.w3.org", "")
        assert 'src="/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"' in text
        assert "<script>" not in text

    @pytest.mark.parametrize(
        ("address", "script", "style"),
        [
            ("/api/docs/", "script-src 'self'", "style-src 'self' 'unsafe-inline'"),
            (
                "/admin/login/",
                "script-src 'self' 'unsafe-eval' 'unsafe-inline'",
                "style-src 'self' 'unsafe-inline'",
            ),
            ("/api/schema/", "script-src 'self'", "style-src 'self'"),
            ("/api/v1/node/", "script-src 'self'", "style-src 'self'"),
        ],
    )
    @pytest.mark.django_db
    def test_relaxes_the_content_policy_on_its_own_paths_only(
        self, client: Client, address: str, script: str, style: str
    ) -> None:
        header = client.get(address).headers["Content-Security-Policy"]
        directives = [part.strip() for part in header.split(";")]
        assert script in directives
        assert style in directives
        assert "frame-ancestors 'none'" in directives
