"""What each database role may do, table by table; the owner of the tables may do everything and runs nothing."""

from collections.abc import Iterable

from ledger import grants

APPLICATION, SEALER, AUDITOR = "govpay_app", "govpay_sealer", "govpay_auditor"
EVERYTHING = ["SELECT", "INSERT", "UPDATE", "DELETE"]
OF_A_PERIOD = "allotted_sat, cash_released_sat, committed_sat, spent_sat, closed_by_id, closed_at, close_note"
OF_A_MANUAL_PRICE = "confirmed_by_id, confirmed_at, withdrawn_by_id, withdrawn_at, key_id, mac"
OF_A_BREAKER = "close_price, close_note, asked_by_id, asked_at, closed_by_id, closed_at"
OF_A_BANK_FILE = "status, size_bytes, sha256, written_at, fetched_by_id, fetched_at, problem"
# Histories and facts that the application may add to and read, but neither change nor take away.
APPEND_ONLY = {
    "payments_statuschange": ["SELECT", "INSERT"],
    # An event's number is given after the event, once; a trigger refuses to change it.
    "payments_event": ["SELECT", "INSERT", "UPDATE (number)"],
    "payments_chainfact": ["SELECT", "INSERT"],
    # A version's signed bytes come later, once; a trigger refuses to change them.
    "payments_payouttx": ["SELECT", "INSERT", "UPDATE (raw, signed_at, vsize_vb)"],
    # What was decided stays as it was proposed, and periods keep their days.
    "payments_budgetperiod": ["SELECT", "INSERT", f"UPDATE ({OF_A_PERIOD})"],
    "payments_warrant": ["SELECT", "INSERT", "UPDATE (status, decided_by_id, decided_at)"],
    "payments_commitment": ["SELECT", "INSERT", "UPDATE (committed_sat, spent_sat, missing_sat)"],
    "payments_changeoutput": ["SELECT", "INSERT"],
    "payments_partialsignature": ["SELECT", "INSERT"],
    "payments_manifestsignature": ["SELECT", "INSERT"],
    "payments_approval": ["SELECT", "INSERT"],
    "payments_groupmember": ["SELECT", "INSERT"],
    "payments_tierneed": ["SELECT", "INSERT"],
    "payments_rollingcap": ["SELECT", "INSERT"],
    # A policy is confirmed or dropped, once; its MAC covers the rest.
    "payments_approvalpolicy": [
        "SELECT",
        "INSERT",
        "UPDATE (confirmed_by_id, confirmed_at, dropped_by_id, dropped_at, key_id, mac)",
    ],
    "payments_installation": ["SELECT", "INSERT"],
    "payments_inclusionproof": ["SELECT", "INSERT"],
    "payments_intake": ["SELECT", "INSERT"],
    "payments_intakeerror": ["SELECT", "INSERT"],
    # What is proposed never changes; only what becomes of it does.
    "payments_proposal": ["SELECT", "INSERT", "UPDATE (status, decided_by_id, decided_at)"],
    "payments_pastmembership": ["SELECT", "INSERT"],
    # Whose they were is forgotten when somebody is erased; a trigger refuses anything else.
    "payments_election": ["SELECT", "INSERT", "UPDATE (enrollment_id, note)"],
    "payments_personcode": ["SELECT", "INSERT", "UPDATE (attempts, used_at, enrollment_id)"],
    "payments_quote": ["SELECT", "INSERT"],
    # A bank file's bytes follow from its lines; of these only what the bank says is added, once.
    "payments_bankfile": ["SELECT", "INSERT", f"UPDATE ({OF_A_BANK_FILE})"],
    "payments_bankfileline": ["SELECT", "INSERT", "UPDATE (account, outcome, reason, report_id)"],
    "payments_bankreport": ["SELECT", "INSERT"],
    # Of what the travel rule keeps, the payload alone is encrypted anew, and destroyed when its time is over.
    "payments_originator": ["SELECT", "INSERT", "UPDATE (ended_at)"],
    "payments_travelrecord": ["SELECT", "INSERT", "UPDATE (payload, forgotten_at)"],
    # What was given, and from where to where it jumped, stays; what people say of it is added.
    "payments_manualprice": ["SELECT", "INSERT", f"UPDATE ({OF_A_MANUAL_PRICE})"],
    "payments_pricebreaker": ["SELECT", "INSERT", f"UPDATE ({OF_A_BREAKER})"],
    # Of what two people do, who did it stays; only the decision is added.
    "payments_hold": ["SELECT", "INSERT", "UPDATE (ended_by_id, ended_at)"],
    "payments_destinationchange": [
        "SELECT",
        "INSERT",
        "UPDATE (outcome, decided_by_id, decided_at, decision_note, destination_id)",
    ],
    "payments_addressproof": ["SELECT", "INSERT", "UPDATE (signature, form, recorded_by_id, proved_at)"],
    "payments_consenttext": ["SELECT", "INSERT"],
    "payments_consent": ["SELECT", "INSERT", "UPDATE (note)"],
    "payments_erasure": ["SELECT", "INSERT", "UPDATE (outcome, decided_by_id, decided_at, decision_note)"],
    "payments_exclusion": ["SELECT", "INSERT", "UPDATE (lifted_at)"],
    "payments_appeal": [
        "SELECT",
        "INSERT",
        "UPDATE (words, outcome, decided_by_id, decided_at, decision_note)",
    ],
    "django_migrations": ["SELECT"],
} | grants.TABLE_GRANTS
# Passwords and tokens, which let somebody in; what is kept of people; answers that may quote either. A table without
# columns is hidden whole.
SECRETS: dict[str, list[str]] = {
    "auth_user": ["password"],
    "django_session": [],
    "govpay_usersession": [],
    "knox_authtoken": [],
    "govpay_apitoken": ["token_id"],
    "govpay_authenticator": ["secret"],
    "govpay_securitykey": ["secret"],
    "govpay_keychallenge": [],
    "govpay_providerlink": ["subject", "mac"],
    "govpay_recoverycode": ["digest"],
    "govpay_tokenproof": [],
    # Somebody types a password where the name belongs.
    "axes_accessattempt": [],
    "govpay_idempotencyrecord": ["body"],
    "payments_beneficiary": ["personal"],
    "payments_bankaccount": ["account"],
    "payments_voucher": ["code_hash"],
    "payments_bankfileline": ["account"],
    "payments_claimlink": ["contact", "secret_hash", "code_hash"],
    "payments_personcode": ["code_hash"],
    "payments_message": ["content"],
    "payments_importpart": ["data"],
    "payments_importrow": ["personal"],
    "payments_appeal": ["words"],
    "payments_grievance": ["said", "answer", "secret_hash"],
    "payments_travelrecord": ["payload"],
    "payments_webhooksecret": ["secret"],
} | grants.AUDITOR_HIDDEN


def application(table: str) -> list[str]:
    """Return what the application may do with a table."""
    return APPEND_ONLY.get(table, EVERYTHING)


def sealer(table: str) -> list[str]:
    """Return what the sealer may do with a table: nothing outside the ledger."""
    return grants.SEALER_GRANTS.get(table, [])


def auditor(table: str, columns: Iterable[str]) -> list[str]:
    """Return what an auditor may do with a table: read every column that is no secret."""
    if table not in SECRETS:
        return ["SELECT"]
    shown = ", ".join(f'"{column}"' for column in columns if column not in SECRETS[table])
    return [f"SELECT ({shown})"] if SECRETS[table] else []
