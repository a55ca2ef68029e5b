"""What a refusal means: every reply of the corpus, and what no reply may bring about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.email import outcomes
from notifier.domain.outcome import Deferred, Refused
from notifier.engine.relay_breaker import AGAINST_RELAY
from notifier.engine.replies import ReplyClass, classify, enhanced_code, plain_words
from notifier.engine.transaction import Phase, Rejected
from tests.corpus.smtp_replies import Row, read

CONNECT, AUTH, MAIL, RCPT, DATA, DOT = (
    Phase.CONNECT, Phase.AUTH, Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT,
)  # fmt: skip
RELAY = "relay.example:25"
BUSY_MAILBOX = (
    "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being "
    "delivered. For more information, please visit https://support.google.com/mail/?p=ReceivingRatePerm - gsmtp"
)
OURS = {ReplyClass.SENDER_REFUSED, ReplyClass.LOGIN, ReplyClass.CLIENT_REFUSED, ReplyClass.DIALOGUE}


def refusal(phase: Phase, reply: str) -> Rejected:
    code, _, text = reply.partition(" ")
    return Rejected(RELAY, phase, int(code), text)


@pytest.mark.parametrize("row", read(), ids=str)
def test_each_reply_of_the_corpus_means_what_its_row_says(row: Row) -> None:
    rejected = row.rejected()

    meaning = classify(rejected)

    assert row.is_right(meaning), f"{meaning}, not {' or '.join(row.classes)}"
    # And only what says that there is no such mailbox ends all mail to it; what is ours parks nothing
    outcome = outcomes.classify(rejected)
    assert (isinstance(outcome, Refused) and outcome.suppress) == (meaning is ReplyClass.NO_MAILBOX)
    assert isinstance(outcome, Refused) == (meaning in {ReplyClass.NO_MAILBOX, ReplyClass.MAIL_REFUSED})
    assert (isinstance(outcome, Deferred) and outcome.our_fault) == (meaning in OURS)


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 <user@example.com>: Recipient address rejected: Not in recipient list",
        "550 5.7.1 No such user!",
        "550 5.7.1 <user@example.com>: Recipient address rejected: User email address is marked as invalid.",
        "554 5.7.1 <user@example.com>: Recipient address rejected: Invalid-Recipient.",
        "554 5.7.1 <user@example.com>: Recipient address rejected: NO-DOMAIN.",
        "540 5.7.1 <user@example.com>: recipient address rejected: Inactive",
        "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required",
        "550 5.7.124 RESOLVER.RST.RestrictedToGroupPermission",
        "550 5.7.1 Policy rejection on the target address",
        "554 5.7.1 Spam message rejected; If this is not spam contact abuse",
        "552 5.7.1 virus [name] detected",
        "451 4.7.1 Try again later",
        "451 4.7.1 <user@example.com>: Recipient address rejected: Greylisted for 5 minutes",
    ],
)
@pytest.mark.parametrize("phase", [RCPT, DOT])
def test_refusals_of_one_recipient_once_paused_the_relay_for_everybody(reply: str, phase: Phase) -> None:
    assert classify(refusal(phase, reply)) not in AGAINST_RELAY


def test_living_mailboxes_that_were_written_to_too_often_were_once_suppressed_for_ever() -> None:
    outcome = outcomes.classify(Rejected(RELAY, RCPT, 550, BUSY_MAILBOX))
    assert isinstance(outcome, Deferred)


@pytest.mark.parametrize(
    ("phase", "reply", "meaning"),
    [
        # a relay that quotes another server speaks of that server's recipient
        (DOT, "550 remote server said: 550 5.1.1 user unknown", ReplyClass.NO_MAILBOX),
        (RCPT, "550 mailbox does not exist on this server", ReplyClass.NO_MAILBOX),
        # boilerplate blames nobody
        (DOT, "554 5.7.1 Message refused. Contact your mail server administrator", ReplyClass.MAIL_REFUSED),
        # the phase settles it
        (CONNECT, "554 user unknown", ReplyClass.CLIENT_REFUSED),
        (AUTH, "550 5.1.1 no such user", ReplyClass.LOGIN),
        (MAIL, "550 5.1.1 no such user", ReplyClass.SENDER_REFUSED),
        # delayed refusals
        (RCPT, "550 5.1.8 <a@b.example>: Sender address rejected: Domain not found", ReplyClass.SENDER_REFUSED),
        (RCPT, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen", ReplyClass.CLIENT_REFUSED),
        (DOT, "550 blocked, see https://www.spamhaus.org/query/ip/192.0.2.1", ReplyClass.CLIENT_REFUSED),
        (RCPT, "503 This mail server requires authentication when sending to a non-local address", ReplyClass.LOGIN),
        # states that pass, told with a code for good
        (RCPT, "550 5.1.1 mailbox temporarily unavailable, try again later", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 <user@example.com> account inactive for now", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 user is over quota", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 blocked by policy", ReplyClass.MAIL_REFUSED),
        # several lines, each with its code
        (DOT, "421 4.7.28 unusual rate of\n4.7.28 unsolicited mail", ReplyClass.DOMAIN_RATE),
        (DOT, "550 5.4.5 Daily user sending\n5.4.5 limit exceeded", ReplyClass.RELAY_RATE),
        # qmail's way to write codes
        (RCPT, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", ReplyClass.CLIENT_REFUSED),
        (MAIL, "452 4.5.3 Too many messages in this session", ReplyClass.USED_UP),
        # what one connection may carry is neither a rate nor a number of connections, and a rate is not used up
        (MAIL, "421 message limit for this connection exceeded", ReplyClass.USED_UP),
        (MAIL, "421 4.4.2 Message submission limit for this connection reached", ReplyClass.USED_UP),
        (MAIL, "452 4.3.2 Transaction limit per connection reached", ReplyClass.USED_UP),
        (MAIL, "451 Session limit of 100 messages exceeded, reconnect", ReplyClass.USED_UP),
        (MAIL, "421 4.5.3 Too many messages", ReplyClass.USED_UP),
        (MAIL, "421 concurrent session limit of 5 reached", ReplyClass.CONNECTIONS),
        (MAIL, "452 4.5.3 Too many messages this hour", ReplyClass.RELAY_RATE),
        (RCPT, "452 4.5.3 Too many recipients this hour", ReplyClass.DOMAIN_RATE),
        (RCPT, "450 You have sent too many emails, please wait", ReplyClass.RELAY_RATE),
        (MAIL, "550 5.7.0 Quota exceeded: 500 mails per day", ReplyClass.RELAY_RATE),
        # what the recipient's server could not find out, or has had too much of for him, says nothing of his mailbox
        (RCPT, "550 5.1.1 <user@example.com>: user is over the quota", ReplyClass.NOT_NOW),
        (RCPT, "550 5.2.1 User's mailbox receiving too many messages", ReplyClass.NOT_NOW),
        (RCPT, "550 5.2.1 this address has received too much mail, try tomorrow", ReplyClass.NOT_NOW),
        (RCPT, "554 5.1.1 recipient verification failed, lookup timeout", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.2 DNS lookup failure for recipient domain", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.2 host lookup did not complete", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 LDAP error, cannot check recipient", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 internal error while checking user", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 mailbox under maintenance", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 user verification deferred", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.1 user's storage is exhausted", ReplyClass.NOT_NOW),
        (RCPT, "550 5.1.2 DNS timeout", ReplyClass.NOT_NOW),
        (RCPT, "553 5.1.1 greylisted", ReplyClass.MAIL_REFUSED),
        (RCPT, "550 5.1.1 awaiting activation", ReplyClass.MAIL_REFUSED),
        (RCPT, "550 5.1.1 user has not logged in for 90 days", ReplyClass.MAIL_REFUSED),
        (RCPT, "550 5.7.1 Mailbox protected; the sender must be approved", ReplyClass.MAIL_REFUSED),
        # Exchange has words of its own for a recipient whom it did not find
        (RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", ReplyClass.NO_MAILBOX),
        (RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", ReplyClass.CLIENT_REFUSED),
        (DOT, "530 From/Sender name is not valid", ReplyClass.SENDER_REFUSED),
        # TLS that is demanded for now is demanded of every mail
        (MAIL, "451 5.7.3 STARTTLS is required to send mail", ReplyClass.LOGIN),
    ],
)
def test_words_and_phases_together(phase: Phase, reply: str, meaning: ReplyClass) -> None:
    assert classify(refusal(phase, reply)) is meaning


@pytest.mark.parametrize(
    "state",
    [
        "Your account is under review", "Your SMTP account has been disabled", "your account is not yet verified",
        "Your free account has been temporarily suspended.", "Sending paused for this account.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", [(MAIL, 550), (RCPT, 552), (DATA, 502), (DATA, 450), (DOT, 554)], ids=str)
def test_mails_of_a_suspended_account_were_once_parked_one_by_one(state: str, said: tuple[Phase, int]) -> None:
    phase, code = said
    assert classify(Rejected(RELAY, phase, code, state)) is ReplyClass.LOGIN


@pytest.mark.parametrize(
    "words",
    [
        "Mailbox size limit exceeded", "would be over the allowed quota", "the user's space has been used up",
        "Recipient rejected: mailbox would exceed maximum allowed storage", "Not sufficient disk space",
        "Boite du destinataire pleine", "<user@example.com> does not have enough space", "diskspace quota",
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", [550, 552, 554])
def test_words_of_a_full_mailbox_are_for_now_whatever_the_code(code: int, words: str) -> None:
    assert classify(Rejected(RELAY, RCPT, code, words)) is ReplyClass.NOT_NOW


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("This server is not a gateway", ReplyClass.CLIENT_REFUSED),
        ("we don't handle mail for example.com", ReplyClass.CLIENT_REFUSED),
        ("relaying mail to example.com is not allowed", ReplyClass.CLIENT_REFUSED),
        ("We do not accept mail from dynamic IPs", ReplyClass.CLIENT_REFUSED),
        ("your email address has been blacklisted", ReplyClass.SENDER_REFUSED),
        ("You are not allowed to use the domain example.com as a sender domain", ReplyClass.SENDER_REFUSED),
        ("Sender <sender@example.com> has no A, AAAA, or MX DNS records", ReplyClass.SENDER_REFUSED),
        ("5.7.27 <s@example.com>: Sender address rejected: Domain example.com does not accept mail (nullMX)",
         ReplyClass.SENDER_REFUSED),
        ("5.3.1 Mail system full", ReplyClass.RELAY_ILL),
        ("5.1.1 Directory server unavailable", ReplyClass.NOT_NOW),
        ("5.1.1 could not connect to backend", ReplyClass.NOT_NOW),
        ("5.1.1 Postfach gesperrt", ReplyClass.MAIL_REFUSED),
        ("5.1.1 El usuario esta en estado: inactivo", ReplyClass.MAIL_REFUSED),
        ("5.1.1 \u4e00\u6642\u7684\u306b\u53d7\u4fe1\u3067\u304d\u307e\u305b\u3093", ReplyClass.NOT_NOW),
    ],
)  # fmt: skip
def test_words_of_servers_that_say_it_in_their_own_way(words: str, meaning: ReplyClass) -> None:
    assert classify(Rejected(RELAY, RCPT, 550, words)) is meaning


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.2.1 user account suspended", "550 5.1.1 This account has been disabled", "550 Account is not active",
        "550 5.7.1 Message sending is blocked by the recipient", "450 4.2.1 mailbox locked, ask your account owner",
    ],
)  # fmt: skip
def test_an_account_of_the_recipient_is_not_ours(reply: str) -> None:
    assert classify(refusal(RCPT, reply)) in {ReplyClass.MAIL_REFUSED, ReplyClass.NOT_NOW}


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        # RFC 5321 §3.3: what RCPT is answered is about its address, unless the words say otherwise.
        ("Domain does not exist", ReplyClass.NO_MAILBOX),
        ("Domain does not exist: example.com", ReplyClass.NO_MAILBOX),
        ("Host unknown", ReplyClass.NO_MAILBOX),
        ("Recipient domain does not exist", ReplyClass.NO_MAILBOX),
        ("Sender domain does not exist", ReplyClass.SENDER_REFUSED),
        ("Your domain does not exist", ReplyClass.SENDER_REFUSED),
        ("your email domain was not found", ReplyClass.SENDER_REFUSED),
        ("domain of your address does not exist", ReplyClass.SENDER_REFUSED),
        ("From domain does not exist", ReplyClass.SENDER_REFUSED),
        ("Originating domain does not exist", ReplyClass.SENDER_REFUSED),
        ("Sending domain does not exist", ReplyClass.SENDER_REFUSED),
        ("source domain unknown", ReplyClass.SENDER_REFUSED),
        ("domain does not exist (sender)", ReplyClass.SENDER_REFUSED),
        ("client domain not found", ReplyClass.CLIENT_REFUSED),
        ("Host name not found for 192.0.2.4", ReplyClass.CLIENT_REFUSED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "5.7.1 "])
def test_a_domain_that_does_not_exist_suppresses_unless_it_is_said_to_be_ours(
    before: str, words: str, meaning: ReplyClass
) -> None:
    assert classify(Rejected(RELAY, RCPT, 550, before + words)) is meaning


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("<user@example.com>: Recipient address rejected: Blacklisted", ReplyClass.MAIL_REFUSED),
        ("Recipient address rejected: Policy Rejection- Black-listed", ReplyClass.MAIL_REFUSED),
        ("Recipient address rejected: on our denylist", ReplyClass.MAIL_REFUSED),
        ("this mailbox is blacklisted", ReplyClass.MAIL_REFUSED),
        ("blocklisted destination", ReplyClass.MAIL_REFUSED),
        ("Recipient address rejected: IP blacklisted", ReplyClass.CLIENT_REFUSED),
        ("Recipient address rejected: listed by zen.spamhaus.org", ReplyClass.CLIENT_REFUSED),
        ("Recipient address rejected: Your MTA is listed in too many DNSBLs", ReplyClass.CLIENT_REFUSED),
        ("Client host rejected: Blacklisted", ReplyClass.CLIENT_REFUSED),
        ("Sender address rejected: Blacklisted", ReplyClass.SENDER_REFUSED),
        ("Blacklisted", ReplyClass.CLIENT_REFUSED),
    ],
)  # fmt: skip
def test_a_block_list_is_about_whom_the_words_name(words: str, meaning: ReplyClass) -> None:
    assert classify(Rejected(RELAY, RCPT, 554, f"5.7.1 {words}")) is meaning
    assert classify(Rejected(RELAY, Phase.CONNECT, 554, f"5.7.1 {words}")) is ReplyClass.CLIENT_REFUSED


def test_a_recipient_on_a_list_for_now_is_tried_again_and_no_relay_pauses() -> None:
    assert classify(refusal(RCPT, "450 4.7.1 Recipient address rejected: Blacklisted")) is ReplyClass.NOT_NOW


@given(
    st.sampled_from([RCPT, DOT]),
    st.sampled_from(["450 4.2.0", "550 5.7.1", "554"]),
    st.sampled_from(["no-such-user", "greylisted", "spamhaus", "relay-denied", "rate.limit", "helo", "over.quota"]),
    st.sampled_from(["<{}@example.com>: not taken", "{}@example.com was not taken", "not taken: <{}@Helo.example>"]),
)
def test_a_name_in_an_address_decides_nothing(phase: Phase, code: str, name: str, text: str) -> None:
    named = refusal(phase, f"{code} {text.format(name)}")
    plain = refusal(phase, f"{code} {text.format('x')}")
    assert classify(named) is classify(plain)


@given(st.sampled_from(Phase), st.integers(400, 599), st.text(max_size=200))
def test_every_refusal_has_a_class_and_none_for_now_is_for_good(phase: Phase, code: int, text: str) -> None:
    meaning = classify(Rejected(RELAY, phase, code, text))
    if code < 500:
        assert meaning not in {ReplyClass.NO_MAILBOX, ReplyClass.MAIL_REFUSED}
    if 500 <= code <= 504 or code == 555:
        assert meaning not in {ReplyClass.NO_MAILBOX, ReplyClass.MAIL_REFUSED}


def test_a_reply_of_ten_thousand_characters_is_judged_by_its_begin() -> None:
    long = Rejected(RELAY, RCPT, 550, "5.1.1 no such user " + "relay access denied " * 500)
    assert classify(long) is classify(Rejected(RELAY, RCPT, 550, long.text[:2000]))


@pytest.mark.parametrize(
    ("code", "text", "enhanced"),
    [
        (550, "5.1.1 no", "5.1.1"),
        (550, "sorry, no mailbox here by that name. (#5.1.1)", "5.1.1"),
        (550, "#5.1.0 Address rejected.", "5.1.0"),
        (550, "4.7.1 greylisted", ""),
        (550, "from 5.1.1.20", ""),
        (550, "version 5.1.1 of something", ""),
    ],
)
def test_the_enhanced_code_stands_at_the_begin_or_behind_a_hash(code: int, text: str, enhanced: str) -> None:
    assert enhanced_code(Rejected(RELAY, RCPT, code, text)) == enhanced


def test_words_are_looked_for_without_codes_lines_and_addresses() -> None:
    assert plain_words("5.7.1 <A.b@Example.com>: Relay\n5.7.1  Access DENIED") == ": relay access denied"


#: Words of servers for a mailbox that exists. The first ones are what github.com/sisimai/p5-sisimai collected for full
#: mailboxes (lib/Sisimai/Reason/MailboxFull.pm); of some it is known that 5.1.1 stands before them.
_EXISTS = (
    *("account is exceeding their quota", "does not have enough space", "exceeded storage allocation", "Quota"),
    *("mailbox exceeded the local limit", "mailbox has exceeded its disk space limit", "mailfolder is full"),
    *("over the allowed quota", "recipient reached disk quota", "The user's space has been used up", "full mailbox"),
    *(
        "user has too many messages on the server",
        "too much mail data",
        "user over quota. (#5.1.1)",
        "disc quota exceeded",
    ),
    *("Boite du destinataire pleine", "Postfach voll", "buzón lleno", "casella piena", "skrzynka pełna", "邮箱已满"),
    *("Recipient over limit", "Mailbox over limit", "Over capacity", "Inbox limit reached", "recipient mailbox limit"),
    *("mailbox being moved", "mailbox is being migrated", "user is being moved to another server", "Move in progress"),
    *("mailbox in use", "mailbox offline", "mailbox currently unavailable", "account not yet activated", "try later"),
    *("server not responding", "user not reachable right now", "insufficient resources", "recipient is on vacation"),
)


@pytest.mark.parametrize("phase", [RCPT, DOT])
@pytest.mark.parametrize("code", ["5.1.1", "5.1.0", "5.1.6", "5.1.10", "5.0.0"])
@pytest.mark.parametrize("words", _EXISTS)
def test_words_that_say_the_mailbox_exists_win_over_a_code_that_says_it_does_not(
    words: str, code: str, phase: Phase
) -> None:
    for reply in (
        f"550 {code} {words}",
        f"550 {code} <user@example.com>: {words}",
        f"550 {code} <user@example.com>... {words}",
    ):
        assert classify(refusal(phase, reply)) is not ReplyClass.NO_MAILBOX, reply


@pytest.mark.parametrize(
    "words",
    [
        "",
        *("User unknown", "Bad destination mailbox address", "Recipient not found", "Recipient address rejected"),
        *(
            "sorry, no mailbox here by that name",
            "Requested action not taken: mailbox unavailable",
            "Invalid recipient",
        ),
        *(
            "The email account that you tried to reach does not exist. Please try double-checking the address",
            "undeliverable",
        ),
        *(
            "User unknown in virtual mailbox table",
            "recipient rejected. AUP#1510",
            "No such user here",
            "user no longer here",
        ),
        *(
            "User has moved; please try user@example.org",
            "Address has been replaced by user@example.org",
            "unknown quota user",
        ),
    ],
)
def test_a_code_for_no_such_mailbox_is_believed_when_the_words_say_nothing_else(words: str) -> None:
    assert classify(refusal(RCPT, f"550 5.1.1 <user@example.com> {words}")) is ReplyClass.NO_MAILBOX
