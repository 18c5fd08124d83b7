"""Programs: create, list, members, funds and the wallet to fund."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api.serializers import program as serializers
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Membership, Program
from payments.selectors import funds, scope
from payments.selectors import programs as selector
from payments.services import programs as service
from payments.services import roles


class ProgramList(Idempotent, ScopedList):
    """The user's programs; an administrator sees which there are, and makes new ones."""

    serializer_class = serializers.ProgramOut
    queryset = Program.objects.none()

    def get_queryset(self) -> QuerySet[Program]:
        """Return what the user may know of."""
        return selector.visible(self.request.user)

    @extend_schema(
        operation_id="programs_list", tags=["programs"], responses={200: serializers.ProgramOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List programs, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="programs_create",
        tags=["programs"],
        request=serializers.NewProgram,
        responses={201: serializers.ProgramOut},
    )
    def post(self, request: Request) -> Response:
        """Create a program; its wallet is made by the engine within seconds."""
        program = act(request, service.create, serializers.NewProgram)
        return Response(serializers.ProgramOut(program).data, status.HTTP_201_CREATED)


class ProgramDetail(Scoped):
    """One program."""

    scope = staticmethod(scope.require_program)

    @extend_schema(operation_id="programs_read", tags=["programs"], responses={200: serializers.ProgramOut})
    def get(self, request: Request, program_id: int) -> Response:
        """Return a program and its rules."""
        return Response(serializers.ProgramOut(selector.visible(request.user).get(pk=program_id)).data)


class ProgramFunds(Scoped):
    """What a program may still spend."""

    @extend_schema(operation_id="programs_funds", tags=["programs"], responses={200: serializers.FundsOut})
    def get(self, request: Request, program_id: int) -> Response:
        """Return booked, reserved and free satoshis."""
        return Response(serializers.FundsOut(funds.of_program(program_id)).data)


class ProgramWallet(Scoped):
    """Where to fund a program."""

    @extend_schema(operation_id="programs_wallet", tags=["programs"], responses={200: serializers.WalletOut})
    def get(self, request: Request, program_id: int) -> Response:
        """Return the funding address once there is one, else the reason why not."""
        return Response(serializers.WalletOut(selector.funding_wallet(program_id)).data)


class ProgramMembers(Idempotent, ScopedList):
    """Who holds which role."""

    serializer_class = serializers.MemberOut
    queryset = Membership.objects.none()
    scope = staticmethod(scope.require_program)

    def get_queryset(self) -> QuerySet[Membership]:
        """Return the roles of the program in the address."""
        return selector.members(self.kwargs["program_id"])

    @extend_schema(
        operation_id="programs_members_list",
        tags=["programs"],
        responses={200: serializers.MemberOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List members and roles."""
        return self.page(request)

    @extend_schema(
        operation_id="programs_members_grant",
        tags=["programs"],
        request=serializers.NewMember,
        responses={201: serializers.MemberOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Give a user a role: administrators do, until the program has two security administrators who propose roles."""
        body = serializers.NewMember(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        scope.require_administrator(by)
        user = selector.get_active_user(body.validated_data["username"])
        membership = roles.grant(by=by, program_id=program_id, user=user, role=body.validated_data["role"])
        return Response(serializers.MemberOut(membership).data, status.HTTP_201_CREATED)
