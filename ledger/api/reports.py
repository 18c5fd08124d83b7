"""Reports, the journal and statements over HTTP: read-only, streamed, in the form that was asked for."""

from typing import Any, cast

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from govpay.errors import Forbidden
from ledger import reports
from ledger.api import access
from ledger.api.serializers import Strict
from ledger.models import Layer
from ledger.reports import documents
from ledger.reports.report import Document


class FileRenderer(JSONRenderer):
    """Stands for one form in the negotiation; what it renders itself are problems."""

    form: documents.Form


def _renderer(form: documents.Form) -> type[FileRenderer]:
    members = {"form": form, "format": form.name, "media_type": form.media_type, "charset": None}
    return type(f"{form.name.capitalize()}Renderer", (FileRenderer,), members)


# JSON lines come first: whoever asks for no form gets the one for programs.
FORMS = sorted(documents.FORMS.values(), key=lambda form: form != documents.JSONL)
RENDERERS = [_renderer(form) for form in FORMS]
TEXT = "; charset=utf-8"
BINARY = (documents.PDF, documents.SIGNED)


class ReportForm(serializers.Serializer[Any]):
    """A form in which a report can be had."""

    name = serializers.ChoiceField(choices=sorted(documents.FORMS), help_text="Ask for it as ?format=name.")
    media_type = serializers.CharField(help_text="Or accept this.")


class ReportOut(serializers.Serializer[Any]):
    """A report, what it tells, and what may be asked of it."""

    name = serializers.CharField()
    title = serializers.CharField()
    meaning = serializers.CharField()
    parameters = serializers.ListField(child=serializers.CharField())
    needs = serializers.ListField(child=serializers.CharField(), help_text="Those it cannot do without.")
    forms = ReportForm(many=True)


class ReportList(serializers.Serializer[Any]):
    """All reports."""

    reports = ReportOut(many=True)


class ReportQuery(Strict):
    """Whose books, which time, as known when. Not every report takes every parameter."""

    unknown_code = "unknown_parameter"

    scope = serializers.CharField(
        required=False, max_length=40, trim_whitespace=False, help_text="One scope such as program:1."
    )
    account = serializers.CharField(
        required=False,
        max_length=120,
        trim_whitespace=False,
        help_text="One account's code, which must exist.",
    )
    person = serializers.CharField(
        required=False,
        max_length=40,
        trim_whitespace=False,
        help_text="Of gains and lots: whom disposals were made for, such as enrollment:12.",
    )
    layer = serializers.ChoiceField(required=False, choices=Layer.choices)
    month = serializers.RegexField(
        r"^[0-9]{4}-(0[1-9]|1[0-2])$", required=False, help_text="Such as 2026-11, in UTC."
    )
    period = serializers.CharField(
        required=False, max_length=30, trim_whitespace=False, help_text="A period's name."
    )
    since = serializers.DateTimeField(required=False, help_text="What took effect from then on.")
    before = serializers.DateTimeField(required=False, help_text="What took effect before then; else now.")
    known_at = serializers.DateTimeField(required=False, help_text="What was written up to then; else now.")


class Reports(APIView):
    """What can be asked for."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(operation_id="reports_list", tags=["reports"], responses={200: ReportList})
    def get(self, request: Request) -> Response:
        """List the reports and exports with their parameters and forms."""
        rows = [
            {
                "name": document.name,
                "title": document.title,
                "meaning": document.meaning,
                "parameters": document.parameters,
                "needs": document.needs,
                "forms": documents.forms_of(document),
            }
            for document in documents.DOCUMENTS.values()
            if documents.may_have(document, request.user)
        ]
        return Response(ReportList({"reports": rows}).data)


class ReportDetail(APIView):
    """One report, the journal, or the statement of an account."""

    limit = "exports"
    permission_classes = [access.MayReadBooks]
    renderer_classes = RENDERERS

    @extend_schema(
        operation_id="reports_retrieve",
        tags=["reports"],
        parameters=[
            ReportQuery,
            OpenApiParameter(
                "name", {"type": "string", "enum": list(documents.DOCUMENTS)}, OpenApiParameter.PATH
            ),
            OpenApiParameter(
                "format",
                {"type": "string", "enum": [form.name for form in FORMS]},
                description="The form; else what the Accept header prefers. Not every report has every form.",
            ),
        ],
        responses={
            **{
                (200, form.media_type): OpenApiTypes.BINARY if form in BINARY else OpenApiTypes.STR
                for form in FORMS
            },
            (409, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"},
                "There is no key that signs, or the time of what is to be signed is not over.",
            ),
            (422, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"},
                "The report does not take this parameter, needs another, or cannot be had in this form.",
            ),
        },
    )
    def get(self, request: Request, name: str) -> StreamingHttpResponse:
        """Stream a report as of a time and as known at one; a response that breaks off is not complete."""
        document = documents.get_document(name)
        if not documents.may_have(document, request.user):
            raise Forbidden(f"{document.title} need the permission {document.right}.")
        given = {key: value for key, value in request.query_params.dict().items() if key != "format"}
        query = ReportQuery(data=given)
        query.is_valid(raise_exception=True)
        asked = reports.ask(document, now=timezone.now(), **query.validated_data)
        form = self._form(request, document)
        response = StreamingHttpResponse(
            documents.produce(document, form.name, asked),
            content_type=form.media_type + (TEXT if form.media_type.startswith("text/") else ""),
        )
        filename = documents.filename(document, form.name, asked)
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
        return response

    def _form(self, request: Request, document: Document) -> documents.Form:
        """Return the form that was named; where any would do, the document's usual one."""
        chosen: documents.Form = cast(FileRenderer, request.accepted_renderer).form
        offered = documents.forms_of(document)
        named = "format" in request.query_params or chosen.media_type in request.headers.get("Accept", "")
        return chosen if named or chosen in offered else offered[0]
