"""Environment → settings: what is refused, what is masked, where a value came from."""

from pathlib import Path

import pytest

from notifier.environment import entries, masked, read_channel_settings, read_settings
from notifier.errors import SettingsError
from notifier.settings import Settings


def test_every_mistake_is_named_at_once_with_its_variable_and_what_to_do() -> None:
    # Given four mistakes of four kinds
    environment = {
        "NOTIFIER_BROKER_URL": "http://broker",
        "NOTIFIER_WORKER_CONCURRENCY": "many",
        "NOTIFIER_SMPT_URL": "smtp://relay",
        "NOTIFIER_SECRET_KEY": "short",
    }

    # When they are read
    with pytest.raises(SettingsError) as caught:
        read_settings(environment)

    # Then all are told
    told = str(caught.value)
    assert told.startswith("4 mistakes:")
    assert "NOTIFIER_BROKER_URL: '****': expected amqp://… or amqps://…" in told
    assert "NOTIFIER_WORKER_CONCURRENCY: 'many': Input should be a valid integer" in told
    assert "NOTIFIER_SMPT_URL: no such setting" in told
    assert "openssl rand -base64 32" in told


def test_a_secret_is_never_shown_in_an_error() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"NOTIFIER_API_TOKENS": "boss:my-very-secret-token-value", "NOTIFIER_SECRET_KEY": "hush"})

    assert "my-very-secret-token-value" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("k" * 40 + "\n")

    environment = {"NOTIFIER_SECRET_KEY_FILE": str(file)}
    settings = read_settings(environment)

    assert settings.secret_key == "k" * 40
    (entry,) = [e for e in entries(settings, environment) if e.variable == "NOTIFIER_SECRET_KEY"]
    assert (entry.value, entry.origin) == ("****", str(file))


@pytest.mark.parametrize("direct", ["", "d" * 40])
def test_an_empty_file_variable_is_not_set_as_an_empty_setting_is_not(direct: str) -> None:
    # As a compose file writes it: NOTIFIER_SECRET_KEY_FILE: ${NOTIFIER_SECRET_KEY_FILE:-}
    settings = read_settings({"NOTIFIER_SECRET_KEY_FILE": "", "NOTIFIER_SECRET_KEY": direct})

    assert settings.secret_key == direct


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"NOTIFIER_SECRET_KEY_FILE": "/nowhere/key"}, "cannot read /nowhere/key"),
        ({"NOTIFIER_SECRET_KEY_FILE": "/x", "NOTIFIER_SECRET_KEY": "y" * 40}, "NOTIFIER_SECRET_KEY is set as well"),
        ({"NOTIFIER_TEMPLATES_FILE": "/x"}, "no such setting"),
        ({"NOTIFIER_SMTP_URL": "relay:25"}, "smtp://"),
        ({"NOTIFIER_SMTP_URL": "smtp://relay:99999"}, "port"),
        ({"NOTIFIER_SMTP_URL": "smtp://relay:"}, "port"),
        ({"NOTIFIER_SMTP_URL": "smtp://relay:587/inbox"}, "nothing may follow"),
        ({"NOTIFIER_REDIS_URL": "redis://"}, "redis://"),
        ({"NOTIFIER_REDIS_URL": "redis://host/main"}, "not a number"),
        ({"NOTIFIER_REDIS_URL": "sentinel://host/main/zero"}, "not a number"),
        ({"NOTIFIER_BROKER_URL": "amqp://one,two"}, "the whole address of each"),
        ({"NOTIFIER_BROKER_URL": "amqp://one;two"}, "expected amqp://user:password@host:port"),
        ({"NOTIFIER_BROKER_URL": "amqp://one/a;amqp://two/b"}, "nodes of one cluster"),
        ({"NOTIFIER_BROKER_URL": "amqp://one;amqps://two"}, "nodes of one cluster"),
        ({"NOTIFIER_BROKER_URL": "amqp://one;amqp://user:word@two"}, "and others none"),
        ({"NOTIFIER_BROKER_URL": "redis://one;redis://two"}, "embedded mode has one"),
        ({"NOTIFIER_BROKER_URL": ";"}, "expected amqp://"),
        ({"NOTIFIER_PUBLIC_URL": "https://user:word@host"}, "no user name"),
        ({"NOTIFIER_SECRET_KEY_FILE": "a-secret-in-the-wrong-place"}, "cannot read the file it names"),
        ({"NOTIFIER_API_TOKENS": "publish:short"}, "at least 16"),
        ({"NOTIFIER_API_TOKENS": "just-a-token-without-role"}, "ROLE:TOKEN"),
        ({"NOTIFIER_WEBHOOK_RETRY": "5 soon"}, "'soon' is not a number of seconds"),
        ({"NOTIFIER_GRACE": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=r".") as caught:
        read_settings(environment)

    assert told in str(caught.value)


def test_an_empty_variable_is_the_same_as_none() -> None:
    assert read_settings({"NOTIFIER_BROKER_URL": "", "NOTIFIER_GRACE": ""}) == Settings()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("amqp://user:secret@host:5672/vhost", "amqp://****@host:5672"),
        ("amqp://host/", "amqp://host"),
        ("redis://:secret@host:6379/0", "redis://****@host:6379"),
        ("amqps://[::1]:5671/", "amqps://[::1]:5671"),
        ("amqp://user:s3/cret@host", "****"),
        ("amqp://u:one@a:1/v;amqp://u:two@b:2/v", "amqp://****@a:1 amqp://****@b:2"),
        ("amqp://u:one@a, amqp://u:two@b,\namqp://u:three@[::1]:3", "amqp://****@a amqp://****@b amqp://****@[::1]:3"),
        ("amqp://u:one@a;amqp://u:t/wo@b", "****"),
        ("amqp://user:2525;amqp://word@host", "****"),
    ],
)
def test_of_an_address_scheme_host_and_port_are_shown(value: str, shown: str) -> None:
    assert masked("broker_url", value) == shown


