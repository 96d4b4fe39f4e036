"""Counters and lists in a row, updated under its lock, so that concurrent reports are all kept."""

from __future__ import annotations

from db.models.g08_ab_lifecycles import RECORD_DEVIATION, RECORDING_DEVIATION
from db.models.g09_improvement_lifecycles import RECORD_APPLICATION, RECORDING_APPLICATION
from schema.catalogue import exact_json
from schema.changes.engine import Work
from schema.changes.mutations import mutation
from schema.changes.rows import Sql


@mutation(
    RECORDING_DEVIATION,
    "Adds a protocol deviation to an enrollment.",
    subject="Enrollment",
    given=RECORD_DEVIATION,
)
async def record_protocol_deviation(work: Work) -> None:
    """Appends to the list of the row."""
    row = await work.subject("Enrollment")
    await work.guard(RECORDING_DEVIATION, row)
    found = exact_json.loads(row["protocol_deviations"] or "[]")
    await work.write(row, {"protocol_deviations": [*found, work.given["deviation"]]})
    await work.record(row.id, "protocol deviations", str(len(found)), str(len(found) + 1))


@mutation(
    RECORDING_APPLICATION,
    "Counts one application of a lesson, and whether it helped; its success rate is updated.",
    subject="ExperimentKnowledge",
    given=RECORD_APPLICATION,
)
async def record_knowledge_application(work: Work) -> None:
    """Adds one to the count of the row; the rate is that of all applications."""
    row = await work.subject("ExperimentKnowledge")
    times = "coalesce(times_applied, 0)"
    helped = "1" if work.given["succeeded"] else "0"
    known = "CASE WHEN success_rate BETWEEN 0 AND 1 THEN success_rate ELSE 0 END"
    rate = f"({known} * {times} + {helped}) / ({times} + 1)"
    await work.write(row, {"times_applied": Sql(f"{times} + 1"), "success_rate": Sql(rate)})
    after = await work.again(row)
    await work.record(row.id, "applications", row["times_applied"] or "0", after["times_applied"])
