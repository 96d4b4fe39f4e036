"""Vectors of search texts: requested from the embedding service once its model is verified, and cached.

No column names the model of the stored vectors. So three stored texts of each search are embedded again; if the results
are not close to the stored vectors, the service uses another model, whose similarities would be meaningless.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from db.engine.errors import translate
from db.engine.readers import ShortReader
from db.engine.replica import Reads
from gateway.operations.embedding_service import EmbeddingService, ServiceError, WrongLengthError
from gateway.operations.planner import PlannedOperation
from gateway.settings import Settings
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.records import Missing
from schema.error_codes import ErrorCode
from schema.search.texts import MAX_TEXT, NoVector, Vectors
from schema.search.vector import Similarity

log = logging.getLogger("gateway.embeddings")

SAMPLE = 3
"""Stored texts by which the model of a search is verified."""
LEAST = 0.95
"""The least cosine similarity between a text's new vector and its stored one."""
KEPT = 1_000
"""Cached vectors, of 12 kB each."""
AGAIN, SOON = 30.0, 2.0
"""Seconds after which an unsuccessful verification is repeated by the next request that needs it: after a mismatch, and
after a failure."""
_SERVICE = "text: the service that makes vectors of texts"


_UNPROVED = NoVector(ErrorCode.EMBEDDINGS_UNAVAILABLE)


