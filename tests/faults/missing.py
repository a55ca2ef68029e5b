"""What a test of lost deliveries says when some are missing: which, and what the service knows about them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.acceptance import shop
from tests.acceptance.service import Service
from tests.servers.http import HttpSink
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.smtp import SmtpSink

_SHOWN = 3


def missing_mails(wanted: shop.Expected, sink: SmtpSink) -> set[str]:
    """Deliveries by email that have not arrived."""
    return wanted.mails - shop.arrived_mails(sink).keys()


def missing_hooks(wanted: shop.Expected, sink: HttpSink) -> set[str]:
    """Deliveries by webhook that have not arrived."""
    return wanted.webhooks - shop.arrived_webhooks(sink).keys()


@contextmanager
def saying_what_is_known(
    service: Service, rabbit: RabbitMQ, broker_url: str, missing: Callable[[], set[str]]
) -> Iterator[None]:
    """Adds to a failure how many are missing, where messages lie, and some of their records and log lines."""
    try:
        yield
    except AssertionError as error:
        lost = sorted(missing())
        depths = {queue: count for queue, count in rabbit.queue_depths(broker_url).items() if count}
        told = [f"{error}; {len(lost)} are missing; queues: {depths}"]
        for delivery in lost[:_SHOWN]:
            told += [service.run("show", delivery, "--json").stdout]
            told += [
                f"{process.log.name}: {line[:500]}"
                for process in service.processes
                for line in process.output().splitlines()
                if delivery in line
            ]
        raise AssertionError("\n".join(told)) from None
