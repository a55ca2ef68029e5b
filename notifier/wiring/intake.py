"""The way from the API and the command line to the broker."""

from __future__ import annotations

from notifier.api.intake import BrokerIntake
from notifier.client.publisher import Publisher
from notifier.settings import Settings


def build_broker_intake(ours: Settings, name: str) -> BrokerIntake:
    """Events to RabbitMQ with confirms; ``name`` shows in its management page."""
    return BrokerIntake(Publisher(ours.broker_url, ca_file=ours.broker_ca_file, name=name), ours.broker_url)
