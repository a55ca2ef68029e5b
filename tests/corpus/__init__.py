"""Replies of real servers, collected once: what other people's software says, as tables that tests read."""
