"""Tests of the renderer, its sandbox and the shop's templates."""
