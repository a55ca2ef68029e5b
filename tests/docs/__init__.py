"""Every code block of the documents runs, or is listed in `left_out` with the reason."""
