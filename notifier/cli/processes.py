"""Starting the long-running roles. Each replaces this process, so signals and exit codes are the role's own."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from notifier.cli.exits import USAGE, fail


def worker(
    ctx: typer.Context,
    queues: Annotated[
        str,
        typer.Option(help="high, normal, low, email, webhook, digest, or names of queues, separated by commas."),
    ] = "",
    name: Annotated[str, typer.Option(help="Node name before the @; must differ between workers of a broker.")] = "",
) -> None:
    """Run a worker: `celery -A notifier worker -P gevent` with a node name of its own. More options go to Celery.

    Example: notifier worker --queues high --concurrency 16
    """
    ours = _settings()
    chosen = worker_queues(queues)
    node = name or f"{queues.replace(',', '-') or 'all'}-{secrets.token_hex(3)}"
    arguments = [
        "worker",
        "-P",
        "gevent",
        "-n",
        f"{node}@%h",
        "-Q",
        ",".join(chosen),
        "--without-gossip",
        "--without-mingle",
    ]
    if not any(argument.startswith(("-c", "--concurrency")) for argument in ctx.args):
        arguments += ["-c", str(ours.worker_concurrency)]
    if not any(argument.startswith(("-l", "--loglevel")) for argument in ctx.args):
        arguments += ["-l", ours.log_level]
    _become_celery([*arguments, *ctx.args])


def beat(ctx: typer.Context) -> None:
    """Run the scheduler that closes digest windows; several may run, each run is sent by one of them.

    Example: notifier beat
    """
    ours = _settings()
    # Celery's file against a second beat: any number may run here, and a read-only image could not write it.
    _become_celery(["beat", "--pidfile=", "-l", ours.log_level, *ctx.args])


def consume(ctx: typer.Context) -> None:
    """Run a consumer: takes events from RabbitMQ, plans their deliveries and queues them.

    Example: notifier consume
    """
    ours = _settings()
    if ours.embedded:
        raise fail("NOTIFIER_BROKER_URL is Redis (embedded mode): events come in by the API; run `notifier api`", USAGE)
    _become([sys.executable, "-m", "consumers", *ctx.args])


def api() -> None:
    """Run the HTTP API on NOTIFIER_HTTP_HOST and NOTIFIER_API_PORT.

    Example: NOTIFIER_API_TOKENS=publish:0123456789abcdef notifier api
    """
    from notifier.api.server import serve

    serve(_settings())


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Exit when all sample events are done; 0: everything arrived.")
    ] = False,
) -> None:
    """Run the whole service on this machine with sample events; needs nothing installed.

    Example: notifier demo --check
    """
    from notifier.demo.command import run

    raise typer.Exit(run(is_check=check))


VERBS: dict[str, Callable[..., Any]] = {"worker": worker, "beat": beat, "consume": consume, "api": api, "demo": demo}


def worker_queues(text: str) -> tuple[str, ...]:
    """``high`` → ``email-high webhook-high``; a lane's own name is itself; nothing is all of them.

    Every worker reads the shards of its lanes as well (`notifier.celery`).
    """
    from notifier.domain.rule import LANES

    chosen: list[str] = []
    for word in [part.strip() for part in text.split(",") if part.strip()] or LANES:
        found = [lane for lane in LANES if word == lane or word in lane.split("-")]
        if not found:
            raise fail(f"no queue is called {word!r}; there are: {', '.join(LANES)}", USAGE)
        chosen += found
    return tuple(dict.fromkeys(chosen))


def _settings() -> Any:
    """Read here as well, so that a wrong variable is explained before another program starts."""
    from notifier.process import settings

    return settings()


def _become_celery(arguments: Sequence[str]) -> NoReturn:
    # `python -m celery`: its first lines patch for gevent before anything of ours is imported.
    _become([sys.executable, "-m", "celery", "-A", "notifier", *arguments])


def _become(command: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], list(command))  # noqa: S606 - our own interpreter, arguments of the person who typed them
