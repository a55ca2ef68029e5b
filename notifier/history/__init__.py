"""What ended, kept in PostgreSQL: `mover` takes it there, `lookup` finds it again, `erasing` forgets people there.

Nothing here is imported where NOTIFIER_HISTORY_URL is empty; psycopg comes with the extra ``history``.
"""
