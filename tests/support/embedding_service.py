"""A service of embeddings for tests, as OpenAI's API has it: vectors of words, the same for the same text."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

LENGTH = 1536


def embed(text: str, model: str = "words", length: int = LENGTH) -> list[float]:
    """A vector near to those of texts that share words, by models of other names somewhere else."""
    total = [0.0] * length
    for word in re.findall(r"[a-z]+", text.lower()) or [text]:
        total = [value + part for value, part in zip(total, _of_word(word, model, length), strict=True)]
    size = math.hypot(*total) or 1.0
    return [round(value / size, 5) for value in total]


@cache
def _of_word(word: str, model: str, length: int) -> tuple[float, ...]:
    dice = Random(f"{model} {word}")
    return tuple(dice.gauss(0, 1) for _ in range(length))


class EmbeddingServer:
    """The service: what it was sent, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.status = 200
        self.body: bytes | None = None
        """What it answers in place of vectors."""
        self.known: dict[str, list[float]] = {}
        """Vectors that it has of texts, whatever others are made of."""
        self.model = "words"
        self.length = LENGTH
        self.going = threading.Event()
        """It answers while this is set."""
        self.going.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                service.asked.append(asked)
                service.keys.append(self.headers["authorization"])
                service.going.wait(10)
                data = [
                    {"index": place, "embedding": service.known.get(text) or embed(text, service.model, service.length)}
                    for place, text in enumerate(asked["input"])
                ]
                body = json.dumps({"data": data[::-1]}).encode() if service.body is None else service.body
                self.send_response(service.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    @property
    def texts(self) -> list[str]:
        """All texts that it was sent."""
        return [text for asked in self.asked for text in asked["input"]]


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """The service, on a port of its own."""
    service = EmbeddingServer()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        service.going.set()
        service.server.shutdown()
        service.server.server_close()
        thread.join()
