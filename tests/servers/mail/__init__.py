"""Mail servers that were not written here: Debian's and npm's, private to a test, with the options a sender meets.

Each greets on a loopback port of its own and passes what it accepts on to a sink (`tests.servers.smtp`), so that a test
sees which mails came, how often and with which bytes.
"""
