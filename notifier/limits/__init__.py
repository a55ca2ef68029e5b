"""Rate limits as policy: which limit counts for what (`table`). What is counted lies in `storage.limits`.

A limit's value (`Rate`, `Scope`) and how people write it are in `domain.limit`, because rules and endpoints carry them.
"""
