"""What people are told when something they sent is refused, by its code: short, and in their language."""

from django.utils.translation import gettext_lazy as _

from govpay.errors import GovPayError

PROBLEMS = {
    "address_missing": _("There is no address."),
    "address_malformed": _("This is not an address."),
    "address_checksum": _("There is a typing error in the address."),
    "address_mixed_case": _(
        "The address mixes upper and lower case, so a typing error could hide in it. Copy it from your wallet."
    ),
    "address_mainnet": _("This is an address of the main network; payments here are made on a test network."),
    "address_wrong_network": _("This is an address of another network."),
    "address_wrong_encoding": _("There is a typing error in the address."),
    "address_unsupported": _("Nobody could spend what is sent to this address; bring another one."),
    "address_not_ascii": _(
        "The address has characters that only look like the right ones. Copy it from your wallet."
    ),
    "address_is_secret": _(
        "This is a private key or the words of a wallet. Tell it to nobody! It was not stored. Bring an address."
    ),
    "address_is_xpub": _("This is a key of a whole wallet. Bring one address."),
    "address_is_uri": _("This is a payment link. Give the address alone."),
    "address_unusable": _("This address cannot be used; bring another one of yours."),
    "amount_out_of_range": _("This is no amount of satoshis."),
    "contact_malformed": _("Write it on one line."),
    "malformed": _("There is a character that is no text."),
    "missing": _("Say it in some words."),
    "no_receipt": _("There can be no receipt for this payment. Ask at the help desk."),
    "not_found": _("There is no grievance with this number and this code."),
    "receipt_not_ready": _("The receipt is not ready yet. Come again in an hour."),
    "receipt_unknown": _("There is no such receipt."),
    "status_conflict": _("This cannot be done any more. Read the answer again."),
    "too_long": _("This is too long."),
}


def of(error: GovPayError) -> str:
    """Return what a person is told of a refusal; one that is not foreseen here says its own words."""
    errors = error.details.get("errors") or [{}]
    return str(PROBLEMS.get(errors[0].get("code", error.code), error.message))
