"""The whole service as real processes on real servers, driven and judged from outside."""
