"""The vocabulary of the demo rows: brands, features, agents and people."""

from __future__ import annotations

from dataclasses import dataclass

REMIBRUTINIB, FABHALTA, KISQALI = "Remibrutinib", "Fabhalta", "Kisqali"
BRANDS = (REMIBRUTINIB, FABHALTA, KISQALI)
REGIONS = ("northeast", "south", "midwest", "west")
SPECIALTIES = {
    REMIBRUTINIB: ("allergist", "dermatologist", "immunologist"),
    FABHALTA: ("hematologist", "nephrologist", "internist"),
    KISQALI: ("medical oncologist", "breast surgeon", "gynecologic oncologist"),
}
INDICATIONS = {
    REMIBRUTINIB: ("chronic spontaneous urticaria",),
    FABHALTA: ("paroxysmal nocturnal hemoglobinuria", "C3 glomerulopathy"),
    KISQALI: ("HR+/HER2- early breast cancer", "HR+/HER2- metastatic breast cancer"),
}
PEOPLE = ("a.meyer", "j.okafor", "l.rossi", "m.tanaka", "p.novak", "s.iyer", "t.larsen", "v.dubois")
LLMS = ("claude-sonnet-4", "claude-haiku-4", "gpt-4o", "gpt-4o-mini")
ALGORITHMS = ("XGBClassifier", "LGBMClassifier", "CausalForestDML", "LinearDML", "RandomForestClassifier")

AGENTS = {
    "scope_definer": "ml_foundation",
    "cohort_constructor": "ml_foundation",
    "data_preparer": "ml_foundation",
    "feature_analyzer": "ml_foundation",
    "model_selector": "ml_foundation",
    "model_trainer": "ml_foundation",
    "model_deployer": "ml_foundation",
    "observability_connector": "ml_foundation",
    "orchestrator": "coordination",
    "tool_composer": "coordination",
    "causal_impact": "causal_analytics",
    "gap_analyzer": "causal_analytics",
    "heterogeneous_optimizer": "causal_analytics",
    "experiment_designer": "monitoring",
    "experiment_monitor": "monitoring",
    "drift_monitor": "monitoring",
    "health_score": "monitoring",
    "prediction_synthesizer": "ml_predictions",
    "resource_optimizer": "ml_predictions",
    "explainer": "self_improvement",
    "feedback_learner": "self_improvement",
}
TIERS = (
    "ml_foundation", "coordination", "causal_analytics", "monitoring", "ml_predictions", "self_improvement",
)  # fmt: skip


@dataclass(frozen=True)
class FeatureSpec:
    """A feature: its description and entity, and the mean and standard deviation of its values."""

    name: str
    group: str
    entity: str
    kind: str
    mean: float
    deviation: float
    doc: str

    def within(self, value: float) -> float:
        """The value, raised to the least value of the feature."""
        return round(value if self.name == "trx_trend_6m" else max(0.0, value), 6)


