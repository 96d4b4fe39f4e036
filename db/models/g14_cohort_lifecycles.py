"""Group 14, lifecycles: cohort definitions."""

from __future__ import annotations

from db.base.lifecycles import Change, Lifecycle
from db.base.vocabulary import Labels


class CohortStatus(Labels):
    """State of a cohort definition."""

    DRAFT = "draft", "Being written."
    ACTIVE = "active", "In use; can still be changed."
    LOCKED = "locked", "In use; its criteria cannot change any more."
    ARCHIVED = "archived", "Kept for the record."


COHORT = Lifecycle(
    "status",
    "CohortDefinition",
    "status",
    CohortStatus,
    CohortStatus.DRAFT,
    {
        CohortStatus.DRAFT: (CohortStatus.ACTIVE, CohortStatus.ARCHIVED),
        CohortStatus.ACTIVE: (CohortStatus.LOCKED, CohortStatus.ARCHIVED),
        CohortStatus.LOCKED: (CohortStatus.ARCHIVED,),
    },
    changes=(Change("moveCohortDefinition", "Moves a cohort definition to a state of its lifecycle."),),
    ended=(CohortStatus.ARCHIVED,),
)
