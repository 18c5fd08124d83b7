"""Why somebody is not let in, or not let do it yet."""

from govpay.errors import Conflict, Forbidden, GovPayError, Unavailable


class SecondFactorNeeded(GovPayError):
    """The password is right, and a code of the user's authenticator must come with it."""

    code = "second_factor_needed"
    http_status = 401


class CodeWrong(Forbidden):
    """The code is not what the authenticator shows, was used before, or is no unused recovery code."""

    code = "code_wrong"


class TooSoon(GovPayError):
    """Codes were wrong, and the next may be tried later."""

    code = "code_too_soon"
    http_status = 429
    is_transient = True


class LockedOut(GovPayError):
    """Too many passwords or codes were wrong, of this user or from this address."""

    code = "locked_out"
    http_status = 429


class NotTwoPeople(Forbidden):
    """Two administrators must agree, other than the person whom it is about."""

    code = "two_administrators_needed"


class NotEnrolled(Forbidden):
    """A second factor is required, and the user has none."""

    code = "second_factor_not_enrolled"


class StepUpNeeded(Forbidden):
    """The act needs a code that was given within the last minutes."""

    code = "step_up_needed"


class KeyRefused(Forbidden):
    """The security key's answer is not one to this question, by a key of this user, given here and signed."""

    code = "key_refused"


class KeysOff(Conflict):
    """This installation has no address of its own set, which security keys need."""

    code = "security_keys_off"


class LastFactor(Conflict):
    """It is the only second factor that the user has."""

    code = "last_factor"


class TooManyKeys(Conflict):
    """The user has as many security keys as one may have."""

    code = "too_many_security_keys"


class ProviderRefused(Forbidden):
    """What came back from the provider of identities is not an answer to what this browser asked, or not the provider's."""

    code = "provider_refused"


class ProviderDown(Unavailable):
    """The provider of identities does not answer, or not with what its standard says."""

    code = "provider_down"


class NotLinked(Forbidden):
    """Nobody here has said that this account of the provider is theirs."""

    code = "provider_not_linked"


class LinkedBefore(Conflict):
    """The provider's account is linked with a user, or the user with an account."""

    code = "provider_linked_before"
