"""How often a user and an address may ask: counted in Redis, for all web processes together, in one step each time.

The rule is the generic cell rate algorithm: as many at once as a minute has, then evenly. A key holds one number, the time
at which all that was taken will have been earned; Redis's own clock counts, so that web processes need none in common.
While Redis is away nothing is limited: officers go on (work is rows), and what guards passwords is the lockout, which the
database keeps (ADR 46).
"""

import functools
import hashlib
import hmac
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.throttling import BaseThrottle

from govpay.api import problems

log = structlog.get_logger(__name__)

SAFE = ("GET", "HEAD", "OPTIONS")
PERIOD_US = 60_000_000
# A request must not wait for a broker that is away, nor each of them find that out anew.
TIMEOUT_S, REST_S = 0.25, 5.0
PATHS = "/api/"
TAKE = """
local now = tonumber(ARGV[2])
if now < 0 then
    local at = redis.call('TIME')
    now = tonumber(at[1]) * 1000000 + tonumber(at[2])
end
local most, period = tonumber(ARGV[1]), tonumber(ARGV[3])
local gap = math.floor(period / most)
local earned = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local room = now + gap * most - earned
if room < gap then
    return {0, 0, gap - room}
end
earned = earned + gap
redis.call('SET', KEYS[1], string.format('%.0f', earned), 'PX', math.ceil((earned - now) / 1000))
return {1, math.floor((room - gap) / gap), 0}
"""
# Until when, by the monotonic clock, Redis is not asked.
_rest = {"until": 0.0}


class Taken(NamedTuple):
    """What became of a request: how many more may follow at once, and how long to wait where it may not be."""

    may: bool
    left: int
    wait_s: int


def take(limit: str, whose: str) -> Taken | None:
    """Count a request of somebody against a limit of settings; None where nothing is limited, or Redis is away."""
    most = settings.GOVPAY_RATES[limit]
    if most == 0 or time.monotonic() < _rest["until"]:
        return None
    key = f"govpay:rate:{limit}:{whose}"
    try:
        may, left, wait_us = _script(settings.REDIS_URL)(keys=[key], args=[most, now_us(), PERIOD_US])
    except redis.RedisError as error:
        _rest["until"] = time.monotonic() + REST_S
        log.warning("nothing_is_limited", error=type(error).__name__)
        return None
    return Taken(bool(may), left, math.ceil(wait_us / 1_000_000))


def now_us() -> int:
    """Return the time to count by, in microseconds; less than none means Redis's own clock."""
    return -1


def headers(limit: str, taken: Taken) -> dict[str, str]:
    """Return what a caller is told (draft-ietf-httpapi-ratelimit-headers)."""
    most = settings.GOVPAY_RATES[limit]
    return {
        "RateLimit-Policy": f'"{limit}";q={most};w={PERIOD_US // 1_000_000}',
        "RateLimit": f'"{limit}";r={taken.left};t={taken.wait_s}',
    }


class UserLimit(BaseThrottle):
    """Limits a user, whichever token carries the request, or an address where nobody has signed in.

    Reads and writes are counted apart; ``limit`` of a view names another of the settings' limits.
    """

    def allow_request(self, request: Any, view: Any) -> bool:
        """Count the request, and tell the caller how it stands."""
        limit = getattr(view, "limit", None) or ("reads" if request.method in SAFE else "writes")
        user = request.user
        whose = f"user:{user.pk}" if user is not None and user.is_authenticated else address_key(request)
        taken = take(limit, whose)
        if taken is None:
            return True
        view.headers.update(headers(limit, taken))
        self.wait_s = taken.wait_s
        return taken.may

    def wait(self) -> float:
        """Return for how long the caller should wait."""
        return self.wait_s


class AddressLimit:
    """Limits an address before anything else is looked at, a token least of all."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PATHS):
            return self.get_response(request)
        taken = take("address", address_key(request))
        if taken is None or taken.may:
            return self.get_response(request)
        text = f"Too many requests came from this address. Expected available in {taken.wait_s} seconds."
        said = headers("address", taken) | {"Retry-After": str(taken.wait_s), "Cache-Control": "no-store"}
        body = problems.problem("throttled", 429, text)
        return JsonResponse(body, status=429, headers=said, content_type=problems.CONTENT_TYPE)


def address_key(request: Any) -> str:
    """Return a caller's address, as far as proxies are believed, so that Redis holds none."""
    ident = BaseThrottle().get_ident(request) or ""
    return "address:" + hmac.digest(settings.SECRET_KEY.encode(), ident.encode(), hashlib.sha256).hex()[:32]


@functools.cache
def _script(url: str) -> Any:
    client = redis.Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None, retry_on_error=[]
    )
    return client.register_script(TAKE)
