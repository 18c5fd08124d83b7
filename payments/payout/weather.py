"""Looks at the node's memory pool every minute and keeps what was seen, so that pages tell of fees without asking it."""

from datetime import timedelta

import structlog
from django.db.models.functions import Now

from payments.models import Heartbeat, MempoolLook
from payments.onchain import node
from payments.payout import feerate

log = structlog.get_logger(__name__)

EVERY_S = 60
KEPT = timedelta(days=2)
# In how many blocks: about as soon as it can be, within an hour, within a day.
TARGETS = {"next_sat_kvb": 2, "hour_sat_kvb": 6, "day_sat_kvb": 144}


def look(client: node.Node) -> None:
    """Keep what the node says now, unless somebody looked a moment ago, and forget what is old.

    A node that does not answer is noted by whoever needs it; here only the look is missing.
    """
    if not Heartbeat.is_due("weather", every_s=EVERY_S):
        return
    Heartbeat.beat("weather")
    try:
        info = client.mempool_info()
        expected = {name: feerate.estimate(client, blocks) for name, blocks in TARGETS.items()}
    except node.NodeError as error:
        log.warning("weather_unknown", code=error.code, reason=error.message)
        return
    MempoolLook.objects.create(**info._asdict(), **expected)
    MempoolLook.objects.filter(at__lt=Now() - KEPT).delete()
