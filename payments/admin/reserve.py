"""Holdings of the public sector in the admin: what is on their addresses, how that is known, and proposals of others."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from ledger.models.lot import MOST_SAT
from payments.admin import cells, pages
from payments.admin.forms import ReasonForm
from payments.admin.prices import OfPrices, is_setter
from payments.admin.tables import Notice, Table
from payments.models import Holding, HoldingKind
from payments.models.reserve import MOST_ADDRESSES, USUAL_CAP_SAT
from payments.reserve import splitting
from payments.reserve.addresses import MAX_INDEX
from payments.selectors import reserve as selector
from payments.services import holdings, proposals

NEXT = "Another security administrator confirms it."
TEXT: dict[str, Any] = {"attrs": {"autocomplete": "off", "spellcheck": "false"}}
LABELS = {
    "holding_id": "Holding",
    "scope": "Institution in the books",
    "amount_sat": "Satoshis",
    "cap_sat": "An address should hold at most (sat)",
    "first_index": "First index",
    "last_index": "Last index",
    "address_count": "Addresses",
    "first_address": "First address",
    "last_address": "Last address",
    "addresses_sha256": "SHA-256 of all, one a line",
}
TONES = {"done": cells.GOOD, "running": cells.BUSY, "waiting": cells.BUSY, "inconclusive": cells.BAD}


def _whole(name: str, least: int, most: int, *, required: bool = False) -> forms.IntegerField:
    return forms.IntegerField(
        label=LABELS[name],
        min_value=least,
        max_value=most,
        required=required,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


def _text(label: str, most: int, help_text: str = "", *, required: bool = True) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=most,
        required=required,
        help_text=help_text,
        widget=widgets.UnfoldAdminTextInputWidget(**TEXT),
    )


class NewForm(ReasonForm):
    """A new holding."""

    scope = _text(LABELS["scope"], 40, "Such as reserve:1.")
    name = _text("Name", 60)
    kind = forms.ChoiceField(choices=HoldingKind.choices, widget=widgets.UnfoldAdminSelectWidget)
    descriptor = _text(
        "Descriptor",
        4_000,
        "Watch-only, of one branch, with its checksum. The node makes its addresses.",
        required=False,
    )
    first_index = _whole("first_index", 0, MAX_INDEX)
    last_index = _whole("last_index", 0, MAX_INDEX)
    addresses = forms.CharField(
        label="Addresses",
        required=False,
        max_length=120 * MOST_ADDRESSES,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="One a line; of declared ones with a space and the satoshis that are said to be on it.",
    )
    network = _text("Network", 20, "Of declared addresses: where they are.", required=False)
    cap_sat = _whole("cap_sat", 1, MOST_SAT, required=True)

    field_order = (
        *("scope", "name", "kind", "descriptor", "first_index", "last_index"),
        *("addresses", "network", "cap_sat", "note"),
    )


class OldForm(ReasonForm):
    """A holding that there is; its addresses stay."""

    cap_sat = _whole("cap_sat", 1, MOST_SAT, required=True)
    is_ended = forms.BooleanField(
        label="It is ended for good", required=False, widget=widgets.UnfoldBooleanWidget
    )

    field_order = ("cap_sat", "is_ended", "note")


class SpreadForm(forms.Form):
    """How much is to be spread."""

    amount_sat = _whole("amount_sat", 1, MOST_SAT, required=True)


@admin.register(Holding)
class HoldingAdmin(OfPrices):
    """Whose addresses there are, and what was found on them."""

    list_display = ("title", "scope", "kind", "badge_label", "count", "cap", "state")
    list_filter = ("scope", ("kind", ChoicesDropdownFilter))
    when_empty = "Nobody holds anything yet. Security administrators propose holdings."
    actions_list = ("propose",)
    actions_detail = ("spread", "change_holding")
    fieldsets = (
        (None, {"fields": ("scope", "kind", "badge_label", "network", "count", "cap", "state", "set_by")}),
        ("Descriptor", {"fields": ("text", "first_index", "last_index")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Holding]:
        """Return the holdings with the number of their addresses."""
        visible = super().get_queryset(request).values("pk")
        return selector.holdings().filter(pk__in=visible).select_related("proposal")

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new one to those who set them."""
        return [self.get_unfold_action("propose")] if is_setter(request) else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer spreading to all who read it, and changes of what goes on to those who set holdings."""
        row = self.get_object(request, str(object_id))
        if row is None or row.ended_at is not None:
            return []
        names = (["spread"] if row.is_verified else []) + (["change_holding"] if is_setter(request) else [])
        return [self.get_unfold_action(name) for name in names]

    @action(description="Propose a holding", url_path="propose", icon="add", variant=ActionVariant.PRIMARY)
    def propose(self, request: HttpRequest) -> HttpResponse:
        """Ask for a holding."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            given = {name: value for name, value in cleaned.items() if value not in (None, "")}
            if "addresses" in given:
                given["addresses"] = given["addresses"].splitlines()
            own = ("kind", "descriptor", "first_index", "last_index", "addresses")
            found = holdings.gather(by=_user(request), **{name: given[name] for name in own if name in given})
            return _proposed(request, **given | {"addresses": found})

        page = pages.Page(
            title="Propose a holding",
            form_class=NewForm,
            call=call,
            submit="Propose",
            back=cells.list_of(Holding),
            initial={"cap_sat": USUAL_CAP_SAT},
            help_text=NEXT,
        )
        return pages.answer(self, request, page)

    @action(description="Propose changes", url_path="change-holding", icon="edit")
    def change_holding(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for another cap, or the end."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            return _proposed(request, holding_id=row.pk, **cleaned)

        page = pages.Page(
            title=said("Propose changes of {0}", row),
            form_class=OldForm,
            call=call,
            submit="Propose",
            back=cells.page_of(row),
            initial={"cap_sat": row.cap_sat},
            help_text=NEXT,
        )
        return pages.answer(self, request, page)

    @action(description="Spread an amount", url_path="spread", icon="call_split")
    def spread(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose over which fresh addresses an amount is spread; nothing is sent or set aside."""
        row = self.get_row(request, object_id)
        asked = SpreadForm(request.GET if request.method == "GET" and request.GET else None)
        parts: list[splitting.Part] = []
        notices = []
        if asked.is_valid():
            try:
                parts = splitting.split(row, asked.cleaned_data["amount_sat"])
            except GovPayError as error:
                notices = [Notice(error.message, cells.BAD, "It cannot be spread")]

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            splitting.split(row, cleaned["amount_sat"])
            return HttpResponseRedirect(f"{request.path}?amount_sat={cleaned['amount_sat']}")

        rows = [(cells.whole(part.address), cells.sat(part.amount_sat)) for part in parts]
        page = pages.Page(
            title=said("Spread an amount over {0}", row),
            form_class=SpreadForm,
            call=call,
            submit="Spread",
            back=cells.page_of(row),
            initial=asked.cleaned_data if asked.is_valid() else {},
            tables=[Table(f"Over {len(parts):,} addresses", ("Address", "Amount"), list(rows))]
            if parts
            else [],
            notices=notices,
            help_text="Over as few addresses as the cap allows, each of which no scan ever saw anything on.",
        )
        return pages.answer(self, request, page)

    def notices(self, request: HttpRequest, obj: Holding) -> list[Notice]:
        """Say where scanning stands when that is not done."""
        known = selector.standing()
        if known.state == "done":
            return []
        text = known.status.message if known.status is not None else ""
        return [
            Notice(
                text or "Workers look by themselves.",
                TONES[known.state],
                said("The scan is {0}", known.state),
            )
        ]

    def tables(self, request: HttpRequest, obj: Holding) -> list[Table]:
        """Show what the newest scan that stands found of each address."""
        scan = selector.standing().scan
        where = "No scan stands yet." if scan is None else said("Not in {0}.", scan)
        rows = [
            (
                cells.whole(row.address),
                cells.sat(row.amount_sat),
                cells.number(row.utxo_count),
                _findings(row),
            )
            for row in selector.balances(obj)
        ]
        title = "Addresses" if scan is None else f"Addresses at block {scan.height:,}"
        return [Table(title, ("Address", "Balance", "Outputs", "Findings"), rows, where)]

    @display(description="holding")
    def title(self, row: Holding) -> str:
        """Its name."""
        return cells.long(row.name)

    @display(description="known by")
    def badge_label(self, row: Holding) -> str:
        """Whether this node counts it."""
        return cells.label("", row.badge.label, cells.GOOD if row.is_verified else cells.PLAIN)

    @display(description="addresses")
    def count(self, row: Any) -> str:
        """How many."""
        return cells.number(row.address_count)

    @display(description="cap of an address")
    def cap(self, row: Holding) -> str:
        """What an address should hold at most."""
        return cells.sat(row.cap_sat)

    @display(description="state")
    def state(self, row: Holding) -> str:
        """Whether it goes on."""
        return cells.label("", "ended") if row.ended_at else cells.label("", "held", cells.GOOD)

    @display(description="descriptor")
    def text(self, row: Holding) -> str:
        """Whole."""
        return cells.whole(row.descriptor)

    @display(description="set by")
    def set_by(self, row: Holding) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)


def _findings(row: Any) -> str:
    found = [cells.label("", "reused", cells.BAD)] if row.is_reused else []
    if row.is_spent and not row.is_reused:
        found.append(cells.label("", "spent from", cells.PLAIN))
    if row.is_over_cap:
        found.append(cells.label("", "over the cap", cells.BAD))
    return cells.join(*found) or cells.EMPTY


def _proposed(request: HttpRequest, **asked: Any) -> HttpResponse:
    made = proposals.propose_holding(by=_user(request), **asked)
    messages.success(request, said("{0} waits for another security administrator.", made))
    return HttpResponseRedirect(cells.page_of(made))


def _user(request: HttpRequest) -> Any:
    return request.user
