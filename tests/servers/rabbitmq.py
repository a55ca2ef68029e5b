"""A private RabbitMQ node: fresh virtual hosts for isolation, and the faults that a broker can have."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.servers.erlang import ErlangControl, ErlangError
from tests.servers.patience import PATIENCE_S, poll
from tests.servers.ports import free_port
from tests.servers.processes import start, stop_group, wait_until
from tests.servers.rabbitmq_installation import chosen
from tests.servers.rights import PASSWORD, broker_rights

_USER = "guest"

# Idle schedulers sleep instead of spinning: a test machine has two cores, and the tests need them.
_ERLANG_ARGUMENTS = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 1MB
# The default of 512 MB is written out in full while a node runs quorum queues.
raft.wal_max_size_bytes = 16777216
"""


# Each queue is asked in a process of its own: one that does not answer costs a second, not a second each.
_QUEUE_DEPTHS = """
    Ask = fun(Queue) ->
        case amqqueue:get_type(Queue) of
            rabbit_quorum_queue ->
                Counted = {{rabbit_fifo, query_messages_total, []}},
                {{queue, rpc:async_call(node(), ra, consistent_query, [amqqueue:get_pid(Queue), Counted, 1000])}};
            _ -> {{other, rpc:async_call(node(), rabbit_amqqueue, info, [Queue, [messages]])}}
        end
    end,
    Count = fun({{Kind, Key}}) ->
        case {{Kind, rpc:yield(Key)}} of
            {{queue, {{ok, Total, _}}}} -> Total;
            {{queue, _}} -> -1;
            {{other, [{{messages, Number}}]}} -> Number;
            {{other, _}} -> 0
        end
    end,
    Asked = [{{element(4, amqqueue:get_name(Queue)), Ask(Queue)}} || Queue <- rabbit_amqqueue:list(<<"{vhost}">>)],
    iolist_to_binary([[Name, 9, integer_to_binary(Count(Key)), 10] || {{Name, Key}} <- Asked])
"""

# The node speaks AMQP a moment before all its virtual hosts do.
_IS_WHOLE = """
    rabbit:is_running() andalso lists:all(fun rabbit_vhost_sup_sup:is_vhost_alive/1, rabbit_vhost:list_names())
"""

# A node that restarts may lose what a delay queue hands on at that moment; it waits three minutes for the confirm, and
# hands it on again. Nothing is lost, but tests would wait as long (docs/operations/runbook.md).
_ADVANCED_CONFIGURATION = """\
[
  {{rabbit, [{{dead_letter_worker_publisher_confirm_timeout, 10000}}]}},
  {{aten, [{{poll_interval, {poll_interval}}}]}}
].
"""


