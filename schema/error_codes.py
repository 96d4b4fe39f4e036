"""The codes of errors and problems, and of blockers that no guard has, which are stable.

A code never changes its name or meaning. ``make snapshot`` generates their reference from this module.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self


class Retry(Enum):
    """What a client can do about an error; the value is a sentence of the reference."""

    NO = "No; change the request."
    LESS = "No; request less at once."
    LATER = "Yes, after a moment, unchanged."
    WITH_KEY = "Yes, with the same `idempotencyKey`."
    READ_ANEW = "No; read the data again, then subscribe again."
    AS_CAUSE = "Like the error of the field that `cause` names."
    OPERATOR = "No; the operator of the gateway must act."


class _Described(StrEnum):
    """A code with its meaning (one sentence), the client's remedy, and a default message."""

    meaning: str
    retry: Retry
    message: str

    def __new__(cls, code: str, meaning: str, retry: Retry = Retry.NO, message: str = "") -> Self:
        made = str.__new__(cls, code)
        made._value_ = code
        made.meaning, made.retry, made.message = meaning, retry, message
        return made


class ErrorCode(_Described):
    """``extensions.code`` of an error in ``errors``."""

    # -- the request over HTTP
    BAD_REQUEST = "BAD_REQUEST", "The request is not valid HTTP, or not valid GraphQL over HTTP."
    METHOD_NOT_ALLOWED = (
        "METHOD_NOT_ALLOWED",
        "The HTTP method is not allowed: queries by GET or POST, mutations by POST (405).",
    )
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE", "The Accept header allows no media type of responses (406)."
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE", "The body is not plain JSON in UTF-8 (415)."
    NOT_FOUND = "NOT_FOUND", "The path does not exist; the graph is at /graphql (404)."
    CROSS_SITE = "CROSS_SITE", "The request comes from a page of another site (403) or names another host (421)."
    REQUEST_TIMEOUT = (
        "REQUEST_TIMEOUT",
        (
            "The request did not arrive (408) or was not answered (504) within `limit` seconds; repeat a change with "
            "its `idempotencyKey` to learn its outcome."
        ),
        Retry.LESS,
    )
    OVERLOADED = (
        "OVERLOADED",
        "The gateway, or every connection to the database, is busy (503).",
        Retry.LATER,
        "All connections to the database are busy at the moment; try again shortly.",
    )
    # -- the caller
    UNAUTHENTICATED = "UNAUTHENTICATED", "The credential is missing or not valid (401)."
    KEYS_UNAVAILABLE = (
        "KEYS_UNAVAILABLE",
        "The keys that verify JWTs cannot be read (503).",
        Retry.LATER,
        "The keys that verify JWTs cannot be read at the moment; try again shortly.",
    )
    FORBIDDEN_FIELD = (
        "FORBIDDEN_FIELD",
        "The caller lacks the `scope` that this field needs; the field is null, other fields are returned.",
        Retry.NO,
        "This field needs the scope {scope}, which the caller does not have.",
    )
    WEBHOOKS_OFF = (
        "WEBHOOKS_OFF",
        "Webhooks are disabled on this gateway.",
        Retry.OPERATOR,
        "Webhooks are disabled on this gateway; its operator can set GATEWAY_WEBHOOKS=true.",
    )
    # -- the document
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED", "The document is not valid GraphQL syntax."
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED", "The document is not valid for this schema."
    OPERATION_NOT_FOUND = "OPERATION_NOT_FOUND", "`operationName` names no operation of the document, or is missing."
    DOCUMENT_NOT_FOUND = "DOCUMENT_NOT_FOUND", "The `documentId` names no document; send the document itself."
    DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED", "This gateway executes trusted documents only, and this is not one."
    DOCUMENTS_UNAVAILABLE = (
        "DOCUMENTS_UNAVAILABLE",
        "The table of trusted documents cannot be read yet (503).",
        Retry.LATER,
        "The trusted documents cannot be read at the moment; try again shortly.",
    )
    PERSISTED_QUERY_NOT_FOUND = (
        "PERSISTED_QUERY_NOT_FOUND",
        "No document has this hash yet; send the document together with its hash.",
        Retry.NO,
        "PersistedQueryNotFound",  # the name in the protocol
    )
    PERSISTED_QUERY_NOT_SUPPORTED = (
        "PERSISTED_QUERY_NOT_SUPPORTED",
        "Persisted queries are disabled; send the document without a hash.",
        Retry.NO,
        "PersistedQueryNotSupported",
    )
    PERSISTED_QUERY_HASH_MISMATCH = "PERSISTED_QUERY_HASH_MISMATCH", "The hash or id belongs to another document."
    # -- rows as tables
    NOT_A_TABLE = (
        "NOT_A_TABLE",
        "The operation selects more than one list of rows, which CSV, NDJSON and Arrow cannot hold.",
    )
    TABLE_LIMIT = (
        "TABLE_LIMIT",
        "The table has, or would have, more rows or bytes than `limit`; continue after the last `cursor`.",
        Retry.LESS,
    )
    # -- limits, before any SQL, with `limit` and mostly `value`
    ALIAS_LIMIT = "ALIAS_LIMIT", "The document has too many aliases.", Retry.LESS, "The document has too many aliases"
    ANSWER_LIMIT = (
        "ANSWER_LIMIT",
        "The response has, or would have, too many bytes.",
        Retry.LESS,
        "The response is too large, in bytes",
    )
    BATCH_LIMIT = "BATCH_LIMIT", "The batch has too many requests.", Retry.LESS, "The batch has too many requests"
    BODY_LIMIT = (
        "BODY_LIMIT",
        "The request has too many bytes (413, or 414 of a URL).",
        Retry.LESS,
        "The request is too large, in bytes",
    )
    COST_LIMIT = (
        "COST_LIMIT",
        "The operation costs more points than allowed; `argument` names the filter or order that is the cause, if any.",
        Retry.LESS,
        "The operation requests too many rows",
    )
    DEPTH_LIMIT = (
        "DEPTH_LIMIT",
        "The operation is nested too deeply.",
        Retry.LESS,
        "The operation is nested too deeply",
    )
    DIRECTIVE_LIMIT = (
        "DIRECTIVE_LIMIT",
        "The document has too many directives.",
        Retry.LESS,
        "The document has too many directives",
    )
    DOCUMENT_LIMIT = "DOCUMENT_LIMIT", "The document has too many characters.", Retry.LESS, "The document is too long"
    FIELD_LIMIT = (
        "FIELD_LIMIT",
        "The operation has too many fields once its fragments are spread.",
        Retry.LESS,
        "The operation has too many fields once its fragments are spread",
    )
    GROUP_LIMIT = (
        "GROUP_LIMIT",
        "The aggregate has more groups than are returned.",
        Retry.LESS,
        "There are more than {limit:,} groups. Group by fewer or coarser keys, or narrow `where`.",
    )
    INTROSPECTION_LIMIT = (
        "INTROSPECTION_LIMIT",
        "The operation introspects too much of the schema at once.",
        Retry.LESS,
        "The operation requests too much of the schema, in values",
    )
    NAME_LIMIT = "NAME_LIMIT", "A name among the parameters of the request is too long."
    RELATION_LIMIT = (
        "RELATION_LIMIT",
        "The filters and orders go through too many relations.",
        Retry.LESS,
        "The filters and orders go through too many relations",
    )
    REPEAT_LIMIT = (
        "REPEAT_LIMIT",
        "The same fields are selected so often that comparing them takes too long.",
        Retry.LESS,
        "The document selects the same fields too often, in pairs of them",
    )
    ROOT_FIELD_LIMIT = (
        "ROOT_FIELD_LIMIT",
        "The operation has too many root fields.",
        Retry.LESS,
        "The operation has too many root fields",
    )
    TOKEN_LIMIT = "TOKEN_LIMIT", "The document has too many tokens.", Retry.LESS, "The document has too many tokens"
    VALUE_DEPTH_LIMIT = (
        "VALUE_DEPTH_LIMIT",
        "A value in the document or the variables is nested too deeply.",
        Retry.LESS,
        "A value in the document is nested too deeply",
    )
    VALUE_LIMIT = "VALUE_LIMIT", "The document or the variables hold too many values or objects.", Retry.LESS
    BUDGET_EXCEEDED = (
        "BUDGET_EXCEEDED",
        (
            "The caller's budget for this minute is exhausted (429); with `limit`, `remaining`, `resetAt` and the cost "
            "as `value`. `Retry-After` says when to try again; without it, the operation exceeds the whole budget."
        ),
        Retry.LATER,
    )
    # -- arguments
    BAD_USER_INPUT = "BAD_USER_INPUT", "A variable or argument cannot be used; `argument` names it."
    INVALID_CURSOR = "INVALID_CURSOR", "A cursor does not belong to this list, order or stream; `argument` names it."
    # -- vectors of texts
    EMBEDDINGS_NOT_CONFIGURED = (
        "EMBEDDINGS_NOT_CONFIGURED",
        "A similarity search by `text` needs `GATEWAY_EMBEDDINGS_URL`, which is not set.",
        Retry.OPERATOR,
        (
            "text: this gateway has no embedding service (GATEWAY_EMBEDDINGS_URL). Search by a row's id or an "
            "`embedding`, or for words by a filter (`iContains`)."
        ),
    )
    EMBEDDINGS_UNAVAILABLE = (
        "EMBEDDINGS_UNAVAILABLE",
        "The embedding service did not respond, or its response cannot be used.",
        Retry.LATER,
        (
            "text: the embedding service is not available at the moment; try again shortly, or search for words by a "
            "filter (`iContains`)."
        ),
    )
    EMBEDDING_MODEL_MISMATCH = (
        "EMBEDDING_MODEL_MISMATCH",
        "The vectors of the configured model are not comparable with the stored ones, according to stored texts.",
        Retry.OPERATOR,
        "text: the embedding model is not the one that made the stored vectors.",
    )
    # -- tools
    UNKNOWN_TOOL = "UNKNOWN_TOOL", "No tool has this name or id; `unknown` lists each of them with similar names."
    TOOL_NOT_COMPOSABLE = "TOOL_NOT_COMPOSABLE", "The Tool Composer cannot use the `tools` that are named."
    DEPENDENCY_CYCLE = "DEPENDENCY_CYCLE", "The tools depend on each other's output in a cycle; `cycle` lists it."
    # -- the database
    DATABASE_UNAVAILABLE = (
        "DATABASE_UNAVAILABLE",
        "The database cannot be reached (503 if no field could be resolved).",
        Retry.LATER,
        "The database cannot be reached at the moment; try again shortly.",
    )
    DATABASE_DIVERGED = (
        "DATABASE_DIVERGED",
        "The only server that can be reached lacks acknowledged changes (503 if no field could be resolved).",
        Retry.OPERATOR,
        "The database lacks changes that were acknowledged, and is not used. Tell whoever runs the gateway.",
    )
    OUT_OF_SPACE = (
        "OUT_OF_SPACE",
        "The database's disk is full, or it lacks memory or temporary files for the statement; nothing was changed.",
        Retry.OPERATOR,
        (
            "The database lacks disk space, memory or temporary files for this field; nothing was changed. The "
            "operator frees space, and the log says which is lacking; a query may also sort and group fewer rows."
        ),
    )
    LOCKED = (
        "LOCKED",
        "Another transaction held a lock on the table or row for too long; nothing was changed.",
        Retry.LATER,
    )
    MISSING_IN_DATABASE = (
        "MISSING_IN_DATABASE",
        "The connected database lacks an object that the field reads, or denies access to it; the field is null.",
        Retry.OPERATOR,
        "The connected database lacks an object that this field reads. `e2i-gateway db check` names it.",
    )
    STATEMENT_TIMEOUT = (
        "STATEMENT_TIMEOUT",
        "The SQL statement of the field exceeded its time limit.",
        Retry.LESS,
        "The SQL statement of this field exceeded its time limit. Request fewer rows, or fewer levels at once.",
    )
    UNREPRESENTABLE_VALUE = (
        "UNREPRESENTABLE_VALUE",
        "A stored value does not fit its GraphQL type; the field is null, other fields are returned.",
        Retry.OPERATOR,
        "Stored values make this field fail in the database; the log has the details.",
    )
    # -- changes
    CHANGES_UNAVAILABLE = (
        "CHANGES_UNAVAILABLE",
        "The database accepts no changes: it is read-only, or not prepared by `e2i-gateway db attach`.",
        Retry.OPERATOR,
    )
    CONFLICT = (
        "CONFLICT",
        "Concurrent changes of the same rows conflicted repeatedly, or the commit was refused; nothing was changed.",
        Retry.LATER,
        "Concurrent changes of the same rows conflicted repeatedly; nothing was changed. Try again.",
    )
    ANSWER_UNREAD = (
        "ANSWER_UNREAD",
        "The change was made and is recorded, but its result could not be read; another error has the reason.",
        Retry.WITH_KEY,
        (
            "The change was made and is recorded. Its result took too long to be read before the commit, and could not "
            "be read after it: read the rows by a query, or repeat the mutation with the same idempotencyKey and fewer "
            "fields."
        ),
    )
    OUTCOME_UNKNOWN = (
        "OUTCOME_UNKNOWN",
        "The connection was lost at the commit; whether the change was made is unknown.",
        Retry.WITH_KEY,
        (
            "The connection to the database was lost at the commit, so it is unknown whether the change was made. Send "
            "it again with the same idempotencyKey: it is made if it was not, and replayed if it was."
        ),
    )
    TRANSACTION_UNDONE = (
        "TRANSACTION_UNDONE",
        "Another field of an operation with `@transaction` failed (`cause` is its response key); nothing was changed.",
        Retry.AS_CAUSE,
        "Nothing was changed: {cause!r} failed, and the operation is one transaction.",
    )
    # -- subscriptions
    SUBSCRIPTION_OVER_HTTP = (
        "SUBSCRIPTION_OVER_HTTP",
        "Subscriptions are answered over WebSocket, by graphql-transport-ws, or as `text/event-stream`.",
        Retry.NO,
        (
            "Subscriptions are answered over WebSocket: connect to this address by graphql-transport-ws, or send "
            "`Accept: text/event-stream`."
        ),
    )
    SUBSCRIPTIONS_UNAVAILABLE = (
        "SUBSCRIPTIONS_UNAVAILABLE",
        "The database lacks the live log (`e2i-gateway db attach` creates it), or hides the rows of the subscription.",
        Retry.OPERATOR,
        (
            "This subscription is not available: the gateway's live log or the table of the subscription is missing "
            "from this database, or the gateway's role may not use it. `e2i-gateway db attach` creates the log; "
            "`e2i-gateway db check` names what is missing."
        ),
    )
    CURSOR_EXPIRED = (
        "CURSOR_EXPIRED",
        "The cursor is older than the changes that are kept, `limit` hours; subscribe without `after`.",
        Retry.READ_ANEW,
    )
    HISTORY_CHANGED = (
        "HISTORY_CHANGED",
        (
            "A failover may have lost delivered changes; subscribe with `extensions.cursor` as `after`, or without "
            "`after` if it is null."
        ),
        Retry.READ_ANEW,
    )
    ORIGIN_NOT_ALLOWED = "ORIGIN_NOT_ALLOWED", "A page of this origin may not open a WebSocket here (403)."
    TOO_MANY_OPERATIONS = (
        "TOO_MANY_OPERATIONS",
        "The WebSocket has `limit` active operations; complete one first.",
        Retry.LATER,
        "This WebSocket has {limit} active operations, which is the limit; complete one first.",
    )
    TOO_MANY_SOCKETS = (
        "TOO_MANY_SOCKETS",
        "The gateway has reached its limit of open WebSockets and event streams (503).",
        Retry.LATER,
        "This gateway has reached its limit of open WebSockets and event streams; connect again shortly.",
    )
    INTERNAL = (
        "INTERNAL",
        "An internal error of the gateway; `requestId` finds it in the log.",
        Retry.OPERATOR,
        "Internal error; the gateway's log has the details under request {requestId}.",
    )