@dataclass
class SearchProof:
    """Whether the service's vectors can be compared with the stored vectors of a search."""

    similarity: Similarity
    found: NoVector | None = _UNPROVED
    """The reason why not; None if they can, or if nothing is stored to compare with."""
    told: str = "not looked at yet"
    """The state in words, for operators."""
    until: float = 0.0
    """When the verification is repeated, by the monotonic clock."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Embeddings:
    """Provides operations with the vectors of their texts."""

    def __init__(self, catalogue: Catalogue, reads: Reads, missing: Callable[[], Missing], settings: Settings) -> None:
        """``missing`` returns what the database lacks."""
        self.service = EmbeddingService(settings) if settings.embeddings_url else None
        self.hits = self.misses = 0
        """Cache hits and misses, in texts."""
        self._reads = reads
        self._missing = missing
        self._proofs = {
            root.name: SearchProof(Similarity(catalogue, root)) for root in catalogue.roots.values() if root.nearest
        }
        self._kept: OrderedDict[bytes, array[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def close(self) -> None:
        """Closes the service."""
        if self.service is not None:
            await self.service.close()

    def report(self) -> str:
        """The state of all searches in words."""
        if self.service is None:
            return "off"
        told = {name: proof.told for name, proof in self._proofs.items()}
        same = set(told.values())
        return same.pop() if len(same) == 1 else "; ".join(f"{name}: {words}" for name, words in told.items())

    def prove(self, reports: dict[str, Callable[[], str]]) -> list[asyncio.Task[None]]:
        """Starts to verify the service's model for each search, and adds the state to the health reports."""
        if self.service is None:
            return []
        reports["embeddings"] = self.report
        return [asyncio.create_task(self._prove())]

    async def _prove(self) -> None:
        for proof in self._proofs.values():
            await self._proved(proof)

    async def of(self, planned: PlannedOperation) -> Vectors:
        """The vectors of an operation's texts, or why there are none, for searches that its caller may read."""
        if self.service is None:
            return {}
        wanted: dict[str, list[str]] = {}
        for place in planned.plan.texts:
            text = place.read(planned.values.coerced)
            similarity = self._proofs[place.root].similarity
            if text is None or not text.strip() or "\x00" in text or len(text) > MAX_TEXT:
                continue  # reported by the field
            if _unread(similarity, planned.reads) is None and text not in wanted.setdefault(place.root, []):
                wanted[place.root].append(text)
        vectors: dict[tuple[str, str], Sequence[float] | NoVector] = {}
        for name, texts in wanted.items():
            proof = self._proofs[name]
            refused = await self._proved(proof)
            found = [refused] * len(texts) if refused else await self._made(texts, proof.similarity.length)
            vectors |= {(name, text): one for text, one in zip(texts, found, strict=True)}
        return vectors

    async def _made(self, texts: Sequence[str], length: int) -> Sequence[Sequence[float] | NoVector]:
        keys = [hashlib.sha256(f"{length} {text}".encode("utf-8", "surrogatepass")).digest() for text in texts]
        new = [place for place, key in enumerate(keys) if key not in self._kept]
        self.hits += len(texts) - len(new)
        self.misses += len(new)
        made: dict[int, array[float]] = {}
        if new:
            assert self.service is not None  # noqa: S101 - without a service nothing is requested
            try:
                vectors = await self.service.vectors([texts[place] for place in new], length)
            except ServiceError as error:
                log.warning("no vectors of texts: the service %s", error)
                return [_refusal(error)] * len(texts)
            made = {place: array("d", vector) for place, vector in zip(new, vectors, strict=True)}
        found = [made[place] if place in made else self._kept[key] for place, key in enumerate(keys)]
        for key, vector in zip(keys, found, strict=True):
            self._kept[key] = vector
            self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    # -- proofs ----------------------------------------------------------------------------------------------------

    async def _proved(self, proof: SearchProof) -> NoVector | None:
        """Why a search cannot use the service's vectors; None if it can. Concurrent first requests share one
        verification; it is repeated by one request while others use the last result."""
        if proof.until and proof.turn.locked():
            return proof.found
        async with proof.turn:
            if time.monotonic() >= proof.until:
                await self._look(proof)
            return proof.found

    async def _look(self, proof: SearchProof) -> None:
        similarity = proof.similarity
        name = similarity.root
        try:
            proof.found, proof.told, lasting = await self._compared(similarity)
        except ServiceError as error:
            proof.found, proof.told, lasting = _refusal(error), f"the service {error}", SOON
        except Exception as error:  # noqa: BLE001 - any failure of the database
            log.warning("%s by text cannot be proved: %s", name, translate(error))
            proof.found, proof.told, lasting = _UNPROVED, "cannot be proved yet", SOON
        proof.until = time.monotonic() + lasting
        tell = log.info if proof.found is None else log.warning
        tell("%s by text: %s", name, proof.told)

    async def _compared(self, similarity: Similarity) -> tuple[NoVector | None, str, float]:
        """Why a search cannot use the service's vectors, the state in words, and the seconds for which the result is
        valid."""
        length = similarity.length
        if what := _unread(similarity, self._missing()):
            return None, f"the database lacks {what}", AGAIN
        ways = len(similarity.nearest.texts)
        rows = await ShortReader(self._reads.primary).fetch(similarity.sample(), (SAMPLE, MAX_TEXT))
        assert self.service is not None  # noqa: S101 - nothing is verified without a service
        if not rows:
            await self.service.vectors(["a text"], length)
            return None, "no stored vector to compare with", AGAIN
        texts = [text for row in rows for text in row[:ways]]
        made = await self.service.vectors(texts, length)
        stored = [_numbers(row[ways]) for row in rows]
        cosines = [
            median(_cosine(made[place * ways + way], vector) for place, vector in enumerate(stored))
            for way in range(ways)
        ]
        best = max(cosines)
        if best >= LEAST:
            return None, "ok", math.inf
        told = f"the stored vectors are of another model: {SAMPLE} stored texts come to a cosine of {best:.2f}"
        message = (
            "text: the vectors of the configured model cannot be compared with the stored ones of "
            f"{similarity.type.name}: stored texts come to a cosine of {best:.2f}, and {LEAST:g} is needed. Search by "
            "a row's id or an `embedding`, or for words by a filter (`iContains`); the operator sets "
            "GATEWAY_EMBEDDINGS_MODEL to the model that they were made by."
        )
        return NoVector(ErrorCode.EMBEDDING_MODEL_MISMATCH, message), told, AGAIN


def _unread(similarity: Similarity, missing: Missing) -> str | None:
    """The part of a search that is missing or withheld."""
    return missing.table(similarity.type) or missing.first(similarity.type, [similarity.nearest.vector])


def _refusal(error: ServiceError) -> NoVector:
    if isinstance(error, WrongLengthError):
        return NoVector(ErrorCode.EMBEDDING_MODEL_MISMATCH, f"{_SERVICE} {error}; the operator sets its model.")
    advice = "Try again shortly, or search for words by a filter (`iContains`)."
    return NoVector(ErrorCode.EMBEDDINGS_UNAVAILABLE, f"{_SERVICE} {error}. {advice}")


def _numbers(vector: str) -> list[float]:
    return [float(value) for value in vector.strip("[]").split(",")]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine similarity; -1 if it is undefined."""
    long = math.hypot(*one) * math.hypot(*other)
    dot = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return dot / long if long and math.isfinite(long) else -1.0
