"""Everything kept in Redis or Valkey, and the only importer of redis.

Reading order: `keys` (every name) → `commands` (an operation is data) → `store` (the sync and asyncio executors) →
`connection` (URL → store, and what is checked at start) → `ledger` (results, claims) with `claims`, `recording`,
`registration`, `lookup` and the codec `records` → `digests`, `endpoints`, `recipients`, `suppressions`, `parked`.
The Lua scripts lie in ``lua/``; each touches keys of one hash slot, so the same code runs on one server, Sentinel or
Cluster.
"""
