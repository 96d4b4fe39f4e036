"""Load: as many requests as some connections get answered in some seconds, by wrk where it is, else by asyncio."""

from __future__ import annotations

import asyncio
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

SCRIPT = """
local bodies = {{ {bodies} }}
local turn, stamp = 0, "{stamp}"
request = function()
  turn = turn + 1
  local body = bodies[turn % #bodies + 1]
  {unseen}
  return wrk.format("POST", nil, {{ {headers} }}, body)
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("FOUND %d %d %f %f %f\\n", summary.requests, errors.status + errors.connect + errors.read
    + errors.write + errors.timeout, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3))
end
"""
UNSEEN = 'body = body:gsub("UNSEEN", "u" .. stamp .. turn)'


@dataclass(frozen=True)
class Taken:
    """What a round came to: requests, seconds, and the median and 99th percentile of the latency in milliseconds."""

    requests: int
    seconds: float
    latency: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def run(url: str, headers: dict[str, str], bodies: list[bytes], connections: int, seconds: float) -> Taken:
    """One round. The word UNSEEN in a body is another one in every request.

    Raises:
        RuntimeError: Something was answered with an error.
    """
    headers = {"content-type": "application/json", **headers}
    if shutil.which("wrk"):
        return _wrk(url, headers, bodies, connections, seconds)
    return asyncio.run(_asyncio(url, headers, bodies, connections, seconds))


def _wrk(url: str, headers: dict[str, str], bodies: list[bytes], connections: int, seconds: float) -> Taken:
    texts = ", ".join(f"[==[{body.decode()}]==]" for body in bodies)
    unseen = UNSEEN if any(b"UNSEEN" in body for body in bodies) else ""
    sent = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
    script = SCRIPT.format(headers=sent, bodies=texts, stamp=f"{time.time_ns()}x", unseen=unseen)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "load.lua"
        path.write_text(script)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(path), url]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"FOUND (\d+) (\d+) ([\d.]+) ([\d.]+) ([\d.]+)", output)
    if not found or int(found[2]):
        raise RuntimeError(f"{url} answered with errors:\n{output}")
    return Taken(int(found[1]), float(found[3]), float(found[4]), float(found[5]))


async def _asyncio(url: str, headers: dict[str, str], bodies: list[bytes], connections: int, seconds: float) -> Taken:
    """Plain sockets, one request after the other on each: little of the machine goes to the load itself."""
    where = urlsplit(url)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    sent = {"host": where.netloc, **headers}
    head = f"POST {where.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items())

    async def ask(number: int) -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        turn = number
        while (started := time.perf_counter()) < until:
            turn += connections
            body = bodies[turn % len(bodies)].replace(b"UNSEEN", b"u%d_%d" % (time.time_ns(), turn))
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer.lower())
            if b" 200 " not in answer[:15] or not length:
                raise RuntimeError(f"{url} answered with {answer[:200]!r}")
            await reader.readexactly(int(length[1]))
            taken.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(ask(number) for number in range(connections)))
    slowest = statistics.quantiles(taken, n=100)[98] if len(taken) > 1 else statistics.median(taken)
    return Taken(len(taken), time.perf_counter() - started, statistics.median(taken) * 1000, slowest * 1000)


def body(query: str, variables: dict[str, object]) -> bytes:
    """The body of a request."""
    return orjson.dumps({"query": query, "variables": variables})
