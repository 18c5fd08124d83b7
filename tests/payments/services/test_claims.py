"""Claim links: one-time, bound to a person and a program, counted, and answered alike (A13, A21, A37)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone, translation

from govpay.errors import InvalidInput
from ledger.models import AuditEvent
from payments.models import (
    ClaimLink,
    Destination,
    Disbursement,
    Entitlement,
    Hold,
    Message,
    Payment,
    Program,
)
from payments.onchain import address as addresses
from payments.onchain import network
from payments.payout import screening
from payments.services import authority, claim_links, claims, entitlements, erasures, holds
from payments.services.claim_links import NobodyToSend
from payments.services.claims import ClaimRefused
from payments.services.holds import HoldStands
from tests import claiming, factories, racing

pytestmark = pytest.mark.django_db

ID = claiming.NATIONAL_ID.format


def new_address() -> str:
    """An address of our network that nobody has."""
    return addresses.address_from_script(factories.make_script(), network.current())


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """Lines 2 and 3 wait for their people."""
    factories.fund(program, 1_000_000)
    draft = claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000, 70_000], without=[2, 3])
    return claiming.release(draft, officer, approver, releaser)


@pytest.fixture
def slip(released: Disbursement, officer: User) -> claim_links.Slip:
    """The slip of the person of line 2."""
    slips = claim_links.print_slips(by=officer, disbursement_id=released.pk)
    return next(s for s in slips if s.link.enrollment == claiming.person_of(released, 2))


def code_of(link: ClaimLink) -> str:
    """What was sent to the telephone last."""
    content = Message.objects.filter(link=link, kind="claim_code").order_by("-pk")[0].content
    assert content is not None
    return "".join(c for c in content["text"] if c.isdigit())


def begun(slip: claim_links.Slip) -> str:
    """The code, after the first step."""
    claims.begin(secret=slip.secret, national_id=ID(2))
    return code_of(slip.link)


def bring(slip: claim_links.Slip, code: str, **changes: Any) -> ClaimLink:
    values = {"secret": slip.secret, "national_id": ID(2), "code": code, "address": new_address()} | changes
    return claims.bring(**values)


class TestSend:
    def test_puts_a_link_into_each_telephones_messages(self, released: Disbursement, officer: User) -> None:
        assert claim_links.send(by=officer, disbursement_id=released.pk) == 2
        rows = Message.objects.order_by("pk")
        contents = [row.content or {} for row in rows]
        assert sorted(c["to"] for c in contents) == ["+923000000002", "+923000000003"]
        secrets = [c["text"].partition("/person/claim/#")[2] for c in contents]
        assert all(len(secret) == 31 for secret in secrets)
        assert not {s.encode() for s in secrets} & {
            bytes(row) for row in ClaimLink.objects.values_list("secret_hash", flat=True)
        }
        assert AuditEvent.objects.filter(action="claim.send").count() == 1

    @pytest.mark.parametrize(
        ("language", "subject", "query"),
        [("en", "Money waits for you", ""), ("es", "Hay dinero para usted", "?lang=es")],
    )
    def test_writes_in_the_language_of_the_program_whatever_the_officer_speaks(
        self, released: Disbursement, officer: User, language: str, subject: str, query: str
    ) -> None:
        Program.objects.update(language=language)
        with translation.override("ur"):
            claim_links.send(by=officer, disbursement_id=released.pk)
        content = Message.objects.latest("pk").content
        assert content is not None
        assert content["subject"] == subject
        assert content["text"].startswith(f"{subject}. ")
        assert f"/person/claim/{query}#" in content["text"]

    def test_ends_the_links_before(
        self, released: Disbursement, officer: User, slip: claim_links.Slip
    ) -> None:
        claim_links.send(by=officer, disbursement_id=released.pk)
        assert ClaimLink.objects.filter(ended_at=None).count() == 2
        with pytest.raises(ClaimRefused):
            claims.begin(secret=slip.secret, national_id=ID(2))

    def test_counts_until_the_entitlement_expires(self, slip: claim_links.Slip) -> None:
        row = Entitlement.objects.get(payment__line=2)
        assert slip.link.expires_at == row.expires_at

    def test_is_the_officers_work(self, released: Disbursement, approver: User) -> None:
        with pytest.raises(authority.RoleMissing):
            claim_links.send(by=approver, disbursement_id=released.pk)
        with pytest.raises(authority.RoleMissing):
            claim_links.print_slips(by=approver, disbursement_id=released.pk)
        assert ClaimLink.objects.count() == 0

    def test_finds_nobody_where_nobody_waits(self, program: Program, officer: User) -> None:
        draft = factories.make_disbursement(program, officer)
        with pytest.raises(NobodyToSend):
            claim_links.send(by=officer, disbursement_id=draft.pk)

    def test_goes_to_one_mailbox_that_an_officer_names(self, released: Disbursement, officer: User) -> None:
        person = claiming.person_of(released, 2)
        link = claim_links.send_one(
            by=officer, enrollment_id=person.pk, channel="email", email="a@example.org"
        )
        content = Message.objects.get(link=link).content
        assert content is not None
        assert content["to"] == "a@example.org"
        # The code still goes to the telephone of the registry, not to where the officer sent the link.
        secret = content["text"].partition("#")[2]
        claims.begin(secret=secret, national_id=ID(2))
        code = Message.objects.get(link=link, kind="claim_code")
        assert (code.channel, (code.content or {})["to"]) == ("sms", "+923000000002")


class TestCooling:
    """The program's rule `claimed_counts_as_changed`: what came by a link is held like what replaced another address."""

    @pytest.fixture
    def _counts(self, program: Program) -> None:
        Program.objects.filter(pk=program.pk).update(claimed_counts_as_changed=True)

    @pytest.fixture
    def listed(
        self, slip: claim_links.Slip, released: Disbursement, officer: User, approver: User, releaser: User
    ) -> Callable[[], Disbursement]:
        """Releases the list of what the person of line 2 claims by the slip, and an officer enters for that of line 3."""

        def made() -> Disbursement:
            bring(slip, begun(slip))
            claiming.bring_address(released, 3, officer)
            listed = entitlements.list_claimed(by=officer, disbursement_id=released.pk)
            return claiming.release(listed, officer, approver, releaser)

        return made

    def statuses(self, row: Disbursement) -> list[str]:
        return list(row.payments.order_by("line").values_list("status", flat=True))

    @pytest.mark.usefixtures("_counts")
    def test_holds_what_came_by_a_link_and_pays_the_rest(
        self, listed: Callable[[], Disbursement], slip: claim_links.Slip
    ) -> None:
        made = listed()
        assert self.statuses(made) == ["held", "pending"]
        hold = Hold.objects.get(payment__disbursement=made)
        claimed_at = ClaimLink.objects.get(pk=slip.link.pk).used_at
        assert claimed_at is not None
        may_be_paid = claimed_at + timedelta(hours=72)
        assert (hold.rule, hold.note) == (
            "destination_cooling",
            f"The address was claimed at {claimed_at:%Y-%m-%d %H:%M} UTC and may be paid from "
            f"{may_be_paid:%Y-%m-%d %H:%M} UTC on.",
        )

    @pytest.mark.usefixtures("_counts")
    def test_ends_by_itself_and_by_nobody_before(
        self, listed: Callable[[], Disbursement], slip: claim_links.Slip, approver: User
    ) -> None:
        made = listed()
        with pytest.raises(HoldStands):
            holds.resume(by=approver, payment_id=made.payments.get(line=1).pk, note="She is in a hurry.")
        claimed_at = ClaimLink.objects.get(pk=slip.link.pk).used_at or timezone.now()
        for wait, found, statuses in (
            (timedelta(hours=72, seconds=-1), [], ["held", "pending"]),
            (timedelta(hours=72, seconds=1), [made.pk], ["pending", "pending"]),
        ):
            now = claimed_at + wait
            assert list(screening.lists_to_review(now=now, most=10)) == found
            screening.review(made.pk, now=now)
            assert self.statuses(made) == statuses

    @pytest.mark.usefixtures("_counts")
    def test_needs_a_proof_where_changed_addresses_do(
        self, listed: Callable[[], Disbursement], program: Program
    ) -> None:
        Program.objects.filter(pk=program.pk).update(destination_proof=1, destination_cooling_s=0)
        made = listed()
        assert self.statuses(made) == ["held", "pending"]
        assert Hold.objects.get(payment__disbursement=made).rule == "control_unproved"

    def test_is_not_asked_for_by_every_program(
        self, listed: Callable[[], Disbursement], program: Program
    ) -> None:
        Program.objects.filter(pk=program.pk).update(destination_proof=1)
        assert self.statuses(listed()) == ["pending", "pending"]


