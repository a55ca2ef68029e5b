"""The one table from redis-py's exceptions to ours."""

from __future__ import annotations

from typing import NoReturn

from redis import exceptions as redis_errors

from notifier.errors import ConfigurationError, NotifierError, Problem, StorageUnavailable

#: Exception class → what to tell the reader. Most specific first: `AuthenticationError` is a `ConnectionError`.
_AWAY: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.AuthenticationError, "refused our login; check the user and password in NOTIFIER_REDIS_URL"),
    (redis_errors.NoPermissionError, "does not allow this user the command or key; check its ACL"),
    (redis_errors.BusyLoadingError, "is still loading its data"),
    (redis_errors.MaxConnectionsError, "has all our connections in use"),
    (redis_errors.OutOfMemoryError, "is out of memory (maxmemory); raise it or remove keys"),
    (redis_errors.ReadOnlyError, "is a read-only replica; NOTIFIER_REDIS_URL must name the primary"),
    (redis_errors.ClusterDownError, "has lost its primary or slots (MASTERDOWN, CLUSTERDOWN)"),
    (redis_errors.TryAgainError, "is moving the slot of these keys"),
    (redis_errors.TimeoutError, "did not answer in time"),
    (redis_errors.ConnectionError, "cannot be reached"),
    (OSError, "cannot be reached"),
)
#: What redis-py and the sockets below it raise.
FOREIGN = (redis_errors.RedisError, OSError)
#: Error codes (first word of the reply) that redis-py has no class for.
_AWAY_CODES = {
    "MISCONF": "cannot write to its disk (MISCONF)",
    "NOREPLICAS": "has too few replicas (min-replicas-to-write)",
    "BUSY": "is busy with a long script",
    "UNBLOCKED": "changed its role",
}


def translate(error: Exception) -> NotifierError | None:
    """Our error for one of redis-py's, or None when it is a bug of ours (a wrong type, a Lua mistake)."""
    for kind, text in _AWAY:
        if isinstance(error, kind):
            return StorageUnavailable(f"Redis {text}: {error}")
    if isinstance(error, redis_errors.ClusterCrossSlotError | redis_errors.MovedError):
        problem = Problem(
            "NOTIFIER_REDIS_URL", "is a Redis Cluster", "name some of its nodes: cluster://host:6379,host2:6379"
        )
        return ConfigurationError([problem])
    code = str(error).partition(" ")[0]
    return StorageUnavailable(f"Redis {_AWAY_CODES[code]}: {error}") if code in _AWAY_CODES else None


def raise_ours(error: Exception) -> NoReturn:
    """Raise our error instead of redis-py's; that one when it is a bug of ours."""
    known = translate(error)
    if known is None:
        raise error
    raise known from error
