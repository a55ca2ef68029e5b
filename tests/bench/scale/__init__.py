"""What grows with somebody's size (``python -m tests.bench.scale``): each curve at three sizes, and its exponent.

One module a subject, each with its `curve.Curve`s, listed in `curves`; a curve's figure is measured in a process of its
own (`measure`), so that one build's code can be measured in turn with another's (``--before FOLDER``).
"""
