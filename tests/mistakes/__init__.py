"""Mistakes that people make in templates, rules and schemas, and what is said of each."""
