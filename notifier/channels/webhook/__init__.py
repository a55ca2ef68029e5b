"""Signed webhooks (Standard Webhooks 1.0) to URLs that tenants chose and that are therefore not trusted.

Reading order: `channel` prepares and sends; `signing` signs; `guard` says which URLs and addresses may be reached;
`headers` which headers an endpoint may add; `transport` makes the exchange (the only user of aiohttp, with `resolver`
and `failures`); `answers` are its results and `outcomes` says what they mean.
"""
