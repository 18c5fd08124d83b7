"""Settings, all read from the environment; a bad or missing value stops start-up and names the variable."""

import os
from datetime import timedelta
from pathlib import Path

import structlog
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy

from govpay import env
from govpay.cursor import Cursor
from govpay.said import said_later

BASE_DIR = Path(__file__).resolve().parent.parent

# Bitcoin. The network is one of four test networks; there is no way to name the main one.
GOVPAY_NETWORK = env.network("GOVPAY_NETWORK")
GOVPAY_NODE_URL = env.text("GOVPAY_NODE_URL", "http://127.0.0.1:18443")
GOVPAY_NODE_TIMEOUT_S = env.whole("GOVPAY_NODE_TIMEOUT_S", 30, least=1, most=600)
# Where the node publishes new blocks (-zmqpubhashblock); empty: ask the node.
GOVPAY_NODE_ZMQ_URL = env.text("GOVPAY_NODE_ZMQ_URL", "")
# Regtest makes blocks when somebody asks for them, so that a tip has no age there unless the environment sets one.
GOVPAY_TIP_AGE_MATTERS = GOVPAY_NETWORK != "regtest" or "GOVPAY_TIP_MAX_AGE_S" in os.environ
GOVPAY_TIP_MAX_AGE_S = env.whole("GOVPAY_TIP_MAX_AGE_S", 7200, least=60, most=604800)

# Personal data: the database holds neither of these keys.
GOVPAY_IDENTITY_KEY = env.key("GOVPAY_IDENTITY_KEY")
GOVPAY_FIELD_KEYS = env.keys("GOVPAY_FIELD_KEYS")
# Approvals: nor this one. The first writes the MACs of what people said of lists, all check them.
GOVPAY_APPROVAL_KEYS = env.keys("GOVPAY_APPROVAL_KEYS")

# Seals of the books: the key that signs their checkpoints (none: entries are sealed, heads stay unsigned), the name of the
# log, and how often entries are sealed and a checkpoint is signed.
GOVPAY_SEAL_KEY = env.optional_key("GOVPAY_SEAL_KEY")
GOVPAY_SEAL_ORIGIN = env.key_name("GOVPAY_SEAL_ORIGIN", f"govpay/{GOVPAY_NETWORK}")
# How long an appeal against an exclusion may wait for its decision.
GOVPAY_APPEAL_DAYS = env.whole("GOVPAY_APPEAL_DAYS", 30, least=1, most=3_650)
GOVPAY_SEAL_EVERY_S = env.whole("GOVPAY_SEAL_EVERY_S", 60, least=1, most=86_400)
# The code of the program whose wallet pays for anchoring each checkpoint in the chain; empty: none does.
GOVPAY_ANCHOR_PROGRAM = env.text("GOVPAY_ANCHOR_PROGRAM", "")
GOVPAY_CHECKPOINT_EVERY_S = env.whole("GOVPAY_CHECKPOINT_EVERY_S", 86_400, least=1, most=31_536_000)

# The engine's rhythm. A lease outlives the longest RPC, so that a slow worker is not overtaken for nothing.
GOVPAY_LEASE_S = env.whole("GOVPAY_LEASE_S", 60, least=2, most=3600)
env.require_longer("GOVPAY_LEASE_S", GOVPAY_LEASE_S, "GOVPAY_NODE_TIMEOUT_S", GOVPAY_NODE_TIMEOUT_S)
GOVPAY_SWEEP_S = env.whole("GOVPAY_SWEEP_S", 5, least=1, most=600)
GOVPAY_FOLLOW_S = env.whole("GOVPAY_FOLLOW_S", 1, least=1, most=600)
GOVPAY_FAILPOINT = env.text("GOVPAY_FAILPOINT", "")

