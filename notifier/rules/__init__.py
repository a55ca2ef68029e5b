"""Which events concern whom: rule files → `Rule` values → a `Plan` of deliveries for one event.

Reading order: `loading` (files → rules, every mistake at once) → `catalog` (all of them, found by event type) →
`matching` (a rule with its expressions compiled) → `destinations` (what a rule's `to` names) → `planner` (`plan`) →
`explanation` (the same, told to a person). `live` keeps a catalog fresh while its files change.
"""
