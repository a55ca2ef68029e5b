"""How fast the service is here (``python -m tests.bench``), and where its time goes (``tests.bench.profiling``).

`scenarios` says what is measured, with `flood`, `in_flight` and `fan_out` for what needs more than a rate; `bars` says
what shall be reached; `stage` starts the servers and processes it runs on, `sinks` and `relay` take the deliveries,
`workload` makes the events, `plain` is the same work as tutorials write it, `gauges` reads /proc, `report` prints.
`pressure` is what happens when something goes wrong or somebody is loud, `scale` what grows with somebody's size;
`costs` is what one delivery costs, for ``notifier size``.
"""