class TestBegin:
    def test_says_what_waits_and_sends_a_code(self, slip: claim_links.Slip) -> None:
        assert claims.begin(secret=slip.secret.lower(), national_id="352021111111 2") == (
            *(True, 60_000, 1),
            "",
        )
        assert len(code_of(slip.link)) == 6

    def test_keeps_no_code_that_could_be_tried(self, slip: claim_links.Slip) -> None:
        code = begun(slip)
        import hashlib

        stored = bytes(ClaimLink.objects.get(pk=slip.link.pk).code_hash or b"")
        assert stored not in {
            hashlib.sha256(text.encode()).digest() for text in (code, f"claim-code\n{code}")
        }

    def test_sends_no_more_than_five(self, slip: claim_links.Slip) -> None:
        sent = [claims.begin(secret=slip.secret, national_id=ID(2)).is_code_sent for _ in range(6)]
        assert sent == [True] * 5 + [False]

    def test_ends_a_link_after_five_wrong_numbers(self, slip: claim_links.Slip) -> None:
        for _ in range(5):
            with pytest.raises(ClaimRefused):
                claims.begin(secret=slip.secret, national_id=ID(3))
        with pytest.raises(ClaimRefused):
            claims.begin(secret=slip.secret, national_id=ID(2))
        assert ClaimLink.objects.get(pk=slip.link.pk).ended_at is not None

    def test_answers_alike_whatever_does_not_fit(
        self, slip: claim_links.Slip, released: Disbursement, officer: User
    ) -> None:
        used = bring(slip, begun(slip))
        over = timezone.now() + timedelta(days=91)
        fresh = claim_links.print_slips(by=officer, disbursement_id=released.pk)[0]
        answers = set()
        for values in (
            {"secret": slip.secret, "national_id": ID(2)},
            {"secret": "0" * 26, "national_id": ID(2)},
            {"secret": "nothing", "national_id": "x"},
            {"secret": fresh.secret, "national_id": ID(2)},
            {"secret": fresh.secret, "national_id": ID(3), "now": over},
        ):
            with pytest.raises(ClaimRefused) as refusal:
                claims.begin(**values)
            answers.add((refusal.value.message, refusal.value.code, str(refusal.value.details)))
        assert len(answers) == 1
        assert used.destination is not None


