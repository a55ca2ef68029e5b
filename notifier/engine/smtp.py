"""One SMTP transaction on one open connection: MAIL, RCPT and DATA in one write when the relay offers it (RFC 2920).

The step is known at every moment, because a connection that ends after the final dot means something else than one that
ends before it (RFC 1047), and aiosmtplib's own errors cannot tell the two apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiosmtplib import SMTPResponse

from notifier.domain.value import value
from notifier.engine.dialogue import START_INPUT, ConversationLost, Dialogue
from notifier.engine.transaction import Accepted, Breakage, Broken, Phase, Rejected, Transaction

BeforeDot = Callable[[], Awaitable[None]]

#: Contents up to this many bytes leave in one write with their final dot; longer ones are drained first, so that a
#: relay that stops reading in the middle is known not to have the dot. It is asyncio's own high-water mark.
ONE_WRITE = 64 * 1024
#: A connection that was idle is asked NOOP before it is trusted with a mail, and gets this many seconds to answer.
NOOP_TIMEOUT_S = 5.0
#: A relay whose first reply to an announced mail takes longer than this has lost what came behind the final dot.
ANNOUNCED_TIMEOUT_S = 5.0

_STEPS = (Phase.MAIL, Phase.RCPT, Phase.DATA)
#: The server is about to close the connection (RFC 5321 §3.8).
_CLOSING = 421


@dataclass(frozen=True, slots=True)
class Offers:
    """What the relay said it can do, from EHLO."""

    pipelining: bool
    smtputf8: bool
    eightbit: bool
    size: int | None
    """Bytes of the largest mail it takes; None when it did not say, 0 when it says there is no bound."""
    mails: int = 0
    """Mails it takes on one connection (LIMITS MAILMAX, RFC 9422); 0 when it did not say."""


@value
class Mail:
    """What one transaction carries. ``content`` has CRLF line ends and ends with one; dots are not yet doubled."""

    sender: str
    recipient: str
    content: bytes
    smtputf8: bool
    before_final_dot: BeforeDot | None = None
    expires: float | None = None
    """Unix seconds from which it must not leave any more."""
    author: str = ""
    """The address in From, where it is not the envelope's sender; relays refuse it at the final dot."""


