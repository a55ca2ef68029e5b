"""What Celery's tools make of the settings of our connections."""

from kombu.utils import json

from notifier.celery import from_settings
from notifier.settings import Settings


def test_inspect_stats_can_write_the_settings_of_a_connection_as_json() -> None:
    # Given settings with callbacks among them: a worker that could not write them answered no `inspect stats`
    options = from_settings(Settings())["broker_transport_options"]

    # Then they are written by name
    assert json.loads(json.dumps(options))["on_blocked"] == "begin"
