"""What a program that knows nothing but the OpenAPI description finds out about the API."""
