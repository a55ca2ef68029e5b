"""A virtual host where the service's topology was applied, for one test after the other: a new one costs 1.5 s."""

import pika

from consumers.topology import apply_topology
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ

#: Seconds for whoever used it to be gone. A connection that a test left open would otherwise hold up the next test.
_LEAVE_S = 10.0


class ServiceVhost:
    """Empty when it is lent; a new one after a test that altered its queues."""

    def __init__(self, server: RabbitMQ) -> None:
        self._server = server
        self._url = ""

    def lend(self) -> str:
        """Its address. One test at a time."""
        if self._url and not self._is_left_empty():
            self.renew()
        if not self._url:
            self._url = self._server.new_vhost()
            apply_topology(self._url)
        return self._url

    def renew(self) -> None:
        """Said after a test that changed the queues themselves: nobody uses it any more."""
        if self._url:
            self._server.delete_vhost(self._url)
        self._url = ""

    def _is_left_empty(self) -> bool:
        """Whoever is gone has given back what it had, and nothing is in any queue."""
        try:
            # A killed process counts until all that it sent has been read, and its messages until they are back.
            poll(lambda: self._server.connection_count(self._url) == 0, "nobody is connected", _LEAVE_S)
            poll(self._purged, "all queues are empty")
        except AssertionError:
            return False
        return True

    def _purged(self) -> bool:
        left = [name for name, count in self._server.queue_depths(self._url).items() if count]
        if left:
            with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
                for name in left:
                    connection.channel().queue_purge(name)
        return not left
