"""rollups"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0018 into one at 0019."""
    op.create_table(
        "rollup_marks",
        sa.Column("name", sa.TEXT(), nullable=False, comment="The table whose rows are summed up."),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Start of the unit."),
        schema="gateway",
        comment="Units of time whose rows were written since they were summed up, once for each statement.",
    )
    op.create_index("ix_rollup_marks_name_at", "rollup_marks", ["name", "at"], unique=False, schema="gateway")
    op.create_table(
        "rollup_ml_bentoml_serving_metrics",
        sa.Column("unit", sa.TEXT(), nullable=False, comment="Length of the unit, such as 1 hour."),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Start of the unit."),
        sa.Column("service_id", sa.Uuid(), nullable=True, comment="service_id of the rows."),
        sa.Column("row_count", sa.BigInteger(), nullable=False, comment="Number of rows."),
        sa.Column(
            "requests_total_count", sa.BigInteger(), nullable=True, comment="Number of values of requests_total."
        ),
        sa.Column("requests_total_sum", sa.BigInteger(), nullable=True, comment="Sum of requests_total."),
        sa.Column("requests_total_min", sa.Integer(), nullable=True, comment="Least requests_total."),
        sa.Column("requests_total_max", sa.Integer(), nullable=True, comment="Greatest requests_total."),
        sa.Column(
            "requests_per_second_count",
            sa.BigInteger(),
            nullable=True,
            comment="Number of values of requests_per_second.",
        ),
        sa.Column("requests_per_second_sum", sa.Double(), nullable=True, comment="Sum of requests_per_second."),
        sa.Column("requests_per_second_min", sa.Double(), nullable=True, comment="Least requests_per_second."),
        sa.Column("requests_per_second_max", sa.Double(), nullable=True, comment="Greatest requests_per_second."),
        sa.Column(
            "successful_requests_count",
            sa.BigInteger(),
            nullable=True,
            comment="Number of values of successful_requests.",
        ),
        sa.Column("successful_requests_sum", sa.BigInteger(), nullable=True, comment="Sum of successful_requests."),
        sa.Column("successful_requests_min", sa.Integer(), nullable=True, comment="Least successful_requests."),
        sa.Column("successful_requests_max", sa.Integer(), nullable=True, comment="Greatest successful_requests."),
        sa.Column(
            "failed_requests_count", sa.BigInteger(), nullable=True, comment="Number of values of failed_requests."
        ),
        sa.Column("failed_requests_sum", sa.BigInteger(), nullable=True, comment="Sum of failed_requests."),
        sa.Column("failed_requests_min", sa.Integer(), nullable=True, comment="Least failed_requests."),
        sa.Column("failed_requests_max", sa.Integer(), nullable=True, comment="Greatest failed_requests."),
        sa.Column(
            "avg_latency_ms_count", sa.BigInteger(), nullable=True, comment="Number of values of avg_latency_ms."
        ),
        sa.Column("avg_latency_ms_sum", sa.Double(), nullable=True, comment="Sum of avg_latency_ms."),
        sa.Column("avg_latency_ms_min", sa.Double(), nullable=True, comment="Least avg_latency_ms."),
        sa.Column("avg_latency_ms_max", sa.Double(), nullable=True, comment="Greatest avg_latency_ms."),
        sa.Column(
            "p50_latency_ms_count", sa.BigInteger(), nullable=True, comment="Number of values of p50_latency_ms."
        ),
        sa.Column("p50_latency_ms_sum", sa.Double(), nullable=True, comment="Sum of p50_latency_ms."),
        sa.Column("p50_latency_ms_min", sa.Double(), nullable=True, comment="Least p50_latency_ms."),
        sa.Column("p50_latency_ms_max", sa.Double(), nullable=True, comment="Greatest p50_latency_ms."),
        sa.Column(
            "p95_latency_ms_count", sa.BigInteger(), nullable=True, comment="Number of values of p95_latency_ms."
        ),
        sa.Column("p95_latency_ms_sum", sa.Double(), nullable=True, comment="Sum of p95_latency_ms."),
        sa.Column("p95_latency_ms_min", sa.Double(), nullable=True, comment="Least p95_latency_ms."),
        sa.Column("p95_latency_ms_max", sa.Double(), nullable=True, comment="Greatest p95_latency_ms."),
        sa.Column(
            "p99_latency_ms_count", sa.BigInteger(), nullable=True, comment="Number of values of p99_latency_ms."
        ),
        sa.Column("p99_latency_ms_sum", sa.Double(), nullable=True, comment="Sum of p99_latency_ms."),
        sa.Column("p99_latency_ms_min", sa.Double(), nullable=True, comment="Least p99_latency_ms."),
        sa.Column("p99_latency_ms_max", sa.Double(), nullable=True, comment="Greatest p99_latency_ms."),
        sa.Column(
            "max_latency_ms_count", sa.BigInteger(), nullable=True, comment="Number of values of max_latency_ms."
        ),
        sa.Column("max_latency_ms_sum", sa.Double(), nullable=True, comment="Sum of max_latency_ms."),
        sa.Column("max_latency_ms_min", sa.Double(), nullable=True, comment="Least max_latency_ms."),
        sa.Column("max_latency_ms_max", sa.Double(), nullable=True, comment="Greatest max_latency_ms."),
        sa.Column("error_rate_count", sa.BigInteger(), nullable=True, comment="Number of values of error_rate."),
        sa.Column("error_rate_sum", sa.Double(), nullable=True, comment="Sum of error_rate."),
        sa.Column("error_rate_min", sa.Double(), nullable=True, comment="Least error_rate."),
        sa.Column("error_rate_max", sa.Double(), nullable=True, comment="Greatest error_rate."),
        sa.Column("memory_mb_count", sa.BigInteger(), nullable=True, comment="Number of values of memory_mb."),
        sa.Column("memory_mb_sum", sa.Double(), nullable=True, comment="Sum of memory_mb."),
        sa.Column("memory_mb_min", sa.Double(), nullable=True, comment="Least memory_mb."),
        sa.Column("memory_mb_max", sa.Double(), nullable=True, comment="Greatest memory_mb."),
        sa.Column(
            "memory_percent_count", sa.BigInteger(), nullable=True, comment="Number of values of memory_percent."
        ),
        sa.Column("memory_percent_sum", sa.Double(), nullable=True, comment="Sum of memory_percent."),
        sa.Column("memory_percent_min", sa.Double(), nullable=True, comment="Least memory_percent."),
        sa.Column("memory_percent_max", sa.Double(), nullable=True, comment="Greatest memory_percent."),
        sa.Column("cpu_percent_count", sa.BigInteger(), nullable=True, comment="Number of values of cpu_percent."),
        sa.Column("cpu_percent_sum", sa.Double(), nullable=True, comment="Sum of cpu_percent."),
        sa.Column("cpu_percent_min", sa.Double(), nullable=True, comment="Least cpu_percent."),
        sa.Column("cpu_percent_max", sa.Double(), nullable=True, comment="Greatest cpu_percent."),
        sa.Column(
            "predictions_count_count", sa.BigInteger(), nullable=True, comment="Number of values of predictions_count."
        ),
        sa.Column("predictions_count_sum", sa.BigInteger(), nullable=True, comment="Sum of predictions_count."),
        sa.Column("predictions_count_min", sa.Integer(), nullable=True, comment="Least predictions_count."),
        sa.Column("predictions_count_max", sa.Integer(), nullable=True, comment="Greatest predictions_count."),
        sa.Column(
            "batch_size_avg_count", sa.BigInteger(), nullable=True, comment="Number of values of batch_size_avg."
        ),
        sa.Column("batch_size_avg_sum", sa.Double(), nullable=True, comment="Sum of batch_size_avg."),
        sa.Column("batch_size_avg_min", sa.Double(), nullable=True, comment="Least batch_size_avg."),
        sa.Column("batch_size_avg_max", sa.Double(), nullable=True, comment="Greatest batch_size_avg."),
        sa.Column(
            "model_load_time_ms_count",
            sa.BigInteger(),
            nullable=True,
            comment="Number of values of model_load_time_ms.",
        ),
        sa.Column("model_load_time_ms_sum", sa.Double(), nullable=True, comment="Sum of model_load_time_ms."),
        sa.Column("model_load_time_ms_min", sa.Double(), nullable=True, comment="Least model_load_time_ms."),
        sa.Column("model_load_time_ms_max", sa.Double(), nullable=True, comment="Greatest model_load_time_ms."),
        sa.Column(
            "inference_time_avg_ms_count",
            sa.BigInteger(),
            nullable=True,
            comment="Number of values of inference_time_avg_ms.",
        ),
        sa.Column("inference_time_avg_ms_sum", sa.Double(), nullable=True, comment="Sum of inference_time_avg_ms."),
        sa.Column("inference_time_avg_ms_min", sa.Double(), nullable=True, comment="Least inference_time_avg_ms."),
        sa.Column("inference_time_avg_ms_max", sa.Double(), nullable=True, comment="Greatest inference_time_avg_ms."),
        schema="gateway",
        comment="Sums of the rows of ml_bentoml_serving_metrics by units of time; those of marked units are behind.",
    )
    op.create_index(
        "ix_rollup_ml_bentoml_serving_metrics_keys",
        "rollup_ml_bentoml_serving_metrics",
        ["service_id", "unit", "at"],
        unique=False,
        schema="gateway",
    )
    op.create_index(
        "ix_rollup_ml_bentoml_serving_metrics_unit_at",
        "rollup_ml_bentoml_serving_metrics",
        ["unit", "at"],
        unique=False,
        schema="gateway",
    )
    op.create_table(
        "rollup_ml_observability_spans",
        sa.Column("unit", sa.TEXT(), nullable=False, comment="Length of the unit, such as 1 hour."),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Start of the unit."),
        sa.Column("agent_name", sa.TEXT(), nullable=True, comment="agent_name of the rows."),
        sa.Column("agent_tier", sa.TEXT(), nullable=True, comment="agent_tier of the rows."),
        sa.Column("row_count", sa.BigInteger(), nullable=False, comment="Number of rows."),
        sa.Column("duration_ms_count", sa.BigInteger(), nullable=True, comment="Number of values of duration_ms."),
        sa.Column("duration_ms_sum", sa.BigInteger(), nullable=True, comment="Sum of duration_ms."),
        sa.Column("duration_ms_min", sa.Integer(), nullable=True, comment="Least duration_ms."),
        sa.Column("duration_ms_max", sa.Integer(), nullable=True, comment="Greatest duration_ms."),
        sa.Column("input_tokens_count", sa.BigInteger(), nullable=True, comment="Number of values of input_tokens."),
        sa.Column("input_tokens_sum", sa.BigInteger(), nullable=True, comment="Sum of input_tokens."),
        sa.Column("input_tokens_min", sa.Integer(), nullable=True, comment="Least input_tokens."),
        sa.Column("input_tokens_max", sa.Integer(), nullable=True, comment="Greatest input_tokens."),
        sa.Column("output_tokens_count", sa.BigInteger(), nullable=True, comment="Number of values of output_tokens."),
        sa.Column("output_tokens_sum", sa.BigInteger(), nullable=True, comment="Sum of output_tokens."),
        sa.Column("output_tokens_min", sa.Integer(), nullable=True, comment="Least output_tokens."),
        sa.Column("output_tokens_max", sa.Integer(), nullable=True, comment="Greatest output_tokens."),
        sa.Column("total_tokens_count", sa.BigInteger(), nullable=True, comment="Number of values of total_tokens."),
        sa.Column("total_tokens_sum", sa.BigInteger(), nullable=True, comment="Sum of total_tokens."),
        sa.Column("total_tokens_min", sa.Integer(), nullable=True, comment="Least total_tokens."),
        sa.Column("total_tokens_max", sa.Integer(), nullable=True, comment="Greatest total_tokens."),
        schema="gateway",
        comment="Sums of the rows of ml_observability_spans by units of time; those of marked units are behind.",
    )
    op.create_index(
        "ix_rollup_ml_observability_spans_keys",
        "rollup_ml_observability_spans",
        ["agent_name", "agent_tier", "unit", "at"],
        unique=False,
        schema="gateway",
    )
    op.create_index(
        "ix_rollup_ml_observability_spans_unit_at",
        "rollup_ml_observability_spans",
        ["unit", "at"],
        unique=False,
        schema="gateway",
    )
    op.create_table(
        "rollups",
        sa.Column("name", sa.TEXT(), nullable=False, comment="The table whose rows are summed up."),
        sa.Column("measures", postgresql.ARRAY(sa.TEXT()), nullable=False, comment="Its columns that are."),
        sa.Column(
            "state", sa.TEXT(), nullable=False, comment="building, ready, or broken: rows were written unmarked."
        ),
        sa.Column(
            "since",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was begun.",
        ),
        sa.CheckConstraint("state IN ('building', 'ready', 'broken')", name=op.f("ck_rollups_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rollups")),
        schema="gateway",
        comment="Tables of which sums by units of time are kept, made and removed by the command line.",
    )
