"""`explain`: what would happen to an event and why, for a person. Nothing is sent, written or claimed."""
