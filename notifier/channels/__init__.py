"""How a delivery leaves: one package per channel, each with a `channel` module that prepares and sends.

Adding a channel: see docs/how-to; `email` and `webhook` are the examples.
"""
