"""Addresses of programs, people, lists and payments."""

from django.urls import path

from govpay.api import converters
from payments.api.views import (
    approvals,
    budgets,
    consents,
    control,
    disbursements,
    erasures,
    events,
    exclusions,
    grievances,
    holds,
    imports,
    intakes,
    interventions,
    manifests,
    outcomes,
    payments,
    people,
    programs,
    proposals,
    safety,
    signing,
)

__all__ = ["converters", "urlpatterns"]

APPEAL = "appeals/<id:appeal_id>/"
EXCLUSION_LIST = "exclusion-lists/<id:exclusion_list_id>/"
ADDRESS_PROOF = "address-proofs/<id:address_proof_id>/"
ERASURE = "erasures/<id:erasure_id>/"
CHANGE = "destination-changes/<id:change_id>/"
ALARM = "alarms/<id:alarm_id>/"
BUDGET_PERIOD = "budget-periods/<id:budget_period_id>/"
PROGRAM = "programs/<id:program_id>/"
ENROLLMENT = "enrollments/<id:enrollment_id>/"
INTAKE = "intakes/<id:intake_id>/"
IMPORT = "import-jobs/<id:import_job_id>/"
LIST = "disbursements/<id:disbursement_id>/"
POLICY = "approval-policies/<id:policy_id>/"
PAYMENT = "payments/<id:payment_id>/"
GRIEVANCE = "grievances/<id:grievance_id>/"
INTERVENTION = "interventions/<id:intervention_id>/"
PROPOSAL = "proposals/<id:proposal_id>/"
PAYOUT = "payouts/<id:payout_id>/"
SIGNING = "signing-requests/<id:signing_request_id>/"
WARRANT = "warrants/<id:warrant_id>/"

