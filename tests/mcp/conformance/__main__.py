"""``python -m tests.mcp.conformance``: the conformance suite of the protocol, from npm, against a gateway of its own.

Skips with a word where npm is not there. The suite needs Node.js 22; it is installed into a folder that is kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.process import Gateway, environment

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
REVISIONS = ("2026-07-28", "2025-11-25")
EXPECTED = Path(__file__).parent
"""What is expected to fail, with the reason, by revision."""
FOLDER = Path(tempfile.gettempdir()) / "e2i-conformance"


def main() -> int:
    """Runs the suite; 0 if nothing else fails than what is expected."""
    if shutil.which("npm") is None:
        print("skipped: the conformance suite needs npm")
        return 0
    node = installed()
    if node is None:
        print("skipped: the conformance suite cannot be installed from npm")
        return 0
    suite = FOLDER / "node_modules" / SUITE.rpartition("@")[0] / "dist" / "index.js"
    with tempfile.TemporaryDirectory() as data:
        gateway = Gateway(Path(data), "serve", "--demo", "small")
        try:
            url = f"{gateway.ready().base}/mcp"
            ends = [
                subprocess.run(
                    [node, str(suite), "server", "--url", url, "--requirements", revision,
                     "--expected-failures", str(EXPECTED / f"{revision}.yml"),
                     "--output-dir", str(Path(data) / revision)],
                    check=False,
                ).returncode
                for revision in REVISIONS
            ]  # fmt: skip
        finally:
            gateway.process.terminate()
            gateway.process.wait()
            gateway.http.close()
    return max(ends)


def installed() -> str | None:
    """Node.js 22 with the suite beside it; None where npm cannot bring them."""
    FOLDER.mkdir(exist_ok=True)
    package = FOLDER / "node_modules" / "node"
    node = package / "bin" / "node"
    steps = (
        (["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "node@22", SUITE], FOLDER),
        (["node", "installArchSpecificPackage"], package),  # the one script that is run: it brings the binary
    )
    for command, folder in steps if not node.exists() else ():
        if subprocess.run(command, cwd=folder, env=environment(), check=False, capture_output=True).returncode:
            return None
    return str(node) if node.exists() else None


if __name__ == "__main__":
    sys.exit(main())
