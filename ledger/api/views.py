"""The books and their reconciliation over HTTP: read-only, but for the button that reconciles."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from govpay.errors import NotFound
from ledger import audit, books, selectors
from ledger.api import access, filters, pages, serializers
from ledger.models import Break, ReconciliationRun, RunUnderWay
from ledger.reconciliation import service
from ledger.seals import checkpoints

ACCOUNT = tuple(serializers.Account().fields)
ENTRY = tuple(serializers.Entry().fields)
POSTING = tuple(serializers.Posting().fields)
CHECKPOINT = tuple(serializers.Checkpoint().fields)
RUN = tuple(serializers.ReconciliationRun().fields)
UNDER_WAY = tuple(serializers.RunUnderWay().fields)
BREAK = tuple(serializers.Break().fields)


@extend_schema_view(get=extend_schema(operation_id="ledger_accounts_list", tags=["ledger"]))
class Accounts(ListAPIView[Any]):
    """Accounts with their balances, in the order in which they were opened."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.Account
    filterset_class = filters.Accounts
    pagination_class = pages.OldestFirst

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = selectors.accounts_with_balance().values(*ACCOUNT)
        return rows


@extend_schema_view(get=extend_schema(operation_id="ledger_entries_list", tags=["ledger"]))
class Entries(ListAPIView[Any]):
    """Journal entries without their lines, latest first."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.Entry
    filterset_class = filters.Entries

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = selectors.entries_with_totals().values(*ENTRY)
        return rows


class EntryDetail(APIView):
    """One journal entry with its lines."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="ledger_entries_retrieve",
        tags=["ledger"],
        responses={200: serializers.EntryWithPostings},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a journal entry and all its lines."""
        entry = selectors.get_entry(pk, *ENTRY)
        entry["postings"] = (
            selectors.postings_with_accounts().filter(entry_id=pk).order_by("pk").values(*POSTING)
        )
        return Response(serializers.EntryWithPostings(entry).data)


@extend_schema_view(get=extend_schema(operation_id="ledger_postings_list", tags=["ledger"]))
class Postings(ListAPIView[Any]):
    """Lines of entries, latest first: by entry, by account, or all that was booked about a payment."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.Posting
    filterset_class = filters.Postings

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = selectors.postings_with_accounts().values(*POSTING)
        return rows


class TrialBalance(APIView):
    """Debits and credits of every account of a scope, or of all."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="ledger_trial_balance",
        tags=["ledger"],
        parameters=[serializers.TrialBalanceQuery],
        responses={
            200: serializers.TrialBalance,
            (404, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"}, "No account has the scope."
            ),
        },
    )
    def get(self, request: Request) -> Response:
        """Return the trial balance: now, as of an effective time, and as it was known at a time."""
        query = serializers.TrialBalanceQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        chosen = {"scope": None, "as_of": None, "known_at": None} | query.validated_data
        scope = chosen["scope"]
        trial = books.trial_balance(**chosen)
        if scope is not None and not trial.accounts:
            raise NotFound(f"No account has the scope {scope!r}.", scope=scope)
        totals = [
            {"currency": currency, "debit": debit, "credit": credit}
            for currency, (debit, credit) in sorted(trial.totals().items())
        ]
        body = {
            **chosen,
            "is_balanced": trial.is_balanced,
            "totals": totals,
            "accounts": trial.accounts,
        }
        return Response(serializers.TrialBalance(body).data)


@extend_schema_view(get=extend_schema(operation_id="ledger_checkpoints_list", tags=["ledger"]))
class Checkpoints(ListAPIView[Any]):
    """Signed heads of the tree over all entries, latest first."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.Checkpoint

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = selectors.checkpoints_with_heads().values(*CHECKPOINT)
        return rows


class CheckpointDetail(APIView):
    """One checkpoint, as it was signed."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="ledger_checkpoints_retrieve",
        tags=["ledger"],
        responses={200: serializers.SignedCheckpoint},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return the note that was signed, to be checked with the published key."""
        found = selectors.get_checkpoint(pk)
        body = {name: getattr(found, name) for name in CHECKPOINT}
        return Response(serializers.SignedCheckpoint(body | {"note": checkpoints.text_of(found)}).data)


@extend_schema_view(get=extend_schema(operation_id="reconciliation_runs_list", tags=["reconciliation"]))
class ReconciliationRuns(ListAPIView[Any]):
    """Comparisons of claims, books and blocks, latest first."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.ReconciliationRun
    filterset_class = filters.Runs

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = ReconciliationRun.objects.values(*RUN)
        return rows

    @extend_schema(
        operation_id="reconciliation_runs_create",
        tags=["reconciliation"],
        filters=False,
        request=serializers.Reconciliation,
        responses={201: serializers.ReconciliationRuns},
    )
    def post(self, request: Request) -> Response:
        """Compare claims, books and blocks now, and store a run for each scope.

        A break, or a source that could not testify, is an outcome of the run and no error of this request.
        """
        wanted = serializers.Reconciliation(data=request.data)
        wanted.is_valid(raise_exception=True)
        asked = {"scope": None} | wanted.validated_data
        # The runs follow in database transactions of their own, after the node was asked.
        with transaction.atomic():
            audit.record("reconciliation.begin", by=_user(request), scope=asked["scope"] or "")
        runs = service.reconcile(now=timezone.now(), **asked)
        return Response(serializers.ReconciliationRuns({"runs": runs}).data, status.HTTP_201_CREATED)


@extend_schema_view(
    get=extend_schema(operation_id="reconciliation_runs_under_way_list", tags=["reconciliation"])
)
class RunsUnderWay(ListAPIView[Any]):
    """Comparisons that are not stored as runs yet, and how far they are, latest first."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.RunUnderWay

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = RunUnderWay.objects.values(*UNDER_WAY)
        return rows


class ReconciliationRunDetail(APIView):
    """One comparison."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="reconciliation_runs_retrieve",
        tags=["reconciliation"],
        responses={200: serializers.ReconciliationRun},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a reconciliation run; its breaks have an address of their own."""
        return Response(serializers.ReconciliationRun(selectors.get_run(pk)).data)


@extend_schema_view(get=extend_schema(operation_id="reconciliation_run_breaks_list", tags=["reconciliation"]))
class Breaks(ListAPIView[Any]):
    """The differences that a run found, in its order."""

    permission_classes = [access.MayReadBooks]
    serializer_class = serializers.Break
    filterset_class = filters.Breaks
    pagination_class = pages.OldestFirst
    queryset = Break.objects.none()

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows of the run; raise NotFound for a run that does not exist."""
        rows: QuerySet[Any, Any] = Break.objects.filter(run=selectors.get_run(self.kwargs["pk"])).values(
            *BREAK
        )
        return rows


def _user(request: Request) -> Any:
    return request.user
