"""Proofs over the tree of the books: what an auditor's program fetches and checks by itself."""

from base64 import b64encode

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ledger.api import access, serializers
from ledger.seals import proofs


class EntryProof(APIView):
    """That an entry is in the tree."""

    permission_classes = [access.MayReadBooks]
    # An entry that no checkpoint covers yet.
    problems = {409}

    @extend_schema(
        operation_id="ledger_entries_proof",
        tags=["ledger"],
        parameters=[serializers.ProofQuery],
        responses={200: serializers.InclusionProof},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return an entry's sealed bytes, salt and path to a signed checkpoint (RFC 6962, C2SP tlog-proof)."""
        query = serializers.ProofQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        found = proofs.of_entry(pk, query.validated_data.get("size"))
        body = {
            "entry_id": pk,
            "checkpoint_id": found.checkpoint.pk,
            "leaf_index": found.index,
            "tree_size": found.checkpoint.seal.size,
            "leaf_hash": found.leaf_hash,
            "head": found.checkpoint.seal.root,
            "path": found.path,
            "salt": found.salt and b64encode(found.salt).decode(),
            "payload": found.payload and b64encode(found.payload).decode(),
            "proof": str(found),
        }
        return Response(serializers.InclusionProof(body).data)


class Consistency(APIView):
    """That the tree only grew."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="ledger_checkpoints_consistency",
        tags=["ledger"],
        parameters=[serializers.ConsistencyQuery],
        responses={
            200: serializers.ConsistencyProof,
            (422, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"}, "The sizes are none, or not in order."
            ),
        },
    )
    def get(self, request: Request) -> Response:
        """Return the proof that the tree over ``new`` leaves begins with the one over ``old`` (RFC 6962)."""
        query = serializers.ConsistencyQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        found = proofs.between(query.validated_data["old"], query.validated_data["new"])
        return Response(serializers.ConsistencyProof(found).data)