# Who is told, elsewhere, that an alarm opened or closed; empty: nobody.
GOVPAY_ALARM_WEBHOOK_URL = env.web_address("GOVPAY_ALARM_WEBHOOK_URL")
GOVPAY_ALARM_WEBHOOK_SECRET = env.webhook_secret("GOVPAY_ALARM_WEBHOOK_SECRET")
env.require_both(
    "GOVPAY_ALARM_WEBHOOK_URL",
    GOVPAY_ALARM_WEBHOOK_URL,
    "GOVPAY_ALARM_WEBHOOK_SECRET",
    GOVPAY_ALARM_WEBHOOK_SECRET,
)
# Whether addresses that users name may be on our own loopback; for development, so on regtest only.
GOVPAY_OUTBOUND_LOOPBACK = env.only_on_regtest("GOVPAY_OUTBOUND_LOOPBACK", GOVPAY_NETWORK)

# Who is asked, elsewhere, whether people are who they are enrolled as; empty: nobody, and nobody is held for it.
GOVPAY_VERIFIER_URL = env.web_address("GOVPAY_VERIFIER_URL")
GOVPAY_VERIFIER_KEY = env.text("GOVPAY_VERIFIER_KEY", "")
env.require_both("GOVPAY_VERIFIER_URL", GOVPAY_VERIFIER_URL, "GOVPAY_VERIFIER_KEY", GOVPAY_VERIFIER_KEY)
# Who says whether an account in a bank has the title that we know.
GOVPAY_PAYEE_CHECK_URL = env.web_address("GOVPAY_PAYEE_CHECK_URL")
GOVPAY_PAYEE_CHECK_KEY = env.text("GOVPAY_PAYEE_CHECK_KEY", "")
# For whom it is asked: the institution's own BIC (ISO 9362), where the scheme wants one.
GOVPAY_PAYEE_CHECK_BIC = env.bic("GOVPAY_PAYEE_CHECK_BIC")
env.require_both(
    "GOVPAY_PAYEE_CHECK_URL", GOVPAY_PAYEE_CHECK_URL, "GOVPAY_PAYEE_CHECK_KEY", GOVPAY_PAYEE_CHECK_KEY
)

# What carries messages to people: claim links and codes. "local" leaves them in the admin, on regtest alone; empty: nothing
# does, and links are printed. The address of this installation as people's telephones reach it.
GOVPAY_SMS_URL = env.sms_gateway("GOVPAY_SMS_URL", GOVPAY_NETWORK)
GOVPAY_SMS_TOKEN = env.text("GOVPAY_SMS_TOKEN", "")
GOVPAY_EMAIL_URL, _EMAIL = env.mail_gateway("GOVPAY_EMAIL_URL", GOVPAY_NETWORK)
EMAIL_HOST = _EMAIL.get("EMAIL_HOST", "")
EMAIL_PORT = _EMAIL.get("EMAIL_PORT", 25)
EMAIL_HOST_USER = _EMAIL.get("EMAIL_HOST_USER", "") or ""
EMAIL_HOST_PASSWORD = _EMAIL.get("EMAIL_HOST_PASSWORD", "") or ""
EMAIL_USE_TLS = bool(_EMAIL.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_EMAIL.get("EMAIL_USE_SSL"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("GOVPAY_EMAIL_FROM", "govpay@localhost")
GOVPAY_PUBLIC_URL = env.web_address("GOVPAY_PUBLIC_URL").rstrip("/") or "http://127.0.0.1:8000"

SECRET_KEY = env.text("GOVPAY_SECRET_KEY")
DEBUG = env.read.bool("GOVPAY_DEBUG", default=False)
ALLOWED_HOSTS = env.read.list("GOVPAY_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
HTTPS = env.read.bool("GOVPAY_HTTPS", default=False)

# Signing in. Whether everybody needs a second factor, or only who has enrolled one; for how long a code counts for acts
# that need a fresh one; after how many wrong passwords or codes a user and an address are locked out, and for how long.
GOVPAY_SECOND_FACTOR = env.choice(
    "GOVPAY_SECOND_FACTOR", "optional" if DEBUG else "required", ("required", "optional")
)
# The address that people type, without a path: security keys sign it, and a provider of identities sends people back to it.
# Empty: neither is offered. Keys belong to its host, or to a domain above it.
GOVPAY_ORIGIN = env.origin("GOVPAY_ORIGIN")
GOVPAY_KEY_DOMAIN = env.domain_of("GOVPAY_KEY_DOMAIN", "GOVPAY_ORIGIN", GOVPAY_ORIGIN)
GOVPAY_KEY_VERIFIES_USER = (
    env.choice("GOVPAY_KEY_USER_VERIFICATION", "required", ("required", "preferred")) == "required"
)
# Single sign-on by OpenID Connect; empty: none. What of a provider's ``amr`` and ``acr`` stands for a second factor when
# somebody signs in, as ``amr:otp`` or ``acr:...``: nothing, unless said so.
GOVPAY_OIDC_ISSUER = env.issuer("GOVPAY_OIDC_ISSUER")
GOVPAY_OIDC_CLIENT_ID = env.text("GOVPAY_OIDC_CLIENT_ID", "")
GOVPAY_OIDC_CLIENT_SECRET = env.text("GOVPAY_OIDC_CLIENT_SECRET", "")
GOVPAY_OIDC_NAME = env.text("GOVPAY_OIDC_NAME", "single sign-on")
GOVPAY_OIDC_SECOND_FACTORS = env.prefixed("GOVPAY_OIDC_SECOND_FACTORS", ("amr", "acr"))
env.require_all("GOVPAY_OIDC_ISSUER", "GOVPAY_OIDC_CLIENT_ID", "GOVPAY_OIDC_CLIENT_SECRET", "GOVPAY_ORIGIN")
GOVPAY_STEP_UP_S = env.whole("GOVPAY_STEP_UP_S", 300, least=10, most=3600)
GOVPAY_LOGIN_FAILURES = env.whole("GOVPAY_LOGIN_FAILURES", 5, least=2, most=100)
GOVPAY_ADDRESS_FAILURES = env.whole("GOVPAY_ADDRESS_FAILURES", 50, least=2, most=10_000)
GOVPAY_LOCKOUT_S = env.whole("GOVPAY_LOCKOUT_S", 900, least=60, most=86_400)

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "csp",
    "axes",
    "django_otp",
    "govpay",
    "ledger",
    "payments",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "govpay.api.limits.AddressLimit",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "govpay.languages.StaffLanguage",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "govpay.fragments.FragmentsEnd",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "govpay.middleware.AuditDoor",
    "govpay.middleware.PathContentPolicy",
    "govpay.login.gate.SecondFactorGate",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "govpay.urls"
WSGI_APPLICATION = "govpay.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "govpay" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "payments.admin.stop.banner",
            ],
        },
    },
]

