"""Channel files: what they may say, and that every mistake is told at once, with its line and without its secrets."""

from textwrap import dedent

import pytest

from notifier.channels.webhook.guard import AddressGuard
from notifier.domain.provider import Meaning
from notifier.domain.retry import RetrySchedule
from notifier.rules.channel_files import CompiledProvider, load_channels
from tests.unit.rules.trees import Tree

SMS = """\
url: https://api.example.com/accounts/{{ settings.NOTIFIER_CHANNEL_SMS_ACCOUNT }}/messages
to: phone
auth: {basic: {user: NOTIFIER_CHANNEL_SMS_ACCOUNT, password: NOTIFIER_CHANNEL_SMS_TOKEN}}
form:
  To: "{{ address }}"
  From: "+15005550006"
  Body: "{{ text }}"
message_id: sid
limit: 10/s
retry: [10s, 5m]
answers:
  - {status: 400, body: {code: [21211, 21614]}, means: bad_recipient, suppress: true}
  - {status: [5xx, 400-404], means: deferred}
"""
SECRET = "hunter2-hunter2"


def read(tree: Tree, text: str, name: str = "sms") -> CompiledProvider:
    tree.write(f"_channels/{name}.yaml", dedent(text))
    found, problems = load_channels(tree.root, AddressGuard().check_url)
    assert not problems, problems
    return found[name]


def told(tree: Tree, text: str, name: str = "sms") -> str:
    tree.write(f"_channels/{name}.yaml", dedent(text))
    return "\n".join(map(str, load_channels(tree.root, AddressGuard().check_url)[1]))


def test_a_file_is_read_with_its_request_its_answers_and_its_settings(tree: Tree) -> None:
    # When a file like an SMS provider's is read
    compiled = read(tree, SMS)

    # Then it says what it needs, and what answers mean
    assert compiled.settings == {"NOTIFIER_CHANNEL_SMS_ACCOUNT": 1, "NOTIFIER_CHANNEL_SMS_TOKEN": 3}
    assert (compiled.name, compiled.provider.kind) == ("sms", "phone")
    assert [row.meaning for row in compiled.provider.rows] == [Meaning.BAD_RECIPIENT, Meaning.DEFERRED]
    assert compiled.provider.rows[1].statuses == ((500, 599), (400, 404))
    assert compiled.provider.retry == RetrySchedule((10, 300))

    # And it makes the request
    settings = {"NOTIFIER_CHANNEL_SMS_ACCOUNT": "AC/1", "NOTIFIER_CHANNEL_SMS_TOKEN": SECRET}
    request = compiled.request.render({"settings": settings, "address": "+491701234567", "text": "a&b=ü"})
    assert request.url == "https://api.example.com/accounts/AC%2F1/messages"
    assert request.body == b"To=%2B491701234567&From=%2B15005550006&Body=a%26b%3D%C3%BC"
    assert request.headers == (("authorization", "Basic QUMvMTpodW50ZXIyLWh1bnRlcjI="),)
    assert SECRET not in repr(request)


def test_texts_of_a_json_body_cannot_end_their_value(tree: Tree) -> None:
    compiled = read(
        tree, 'url: https://chat.example.com/hook\njson: {blocks: [{text: "{{ text }}", n: 1, ok: true}]}\n'
    )

    body = compiled.request.render({"text": '", "admin": true, "x": "'}).body

    assert body == b'{"blocks":[{"text":"\\", \\"admin\\": true, \\"x\\": \\"","n":1,"ok":true}]}'


def test_the_whole_url_may_be_the_recipients_address_or_a_setting(tree: Tree) -> None:
    by_address = read(tree, 'url: "{{ address }}"\nto: slack\nhosts: [hooks.slack.com]\njson: {text: "{{ text }}"}\n')
    by_setting = read(tree, 'url: NOTIFIER_CHANNEL_OPS_URL\njson: {text: "{{ text }}"}\n', "ops")

    hook = "https://hooks.slack.com/services/T0/B0/x"
    assert by_address.request.render({"address": hook, "text": "t"}).url == hook
    assert by_setting.request.render({"settings": {"NOTIFIER_CHANNEL_OPS_URL": hook}, "text": "t"}).url == hook


