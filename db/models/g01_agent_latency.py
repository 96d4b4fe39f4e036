"""Group 1, agent latency over a period of any length."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from sqlalchemy import BigInteger, Boolean, Double, Integer, Numeric
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.computed import ReadWindow
from db.base.markers import Group
from db.base.rollups import GroupsSelect
from db.base.sketches import RELATIVE_ERROR
from db.base.vocabulary import Argument, Derived, column, pg_enum
from db.models.shared import AgentName, AgentTier

HOURS_OF_A_YEAR = 8784


class AgentLatency(Derived):
    """Latency percentiles, error rate and token usage of one agent, over its spans of `windowHours` before `until`: the
    last 24 hours by default.
    """

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("agent", "agent performance")
    __select__ = """
        SELECT
            s.agent_name,
            s.agent_tier,
            count(*) AS total_spans,
            avg(s.duration_ms) AS avg_duration_ms,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY s.duration_ms) AS p50_ms,
            percentile_cont(0.95) WITHIN GROUP (ORDER BY s.duration_ms) AS p95_ms,
            percentile_cont(0.99) WITHIN GROUP (ORDER BY s.duration_ms) AS p99_ms,
            count(*) FILTER (WHERE s.status = 'error')::numeric / count(*) AS error_rate,
            count(*) FILTER (WHERE s.fallback_used)::numeric / count(*) AS fallback_rate,
            sum(s.total_tokens) AS total_tokens_used
        FROM ml_observability_spans AS s
        WHERE s.started_at >= coalesce({until}, now()) - make_interval(hours => {window_hours})
            AND s.started_at < coalesce({until}, 'infinity')
        GROUP BY s.agent_name, s.agent_tier
    """
    __reads__ = ("ObservabilitySpan",)
    __window__ = ReadWindow("ObservabilitySpan", "started_at", "window_hours", 3_600)
    __rolled_up__ = GroupsSelect(
        of="ObservabilitySpan",
        since="coalesce({until}, now()) - make_interval(hours => {window_hours})",
        until="coalesce({until}, 'infinity')",
        sums=("duration_ms_count", "duration_ms_sum", "errors", "fallbacks", "total_tokens_sum"),
        ranks=(("duration_ms", 0.5), ("duration_ms", 0.95), ("duration_ms", 0.99)),
        select="""
            SELECT
                g.agent_name,
                g.agent_tier,
                g.row_count AS total_spans,
                g.duration_ms_sum::numeric / nullif(g.duration_ms_count, 0) AS avg_duration_ms,
                g.duration_ms_p50 AS p50_ms,
                g.duration_ms_p95 AS p95_ms,
                g.duration_ms_p99 AS p99_ms,
                g.errors::numeric / g.row_count AS error_rate,
                g.fallbacks::numeric / g.row_count AS fallback_rate,
                g.total_tokens_sum AS total_tokens_used
            FROM {groups} AS g
        """,
    )
    __plural__ = "agentLatency"
    __arguments__: ClassVar = {
        "window_hours": Argument(
            Integer(), "Length of the period, in hours.", default=24, least=1, most=HOURS_OF_A_YEAR
        ),
        "until": Argument(TIMESTAMP(timezone=True), "End of the period, exclusive; now by default."),
        "exact": Argument(
            Boolean(),
            "Whether percentiles are computed from all spans. By default they are read off sketches where rollups are "
            f"kept, with a relative error of at most {RELATIVE_ERROR:.0%}, which `extensions.rollup` says.",
            default=False,
            in_sql=False,
        ),
    }

    agent_name: Mapped[AgentName] = column(
        pg_enum(AgentName), "Agent that executed the spans.", primary_key=True, holds=Holds.LABEL
    )
    agent_tier: Mapped[AgentTier] = column(pg_enum(AgentTier), "Agent tier (0-5).", primary_key=True)
    total_spans: Mapped[int] = column(BigInteger(), "Number of spans started in the period.", unit=Unit.COUNT)
    avg_duration_ms: Mapped[Decimal | None] = column(
        Numeric(), "Mean execution duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p50_ms: Mapped[float | None] = column(
        Double(), "50th percentile of the duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p95_ms: Mapped[float | None] = column(
        Double(), "95th percentile of the duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p99_ms: Mapped[float | None] = column(
        Double(), "99th percentile of the duration, in milliseconds.", unit=Unit.MILLISECONDS
    )
    error_rate: Mapped[Decimal | None] = column(
        Numeric(), "Fraction of spans with the status error (0-1).", unit=Unit.FRACTION
    )
    fallback_rate: Mapped[Decimal | None] = column(
        Numeric(), "Fraction of spans that used a fallback model (0-1).", unit=Unit.FRACTION
    )
    total_tokens_used: Mapped[int | None] = column(
        BigInteger(), "LLM tokens consumed; null where no span counted them.", unit=Unit.TOKENS
    )
