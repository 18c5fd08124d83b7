"""Proofs that people control the addresses where they are, or want to be, paid."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api import filters
from payments.api.serializers import control as serializers
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import AddressProof
from payments.selectors import control as selector
from payments.services import control as service


def _render(request: Request, proof_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.proofs(request.user).get(pk=proof_id)
    return Response(serializers.AddressProofOut(row).data, code)


class EnrollmentAddressProofs(Idempotent, Scoped):
    """What a person is to sign."""

    @extend_schema(
        operation_id="enrollments_ask_address_proof",
        tags=["people"],
        request=serializers.NewChallenge,
        responses={201: serializers.AddressProofOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Make a challenge for an address, which the person signs within seven days with the key of that address."""
        made = act(request, service.ask, serializers.NewChallenge, enrollment_id=enrollment_id)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class AddressProofList(ScopedList):
    """The proofs of control of a program."""

    serializer_class = serializers.AddressProofOut
    filterset_class = filters.AddressProofs
    queryset = AddressProof.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return the challenges of the program in the address."""
        return selector.proofs(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="address_proofs_list",
        tags=["people"],
        responses={200: serializers.AddressProofOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List challenges, newest first."""
        return self.page(request)


class AddressProofRead(Scoped):
    """One proof of control."""

    @extend_schema(
        operation_id="address_proofs_read", tags=["people"], responses={200: serializers.AddressProofOut}
    )
    def get(self, request: Request, address_proof_id: int) -> Response:
        """Return the challenge, and what answered it."""
        return _render(request, address_proof_id)


class AddressProofSignature(Idempotent, Scoped):
    """The answer to a challenge."""

    @extend_schema(
        operation_id="address_proofs_answer",
        tags=["people"],
        request=serializers.Signature,
        responses={200: serializers.AddressProofOut},
    )
    def post(self, request: Request, address_proof_id: int) -> Response:
        """Record the person's signature, if it is one of this challenge by the key of this address."""
        act(request, service.record, serializers.Signature, proof_id=address_proof_id)
        return _render(request, address_proof_id)
