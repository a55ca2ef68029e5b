"""What a worker does with a batch: claim → gate → render → send → record → retry or park → ack.

Reading order: `tasks` (Celery's entry) → `dispatch` (the procedure) → `preparing`, `sending`, `deciding`, `recorder`,
`following` (its steps) → `collecting` (digests) → `lifecycle` (start, stop, signals).
"""
