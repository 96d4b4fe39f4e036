"""Synonyms of words about data and queries.

Aliases of a single column or type are declared on its model, as ``aliases``.
"""

from __future__ import annotations

GROUPS = """
latency duration time elapsed runtime speed slow fast long took
created timestamp date time recorded measured occurred detected logged when moment on at
changed updated modified edited
error failure fail failed exception problem
name title label
description text message body content summary explanation narrative note comment
state status phase
score value result rating grade
previous predecessor prior earlier former preceding
threshold limit cutoff bound
region geographic geography territory area
count number total size amount many quantity
rate share percentage percent fraction ratio proportion pct probability
user actor by who owner author person assignee creator
reason why cause rationale because
param parameter config setting configuration option
url endpoint address link uri
input argument
output result response answer reply
query question prompt request
cost price spend expense budget investment
lower low min minimum least
upper high max maximum greatest peak
average avg mean
start begin started beginning
end finish finished completed complete stopped done ended
expire expiry expiration deadline valid
kind type category class method
memory ram
env environment
latest newest last current recent
parent ancestor
delete remove
significance significant
important importance
accept approve go proceed approved
reject decline deny refuse
production prod live
active open live running ongoing enabled
resolved closed done fixed solved
passed pass ok success succeeded
completed complete success finished done succeeded
reliability success rate
instance replica copy
feature column variable
explain explanation explainability shap
materialization backfill ingestion load
study sweep
old before earlier
verdict decision approval status
plain natural simple
n size count
severe critical fatal urgent
major high serious
minor low
archived retired old
withdrawn withdraw withdrawal dropped leave left quit
participant subject enrollment enrolled
should recommended recommendation recommend advice advised suggested
correct right accurate wrong
stale staleness old outdated freshness fresh
drift shift move moved
route routed routing send sent
supported grounded faithfulness faithful
staging stage preprod uat
development dev
acknowledged ack seen
descending desc down
ascending asc up
where filter filters condition criteria
first limit top take
after offset skip cursor
before cursor
orderby sort sortby order ordering
direction dir
eq equals equal is
ne neq not unequal
gt greater above over after later
gte ge min minimum from since atleast
lt less below under before earlier
lte le max maximum until atmost to
in any oneof among
icontains ilike insensitive search
like match matches pattern
id identifier key uuid
percentile quantile
sample row record observation
patient person people member
deploy deployment release ship
promote advance graduate
rollback revert undo
retrain retraining
trigger start launch run request
stop end halt conclude
set change move update edit modify
create make add insert
withdrawal withdrawn dropped dropout
excluded removed dropped exclusion
hcp doctor physician prescriber clinician
brand drug medicine medication product
action act acted acting actionable
edge arrow link
dag graph structure
alert alarm incident page pager
agent assistant bot
fulfil meet satisfy qualify require
overlap common
winner win won winning
vote voted agree agreement
twin simulator replica
"""

IN_FULL = {
    "stat": "statistic",
    "msg": "message",
    "cfg": "config",
    "cnt": "count",
    "num": "number",
    "qty": "quantity",
    "src": "source",
    "dst": "target",
    "err": "error",
    "ver": "version",
    "semver": "version",
}
"""Abbreviations that are no prefix of what they stand for, or the prefix of another word as well."""

IRREGULAR = {
    "withdrew": "withdraw",
    "withdrawn": "withdraw",
    "ran": "run",
    "chose": "choose",
    "chosen": "choose",
    "wrote": "write",
    "written": "write",
    "grew": "grow",
    "grown": "grow",
    "fell": "fall",
    "fallen": "fall",
    "rose": "rise",
    "risen": "rise",
    "broke": "break",
    "broken": "break",
    "froze": "freeze",
    "frozen": "freeze",
    "built": "build",
    "held": "hold",
    "kept": "keep",
}
"""Past forms of irregular verbs; those that also mean something else are left out (`left`, `took`, `made`)."""


def _groups() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for place, line in enumerate(GROUPS.split("\n")):
        for word in line.split():
            found.setdefault(word, set()).add(place)
    return {word: frozenset(places) for word, places in found.items()}


BY_WORD = _groups()
"""The indexes of the groups that contain a word, by word."""
