"""Events: what changed, by number."""

from typing import Any

from rest_framework import serializers

from payments import states

SUBJECTS = [(name, name) for name in states.FED]


class EventOut(serializers.Serializer[Any]):
    """One change of a status. ``old`` is empty where the thing began; ``type`` is the subject and what it became."""

    number = serializers.IntegerField(min_value=1)
    type = serializers.CharField()
    subject = serializers.ChoiceField(choices=SUBJECTS)
    subject_id = serializers.IntegerField()
    old = serializers.CharField(allow_blank=True)
    new = serializers.CharField()
    at = serializers.DateTimeField()