FEATURES = (
    FeatureSpec("trx_last_90d", "prescriptions", "hcp", "numeric", 14.2, 9.6, "TRx of the brand in the last 90 days."),
    FeatureSpec("nrx_last_30d", "prescriptions", "hcp", "numeric", 2.4, 1.9, "NRx of the brand in the last 30 days."),
    FeatureSpec("trx_trend_6m", "prescriptions", "hcp", "numeric", 0.03, 0.21, "Slope of monthly TRx over six months."),
    FeatureSpec(
        "brand_market_share", "prescriptions", "hcp", "numeric", 0.18, 0.12, "Share of the brand in its class."
    ),
    FeatureSpec("class_trx_volume", "prescriptions", "hcp", "numeric", 61.0, 38.0, "TRx of the whole class, 90 days."),
    FeatureSpec("days_since_last_rx", "prescriptions", "hcp", "numeric", 21.0, 17.5, "Days since the last script."),
    FeatureSpec("rep_visits_90d", "engagement", "hcp", "numeric", 3.1, 1.8, "Visits of representatives in 90 days."),
    FeatureSpec("email_open_rate", "engagement", "hcp", "numeric", 0.31, 0.17, "Share of e-mails that were opened."),
    FeatureSpec("webinar_attendance_12m", "engagement", "hcp", "numeric", 0.9, 1.1, "Webinars attended in 12 months."),
    FeatureSpec("speaker_program_flag", "engagement", "hcp", "categorical", 0.12, 0.32, "Took part as a speaker."),
    FeatureSpec("msl_interactions_12m", "engagement", "hcp", "numeric", 0.7, 1.0, "Contacts with medical liaisons."),
    FeatureSpec("digital_affinity_score", "engagement", "hcp", "numeric", 0.52, 0.2, "Affinity to digital channels."),
    FeatureSpec("hcp_decile", "profile", "hcp", "numeric", 5.5, 2.9, "Decile of prescription potential."),
    FeatureSpec("specialty", "profile", "hcp", "categorical", 0.0, 0.0, "Specialty of the HCP."),
    FeatureSpec("practice_size", "profile", "hcp", "numeric", 6.4, 5.1, "Prescribers in the practice."),
    FeatureSpec("academic_affiliation", "profile", "hcp", "categorical", 0.22, 0.41, "Affiliated with a university."),
    FeatureSpec("years_in_practice", "profile", "hcp", "numeric", 17.0, 9.0, "Years since residency."),
    FeatureSpec("region", "profile", "hcp", "categorical", 0.0, 0.0, "Sales region of the HCP."),
    FeatureSpec("peer_adoption_rate", "network", "hcp", "numeric", 0.27, 0.16, "Adoption among referral peers."),
    FeatureSpec("referral_centrality", "network", "hcp", "numeric", 0.08, 0.06, "Centrality in the referral network."),
    FeatureSpec("payer_mix_commercial_share", "access", "hcp", "numeric", 0.58, 0.19, "Share of commercial payers."),
    FeatureSpec("prior_auth_denial_rate", "access", "hcp", "numeric", 0.14, 0.09, "Share of denied authorizations."),
    FeatureSpec("formulary_tier", "access", "hcp", "categorical", 2.1, 0.8, "Tier of the brand in local formularies."),
    FeatureSpec("copay_card_usage", "access", "patient", "numeric", 0.34, 0.2, "Share of fills with a copay card."),
    FeatureSpec("patient_age", "demographics", "patient", "numeric", 51.0, 15.2, "Age of the patient, in years."),
    FeatureSpec("patient_sex", "demographics", "patient", "categorical", 0.0, 0.0, "Sex of the patient."),
    FeatureSpec("comorbidity_index", "clinical", "patient", "numeric", 1.7, 1.4, "Charlson comorbidity index."),
    FeatureSpec("prior_lines_of_therapy", "clinical", "patient", "numeric", 1.3, 0.9, "Earlier lines of therapy."),
    FeatureSpec("antihistamine_trials", "clinical", "patient", "numeric", 1.9, 1.0, "Antihistamines tried before."),
    FeatureSpec("urticaria_activity_score", "clinical", "patient", "numeric", 21.5, 8.3, "UAS7 at the last visit."),
    FeatureSpec("hemoglobin_g_dl", "clinical", "patient", "numeric", 9.8, 1.6, "Latest hemoglobin, in g/dl."),
    FeatureSpec("ldh_ratio", "clinical", "patient", "numeric", 1.8, 0.7, "LDH relative to its upper normal limit."),
    FeatureSpec("proteinuria_g_day", "clinical", "patient", "numeric", 2.2, 1.3, "Proteinuria, in g per day."),
    FeatureSpec("tumor_stage", "clinical", "patient", "categorical", 2.3, 0.9, "Stage at diagnosis."),
    FeatureSpec("menopausal_status", "clinical", "patient", "categorical", 0.64, 0.48, "Postmenopausal or not."),
    FeatureSpec("days_to_treatment", "journey", "patient", "numeric", 47.0, 33.0, "Days from diagnosis to treatment."),
    FeatureSpec("refill_adherence_pdc", "journey", "patient", "numeric", 0.79, 0.15, "Proportion of days covered."),
    FeatureSpec("specialist_visits_12m", "journey", "patient", "numeric", 3.4, 2.2, "Visits to specialists."),
    FeatureSpec("trigger_type", "treatment", "treatment", "categorical", 0.0, 0.0, "Kind of trigger sent."),
    FeatureSpec("trigger_lead_time_days", "treatment", "treatment", "numeric", 9.0, 4.5, "Days before the event."),
)
FEATURES_BY_NAME = {feature.name: feature for feature in FEATURES}


