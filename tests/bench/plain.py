"""The same work as a plain Celery task, as tutorials write it: the figure that ours are divided by.

One delivery per task, Jinja2, `EmailMessage`, a new SMTP or HTTP connection for every send, results in Redis, acks late
because the promise is the same. Started with ``-P gevent --without-gossip --without-mingle --without-heartbeat``: with
Celery 5.7's default flags such a worker delivers about 10 a second (DESIGN §9.5).
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import smtplib
import time
import uuid
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

import pika
from celery import Celery
from jinja2 import Environment, FileSystemLoader, select_autoescape

QUEUE = "plain"
FLAGS = ("-P", "gevent", "-c", "100", "--without-gossip", "--without-mingle", "--without-heartbeat")
_TEMPLATES = Path(__file__).parent / "templates"
_SECRET = b"a webhook secret of 32 bytes ...."

app = Celery("plain")


@app.add_defaults
def configuration() -> dict[str, Any]:
    """Read when Celery asks for it, so that the bench can import this module for its messages alone."""
    return {
        "broker_url": os.environ["PLAIN_BROKER_URL"],
        "result_backend": os.environ["PLAIN_REDIS_URL"],
        "task_default_queue": QUEUE,
        "task_default_queue_type": "quorum",
        "task_acks_late": True,
        "worker_hijack_root_logger": False,
    }


@cache
def _templates() -> Environment:
    """Autoescape as Flask does it; templates are compiled once."""
    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(["html.j2"]))


@app.task(name="plain.email")
def email(event: dict[str, Any]) -> str:
    """Render, compose, connect, send."""
    context = {"event": event, "data": event["data"]}
    subject, text, html = (
        _templates().get_template(f"bench.mail/email.{part}.j2").render(context) for part in ("subject", "text", "html")
    )
    message = EmailMessage()
    message["From"] = "Shop <shop@shop.example.com>"
    message["To"] = event["data"]["customer"]["email"]
    message["Subject"] = subject.strip()
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", int(os.environ["PLAIN_SMTP_PORT"]), local_hostname="localhost") as relay:
        relay.send_message(message)
    return "sent"


@app.task(name="plain.webhook")
def webhook(event: dict[str, Any]) -> int:
    """Render, sign (Standard Webhooks), connect, post, want a 2xx."""
    template = _templates().get_template("bench.hook/webhook.json.j2")
    body = template.render(event=event, data=event["data"]).encode()
    sent_at = str(int(time.time()))
    signed = b".".join([event["id"].encode(), sent_at.encode(), body])
    signature = base64.b64encode(hmac.new(_SECRET, signed, hashlib.sha256).digest()).decode()
    headers = {
        "content-type": "application/json",
        "webhook-id": event["id"],
        "webhook-timestamp": sent_at,
        "webhook-signature": f"v1,{signature}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PLAIN_HTTP_PORT"]), timeout=15)
    try:
        connection.request("POST", "/hook", body, headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise RuntimeError(f"the receiver answered {status}")
    return status


def messages(task: str, events: Iterable[bytes]) -> Iterator[tuple[bytes, pika.BasicProperties]]:
    """Task messages as `apply_async` would write them, without its 0.5 ms each: publishing is not what is compared."""
    for event in events:
        task_id = str(uuid.uuid4())
        message = app.amqp.as_task_v2(task_id, task, args=(json.loads(event),), kwargs={})
        properties = pika.BasicProperties(
            content_type="application/json",
            content_encoding="utf-8",
            headers=message.headers,
            delivery_mode=2,
            correlation_id=task_id,
            reply_to="",
        )
        yield json.dumps(message.body).encode(), properties
