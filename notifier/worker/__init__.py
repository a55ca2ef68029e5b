"""What a worker does with a batch: claim → gate → render → send → record → retry or park → ack.

Reading order: `celery_side.tasks` (Celery's entry) → `dispatch` (the procedure) → its steps in `batch` and
`decision` → `digests` → `celery_side.lifecycle` (start, stop).
"""
