"""Idempotency keys: a change that is sent twice with one key is made once, with the same result."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from db.engine.transaction import Transaction
from schema.catalogue import exact_json
from schema.changes.refusals import invalid
from schema.sql.operators import as_sent

MAX_KEY = 200
_SWEPT = 100
"""Expired keys that one use of a key deletes."""


def digest(meant: Any) -> str:
    """The hash of a request, by the meaning of its input: equal numbers have one notation. The key and ``dryRun`` are
    not part of it."""
    option = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
    text = exact_json.dumps(meant, as_sent, option, canonical=True)
    return hashlib.sha256(text).hexdigest()


async def claim(transaction: Transaction, caller: str, key: str, mutation: str, hash_: str, hours: float) -> Any:
    """Claims the key for this transaction and returns None, or returns the stored result.

    Waits for a concurrent request with the same key.

    Raises:
        Refused: `InvalidInput`: the key was used for another request.
    """
    taken = await transaction.run_as_gateway(
        "WITH swept AS (DELETE FROM gateway.idempotency_keys WHERE (caller, key) IN "
        "(SELECT caller, key FROM gateway.idempotency_keys "
        "WHERE expires_at <= now() AND (caller, key) <> ($1::text, $2::text) "
        f"ORDER BY expires_at LIMIT {_SWEPT} FOR UPDATE SKIP LOCKED)) "
        "INSERT INTO gateway.idempotency_keys AS k (caller, key, mutation, input_hash, expires_at) "
        "VALUES ($1::text, $2::text, $3::text, $4::text, now() + make_interval(secs => $5::text::float8)) "
        "ON CONFLICT (caller, key) DO UPDATE SET mutation = excluded.mutation, input_hash = excluded.input_hash, "
        "result = NULL, created_at = excluded.created_at, expires_at = excluded.expires_at WHERE k.expires_at <= now() "
        "RETURNING key",
        (caller, key, mutation, hash_, repr(hours * 3600)),
    )
    if taken:
        return None
    rows = await transaction.run_as_gateway(
        "SELECT mutation, input_hash, result::text FROM gateway.idempotency_keys "
        "WHERE caller = $1::text AND key = $2::text",
        (caller, key),
    )
    before, hash_before, result = rows[0]
    if hash_before != hash_:
        other = "a whole transaction" if before.startswith("@") else f"the mutation {before}"
        what = "another input" if before == mutation else other
        raise invalid("idempotencyKey", f"was used for {what}; a new change needs a new key")
    return orjson.loads(result)


async def store(transaction: Transaction, caller: str, key: str, result: Any) -> None:
    """Stores the result, as ids, with its key, in the transaction of the change."""
    await transaction.run_as_gateway(
        "UPDATE gateway.idempotency_keys SET result = $3::text::jsonb WHERE caller = $1::text AND key = $2::text",
        (caller, key, orjson.dumps(result).decode()),
    )
