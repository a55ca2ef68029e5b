"""Blocks that hold files or parts of them: rules, templates, settings, events, in the hands of what reads them."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumers.topology import apply_topology
from notifier.api.examples import EVENT
from notifier.channels.webhook.guard import AddressGuard
from notifier.checks.content import check
from notifier.checks.severities import read_severities
from notifier.cli.findings import as_text
from notifier.domain.event import Event
from notifier.environment import read_settings
from notifier.errors import ConfigurationError, TopologyConflict
from notifier.rendering.context import event_context
from notifier.rendering.expressions import Expressions
from notifier.rendering.files import channel_names
from notifier.rendering.renderer import Renderer
from notifier.rules.content import Content
from tests.docs import left_out
from tests.docs.blocks import DOCUMENTS, ROOT, Block, block, blocks
from tests.servers.patience import PATIENCE_S
from tests.servers.postgresql import PostgresServer
from tests.servers.processes import find_binary
from tests.servers.redis import RedisServer
from tests.shop_folders import SHOP

#: Languages, and the test that takes their blocks.
READ = {
    "sh": "test_running.test_the_shell_blocks_of_a_page_run",
    "console": "test_running.test_what_a_page_shows_is_what_is_printed",
    "python": "test_running.test_the_python_blocks_of_a_page_run",
    "javascript": "test_running",
    "http": "test_running.test_a_webhook_looks_as_shown",
    "yaml": "test_a_rule_loads",
    "jinja": "test_a_template_is_rendered",
    "html": "test_a_piece_of_html_is_whole",
    "json": "test_what_is_json_can_be_read",
    "ini": "test_settings_in_a_file_are_settings",
    "conf": "test_redis_takes_the_lines_of_its_configuration",
    "acl": "tests/servers/rights.py, with which every Redis of the tests starts",
    "sql": "test_sql_runs_on_the_historys_tables",
    "erlang": "test_erlang_reads_its_terms",
    "text": "TEXTS",
    **left_out.LANGUAGES,
}


def ids(found: list[Block]) -> Any:
    return pytest.mark.parametrize("found", found, ids=map(str, found))


def test_every_block_says_what_it_is_and_something_reads_it() -> None:
    unread = [f"{one} is {one.language or 'of no language'}" for one in blocks() if one.language not in READ]

    assert unread == [], "give the block a language, and a test in tests/docs or a row in left_out.py"


def test_nothing_is_left_out_that_is_not_there() -> None:
    lines = [line for one in blocks("sh") for line in one.text.splitlines()]
    needless = [rule.line for rule in left_out.LINES if not any(left_out.left_out(line) is rule for line in lines)]

    assert needless == []
    assert left_out.LANGUAGES.keys() <= {one.language for one in blocks()}


def test_no_page_tells_anybody_to_install_the_strangers_package() -> None:
    install = re.compile(r"pip3? install [^`\n]*?(?<![\w./-])notifier(?![\w/-])")

    assert [str(page.relative_to(ROOT)) for page in DOCUMENTS if install.search(page.read_text())] == []
    assert install.search("run `pip install -U 'notifier[service]'`")
    assert not install.search("`pip install ./notifier/client` and `pip install notifier-events`")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The shop's templates, to which a block is added."""
    return Path(shutil.copytree(SHOP, tmp_path / "templates"))


def as_rules(text: str) -> str:
    """A whole rules.yaml of what a page shows of one."""
    if text.lstrip("# ").startswith(("event:", "templates/")):
        return text
    if not text.startswith("- id:"):
        keys = "" if "\nto:" in f"\n{text}" else "to: data.customer\n"
        digest = "channel: digest\nwindow: {every: 1h}\n" if "\nkey:" in text else "channel: email\n"
        text = "- id: shown\n" + "".join(f"  {line}\n" for line in (digest + keys + text).splitlines())
    body = "".join(f"  {line}\n" for line in text.splitlines())
    return f"event: shown.event\ncategory: shown\nrules:\n{body}"


#: The file in which a project says how serious it takes findings.
CHECKS = "_checks.yaml"
_CHANNEL_FILE = re.compile(r"# (_channels/\w+\.yaml)\n")


