"""Refuses to work on the wrong chain: at start-up, and before anything is signed or sent."""

from django.conf import settings
from django.utils import timezone

from payments.models import NodeStatus
from payments.onchain import network, node
from payments.onchain.network import MainnetRefused, WrongChain
from payments.onchain.rpc import NodeError
from payments.payout import failpoint


def check_at_start() -> None:
    """Stop the process when the node is on another chain; a node that is down is only noted, it may come back."""
    failpoint.check_setting()
    try:
        require_chain(node.connect())
    except NodeError as error:
        record(is_ok=False, code=error.code, message=error.message)


def require_chain(client: node.Node) -> None:
    """Raise MainnetRefused or WrongChain, and note it for the screens, unless the node is on our network."""
    try:
        network.check_node(client, network.current())
    except (MainnetRefused, WrongChain) as error:
        record(is_ok=False, code=error.code, message=error.message)
        raise


def record(
    *,
    is_ok: bool,
    code: str = "",
    message: str = "",
    subversion: str = "",
    block_hash: str = "",
    block_height: int | None = None,
) -> None:
    """Keep the last look at the node, in its one row."""
    seen = {"is_ok": is_ok, "code": code, "message": message[:300]}
    if is_ok:
        seen |= {"subversion": subversion[:100], "block_hash": block_hash, "block_height": block_height}
    NodeStatus.objects.update_or_create(
        network=settings.GOVPAY_NETWORK, defaults={**seen, "checked_at": timezone.now()}
    )
