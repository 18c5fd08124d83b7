"""Grievances in the admin: take down what people say, take it, say what it is about, answer it."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, grievance_forms, pages, scope
from payments.admin.base import ProgramScopedAdmin, is_number
from payments.admin.filters import ProgramFilter
from payments.admin.forms import AgreeForm
from payments.admin.tables import Notice, Table, history
from payments.models import Enrollment, Grievance, Program, Role
from payments.selectors import grievances as selector
from payments.services import grievances


@admin.register(Grievance)
class GrievanceAdmin(ProgramScopedAdmin):
    """What people complain of, by when it is answered, and by whom."""

    noun = "Grievance"
    also = (Role.HELPDESK,)
    list_display = ("number", "program", "about", "state", "due", "whose")
    list_select_related = ("program", "owner")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter), ("category", ChoicesDropdownFilter))
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = (
        "Nobody has complained yet. The help desk takes down what people say, or they do it themselves."
    )
    actions_list = ("lodge",)
    actions_detail = ("take", "link", "answer")
    fieldsets = (
        (None, {"fields": ("program", "about", "state", "due", "whose", "lodged", "words", "contact")}),
        ("Person and payment", {"fields": ("person", "payment_link", "paid", "received", "missing")}),
        ("Answer", {"fields": ("finding_name", "answer_words", "answered", "ended")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Grievance]:
        """Return the grievances of the user's programs."""
        rows: QuerySet[Grievance] = super().get_queryset(request)
        return rows.select_related("program", "enrollment", "payment__payout", "owner", "lodged_by")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by number."""
        return Q(pk=int(term)) if is_number(term) else Q(pk__in=[])

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer to take something down to those who hear people."""
        return super().get_actions_list(request) if _programs(request).exists() else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what is next to those who hear people."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else _offered(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Take down", url_path="lodge", icon="add", variant=ActionVariant.PRIMARY)
    def lodge(self, request: HttpRequest) -> HttpResponse:
        """Take down what a person says."""
        programs = _programs(request)
        if not programs.exists():
            return HttpResponseRedirect(cells.list_of(Grievance))

        def call(cleaned: dict[str, Any]) -> HttpResponse | pages.Refusal:
            program = cleaned.pop("program")
            enrollment_id = _enrolled(program, cleaned.pop("reference"))
            made = grievances.lodge(
                by=request.user,  # type: ignore[arg-type]
                program_id=program.pk,
                enrollment_id=enrollment_id,
                **cleaned,
            )
            where = request.build_absolute_uri(reverse("person-grievance-follow"))
            messages.success(
                request,
                said(
                    "Write down for the person, for it is shown only now: number {0}, code {1}. With both they read "
                    "the answer at {2}",
                    made.grievance.pk,
                    made.secret,
                    where,
                ),
            )
            return HttpResponseRedirect(cells.page_of(made.grievance))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="Take down a grievance",
                form_class=grievance_forms.LodgeForm,
                form_options={"programs": programs},
                call=call,
                submit="Take it down",
                back=cells.list_of(Grievance),
                help_text="Name the person only after they have shown who they are.",
            ),
        )

    @action(description="Take", url_path="take", icon="back_hand", variant=ActionVariant.PRIMARY)
    def take(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Become its owner."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            grievances.take(by=request.user, grievance_id=row.pk)  # type: ignore[arg-type]
            messages.success(
                request,
                said("Grievance {0} is yours; answer it before {1}.", row.pk, f"{row.due_at:%Y-%m-%d}"),
            )
            return HttpResponseRedirect(cells.page_of(row))

        return self._ask(request, row, "take", AgreeForm, call, "Take it")

    @action(description="Person and payment", url_path="link", icon="link")
    def link(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say whom and which payment it is about."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            grievances.link(
                by=request.user,  # type: ignore[arg-type]
                grievance_id=row.pk,
                enrollment_id=_enrolled(row.program, cleaned["reference"]),
                payment_id=cleaned["payment_id"],
            )
            messages.success(request, f"It is kept what grievance {row.pk} is about.")
            return HttpResponseRedirect(cells.page_of(row))

        known = {
            "reference": row.enrollment.reference if row.enrollment else "",
            "payment_id": row.payment_id,
        }
        return self._ask(request, row, "link", grievance_forms.AboutForm, call, "Keep it", initial=known)

    @action(description="Answer", url_path="answer", icon="reply", variant=ActionVariant.PRIMARY)
    def answer(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer it."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            grievances.answer(by=request.user, grievance_id=row.pk, **cleaned)  # type: ignore[arg-type]
            messages.success(request, f"Grievance {row.pk} is answered; the person can read it now.")
            return HttpResponseRedirect(cells.page_of(row))

        return self._ask(request, row, "answer", grievance_forms.AnswerForm, call, "Answer it")

    def _ask(
        self,
        request: HttpRequest,
        row: Grievance,
        name: str,
        form: Any,
        call: Any,
        submit: str,
        *,
        initial: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "GET" and name not in _offered(request, row):
            return HttpResponseRedirect(cells.page_of(row))
        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("Grievance {0}: {1}", row.pk, row.get_category_display()),
                form_class=form,
                initial=initial or {},
                call=call,
                submit=submit,
                back=cells.page_of(row),
                facts=[
                    ("In the person's words", self._written(request, row)["text"] or cells.EMPTY),
                    ("Payment", self.payment_link(row)),
                    ("Paid", self.paid(row)),
                    ("Received", self.received(row)),
                ],
            ),
        )

    def _written(self, request: HttpRequest, row: Grievance) -> Any:
        return selector.words(row, selector.readable(request.user))

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Note who reads, for what people wrote is for those alone who answer or examine."""
        self._readable = selector.readable(request.user)
        return super().change_view(request, *args, **kwargs)

    def notices(self, request: HttpRequest, obj: Grievance) -> list[Notice]:
        """Say what is next."""
        found = []
        if obj.is_overdue(timezone.now()):
            found.append(Notice("It should have been answered by now.", cells.BAD, "Overdue"))
        if obj.is_open and not obj.is_proved:
            text = "Whoever lodged it has not proved to be a person of the program."
            found.append(Notice(text, cells.INFO, "Not proved"))
        if obj.is_open and _is_handled_by(request, obj) and grievances.is_about(obj, request.user):  # type: ignore[arg-type]
            text = "You had a part in the payment's list, so that somebody else answers this."
            found.append(Notice(text, cells.BUSY, "About you"))
        if obj.program_id not in self._readable:
            text = "Officers, the help desk and auditors read what people write, and the answers."
            found.append(Notice(text, cells.INFO, "The words are not shown to you"))
        return found

    def tables(self, request: HttpRequest, obj: Grievance) -> list[Table]:
        """Show the history."""
        return [history("grievance", obj.pk)]

    @display(description="grievance")
    def number(self, row: Grievance) -> str:
        """Its number."""
        return str(row)

    @display(description="about")
    def about(self, row: Grievance) -> str:
        """The category."""
        return row.get_category_display()

    @display(description="status")
    def state(self, row: Grievance) -> str:
        """Where it stands."""
        if row.is_overdue(timezone.now()):
            return cells.join(cells.status_of(row), cells.label("", "overdue", cells.BAD))
        return cells.status_of(row)

    @display(description="to be answered before")
    def due(self, row: Grievance) -> str:
        """Its clock."""
        return cells.moment(row.due_at)

    @display(description="owner")
    def whose(self, row: Grievance) -> str:
        """Who works on it."""
        return cells.person(row.owner)

    @display(description="lodged")
    def lodged(self, row: Grievance) -> str:
        """When, and through whom."""
        by = "by the person" if row.lodged_by is None else cells.person(row.lodged_by)
        return cells.join(cells.moment(row.lodged_at), by)

    @display(description="in the person's words")
    def words(self, row: Grievance) -> str:
        """What the person wrote."""
        return cells.words(selector.words(row, self._readable)["text"] or "")

    @display(description="how to reach them")
    def contact(self, row: Grievance) -> str:
        """What the person left."""
        return cells.long(selector.words(row, self._readable)["contact"] or "")

    @display(description="person")
    def person(self, row: Grievance) -> str:
        """Who is enrolled so."""
        return cells.link(row.enrollment)

    @display(description="payment")
    def payment_link(self, row: Grievance) -> str:
        """The payment that it is about."""
        return cells.link(row.payment)

    @display(description="paid, by the chain")
    def paid(self, row: Grievance) -> str:
        """What a block holds."""
        return cells.sat(row.paid_sat)

    @display(description="received, by the person's word")
    def received(self, row: Grievance) -> str:
        """What the person confirms."""
        return cells.sat(row.received_sat)

    @display(description="difference")
    def missing(self, row: Grievance) -> str:
        """What was paid and not received."""
        return cells.sat(row.missing_sat)

    @display(description="finding")
    def finding_name(self, row: Grievance) -> str:
        """What came of it."""
        return row.get_finding_display() or cells.EMPTY

    @display(description="answer")
    def answer_words(self, row: Grievance) -> str:
        """What was answered."""
        return cells.words(selector.words(row, self._readable)["answer"] or "")

    @display(description="answered")
    def answered(self, row: Grievance) -> str:
        """When."""
        return cells.moment(row.answered_at)

    @display(description="ended")
    def ended(self, row: Grievance) -> str:
        """When."""
        return cells.moment(row.ended_at)


def _programs(request: HttpRequest) -> QuerySet[Program]:
    held = scope.roles(request).items()
    ids = [program_id for program_id, roles in held if not roles.isdisjoint(grievances.HANDLERS)]
    return Program.objects.filter(pk__in=ids).order_by("code")


def _enrolled(program: Program, reference: str) -> int | None:
    if not reference:
        return None
    found = Enrollment.objects.filter(program=program, reference=reference).values_list("pk", flat=True)
    # A number that nobody has: the service refuses it with its words.
    return found.first() or 0


def _is_handled_by(request: HttpRequest, row: Grievance) -> bool:
    return scope.holds(request, row.program_id, *grievances.HANDLERS)


def _offered(request: HttpRequest, row: Grievance) -> list[str]:
    if not (row.is_open and _is_handled_by(request, row)) or grievances.is_about(row, request.user):  # type: ignore[arg-type]
        return []
    return ["link", "answer"] if row.owner_id == request.user.pk else ["take"]
