"""The reference pages made from code, so that they cannot say anything else: settings, command line, HTTP API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from notifier.cli.exits import EXPLAINED

_GENERATED = "<!-- Made from the code by `notifier config docs`; edit the code. -->\n"


def pages(root: Any) -> dict[str, str]:
    """File name → text of every page; ``root`` is the command ``notifier``."""
    return {"settings.md": settings_page(), "cli.md": cli_page(root), "http-api.md": http_page()}


def settings_page() -> str:
    """Every NOTIFIER_* variable."""
    from notifier.settings import Settings, is_secret, variable

    lines = [
        "# Settings\n",
        _GENERATED,
        "Every role reads the same environment variables; `notifier config` shows the values in force and where each",
        "came from. All mistakes are named at once when a process starts. Secrets may come from a file: set",
        "`NOTIFIER_…_FILE` to its path instead. An empty value is the default.\n",
        "| Variable | Default | Meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        secret = f" Secret: also `{variable(name)}_FILE`." if is_secret(field) else ""
        text = f"{field.description or ''}{_range(field)}{secret}"
        lines.append(f"| `{variable(name)}` | {_default(field.default)} | {_cell(text)} |")
    text = "What a channel file names instead of a secret: `NOTIFIER_CHANNEL_SMS_TOKEN`. Secret: also `…_FILE`."
    lines.append(f"| `NOTIFIER_CHANNEL_…` | – | {text} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if value in ("", None):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


def _range(field: Any) -> str:
    bounds = {
        name: getattr(mark, name) for mark in field.metadata for name in ("ge", "gt", "le") if hasattr(mark, name)
    }
    words = [f"{word} {bounds[name]:,}" for name, word in (("ge", "at least"), ("gt", "more than")) if name in bounds]
    words += [f"at most {bounds['le']:,}"] if "le" in bounds else []
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    words += [" or ".join(f"`{choice}`" for choice in choices)] if choices else []
    return f" ({', '.join(words)})" if words else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()


def cli_page(root: Any) -> str:
    """Every verb with its options."""
    lines = ["# Command line\n", _GENERATED, EXPLAINED, "Verbs that print data take `--json`.\n"]
    lines += _verb(root, "notifier")
    return "\n".join(lines).rstrip() + "\n"


def _verb(command: Any, path: str) -> Iterator[str]:
    children: dict[str, Any] = getattr(command, "commands", {})
    if path != "notifier":
        yield f"## `{path}`\n"
        yield f"{_prose(command.help or '')}\n"
        yield from _parameters(command)
    for name, child in children.items():
        yield from _verb(child, f"{path} {name}")


def _prose(text: str) -> str:
    body, separator, example = text.partition("Example:")
    said = " ".join(body.split())
    return f"{said}\n\n```sh\n{example.strip()}\n```" if separator else said


def _parameters(command: Any) -> Iterator[str]:
    shown = [p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
    if not shown:
        return
    yield "| Option | Default | Meaning |"
    yield "|---|---|---|"
    for parameter in shown:
        is_argument = parameter.param_type_name == "argument"
        names = (
            [parameter.metavar or parameter.name.upper()]
            if is_argument
            else [*parameter.opts, *parameter.secondary_opts]
        )
        default = parameter.default if isinstance(parameter.default, str | int | float) else ""
        told = _default(default) if default not in ("", False) and not is_argument else "–"
        yield f"| {', '.join(f'`{n}`' for n in names)} | {told} | {_cell(getattr(parameter, 'help', '') or '')} |"
    yield ""


def http_page() -> str:
    """Every path of the API, from its OpenAPI description."""
    from notifier.api.app import describe
    from notifier.api.problems import ANY_CALLER, ANY_REQUEST, MEANINGS

    description = describe()
    lines = ["# HTTP API\n", _GENERATED, description["info"]["description"], ""]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            lines += _operation(method.upper(), path, operation)
    lines += [
        "# Problems\n",
        f"Any request may be answered {_listed(ANY_REQUEST)}, one that needs a token also {_listed(ANY_CALLER)};",
        "what a path answers besides stands with it.\n",
        "| Status | Meaning |",
        "|---|---|",
    ]
    lines += [f"| {status} | {_cell(meaning)} |" for status, meaning in MEANINGS.items()]
    lines.append("\n# Bodies\n")
    for name, schema in sorted(description["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _listed(statuses: Iterable[int]) -> str:
    *others, last = map(str, sorted(statuses))
    return f"{', '.join(others)} or {last}"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    from notifier.api.problems import ANY_CALLER, ANY_REQUEST

    yield f"## `{method} {path}`\n"
    yield f"{operation.get('summary', '')}. {operation.get('description', '')}".strip() + "\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| Parameter | In | Meaning |"
        yield "|---|---|---|"
        for entry in parameters:
            text = entry.get("description", "") or entry.get("schema", {}).get("description", "")
            yield f"| `{entry['name']}` | {entry['in']} | {_cell(text)} |"
        yield ""
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        yield (
            "Body: "
            + ", ".join(f"`{kind}`{_reference(body.get('schema', {}))}" for kind, body in content.items())
            + "\n"
        )
    answers = operation.get("responses", {})
    good = [f"{status}{_bodies(answer)}" for status, answer in answers.items() if status < "400"]
    common = {str(status) for status in ANY_REQUEST | ANY_CALLER}
    bad = sorted(status for status in answers if status >= "400" and status not in common)
    yield f"Answers: {', '.join(good)}" + (f". Problems: {', '.join(bad)}." if bad else ".") + "\n"


def _bodies(answer: dict[str, Any]) -> str:
    return "".join(_reference(body.get("schema", {})) for body in answer.get("content", {}).values())


def _reference(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    return f" ([{name}](#{name.lower()}))" if name else ""


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{schema.get('description', '')}\n"
    if "enum" in schema:
        yield "One of: " + ", ".join(f"`{value}`" for value in schema["enum"]) + "\n"
    if "properties" not in schema:
        return
    required = schema.get("required", [])
    yield "| Field | Type | Meaning |"
    yield "|---|---|---|"
    for field, about in schema["properties"].items():
        must = "" if field in required else " (optional)"
        yield f"| `{field}`{must} | {_type(about)} | {_cell(about.get('description', ''))} |"
    yield ""


def _type(about: dict[str, Any]) -> str:
    if "$ref" in about:
        return _reference(about).strip(" ()")
    for word in ("anyOf", "allOf"):
        if word in about:
            return " or ".join(_type(part) for part in about[word])
    if about.get("type") == "array":
        return f"list of {_type(about.get('items', {}))}"
    return str(about.get("type", "any"))
