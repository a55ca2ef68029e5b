"""Digests: `collector` puts items into windows and closes those that are due; `late_items` end as their digest does."""
