"""Celery's side of RabbitMQ: what is published over its connections, and how these come through a node's failure.

Reading order: `publisher` (tasks, parks and events, with confirms) → `nodes` (which node a connection begins with) →
`connection_watch` (a silent one is closed) → `alarm` (publishers that are blocked);
`faults` translates the errors of all of them.
"""