class ProblemCode(_Described):
    """``code`` of a ``Problem``, a mutation's result when nothing was changed."""

    ILLEGAL_TRANSITION = (
        "ILLEGAL_TRANSITION",
        "The lifecycle has no such transition; `allowed` lists the possible ones.",
    )
    TRANSITION_BLOCKED = "TRANSITION_BLOCKED", "Guards or constraints block the change; `blockers` lists all of them."
    STALE_VERSION = (
        "STALE_VERSION",
        "The row has changed since `expectedVersion` was read; `current` is the current row.",
    )
    NOT_FOUND = "NOT_FOUND", "No row has the id."
    FORBIDDEN = "FORBIDDEN", "The caller lacks a scope that the change needs."
    INVALID_INPUT = "INVALID_INPUT", "A value of the input cannot be used; `field` names it."
    TRANSACTION_UNDONE = (
        "TRANSACTION_UNDONE",
        "Another field of an operation with `@transaction` has a problem: `cause` is its response key.",
    )
    ROWS_REJECTED = "ROWS_REJECTED", "Rows cannot be recorded; `rows` lists up to 20 problems with their paths."


class BlockerCode(_Described):
    """``code`` of a ``Blocker`` other than a guard; guards are declared with the lifecycles."""

    # -- the database's own rules
    NOT_UNIQUE = "NOT_UNIQUE", "Another row already has the same key."
    NO_SUCH_ROW = "NO_SUCH_ROW", "A reference names a row that does not exist."
    STILL_REFERENCED = "STILL_REFERENCED", "Other rows refer to this one."
    CHECK_FAILED = "CHECK_FAILED", "A check constraint does not allow the value."
    NOT_EXCLUSIVE = "NOT_EXCLUSIVE", "An exclusion constraint does not allow the row together with another row."
    VALUE_MISSING = "VALUE_MISSING", "The database requires a value in a column that the change leaves without one."
    REFUSED_BY_DATABASE = (
        "REFUSED_BY_DATABASE",
        "A trigger refused the change (the message is the trigger's), or a policy of row level security did.",
    )
    # -- mutations of more than one row
    NOT_THE_CHAMPION = "NOT_THE_CHAMPION", "The model to replace is not the champion of its experiment."
    NOTHING_OVERDUE = "NOTHING_OVERDUE", "No approval is overdue.", Retry.NO, "no approval is overdue"


