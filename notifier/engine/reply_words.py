"""The words of servers that say no more than a basic code, or whose enhanced code says too little, by what they mean.

Collected from Postfix, Sendmail, Exim, qmail, Haraka, OpenSMTPD, Courier, Exchange, cPanel and large providers. They
are looked for in lower case, in one line, without addresses and without enhanced codes (`replies.plain_words`).
"""

from __future__ import annotations

import re

Words = re.Pattern[str]


def _words(*alternatives: str) -> Words:
    return re.compile("|".join(alternatives))


_SENDER = r"(?:sender|mail ?from|envelope from|from address|return[- ]path|from header|header from)"
_MAILBOX = r"(?:user|recipient|mail ?box|e?-?mail account|account|addressee|alias|person|customer|subscriber)"

_TLS_FIRST = r"starttls|encryption (?:is )?(?:required|needed)|must use (?:ssl|tls)"

TOO_LARGE = _words(
    r"(?:message|mail|content|body|file)(?: file)?(?: size| length)? (?:is )?(?:too (?:big|large|long)|exceed)",
    r"(?<!mailbox )(?:size|length) (?:exceeds|limit|of .{0,30}exceed)",
    r"(?<!mailbox )exceed\w* .{0,40}(?:size|length|bytes|databytes)",
    r"too (?:big|large) for",
)
TOO_MANY_CONNECTIONS = _words(
    r"too many (?:(?:concurrent|simultaneous|open|active|parallel|new|smtp|tls|incoming|established) )*"
    r"(?:connections?|sessions?)|too many connected clients|ports are busy",
    r"\bconnections? (?:rate|limit|frequency|frequence|count|quota)",
    r"(?:concurrent|simultaneous|parallel) (?:smtp )?(?:connection|session|thread)s?",
    r"connections? (?:\w+ ){0,3}(?:exceed|too (?:frequent|many))",
    r"thread limit exceeded|trop de connexions",
    r"(?:exceed\w*|maximum|max|number of) (?:\w+ ){0,3}(?:connections|sessions\b)|concurrency limit",
)
CONNECTION_USED_UP = _words(
    r"too many (?:messages|mails|e-?mails|transactions|recipients)(?: sent)? (?:in|on|per|for|during|over) "
    r"(?:(?:this|one|a|the|single|same|current|smtp) )*(?:connection|session)",
    r"(?:messages?|mails?|transactions?|recipients?) (?:(?:count|allowed|submission|limit) )*"
    r"(?:per|(?:for|in|on) (?:this|one|a)) (?:smtp )?(?:connection|session)",
    r"(?<!concurrent )(?<!simultaneous )(?:connection|session) limit of \d+ (?:messages|mails|transactions)",
    r"too many (?:\w+ )?(?:errors|bad commands|unrecognized|syntax|non-?mail commands|junk commands)",
    r"too many (?:invalid|bad|unknown) (?:addresses|recipients|users)|connection expired|try reconnecting",
)
GREYLIST = _words(r"gr[ea]y[- ]?list")
SECOND_TRY = _words(
    r"(?:come|call) back (?:in|later)",
    r"(?:unknown|new|first[- ]time) (?:sender|client|triplet|correspondent)",
    r"triplet",
    r"(?:not yet|temporarily not) (?:authorized|whitelisted|known)",
    r"first (?:time|attempt|contact)",
    r"(?:try again|retry) (?:in|after) \d",
)
TIMEOUT = _words(r"\btime-?out\b|timed out")
LATER = _words(r"\blater\b|try again|\bretry\b|moment|minutes|seconds")
LOG_IN_FIRST = _words(
    r"auth(?:entication|orization)?(?: is)? (?:required|needed|first)",
    r"authenticate (?:first|before|yourself)",
    r"(?:must|please|need to|have to|requires?)(?: first)?(?: be)? (?:log ?in|authenticat)",
    r"log ?in first|unauthenticated senders?\b|not (?:authenticated|logged in(?! for))|pop before smtp|smtp after pop",
    _TLS_FIRST,
    r"turn on smtp auth|relay\b.{0,40}\bwithout authenticat",
    r"credentials? (?:\w+ ){0,3}(?:invalid|expired|not? (?:longer )?valid|revoked)|re-?authenticate",
)
TLS_FIRST = _words(_TLS_FIRST)
#: The account that our login belongs to may not send at all: "your" is us, whoever the recipient is.
OUR_ACCOUNT = _words(
    r"\byour (?:[\w-]+ ){0,3}account (?:(?:has|have|is|was|been|currently|temporarily|now|permanently) )*"
    r"(?:suspended|paused|disabled|deactivated|blocked|locked|closed|terminated|under review|pending|frozen|on hold|"
    r"compromised|banned|inactive|expired|not (?:yet )?(?:been )?(?:activ|approv|verif|enabled|validat)\w*)",
    r"\bsending (?:has been |is |was )?(?:suspended|paused|disabled|blocked) for (?:this|your|the) account",
    r"outbound ?spam ?exception",
)
LOGIN_ATTEMPTS = _words(r"too many (?:\w+ )?(?:log-?in|auth)")
#: What the recipient's side thinks of the sender's domain.
SENDER_AUTHENTICATION = _words(
    r"\b(?:spf|dkim|dmarc|arc)\b|sender ?id\b|unauthenticated (?:e-?mail|mail|sender)",
    r"reputation of (?:\w+ ){0,2}domain|domain.{0,20} reputation",
)
CLOSED_RECIPIENT = _words(
    r"resolver\.(?!adr\.)",
    r"(?:send|sending|mail|post|posting|messages?|write) to (?:this|the|that|these) "
    r"(?:recipient|user|group|list|mailbox|address|distribution|alias)",
    r"by (?:the |this )?recipient\b|by (?:the|this) (?:user|addressee)\b",
    r"recipient'?s? (?!address rejected).{0,40}(?<!non-)(?:allow|white|accept|approved|safe|block|black|suppress|"
    r"preference)",
    r"only accepts? (?:mail|messages|e-?mail)|blocked senders|senders? must be (?:pre-?)?approved",
    r"\brestricted (?:recipient|to)|recipient .{0,30}(?:unsubscribed|opted)|suppression list",
)
BUSY_RECIPIENT = _words(
    r"recipient (?:thread limit )?(?:has )?exceed|recipient .{0,30}rate limit",
    r"receiv\w+ (?:mail|messages?|e-?mail) (?:at a rate|too (?:quickly|fast|many|much))",
    r"(?:mailbox|user|recipient|address)\b[\w' ]{0,30}\breceiv(?:ing|ed) too (?:many|much)",
    r"(?:recipient|user|mailbox)\b.{0,60}\breceive\w*\b.{0,40}(?:limit|rate|too)",
    r"(?:inbound|incoming|receive|receiving) (?:message |mail )?(?:rate|limit)",
    r"(?:user|recipient|mailbox) has too (?:many|much) (?:messages|mails?|e-?mails?)|mailbox would exceed",
)
UNVERIFIED_RECIPIENT = _words(r"verify (?:the )?recipient|address verification|rejected: unverified address")
LOOP = _words(r"\bloop|\bhops\b|received header")
BAD_CONTENT = _words(
    r"surbl|uribl|\bdbl\b",
    r"(?:black ?listed|blocked|listed|bad|malicious|suspicious|dangerous) (?:urls?|uris?|links?|domains? in)",
    r"\b(?:urls?|uris?|links?) (?:in|found|contained|listed|black|block)",
    r"\bvirus|malware|phish|trojan|infected|attachment|executable",
    r"(?:message|body|content|header)\w* (?:contains?|content)|\b(?:phrases?|keywords?|words?|subject)\b",
    r"(?:message|mail|content|attachment|url|link)s?\b.{0,20} reputation",
)
SAY_HELLO = _words(
    r"(?:send|say|says|use|issue|need|requires?|expects?|with|missing|without) (?:a |an )?(?:helo|ehlo|hello)",
    r"(?:helo|ehlo)(?:/(?:helo|ehlo))? (?:first|needed|required|before)",
)
PROTOCOL = _words(
    r"synchroni[sz]ation|protocol (?:violation|error)|syntax error|violates rfc|command line too long|talk too soon",
    r"bad sequence|invalid syntax|syntax should be",
)
NO_REVERSE_NAME = _words(r"reverse (?:dns|lookup|ptr|hostname|resol)|\brdns\b|\bptr\b|name lookup failed")
#: Who we are: our address, our name, our right to use this server.
CLIENT = _words(
    r"relay(?:ing)? (?:\w+ )?(?:is )?(?:denied|not|prohibited|refused|rejected|disabled|forbidden|attempt|"
    r"disallowed(?! as\b|.{0,3}invalid domain))",
    r"(?:\bnot|\bno|cannot|can't|unable|won't|refuse|never|disallowed|n't) (?:\w+ ){0,3}relay",
    r"rcpthosts?\b|(?:open|insecure) (?:mail )?relay|as a relay|open proxy|not a gateway|relaying mail to\b",
    r"(?:don't|do not) handle mail for|not (?:a )?local host",
    r"\b(?:helo|ehlo)\b",
    r"client (?:host|address|network|name|ip)\b",
    r"(?:cannot find|unknown|no|bad|invalid|missing|resolve|mismatch\w*|match) (?:\w+ ){0,3}(?:hostname|rdns|ptr)\b",
    r"your (?:\w+ )?(?:ip|server|host|hostname|mta|mail ?server|network)\b(?! admin)",
    r"\bip (?:address )?you(?:'re| are) using|\bdynamic (?:\w+ )?ips?\b|\bips blocked|\binvalid ip\b",
    r"remote ?host looks",
    r"(?:sending|sender|source|connecting|remote|originating|this) ips?\b|\bhost .{0,40}unknown tld",
    r"(?:sending|connecting|originating) (?:host|mta|(?:mail )?server)\b",
    r"\bip(?: address)?\b.{0,60}(?:block|black|banned|reject|not allowed|denied|listed|restricted|prohibited|"
    r"unauthori)",
    r"(?:banned|blocked|unauthori[sz]ed|blacklisted|dynamic|residential|dial-?up) (?:\w+ )?"
    r"(?:ip|host|server|network)\b",
    r"\[?\d+\.\d+\.\d+\.\d+\]?\)? .{0,60}(?:blocked|black ?listed|refused|banned|listed)",
    r"(?:access|connections?|mail|service) (?:is |are )?(?:not accepted|denied|refused|rejected|blocked) "
    r"(?:from|for|by) (?:\w+ )?(?:ip|host|your|\[?\d)",
    r"permanently deferred|your access\b|\bbad ip\b|geo-?ip|host network|server of your (?:isp|provider)",
    r"traffic not accepted|not (?:authori[sz]ed|allowed|permitted) to (?:connect|use (?:this|our) "
    r"(?:mail )?(?:server|relay|service|system))",
)
#: A word for any list; at RCPT it is about whom the words name. Postfix says "Recipient address rejected" of what its
#: tables and policy services have of the recipient, and "Client host rejected" where it is us.
BLOCKLIST = _words(r"(?:black|block|deny)[- ]?list")
OF_MAILBOX = _words(r"\brecipients?\b|\brcpt\b|\bdestination\b|\b(?:user|mail ?box|addressee)\b")
#: Lists of addresses that send what nobody wants; after the words that say whose address it is.
LISTED = _words(
    r"spamhaus|spamcop|barracuda|sorbs|uceprotect|abusix|sender ?score|invaluement|mailspike|backscatterer",
    r"\bdns[-_]?bl|\brbl\b|real-?time (?:black|block)|(?<!not )\blisted by\b",
    r"(?:poor|bad|low|no) (?:\w+ )?reputation",
    r"(?:blocked|refused|rejected|listed|found) (?:using|by|in|at|on|due to) .{0,40}(?:rbl|\bbl\b|dns)",
)
#: Another sender may well be taken, so it is no login of ours (Postfix's reject_sender_login_mismatch).
SENDER_OF_ANOTHER = _words(r"sender address rejected: (?:not (?:logged in|owned)|domain .{0,80} does not accept mail)")
SENDER = _words(
    r"sender verif\w+",
    r"senders? (?:address |domain |e-?mail )?(?:\w+ )?(?:rejected|denied|refused|blocked|not allowed|not permitted|"
    r"unverified|not verified)",
    _SENDER + r"\b.{0,60}(?:not (?:authori[sz]ed|allowed|permitted|verified|owned|valid|exist|accepted|match|"
    r"registered|found|the same)|must |mismatch|does ?n.t (?:exist|match|conform)|cannot be|unverified|invalid|unknown|"
    r"suspended|banned|rejected|denied|refused|\bbad|listed|black ?list|block)",
    r"send ?as ?denied|permissions? to send",
    r"(?:\bnot|n't) (?:\w+ )?(?:allowed|permitted|authori[sz]ed|able) to send (?:mail |e-?mail |messages? )?"
    r"(?:as|from|on behalf|using)",
    r"(?:can ?not|may not) send (?:as|from|on behalf)|badmailfrom",
    r"(?:banned|bad|invalid|unknown|unverified|unauthori[sz]ed|suspended|blocked|black ?listed) sender",
    r"address is not verified|identit(?:y|ies) failed|(?:unregistered|unverified|unconfigured) (?:sending )?domain",
    r"domain .{0,60}(?:not verified|unverified|not allowed to send|not registered|not configured)",
    r"(?:must|should) (?:be )?(?:the same as|equal|match) .{0,40}(?:auth|login|user)",
    r"mail ?from .{0,40}(?:account|conform)|domain of sender|as a sender (?:domain|address)\b",
    r"relaying disallowed|not authori[sz]ed to perform .?ses:send",
    r"\byour (?:e-?mail )?address (?:has been|is) (?:black ?listed|blocked|banned)",
    r"\bsender (?:domain )?(?:resolve fail|has no (?:valid )?(?:a|mx|dns)\b)",
)
FULL = _words(
    r"over[- ](?:(?:the|his|her|its|their) )?quota|overquota|quota[\w ]{0,30}(?:exceed|full|reach|over|exhaust|violat)",
    r"exceed(?:s|ed)?[\w' ]{0,40}(?:quota|storage|space|disk)|out of (?:storage|space|quota)|over the allowed quota",
    r"(?:not|n't) have (?:\w+ )?(?:space|storage)\b|not sufficient (?:disk )?space|space (?:has been|is) used up",
    r"(?:mail ?box|inbox|in-box|mail ?folder|maildrop|account|user|recipient|storage)[\w' ]{0,30}\b(?:too )?full\b",
    r"\bmailbox (?:\w+ ){0,2}exceed\w*(?: (?:\w+ ){0,2}(?:size|limit))?|\bmailbox (?:size )?limit|disk ?space quota",
    r"\bpleine?s?\b|\bvoll\b|\bllen[oa]\b|\bpien[oa]\b",
    r"(?:insufficient|not enough|no) (?:\w+ )?(?:disk|storage|space)|full mail ?box|disk (?:is )?full|disk quota",
)
#: What is said of a mailbox that exists, whatever code stands before it; looked for behind "no such mailbox".
OTHER_STATE = _words(
    r"\bquotas?\b|\b(?:over|reached|exceed\w*|at|above|beyond)[\w ]{0,20}\b(?:limit|capacity|maximum|allowance)",
    r"\b(?:limit|capacity|storage|space)\b[\w ]{0,30}\b(?:exceed|reached|full|used up|exhaust|limit)",
    r"(?:mail ?box|in-?box|mail ?folder|maildir|account|recipient|user)[\w' ]{0,30}\b(?:full|limit|limits)\b|^full\b",
    r"(?:not have|not|no|insufficient|lack of|without) (?:\w+ ){0,2}(?:space|storage|room|resources|memory)\b",
    r"out of memory",
    r"too (?:many|much) (?:mails?|messages|e-?mails?|data|mail data)",
    r"\b(?:is |are )?being (?:\w+ )?(?:moved|migrated|transferred|relocated|upgraded|restored|repaired|created|set up)",
    r"migrat(?:ed to|ion|ing)|\bmoving\b|move in progress|in transit",
    r"(?:currently|presently|momentarily|right now|now) (?:\w+ )?(?:unavailable|unreachable|not available|closed)",
    r"(?:un|not |not be )(?:reachable|contacted|responding|ready|online)\b|\boffline\b|right now|in use\b",
    r"not yet\b|\bpending\b|(?:on|away on|is on) (?:vacation|holiday|leave)|out of (?:the )?office",
    # Full, as French, German, Spanish, Italian, Portuguese, Polish, Russian, Chinese and Japanese servers say it.
    r"\bpleine?s?\b|\bvoll\b|überfüllt|speicherplatz|\bllen[oa]s?\b|\bpien[oa]\b|\bchei[oa]\b|lotad[oa]|"
    r"pełn[aey]|przepełnion|переполнен|превышен|已满|超出|超過|容量|いっぱい",
)
RATE = _words(
    r"\brates?\b|rate-?limit|throttl|too (?:many|fast|frequent|quickly|often)|too much (?:mail|e-?mail|traffic)",
    r"(?:daily|hourly|monthly|per (?:hour|minute|day|second|month))\b",
    r"\b(?:sending|message|mail|messages|recipients?) (?:quota|limit)s?\b",
    r"(?:exceed|reach)\w*.{0,50}\b(?:limit|quota|maximum|threshold|allowance|number of (?:messages|recipients|mails))",
    r"(?:limit|quota|threshold|maximum)\b.{0,40}(?:exceed|reached)",
    r"messaging limits|frequen(?:cy|tly)|slow(?:ing)? down|\bvolume\b|unusual traffic|user complaints",
)
#: Rates so clearly said that neither a code for good nor talk of our address makes it something else.
CLEARLY_RATE = _words(
    r"rate[- ]?limit|throttl|sending rate|unusual rate|unusual sending activity|submission ?quota|credits exceeded",
    r"too? (?:many|much|fast|frequent) (?!invalid|unknown|bad)(?:\w+ ){0,2}"
    r"(?:mails?|messages|e-?mails?|recipients|requests|send)",
    r"\b(?:send|sending|daily|hourly|monthly|relay\w*|credits?|outgoing|outbound)[\w ]{0,30}(?:quota|limit)s?\b"
    r".{0,40}(?:exceed|reach)",
    r"reached your .{0,20}quota",
    r"(?:exceed|reach)\w*[\w ':]{0,40}\b(?:send|sending|daily|hourly|monthly|outgoing|outbound|messages|e-?mails|"
    r"per (?:hour|day|minute))\b",
    r"exceed\w* (?:\w+ )?(?:hour|day|minute)s?\b|only \d+ (?:messages|mails|e-?mails|recipients) (?:per|an?|each)\b",
    r"max(?:imum)? (?:defers|emails|messages)[\w ]{0,40}(?:per|exceed)|frequency (?:limit|exceed)",
)
RATE_LIMIT = _words(r"rate[- ]?limit|throttl|(?:this|per|an?|one|last|each) (?:hour|minute|day)|\b(?:hourly|daily)\b")
SUBMISSION = _words(r"submission ?quota")
#: A rate of ours at the relay, also where it is told about a recipient.
OURS = _words(
    r"\b(?:send|sending|submission|outgoing|outbound|relay|relaying|credits?|plan|account|smtp|hour|hourly|daily|monthly)\b"
    r"[\w ]{0,40}\b(?:quota|limits?|rate|threshold)\b",
    r"\b(?:quota|limit|rate|threshold)\b[\w ]{0,30}\b(?:send|sending|for your|of your)\b",
    r"\b(?:from|by) you\b|\byou are sending",
    r"\byour (?:\w+ )?(?:account|rate|quota|limit|plan|ip|server|host|domain|sending)",
    r"from (?:\[|ip |host )?\d+\.\d+\.\d+\.\d+|throttling failure|\btenant\b|this client",
    r"\byou(?:'ve| have)? .{0,30}(?:exceed|reached)|\byou(?:'ve| have) sent|submission ?quota|sending activity",
)
PASSING = _words(
    r"look-?up (?:failure|failed|did not|timed? ?out)|did not complete|\btime-?out\b|timed out|\bdeferred\b",
    r"(?:ldap|database|directory|internal|server|system) (?:error|failure)|maintenance|exhausted",
    r"(?:ldap|database|directory|backend|server|system|network) (?:is )?(?:currently )?"
    r"(?:unavailable|not available|down)\b",
    r"(?:could not|couldn't|unable to|cannot|failed to) (?:connect|contact|reach)\b|loops back to",
    r"tempora(?:r|ir|ne)|vorübergehend|voruebergehend|tymczasow|временно|一時的|暂时",
    r"try (?:again|later)|again later|please retry|for now|at (?:this time|the moment|present)|\bbusy\b",
)
SLEEPING = _words(
    r"inactive|activation|not logged in|disabled|suspend|deactivat|locked|frozen|on hold|expired|dormant|closed",
    r"not active|gr[ea]y-?list",
    # The same as French, German, Spanish, Italian, Polish, Russian and Chinese servers say it.
    r"d[eé]sactiv|inactiv|bloqu|gesperrt|deaktiviert|disatt+ivat|inattiv|bloccat|sospes|zablokowan|nieaktywn|"
    r"заблокирован|отключ[её]н|停用|冻结|禁用|暂停",
)
POLICY = _words(
    r"spam|suspicious|polic(?:y|ies)|unsolicited|abuse|reputation|prohibited|block|banned|restrict|security|denied",
    r"not (?:permitted|allowed|authori[sz]ed|accepting|supported)",
)
NO_SUCH_MAILBOX = _words(
    r"(?:no such|non-?exist(?:ent|ant|ing)?) (?:\w+ ){0,2}(?:user|recipient|mail ?(?:box|drop)|account|address|person|"
    r"local|here|alias|customer)|^no such id\b",
    r"\bunknown (?:(?:or illegal|\w+) )?(?:user|recipient|mail ?box|account|address|alias|local)",
    r"(?:user|recipient|mail ?box|addressee|account|alias|address|local part)\W{0,3} ?(?:\w+ ){0,2}unknown",
    _MAILBOX + r"\b.{0,60}(?:does|do|did|doesn.t|don.t|didn.t)(?: not|n't)? exists?",
    _MAILBOX + r"\b.{0,60}(?:not exists?\b|not existing|no longer exists?|not found|not known)",
    r"address\b.{0,60}(?:does ?n.t exist|does not exist|do not exist|no longer exists?|couldn.t be found)",
    r"no (?:mail ?box|user|account|one|recipient)s? (?:here )?(?:by|with|of|for) (?:that|this) name",
    r"there is no (?:such )?(?:user|mailbox|account|recipient)|no account (?:by|with|for)|not our (?:user|customer)",
    r"(?:user|recipient|mailbox) (?:is )?not (?:a )?(?:known|listed|existing|on this server|our customer|local user)",
    r"\bnot a known (?:user|recipient|mailbox)\b",
    r"user (?:doesn.t|does not) have|doesn.t have an? .{0,30}account|\buser <[^<>]{1,80}> unknown",
)
NO_SUCH_DOMAIN = _words(
    r"(?:domain|host)(?: name)?\b.{0,20} (?:not found|does(?: not|n't) exist|unknown|not exist)",
    r"(?:no such|unknown|non-?existent) (?:domain|host)|null ?mx",
)
#: Whose domain that is, where it is not the recipient's: servers delay what they have to say of a sender until RCPT.
SENDERS_DOMAIN = _words(
    r"\byour (?:[\w-]+ ){0,2}(?:domain|host)|\b(?:from|sending|originating|source) (?:domain|host)",
    r"\b(?:domain|host)(?: name)? (?:of|for|in|from) (?:the |your |an? )?"
    r"(?:sender|originator|author|from|return|your|address)",
    r"\W(?:sender|from|originator)\W*$",
)
CLIENTS_NAME = _words(r"\bclient\b|(?:not found|unknown|not exist)(?: for|:) \[?\d+\.\d+\.\d+\.\d+")
UNRESOLVED = _words(r"dns lookup|unresolvable|domain .{0,40}(?:not found|resolv|lookup)")
INVALID_RECIPIENT = _words(
    r"(?:invalid|not a valid|bad) (?:recipient|mail ?box|user|rcpt)\b|(?:recipient|user|mailbox) (?:is )?invalid"
)
OF_RECIPIENT = _words(r"\brecipient|\brcpt\b|destination (?:address|mailbox)|mailbox (?:name|syntax)|address syntax")
SERVICE_AWAY = _words(
    r"mail system full|filters? (?:\w+ )?unavailable|space shortage|spool file|agent busy|failed to be replicated",
    r"service (?:is )?(?:currently |temporarily )*(?:not available|unavailable)|(?:shutting|going) down",
    r"resources (?:\w+ )?unavailable",
    r"out of (?:memory|resources)|insufficient system|internal (?:server )?error|server (?:configuration|error)",
    r"queue file write|content filter|temporary lookup failure|load (?:average )?(?:is )?too high|system load",
)
