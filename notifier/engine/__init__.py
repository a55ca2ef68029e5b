"""The only asyncio in a worker: one loop in one native thread, and the SMTP connections it keeps.

`bridge` carries coroutines from greenlets (or threads) into the loop and results back; `relays` is what the email
channel sends through: it picks a relay, `smtp_pool` keeps its connections, `smtp_connect` opens them with aiosmtplib
and `smtp` speaks one pipelined transaction, whose end is a value of `transaction`.
"""
