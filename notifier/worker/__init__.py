"""What a worker does with a batch: claim → gate → render → send → record → retry or park → ack.

Reading order: `dispatch` (the procedure on one page) → its steps in `batch` → `decision` (what follows a try) →
`policy` and `endpoints` (how receivers are treated) → `rates` → `digests` → `celery_side` (how Celery starts, feeds and
stops all this). `admission` and `in_flight` bound what is under way, `outage` waits for servers that are away.
"""
