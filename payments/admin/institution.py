"""Institutions that hold bitcoin in the admin: what they hold, cost and risk, what waits to be classed, and limits."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from ledger.law import policy
from payments.admin import cells, pages
from payments.admin import institution_forms as forms
from payments.admin.prices import OfPrices, is_setter
from payments.admin.tables import SHOWN, Notice, Table
from payments.models import InflowClassing, Institution, PurchasePlan
from payments.prices import currency, reading
from payments.reserve import tasks
from payments.reserve.exposure import Exposure
from payments.selectors import treasury as selector
from payments.services import inflows, institutions, prices, proposals, purchase_plans

NEXT = "Another security administrator confirms it."
SECOND = "Another treasurer confirms it."


@admin.register(Institution)
class InstitutionAdmin(OfPrices):
    """Whose bitcoin it is, under which law, and within which limits."""

    list_display = ("title", "scope", "law", "currency", "cap")
    when_empty = "No institution is set up. Security administrators propose one; until then nothing that comes is classed."
    actions_list = ("propose",)
    actions_detail = ("classify", "plan", "change_institution")
    fieldsets = (
        (None, {"fields": ("scope", "law", "currency", "cap", "set_by")}),
        ("Exposure", {"fields": ("other_reserves", "share", "var", "window")}),
    )

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new one to those who set them."""
        return [self.get_unfold_action("propose")] if is_setter(request) else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer classings and plans to treasurers, and changes to those who set institutions."""
        user: Any = request.user
        names = ["classify", "plan"] if prices.may_keep(user) else []
        names += ["change_institution"] if is_setter(request) else []
        return [self.get_unfold_action(name) for name in names]

    @action(
        description="Propose an institution", url_path="propose", icon="add", variant=ActionVariant.PRIMARY
    )
    def propose(self, request: HttpRequest) -> HttpResponse:
        """Ask for an institution."""
        page = pages.Page(
            title="Propose an institution",
            form_class=forms.NewForm,
            call=lambda cleaned: _proposed(request, **cleaned),
            submit="Propose",
            back=cells.list_of(Institution),
            initial={"var_window_days": 365, "var_quantile_bps": 9_900},
            help_text=NEXT,
        )
        return pages.answer(self, request, page)

    @action(description="Propose changes", url_path="change-institution", icon="edit")
    def change_institution(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for another law or limit."""
        row = self.get_row(request, object_id)
        names = [name for name in institutions.OF_INSTITUTION if name in forms.OldForm.base_fields]
        page = pages.Page(
            title=said("Propose changes of {0}", row),
            form_class=forms.OldForm,
            call=lambda cleaned: _proposed(request, institution_id=row.pk, **cleaned),
            submit="Propose",
            back=cells.page_of(row),
            initial={name: getattr(row, name) for name in names},
            help_text=f"{NEXT} What is left empty stays.",
        )
        return pages.answer(self, request, page)

    @action(description="Class outputs", url_path="classify", icon="label", variant=ActionVariant.PRIMARY)
    def classify(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what outputs came for."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            given = {name: value for name, value in cleaned.items() if value not in (None, "")}
            made: InflowClassing = inflows.give(by=_user(request), **given)
            messages.success(request, said("{0} waits for another treasurer.", made).capitalize())
            return HttpResponseRedirect(cells.page_of(made))

        first = tasks.unclassed().filter(scope=row.scope).values_list("pk", flat=True)[:SHOWN]
        page = pages.Page(
            title=said("Class what came to {0}", row),
            form_class=forms.ClassForm,
            call=call,
            submit="Class",
            back=cells.page_of(row),
            initial={"inflow_ids": " ".join(map(str, first))},
            help_text=SECOND,
        )
        return pages.answer(self, request, page)

    @action(description="Propose a purchase plan", url_path="plan", icon="shopping_cart")
    def plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask that it may buy."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            made: PurchasePlan = purchase_plans.propose(by=_user(request), institution_id=row.pk, **cleaned)
            messages.success(request, said("{0} waits for another treasurer.", made).capitalize())
            return HttpResponseRedirect(cells.page_of(made))

        page = pages.Page(
            title=said("Propose that {0} buys", row),
            form_class=forms.PlanForm,
            call=call,
            submit="Propose",
            back=cells.page_of(row),
            facts=_room(selector.exposure_of(row)),
            help_text="Another treasurer approves it, and the law's ceiling is asked both times.",
        )
        return pages.answer(self, request, page)

    def notices(self, request: HttpRequest, obj: Institution) -> list[Notice]:
        """Say what is beyond a limit."""
        return [
            Notice(text, cells.BAD, code.replace("_", " ").capitalize())
            for code, text in selector.exposure_of(obj).breaches.items()
        ]

    def tables(self, request: HttpRequest, obj: Institution) -> list[Table]:
        """Show what it holds and risks, what the law leaves, and what waits to be classed."""
        found = selector.exposure_of(obj)
        return [
            Table(
                "Position",
                ("What", "How much"),
                _position(found),
                "No scan that stands has found anything of it.",
            ),
            Table("Added to bitcoin under its law, counted both ways", ("What", "How much"), _room(found)),
            _waiting(obj),
        ]

    @display(description="institution")
    def title(self, row: Institution) -> str:
        """Its name."""
        return cells.long(row.name)

    @display(description="law")
    def law(self, row: Institution) -> str:
        """The law that it goes by."""
        return policy.get_profile(row.policy_profile).title

    @display(description="it may hold")
    def cap(self, row: Institution) -> str:
        """Its cap."""
        return cells.sat(row.most_sat)

    @display(description="set by")
    def set_by(self, row: Institution) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)

    @display(description="other reserves")
    def other_reserves(self, row: Institution) -> str:
        """As they are stated."""
        return _money(row.other_reserves_minor, row.currency)

    @display(description="bitcoin of all, at most")
    def share(self, row: Institution) -> str:
        """Its limit."""
        return _percent(row.most_share_bps)

    @display(description="lost within a day, at most")
    def var(self, row: Institution) -> str:
        """Its limit."""
        return _percent(row.most_var_bps)

    @display(description="counted")
    def window(self, row: Institution) -> str:
        """By which days."""
        return f"by {row.var_quantile_bps / 100:g} % of the last {row.var_window_days} days"


