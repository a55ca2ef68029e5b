"""The words of the service as types: pure values and rules about them, no I/O, clock or environment.

Reading order: `event` → `rule` → `delivery` → `message` → `outcome` → `retry` → `batch`; `ids` names them all.
"""
