"""Pure builders for metrics, rules and dashboards. Knows nothing of infra."""
