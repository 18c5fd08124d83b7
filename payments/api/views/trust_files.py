"""How trusts pay by bank file: the account to pay from, the file of a decision, and what the bank says of it."""

from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.parsers import UploadParser
from govpay.api.serializers import Nothing
from payments.api.serializers import rail as serializers
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.prices import answer_proposal, one_of
from payments.api.views.rails import download
from payments.api.views.scoped import act
from payments.api.views.trusts import TAGS, OfTrusts
from payments.selectors import trusts as selector
from payments.services import proposals
from payments.services import trust_files as service


class ProposeAccount(Idempotent, OfTrusts):
    """Asks for the account to pay from."""

    @extend_schema(
        operation_id="trusts_propose_paying_account",
        tags=["proposals"],
        request=serializers.PayingAccountProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask for the account that a trust pays from; another security administrator confirms it."""
        said = serializers.PayingAccountProposal(data=request.data)
        said.is_valid(raise_exception=True)
        by: Any = request.user
        scope = one_of(selector.trusts(), pk).scope
        return answer_proposal(
            proposals.propose_paying_account(by=by, scope=scope, **said.validated_data), by
        )


class DecisionFile(OfTrusts):
    """The file that a decision made."""

    @extend_schema(
        operation_id="trust_decisions_bank_file", tags=TAGS, responses={200: serializers.BankFileOut}
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return where the file of a decision stands."""
        return Response(serializers.BankFileOut(service.file_of(pk)).data)


class DecisionFileFetch(OfTrusts):
    """The file itself."""

    @extend_schema(
        operation_id="trust_decisions_fetch_bank_file",
        tags=TAGS,
        request=None,
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request, pk: int) -> FileResponse:
        """Take the file (pain.001.001.09) to the bank, as a member of the board; its bytes are the same every time."""
        found, file = act(request, service.fetch, Nothing, decision_id=pk)
        return download(found, file)


class TrustReport(Idempotent, OfTrusts):
    """What the bank says."""

    parser_classes = [UploadParser]

    @extend_schema(
        operation_id="trusts_take_bank_report",
        tags=TAGS,
        request={"multipart/form-data": serializers.ReportFile},
        responses={201: serializers.BankReportOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Bring what the bank said (pain.002), as a member of the board: taken whole, once, or not at all."""
        one_of(selector.trusts(), pk)
        made = act(request, service.take_report, serializers.ReportFile, trust_id=pk)
        return Response(serializers.BankReportOut(made).data, status.HTTP_201_CREATED)
