"""Rails: how a list is paid, accounts in banks, and files for banks with their answers."""

from typing import Any, BinaryIO

from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.parsers import UploadParser
from govpay.api.serializers import Nothing
from payments.api import filters
from payments.api.serializers import rail as serializers
from payments.api.serializers.disbursement import DisbursementDetail, Reason
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.disbursements import render
from payments.api.views.prices import answer_proposal
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import BankFile
from payments.selectors import rails as selector
from payments.selectors import scope
from payments.services import bank_accounts, bank_reports, bank_writing, proposals, rails

TAGS = ["rails"]
ACCOUNT = {200: serializers.AccountOut}


class ChooseRail(Idempotent, Scoped):
    """How a draft is paid."""

    @extend_schema(
        operation_id="disbursements_choose_rail",
        tags=TAGS,
        request=serializers.RailChoice,
        responses={200: DisbursementDetail},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Say, as who made it, how a draft is paid: in bitcoin, by bank file or by voucher."""
        act(request, rails.choose, serializers.RailChoice, disbursement_id=disbursement_id)
        return render(request, disbursement_id)


class BankAccountIntake(Idempotent, Scoped):
    """A file of accounts."""

    parser_classes = [UploadParser]

    @extend_schema(
        operation_id="programs_load_bank_accounts",
        tags=TAGS,
        request={"multipart/form-data": serializers.AccountFile},
        responses={201: serializers.AccountsLoaded},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Give people their first account from a CSV file, whole or not at all; every row that is wrong is named."""
        count = act(request, bank_accounts.load_csv, serializers.AccountFile, program_id=program_id)
        return Response(serializers.AccountsLoaded({"count": count}).data, status.HTTP_201_CREATED)


class BankAccountPropose(Idempotent, Scoped):
    """Another account."""

    @extend_schema(
        operation_id="enrollments_propose_bank_account",
        tags=TAGS,
        request=serializers.NewAccount,
        responses={201: serializers.AccountOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Propose an account for a person: the first counts at once, another when somebody else confirms it."""
        made = act(request, bank_accounts.propose, serializers.NewAccount, enrollment_id=enrollment_id)
        return Response(serializers.AccountOut(made).data, status.HTTP_201_CREATED)


class BankAccountConfirm(Idempotent, Scoped):
    """A second person agrees."""

    @extend_schema(operation_id="bank_accounts_confirm", tags=TAGS, request=None, responses=ACCOUNT)
    def post(self, request: Request, bank_account_id: int) -> Response:
        """Agree as a second person: the account cools, and is paid by lists submitted from now on."""
        row = act(request, bank_accounts.confirm, Nothing, bank_account_id=bank_account_id)
        return Response(serializers.AccountOut(row).data)


class BankAccountRefuse(Idempotent, Scoped):
    """The account stays as it was."""

    @extend_schema(operation_id="bank_accounts_refuse", tags=TAGS, request=Reason, responses=ACCOUNT)
    def post(self, request: Request, bank_account_id: int) -> Response:
        """Refuse an account for a reason, or take back what you proposed."""
        row = act(request, bank_accounts.refuse, Reason, bank_account_id=bank_account_id)
        return Response(serializers.AccountOut(row).data)


class ProposePayingAccount(Idempotent, Scoped):
    """Asks for the account to pay from."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="programs_propose_paying_account",
        tags=["proposals"],
        request=serializers.PayingAccountProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Ask for the account that the program pays from; another security administrator confirms it."""
        made = act(
            request,
            proposals.propose_paying_account,
            serializers.PayingAccountProposal,
            program_id=program_id,
        )
        return answer_proposal(made, request.user)


class BankFileList(ScopedList):
    """Files for banks."""

    serializer_class = serializers.BankFileOut
    filterset_class = filters.BankFiles
    queryset = BankFile.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the program in the address."""
        return selector.bank_files(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="bank_files_list", tags=TAGS, responses={200: serializers.BankFileOut(many=True)}
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List files, newest first."""
        return self.page(request)


def download(found: BankFile, file: BinaryIO) -> FileResponse:
    """Return the bytes of a bank file as a download."""
    return FileResponse(
        file, as_attachment=True, filename=found.filename, content_type="application/octet-stream"
    )


class BankFileRead(Scoped):
    """One file."""

    @extend_schema(operation_id="bank_files_read", tags=TAGS, responses={200: serializers.BankFileOut})
    def get(self, request: Request, bank_file_id: int) -> Response:
        """Return where a file stands."""
        row = selector.bank_files(request.user).get(pk=bank_file_id)
        return Response(serializers.BankFileOut(row).data)


class BankFileFetch(Scoped):
    """The file itself."""

    @extend_schema(
        operation_id="bank_files_fetch",
        tags=TAGS,
        request=None,
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request, bank_file_id: int) -> FileResponse:
        """Take a file (pain.001.001.09) to the bank as the program's treasurer; its bytes are the same every time."""
        found, file = act(request, bank_writing.fetch, Nothing, bank_file_id=bank_file_id)
        return download(found, file)


class BankReportTake(Idempotent, Scoped):
    """What a bank says."""

    parser_classes = [UploadParser]

    @extend_schema(
        operation_id="programs_take_bank_report",
        tags=TAGS,
        request={"multipart/form-data": serializers.ReportFile},
        responses={201: serializers.BankReportOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Bring what the bank said (pain.002) as the program's treasurer: taken whole, once, or not at all."""
        made = act(request, bank_reports.take_of_program, serializers.ReportFile, program_id=program_id)
        return Response(serializers.BankReportOut(made).data, status.HTTP_201_CREATED)
