"""Metrics, alerts and logs."""

from enum import StrEnum
from typing import Annotated

from infra.settings.kinds import Port, choice, duration
from infra.settings.secret import Secret
from infra.settings.section import Section


class Logs(StrEnum):
    """Where logs go."""

    NONE = "none"
    ELASTICSEARCH = "elasticsearch"


class Alerts(Section):
    """Who is told when something is wrong."""

    webhook: Secret | None = None
    """URL that alerts are posted to, encrypted, as such URLs hold a token:
    pulumi config set --secret --path berth:monitoring.alerts.webhook. Default: none."""


class Monitoring(Section):
    """Metrics, alerts and logs."""

    retention: Annotated[float, duration("1h")] = 15 * 86400.0
    """How long metrics are kept. Default: 15d."""
    prometheus_port: Port = 9090
    """Port of Prometheus on this machine; on local only. Default: 9090."""
    alerts: Alerts = Alerts()
    """Who is told when something is wrong."""
    logs: Annotated[Logs, choice(Logs, "a place for logs")] = Logs.NONE
    """none (default): files beside the processes, or the cluster's own logs. elasticsearch: searchable."""
