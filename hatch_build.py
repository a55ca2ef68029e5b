"""Build hook: puts the sample templates into the wheel, and leaves the editable install alone.

A plain `force-include` table would also copy them into site-packages on `pip install -e .`, where they would go stale.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TemplatesHook(BuildHookInterface[Any]):
    """Ships `templates/` as `notifier/demo/templates`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before each build; `version` is "standard" for a wheel and "editable" for `pip install -e`."""
        if version == "standard":
            build_data["force_include"]["templates"] = "notifier/demo/templates"
