"""Real, private servers for tests: RabbitMQ, Redis, an SMTP relay and a webhook receiver that misbehave on request.

Each binds loopback only, on ports below the kernel's ephemeral range, keeps its data in a directory of its own and is
stopped by process id, so that any number of test runs can share a machine.
"""