class RowCode(_Described):
    """``code`` of a ``RowProblem``: why a row cannot be recorded."""

    MALFORMED = "MALFORMED", "A line of NDJSON is not a JSON object, or has a key twice."
    UNKNOWN_FIELD = "UNKNOWN_FIELD", "A line of NDJSON has a field that is not an input of the type."
    INVALID_VALUE = "INVALID_VALUE", "A value is not valid for its column."
    VALUE_MISSING = "VALUE_MISSING", "The row lacks a required value."
    DUPLICATE = "DUPLICATE", "Another row of the batch has the same key."
    NO_SUCH_ROW = "NO_SUCH_ROW", "A reference names no row, or more than one."
    NOT_UNIQUE = "NOT_UNIQUE", "Another row of the database has the same key."
    DIFFERS = "DIFFERS", "The row exists with other values, and rows of this type must not differ."
    CHECK_FAILED = "CHECK_FAILED", "A check constraint of the database does not allow the value."
    REFUSED_BY_DATABASE = (
        "REFUSED_BY_DATABASE",
        "A trigger of the database refuses or drops the row, or a policy does not allow it for the caller.",
    )


class ToolCode(_Described):
    """``error`` of a failed tool call, where it is not an `ErrorCode`."""

    BAD_ARGUMENT = "BAD_ARGUMENT", "An argument of a tool is missing or not valid."
    BAD_QUERY = "BAD_QUERY", "The document of `query` does not hold exactly one operation."
    READ_ONLY = "READ_ONLY", "`query` runs only queries."
    NO_INTROSPECTION = "NO_INTROSPECTION", "`query` does not answer introspection; other tools describe the schema."
    ROW_TOO_LARGE = "ROW_TOO_LARGE", "One row alone exceeds `maxBytes`.", Retry.LESS
    UNKNOWN_FIELD = "UNKNOWN_FIELD", "A type has no field of this name."
    UNKNOWN_TYPE = "UNKNOWN_TYPE", "The schema has no type of this name."
    CHANGE_REFUSED = "CHANGE_REFUSED", "A step of `preview_change` cannot be applied."
    PREVIEW_NOT_FOUND = "PREVIEW_NOT_FOUND", "No preview of this caller has the `previewId`."
    PREVIEW_EXPIRED = "PREVIEW_EXPIRED", "The preview is older than ten minutes."
    PREVIEW_USED = "PREVIEW_USED", "The preview was applied before; nothing is changed again."
    PREVIEW_STALE = "PREVIEW_STALE", "The rows of the preview have changed since."
    PREVIEW_DECLINED = "PREVIEW_DECLINED", "A person has declined the change."
    CONFIRMATION_NEEDED = "CONFIRMATION_NEEDED", "A person must confirm the change, and has not confirmed it."
