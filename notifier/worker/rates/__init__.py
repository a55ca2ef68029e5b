"""How fast a worker may go: limits that were set, those that relays teach us, and what a recipient's rule allows.

Reading order: `rate_limits` (a batch's places) → `limit_watch` (the limits in force) → `adaptive` (learned ones) →
`throttles` (recipients') → `relay_health`,
`provider_health` (who is paused; each a `note` that is told when it changes).
"""