_JOINING = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {node}
"""


_MANAGEMENT = """\
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
"""


class RabbitMQ:
    """One RabbitMQ node with its own name, ports, cookie and data, on loopback only.

    ``joins`` is a node whose cluster it becomes a member of; ``net_ticktime`` is after how many seconds its members
    give up one that is frozen, ``net_setuptime`` how many they try to reach it again, and ``poll_interval`` how many
    milliseconds pass between their looks at who leads queues; ``management`` starts its management API.
    """

    def __init__(
        self,
        directory: Path,
        *,
        joins: "RabbitMQ | None" = None,
        net_ticktime: int = 60,
        net_setuptime: int = 7,
        poll_interval: int = 5000,
        management: bool = False,
    ) -> None:
        self._installation = chosen()
        self._directory = directory
        self._log = directory / "rabbitmq.log"
        self.port = free_port()
        self._epmd_port = joins._epmd_port if joins else free_port()
        self._distribution_port = free_port()
        self._cookie = joins._cookie if joins else secrets.token_hex(16)
        self._is_member = joins is not None
        self.node = f"notifier-{os.getpid()}-{self.port}@localhost"
        self._net_ticktime = net_ticktime
        self._net_setuptime = net_setuptime
        self._poll_interval = poll_interval
        self._management_port = free_port() if management else 0
        self._write_files(_JOINING.format(node=joins.node) if joins else "")
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd = joins._epmd if joins else self._start_epmd()
        # A member leaves the port mapper, which the others need, alone when it is closed.
        self._control = ErlangControl(
            partial(self._installation.command, directory=directory),
            self._installation.erl,
            self.node,
            self._cookie,
            None if joins else self._epmd.pid,
            self._environment(),
            directory,
            net_ticktime,
        )
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def _start_epmd(self) -> "subprocess.Popen[bytes]":
        """Our own port mapper, in the foreground: the one that Erlang starts by itself would outlive the tests."""
        mapper = [self._installation.epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
        command = self._installation.command(mapper, self._directory)
        epmd = start(command, self._log, self._environment(), tied=False)
        # A node that finds no port mapper starts one.
        wait_until(self._epmd_listens, epmd, self._log)
        return epmd

    def _write_files(self, more: str) -> None:
        (self._directory / "rabbitmq.conf").write_text(_CONFIGURATION.format(port=self.port) + more)
        (self._directory / "advanced.config").write_text(
            _ADVANCED_CONFIGURATION.format(poll_interval=self._poll_interval)
        )
        plugins = ""
        if self._management_port:
            plugins = "rabbitmq_management"
            with (self._directory / "rabbitmq.conf").open("a") as configuration:
                configuration.write(_MANAGEMENT.format(port=self._management_port))
        (self._directory / "enabled_plugins").write_text(f"[{plugins}].\n")
        cookie = self._directory / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        here = self._directory
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(here),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_ERLANG_ARGUMENTS} -kernel net_ticktime {self._net_ticktime} "
            f"-kernel net_setuptime {self._net_setuptime}",
        }

    @property
    def pid(self) -> int:
        """The first process of the node's session, for whoever measures it."""
        assert self._process is not None
        return self._process.pid

    @property
    def management_url(self) -> str:
        """Of the management API, without a login."""
        return f"http://127.0.0.1:{self._management_port}"

    def url(self, vhost: str = "/") -> str:
        """The AMQP address of one virtual host."""
        return f"amqp://{_USER}:{_USER}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def new_vhost(self) -> str:
        """Makes an empty virtual host and returns its address; about 0.1 s."""
        # RabbitMQ 3.10 loses its supervisor of at-least-once dead lettering when such queues are deleted in the second
        # after its start, as by a test that killed it; from then on every queue like ours is refused with 541.
        self._control.run("""
            case whereis(rabbit_fifo_dlx_sup) of
                undefined -> {ok, _} = supervisor:restart_child(rabbit_sup, rabbit_fifo_dlx_sup), restarted;
                _ -> there
            end
        """)
        vhost = f"test-{secrets.token_hex(6)}"
        self._control.run(f"""
            ok = rabbit_vhost:add(<<"{vhost}">>, <<"{_USER}">>),
            ok = rabbit_auth_backend_internal:set_permissions(
                <<"{_USER}">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"{_USER}">>)
        """)
        self._admit_roles(vhost)
        return self.url(vhost)

    def _admit_roles(self, vhost: str) -> None:
        """The users that operators are told to make, with their permissions."""
        permissions = ", ".join(
            f'{{<<"{r.user}">>, <<"{_erlang(r.configure)}">>, <<"{_erlang(r.write)}">>, <<"{_erlang(r.read)}">>}}'
            for r in broker_rights()
        )
        self._control.run(f"""
            lists:foreach(fun({{User, Configure, Write, Read}}) ->
                case rabbit_auth_backend_internal:exists(User) of
                    true -> ok;
                    false -> rabbit_auth_backend_internal:add_user(User, <<"{PASSWORD}">>, <<"{_USER}">>)
                end,
                ok = rabbit_auth_backend_internal:set_permissions(
                    User, <<"{vhost}">>, Configure, Write, Read, <<"{_USER}">>)
            end, [{permissions}])
        """)

    def user_of(self, url: str, name: str, *, configure: str = "", write: str = "", read: str = "") -> str:
        """Makes a user with these permissions in the virtual host of `url`, and returns the address it has there."""
        user, password = f"{name}-{secrets.token_hex(4)}", secrets.token_hex(8)
        self._control.run(f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"{password}">>, <<"{_USER}">>)')
        theirs = f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost_of(url), safe='')}"
        self.permit(theirs, configure=configure, write=write, read=read)
        return theirs

    def permit(self, user_url: str, *, configure: str = "", write: str = "", read: str = "") -> None:
        """Gives the user of an address these permissions in its virtual host instead of those it had."""
        patterns = ", ".join(f'<<"{_erlang(pattern)}">>' for pattern in (configure, write, read))
        self._control.run(f"""
            ok = rabbit_auth_backend_internal:set_permissions(
                <<"{_user_of(user_url)}">>, <<"{vhost_of(user_url)}">>, {patterns}, <<"{_USER}">>)
        """)

    def permit_topics(self, user_url: str, exchange: str, write: str) -> None:
        """Lets the user of an address publish to an exchange only with routing keys like `write`."""
        self._control.run(f"""
            ok = rabbit_auth_backend_internal:set_topic_permissions(
                <<"{_user_of(user_url)}">>, <<"{vhost_of(user_url)}">>, <<"{exchange}">>,
                <<"{_erlang(write)}">>, <<"">>, <<"{_USER}">>)
        """)

    def delete_vhost(self, url: str) -> None:
        """Removes a virtual host with all its queues and connections."""
        vhost = vhost_of(url)
        self._insist(f"""
            case rabbit_vhost:exists(<<"{vhost}">>) of
                true -> rabbit_vhost:delete(<<"{vhost}">>, <<"{_USER}">>);
                false -> gone
            end
        """)

    def queue_depths(self, url: str) -> dict[str, int]:
        """Messages in each queue of the virtual host, ready and unacknowledged together.

        Asked of the queues themselves, all at once: the broker's own statistics of quorum queues are up to five seconds
        old. A queue that ends while it is asked, because its client has just gone, has none. A quorum queue elects its
        leader some time after its node has started; until then it answers nothing, and is asked again.
        """
        depths: dict[str, int] = {}

        def all_answer() -> bool:
            lines = self._insist(_QUEUE_DEPTHS.format(vhost=vhost_of(url))).splitlines()
            depths.clear()
            depths.update((name, int(count)) for name, count in (line.split("\t") for line in lines))
            return -1 not in depths.values()

        try:
            poll(all_answer, "every queue tells how much it holds")
        except AssertionError as error:
            raise AssertionError(f"{error}; -1 is no answer: {depths}") from None
        return depths

    def limit_queue(self, url: str, queue: str, messages: int, priority: int = 0) -> None:
        """Makes a queue refuse more than about this many messages; it goes on when some are taken out."""
        self._insist(f"""
            ok = rabbit_policy:parse_set(<<"{vhost_of(url)}">>, <<"{queue}">>, <<"^{queue}$">>,
                <<"{{\\"max-length\\":{messages}}}">>, {priority}, <<"queues">>, <<"{_USER}">>)
        """)

    def limit_deliveries(self, url: str, queue: str, returns: int) -> None:
        """Makes a queue dead-letter a message after so many returns, if its own limit is higher."""
        self._insist(f"""
            ok = rabbit_policy:parse_set(<<"{vhost_of(url)}">>, <<"{queue}-deliveries">>, <<"^{queue}$">>,
                <<"{{\\"delivery-limit\\":{returns}}}">>, 0, <<"queues">>, <<"{_USER}">>)
        """)

    def connection_count(self, url: str) -> int:
        """How many clients are connected to the virtual host of `url`; those of other tests are not counted."""
        return int(self._control.run(f'length(rabbit_connection_tracking:list(<<"{vhost_of(url)}">>))'))

    def close_connections(self) -> None:
        """Closes every client connection from the broker's side, as an operator or a failover would."""
        self._control.run('rabbit_networking:close_all_connections("closed by a test")')

    def set_disk_alarm(self) -> None:
        """Blocks every publishing connection, as a full disk would; undo with `clear_disk_alarm`."""
        self._control.run("rabbit_alarm:set_alarm({{resource_limit, disk, node()}, []})")
        self._until_alarmed("disk", True)

    def clear_disk_alarm(self) -> None:
        """Unblocks publishers."""
        self._control.run("rabbit_alarm:clear_alarm({resource_limit, disk, node()})")
        self._until_alarmed("disk", False)

    def starve_of_memory(self) -> None:
        """A real memory alarm, by `rabbitmqctl set_vm_memory_high_watermark`'s own call; undo with `feed`."""
        self._control.run("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000})")
        self._until_alarmed("memory", True)

    def feed(self) -> None:
        """Gives the node the default share of memory again."""
        self._control.run("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")
        self._until_alarmed("memory", False)

    def start(self) -> None:
        """Starts the node and waits until it speaks AMQP and serves every virtual host that it had."""
        command = self._installation.command([self._installation.server], self._directory)
        self._process = start(command, self._log, self._environment())
        wait_until(self._speaks_amqp, self._process, self._log)
        wait_until(self._is_whole, self._process, self._log)

    def stop(self) -> None:
        """Stops the node in good order."""
        if self._process is not None:
            self._control.run("init:stop()")
            stop_group_after_exit(self._process)
            self._process = None

    def kill(self) -> None:
        """Kills the node as a power cut would; `start` brings it back with its data."""
        if self._process is not None:
            stop_group(self._process, signal.SIGKILL)
            self._process = None

    def freeze(self) -> None:
        """Stops all of the node's processes where they are; its kernel goes on answering for it."""
        os.killpg(self.pid, signal.SIGSTOP)

    def suspend_queue(self, url: str, queue: str) -> None:
        """Lets a quorum queue answer nobody, while its node talks to everybody."""
        self._control.run(f'sys:suspend(whereis(binary_to_atom(<<"{vhost_of(url)}_{queue}">>)))')

    def resume_queue(self, url: str, queue: str) -> None:
        """Lets it do what it was asked meanwhile."""
        self._control.run(f'sys:resume(whereis(binary_to_atom(<<"{vhost_of(url)}_{queue}">>)))')

    def peers(self) -> int:
        """How many other nodes it is connected to."""
        return int(self._insist("length(nodes())"))

    def version(self) -> str:
        """RabbitMQ's, such as ``4.0.5``."""
        return self._control.run("list_to_binary(rabbit_misc:version())")

    def leader_of(self, url: str, queue: str) -> str:
        """The name of the node that leads a quorum queue."""
        return self._insist(f"""
            {{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost_of(url)}">>, queue, <<"{queue}">>)),
            {{ok, _, {{_, Leader}}}} = ra:members(amqqueue:get_pid(Queue)),
            atom_to_binary(Leader)
        """)

    def restart(self) -> None:
        """Stops the node in good order and starts it again, on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends everything that was started here and removes the data."""
        self.kill()
        self._control.close()
        if not self._is_member:
            stop_group(self._epmd, signal.SIGKILL)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _until_alarmed(self, resource: str, alarmed: bool) -> None:
        """Alarms are raised by messages, so not at once: a publish could overtake one, and would never be blocked.

        When the alarm is listed, every connection has been sent word of it before anything that comes after.
        """
        listed = f"lists:keymember({{resource_limit, {resource}, node()}}, 1, rabbit_alarm:get_alarms())"
        wanted = str(alarmed).lower()
        poll(lambda: self._control.run(listed) == wanted, f"{resource} alarm {'in' if alarmed else 'out of'} force")

    def _insist(self, expression: str) -> str:
        """Runs something that can be repeated until it works: right after a start, queues without a leader refuse."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._control.run(expression)
            except ErlangError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _epmd_listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._epmd_port), timeout=5):
                return True
        except OSError:
            return False

    def _is_whole(self) -> bool:
        try:
            return self._control.run(_IS_WHOLE) == "true"
        except ErlangError:
            return False

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                client.sendall(b"AMQP\x00\x00\x09\x01")
                # A method frame (type 1) on channel 0: connection.start. An open port alone may still be booting.
                return client.recv(3) == b"\x01\x00\x00"
        except OSError:
            return False


def vhost_of(url: str) -> str:
    """The name of the virtual host in an AMQP address."""
    return url.rpartition("/")[2]


def stop_group_after_exit(process: subprocess.Popen[bytes]) -> None:
    """Waits for a node that was asked to stop; kills what is left of its process group when it does not."""
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        stop_group(process, signal.SIGKILL)


def _user_of(url: str) -> str:
    return urlsplit(url).username or ""


def _erlang(text: str) -> str:
    """As it stands between the quotes of an Erlang string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
