"""Signed webhooks (Standard Webhooks 1.0) to URLs that tenants chose and that are therefore not trusted.

Reading order: `channel` prepares and sends; `signing` signs; `guard` says which URLs and addresses may be reached;
`headers` which headers an endpoint may add and `request` writes them; `transport` makes the exchange: `connections` are
kept or opened by `connecting` (with `resolver`), and `wire` is what is said on one (the only user of httptools);
`answers` are its results, `failures` among them, and `outcomes` says what they mean.
"""
