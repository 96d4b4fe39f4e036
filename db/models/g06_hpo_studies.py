"""Group 6, HPO studies: Optuna hyperparameter optimization studies and their trials."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, ForeignKey, Integer, Numeric, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, entity, facts
from db.base.vocabulary import EMPTY_OBJECT, NEW_UUID, NOW, Entity, belongs_to, column


class HpoStudy(Entity):
    """An Optuna study: search space, sampler, pruner, objective and best results."""

    __group__ = Group.HPO_STUDIES
    __aliases__ = ("study", "hyperparameter study", "hyperparameter optimization", "optuna study", "tuning")
    __tablename__ = "ml_hpo_studies"
    __record__ = entity(
        key=("study_name",),
        born=("RUNNING", "COMPLETED", "FAILED"),
        actor="created_by",
        updates=("experiment_id", "sampler_name", "pruner_name", "search_space", "fixed_params"),
    )
    __order__ = "started_at"
    __search__ = ("study_name",)

    id: Mapped[UUID] = column(Uuid(), "Study identifier.", primary_key=True, server_default=NEW_UUID)
    study_name: Mapped[str] = column(VARCHAR(255), "Optuna study name.", unique=True, holds=Holds.IDENTIFIER)
    experiment_id: Mapped[UUID | None] = column(Uuid(), "Linked ML experiment.", ForeignKey("ml_experiments.id"))
    algorithm_name: Mapped[str] = column(VARCHAR(100), "Algorithm being optimized.", holds=Holds.LABEL)
    problem_type: Mapped[str] = column(
        VARCHAR(50), "Kind of learning problem (binary_classification, regression, etc.).", holds=Holds.LABEL
    )
    direction: Mapped[str | None] = column(
        VARCHAR(20),
        "Direction of the optimization: maximize or minimize.",
        server_default="maximize",
        values=("maximize", "minimize"),
    )
    sampler_name: Mapped[str | None] = column(
        VARCHAR(50), "Optuna sampler that proposed the trials.", server_default="TPESampler", holds=Holds.LABEL
    )
    pruner_name: Mapped[str | None] = column(
        VARCHAR(50), "Optuna pruner that stopped trials early.", server_default="MedianPruner", holds=Holds.LABEL
    )
    metric: Mapped[str] = column(
        VARCHAR(50), "Objective metric (roc_auc, rmse, etc.).", holds=Holds.LABEL, aliases=("objective",)
    )
    search_space: Mapped[Any] = column(
        JSONB(), "Param definitions: type, low, high, log, choices.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    fixed_params: Mapped[Any | None] = column(
        JSONB(), "Hyperparameters held constant over all trials.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    n_trials: Mapped[int | None] = column(Integer(), "Total trials run.", server_default="0", unit=Unit.COUNT)
    n_completed: Mapped[int | None] = column(
        Integer(), "Trials that ran to their end.", server_default="0", unit=Unit.COUNT
    )
    n_pruned: Mapped[int | None] = column(Integer(), "Trials pruned early.", server_default="0", unit=Unit.COUNT)
    n_failed: Mapped[int | None] = column(Integer(), "Trials that failed.", server_default="0", unit=Unit.COUNT)
    best_trial_number: Mapped[int | None] = column(Integer(), "Index of best trial.", unit=Unit.ORDINAL)
    best_value: Mapped[Decimal | None] = column(
        Numeric(10, 6),
        "Best objective value, on the scale of the objective metric.",
        unit=Unit.ROW_SCALE,
        aliases=("best score",),
    )
    best_params: Mapped[Any | None] = column(
        JSONB(),
        "Best hyperparameters found.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
        aliases=("best hyperparameters",),
    )
    duration_seconds: Mapped[Decimal | None] = column(
        Numeric(10, 2), "Wall-clock time of the study, in seconds.", unit=Unit.SECONDS
    )
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it started.", server_default=NOW)
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    status: Mapped[str | None] = column(
        VARCHAR(50),
        "State of the study: running, completed, failed or pruned.",
        server_default="running",
        holds=Holds.STATE,
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the study failed, if it did.", holds=Holds.PROSE)
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that created the study.", server_default="optuna_optimizer", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the study was recorded.", server_default=NOW
    )
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the study optimizes.",
        inverse="hpo_studies",
        inverse_doc="HPO studies that the experiment was optimized by.",
        lineage=comes_from(LineageKind.OPTIMIZED_BY),
    )
    best_trial = belongs_to(
        "HpoTrial",
        {"id": "study_id", "best_trial_number": "trial_number"},
        "The best trial of the study, by its number.",
        inverse="best_of_study",
        inverse_doc="The study that this is the best trial of; null for any other trial.",
        inverse_many=False,
        lineage="the best trial is one of the study's trials",
        aliases=("winner", "winning trial", "best run"),
    )


class HpoTrial(Entity):
    """One trial of an Optuna study: the hyperparameters sampled and the objective value reached."""

    __group__ = Group.HPO_STUDIES
    __aliases__ = ("trial", "optuna trial")
    __tablename__ = "ml_hpo_trials"
    __record__ = facts(
        key=("study_id", "trial_number"),
        born=("COMPLETE", "PRUNED", "FAIL", "WAITING", "RUNNING"),
        part_of="study_id",
    )
    __label__ = ("trial_number",)
    __table_args__ = (UniqueConstraint("study_id", "trial_number"),)
    __order__ = "datetime_start"

    id: Mapped[UUID] = column(Uuid(), "Trial identifier.", primary_key=True, server_default=NEW_UUID)
    study_id: Mapped[UUID | None] = column(Uuid(), "Parent study.", ForeignKey("ml_hpo_studies.id"))
    trial_number: Mapped[int] = column(Integer(), "Trial index within the study, from 0.", unit=Unit.ORDINAL)
    state: Mapped[str] = column(
        VARCHAR(50), "State of the trial: COMPLETE, PRUNED, FAIL, WAITING or RUNNING.", holds=Holds.STATE
    )
    params: Mapped[Any] = column(
        JSONB(), "Hyperparameters sampled.", server_default=EMPTY_OBJECT, holds=Holds.DATA, aliases=("hyperparameters",)
    )
    value: Mapped[Decimal | None] = column(
        Numeric(10, 6),
        "Objective function value, on the scale of the study's metric.",
        unit=Unit.ROW_SCALE,
        aliases=("objective", "score", "result"),
    )
    intermediate_values: Mapped[Any | None] = column(
        JSONB(),
        "Step-wise objective values that pruning was decided on, by step.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    datetime_start: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it started; null while it is waiting."
    )
    datetime_complete: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    duration_seconds: Mapped[Decimal | None] = column(
        Numeric(10, 3), "Trial wall-clock time, in seconds.", unit=Unit.SECONDS
    )
    user_attrs: Mapped[Any | None] = column(
        JSONB(), "Attributes that the objective attached to the trial.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the trial was recorded.", server_default=NOW
    )

    study = belongs_to(
        "HpoStudy",
        "study_id",
        "The study that contains the trial.",
        inverse="trials",
        inverse_doc="Trials that the study contains.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
