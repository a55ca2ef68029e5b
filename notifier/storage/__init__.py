"""Everything kept in Redis or Valkey, and the only importer of redis.

Reading order: `keys` (every name) → `commands` (an operation is data) → `store` (the sync and asyncio executors) with
`faults` (redis-py's errors → ours) → `connection` (URL → store, and what is checked at start) → `ledger` with
`registration`, `claims`, `recording`, `lookup` and the codec `records` → `digests`, `endpoints`, `directory`,
`recipients`, `suppressions`, `parked`; `cipher` encrypts what must not be read at rest.
The Lua scripts lie in ``lua/``; each touches keys of one hash slot, so the same code runs on one server, Sentinel or
Cluster.
"""