class TestBring:
    def test_makes_the_first_address_and_claims_what_waits(
        self, slip: claim_links.Slip, officer: User
    ) -> None:
        address = new_address()
        link = bring(slip, begun(slip), address=f" {address} ")
        made = Destination.objects.get(beneficiary=slip.link.enrollment.beneficiary)
        assert bytes(made.script_pubkey) == addresses.script_from_address(address, network.current())
        assert (made.is_current, link.destination, made.created_by) == (True, made, officer)
        assert Entitlement.objects.get(payment__line=2).status == "claimed"
        assert Entitlement.objects.get(payment__line=3).status == "waiting"
        assert AuditEvent.objects.filter(action="claim.bring").count() == 1

    def test_counts_once(self, slip: claim_links.Slip) -> None:
        code = begun(slip)
        bring(slip, code)
        with pytest.raises(ClaimRefused):
            bring(slip, code)
        assert Destination.objects.filter(beneficiary=slip.link.enrollment.beneficiary).count() == 1

    @pytest.mark.parametrize("late", [False, True])
    def test_refuses_a_code_that_is_wrong_or_late(self, slip: claim_links.Slip, late: bool) -> None:
        code = begun(slip)
        wrong = code if late else f"{(int(code) + 1) % 10**6:06}"
        now = timezone.now() + timedelta(minutes=11 if late else 0)
        with pytest.raises(ClaimRefused):
            bring(slip, wrong, now=now)
        link = ClaimLink.objects.get(pk=slip.link.pk)
        assert (link.attempts, link.destination) == (1, None)

    def test_ends_after_five_wrong_codes(self, slip: claim_links.Slip) -> None:
        code = begun(slip)
        for _ in range(5):
            with pytest.raises(ClaimRefused):
                bring(slip, f"{(int(code) + 1) % 10**6:06}")
        with pytest.raises(ClaimRefused):
            bring(slip, code)
        assert not Destination.objects.filter(beneficiary=slip.link.enrollment.beneficiary).exists()

    @pytest.mark.parametrize(
        ("address", "rule"),
        [
            ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "address_mainnet"),
            ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", ""),
            ("", ""),
            ("ours", "address_unusable"),
            ("theirs", "address_unusable"),
        ],
    )
    def test_says_what_is_wrong_with_an_address_and_takes_another(
        self, slip: claim_links.Slip, program: Program, released: Disbursement, address: str, rule: str
    ) -> None:
        scripts = {
            "ours": bytes(program.wallet.scripts.all()[0].script_pubkey),
            "theirs": bytes(Payment.objects.get(disbursement=released, line=1).script_pubkey or b""),
        }
        if address in scripts:
            address = addresses.address_from_script(scripts[address], network.current())
        code = begun(slip)
        with pytest.raises(InvalidInput) as refusal:
            bring(slip, code, address=address)
        assert rule in ("", refusal.value.details["errors"][0]["code"])
        assert bring(slip, code).destination is not None

    def test_takes_a_code_of_the_counter(self, slip: claim_links.Slip, officer: User) -> None:
        code = claim_links.hand_code(by=officer, enrollment_id=slip.link.enrollment_id)
        assert bring(slip, code).code_by == officer
        assert AuditEvent.objects.filter(action="claim.hand_code").count() == 1

    def test_comes_too_late_after_the_expiry(self, slip: claim_links.Slip, released: Disbursement) -> None:
        code = begun(slip)
        entitlements.expire(released.pk, now=timezone.now() + timedelta(days=91))
        with pytest.raises(ClaimRefused):
            bring(slip, code)
        assert Entitlement.objects.get(payment__line=2).status == "expired"


