"""Pages in a real browser: what people see, hear from a screen reader and reach by keyboard."""
