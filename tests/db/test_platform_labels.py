"""Labels that the platform's code writes into text columns are states that the lifecycles know, with a way on."""

from __future__ import annotations

import pytest

import db.models  # noqa: F401 - declares all lifecycles
from db.base.lifecycles import lifecycle_of

# as the platform's code writes them; those that end something have no way on
LABELS = {
    ("BentoService", "health"): ("starting healthy unhealthy degraded unknown stopped unavailable", ""),
    ("Retraining", "status"): (
        "pending approved training completed cancelled failed rolled_back", "cancelled failed rolled_back"
    ),
    ("TrainingRun", "status"): ("running finished failed", "finished failed"),
    ("PromptAbTest", "status"): ("draft running stopped completed", "stopped completed"),
    ("MonitoringRun", "status"): ("running completed failed", "completed failed"),
    ("MaterializationJob", "status"): ("pending running success completed failed", "success completed failed"),
    ("ExpertReview", "status"): ("pending approved rejected expired", "rejected expired"),
    ("ImprovementAction", "status"): ("pending applied rolled_back", "rolled_back"),
    ("CohortDefinition", "status"): ("draft active locked archived", "archived"),
}  # fmt: skip


@pytest.mark.parametrize(("entity", "name"), LABELS)
def test_every_label_is_a_state_with_a_way_on(entity: str, name: str) -> None:
    lifecycle = lifecycle_of(entity, name)
    assert lifecycle is not None
    labels, ends = LABELS[entity, name]
    for label in labels.split():
        state = lifecycle.state(label)
        assert state is not None, label
        leads_on = label not in ends.split()
        assert bool(lifecycle.allowed(state)) == leads_on, (
            f"LABELS says that {label} {'leads on' if leads_on else 'ends'}"
        )
