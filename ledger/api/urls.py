"""Addresses of the ledger's API."""

from django.urls import path

from ledger.api import audit, cases, lots, packs, periods, proofs, redactions, reports, views

urlpatterns = [
    path("accounts/", views.Accounts.as_view(), name="account-list"),
    path("entries/", views.Entries.as_view(), name="entry-list"),
    path("entries/<int:pk>/", views.EntryDetail.as_view(), name="entry-detail"),
    path("entries/<int:pk>/proof/", proofs.EntryProof.as_view(), name="entry-proof"),
    path("postings/", views.Postings.as_view(), name="posting-list"),
    path("trial-balance/", views.TrialBalance.as_view(), name="trial-balance"),
    path("reports/", reports.Reports.as_view(), name="report-list"),
    path("reports/<str:name>/", reports.ReportDetail.as_view(), name="report-detail"),
    path("audit-events/", audit.AuditEvents.as_view(), name="audit-event-list"),
    path("audit-events/<int:pk>/", audit.AuditEventDetail.as_view(), name="audit-event-detail"),
    path("checkpoints/", views.Checkpoints.as_view(), name="checkpoint-list"),
    path("checkpoints/consistency/", proofs.Consistency.as_view(), name="checkpoint-consistency"),
    path("checkpoints/<int:pk>/", views.CheckpointDetail.as_view(), name="checkpoint-detail"),
    path("lot-movements/", lots.LotMovements.as_view(), name="lot-movement-list"),
    path("packs/", packs.Packs.as_view(), name="pack-list"),
    path("packs/<int:pk>/", packs.PackDetail.as_view(), name="pack-detail"),
    path("packs/<int:pk>/file/", packs.PackFile.as_view(), name="pack-file"),
    path("periods/", periods.Periods.as_view(), name="period-list"),
    path("periods/<int:pk>/", periods.PeriodDetail.as_view(), name="period-detail"),
    path("periods/<int:pk>/figures/", periods.PeriodFigures.as_view(), name="period-figures"),
    path("periods/<int:pk>/close/", periods.ClosePeriod.as_view(), name="period-close"),
    path("periods/<int:pk>/reopen/", periods.ReopenPeriod.as_view(), name="period-reopen"),
    path("periods/<int:pk>/seal/", periods.SealPeriod.as_view(), name="period-seal"),
    path("redactions/", redactions.Redactions.as_view(), name="redaction-list"),
    path("redactions/<int:pk>/", redactions.RedactionDetail.as_view(), name="redaction-detail"),
    path("redactions/<int:pk>/agree/", redactions.AgreeToRedaction.as_view(), name="redaction-agree"),
    path("reconciliation-runs/", views.ReconciliationRuns.as_view(), name="reconciliation-run-list"),
    path(
        "reconciliation-runs/under-way/",
        views.RunsUnderWay.as_view(),
        name="reconciliation-run-under-way",
    ),
    path(
        "reconciliation-runs/<int:pk>/",
        views.ReconciliationRunDetail.as_view(),
        name="reconciliation-run-detail",
    ),
    path("reconciliation-runs/<int:pk>/breaks/", views.Breaks.as_view(), name="reconciliation-run-breaks"),
    path("reconciliation-cases/", cases.Cases.as_view(), name="reconciliation-case-list"),
    path("reconciliation-cases/<int:pk>/", cases.CaseDetail.as_view(), name="reconciliation-case-detail"),
    path(
        "reconciliation-cases/<int:pk>/assign/", cases.AssignCase.as_view(), name="reconciliation-case-assign"
    ),
    path(
        "reconciliation-cases/<int:pk>/propose/",
        cases.ProposeCase.as_view(),
        name="reconciliation-case-propose",
    ),
    path(
        "reconciliation-cases/<int:pk>/approve/",
        cases.ApproveCase.as_view(),
        name="reconciliation-case-approve",
    ),
    path(
        "reconciliation-cases/<int:pk>/reject/", cases.RejectCase.as_view(), name="reconciliation-case-reject"
    ),
    path(
        "reconciliation-cases/<int:pk>/withdraw/",
        cases.WithdrawCase.as_view(),
        name="reconciliation-case-withdraw",
    ),
]