@ids(blocks("yaml"))
def test_a_rule_loads(found: Block, tree: Path) -> None:
    for shown in blocks("yaml"):
        if shown.page == found.page and (named := _CHANNEL_FILE.match(shown.text)):
            file = tree / named[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(shown.text)
    if _CHANNEL_FILE.match(found.text):
        assert Content.load(tree, check_url=AddressGuard().check_url).catalog.providers
        return
    if found.text.startswith(f"# {CHECKS}\n"):
        (tree / CHECKS).write_text(found.text)
        severities, mistakes = read_severities(tree)
        assert severities
        assert mistakes == []
        return
    rules = as_rules(found.text)
    folder = tree / yaml.safe_load(rules)["event"]
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(rules)
    for kind in ("email", "digest"):
        for role in ("subject", "text"):
            (folder / f"{kind}.{role}.j2").write_text("Shown")
    for channel in channel_names(tree):
        (folder / f"{channel}.text.j2").write_text("Shown")

    Content.load(tree)


#: What a template that is only shown in part needs to be rendered.
SHOWN: dict[str, Any] = {"customer": {"name": "Ann"}, "number": "FH-1", "url": "https://shop.example.org/"}


@ids([*blocks("jinja"), *blocks("html")])
def test_a_template_is_rendered(found: Block, tree: Path) -> None:
    named = re.match(r"\{# templates/(\S+) #\}", found.text)
    name = named[1] if named else "order.placed/email.html.j2"
    (tree / name).write_text(found.text)
    folder = name.partition("/")[0]
    sample = json.loads((SHOP / folder / "sample.json").read_text())
    event = Event.from_attributes({**sample, "data": {**sample["data"], **SHOWN}})
    context = event_context(event, recipient=None, delivery_id="dlv_1", unsubscribe_url="")

    message = Renderer.load(tree).email(folder, context)

    assert "FH-1" in message.subject + message.html or not named


@ids(blocks("html"))
def test_a_piece_of_html_is_whole(found: Block) -> None:
    seen: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: seen.append((tag, dict(attributes)))  # type: ignore[method-assign]
    parser.feed(found.text)

    assert seen == [("img", {"src": "cid:logo", "alt": "Example Shop", "width": "120"})]


@ids(blocks("json"))
def test_what_is_json_can_be_read(found: Block) -> None:
    value = json.loads(found.text)

    if "specversion" in value:
        Content.load(SHOP).catalog.validate(Event.from_attributes(value))
    else:
        assert value["logger"] == "notifier.audit"


def test_the_event_of_the_api_description_fits_the_schema() -> None:
    content = Content.load(SHOP)

    content.catalog.validate(Event.from_attributes(EVENT))
    assert content.catalog.matching(EVENT["type"])


def written_in(language: str, text: str) -> dict[str, Any]:
    """The event that a Go or Java program writes out."""
    opening = {"go": r"map\[string\]any\{", "java": r"Map\.of\("}[language]
    start = re.search(opening, text)
    assert start is not None
    if language == "java":
        source = re.sub(opening, "mapped(", text[start.start() :])
        end = source.index(";")
        found: dict[str, Any] = eval(source[:end], {"mapped": lambda *p: dict(zip(p[::2], p[1::2], strict=True))})
        return found
    source = re.sub(opening, "{", text[start.start() :])
    return dict(eval(source[: source.index("\n})") + 2], {}))


@ids([one for language in left_out.LANGUAGES for one in blocks(language)])
def test_what_cannot_run_publishes_an_event_that_fits_its_schema(found: Block) -> None:
    content = Content.load(SHOP)
    event = Event.from_attributes(written_in(found.language, found.text))

    content.catalog.validate(event)
    assert content.catalog.matching(event.type)
    assert f'"notifier.events", "{event.type}"' in found.text
    for opening, closing in ("()", "{}", "[]"):
        assert found.text.count(opening) == found.text.count(closing)


@ids(blocks("ini"))
def test_settings_in_a_file_are_settings(found: Block) -> None:
    lines = [line.split("  #")[0].strip() for line in found.text.splitlines() if not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines if line)

    read_settings({name: value.strip('"') for name, value in given.items()})


@ids(blocks("conf"))
def test_redis_takes_the_lines_of_its_configuration(found: Block, redis_server: RedisServer) -> None:
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        for line in found.text.splitlines():
            name, value = line.split(" ", 1)
            assert client.config_set(name, value)


@ids(blocks("sql"))
def test_sql_runs_on_the_historys_tables(found: Block, postgres: PostgresServer, history_database: str) -> None:
    with postgres.connected(history_database) as connection:
        connection.execute("SELECT notifier.make_day(current_date - 1)")
        connection.execute(
            "INSERT INTO notifier.deliveries VALUES (current_date - 1, 'dlv_a', 'evt_a', 'r', 'email', 'k…@example.org', '', "
            "'refused', 'no', 1, now(), now(), 't', '[{\"code\": \"smtp_550\"}]')"
        )

        assert len(connection.execute(found.text).fetchall()) == 1


@ids(blocks("erlang"))
def test_erlang_reads_its_terms(found: Block, tmp_path: Path) -> None:
    file = tmp_path / "advanced.config"
    file.write_text(found.text)
    erl = find_binary("erl", install="apt-get install erlang-base")
    asked = f'{{ok, [[{{rabbit, _}}]]}} = file:consult("{file}"), halt(0).'

    subprocess.run([erl, "-noinput", "-eval", asked], check=True, timeout=PATIENCE_S, capture_output=True)


def test_mistakes_are_told_as_shown(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the files that the page speaks of
    folder = tree / "order.shipped"
    folder.joinpath("rules.yaml").write_text(
        "event: order.shipped\ncategry: orders\nrules:\n  - id: customer-email\n    channel: email\n"
        "    to: data.customer +\n    expires: 6 hours\n"
    )
    folder.joinpath("schema.json").write_text('{"type": "object", "properties": {"total": {"type": "number"}}}')
    folder.joinpath("sample.json").write_text(
        '{\n  "specversion": "1.0",\n  "id": "1",\n  "source": "/shop",\n  "type": "order.shipped",\n'
        '  "data": {\n    "total": "12"\n  }\n}\n'
    )
    monkeypatch.chdir(tree.parent)

    # When they are read
    with pytest.raises(ConfigurationError) as mistakes:
        Content.load(Path("templates"))

    # Then
    assert str(mistakes.value).strip() == block("docs/how-to/write-a-rule.md", "5 mistakes:").text.strip()


def test_a_queue_with_other_arguments_is_told_as_shown(broker_url: str) -> None:
    import pika

    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        arguments = {"x-queue-type": "quorum"}
        connection.channel().queue_declare("email-high", durable=True, arguments=arguments)

    with pytest.raises(TopologyConflict) as conflict:
        apply_topology(broker_url)

    shown = block("docs/operations/upgrades.md", "exists with other properties").text
    told = re.sub(r"--vhost '?[\w/-]+'?", "--vhost '/'", str(conflict.value))
    assert " ".join(told.split()) == " ".join(shown.split())


#: Blocks of plain text: what a folder holds, and what is printed (with its test above).
PRINTED = ("5 mistakes:", "exists with other properties", "[may-be-absent]")
TREES = [b for b in blocks("text") if b.text.startswith("templates/") and not any(w in b.text for w in PRINTED)]


def test_what_a_check_prints_of_a_mistake_is_as_shown(tree: Path) -> None:
    page = tree / "order.placed/email.text.j2"
    page.write_text(page.read_text().replace("data.total | money(data.currency)", "data.total ~ data.test"))
    (finding,) = check(Content.load(tree))

    shown = block("docs/how-to/write-a-template.md", "[may-be-absent]").text
    assert "\n".join(as_text([finding], tree)).strip() == shown.strip().replace("templates/", f"{tree}/")


def test_every_text_is_a_folder_or_was_printed() -> None:
    others = [one for one in blocks("text") if one not in TREES]

    assert all(any(words in one.text for words in PRINTED) for one in others)


@ids(TREES)
def test_a_folder_that_is_shown_is_one_that_loads(found: Block, tmp_path: Path) -> None:
    from notifier.rendering.files import PARTS

    known = {*PARTS, "rules.yaml", "schema.json", "sample.json"}
    named = set(re.findall(r"(?<![\w/])(?:de/)?([\w.]+\.(?:j2|yaml|json))\b", found.text))

    assert named
    assert named <= known


def test_an_expression_that_is_shown_is_one() -> None:
    shown = block("docs/how-to/write-a-rule.md", 'data.currency == "EUR"').text

    assert [Expressions().compile(line.split(": ", 1)[1]) for line in shown.splitlines()]
