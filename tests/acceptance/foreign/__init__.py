"""Clients that were not written by us: JavaScript's CloudEvents SDK, amqplib, standardwebhooks, Debian's amqp-publish.

`runner` calls them; what it needs is in `npm/`, pinned by its lock.
"""
