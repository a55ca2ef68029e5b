"""Everything that knows Celery: tasks, a worker process from start to stop, Beat.

Reading order: `tasks` (entry points) → `guard` (what may leave them) → `lifecycle` (start, stop) → `receiving` and
`lazy_batch` (messages on arrival) → `prefetch` → `beat` and `scheduler`; `embedded` is intake without RabbitMQ.
"""
