"""Everything that knows Celery: tasks, a worker process from start to stop, Beat.

Reading order: `tasks` (entry points) → `guard` (what may leave them) → `lifecycle` (start, stop) → `bootsteps` (what is
done before queues are read) → `receiving` and `lazy_batch` (messages on arrival) → `prefetch` → `scheduler` (Beat's);
`embedded` is intake without RabbitMQ.
"""
