"""Addresses of servers: what a login may have, and that nothing of one that is wrong is ever told."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.client import Publisher
from notifier.client.server_url import UnreadableUrl, read_server_url
from notifier.engine.smtp_connect import RelayAddress
from notifier.environment import entries, read_settings
from notifier.errors import SettingsError

SMTP = ("smtp", "smtps", "smtp+plain")
#: What passwords of cloud services have, and what separates something in an address.
SPECIAL = "/?#,@:%;[] \"'<>&=+\\|^`{}~!$*()"

#: Real ones: SES, RabbitMQ, Redis, and an @ in the user name, the password cut by a #.
BROKEN = [
    ("NOTIFIER_SMTP_URL", "smtp://AKIAEXAMPLE:BLx/abc+def/ghi=jk@email-smtp.eu-west-1.amazonaws.com:587"),
    ("NOTIFIER_BROKER_URL", "amqp://app:s3/cret@rabbit:5672/"),
    ("NOTIFIER_REDIS_URL", "redis://:s3#cret@redis:6379/0"),
    ("NOTIFIER_SMTP_URL", "smtp://user@example.com:p@ss#1@relay.example.com:587"),
    ("NOTIFIER_SMTP_URL", "smtp://user:pa,ss@relay:587"),
    ("NOTIFIER_SMTP_URL", "smtp://user:pa ss@relay:587"),
    ("NOTIFIER_SMTP_URL", "smtp://user:p@ss@relay:587"),
    ("NOTIFIER_BROKER_URL", "amqp://user:100%safe@rabbit/"),
    ("NOTIFIER_BROKER_URL", "amqp://user:a?b=c@rabbit/"),
    ("NOTIFIER_REDIS_URL", "redis://user:pa[ss]@redis/0"),
    ("NOTIFIER_REDIS_URL", "sentinel://user:pa,ss@one:26379,two:26379/main/0"),
]


def told(environment: dict[str, str]) -> str:
    """All that is said about these settings: the error, or every value that is shown."""
    try:
        settings = read_settings(environment)
    except SettingsError as error:
        return f"{error}{error.__cause__}"
    return "\n".join(f"{entry.value} {entry.origin}" for entry in entries(settings, environment))


@pytest.mark.parametrize(("variable", "url"), BROKEN)
def test_a_login_that_needs_percent_encoding_is_refused_with_how(variable: str, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({variable: url})

    assert "percent-encode" in str(caught.value)
    assert "%2F" in str(caught.value)
    password = url.rpartition("@")[0].rpartition("//")[2].partition(":")[2]
    assert not any(password[i : i + 4] in str(caught.value) for i in range(len(password) - 3))


@pytest.mark.parametrize("password", ["p/ss", "p@ss#1", "a,b c", "100%", "ü", "AB+cd/ef=="])
def test_a_percent_encoded_password_is_read_as_it_was(password: str) -> None:
    # Given the advice was followed
    url = f"smtp://user%40example.com:{quote(password, '')}@relay:587"

    # Then
    read = read_server_url(url, SMTP)
    assert (read.username, read.password, str(read)) == ("user@example.com", password, "smtp://****@relay:587")


def test_a_mailbox_as_user_name_needs_no_encoding() -> None:
    read = read_server_url("smtp://user@example.com:word@relay", SMTP)
    assert (read.username, read.password, read.host, read.port) == ("user@example.com", "word", "relay", None)


PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from(SPECIAL), min_size=4)
PLACES = [
    ("NOTIFIER_BROKER_URL", "amqp://app:{}@rabbit:5672/prod"),
    ("NOTIFIER_BROKER_URL", "redis://:{}@redis"),
    ("NOTIFIER_BROKER_URL", "http://app:{}@rabbit"),
    ("NOTIFIER_BROKER_URL", "amqp://a:{}@one;amqp://a:{}@two"),
    ("NOTIFIER_BROKER_URL", "amqp://a:{}@one:5672/v, amqp://a:word@two:5672/v"),
    ("NOTIFIER_REDIS_URL", "redis://:{}@redis:6379/0"),
    ("NOTIFIER_REDIS_URL", "rediss://app:{}@redis:port/0"),
    ("NOTIFIER_REDIS_URL", "sentinel://app:{}@one:26379,two/main/0"),
    ("NOTIFIER_REDIS_URL", "unix://app:{}@/run/redis.sock"),
    ("NOTIFIER_SMTP_URL", "smtp://user@example.com:{}@relay:587"),
    ("NOTIFIER_SMTP_URL", "smtp://relay smtps://user:{}@second"),
    ("NOTIFIER_SMTP_URL", "smtp://user:{}@relay:587,smtp+plain://second:25"),
    ("NOTIFIER_SMTP_URL", "smtp://user:{}@relay:99999"),
    ("NOTIFIER_PUBLIC_URL", "https://user:{}@notify.example.org/"),
    ("NOTIFIER_API_TOKENS", "publish:{}://0123456789abcdef"),
    ("NOTIFIER_SECRET_KEY", "{}://0123456789abcdef0123456789abcdef"),
    ("NOTIFIER_SECRET_KEY_FILE", "{}"),
    ("NOTIFIER_BROKER_URL_FILE", "amqp://app:{}@rabbit"),
]


@given(PASSWORDS, st.sampled_from(PLACES))
@example("2525 smtp://abcd", PLACES[11])
@example("2525,smtp://abcd/", PLACES[11])
@example("BLx/abc+def/ghi=jk", PLACES[10])
@example("2525;amqp://abcd", PLACES[0])
@example("2525,amqp://abcd:efgh", PLACES[4])
@example("p@ss#1word", PLACES[9])
@example("abcd?efgh", PLACES[0])
@example("5672/secret", PLACES[0])
@example("[secret", PLACES[5])
@example("cret://word", PLACES[14])
def test_no_four_characters_of_a_password_are_ever_told(password: str, place: tuple[str, str]) -> None:
    # Given the password, as it is, in some setting
    variable, pattern = place
    if variable.endswith("_FILE") and Path(pattern.format(password)).exists():
        return

    # When all is told that can be
    said = told({variable: pattern.replace("{}", password)})

    # Then no piece of it is, save one that is told of any other password there as well
    other = "".join(told({variable: pattern.replace("{}", text)}) for text in ("~~~~", "~/~@", "~ ~", "1,~", "1/~"))
    pieces = {password[i : i + 4] for i in range(len(password) - 3)}
    assert [piece for piece in pieces if piece in said and piece not in other and piece not in told({})] == []


@given(PASSWORDS, st.sampled_from([pattern for variable, pattern in PLACES if variable == "NOTIFIER_SMTP_URL"]))
@example("p/ss://word", "smtp://user:{}@relay")
@example("None", "smtp://user:{}@relay")
def test_a_relay_tells_nothing_of_its_password(password: str, pattern: str) -> None:
    # Given the password, as it is, in a relay's address
    try:
        said = repr(RelayAddress.parse(pattern.format(password)))
    except SettingsError as error:
        said = f"{error}{error.__cause__ or ''}"

    # Then no piece of it is told, save what is told of any other as well
    other = "".join(map(str, SMTP)) + _of_a_calm_relay(pattern)
    pieces = {password[i : i + 4] for i in range(len(password) - 3)}
    assert [piece for piece in pieces if piece in said and piece not in other] == []


def _of_a_calm_relay(pattern: str) -> str:
    said = ""
    for calm in ("~~~~", "~/~", "~ ~"):
        try:
            said += repr(RelayAddress.parse(pattern.format(calm)))
        except SettingsError as error:
            said += str(error)
    return said


def test_a_relay_is_read_as_every_other_address() -> None:
    # Given a login with what the advice encodes, and the scheme's own port
    read = RelayAddress.parse("smtps://user%40example.com:p%2Fs%3Fs%23@Relay.example.org?announce=yes")

    # Then
    assert (read.name, read.username, read.password) == ("relay.example.org:465", "user@example.com", "p/s?s#")
    assert read.announce
    assert "user" not in repr(read)


@pytest.mark.parametrize("key", ["password", "PASSWORD", "p%61ssword", "username", "ssl_password"])
@pytest.mark.parametrize("url", ["unix:///run/redis.sock?{}=word", "redis://redis/0?db=1&{}=word"])
def test_a_login_behind_the_question_mark_is_refused(url: str, key: str) -> None:
    # Given an address whose password nobody would look for there: it was shown by `celery report`
    said = told({"NOTIFIER_REDIS_URL": url.format(key)})

    assert "expected" in said
    assert "word@host" in said
    assert "=word" not in said


@given(st.text(max_size=60), PASSWORDS)
def test_a_publisher_tells_nothing_of_an_address_it_cannot_read(head: str, password: str) -> None:
    url = f"amqp://{head}:{password}/@host"
    with pytest.raises(ValueError, match="not an AMQP URL") as caught:
        Publisher(url)

    calm = "not an AMQP URL: the login or the host has a character"
    assert str(caught.value).startswith(calm)
    assert caught.value.__cause__ is None
    with pytest.raises(UnreadableUrl):
        read_server_url(url, ("amqp",))