class SmtpConnection:
    """An open, greeted, encrypted and logged-in connection; carries one transaction at a time."""

    def __init__(self, relay: str, dialogue: Dialogue, offers: Offers, opened: float) -> None:
        self.relay = relay
        self.offers = offers
        self.opened = opened
        self.last_used = opened
        self.carried = 0
        """Transactions begun on it."""
        self.rested_at = 0
        """How many it had carried when it was last used again after a rest."""
        self.refusals = 0
        """Mails refused on it since the last one that was accepted."""
        self.was_grouped = False
        """Several commands of the last transaction left in one write."""
        self.was_announced = False
        """The commands of the last transaction left with the final dot of the mail before."""
        self.awaits_replies = False
        """The last transaction ended before all its commands were answered."""
        self.unanswered = False
        """It refused a command, and nothing came to those that had left in the same write."""
        self._dialogue = dialogue
        self._reset = False
        self._announced: Mail | None = None
        """Its commands left with the final dot of the mail before; their replies are still to be taken."""

    @property
    def usable(self) -> bool:
        """Whether nothing is known against another transaction."""
        return not self._dialogue.lost

    def leave(self) -> None:
        """Say QUIT and close."""
        self._dialogue.leave()

    def drop(self) -> None:
        """Close without a word: its state is unknown."""
        self._dialogue.cut()

    async def answers(self, now: float) -> bool:
        """Whether it still answers NOOP; a firewall may have forgotten an idle connection without telling anybody."""
        try:
            replies = await self._dialogue.ask(b"NOOP\r\n", 1, now + NOOP_TIMEOUT_S)
        except ConversationLost:
            return False
        return replies[0].code < 400

    async def carry(
        self, mail: Mail, early: float, late: float, *, one_by_one: bool = False, following: Mail | None = None
    ) -> Transaction:
        """One transaction: all before the final dot until ``early``, the reply to it until ``late`` (loop time).

        ``one_by_one``: each command waits for its reply, although the relay offers pipelining. Whoever names the
        ``following`` mail saves it a round trip: its commands leave with this one's final dot (RFC 2920 §3.1).
        `expects` then says whether they did, and the next mail carried must be that one.
        """
        self.awaits_replies = True
        self.was_announced = self._announced is mail
        ended: Transaction | None
        if self.was_announced:
            ended = await self._take_announced(early)
        else:
            self.carried += 1
            self.was_grouped = self.offers.pipelining and not one_by_one
            ended = self._impossible(mail)
            if ended is None and following is None and self._flows(mail):
                ended = await self._send(mail, early, late)
            elif ended is None:
                ended = await self._announce(mail, early)
        if ended is not None:
            return ended
        self.awaits_replies = False
        return await self._hand_over(mail, early, late, following)

    @property
    def expects(self) -> Mail | None:
        """The mail that was announced with the final dot of the one before."""
        return self._announced

    def _impossible(self, mail: Mail) -> Rejected | None:
        """What the relay would refuse anyway, or worse, mangle; in the words it would have used."""
        size = self.offers.size
        if mail.smtputf8 and not self.offers.smtputf8:
            return Rejected(self.relay, Phase.MAIL, 550, "5.6.7 needs SMTPUTF8, which the relay does not offer", True)
        if size and len(mail.content) > size:
            text = f"5.3.4 {len(mail.content)} bytes are more than the {size} the relay offers to take"
            return Rejected(self.relay, Phase.MAIL, 552, text, True)
        if not self.offers.eightbit and not mail.content.isascii():
            return Rejected(self.relay, Phase.MAIL, 554, "5.6.3 needs 8BITMIME, which the relay does not offer", True)
        return None

    def _commands(self, mail: Mail) -> tuple[str, str, str]:
        options = "" if self.offers.size is None else f" SIZE={len(mail.content)}"
        if self.offers.eightbit and not mail.content.isascii():
            options += " BODY=8BITMIME"
        if mail.smtputf8:
            options += " SMTPUTF8"
        return f"MAIL FROM:<{mail.sender}>{options}\r\n", f"RCPT TO:<{mail.recipient}>\r\n", "DATA\r\n"

    def _flows(self, mail: Mail) -> bool:
        """Whether nothing has to happen between its commands and its final dot, as with nearly all mails."""
        careful = self._reset or self.refusals or mail.before_final_dot is not None
        return self.was_grouped and not careful and len(mail.content) <= ONE_WRITE

    async def _send(self, mail: Mail, early: float, late: float) -> Transaction | None:
        """All of it, in two writes. None: the content was asked for and did not leave."""
        commands = "".join(self._commands(mail)).encode()
        try:
            replies = await self._dialogue.hand_over(commands, _with_final_dot(mail.content), early, late)
        except ConversationLost as lost:
            if lost.written:
                self.awaits_replies = False
                return Broken(self.relay, Phase.DOT, lost.why, True, lost.kind)
            return await self._judge([*lost.replies], lost, early)
        if len(replies) > len(_STEPS):
            self.awaits_replies = False
            return self._verdict(replies[-1])
        return await self._judge(replies, None, early)

    async def _announce(self, mail: Mail, deadline: float) -> Rejected | Broken | None:
        """Until the relay awaits the content (None) or the transaction has ended."""
        replies: list[SMTPResponse] = []
        lost: ConversationLost | None = None
        for group in self._groups(mail):
            try:
                replies += await self._dialogue.ask("".join(group).encode(), len(group), deadline)
            except ConversationLost as error:
                replies += error.replies
                lost = error
                break
            if replies[-1].code >= 400:
                break
        return await self._judge(replies, lost, deadline)

    def _groups(self, mail: Mail) -> list[list[str]]:
        """The commands that leave in one write each."""
        # After a refusal the relay may still hold the last envelope; RSET travels with the next one.
        commands = [*(["RSET\r\n"] if self._reset else ()), *self._commands(mail)]
        if not self.was_grouped:
            return [[command] for command in commands]
        if self.refusals:
            # A server counts DATA without a recipient as an error of its own: after a refusal, another one is likely.
            return [commands[:-1], commands[-1:]]
        return [commands]

    async def _take_announced(self, deadline: float) -> Rejected | Broken | None:
        """The replies to commands that left before; a refused mail before it has emptied the relay's envelope."""
        self._announced, self._reset = None, False
        replies: list[SMTPResponse] = []
        try:
            replies += await self._dialogue.take(1, min(deadline, self._dialogue.now() + ANNOUNCED_TIMEOUT_S))
            replies += await self._dialogue.take(len(_STEPS) - 1, deadline)
        except ConversationLost as lost:
            return await self._judge([*replies, *lost.replies], lost, deadline)
        return await self._judge(replies, None, deadline)

    async def _judge(
        self, replies: list[SMTPResponse], lost: ConversationLost | None, deadline: float
    ) -> Rejected | Broken | None:
        if self._reset and replies:
            if replies[0].code >= 300:
                return self._broken(Phase.MAIL, "connection", f"RSET was answered {replies[0].code}")
            replies = replies[1:]
        for step, reply in zip(_STEPS, replies, strict=False):
            if (refused := self._refusal(step, reply)) is not None:
                await self._end_refused(replies, reply, lost, deadline)
                return refused
        if lost is not None:
            return self._broken(_STEPS[len(replies)], lost.kind, lost.why)
        self._reset = False
        return None

    def _refusal(self, step: Phase, reply: SMTPResponse) -> Rejected | Broken | None:
        wanted = reply.code == START_INPUT if step is Phase.DATA else 200 <= reply.code < 300
        if wanted:
            return None
        if 400 <= reply.code < 600:
            return Rejected(self.relay, step, reply.code, reply.message)
        return self._broken(step, "protocol", f"{reply.code} {reply.message}")

    async def _end_refused(
        self, replies: list[SMTPResponse], refusal: SMTPResponse, lost: ConversationLost | None, deadline: float
    ) -> None:
        """Leave the connection ready for the next transaction, or closed."""
        self._reset = True
        self.refusals += 1
        if lost is not None or not self.usable:
            self.unanswered = self.was_grouped and lost is not None and lost.kind == "timeout"
            return
        if refusal.code == _CLOSING:
            self.drop()
        elif len(replies) == len(_STEPS) and replies[-1].code == START_INPUT:
            # RFC 2920 §3.1: DATA was accepted although there is nobody to send to; a lone dot ends it.
            try:
                await self._dialogue.ask(b".\r\n", 1, deadline)
            except ConversationLost:
                self.drop()

    async def _hand_over(self, mail: Mail, early: float, late: float, following: Mail | None) -> Transaction:
        try:
            if mail.before_final_dot is None and len(mail.content) <= ONE_WRITE:
                behind, replies = self._behind_dot(following) if following is not None else (b"", 0)
                answered = await self._dialogue.ask(_with_final_dot(mail.content) + behind, 1 + replies, late, 1)
            else:
                self._dialogue.send(_dots_doubled(mail.content))
                await self._dialogue.drain(early)
                if mail.before_final_dot is not None and self.usable:
                    await self._mark(mail.before_final_dot, early)
                answered = await self._dialogue.ask(b".\r\n", 1, late)
        except ConversationLost as lost:
            self._announced = None
            phase = Phase.DOT if lost.written else Phase.DATA
            return Broken(self.relay, phase, lost.why, lost.written, lost.kind)
        return self._verdict(answered[0])

    def _behind_dot(self, following: Mail) -> tuple[bytes, int]:
        """What names the following mail, and how many replies that gets."""
        if not self.offers.pipelining or self._impossible(following) is not None:
            return b"", 0
        self._announced = following
        self.carried += 1
        return "".join(self._commands(following)).encode(), len(_STEPS)

    async def _mark(self, before_final_dot: BeforeDot, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await before_final_dot()
        except TimeoutError:
            self.drop()
            raise ConversationLost("timeout", "the mark before the final dot was not written in time") from None

    def _verdict(self, reply: SMTPResponse) -> Transaction:
        if 200 <= reply.code < 300:
            self.refusals = 0
            return Accepted(self.relay, reply.code, reply.message)
        self._reset = True
        self.refusals += 1
        if reply.code == _CLOSING:
            self.drop()
        if 400 <= reply.code < 600:
            return Rejected(self.relay, Phase.DOT, reply.code, reply.message)
        self.drop()
        return Broken(self.relay, Phase.DOT, f"{reply.code} {reply.message}", True, "protocol")

    def _broken(self, phase: Phase, kind: Breakage, why: str) -> Broken:
        self.drop()
        return Broken(self.relay, phase, why, False, kind)


def _with_final_dot(content: bytes) -> bytes:
    return _dots_doubled(content) + b".\r\n"


def _dots_doubled(content: bytes) -> bytes:
    """RFC 5321 §4.5.2: a line that begins with a dot gets a second one."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content
