"""A Python client of the gateway, over httpx: queries with paging, mutations and batches with safe retries.

``clients`` has `Gateway` and `AsyncGateway`, ``errors`` their exceptions, ``rows`` their results, ``flows`` the logic
that both share, ``typed`` the schema's rows, inputs and mutations. Uses the public API alone; of the gateway's code it
imports only the error codes, and none of the server's dependencies.
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