def _position(found: Exposure) -> list[tuple[Any, ...]]:
    held, code = found.position, found.institution.currency
    if held is None:
        return []
    worth = (
        _money(held.fair_minor, code)
        if held.price is not None
        else said("None: {0} ({1})", held.message, held.rule)
    )
    lost = (
        said(found.var.message)
        if found.var.bps is None
        else said("{0} by {1} days", _percent(found.var.bps), found.var.days)
    )
    return [
        ("Block", cells.number(held.height)),
        ("Verified in this node", cells.sat(held.verified_sat)),
        ("Declared only", cells.sat(held.declared_sat)),
        ("Of 21 million bitcoin", cells.figure(f"{held.share_percent:f} %")),
        ("In lots, whose cost is known", cells.sat(held.lot_sat)),
        ("Cost", _money(held.cost_minor, code)),
        ("Cost of a bitcoin, on average", _money(held.average_minor, code)),
        ("Price", cells.EMPTY if held.price is None else cells.figure(reading.grouped(held.price, code))),
        ("Fair value", worth),
        ("Unrealised, of the lots", _money(held.unrealised_minor, code)),
        ("Of all reserves", _percent(found.share_bps)),
        ("May be lost within a day", lost),
        ("That is", _money(found.var.amount_minor, code)),
    ]


def _room(found: Exposure) -> list[tuple[str, Any]]:
    room = found.room
    ruling = (
        "not in force today" if room.provision is None else f"{room.provision.ruling}: {room.provision.text}"
    )
    return [
        ("The law", cells.words(ruling)),
        ("Since", cells.moment(room.since)),
        ("Net voluntary: purchases and mining less disposals", cells.sat(room.added.net_voluntary_sat)),
        ("Growth of what is on the addresses", cells.sat(room.added.grown_sat)),
        ("Both differ by", cells.sat(room.added.differs_sat)),
        ("Not classed, and in no count", cells.sat(room.added.unclassed_sat)),
        ("Bought by trusts on net", cells.sat(room.trusts_sat)),
        ("Planned", cells.sat(room.planned_sat)),
        ("May still be added", cells.sat(room.left_sat)),
    ]


def _waiting(obj: Institution) -> Table:
    rows = tasks.unclassed().filter(scope=obj.scope).select_related("scan")[:SHOWN]
    return Table(
        "Not classed, oldest first",
        ("Output", "Address", "Amount", "Found"),
        [
            (
                str(row.pk),
                cells.whole(row.address),
                cells.sat(row.amount_sat),
                cells.moment(row.scan.scanned_at),
            )
            for row in rows
        ],
        "All that came is classed.",
    )


def _money(minor: int | None, code: str) -> str:
    return cells.EMPTY if minor is None else cells.figure(currency.in_words(minor, code))


def _percent(bps: int | None) -> str:
    return cells.EMPTY if bps is None else cells.figure(f"{bps / 100:.2f} %")


def _proposed(request: HttpRequest, **asked: Any) -> HttpResponse:
    given = {name: value for name, value in asked.items() if value not in (None, "")}
    made = proposals.propose_institution(by=_user(request), **given)
    messages.success(request, said("{0} waits for another security administrator.", made))
    return HttpResponseRedirect(cells.page_of(made))


def _user(request: HttpRequest) -> Any:
    return request.user
