"""``make drill-ha``: the gateway on a real cluster that loses its leader in five ways, and a standby's replay.

    python -m tests.cluster [options of pytest]

The programs are Debian's (etcd, Patroni, HAProxy, Redis, nginx) and the embedded Postgres's. All of them run in
namespaces of their own (processes, networks, mounts), which end with this process however it ends: nothing is left.

`DRILL_CLUSTER_KILLS` and `DRILL_CLUSTER_STOPS` repeat the first and the fourth fault so many times.
`DRILL_CLUSTER_POSITIONED` is the number of positioned reads. `DRILL_CLUSTER_LOGS` names a folder for the logs.
"""

from __future__ import annotations

import sys

from tests.cluster.namespaces import enter, lacks


def main() -> None:
    """Skips with a word where the cluster cannot be built."""
    if missing := lacks():
        print(f"The drill of the cluster is left out: it needs {', '.join(missing)}.")
    else:
        enter([sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "tests/cluster", *sys.argv[1:]])


if __name__ == "__main__":
    main()
