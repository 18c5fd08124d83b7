"""Rails: accounts in banks, files for banks and what banks say of them, and vouchers."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import Hash, StrictSerializer, Text
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.models import BankAccount, Rail, TitleMatch
from payments.rails import iban, transfer
from payments.services import proposals
from payments.states import BankFileStatus, VoucherStatus


class RailChoice(StrictSerializer):
    """How a draft is paid."""

    rail = serializers.ChoiceField(choices=Rail.choices)


class AccountFile(StrictSerializer):
    """A CSV file of people's first accounts: reference, title, iban, and bic if there is any."""

    file = serializers.FileField()


class AccountsLoaded(serializers.Serializer[Any]):
    """How many people have an account now who had none."""

    count = serializers.IntegerField()


class NewAccount(StrictSerializer):
    """A person's account in a bank, as the bank has it."""

    title = Text(max_length=transfer.MAX_NAME)
    iban = Text(max_length=60)
    bic = Text(required=False, max_length=11, allow_blank=True, default="")
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class AccountOut(serializers.Serializer[Any]):
    """A person's account: the number masked, the title never shown; what the bank says of it in the codes of the EPC."""

    id = serializers.IntegerField()
    beneficiary_id = serializers.IntegerField()
    iban = serializers.SerializerMethodField()
    is_current = serializers.BooleanField()
    replaces_id = serializers.IntegerField(allow_null=True)
    title_match = serializers.ChoiceField(choices=TitleMatch.choices, allow_blank=True)
    created_by = Username()
    created_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)

    def get_iban(self, row: BankAccount) -> str:
        """Return country, check digits and the last four characters."""
        return iban.masked(row.account.get("iban", ""))


class PayingAccountProposal(StrictSerializer):
    """The account that a program pays from by bank file."""

    title = Text(max_length=transfer.MAX_NAME)
    iban = Text(max_length=60)
    bic = Text(required=False, max_length=11, allow_blank=True, default="")
    currency = Text(max_length=3)
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class BankFileOut(serializers.Serializer[Any]):
    """A file of credit transfers; ``sha256`` is of its bytes, which are the same every time."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField(allow_null=True)
    origin = serializers.CharField()
    origin_id = serializers.IntegerField()
    part = serializers.IntegerField()
    message_id = serializers.CharField()
    status = serializers.ChoiceField(choices=BankFileStatus.choices)
    problem = serializers.CharField()
    currency = serializers.CharField()
    line_count = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    execution_date = serializers.DateField()
    sha256 = Hash(allow_null=True)
    made_at = serializers.DateTimeField()
    written_at = serializers.DateTimeField(allow_null=True)
    fetched_by = Username(allow_null=True)
    fetched_at = serializers.DateTimeField(allow_null=True)


class ReportFile(StrictSerializer):
    """What a bank said of a file: a pain.002."""

    file = serializers.FileField()


class BankReportOut(serializers.Serializer[Any]):
    """A report that was taken, and what it ended that was still open."""

    id = serializers.IntegerField()
    bank_file_id = serializers.IntegerField()
    message_id = serializers.CharField()
    sha256 = Hash()
    settled_count = serializers.IntegerField()
    settled_minor = serializers.IntegerField()
    rejected_count = serializers.IntegerField()
    rejected_minor = serializers.IntegerField()
    brought_by = Username()
    brought_at = serializers.DateTimeField()


class VoucherOut(serializers.Serializer[Any]):
    """A voucher, without its code, which nobody has but its person."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    payment_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=VoucherStatus.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    made_at = serializers.DateTimeField()
    issued_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    is_cancel_asked = serializers.SerializerMethodField()
    replaces_id = serializers.IntegerField(allow_null=True)

    def get_is_cancel_asked(self, row: Any) -> bool:
        """Say whether a second person is to decide whether it is cancelled."""
        return row.cancel_asked_by_id is not None


class SlipOut(serializers.Serializer[Any]):
    """What is printed for a person: the code is in this answer alone."""

    voucher_id = serializers.IntegerField()
    reference = serializers.CharField()
    code = serializers.CharField()
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    expires_at = serializers.DateTimeField()


class SlipsOut(serializers.Serializer[Any]):
    """Slips of some hundred vouchers that had no code yet; ask again until there are none."""

    slips = SlipOut(many=True)


class VoucherCode(StrictSerializer):
    """A code as it is typed, or read from the picture."""

    code = Text(max_length=40)


class CancelReason(StrictSerializer):
    """Why a voucher should be cancelled."""

    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class Cancelling(StrictSerializer):
    """Whether another voucher stands in for the one that is cancelled."""

    is_replaced = serializers.BooleanField()
