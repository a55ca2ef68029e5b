"""The steps of one batch.

Reading order: `claims` (whose is it) → `preparer` (gate and render) → `sender` (in the engine) → `recorder` (what
happened) → `follow_ups` (retries and parks) → `report` (metrics and logs); `unfinished` is for what a worker that
died has left undone, `time_slices` lets the hub look at its sockets meanwhile.
"""
