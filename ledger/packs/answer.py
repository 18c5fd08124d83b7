"""Hands a pack's file out over HTTP, to the API and to the admin."""

from collections.abc import Iterator

from django.http import StreamingHttpResponse

from ledger.models import PackJob


def as_file(job: PackJob, parts: Iterator[bytes]) -> StreamingHttpResponse:
    """Return a pack's file as an answer that no cache keeps."""
    response = StreamingHttpResponse(parts, content_type="application/zip")
    response["Content-Length"] = str(job.size_bytes)
    response["Content-Disposition"] = f'attachment; filename="{job.filename}"'
    response["Cache-Control"] = "no-store"
    return response