@dataclass(frozen=True)
class Topic:
    """The subject of an experiment."""

    name: str
    brand: str
    target: str
    population: str
    entity: str


TOPICS = (
    Topic("Kisqali discontinuation risk", KISQALI, "discontinuation_90d", "Patients on Kisqali", "patient"),
    Topic("Remibrutinib territory TRx forecast", REMIBRUTINIB, "trx_next_quarter", "Sales territories", "hcp"),
    Topic("Fabhalta HCP engagement", FABHALTA, "hcp_engagement_30d", "Hematologists treating PNH", "hcp"),
    Topic("Kisqali CDK4/6 competitor switch", KISQALI, "switch_to_brand_60d", "Oncologists on rival CDK4/6", "hcp"),
    Topic(
        "Remibrutinib antihistamine-refractory patient finding", REMIBRUTINIB, "refractory_csu_180d",
        "CSU patients on antihistamines", "patient",
    ),
    Topic("Fabhalta prior authorization delay", FABHALTA, "auth_delay_over_14d", "PNH and C3G patients", "patient"),
    Topic("Kisqali early breast cancer start", KISQALI, "adjuvant_start_60d", "Stage II-III patients", "patient"),
    Topic("Remibrutinib HCP next best action", REMIBRUTINIB, "trigger_acceptance", "Allergists, deciles 6-10", "hcp"),
    Topic("Fabhalta persistence", FABHALTA, "persistence_180d", "Patients on Fabhalta", "patient"),
    Topic("Kisqali NRx growth", KISQALI, "nrx_growth_30d", "Medical oncologists", "hcp"),
)  # fmt: skip

MARKET_TOPIC = Topic("CDK4/6 class market share", "competitor", "competitor_share_change", "US oncologists", "hcp")
OTHER_TOPIC = Topic("Launch readiness of pipeline brands", "other", "early_adopter", "Immunologists", "hcp")

QUERIES = (
    ("causal", "What is the causal effect of rep visits on Kisqali TRx in the midwest?"),
    ("causal", "Did the e-mail campaign cause the rise of Remibrutinib NRx last quarter?"),
    ("segmentation", "Which oncologist segments respond most to Kisqali speaker programs?"),
    ("segmentation", "How does the effect of MSL visits on Fabhalta differ by specialty?"),
    ("gap", "Where is the largest TRx gap for Remibrutinib against its benchmark?"),
    ("gap", "Which territories underperform on Kisqali market share, and what is closing it worth?"),
    ("experiment", "How many allergists do we need to test a new e-mail cadence?"),
    ("experiment", "Simulate two more rep visits per quarter for Fabhalta hematologists."),
    ("prediction", "Which PNH patients are likely to switch from C5 inhibitors in 90 days?"),
    ("prediction", "Score HCPs by their likelihood to start Kisqali in early breast cancer."),
    ("monitoring", "Has the payer mix feature drifted since the formulary change?"),
    ("monitoring", "Are the predictions of the Fabhalta model still calibrated?"),
    ("roi", "What is the ROI of the Remibrutinib HCP targeting initiative?"),
    ("cohort", "How many CSU patients remain after the antihistamine criterion?"),
)
