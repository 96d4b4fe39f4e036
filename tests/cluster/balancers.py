"""What stands in the hub: HAProxy before gateways and databases, nginx before gateways, and Redis beside them.

HAProxy asks each gateway whether it is ready, and each host's Patroni what it is; nginx learns from what fails, as
gateway/docs/deploy configures it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.cluster.namespaces import FOLDER, HUB, Host
from tests.cluster.programs import Program
from tests.drills.nginx import FRAME, documented

GATEWAYS, PRIMARY, STANDBYS, NGINX, REDIS = 9000, 5000, 5001, 9001, 6379
"""Ports in the hub: the gateways by HAProxy, the leader's Postgres, the standbys' in turn, the gateways by nginx."""

_HAPROXY = """
global
    maxconn 4000
defaults
    mode tcp
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout check 2s
    option redispatch
frontend gateways
    mode http
    bind {hub}:{gateways_port}
    default_backend gateways
backend gateways
    mode http
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1
{gateways}
listen primary
    bind {hub}:{primary_port}
    option httpchk GET /primary
    default-server check port 8008 inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{databases}
listen standbys
    bind {hub}:{standbys_port}
    balance roundrobin
    option httpchk GET /replica
    default-server check port 8008 inter 500ms fall 2 rise 1
{databases}
"""


def haproxy(gateways: Sequence[int], hosts: Sequence[Host]) -> Program:
    """HAProxy before the gateways of these ports and the databases of these hosts."""
    configuration = FOLDER / "haproxy.cfg"
    configuration.write_text(
        _HAPROXY.format(
            hub=HUB, gateways_port=GATEWAYS, primary_port=PRIMARY, standbys_port=STANDBYS,
            gateways="\n".join(f"    server gateway{port} {HUB}:{port}" for port in gateways),
            databases="\n".join(f"    server {host.name} {host.front}:5432" for host in hosts),
        )
    )  # fmt: skip
    return Program("haproxy", ["haproxy", "-db", "-f", str(configuration)])


def nginx(gateways: Sequence[int]) -> Program:
    """nginx as documented, with several gateways in place of one."""
    folder = FOLDER / "nginx"
    folder.mkdir()
    site = documented(NGINX, gateways[0]).replace(f"listen 127.0.0.1:{NGINX}", f"listen {HUB}:{NGINX}")
    one = f"server 127.0.0.1:{gateways[0]};"
    assert one in site
    site = site.replace(one, " ".join(f"server {HUB}:{port};" for port in gateways))
    (folder / "nginx.conf").write_text("user root;\n" + FRAME.format(folder=folder, site=site))
    return Program("nginx", ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"])


def redis() -> Program:
    """Redis without anything on the disk."""
    options = ["--bind", HUB, "--port", str(REDIS), "--protected-mode", "no", "--save", "", "--appendonly", "no"]
    return Program("redis", ["redis-server", *options])
