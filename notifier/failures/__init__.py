"""Failure queues: look at what is parked, send it again, or drop it.

`operator` answers people's questions and counts before it acts; `redrive` walks the queues themselves. Looking never
touches a queue: it reads the index in Redis, because get-and-requeue eats a quorum queue's delivery limit (trap T14).
"""