def test_every_mistake_of_a_file_is_told_with_its_line(tree: Tree) -> None:
    # Given a file in which everything is wrong
    text = told(
        tree,
        f"""\
        url: ftp://example.com/?api_key={SECRET}
        mehtod: POST
        method: GET
        to: email
        auth: {{basic: {{user: A, password: {SECRET}}}, bearer: {SECRET}}}
        headers: {{Host: x, X-Api-Key: {SECRET}, "a b": c}}
        form: {{token: {SECRET}, x: "{{{{ nme }}}}", y: "{{{{ text | nope }}}}"}}
        json: [1]
        limit: fast
        retry: [5x]
        message_id: a..b
        answers:
          - {{status: 999, means: what}}
          - {{means: sent}}
          - {{body: {{"a..b": 1}}, means: refused, suppress: true}}
          - {{body: {{a: {{b: 1}}}}, means: sent, retry_after: x}}
          - nope
        """,
    )

    # Then each is told at its line, and no secret is repeated
    for line, words in [
        (1, "url names no host"),
        (2, "unknown key 'mehtod' (did you mean method?)"),
        (3, "method is 'GET'"),
        (4, "mails go by `channel: email`"),
        (5, "auth has one of"),
        (5, "password is no name of a setting (set NOTIFIER_CHANNEL_SMS_PASSWORD"),
        (5, "bearer is no name of a setting"),
        (6, "'Host' cannot be written"),
        (6, "X-Api-Key holds a secret"),
        (6, "'a b' cannot be written"),
        (7, "token holds a secret"),
        (7, "'nme' is not defined"),
        (7, "No filter named 'nope'"),
        (8, "the file has form and json"),
        (9, "'fast' is not a rate"),
        (10, "retry is '5x', not a duration"),
        (11, "'a..b' is no path"),
        (13, "status is '999'"),
        (13, "means is 'what'"),
        (14, "answer 2 says of no answer"),
        (15, "'a..b' is no path"),
        (15, "suppress goes with"),
        (16, "'a' is a mapping"),
        (16, "retry_after has no meaning for sent"),
        (17, "answer 5 is text"),
    ]:
        assert any(
            one.startswith(f"templates/_channels/sms.yaml:{line}: ") and words in one for one in text.splitlines()
        ), (
            line,
            words,
            text,
        )
    assert SECRET not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("[1]", "the file is a list"),
        ("url: [", "not YAML"),
        ("a: &x 1\nb: *x", "anchors"),
        ("url: https://a.example/x", "none of form, json and body"),
        ("form: {a: b}", "has no url"),
        ("url: https://{{ address }}/x\nto: host\nform: {a: b}", "names no host"),
        ("url: https://user:pw@a.example/x\nform: {a: b}", "user name or password"),
        ("url: https://a.example/?token=abcdef\nform: {a: b}", "token of the URL holds a secret"),
        ("url: http://a.example/\nform: {a: b}", "http:// would show"),
        ("url: https://[::1\nform: {a: b}", "url:"),
        ("url: https://[::1]x/\nform: {a: b}", "url:"),
        ("url: https://[nope]/\nform: {a: b}", "url:"),
        ("url: https://\u2100.example/\nform: {a: b}", "url:"),
        ("url: https://a.example:99999/\nform: {a: b}", "url:"),
        ("url: https://169.254.169.254/latest\nform: {a: b}", "is not public"),
        ("url: https://a.example:22/\nform: {a: b}", "port 22"),
        ('url: "{{ address }}"\nto: slack\nform: {a: b}', "hosts is missing"),
        ("url: https://a.example/\nhosts: [b.example]\nform: {a: b}", "hosts has no meaning"),
        ('url: https://a.example/\nform: {a: "{{ address }}"}', "does not say whose"),
        ("url: https://a.example/\nto: Phone\nform: {a: b}", "to is 'Phone'"),
        ("url: NOTIFIER_CHANNEL_OTHER_URL\nform: {a: b}", "no setting of this file"),
        ("url: NOTIFIER_SECRET_KEY\nform: {a: b}", "names no host"),
        ('url: https://a.example/\nform: {a: "{{ settings.NOTIFIER_SECRET_KEY }}"}', "no setting of this file"),
        ("url: https://a.example/\nform: {a: \"{{ settings['NOTIFIER_CHANNEL_SMS_X'] }}\"}", "named one by one"),
        ("url: https://a.example/\nform: {a: \"{% include 'x' %}\"}", "includes nothing"),
        ('url: https://a.example/\nform: {a: "{{ text"}', "form: a: "),
        (
            "url: https://a.example/\nbody: x\nauth: {header: {name: Host, value: NOTIFIER_CHANNEL_SMS_K}}",
            "no header for it",
        ),
        ("url: https://a.example/\nbody: x\nanswers: {status: 1}", "answers is a mapping"),
    ],
)
def test_a_mistake_is_told(tree: Tree, text: str, words: str) -> None:
    assert words in told(tree, text)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("email.yaml", "'email' is taken"),
        ("http_api.yaml", "'http_api' is taken"),
        ("SMS.yaml", "cannot be the name of a channel"),
        ("a-b.yaml", "cannot be the name of a channel"),
        ("sms.yml", "nothing reads this file"),
    ],
)
def test_a_file_whose_name_no_rule_can_say_is_a_mistake(tree: Tree, file: str, words: str) -> None:
    tree.write(f"_channels/{file}", SMS)

    _, problems = load_channels(tree.root)

    assert [words in str(problem) for problem in problems] == [True]


