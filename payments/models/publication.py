"""What was published: the figures of all programs at a moment, as the bytes that anybody may download and check."""

from django.db import models
from django.db.models.functions import Now


class Publication(models.Model):
    """One file of figures and the note over its hash, by the key that signs checkpoints; rows are never changed.

    ``note`` is empty where the installation has no such key.
    """

    taken_at = models.DateTimeField(db_default=Now())
    document = models.TextField()
    sha256 = models.BinaryField(max_length=32)
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    sha256=models.Func(
                        models.Func("document", models.Value("UTF8"), function="convert_to"),
                        function="sha256",
                    )
                ),
                name="publication_hash_is_of_document",
            )
        ]

    def __str__(self) -> str:
        return f"figures of {self.taken_at:%Y-%m-%d %H:%M} UTC"
