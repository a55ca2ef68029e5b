"""What happens to everybody else when something goes wrong or somebody is loud (``python -m tests.bench.pressure``).

One module a scenario, each with ``run``; `findings` is what they report, `tally` counts what a relay was sent, by
second and by recipient, `receivers` are two hundred webhook endpoints of which some are ill.
"""
