"""A Python client of the gateway, over httpx: queries with paging, mutations and batches with safe retries.

``clients`` has `Gateway` and `AsyncGateway`, ``errors`` what they raise, ``rows`` what they give, ``flows`` what both
do, ``typed`` rows, inputs and mutations as the schema has them. Uses the public API alone, and of the gateway's own
code nothing but the codes of errors: none of the server's dependencies is imported.
"""

from gateway.client.clients import AsyncGateway, Gateway
from gateway.client.errors import ClientError, NoAnswerError, RejectedRowsError, RequestFailedError
from gateway.client.rows import Changed, QueryData, Recording, Rows

__all__ = [
    "AsyncGateway",
    "Changed",
    "ClientError",
    "Gateway",
    "NoAnswerError",
    "QueryData",
    "Recording",
    "RejectedRowsError",
    "RequestFailedError",
    "Rows",
]
