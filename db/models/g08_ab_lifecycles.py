"""Group 8, lifecycles: enrollments, and the decisions of interim analyses."""

from __future__ import annotations

from sqlalchemy import TEXT, VARCHAR, Integer
from sqlalchemy.dialects.postgresql import JSONB

from db.base.effects import Effect, Writes
from db.base.guards import Guard
from db.base.lifecycles import ACTOR, NOW, REASON, Change, Given, Lifecycle, Step
from db.base.vocabulary import Labels
from db.models.g08_ab_testing import EnrollmentStatus, InterimDecision


class WithdrawalInitiator(Labels):
    """Who initiated a withdrawal."""

    SUBJECT = "subject", "The unit itself."
    INVESTIGATOR = "investigator", "The investigator of the experiment."
    SPONSOR = "sponsor", "The sponsor of the experiment."
    SYSTEM = "system", "The platform."


_STOPS = (InterimDecision.STOP_EFFICACY, InterimDecision.STOP_FUTILITY, InterimDecision.STOP_SAFETY)
_GOES_ON = (InterimDecision.CONTINUE, InterimDecision.MODIFY_SAMPLE)

ENROLLMENT = Lifecycle(
    "status",
    "Enrollment",
    "enrollment_status",
    EnrollmentStatus,
    EnrollmentStatus.ACTIVE,
    {
        EnrollmentStatus.ACTIVE: (
            EnrollmentStatus.WITHDRAWN, EnrollmentStatus.EXCLUDED, EnrollmentStatus.COMPLETED,
            EnrollmentStatus.LOST_TO_FOLLOWUP,
        )
    },
    entering={
        EnrollmentStatus.WITHDRAWN: Step(stamps={"withdrawal_timestamp": NOW, "withdrawal_reason": REASON}),
    },
    changes=(
        Change(
            "withdrawEnrollment",
            "Records that a unit has withdrawn, with the reason.",
            (EnrollmentStatus.WITHDRAWN,),
            {"withdrawal_initiated_by": Given(WithdrawalInitiator, "Who initiated the withdrawal.")},
            reason_due=True,
        ),
        Change("excludeEnrollment", "Excludes a unit from the test.", (EnrollmentStatus.EXCLUDED,), reason_due=True),
        Change("completeEnrollment", "Records that a unit completed the experiment.", (EnrollmentStatus.COMPLETED,)),
        Change(
            "loseEnrollment", "Records that a unit is lost to follow-up.", (EnrollmentStatus.LOST_TO_FOLLOWUP,)
        ),
    ),
)  # fmt: skip

INTERIM_DECISION = Lifecycle(
    "decision",
    "InterimAnalysis",
    "decision",
    InterimDecision,
    InterimDecision.CONTINUE,
    dict.fromkeys(_GOES_ON, (*_GOES_ON, *_STOPS)),
    entering={
        decision: Step(stamps={"decision_rationale": REASON, "approved_by": ACTOR}) for decision in InterimDecision
    },
    changes=(
        Change(
            "recordInterimDecision",
            "Records the decision after an interim analysis, and its reason. A decision to stop is final.",
            given={
                "target_sample_size": Given(Integer(), "Planned number of units, over all arms; for MODIFY_SAMPLE.")
            },
            needs={InterimDecision.MODIFY_SAMPLE: ("target_sample_size",)},
            checks=("sample_size_positive",),
            reason_due=True,
            many=False,
        ),
    ),
)

RECORD_ROOT_CAUSE = {
    "root_cause": Given(
        VARCHAR(100), "Investigation finding: bot_traffic, tracking_bug, assignment_bug, unknown, etc.", required=True
    ),
    "investigation_notes": Given(TEXT(), "What the investigation went through, in prose."),
    "resolution_action": Given(TEXT(), "What was done about the mismatch; it counts as resolved then."),
}
"""Inputs of the finding of an investigation."""

RECORDING_ROOT_CAUSE = Effect(
    "recordSrmRootCause",
    writes=(Writes("SrmCheck", columns=(*RECORD_ROOT_CAUSE, "resolved_at", "resolved_by")),),
    guards=(
        Guard(
            "NO_MISMATCH",
            "The check must have found a mismatch.",
            """
            SELECT 'the check found no mismatch, so there is no cause to record', 'SrmCheck:' || {row}.id
            WHERE {row}.is_srm_detected IS NOT TRUE
            """,
        ),
    ),
)

RECORD_DEVIATION = {
    "deviation": Given(JSONB(), "The deviation, as a JSON object.", required=True, stored=False),
}
"""Inputs of the report of a protocol deviation."""

RECORDING_DEVIATION = Effect(
    "recordProtocolDeviation",
    writes=(Writes("Enrollment", columns=("protocol_deviations",)),),
    guards=(
        Guard(
            "NOT_A_LIST",
            "The protocol deviations must be a list.",
            """
            SELECT 'its protocolDeviations are no list, and nothing can be added to them', 'Enrollment:' || {row}.id
            WHERE jsonb_typeof({row}.protocol_deviations) <> 'array'
            """,
            reads=("Enrollment.protocol_deviations",),
        ),
    ),
)
