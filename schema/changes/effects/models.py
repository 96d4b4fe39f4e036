"""Champions: exactly one model per experiment, also under concurrent changes."""

from __future__ import annotations

from sqlalchemy import TEXT

from db.base.lifecycles import Given
from db.models.g01_mlops_core import ModelStage
from db.models.g01_mlops_lifecycles import (
    CHAMPION,
    CLEAR_CHAMPION,
    CLEAR_CHAMPION_UNLESS_PROMOTED,
    DETHRONE_OTHERS,
    SETTING_CHAMPION,
    SWAPPING_CHAMPION,
    ChampionState,
)
from schema.changes.engine import Transition, Work
from schema.changes.mutations import mutation
from schema.changes.refusals import blocked, invalid
from schema.changes.registry import effect
from schema.changes.results import Blocker
from schema.changes.rows import Row, Subject
from schema.error_codes import BlockerCode


@effect(CLEAR_CHAMPION)
async def clear_champion(work: Work, transition: Transition) -> None:
    """A model that leaves production is nobody's champion."""
    if transition.row["is_champion"] == "true":
        await work.shift(CHAMPION, transition.row, ChampionState.CONTENDER)


@effect(CLEAR_CHAMPION_UNLESS_PROMOTED)
async def clear_champion_unless_promoted(work: Work, transition: Transition) -> None:
    """A champion in shadow stays one in production only."""
    if transition.to is not ModelStage.PRODUCTION:
        await clear_champion(work, transition)


@effect(DETHRONE_OTHERS)
async def dethrone_others(work: Work, transition: Transition) -> None:
    """The experiment's champions make room before the new one is appointed."""
    others = await work.find(
        "Model",
        "t.experiment_id::uuid = $1::text::uuid AND t.is_champion AND t.id::uuid <> $2::text::uuid",
        transition.row["experiment_id"],
        transition.row["id"],
    )
    for other in others:
        await work.shift(CHAMPION, other, ChampionState.CONTENDER)


async def _rows(work: Work, subjects: list[Subject]) -> list[Row]:
    """Locks models, queued behind other changes of champions in their experiments."""
    await work.queue(CHAMPION, [subject.key for subject in subjects])
    return await work.lock(work.catalogue["Model"], subjects)


@mutation(
    SETTING_CHAMPION, "Makes a model the champion of its experiment, in place of the current one.", subject="Model"
)
async def set_champion(work: Work) -> None:
    """Appoints the model; the one that it replaces is among what changed with it."""
    rows = await _rows(work, list(work.asked))
    work.subjects.append(rows[0].id)
    await work.move(CHAMPION, rows, ChampionState.CHAMPION)


@mutation(
    SWAPPING_CHAMPION,
    "Makes a model the champion of its experiment in place of the given champion: both change in one transaction, or "
    "neither.",
    subject="Model",
    given={
        "current_id": Given("Model", "The champion to replace.", required=True),
        "current_version": Given(
            TEXT(),
            "The `rowVersion` of that champion as it was read. The change is refused if it has another version now.",
        ),
    },
)
async def swap_champion(work: Work) -> None:
    """Appoints the model if the other one is the champion that the client takes it for."""
    challenger = work.asked[0]
    current = work.given["current_id"]
    champion = Subject(current, (current,), "currentId", work.given.get("current_version"))
    if champion.key == challenger.key:
        raise invalid("currentId", "is the model that is to become champion; name the one that it replaces")
    new, old = await _rows(work, [challenger, champion])
    if old["is_champion"] != "true" or old["experiment_id"] != new["experiment_id"]:
        where = "the champion of another experiment" if old["is_champion"] == "true" else "not a champion"
        raise blocked(
            Blocker(
                code=BlockerCode.NOT_THE_CHAMPION,
                message=f"{old.id} is {where}; read the experiment's champion again",
                overridable=False,
                node_id=old.id,
            )
        )
    work.subjects.append(new.id)
    await work.move(CHAMPION, [new], ChampionState.CHAMPION)
