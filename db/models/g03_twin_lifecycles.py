"""Group 3, lifecycles: simulations, and which twin models are in use."""

from __future__ import annotations

from sqlalchemy import TEXT, Double, Integer

from db.base.effects import Effect, Writes
from db.base.guards import Guard
from db.base.lifecycles import NOW, Change, Given, Lifecycle, Step, activation
from db.base.vocabulary import Labels
from db.models.g03_digital_twin import SimulationRecommendation, SimulationStatus


class Activation(Labels):
    """Whether something is in use."""

    INACTIVE = "inactive", "Kept, not used."
    ACTIVE = "active", "In use."


SIMULATION = Lifecycle(
    "status",
    "TwinSimulation",
    "simulation_status",
    SimulationStatus,
    SimulationStatus.PENDING,
    {
        SimulationStatus.PENDING: (SimulationStatus.RUNNING,),
        SimulationStatus.RUNNING: (SimulationStatus.COMPLETED, SimulationStatus.FAILED),
    },
    entering={
        SimulationStatus.RUNNING: Step(stamps={"started_at": NOW}),
        SimulationStatus.COMPLETED: Step(
            guards=(
                Guard(
                    "RESULT_INCOMPLETE",
                    "A result has an effect within its interval, and a recommendation.",
                    """
                    SELECT 'the result lacks ' || concat_ws(', ',
                            CASE WHEN nullif({row}.simulated_ate, 'NaN') IS NULL THEN 'the effect' END,
                            CASE WHEN NOT r.around THEN 'an interval around the effect' END,
                            CASE WHEN {row}.recommendation IS NULL THEN 'a recommendation' END
                        ), NULL
                    FROM (SELECT (
                        nullif({row}.simulated_ci_lower, 'NaN') <= nullif({row}.simulated_ate, 'NaN')
                        AND {row}.simulated_ate <= nullif({row}.simulated_ci_upper, 'NaN')
                    ) IS TRUE AS around) AS r
                    WHERE NOT r.around OR {row}.recommendation IS NULL
                    """,
                ),
            ),
            stamps={"completed_at": NOW},
        ),
        SimulationStatus.FAILED: Step(stamps={"completed_at": NOW}),
    },
    changes=(
        Change("startSimulation", "Starts a simulation.", (SimulationStatus.RUNNING,)),
        Change(
            "completeSimulation",
            "Completes a simulation with its result.",
            (SimulationStatus.COMPLETED,),
            {
                "simulated_ate": Given(
                    Double(), "Average Treatment Effect of the intervention, in units of the outcome.", required=True
                ),
                "simulated_ci_lower": Given(Double(), "95% CI lower bound of the effect.", required=True),
                "simulated_ci_upper": Given(Double(), "95% CI upper bound of the effect.", required=True),
                "recommendation": Given(SimulationRecommendation, "Recommendation of the simulation.", required=True),
                "recommendation_rationale": Given(TEXT(), "Why it advises so."),
                "recommended_sample_size": Given(Integer(), "Suggested real experiment sample size, in participants."),
                "simulation_confidence": Given(Double(), "Confidence in the prediction (0-1)."),
            },
            checks=("effect_within_interval",),
            many=False,
        ),
        Change(
            "failSimulation",
            "Ends a simulation with an error.",
            (SimulationStatus.FAILED,),
            {"error_message": Given(TEXT(), "Why the simulation failed.", required=True)},
        ),
    ),
)

TWIN_MODEL = activation(
    "TwinModel",
    what="a twin model",
    activate="activateTwinModel",
    deactivate="deactivateTwinModel",
    activated="activation_date",
    deactivated="deactivation_date",
    reason="deactivation_reason",
    states=Activation,
)

RECORD_ACTUAL_EFFECT = {
    "actual_ate": Given(Double(), "Real experiment effect, in units of the outcome.", required=True, stored=False),
    "actual_ci_lower": Given(Double(), "95% CI lower bound of the real effect.", stored=False),
    "actual_ci_upper": Given(Double(), "95% CI upper bound of the real effect.", stored=False),
    "actual_sample_size": Given(Integer(), "Number of participants of the real experiment.", stored=False),
    "actual_experiment_id": Given("Experiment", "The experiment with the actual effect.", stored=False),
    "validation_notes": Given(TEXT(), "Remarks of whoever validated it.", stored=False),
}
"""Inputs of the record of an actual outcome."""

_OUTCOME = (*RECORD_ACTUAL_EFFECT, "validated_by")
RECORDING_ACTUAL_EFFECT = Effect(
    "recordActualEffect",
    writes=(
        Writes(
            "TwinFidelity",
            columns=_OUTCOME,
            added=("simulation_id", "simulated_ate", "simulated_ci_lower", "simulated_ci_upper", *_OUTCOME),
            triggered=("prediction_error", "absolute_error", "ci_coverage", "fidelity_grade", "validated_at"),
        ),
        Writes("TwinModel", triggered=("fidelity_score", "fidelity_sample_count", "last_fidelity_update")),
    ),
    locks=("TwinSimulation", "TwinModel"),
    guards=(
        Guard(
            "NOT_COMPLETED",
            "The simulation must be completed with a predicted effect.",
            """
            SELECT 'the simulation is ' || {row}.simulation_status::text || ' and predicts no effect to compare with',
                'TwinSimulation:' || {row}.simulation_id
            WHERE ({row}.simulation_status = 'completed' AND {row}.simulated_ate IS NOT NULL) IS NOT TRUE
            """,
        ),
    ),
)