urlpatterns = [
    path("programs/", programs.ProgramList.as_view(), name="programs"),
    path(PROGRAM, programs.ProgramDetail.as_view(), name="program"),
    path(f"{PROGRAM}funds/", programs.ProgramFunds.as_view(), name="program-funds"),
    path(f"{PROGRAM}wallet/", programs.ProgramWallet.as_view(), name="program-wallet"),
    path(f"{PROGRAM}events/", events.EventList.as_view(), name="program-events"),
    path(f"{PROGRAM}approval-policies/", approvals.PolicyList.as_view(), name="approval-policies"),
    path(POLICY, approvals.PolicyRead.as_view(), name="approval-policy"),
    path(f"{POLICY}confirm/", approvals.PolicyConfirm.as_view(), name="approval-policy-confirm"),
    path(f"{POLICY}drop/", approvals.PolicyDrop.as_view(), name="approval-policy-drop"),
    path(f"{LIST}approvals/", approvals.DisbursementApprovals.as_view(), name="disbursement-approvals"),
    path(f"{PROGRAM}members/", programs.ProgramMembers.as_view(), name="program-members"),
    path(f"{PROGRAM}outcomes/", outcomes.Outcomes.as_view(), name="program-outcomes"),
    path(f"{PROGRAM}outcomes/baselines/", outcomes.Baselines.as_view(), name="program-baselines"),
    path(f"{PROGRAM}proposals/rules/", proposals.ProposeRules.as_view(), name="propose-rules"),
    path(f"{PROGRAM}proposals/roles/", proposals.ProposeRole.as_view(), name="propose-role"),
    path(f"{PROGRAM}grievances/", grievances.GrievanceList.as_view(), name="grievances"),
    path(GRIEVANCE, grievances.GrievanceRead.as_view(), name="grievance"),
    path(f"{GRIEVANCE}take/", grievances.Take.as_view(), name="grievance-take"),
    path(f"{GRIEVANCE}link/", grievances.Link.as_view(), name="grievance-link"),
    path(f"{GRIEVANCE}answer/", grievances.Answer.as_view(), name="grievance-answer"),
    path(f"{GRIEVANCE}history/", grievances.GrievanceHistory.as_view(), name="grievance-history"),
    path("proposals/", proposals.ProposalList.as_view(), name="proposals"),
    path(PROPOSAL, proposals.ProposalRead.as_view(), name="proposal"),
    path(f"{PROPOSAL}confirm/", proposals.Confirm.as_view(), name="proposal-confirm"),
    path(f"{PROPOSAL}reject/", proposals.Reject.as_view(), name="proposal-reject"),
    path(f"{PROPOSAL}withdraw/", proposals.Withdraw.as_view(), name="proposal-withdraw"),
    path(f"{PROPOSAL}history/", proposals.ProposalHistory.as_view(), name="proposal-history"),
    path(f"{PROGRAM}enrollments/", people.EnrollmentList.as_view(), name="enrollments"),
    path(f"{PROGRAM}intakes/", intakes.IntakeList.as_view(), name="intakes"),
    path(f"{PROGRAM}intakes/people/", people.PeopleIntake.as_view(), name="intakes-people"),
    path(f"{PROGRAM}import-jobs/", imports.ImportList.as_view(), name="import-jobs"),
    path(f"{PROGRAM}disbursements/", disbursements.DisbursementList.as_view(), name="disbursements"),
    path(ENROLLMENT, people.EnrollmentDetail.as_view(), name="enrollment"),
    path(
        f"{ENROLLMENT}destination-changes/",
        holds.EnrollmentDestinationChanges.as_view(),
        name="enrollment-destination-changes",
    ),
    path(
        f"{ENROLLMENT}address-proofs/",
        control.EnrollmentAddressProofs.as_view(),
        name="enrollment-address-proofs",
    ),
    path(f"{PROGRAM}address-proofs/", control.AddressProofList.as_view(), name="address-proofs"),
    path(ADDRESS_PROOF, control.AddressProofRead.as_view(), name="address-proof"),
    path(
        f"{ADDRESS_PROOF}signature/",
        control.AddressProofSignature.as_view(),
        name="address-proof-signature",
    ),
    path(f"{PROGRAM}consent-texts/", consents.ConsentTexts.as_view(), name="consent-texts"),
    path(f"{ENROLLMENT}consents/", consents.EnrollmentConsents.as_view(), name="enrollment-consents"),
    path(f"{ENROLLMENT}erasures/", erasures.EnrollmentErasures.as_view(), name="enrollment-erasures"),
    path(f"{PROGRAM}erasures/", erasures.ErasureList.as_view(), name="erasures"),
    path(ERASURE, erasures.ErasureRead.as_view(), name="erasure"),
    path(f"{ERASURE}confirm/", erasures.Confirm.as_view(), name="erasure-confirm"),
    path(f"{ERASURE}refuse/", erasures.Refuse.as_view(), name="erasure-refuse"),
    path(f"{ERASURE}withdraw/", erasures.Withdraw.as_view(), name="erasure-withdraw"),
    path(f"{PROGRAM}destination-changes/", holds.DestinationChangeList.as_view(), name="destination-changes"),
    path(CHANGE, holds.DestinationChangeRead.as_view(), name="destination-change"),
    path(f"{CHANGE}confirm/", holds.Confirm.as_view(), name="destination-change-confirm"),
    path(f"{CHANGE}refuse/", holds.Refuse.as_view(), name="destination-change-refuse"),
    path(f"{CHANGE}withdraw/", holds.Withdraw.as_view(), name="destination-change-withdraw"),
    path(f"{PROGRAM}exclusion-lists/", exclusions.ExclusionLists.as_view(), name="exclusion-lists"),
    path(f"{PROGRAM}exclusions/", exclusions.Exclusions.as_view(), name="exclusions"),
    path(f"{PROGRAM}appeals/", exclusions.AppealList.as_view(), name="appeals"),
    path(f"{EXCLUSION_LIST}entries/", exclusions.ExclusionEntries.as_view(), name="exclusion-list-entries"),
    path(f"{EXCLUSION_LIST}end/", exclusions.ExclusionListEnd.as_view(), name="exclusion-list-end"),
    path(f"{ENROLLMENT}appeals/", exclusions.EnrollmentAppeals.as_view(), name="enrollment-appeals"),
    path(APPEAL, exclusions.AppealRead.as_view(), name="appeal"),
    path(f"{APPEAL}uphold/", exclusions.Uphold.as_view(), name="appeal-uphold"),
    path(f"{APPEAL}lift/", exclusions.Lift.as_view(), name="appeal-lift"),
    path(f"{LIST}holds/", holds.DisbursementHolds.as_view(), name="disbursement-holds"),
    path(f"{PAYMENT}holds/", holds.PaymentHolds.as_view(), name="payment-holds"),
    path(INTAKE, intakes.IntakeDetail.as_view(), name="intake"),
    path(f"{INTAKE}errors/", intakes.IntakeErrors.as_view(), name="intake-errors"),
    path(f"{INTAKE}errors.csv", intakes.IntakeErrorsFile.as_view(), name="intake-errors-file"),
    path(IMPORT, imports.ImportRead.as_view(), name="import-job"),
    path(f"{IMPORT}confirm/", imports.ImportConfirm.as_view(), name="import-job-confirm"),
    path(f"{IMPORT}cancel/", imports.ImportCancel.as_view(), name="import-job-cancel"),
    path(f"{IMPORT}errors.csv", imports.ImportErrors.as_view(), name="import-job-errors"),
    path("import-templates/people.csv", imports.PeopleTemplate.as_view(), name="import-template-people"),
    path("import-templates/list.csv", imports.ListTemplate.as_view(), name="import-template-list"),
    path(LIST, disbursements.DisbursementRead.as_view(), name="disbursement"),
    path(f"{LIST}submit/", disbursements.Submit.as_view(), name="disbursement-submit"),
    path(f"{LIST}approve/", disbursements.Approve.as_view(), name="disbursement-approve"),
    path(f"{LIST}reject/", disbursements.Reject.as_view(), name="disbursement-reject"),
    path(f"{LIST}release/", disbursements.Release.as_view(), name="disbursement-release"),
    path(f"{LIST}cancel/", disbursements.Cancel.as_view(), name="disbursement-cancel"),
    path(f"{LIST}payments/", disbursements.DisbursementPayments.as_view(), name="disbursement-payments"),
    path(f"{LIST}payouts/", disbursements.DisbursementPayouts.as_view(), name="disbursement-payouts"),
    path(f"{LIST}manifest/", manifests.Manifest.as_view(), name="disbursement-manifest"),
    path(
        f"{LIST}manifest-signatures/",
        manifests.ManifestSignatures.as_view(),
        name="disbursement-manifest-signatures",
    ),
    path("approver-keys/", manifests.ApproverKeys.as_view(), name="approver-keys"),
    path("approver-keys/retire/", manifests.RetireApproverKey.as_view(), name="approver-keys-retire"),
    path(f"{LIST}history/", disbursements.DisbursementHistory.as_view(), name="disbursement-history"),
    path(PAYMENT, payments.PaymentRead.as_view(), name="payment"),
    path(f"{PAYMENT}receipt/", payments.Receipt.as_view(), name="payment-receipt"),
    path(f"{PAYMENT}hold/", payments.Hold.as_view(), name="payment-hold"),
    path(f"{PAYMENT}resume/", payments.Resume.as_view(), name="payment-resume"),
    path(f"{PAYMENT}withdraw/", payments.Withdraw.as_view(), name="payment-withdraw"),
    path(f"{PAYMENT}history/", payments.PaymentHistory.as_view(), name="payment-history"),
    path("payouts/", payments.PayoutList.as_view(), name="payouts"),
    path(PAYOUT, payments.PayoutRead.as_view(), name="payout"),
    path(f"{PAYOUT}preview/", interventions.PayoutPreview.as_view(), name="payout-preview"),
    path(
        f"{PAYOUT}interventions/",
        interventions.PayoutInterventions.as_view(),
        name="payout-interventions",
    ),
    path(f"{PAYOUT}reissues/", interventions.PayoutReissues.as_view(), name="payout-reissues"),
    path(f"{LIST}reissues/", interventions.DisbursementReissues.as_view(), name="disbursement-reissues"),
    path(f"{PROGRAM}wallet/unhalt/", interventions.Unhalt.as_view(), name="program-wallet-unhalt"),
    path("interventions/", interventions.InterventionList.as_view(), name="interventions"),
    path(INTERVENTION, interventions.InterventionRead.as_view(), name="intervention"),
    path(f"{INTERVENTION}approve/", interventions.Approve.as_view(), name="intervention-approve"),
    path(f"{INTERVENTION}reject/", interventions.Reject.as_view(), name="intervention-reject"),
    path(f"{INTERVENTION}withdraw/", interventions.Withdraw.as_view(), name="intervention-withdraw"),
    path(f"{INTERVENTION}history/", interventions.InterventionHistory.as_view(), name="intervention-history"),
    path(f"{PAYOUT}history/", payments.PayoutHistory.as_view(), name="payout-history"),
    path("signing-requests/", signing.SigningRequestList.as_view(), name="signing-requests"),
    path(SIGNING, signing.SigningRequestRead.as_view(), name="signing-request"),
    path(f"{SIGNING}psbt/", signing.SigningRequestPsbt.as_view(), name="signing-request-psbt"),
    path(f"{SIGNING}bundle/", signing.SigningRequestBundle.as_view(), name="signing-request-bundle"),
    path(f"{SIGNING}signatures/", signing.SigningRequestSignatures.as_view(), name="signing-request-upload"),
    path("stops/", safety.StopList.as_view(), name="stops"),
    path("stops/<id:stop_id>/lift/", safety.StopLift.as_view(), name="stop-lift"),
    path("alarms/", safety.AlarmList.as_view(), name="alarms"),
    path(ALARM, safety.AlarmRead.as_view(), name="alarm"),
    path(f"{ALARM}take/", safety.AlarmTake.as_view(), name="alarm-take"),
    path(f"{ALARM}close/", safety.AlarmClose.as_view(), name="alarm-close"),
    path(f"{PROGRAM}budget-periods/", budgets.PeriodList.as_view(), name="budget-periods"),
    path(BUDGET_PERIOD, budgets.PeriodRead.as_view(), name="budget-period"),
    path(f"{BUDGET_PERIOD}close/", budgets.PeriodClose.as_view(), name="budget-period-close"),
    path(
        f"{BUDGET_PERIOD}commitments/", budgets.PeriodCommitments.as_view(), name="budget-period-commitments"
    ),
    path(f"{BUDGET_PERIOD}warrants/", budgets.PeriodWarrants.as_view(), name="budget-period-warrants"),
    path(WARRANT, budgets.WarrantRead.as_view(), name="warrant"),
    path(f"{WARRANT}confirm/", budgets.WarrantConfirm.as_view(), name="warrant-confirm"),
    path(f"{WARRANT}reject/", budgets.WarrantReject.as_view(), name="warrant-reject"),
    path(f"{WARRANT}withdraw/", budgets.WarrantWithdraw.as_view(), name="warrant-withdraw"),
    path("node/", payments.NodeRead.as_view(), name="node"),
]
