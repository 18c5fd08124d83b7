"""Convertibility trusts in the admin: their money, bitcoin and board, and proposals of others."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from ledger.law import policy, tax
from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.admin import cells, links, pages, trusts
from payments.admin.forms import ReasonForm
from payments.admin.prices import is_setter
from payments.admin.tables import Notice, Table
from payments.models import Trust, TrustDecision, TrustDecisionKind, TrustLeg
from payments.selectors import trusts as selector
from payments.services import board, proposals, trust_boards

NEXT = "Another security administrator confirms it."
LAST = 10
LABELS = {
    "trust_id": "Trust",
    "policy_profile": "Law under which it converts",
    "jurisdiction": "Taxed by the law of",
    "members": "Board",
    "inventory_cap_sat": "Bitcoin at most (sat)",
    "floor_minor": "Floor (minor units)",
    "limit_minor": "Most for one person in a list (minor units)",
}


def text(label: str, most: int, help_text: str = "", *, required: bool = True) -> forms.CharField:
    """A line of text."""
    return forms.CharField(
        label=label,
        max_length=most,
        required=required,
        help_text=help_text,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def whole(label: str, least: int, most: int, *, required: bool = True) -> forms.IntegerField:
    """A whole number."""
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        required=required,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


def choice(label: str, names: Any) -> forms.ChoiceField:
    """One of some names."""
    return forms.ChoiceField(
        label=label,
        choices=[(name, name) for name in sorted(names)],
        widget=widgets.UnfoldAdminSelectWidget,
    )


class OldForm(ReasonForm):
    """Name, law and people of a trust."""

    name = text("Name", 60)
    policy_profile = choice(LABELS["policy_profile"], policy.PROFILES)
    jurisdiction = choice(LABELS["jurisdiction"], tax.TABLES)
    members = text(
        LABELS["members"], 500, "Three user names, with spaces between; none has a role in a program."
    )

    field_order: tuple[str, ...] = ("name", "policy_profile", "jurisdiction", "members", "note")


class NewForm(OldForm):
    """And its books and first terms."""

    scope = text("Institution in the books", 40, "Such as trust:1.")
    inventory_cap_sat = whole(LABELS["inventory_cap_sat"], 0, MOST_SAT)
    currency = text("Currency", 3, "By its three capitals, such as PKR.")
    floor_minor = whole(LABELS["floor_minor"], 0, MOST_MINOR)
    limit_minor = whole(LABELS["limit_minor"], 1, MOST_MINOR)

    field_order = (
        *("scope", "name", "policy_profile", "jurisdiction", "members", "inventory_cap_sat"),
        *("currency", "floor_minor", "limit_minor", "note"),
    )


class DecisionForm(ReasonForm):
    """What a board is asked; which terms a kind needs is told where one is missing."""

    kind = forms.ChoiceField(choices=TrustDecisionKind.choices, widget=widgets.UnfoldAdminSelectWidget)
    currency = text("Currency", 3, "Such as PKR.", required=False)
    amount_minor = whole("Capital (minor units)", 1, MOST_MINOR, required=False)
    amount_sat = whole("Bitcoin (sat)", 1, MOST_SAT, required=False)
    value_minor = whole("What it cost or brought (minor units)", 1, MOST_MINOR, required=False)
    floor_minor = whole(LABELS["floor_minor"], 0, MOST_MINOR, required=False)
    limit_minor = whole(LABELS["limit_minor"], 1, MOST_MINOR, required=False)
    inventory_cap_sat = whole(LABELS["inventory_cap_sat"], 0, MOST_SAT, required=False)
    reference = text("Paper that shows it", 60, "A letter, a statement.", required=False)

    field_order = (
        *("kind", "currency", "amount_minor", "amount_sat", "value_minor", "floor_minor", "limit_minor"),
        *("inventory_cap_sat", "reference", "note"),
    )


NO_LEG = "Nobody on a submitted list has elected its currency yet."


@admin.register(Trust)
class TrustAdmin(trusts.OfTrusts):
    """Institutions that take bitcoin for currency."""

    list_display = ("title", "scope", "state", "bitcoin", "cap")
    when_empty = "There is no trust yet. Security administrators propose one."
    actions_list = ("propose",)
    actions_detail = ("ask_board", "change_trust")
    fieldsets = (
        (None, {"fields": ("scope", "state", "policy_profile", "jurisdiction", "set_by")}),
        ("Bitcoin", {"fields": ("bitcoin", "promised", "cap")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trust]:
        """Return every trust to whoever may look."""
        rows = selector.trusts()
        return rows if trusts.may_look(request, *self.also) else rows.none()

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new one to those who set them."""
        return [self.get_unfold_action("propose")] if is_setter(request) else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer questions to its board, and changes to those who set trusts."""
        row = self.get_object(request, str(object_id))
        user: Any = request.user
        names = [] if row is None or not board.is_member(user, row.pk) else ["ask_board"]
        names += ["change_trust"] if row is not None and is_setter(request) else []
        return [self.get_unfold_action(name) for name in names]

    @action(description="Propose a trust", url_path="propose", icon="add", variant=ActionVariant.PRIMARY)
    def propose(self, request: HttpRequest) -> HttpResponse:
        """Ask for a trust."""
        page = pages.Page(
            title="Propose a trust",
            form_class=NewForm,
            call=lambda cleaned: _proposed(request, **cleaned),
            submit="Propose",
            back=cells.list_of(Trust),
            help_text=NEXT,
        )
        return pages.answer(self, request, page)

    @action(description="Propose changes", url_path="change-trust", icon="edit")
    def change_trust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for another name, law or board."""
        row = self.get_row(request, object_id)
        page = pages.Page(
            title=said("Propose changes of {0}", row),
            form_class=OldForm,
            call=lambda cleaned: _proposed(request, trust_id=row.pk, **cleaned),
            submit="Propose",
            back=cells.page_of(row),
            initial={
                "name": row.name,
                "policy_profile": row.policy_profile,
                "jurisdiction": row.jurisdiction,
                "members": " ".join(seat.user.get_username() for seat in row.board),
            },
            help_text=f"{NEXT} Another board voids what this one was asked.",
        )
        return pages.answer(self, request, page)

    @action(
        description="Ask the board", url_path="ask-board", icon="how_to_vote", variant=ActionVariant.PRIMARY
    )
    def ask_board(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose a decision, and sign it as the first member."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            given = {name: value for name, value in cleaned.items() if value not in (None, "")}
            made = trust_boards.propose(
                by=_user(request), trust_id=row.pk, **given | {"note": cleaned["note"]}
            )
            messages.success(request, said("{0} waits for a second member of the board.", made))
            return HttpResponseRedirect(cells.page_of(made))

        page = pages.Page(
            title=said("Ask the board of {0}", row),
            form_class=DecisionForm,
            call=call,
            submit="Propose and sign",
            back=cells.page_of(row),
            help_text="It is done when a second member signs it.",
        )
        return pages.answer(self, request, page)

    def notices(self, request: HttpRequest, obj: Trust) -> list[Notice]:
        """Say what stands against taking legs."""
        below = [purse.currency for purse in obj.purses.all() if purse.free_minor < 0]
        found = [
            Notice("It takes no bitcoin in it.", cells.BAD, said("Below its floor: {0}", name))
            for name in below
        ]
        if obj.room_sat < 0:
            found.append(Notice("It takes no bitcoin.", cells.BAD, "Above its cap"))
        return found

    def tables(self, request: HttpRequest, obj: Any) -> list[Table]:
        """Show its money, its board, and what that decided last."""
        asked = TrustDecision.objects.filter(trust=obj).order_by("-pk")[:LAST]
        return [
            Table(
                "Money",
                (
                    "Currency",
                    "Cash",
                    "Owed to people",
                    "Promised",
                    "Floor",
                    "Free above it",
                    "One person, at most",
                ),
                [trusts.money(purse) for purse in obj.purses.all()],
            ),
            Table("Board", ("Member",), [(cells.person(seat.user),) for seat in obj.board]),
            Table(
                "Last decisions",
                ("Decision", "Kind", "State", "Proposed by"),
                [
                    (
                        cells.link(row),
                        row.get_kind_display(),
                        cells.status_of(row),
                        cells.person(row.made_by),
                    )
                    for row in asked
                ],
                "Its board was asked nothing yet.",
                cells.list_of(TrustDecision, trust=obj.pk),
            ),
            *(
                [
                    Table(
                        "Legs",
                        ("State", "Legs"),
                        trusts.legs(obj),
                        NO_LEG,
                        cells.list_of(TrustLeg, trust=obj.pk),
                    )
                ]
                if links.may_open(TrustLeg)
                else []
            ),
        ]

    @display(description="trust")
    def title(self, row: Trust) -> str:
        """Its name."""
        return cells.long(row.name)

    @display(description="state")
    def state(self, row: Trust) -> str:
        """Whether it takes legs."""
        return cells.label("", "paused", cells.BAD) if row.is_paused else cells.label("", "open", cells.GOOD)

    @display(description="bitcoin")
    def bitcoin(self, row: Trust) -> str:
        """What it has by its books."""
        return cells.sat(row.inventory_sat)

    @display(description="still to come")
    def promised(self, row: Trust) -> str:
        """What legs that it took still bring."""
        return cells.sat(row.promised_sat)

    @display(description="cap")
    def cap(self, row: Trust) -> str:
        """What it may have."""
        return cells.sat(row.inventory_cap_sat)

    @display(description="set by")
    def set_by(self, row: Trust) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)


def _proposed(request: HttpRequest, **asked: Any) -> HttpResponse:
    asked["members"] = asked["members"].split()
    made = proposals.propose_trust(by=_user(request), **asked)
    messages.success(request, said("{0} waits for another security administrator.", made))
    return HttpResponseRedirect(cells.page_of(made))


def _user(request: HttpRequest) -> Any:
    return request.user