DATABASES = {"default": env.read.db("DATABASE_URL", engine="django.db.backends.postgresql")}
DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# Both ends notice within half a minute that the other is gone: a session that a dead network keeps open would keep
# the follower's lock and row locks too. A process that is frozen inside a database transaction answers for the dead all
# the same: what it holds is taken from it after two minutes. What DATABASE_URL says itself comes first.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 10,
    # Statements are bound by the server, which keeps the plan of what a connection asks again and again (ADR 52).
    "server_side_binding": True,
    "cursor_factory": Cursor,
    "prepare_threshold": 2,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=30000 -c idle_in_transaction_session_timeout=120000",
} | DATABASES["default"].get("OPTIONS", {})
# Whoever seals may add to the seals, and the application may not: a role, and so a connection, of its own.
if "GOVPAY_SEALER_DATABASE_URL" in os.environ:
    DATABASES["sealer"] = (
        DATABASES["default"]
        | env.read.db("GOVPAY_SEALER_DATABASE_URL", engine="django.db.backends.postgresql")
        | {"OPTIONS": DATABASES["default"]["OPTIONS"]}
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_RETRY = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A send must not hang an officer's request while the broker is down: the sweep rings again later.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 5,
    "retry_on_timeout": True,
}
CELERY_TASK_PUBLISH_RETRY = False
# A worker keeps its connection to the database for so many tasks, rather than making one for each: govpay/celery.py.
CELERY_DB_REUSE_MAX = 10_000
# Rounds have a queue, and in production a worker, of their own: a node that hangs holds up whoever asks it, and must not
# keep blocks from being read and lost work from being found.
CELERY_TASK_DEFAULT_QUEUE = "work"
GOVPAY_ROUNDS_QUEUE = "rounds"
CELERY_TASK_ROUTES = {
    f"payments.tasks.{name}": {"queue": GOVPAY_ROUNDS_QUEUE}
    for name in (
        "follow",
        "sweep",
        "deliver",
        "verify",
        "check_payees",
        "send_messages",
        "watch_prices",
        "prune",
    )
}
# Receivers of webhooks may be slow on purpose, and must hold up neither payouts nor rounds.
GOVPAY_WEBHOOKS_QUEUE = "webhooks"
CELERY_TASK_ROUTES["payments.tasks.send_webhook"] = {"queue": GOVPAY_WEBHOOKS_QUEUE}
CELERY_BEAT_SCHEDULE = {
    "follow": {"task": "payments.tasks.follow", "schedule": GOVPAY_FOLLOW_S},
    "sweep": {"task": "payments.tasks.sweep", "schedule": GOVPAY_SWEEP_S},
    "prune": {"task": "payments.tasks.prune", "schedule": timedelta(hours=1)},
}

