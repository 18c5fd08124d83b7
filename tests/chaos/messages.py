"""Judges what the receiver of alarms was told: everything, under one id each, in order, and nothing by a stranger."""

from collections import defaultdict

from tests.chaos.stage import Stage
from tests.invariants.checks import Violation

# How long what waits has to wait is another test's business.
AT_ONCE = (
    "UPDATE payments_alarmdelivery SET due_at = now() WHERE delivered_at IS NULL RETURNING id",
    "DELETE FROM payments_heartbeat WHERE name = 'webhook_failed' RETURNING id",
)


def send_at_once(stage: Stage) -> None:
    """End every wait of messages that were not taken yet."""
    for statement in AT_ONCE:
        stage.ask(statement)


def check(stage: Stage) -> None:
    """Compare the messages that arrived with the alarms; raise Violation."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for message in stage.receiver.messages:
        bodies[message.id].add(message.body)
    if stage.receiver.refused:
        raise Violation(f"the receiver refused {len(stage.receiver.refused)} messages as not ours")
    if changed := [found for found, every in bodies.items() if len(every) > 1]:
        raise Violation(f"messages changed between two attempts: {changed}")
    sent = {found for (found,) in stage.ask("SELECT message_id FROM payments_alarmdelivery")}
    if sent != bodies.keys():
        raise Violation(
            f"messages that did not arrive {sent - bodies.keys()}, or that nobody sent {bodies.keys() - sent}"
        )
    told: dict[int, list[str]] = defaultdict(list)
    for kind, alarm_id in stage.receiver.said:
        told[alarm_id].append(kind)
    for alarm_id, is_closed in stage.ask("SELECT id, closed_at IS NOT NULL FROM payments_alarm"):
        expected = ["alarm.opened", "alarm.closed"] if is_closed else ["alarm.opened"]
        if told[alarm_id] != expected:
            raise Violation(f"of alarm {alarm_id} the receiver was told {told[alarm_id]} and not {expected}")
