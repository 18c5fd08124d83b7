"""The page where people claim: no script needed, nothing told to who does not belong there (A13, A37)."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from payments.models import ClaimLink, Destination, Disbursement, Message, Program
from payments.onchain import address as addresses
from payments.onchain import network
from payments.services import claim_links
from tests import claiming, factories
from tests.payments.person import browsing

pytestmark = pytest.mark.django_db

CLAIM = "/person/claim/"
ID = claiming.NATIONAL_ID.format(1)


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """Its only line waits."""
    factories.fund(program, 1_000_000)
    draft = claiming.waiting_list(program, officer, amounts_sat=[60_000], without=[1])
    return claiming.release(draft, officer, approver, releaser)


@pytest.fixture
def slip(released: Disbursement, officer: User) -> claim_links.Slip:
    return claim_links.print_slips(by=officer, disbursement_id=released.pk)[0]


def code() -> str:
    content = Message.objects.filter(kind="claim_code").order_by("-pk")[0].content
    assert content is not None
    return "".join(c for c in content["text"] if c.isdigit())


def send(visitor: Client, **fields: Any) -> Any:
    return browsing.send(visitor, CLAIM, **fields)


def new_address() -> str:
    return addresses.address_from_script(factories.make_script(), network.current())


class TestClaim:
    def test_is_two_forms_without_script(self, visitor: Client, slip: claim_links.Slip) -> None:
        page = send(visitor, secret=slip.secret, national_id=ID)
        assert page.status_code == 200
        browsing.require_strict(page)
        assert "1 payment of 60000 satoshis waits for you" in page.content.decode()
        address = new_address()
        done = send(visitor, secret=slip.secret, national_id=ID, code=code(), address=address)
        assert done.status_code == 200
        browsing.require_strict(done)
        assert address in done.content.decode()
        assert slip.link.enrollment.reference in done.content.decode()
        assert Destination.objects.get(beneficiary=slip.link.enrollment.beneficiary).is_current

    def test_runs_one_script_of_our_own_that_may_be_left_out(self, visitor: Client, program: Program) -> None:
        page = visitor.get(CLAIM)
        assert re.findall(r"<script[^>]*>[^<]*</script>", page.content.decode()) == [
            '<script src="/static/payments/claim.js" defer></script>'
        ]
        policy = page["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert visitor.get("/static/payments/claim.js").status_code == 200

    def test_reads_no_secret_from_an_address(self, visitor: Client, slip: claim_links.Slip) -> None:
        assert slip.secret not in visitor.get(f"{CLAIM}?secret={slip.secret}").content.decode()
        assert slip.address.endswith(f"/person/claim/#{slip.secret}")

    def test_answers_alike_whatever_does_not_fit(
        self, visitor: Client, slip: claim_links.Slip, released: Disbursement, officer: User
    ) -> None:
        fresh = claim_links.print_slips(by=officer, disbursement_id=released.pk)[0]
        pages = set()
        for secret, national_id in (
            (slip.secret, ID),
            ("0" * 26, ID),
            ("nothing", ID),
            (fresh.secret, "35202-9999999-9"),
            (fresh.secret, "?"),
        ):
            response = send(visitor, secret=secret, national_id=national_id)
            # What was typed stays, to be corrected.
            assert f'value="{secret}"' in response.content.decode()
            shown = browsing.text_of(response).replace(f'value="{secret}"', "")
            pages.add((response.status_code, shown))
        assert len(pages) == 1
        assert next(iter(pages))[0] == 404
        assert Message.objects.count() == 0

    def test_keeps_the_first_form_when_an_address_is_wrong(
        self, visitor: Client, slip: claim_links.Slip
    ) -> None:
        send(visitor, secret=slip.secret, national_id=ID)
        wrong = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
        page = send(visitor, secret=slip.secret, national_id=ID, code=code(), address=wrong)
        assert page.status_code == 422
        assert f'value="{slip.secret}"' in page.content.decode()
        assert ClaimLink.objects.get(pk=slip.link.pk).used_at is None

    def test_counts_what_comes_from_one_address(self, visitor: Client, slip: claim_links.Slip) -> None:
        for _ in range(20):
            send(visitor, secret="0" * 26, national_id=ID)
        assert send(visitor, secret=slip.secret, national_id=ID).status_code == 429
        assert Message.objects.count() == 0
