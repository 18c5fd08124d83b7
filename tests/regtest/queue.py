"""Messages in the form that workers take from Redis, as whoever can write to the broker would craft them."""

import base64
import json
import os
import pickle
import uuid
from typing import Any


class Runs:
    """What runs a command as soon as it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def message(task: str, arguments: dict[str, Any]) -> bytes:
    """Return a message that asks for a task by name."""
    body = json.dumps([[], arguments, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return _envelope(body.encode(), "application/json", task)


def pickled(command: str) -> bytes:
    """Return a message whose body runs a command when it is unpickled."""
    return _envelope(pickle.dumps(Runs(command)), "application/x-python-serialize", "payments.tasks.seal")


def _envelope(body: bytes, content_type: str, task: str) -> bytes:
    number = str(uuid.uuid4())
    headers = {"lang": "py", "task": task, "id": number, "root_id": number, "parent_id": None, "group": None}
    properties = {
        "correlation_id": number,
        "reply_to": number,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "work"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": number,
    }
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8" if content_type.endswith("json") else "binary",
        "content-type": content_type,
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(message).encode()
