"""A worker that cannot work says why and ends, or says what it did instead."""

import pika
import pytest

from tests.acceptance.service import Service
from tests.servers.processes import ServerBroken


def test_a_queue_with_other_arguments_ends_the_worker_with_an_explanation(service: Service, broker_url: str) -> None:
    # Given a work queue that somebody declared without our arguments
    connection = pika.BlockingConnection(pika.URLParameters(broker_url))
    channel = connection.channel()
    channel.queue_delete("email-low")
    channel.queue_declare("email-low", durable=True, arguments={"x-queue-type": "quorum"})
    connection.close()

    # When a worker starts
    with pytest.raises(ServerBroken) as ended:
        service.worker("-n", "one@%h")

    # Then it ends, and says which queue, which argument and what to do
    told = str(ended.value)
    assert "ended with status 2" in told
    assert "queue email-low exists with other arguments" in told
    assert "x-dead-letter-exchange" in told
    assert "notifier topology apply" in told
