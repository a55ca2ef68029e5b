"""How fast the service is here (``python -m tests.bench``), and where its time goes (``tests.bench.profiling``).

`scenarios` says what is measured, `stage` starts the servers and processes it runs on, `sinks` takes the deliveries,
`workload` makes the events, `plain` is the same work as tutorials write it, `gauges` reads /proc, `report` prints.
"""
