"""Proofs of reserves: asked, handed out to be signed, answered, and handed out to be checked elsewhere."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api import filters
from payments.api.serializers import reserve_proof as serializers
from payments.api.views.prices import OfPrices, PricesList, one_of
from payments.api.views.scoped import act
from payments.models import ReserveProof
from payments.selectors import treasury as selector
from payments.services import reserve_proofs

TAGS = ["reserve"]


def _proof(pk: int, code: int = status.HTTP_200_OK) -> Response:
    return Response(serializers.ProofOut(selector.proofs().get(pk=pk)).data, code)


class ProofList(Idempotent, PricesList):
    """Proofs, and a new one."""

    serializer_class = serializers.ProofOut
    filterset_class = filters.Proofs
    queryset = ReserveProof.objects.none()

    def rows(self) -> QuerySet[ReserveProof]:
        """Return every proof."""
        return selector.proofs()

    @extend_schema(
        operation_id="reserve_proofs_list", tags=TAGS, responses={200: serializers.ProofOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List proofs of reserves, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="reserve_proofs_ask",
        tags=TAGS,
        request=serializers.ProofAsked,
        responses={201: serializers.ProofOut},
    )
    def post(self, request: Request) -> Response:
        """Ask an institution to prove that it can spend all that the newest scan found, under a message."""
        made = act(request, reserve_proofs.ask, serializers.ProofAsked)
        return _proof(made.pk, status.HTTP_201_CREATED)


class ProofRead(OfPrices):
    """One proof."""

    @extend_schema(operation_id="reserve_proofs_read", tags=TAGS, responses={200: serializers.ProofOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a proof."""
        return Response(serializers.ProofOut(one_of(selector.proofs(), pk)).data)


class ProofFile(OfPrices):
    """The file of a proof."""

    @extend_schema(operation_id="reserve_proofs_file", tags=TAGS, responses={200: serializers.ProofFileOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return what is to be signed, and once it was answered what anybody with a node can check."""
        row = one_of(selector.proofs(), pk)
        found = reserve_proofs.document(row) | {"psbt": reserve_proofs.to_psbt(row)}
        return Response(serializers.ProofFileOut(found).data)


class ProofAnswer(Idempotent, OfPrices):
    """What was signed."""

    def prepare(self, request: Request, pk: int) -> None:
        """Check the signatures and the outputs against the node, and keep what was found for the handler."""
        body: Any = serializers.ProofAnswered(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        self.signed = body.validated_data["signed"]
        self.proved = reserve_proofs.verify(by=by, proof_id=pk, signed=self.signed)

    @extend_schema(
        operation_id="reserve_proofs_answer",
        tags=TAGS,
        request=serializers.ProofAnswered,
        responses={200: serializers.ProofOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Answer, as a treasurer who did not ask, with signatures over all outputs; kept only if it proves all of it."""
        by: Any = request.user
        reserve_proofs.answer(by=by, proof_id=pk, signed=self.signed, proved=self.proved)
        return _proof(pk)
