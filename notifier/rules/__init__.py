"""Which events concern whom: rule files → `Rule` values → a `Plan` of deliveries for one event.

Reading order: `loading` (a folder, every mistake at once), with `documents` and `sections` (YAML that remembers its
lines), `entries` (one rule), `schemas` and `samples` → `catalog` (all of it, found by event type) → `matching` (a rule
with its expressions compiled) → `destinations` (what a rule's `to` names) → `planner` (`plan`) → `explanation`
(the same, told to a person). `content` joins rules and templates; `live` keeps them fresh while their files change.
"""