# How often the sources of prices are asked, and the folder of those that are files; empty: there are none.
GOVPAY_PRICES_S = env.whole("GOVPAY_PRICES_S", 30, least=5, most=3_600)
GOVPAY_PRICE_FOLDER = env.text("GOVPAY_PRICE_FOLDER", "")

# How often the node looks through its unspent outputs for all holdings of the public sector.
GOVPAY_RESERVE_S = env.whole("GOVPAY_RESERVE_S", 86_400, least=60, most=31_536_000)

# How often the figures of the public page are taken; 0: never, and there is no page.
GOVPAY_TRANSPARENCY_S = env.whole("GOVPAY_TRANSPARENCY_S", 86_400, least=0, most=31_536_000)

LEDGER_EVIDENCE = "payments.selectors.evidence.backend"
LEDGER_PACK_EVIDENCE = "payments.selectors.packs.backend"
LEDGER_DOORBELL = "payments.doorbell.ring"
LEDGER_PAGES = "payments.admin.sources.page_of"
LEDGER_SCOPES = "payments.admin.sources.scope_names"
LEDGER_IDEMPOTENT = "govpay.api.idempotency.Idempotent"
# The month in which the fiscal year begins; July, as in Pakistan, unless the environment says otherwise.
LEDGER_FISCAL_YEAR_MONTH = env.whole("GOVPAY_FISCAL_YEAR_MONTH", 7, least=1, most=12)
# How often claims, books and blocks are compared, how often all of them are read for it, and for how long a difference of
# time is none.
GOVPAY_RECONCILE_EVERY_S = env.whole("GOVPAY_RECONCILE_EVERY_S", 86_400, least=60, most=31_536_000)
GOVPAY_RECONCILE_FULL_EVERY_S = env.whole("GOVPAY_RECONCILE_FULL_EVERY_S", 604_800, least=60, most=31_536_000)
GOVPAY_RECONCILE_PATIENCE = timedelta(
    seconds=env.whole("GOVPAY_RECONCILE_PATIENCE_S", 259_200, least=0, most=31_536_000)
)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["govpay.api.authentication.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["govpay.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "govpay.api.pagination.CursorPages",
    "DEFAULT_FILTER_BACKENDS": ["govpay.api.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "govpay.api.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "SCHEMA_COERCE_PATH_PK": False,
    "EXCEPTION_HANDLER": "govpay.api.problems.handle",
    "DEFAULT_THROTTLE_CLASSES": ["govpay.api.limits.UserLimit"],
    "DEFAULT_THROTTLE_RATES": {"verify": "20/min", "person": "20/min"},
    # How many proxies in front may be believed about a caller's address; none, unless said so.
    "NUM_PROXIES": env.whole("GOVPAY_PROXIES", 0, least=0, most=10),
    "COERCE_DECIMAL_TO_STRING": True,
}
# How many requests a minute: of a user that read, that write, that export; of an address; and of those that are guessed
# at. 0 limits nothing.
GOVPAY_RATES = {
    "reads": env.whole("GOVPAY_RATE_READS", 1_200, least=0, most=1_000_000),
    "writes": env.whole("GOVPAY_RATE_WRITES", 300, least=0, most=1_000_000),
    "exports": env.whole("GOVPAY_RATE_EXPORTS", 60, least=0, most=1_000_000),
    "address": env.whole("GOVPAY_RATE_ADDRESS", 12_000, least=0, most=1_000_000),
    "public": env.whole("GOVPAY_RATE_PUBLIC", 120, least=0, most=1_000_000),
    "login": 20,
    # What may be asked about one number of a program, whoever asks.
    "status": 6,
    "vouchers": 30,
    "step_up": 20,
}
KNOX_TOKEN_MODEL = "knox.AuthToken"  # noqa: S105 - a table.
REST_KNOX = {"TOKEN_TTL": timedelta(hours=10), "TOKEN_LIMIT_PER_USER": 20, "AUTH_HEADER_PREFIX": "Bearer"}
SPECTACULAR_SETTINGS = {
    "TITLE": "govpay API",
    "DESCRIPTION": "Government payments on a Bitcoin test network: programs, people, lists, payouts, books.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "govpay.api.schema.add_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "DisbursementStatus": "payments.states.DisbursementStatus",
        "PaymentStatus": "payments.states.PaymentStatus",
        "PayoutStatus": "payments.states.PayoutStatus",
        "PayoutKind": "payments.models.payout.PayoutKind",
        "PayoutTxKind": "payments.models.payout.PayoutTxKind",
        "IntakeKind": "payments.models.intake.IntakeKind",
        "IntakeStatus": "payments.models.intake.IntakeStatus",
        "ImportStatus": "payments.states.ImportStatus",
        "InterventionKind": "payments.models.intervention.InterventionKind",
        "InterventionStatus": "payments.states.InterventionStatus",
        "ProposalKind": "payments.services.proposals.CHOICES",
        "RoleProposalKind": "payments.services.proposals.OF_ROLES",
        # Of warrants, too: the words are the same, and a set of words has one name.
        "ProposalStatus": "payments.states.ProposalStatus",
        "PayoutInterventionKind": "payments.api.serializers.intervention.OF_PAYOUT",
        "ApprovalStep": "payments.models.approval.Step",
        "CapKind": "payments.models.approval.CapKind",
        "WarrantKind": "payments.models.budget.WarrantKind",
        "GrievanceCategory": "payments.models.grievance.GrievanceCategory",
        "GrievanceStatus": "payments.states.GrievanceStatus",
        "Finding": "payments.models.grievance.Finding",
        "EntitlementStatus": "payments.states.EntitlementStatus",
        "Channel": "payments.models.claim.Channel",
        "StateEnum": "payments.models.signing.RequestState",
        "WebhookState": "payments.api.serializers.webhook.STATES",
        "DeliveryStatus": "payments.api.serializers.webhook.STATUSES",
        "PauseReason": "payments.models.webhook.PauseReason",
        "EventType": "payments.api.serializers.webhook.TYPES",
        "LotMovementKind": "ledger.models.lot.MovementKind",
        "PriceSourceKind": "payments.models.price.SourceKind",
        "PriceCurrency": "payments.api.serializers.price.CURRENCIES",
        "PriceRuleBroken": "payments.api.serializers.price.BROKEN",
        "ManualPriceState": "payments.api.serializers.price.STATES",
        "TrustDecisionKind": "payments.models.trust.TrustDecisionKind",
        "DecisionStatus": "payments.states.DecisionStatus",
        "LegStatus": "payments.states.LegStatus",
        "LegRefusal": "payments.api.serializers.trust.REFUSALS",
        "ChosenInstead": "payments.api.serializers.trust.INSTEAD",
        "RailEnum": "payments.models.rail.Rail",
        "ChosenRail": "payments.api.serializers.trust.CHOSEN_RAILS",
        "ElectionChoice": "payments.models.election.ElectionChoice",
        "HoldingKind": "payments.models.reserve.HoldingKind",
        "ReserveState": "payments.api.serializers.reserve.STATES",
        "ReserveBadge": "ledger.models.reserve.Badge",
        "PositionBadge": "payments.api.serializers.institution.BADGES",
        "InflowKind": "ledger.models.inflow.InflowKind",
        "PurchasePlanState": "payments.api.serializers.inflow.PLAN_STATES",
        "ReserveProofState": "payments.api.serializers.reserve_proof.STATES",
        "Role": "payments.models.program.Role",
        "AccountKind": "ledger.models.account.AccountKind",
        "Layer": "ledger.models.entry.Layer",
        "PackKind": "ledger.models.pack.PackKind",
        "PackStatus": "ledger.models.pack.PackStatus",
        "PeriodStatus": "ledger.models.period.PeriodStatus",
        "RunStatus": "ledger.models.reconciliation.RunStatus",
        "BreakKind": "ledger.models.reconciliation.BreakKind",
        "CaseStatus": "ledger.models.case.CaseStatus",
        "Resolution": "ledger.models.case.Resolution",
    },
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "govpay.login.acts.PasswordRecorder"},
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "govpay.login.rights.Rights",
]
AXES_HANDLER = "govpay.login.lockout.Failures"
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_FAILURE_LIMIT = GOVPAY_LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(seconds=GOVPAY_LOCKOUT_S)
# Who goes on trying does not lengthen it: otherwise anybody could lock somebody out for good.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "govpay.login.lockout.address_of"
AXES_LOCKOUT_CALLABLE = "govpay.login.lockout.answer"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "otp", "code"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
# Those of pages, each by its own name; the API speaks English.
LANGUAGES = [("en", "English"), ("es", "Español"), ("ur", "اردو")]
LOCALE_PATHS = [BASE_DIR / "govpay" / "locale"]
FORMAT_MODULE_PATH = ["govpay.formats"]
# What somebody chose at the foot of a page of the admin; no other page gets to see it (docs/adr).
LANGUAGE_COOKIE_PATH = "/admin/"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# The files are served from where the packages keep them, so that no collect step can be forgotten.
WHITENOISE_USE_FINDERS = True
# Uploads larger than this go to a temporary file, so that memory does not grow with the list.
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
# Of a file that is imported in the background, which the database keeps for a while; and for how long.
GOVPAY_IMPORT_MAX_BYTES = env.whole("GOVPAY_IMPORT_MAX_BYTES", 100_000_000, least=1024, most=999_999_999)
GOVPAY_IMPORT_KEPT_DAYS = env.whole("GOVPAY_IMPORT_KEPT_DAYS", 7, least=1, most=365)
GOVPAY_UPLOAD_MAX_BYTES = env.whole("GOVPAY_UPLOAD_MAX_BYTES", 200_000_000, least=1024, most=999_999_999)

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
# The admin's theme evaluates expressions and sets styles from script (docs/adr), the API's documentation sets
# styles; only their paths allow that.
CONTENT_SECURITY_POLICY_PATHS = {
    "/admin/": {"script-src": [SELF, UNSAFE_EVAL, UNSAFE_INLINE], "style-src": [SELF, UNSAFE_INLINE]},
    "/api/docs/": {"style-src": [SELF, UNSAFE_INLINE]},
}

MESSAGE_STORAGE = "govpay.notes.Notes"
SESSION_ENGINE = "govpay.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"

UNFOLD = {
    "SITE_TITLE": "govpay",
    "SITE_HEADER": "govpay",
    "SITE_SUBHEADER": "govpay.admin.subheader",
    "SITE_SYMBOL": "account_balance",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("payments/favicon.svg")}
    ],
    "STYLES": [
        lambda request: static("payments/mirrored.css"),
        lambda request: static("payments/admin.css"),
    ],
    "SHOW_HISTORY": True,
    "ENVIRONMENT": "govpay.admin.network_badge",
    "ACCOUNT": {
        "navigation": [{"title": said_later("Second factor"), "link": reverse_lazy("second-factor")}],
    },
    "DASHBOARD_CALLBACK": "payments.admin.home.fill",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "payments.admin.menu.sidebar",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.processors.JSONRenderer(),
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.processors.format_exc_info,
            ],
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.text("GOVPAY_LOG_LEVEL", "INFO")},
    "loggers": {
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "django_structlog": {"level": "WARNING"},
        # It writes names and addresses of whoever mistypes a password; the table has them.
        "axes": {"level": "ERROR"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
