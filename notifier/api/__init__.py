"""The HTTP API: CloudEvents in, what became of them out, and everything operators do, on FastAPI.

Reading order: `app` (how it is put together) → `edge` (every request) → `access` (tokens and roles) → `events` with
`cloudevents_http` and `intake` → `deliveries`, `endpoints`, `recipients`, `failures`, `unsubscribing` → `problems`
(every error) → `server` (uvicorn). `models` is the public contract, `examples` what its description shows.
"""
