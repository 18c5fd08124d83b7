"""Cases of reconciliation over HTTP: read by readers of the books, resolved by two people who may."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ledger.api import access, filters
from ledger.api.repetition import Idempotent
from ledger.api.serializers import Digest, Strict, Username, body
from ledger.models import BreakKind, Case, CaseStatus, Resolution
from ledger.reconciliation import cases, suspense

MAX_ID = 2**63 - 1


class CaseOut(serializers.Serializer[Any]):
    """A break over the runs that found it: what differs, since when, whose it is, and what people say of it."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    kind = serializers.ChoiceField(choices=BreakKind.choices)
    unit = serializers.CharField(help_text="What it is about, in the books' words.")
    payment_id = serializers.IntegerField(allow_null=True)
    payout_id = serializers.IntegerField(allow_null=True)
    txid = serializers.CharField(allow_blank=True)
    vout = serializers.IntegerField(allow_null=True)
    expected = serializers.CharField(allow_blank=True)
    found = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    amount_sat = serializers.IntegerField(
        allow_null=True, help_text="What the chain moved on the wallet more than the books say."
    )
    status = serializers.ChoiceField(choices=CaseStatus.choices)
    owner = Username(allow_null=True)
    first_run_id = serializers.IntegerField()
    last_run_id = serializers.IntegerField()
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    age_blocks = serializers.SerializerMethodField()
    age_days = serializers.SerializerMethodField()
    proposal = serializers.IntegerField(help_text="The number of the newest proposal; deciding names it.")
    resolution = serializers.ChoiceField(choices=Resolution.choices, allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    evidence_sha256 = Digest(allow_null=True)
    entry_id = serializers.IntegerField(
        allow_null=True, help_text="The entry that resolves it; of a proposed reversal, the one to undo."
    )
    account = serializers.CharField(
        source="account.code", allow_null=True, help_text="Where it goes from suspense."
    )
    suspense_ref = serializers.CharField(
        allow_blank=True, help_text="The source of its entries on suspense, where it has any."
    )
    proposed_by = Username(allow_null=True)
    decided_by = Username(allow_null=True)

    def get_age_blocks(self, case: Case) -> int | None:
        """Blocks from the run that opened it to the last one that found it."""
        return cases.age_blocks(case)

    def get_age_days(self, case: Case) -> int:
        """Whole days since it was opened, or until it closed."""
        return cases.age_days(case)


class CaseEventOut(serializers.Serializer[Any]):
    """Something that happened to a case."""

    action = serializers.CharField()
    actor = serializers.CharField()
    note = serializers.CharField(allow_blank=True)
    run_id = serializers.IntegerField(allow_null=True)
    entry_id = serializers.IntegerField(allow_null=True)
    recorded_at = serializers.DateTimeField()


class CaseWithEvents(CaseOut):
    """A case and all that happened to it, in order."""

    suspense_sat = serializers.IntegerField(help_text="What stands on suspense for it; debits are positive.")
    events = CaseEventOut(many=True)


class Assignment(Strict):
    """Who shall own a case."""

    owner = serializers.CharField(max_length=150, help_text="A user name.")


class CaseProposal(Strict):
    """What a case is, by whoever found out."""

    resolution = serializers.ChoiceField(choices=Resolution.choices)
    note = serializers.CharField(max_length=cases.MAX_NOTE)
    entry_id = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_ID,
        help_text="The entry that resolves it, or the booking to suspense or out of it that is undone.",
    )
    evidence_sha256 = serializers.RegexField(
        "^[0-9a-f]{64}$",
        required=False,
        allow_null=True,
        help_text="SHA-256 of a file that is kept elsewhere.",
    )
    account = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="The code of the account to which it goes from suspense.",
    )


class CaseConsent(Strict):
    """Which proposal somebody agrees to."""

    proposal = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=cases.MAX_NOTE)


class CaseRefusal(Strict):
    """Which proposal somebody refuses, and why."""

    proposal = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    note = serializers.CharField(max_length=cases.MAX_NOTE)


class CaseNumber(Strict):
    """Which proposal somebody takes back."""

    proposal = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class MayResolve(access.MayReadBooks):
    """Those who may resolve cases, and read the books."""

    to_post = cases.RIGHT


@extend_schema_view(get=extend_schema(operation_id="reconciliation_cases_list", tags=["reconciliation"]))
class Cases(ListAPIView[Any]):
    """Cases, latest first."""

    permission_classes = [access.MayReadBooks]
    serializer_class = CaseOut
    filterset_class = filters.Cases

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return the cases with their people and the runs that their ages are told by: one statement."""
        return Case.objects.select_related(*cases.SHOWN)


class CaseDetail(APIView):
    """One case."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="reconciliation_cases_retrieve",
        tags=["reconciliation"],
        responses={200: CaseWithEvents},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a case and its events."""
        return _answer(cases.get(pk))


class _Verb(Idempotent, APIView):  # type: ignore[misc]
    """Something that those who may resolve cases do with one."""

    permission_classes = [MayResolve]


class AssignCase(_Verb):
    """Gives a case to somebody."""

    @extend_schema(
        operation_id="reconciliation_cases_assign",
        tags=["reconciliation"],
        request=Assignment,
        responses={200: CaseWithEvents},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Let somebody own the case."""
        return _answer(cases.assign(by=_user(request), case_id=pk, **body(Assignment, request)))


class ProposeCase(_Verb):
    """Says what a case is."""

    @extend_schema(
        operation_id="reconciliation_cases_propose",
        tags=["reconciliation"],
        request=CaseProposal,
        responses={200: CaseWithEvents},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Propose what it is: of an open one an entry, evidence or suspense, later an account or a reversal.

        Another person decides.
        """
        asked = body(CaseProposal, request)
        if asked.get("evidence_sha256"):
            asked["evidence_sha256"] = bytes.fromhex(asked["evidence_sha256"])
        return _answer(cases.propose(by=_user(request), case_id=pk, **asked))


class ApproveCase(_Verb):
    """Agrees to what was proposed."""

    @extend_schema(
        operation_id="reconciliation_cases_approve",
        tags=["reconciliation"],
        request=CaseConsent,
        responses={200: CaseWithEvents},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Agree as a second person; what goes to suspense or out of it is booked with that."""
        return _answer(cases.approve(by=_user(request), case_id=pk, **body(CaseConsent, request)))


class RejectCase(_Verb):
    """Refuses what was proposed."""

    @extend_schema(
        operation_id="reconciliation_cases_reject",
        tags=["reconciliation"],
        request=CaseRefusal,
        responses={200: CaseWithEvents},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Refuse as a second person; the case is what it was before."""
        return _answer(cases.reject(by=_user(request), case_id=pk, **body(CaseRefusal, request)))


class WithdrawCase(_Verb):
    """Takes back what one proposed."""

    @extend_schema(
        operation_id="reconciliation_cases_withdraw",
        tags=["reconciliation"],
        request=CaseNumber,
        responses={200: CaseWithEvents},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Take back one's own proposal; the case is what it was before."""
        return _answer(cases.withdraw(by=_user(request), case_id=pk, **body(CaseNumber, request)))


def _answer(case: Case) -> Response:
    events = case.events.order_by("pk").values("action", "actor", "note", "entry_id", "recorded_at", "run_id")
    more = {"suspense_sat": suspense.standing_sat(case), "events": CaseEventOut(events, many=True).data}
    return Response(CaseOut(case).data | more)


def _user(request: Request) -> Any:
    return request.user