def test_every_relay_and_every_sentinel_is_shown_masked() -> None:
    assert masked("smtp_url", "smtp://u:p@one:587, smtps://two") == "smtp://****@one:587 smtps://two"
    assert masked("redis_url", "sentinel://:pw@a:26379,b/main/0") == "sentinel://****@a:26379,b"
    assert masked("redis_url", "unix://:pw@/run/redis.sock?db=1") == "unix://****@/run/redis.sock"


def test_what_is_no_address_is_never_read_as_one() -> None:
    assert masked("api_tokens", "publish:abc://defghijklmnop") == "****"
    assert masked("secret_key", "abc://" + "k" * 40) == "****"


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_redis_as_broker_means_embedded() -> None:
    assert read_settings({"NOTIFIER_BROKER_URL": "redis://127.0.0.1/1"}).embedded
    assert not read_settings({}).embedded


def test_what_a_channel_file_names_is_read_masked_and_may_come_from_a_file(tmp_path: Path) -> None:
    # Given a token in its variable and another in a file
    (tmp_path / "token").write_text("from-a-file\n")
    environment = {
        "NOTIFIER_CHANNEL_SMS_TOKEN": "hunter2-hunter2",
        "NOTIFIER_CHANNEL_PUSH_TOKEN_FILE": str(tmp_path / "token"),
        "NOTIFIER_CHANNEL_EMPTY_TOKEN": "",
    }

    # Then they are known under their own names, and no other setting minds them
    assert read_channel_settings(environment) == {
        "NOTIFIER_CHANNEL_SMS_TOKEN": "hunter2-hunter2",
        "NOTIFIER_CHANNEL_PUSH_TOKEN": "from-a-file",
    }

    # And they are shown without their values
    shown = {e.variable: e for e in entries(read_settings(environment), environment)}
    assert shown["NOTIFIER_CHANNEL_SMS_TOKEN"].value == shown["NOTIFIER_CHANNEL_PUSH_TOKEN"].value == "****"
    assert shown["NOTIFIER_CHANNEL_PUSH_TOKEN"].origin == str(tmp_path / "token")
    assert "NOTIFIER_CHANNEL_EMPTY_TOKEN" not in shown


def test_a_channels_file_that_cannot_be_read_is_told_among_all_mistakes(tmp_path: Path) -> None:
    environment = {
        "NOTIFIER_CHANNEL_SMS_TOKEN": "x",
        "NOTIFIER_CHANNEL_SMS_TOKEN_FILE": "/none",
        "NOTIFIER_CHANNEL_PUSH_TOKEN_FILE": str(tmp_path / "none"),
        "NOTIFIER_COLOUR": "red",
    }

    with pytest.raises(SettingsError) as caught:
        read_settings(environment)

    assert [problem.where for problem in caught.value.problems] == [
        "NOTIFIER_COLOUR",
        "NOTIFIER_CHANNEL_PUSH_TOKEN_FILE",
        "NOTIFIER_CHANNEL_SMS_TOKEN_FILE",
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p%2Fw@db.internal:5433/notifier?sslmode=verify-full", "postgresql://****@db.internal:5433"),
        ("postgres://a,b:5433/notifier?target_session_attrs=read-write", "postgres://a,b:5433"),
        ("postgresql:///notifier?host=/run/postgresql", "****"),
    ],
)
def test_the_historys_address_is_shown_without_its_login(url: str, shown: str) -> None:
    ours = read_settings({"NOTIFIER_HISTORY_URL": url})

    assert ours.history_url == url
    assert masked("history_url", url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/db",
        "postgresql://u:s3cret@h",
        "postgresql://u:s3/cret@h/db",
        "postgresql://h/db?password=s3cret",
        "postgresql:///",
    ],
)
def test_an_address_of_no_history_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"NOTIFIER_HISTORY_URL": url})

    assert "NOTIFIER_HISTORY_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)
