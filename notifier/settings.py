"""`Settings`: everything a deployer may decide, one frozen value; `environment` reads it.

Every field's name is its variable (``broker_url`` → ``NOTIFIER_BROKER_URL``), its description is the reference page's
text and ``notifier config``'s. Below `wiring` only plain values travel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.fields import FieldInfo

from notifier.client.server_url import UnreadableUrl, read_node_urls, read_server_url
from notifier.domain.limit import parse_limits

PREFIX = "NOTIFIER_"

#: Schemes each address setting may have.
BROKER_SCHEMES = ("amqp", "amqps", "redis", "rediss")
MANAGEMENT_SCHEMES = ("http", "https")
REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel", "sentinels", "cluster", "clusters")
#: Of those, the ones behind which several hosts stand.
SEVERAL_HOSTS = ("sentinel", "cluster")
SMTP_SCHEMES = ("smtp", "smtps", "smtp+plain")
HISTORY_SCHEMES = ("postgresql", "postgres")


def _secret(description: str, default: str) -> Any:
    return Field(default, description=description, json_schema_extra={"secret": True})


class Settings(BaseModel):
    """Everything a deployer may decide. Durations are seconds, sizes bytes, unless the description says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    # servers
    broker_url: str = _secret(
        "RabbitMQ: amqp://user:password@host:5672/vhost; amqps:// for TLS. Several nodes of one cluster: the whole "
        "address of each, with a semicolon or a comma between them. redis:// runs embedded, without RabbitMQ.",
        "amqp://guest:guest@127.0.0.1:5672/",
    )
    broker_ca_file: Path | None = Field(None, description="CA certificates that sign the broker's (amqps, https).")
    broker_management_url: str = _secret(
        "RabbitMQ's management API: http://host:15672. `notifier topology apply` sets policies by it, `notifier "
        "topology check` reads them. Without user:password@ it is asked as the broker is; the user needs the tag "
        "policymaker.",
        "",
    )
    redis_url: str = _secret(
        "Redis or Valkey: redis://, rediss:// (TLS), unix://, sentinel://host:26379,host2:26379/service/0 or "
        "cluster://host:6379,host2:6379 (some of the nodes; clusters:// with TLS).",
        "redis://127.0.0.1:6379/0",
    )
    redis_ca_file: Path | None = Field(None, description="CA certificates that sign Redis's (rediss).")
    redis_check: bool = Field(
        True,
        description="Refuse to start on a Redis that evicts keys or keeps nothing on disk; warn when it cannot say.",
    )
    smtp_url: str = _secret(
        "Mail relay: smtp://user:password@host:587 (STARTTLS required), smtps:// (implicit TLS), or smtp+plain:// "
        "(no TLS; a relay on the same machine). Two URLs separated by a space or comma: the second takes over. "
        "?announce=yes behind one allows the next mail's commands in one write with a final dot.",
        "smtp+plain://127.0.0.1:25",
    )
    smtp_token_file: Path | None = Field(
        None,
        description="File with the token of an XOAUTH2 login, read for each login; for relays whose URL has a user and "
        "no password. Another program must refresh it.",
    )
    smtp_token_command: str = Field(
        "",
        description="Command that prints such a token: words as in a shell, but no shell, and without our NOTIFIER_ "
        "variables. It may take 20 seconds.",
    )
    smtp_token_seconds: float = Field(
        300, ge=0, le=86400, description="How long a command's token is used; a refused one is replaced at once."
    )
    smtp_ca_file: Path | None = Field(None, description="CA certificates that sign the relay's.")
    # content
    templates: Path = Field(Path("templates"), description="Folder with one folder per event type.")
    email_from: str = Field(
        "Notifier <notifier@localhost.localdomain>", description="From address of mails whose rule names none."
    )
    public_url: str = Field(
        "", description="https:// address of the API as recipients reach it; used in unsubscribe links."
    )
    email_hostname: str = Field(
        "localhost", description="Our name in EHLO and the right side of Message-IDs; a domain of yours."
    )
    email_return_path: str = Field(
        "",
        description="Where bounces go (the envelope sender); '{id}' stands for the delivery's id (VERP): "
        "'bounces+{id}@example.org'. Empty: the From address.",
    )
    dkim_domain: str = Field("", description="Sign mails for this domain.")
    dkim_selector: str = Field("", description="DKIM selector: the key is published at SELECTOR._domainkey.DOMAIN.")
    dkim_key: str = _secret("PEM private key for DKIM.", "")
    dkim_keys: Path | None = Field(
        None,
        description="Folder with keys of further sender domains, in files named like the DNS records that publish "
        "them: s1._domainkey.example.org.pem. The From address decides which one signs.",
    )
    # access
    secret_key: str = _secret(
        "32 or more random characters that encrypt webhook secrets and recipient data at rest and sign links. "
        "Several separated by commas: the first encrypts, the others still decrypt (rotation).",
        "",
    )
    api_tokens: str = _secret(
        "Bearer tokens and their roles: 'publish:TOKEN admin:TOKEN2'. Roles: publish, read, operate, admin. "
        "Empty: the API answers 401 to everything but health checks.",
        "",
    )
    # intake
    event_max_bytes: int = Field(256 * 1024, ge=1024, le=8 * 1024 * 1024, description="Largest event taken in.")
    intake_prefetch: int = Field(500, ge=1, le=65535, description="Events that a consumer has unacknowledged.")
    intake_linger: float = Field(
        0.004, ge=0, le=1, description="How long deliveries wait for others to share a batch with."
    )
    queue_depth: int = Field(
        50_000,
        ge=0,
        description="Tasks that may wait in a low-priority work queue before events for it are put aside, and the API "
        "answers 503 for them; twice as many in normal queues, four times in high ones. 0: any number.",
    )
    batch_deliveries: int = Field(50, ge=1, le=500, description="Most deliveries in one task.")
    batch_bytes: int = Field(256 * 1024, ge=4096, le=8 * 1024 * 1024, description="Most bytes in one task.")
    tenant_burst: int = Field(
        500,
        ge=0,
        le=1_000_000,
        description="Deliveries of one tenant that may wait in a lane's own queue; what it has beyond that waits in a "
        "shard of the lane, where no other tenant's single delivery is behind it. For each consumer.",
    )
    tenant_rate: float = Field(
        50, gt=0, le=100_000, description="Deliveries a second of one tenant that never make it wait in a shard."
    )
    # workers
    worker_concurrency: int = Field(24, ge=1, le=1000, description="Batches one worker process runs at once.")
    send_timeout: float = Field(60, gt=0, le=300, description="Deadline of one email transaction, connect included.")
    webhook_timeout: float = Field(
        15,
        gt=0,
        le=120,
        description="Deadline of one exchange with a webhook or a channel file's provider, DNS included.",
    )
    smtp_connections: int = Field(10, ge=1, le=500, description="Connections one worker process keeps to a relay.")
    webhook_connections: int = Field(100, ge=1, le=5000, description="Webhook connections of one worker process.")
    worker_in_flight: int = Field(
        2000,
        ge=50,
        le=100_000,
        description="Most deliveries one worker process is sending; more go back to the broker.",
    )
    worker_one_cpu: bool = Field(
        True,
        description="Keep the two threads of a busy worker process on one CPU (Linux): Python lets one run at a time.",
    )
    endpoint_disable_after: float = Field(
        5 * 86400, ge=0, description="Seconds of nothing but failures after which an endpoint is disabled; 0: never."
    )
    endpoint_held_max: int = Field(
        100_000,
        ge=1,
        description="About how many deliveries are kept for one endpoint that is paused, disabled by itself or "
        "long down; and in all for those that people disabled. Further ones are skipped, and cannot be sent any more.",
    )
    webhook_allow: str = Field(
        "", description="Networks webhooks may reach although they are private: '10.1.0.0/16 127.0.0.1'. Empty: none."
    )
    webhook_deny: str = Field(
        "", description="Networks webhooks may never reach, though public or allowed: '203.0.113.0/24'. Empty: none."
    )
    webhook_ca_file: Path | None = Field(
        None, description="CA certificates that receivers may be signed by besides the system's."
    )
    webhook_headers: str = Field(
        "",
        description="Header names endpoints may have besides x-… and the usual ones: 'ocp-apim-subscription-key "
        "cf-access-client-id private-token'. Empty: none.",
    )
    webhook_http: bool = Field(False, description="Allow http:// endpoints besides https://.")
    limits: str = Field(
        "",
        description="Rate limits shared by all workers: 'relay=100/s, domain:gmail.com=20/s burst 40, tenant=50/s'. "
        "Scopes: relay, domain, channel, endpoint, tenant, recipient, rule; with a name for one, without for each.",
    )
    email_retry: str = Field("", description="Seconds between tries of an email: '30 120 600 …'. Empty: about 3 days.")
    webhook_retry: str = Field("", description="Seconds between tries of a webhook. Empty: about 28 hours.")
    grace: float = Field(30, ge=1, le=600, description="How long a stopping process may finish what is in flight.")
    # storage
    retention_sent: float = Field(7 * 86400, ge=60, description="How long the ledger keeps a delivery that was sent.")
    retention_failed: float = Field(30 * 86400, ge=60, description="How long it keeps any other ended delivery.")
    # history
    history_url: str = _secret(
        "PostgreSQL in which ended deliveries are kept: postgresql://user:password@host:5432/database; several "
        "hosts as host,host. What libpq reads may follow: ?sslmode=verify-full&target_session_attrs=read-write. "
        "Empty: no history. Consumers and workers only look whether it is set.",
        "",
    )
    history_retention: float = Field(
        365 * 86400, ge=86400, description="How long the history keeps a delivery, by the day it was queued."
    )
    history_backlog: int = Field(
        5_000_000,
        ge=8_000,
        description="About how many ended deliveries and events may wait in Redis to be moved, at 50 to 65 bytes "
        "each; beyond it the oldest are given up, and expire as without a history.",
    )
    # processes
    http_host: str = Field("127.0.0.1", description="Address health, metrics and the API listen on.")
    http_port: int = Field(
        9108, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics of every role; 0 is any free port."
    )
    api_port: int = Field(8080, ge=0, le=65535, description="Port of the API.")
    audit_file: Path | None = Field(
        None,
        description="File to which the command line appends its audit lines; it must be writable before anything "
        "is changed. Empty: standard error. (The API's are in its log.)",
    )
    api_connections: int = Field(
        1000,
        ge=10,
        le=100_000,
        description="Connections to one API process; the oldest idle one is closed for a new one.",
    )
    api_connections_per_address: int = Field(
        200, ge=0, le=100_000, description="Connections from one address, which may be your proxy's; 0: any number."
    )
    api_head_bytes: int = Field(
        32 * 1024, ge=1024, le=1024 * 1024, description="Path and header lines of a request to the API; more is a 431."
    )
    api_head_seconds: float = Field(
        10, gt=0, le=600, description="How long they may take to arrive; a connection that sent nothing is closed then."
    )
    api_idle_seconds: int = Field(
        30, ge=1, le=3600, description="How long the API keeps an idle connection; let proxies close theirs earlier."
    )
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")

    @field_validator("broker_url")
    @classmethod
    def _broker_address(cls, url: str) -> str:
        nodes = read_node_urls(url, BROKER_SCHEMES)
        if nodes[0].scheme.startswith("redis"):
            if len(nodes) > 1:
                raise UnreadableUrl("several addresses of Redis; embedded mode has one")
            _database(nodes[0].path)
        return url

    @field_validator("broker_management_url")
    @classmethod
    def _management_address(cls, url: str) -> str:
        if url:
            read_server_url(url, MANAGEMENT_SCHEMES)
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, url: str) -> str:
        address = read_server_url(url, REDIS_SCHEMES, several=url.startswith(SEVERAL_HOSTS))
        if address.scheme.startswith("redis"):
            _database(address.path)
        elif address.scheme.startswith("sentinel"):
            _database(address.path.partition("/")[2])
        elif address.scheme.startswith("cluster") and (address.path not in ("", "0") or address.query):
            raise UnreadableUrl("a Redis Cluster has database 0 only; nothing may follow the nodes but /0")
        return url

    @field_validator("history_url")
    @classmethod
    def _history_address(cls, url: str) -> str:
        # Without a host it is a socket of this machine, as libpq has it.
        if url and not read_server_url(url.replace(":///", "://socket/", 1), HISTORY_SCHEMES, several=True).path:
            raise UnreadableUrl("no database is named; expected postgresql://user:password@host:5432/database")
        return url

    @field_validator("smtp_url")
    @classmethod
    def _relays(cls, urls: str) -> str:
        if not split_list(urls):
            raise ValueError("name at least one relay")
        for url in split_list(urls):
            if read_server_url(url, SMTP_SCHEMES).path:
                raise UnreadableUrl("nothing may follow the port of a relay")
        return urls

    @field_validator("public_url")
    @classmethod
    def _public(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("an address that recipients see has no user name, no password and no @")
        return url

    @field_validator("secret_key")
    @classmethod
    def _long_keys(cls, keys: str) -> str:
        if any(len(key) < 32 for key in split_list(keys)):
            raise ValueError("each key needs at least 32 characters; make one with: openssl rand -base64 32")
        return keys

    @field_validator("email_retry", "webhook_retry")
    @classmethod
    def _delays(cls, text: str) -> str:
        for part in split_list(text):
            if not part.replace(".", "", 1).isdigit() or float(part) < 1:
                raise ValueError(f"{part!r} is not a number of seconds of at least 1")
        return text

    @field_validator("limits")
    @classmethod
    def _limits(cls, text: str) -> str:
        if mistakes := parse_limits(text)[1]:
            raise ValueError("; ".join(mistakes))
        return text

    @field_validator("api_tokens")
    @classmethod
    def _tokens(cls, text: str) -> str:
        for entry in split_list(text):
            role, separator, token = entry.partition(":")
            if not separator or role not in ("publish", "read", "operate", "admin"):
                raise ValueError("write ROLE:TOKEN with a role of publish, read, operate, admin")
            if len(token) < 16:
                raise ValueError(f"the {role} token has {len(token)} characters; it needs at least 16")
        return text

    @property
    def embedded(self) -> bool:
        """Whether Celery's broker is Redis: one machine, no RabbitMQ, for demo and development."""
        return self.broker_url.startswith(("redis://", "rediss://"))


def split_list(text: str) -> list[str]:
    """Entries separated by spaces, commas or newlines."""
    return text.replace(",", " ").split()


def variable(name: str) -> str:
    """``broker_url`` → ``NOTIFIER_BROKER_URL``."""
    return PREFIX + name.upper()


def is_secret(field: FieldInfo) -> bool:
    """Whether a value is masked and may come from a ``_FILE``."""
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("secret"))


def _database(text: str) -> None:
    if text and not (text.isascii() and text.isdigit()):
        raise UnreadableUrl("the database behind the host is not a number")
