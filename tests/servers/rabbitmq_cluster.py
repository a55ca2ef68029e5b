"""Three RabbitMQ nodes that are one cluster, and the faults of one of them."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from tests.servers.memory import kept_in_memory
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ, vhost_of

# What docs/operations/settings-of-the-servers.md recommends. With 60 s, RabbitMQ's default, what is declared or bound
# while a node is frozen waits for a minute (before Khepri, that is before 4.3); with 5000 ms its queues have no leader
# until then; and with 7 s whoever asks for one of them on 3.10 waits as long again.
_NET_TICKTIME_S = 5
_NET_SETUPTIME_S = 1
_POLL_INTERVAL_MS = 1000


class RabbitCluster:
    """Addresses are lists of all three; the first one is where everybody goes first."""

    def __init__(self, directory: Path) -> None:
        self.nodes: list[RabbitMQ] = []
        self._directory = directory
        self._away: set[RabbitMQ] = set()
        self._memory = ExitStack()
        try:
            for name in ("one", "two", "three"):
                (directory / name).mkdir(parents=True)
                self._memory.enter_context(kept_in_memory(directory / name / "data"))
                first = self.nodes[0] if self.nodes else None
                node = RabbitMQ(
                    directory / name,
                    joins=first,
                    net_ticktime=_NET_TICKTIME_S,
                    net_setuptime=_NET_SETUPTIME_S,
                    poll_interval=_POLL_INTERVAL_MS,
                )
                self.nodes.append(node)
        except BaseException:
            self.close()
            raise

    def new_vhost(self) -> str:
        """The addresses of an empty virtual host."""
        vhost = vhost_of(self.nodes[0].new_vhost())
        return ";".join(node.url(vhost) for node in self.nodes)

    def delete_vhost(self, urls: str) -> None:
        """It ends with the cluster: with a frozen node nothing can be removed."""

    def queue_depths(self, urls: str) -> dict[str, int]:
        """As one of the nodes knows them."""
        return self.living.queue_depths(urls)

    @property
    def living(self) -> RabbitMQ:
        """One that is neither killed nor frozen."""
        return next(node for node in self.nodes if node not in self._away)

    def leader_of(self, urls: str, queue: str) -> RabbitMQ:
        """The node that leads a queue."""
        name = self.living.leader_of(urls, queue)
        return next(node for node in self.nodes if node.node == name)

    def kill(self, node: RabbitMQ) -> None:
        """As a power cut does."""
        self._away.add(node)
        node.kill()

    def freeze(self, node: RabbitMQ) -> None:
        """Its kernel goes on answering for it. Nothing thaws it: it would find itself outside of the cluster."""
        self._away.add(node)
        node.freeze()

    def start(self, node: RabbitMQ) -> None:
        """Brings one back that was killed, and waits until the others know it."""
        node.start()
        poll(lambda: self.living.peers() == len(self.nodes) - 1, "all three nodes know one another")
        self._away.discard(node)

    def close(self) -> None:
        """Ends them; the first one, whose port mapper they share, last."""
        for node in reversed(self.nodes):
            node.close()
        self._memory.close()
        shutil.rmtree(self._directory, ignore_errors=True)
