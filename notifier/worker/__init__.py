"""What a worker does with a batch: claim → gate → render → send → record → retry or park → ack.

Reading order: `tasks` (Celery's entry) → `dispatch` (the procedure) → its steps in `batch` and
`deciding` → `digests` → `lifecycle` (start, stop).
"""
