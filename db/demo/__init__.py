"""Demo data: consistent rows of pharmaceutical ML in all 60 tables, organized as stories.

    counts = await load(connection, size="small", progress=terminal_progress())

The stories, by the name of a row in each:

======================================  ================================================================
``Remibrutinib CSU adoption``           a champion, from development to production (`stories_models`)
``Kisqali NRx propensity``              drift, alert, retraining, new version (`stories_models`)
``Fabhalta PNH switch``                 four deployments in a chain, one rolled back (`stories_models`)
``Fabhalta C3G patient finding``        a study and the model of its best trial (`stories_models`)
``Remibrutinib email cadence``          a twin prediction graded poor, and other grades (`twins`)
``Kisqali rep visit effect``            estimates that proceed, are in review, are blocked (`validation`)
``comp-kisqali-midwest``                a composition of four tools (`composer`)
``causal-impact-gepa-1``                a GEPA run whose best prompt won its A/B test (`gepa`)
``Kisqali rep visit targeting``         an ROI calculation and the one before (`roi`)
``csu-refractory``                      a cohort, its funnel, its patients, a comparison (`cohorts`)
``payer_mix_weekly``                    a stale feature view, among fresh and critical ones (`feast`)
Kisqali TRx                             a discovered DAG, its voters and driver rankings (`discovery`)
``causal_impact_system``                evaluations, actions, configurations, lessons (`improvement`)
======================================  ================================================================

``small`` has the stories and loads in seconds; ``large`` adds a fleet of experiments with a million serving metrics.
"""

from __future__ import annotations

from db.demo.load import SizeName, load
from db.demo.progress import terminal_progress
from db.demo.rows import DemoError

__all__ = ["DemoError", "SizeName", "load", "terminal_progress"]
