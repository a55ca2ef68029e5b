"""Failure queues on the embedded Redis broker: what is parked is there, and can be walked like on RabbitMQ."""

from celery import Celery

from notifier.broker.publisher import TaskPublisher
from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch
from notifier.domain.rule import Channel, Priority
from notifier.failures.redrive import Redrive
from notifier.settings import Settings
from notifier.worker.celery_side.bootsteps import declare_parked


class Look:
    """A visitor that takes nothing."""

    def visit(self, _: Parked) -> bool:
        return False

    def take(self, _: object, message: object) -> None:
        raise AssertionError


def test_what_is_parked_in_embedded_mode_is_kept(redis_url: str) -> None:
    # Given a worker that has connected to the embedded broker
    app = Celery("embedded-test", set_as_current=False)
    app.conf.update(from_settings(Settings(broker_url=redis_url, redis_url=redis_url)))
    with app.connection_for_write() as connection:
        declare_parked(connection)

    # When it parks a delivery
    delivery = Delivery(id="dlv_1", event=0, rule="a.b/mail", to=Mailbox(address="kim@example.org"))
    event = Event(id="1", source="/tests", type="a.b")
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=[delivery])
    entry = Parked("dlv_1", "failed-email", Cause.REFUSED, "no", 1.0)
    TaskPublisher(app).park("failed-email", ParkedBatch(batch, (entry,)))

    # Then it is in its queue, also after somebody has looked at it
    assert Redrive(app).walk("failed-email", Look()).entries == [entry]
    assert Redrive(app).depths()["failed-email"] == 1
    app.close()
