"""The composition root: one builder per process role, and the only place where concrete classes meet.

A module per role, so that a process loads what it needs: the consumer never imports gevent, the worker never imports
FastAPI. `process` is what every role starts with.
"""
