"""Approvals of lists, and the rules of a program: groups, tiers and caps, which two people agree to."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as rest
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.pagination import OldestFirst
from govpay.api.serializers import Nothing
from payments.api.serializers import approval as serializers
from payments.api.views.scoped import Scoped, ScopedList
from payments.models import Approval, ApprovalPolicy
from payments.selectors import approvals as selector
from payments.selectors import scope
from payments.services import policies as service

ONE = {200: serializers.PolicyOut}


class DisbursementApprovals(ScopedList):
    """Who submitted, approved and released a list."""

    serializer_class = serializers.ApprovalOut
    pagination_class = OldestFirst
    queryset = Approval.objects.none()

    def get_queryset(self) -> QuerySet[Approval]:
        """Return what was said of the list in the address."""
        return selector.of_list(self.kwargs["disbursement_id"])

    @extend_schema(
        operation_id="disbursements_approvals_list",
        tags=["lists"],
        responses={200: serializers.ApprovalOut(many=True)},
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List what people said of a list, oldest first."""
        return self.page(request)


class PolicyList(Idempotent, ScopedList):
    """The rules of approval of a program, version by version."""

    serializer_class = serializers.PolicyOut
    queryset = ApprovalPolicy.objects.none()
    scope = staticmethod(scope.require_rules)

    def get_queryset(self) -> QuerySet[ApprovalPolicy]:
        """Return the versions of the program in the address."""
        return selector.policies().filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="approval_policies_list",
        tags=["programs"],
        responses={200: serializers.PolicyOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List rules of approval, newest first; of those confirmed the first is in force."""
        return self.page(request)

    @extend_schema(
        operation_id="approval_policies_propose",
        tags=["programs"],
        request=serializers.NewPolicy,
        responses={201: serializers.PolicyOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Propose all the rules of a program; somebody else confirms them."""
        body = serializers.NewPolicy(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        by: Any = request.user
        groups = _keyed(given.pop("groups"), "name", "groups")
        tiers = [
            tier
            | {"needs": {n: need["count"] for n, need in _keyed(tier["needs"], "group", "tiers").items()}}
            for tier in given.pop("tiers")
        ]
        made = service.propose(
            by=by,
            program_id=program_id,
            groups={name: group["members"] for name, group in groups.items()},
            tiers=tiers,
            **given,
        )
        return _render(made.pk, status.HTTP_201_CREATED)


class PolicyRead(Scoped):
    """One version."""

    scope = staticmethod(scope.require_rules)

    @extend_schema(operation_id="approval_policies_read", tags=["programs"], responses=ONE)
    def get(self, request: Request, policy_id: int) -> Response:
        """Return a version of a program's rules."""
        return _render(policy_id)


class PolicyConfirm(Idempotent, Scoped):
    """A second person agrees."""

    scope = staticmethod(scope.require_rules)

    @extend_schema(operation_id="approval_policies_confirm", tags=["programs"], request=None, responses=ONE)
    def post(self, request: Request, policy_id: int) -> Response:
        """Put what somebody else proposed in force."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return _render(service.confirm(by=by, policy_id=policy_id).pk)


class PolicyDrop(Idempotent, Scoped):
    """A second person refuses, or who proposed withdraws."""

    scope = staticmethod(scope.require_rules)

    @extend_schema(operation_id="approval_policies_drop", tags=["programs"], request=None, responses=ONE)
    def post(self, request: Request, policy_id: int) -> Response:
        """Drop a proposal; what is in force stays."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return _render(service.drop(by=by, policy_id=policy_id).pk)


def _render(policy_id: int, code: int = status.HTTP_200_OK) -> Response:
    return Response(serializers.PolicyOut(selector.policies().get(pk=policy_id)).data, code)


def _keyed(rows: Sequence[dict[str, Any]], key: str, field: str) -> dict[str, dict[str, Any]]:
    """Return rows by the name that each must have for itself."""
    counts = Counter(row[key] for row in rows)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise rest.ValidationError(
            {field: rest.ErrorDetail(f"{twice[0]} is named twice.", code="named_twice")}
        )
    return {row[key]: row for row in rows}