class TestErasure:
    def test_leaves_no_link_and_no_message(self, slip: claim_links.Slip, released: Disbursement) -> None:
        begun(slip)
        over = timezone.now() + timedelta(days=91)
        entitlements.expire(released.pk, now=over)
        erasures._destroy(slip.link.enrollment.beneficiary_id, over)
        assert not ClaimLink.objects.filter(pk=slip.link.pk).exists()
        assert Message.objects.count() == 0


class TestRaces:
    @pytest.mark.django_db(transaction=True)
    def test_two_claims_at_once_make_one_address(self, slip: claim_links.Slip) -> None:
        code = begun(slip)
        won, second = racing.race(lambda: bring(slip, code), lambda: bring(slip, code))
        assert isinstance(second.error, ClaimRefused)
        assert Destination.objects.filter(beneficiary=slip.link.enrollment.beneficiary).count() == 1
        assert won == ClaimLink.objects.get(pk=slip.link.pk)

    @pytest.mark.django_db(transaction=True)
    def test_expiry_before_the_claim_leaves_no_address(
        self, slip: claim_links.Slip, released: Disbursement
    ) -> None:
        code = begun(slip)
        over = timezone.now() + timedelta(days=91)
        _, second = racing.race(lambda: entitlements.expire(released.pk, now=over), lambda: bring(slip, code))
        assert isinstance(second.error, ClaimRefused)
        assert not Destination.objects.filter(beneficiary=slip.link.enrollment.beneficiary).exists()
