"""What is known of templates and rules before anything is rendered: which values each expression may meet.

Types come from ``schema.json``, or from the samples where there is none; expressions are inferred as the sandbox would
evaluate them, so that what is told here is what an event would fail with. Used by ``notifier templates check`` alone:
nothing that delivers imports it.
"""
