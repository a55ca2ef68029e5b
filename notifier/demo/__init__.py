"""``notifier demo``: the whole service on one machine, in one command, with nothing else installed.

Reading order: `stage` starts and stops everything → `servers` (Valkey) → `inbox` and `catcher` (the outside world) →
`story` (what is published) → `summary` (what should have arrived, and did) → `page` (the same for a browser).

It is the real service with two differences: Celery's broker is Redis instead of RabbitMQ, and the API plans events
itself. Loopback only; everything it wrote is deleted when it ends.
"""
