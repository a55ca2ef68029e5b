"""Turns an event into what people and machines read; the only package that imports Jinja2.

Templates and rule expressions are untrusted code. They see plain JSON, may call only what is listed here, and every
render has a budget of steps and characters that does not depend on the clock.

Reading order: `meter` (the budget) → `values`, `operators`, `filters`, `formats` (all a template can do) → `compiler`
and `sandbox` (Jinja's environment with nothing else in it) → `faults` → `expressions` → `files`, `templates`,
`renderer`. `text`, `styles` and `context` are what the renderer uses beside templates.
"""