def test_without_a_folder_there_are_no_channels(tree: Tree) -> None:
    assert load_channels(tree.root) == ({}, [])


def test_a_mistake_in_a_text_of_several_lines_is_told_at_its_own_line(tree: Tree) -> None:
    text = told(
        tree,
        """\
        url: https://api.example.com/
        json:
          title:
            "{{ nope }}"
          text: |
            Hello {{ event.id }}
            {{ neither }} and {{ settings.NOTIFIER_CHANNEL_SMS_TOKEN }}
            {{ settings | length }}
        headers:
          X-A: >-
            {{ nor }}
        """,
    )

    assert [line.split(": ")[0].rpartition(":")[2] for line in text.splitlines()] == ["4", "7", "8", "11"], text


FORM = 'form: {To: "{{ address }}", Body: "{{ text }}"}\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("url: https://a.example/\nform:\n  Body: {{ text }}\n", 3, "put quotes around"),
        (f"url: https://a.example/\nto: phone\n{FORM}auth: {{digest: x}}\n", 4, "digest"),
        (f"url: https://a.example/\nto: phone\n{FORM}auth: {{bearer: abc}}\n", 4, "the file must hold no secret"),
        (
            f"url: https://a.example/\nto: phone\n{FORM}answers: [{{status: 400, means: bad_num, suppress: true}}]\n",
            4,
            "means is 'bad_num'",
        ),
        ('url: https://a.example/\nto: phone\nform: {To: "{{ adress }}"}\n', 3, "'adress' is not defined"),
        ("url: https://a.example/\nto: phone\n", 1, "none of form, json and body"),
        ("url: https://hooks.slack.com/services/T0/B0/abc\njson: {a: b}\n", 1, "whoever knows this URL"),
        ("url: https://discord.com/api/webhooks/1/abc\njson: {a: b}\n", 1, "whoever knows this URL"),
        ("url: https://x.webhook.office.com/webhookb2/abc\njson: {a: b}\n", 1, "whoever knows this URL"),
        ("url: https://x.logic.azure.com:443/workflows/1?api-version=1&sig=abc\njson: {a: b}\n", 1, "whoever knows"),
        ("url: https://api.telegram.org/bot12:abc/sendMessage\njson: {a: b}\n", 1, "whoever knows this URL"),
    ],
)
def test_one_mistake_is_told_once_and_nothing_that_only_follows_from_it(
    tree: Tree, text: str, line: int, words: str
) -> None:
    (row,) = told(tree, text).splitlines()

    assert row.startswith(f"templates/_channels/sms.yaml:{line}: ")
    assert words in row


@pytest.mark.parametrize("path", ["services/{{ settings.NOTIFIER_CHANNEL_SMS_HOOK }}", "services"])
def test_a_chats_url_whose_secret_is_a_setting_is_none(tree: Tree, path: str) -> None:
    read(tree, f"url: https://hooks.slack.com/{path}\njson: {{a: b}}\n")


def test_what_to_do_about_an_address_inside_stands_by_itself(tree: Tree) -> None:
    tree.write("_channels/sms.yaml", "url: http://a.example/\njson: {a: b}\n")

    (problem,) = load_channels(tree.root, AddressGuard().check_url)[1]

    assert "NOTIFIER_WEBHOOK_HTTP" not in problem.what
    assert "NOTIFIER_WEBHOOK_HTTP" in problem.fix
