"""Turns an event into what people and machines read; the only package that imports Jinja2.

Templates and rule expressions are untrusted code. They see plain JSON, may call only what is listed here, and every
render has a budget of steps and characters that does not depend on the clock.

Reading order: `meter` (the budget) → `values`, `operators`, `registry`, `scalars`, `lists`, `formats` (all a template
can do) → `compiler`, `sandbox` (Jinja's environment with nothing else in it) → `faults` → `context`, `expressions` →
`files`, `library`, `renderer`. The renderer also uses `text` and `styles`, which read HTML through `markup`.
"""
