"""What the service promises when processes are killed, servers restart and receivers misbehave."""
