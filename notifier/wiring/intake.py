"""The way from the API and the command line to the broker."""

from __future__ import annotations

from notifier import metrics
from notifier.api.intake import BrokerIntake
from notifier.client.publisher import Publisher
from notifier.settings import Settings


def build_broker_intake(ours: Settings, name: str, *, waits_for_alarms: bool = True) -> BrokerIntake:
    """Events to RabbitMQ with confirms; ``name`` shows in its management page."""
    publisher = Publisher(
        ours.broker_url,
        ca_file=ours.broker_ca_file,
        name=name,
        waits_for_alarms=waits_for_alarms,
        on_alarm=lambda words: metrics.BROKER_BLOCKED.set(1 if words else 0),
    )
    return BrokerIntake(publisher)
