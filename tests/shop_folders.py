"""The folders of `templates/` that this project ships, by name: one that somebody adds is not ours to judge."""

from pathlib import Path

SHOP = Path(__file__).parents[1] / "templates"
FOLDERS = ("account.welcome", "comment.created", "invoice.overdue", "order.placed", "order.shipped", "password.reset")


def samples() -> list[Path]:
    """Every sample event of ours."""
    return [sample for folder in FOLDERS for sample in sorted((SHOP / folder).glob("sample*.json"))]
