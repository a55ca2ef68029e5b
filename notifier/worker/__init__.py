"""What a worker does with a batch: claim → gate → render → send → record → retry or park → ack.

Reading order: `tasks` (Celery's entry) → `dispatch` (the procedure) → its steps `claiming`, `preparing`, `sending`,
`deciding`, `recorder`, `consequences`, `observing` → `collecting` (digests) → `lifecycle` (start, stop).
"""
