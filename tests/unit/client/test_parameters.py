"""AMQP URLs mean to us what they mean to Celery."""

import pytest
from kombu import Connection
from kombu.utils.url import parse_url

from notifier.celery import from_settings
from notifier.client.parameters import connection_parameters, place
from notifier.settings import Settings


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@127.0.0.1:5672/",
        "amqp://guest:guest@127.0.0.1:5672//",
        "amqp://user:p%40ss@broker/my%2Fvhost",
        "amqp://user:p@broker:5673/prod",
    ],
)
def test_a_url_is_read_as_celery_reads_it(url: str) -> None:
    # Given kombu's reading
    theirs = parse_url(url)

    # Then ours is the same
    (ours,) = connection_parameters(url, "test")
    assert ours.host == theirs["hostname"]
    assert ours.port == (theirs["port"] or 5672)
    assert ours.virtual_host == (theirs["virtual_host"] or "/")
    assert (ours.credentials.username, ours.credentials.password) == (theirs["userid"], theirs["password"])


@pytest.mark.parametrize("url", ["", "redis://h/0", "amqp://", "h:5672", "amqp://h:port/", "http://h/"])
def test_what_is_no_amqp_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an AMQP URL"):
        connection_parameters(url, "test")


def test_tls_has_its_own_port_and_checks_the_host_name() -> None:
    (parameters,) = connection_parameters("amqps://broker.example.org/", "test")
    assert parameters.port == 5671
    assert parameters.ssl_options.context.check_hostname
    assert parameters.ssl_options.server_hostname == "broker.example.org"


def test_a_place_never_shows_the_password() -> None:
    assert place(*connection_parameters("amqp://user:verysecret@h:1/prod", "test")) == "h:1/prod"


@pytest.mark.parametrize(
    "urls",
    [
        "amqp://u:p@one:5671/v;amqp://u:p@two/v",
        "amqp://u:p@one:5671/v,amqp://u:p@two/v",
        " amqp://u:p@one:5671/v, \n amqp://u:p@two/v; ",
    ],
)
def test_a_list_of_nodes_is_read_as_celery_reads_it(urls: str) -> None:
    # Given what Celery is given, and kombu's reading of each of its addresses
    settings = from_settings(Settings(broker_url=urls))
    connection = Connection(settings["broker_url"])
    theirs = [parse_url(url) for url in connection.alt]

    # Then ours are the same nodes, in the same order
    ours = connection_parameters(urls, "test")
    assert [(node.host, node.port, node.virtual_host) for node in ours] == [
        (node["hostname"], node["port"] or 5672, node["virtual_host"]) for node in theirs
    ]
    assert connection.as_uri() == "amqp://u:**@one:5671/v"


def test_where_there_is_another_node_a_silent_one_is_left_soon() -> None:
    (one,) = connection_parameters("amqp://one", "test")
    several = connection_parameters("amqp://one;amqp://two", "test")
    assert (one.heartbeat, one.stack_timeout) == (30, 15)
    assert [(node.heartbeat, node.stack_timeout) for node in several] == [(4, 3), (4, 3)]
