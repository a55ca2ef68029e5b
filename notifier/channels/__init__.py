"""How a delivery leaves: `port` says what a channel does for a worker; each has a package that fulfils it.

In each package `deliveries` fulfils the port and `channel` makes and sends one. Adding a channel: see docs/how-to.
"""
