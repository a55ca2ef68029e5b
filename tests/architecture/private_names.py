"""What we use of libraries that their documents do not promise: names with an underscore, modules of theirs, patches.

Found by reading our files and by looking at our classes; `test_private_names` holds its list against it.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("notifier", "consumers")

#: Modules of these libraries that their documents speak of; whatever else is imported is theirs alone.
DOCUMENTED = {
    "aiosmtplib": {"aiosmtplib"},
    "amqp": {"amqp", "amqp.exceptions"},
    "celery": {"celery", "celery.app.amqp", "celery.beat", "celery.bootsteps", "celery.exceptions", "celery.signals"},
    "hiredis": {"hiredis"},
    "httptools": {"httptools"},
    "jinja2": {
        "jinja2",
        "jinja2.environment",
        "jinja2.nodes",
        "jinja2.parser",
        "jinja2.runtime",
        "jinja2.sandbox",
        "jinja2.utils",
    },
    "kombu": {"kombu", "kombu.connection", "kombu.exceptions", "kombu.serialization", "kombu.transport.pyamqp"},
    "markupsafe": {"markupsafe"},
    "pika": {
        "pika",
        "pika.adapters.asyncio_connection",
        "pika.adapters.blocking_connection",
        "pika.adapters.select_connection",
        "pika.channel",
        "pika.exceptions",
        "pika.spec",
    },
    "prometheus_client": {"prometheus_client", "prometheus_client.exposition"},
    "redis": {
        "redis",
        "redis.asyncio",
        "redis.asyncio.connection",
        "redis.asyncio.retry",
        "redis.asyncio.sentinel",
        "redis.backoff",
        "redis.driver_info",
        "redis.exceptions",
        "redis.retry",
        "redis.sentinel",
    },
    "uvicorn": {"uvicorn"},
}
#: Where assignments to anything but `self` put something of ours into an object of a library's.
_INSIDE_OTHERS = ("notifier/worker/celery_side/", "notifier/broker/", "notifier/metrics.py")

Found = tuple[str, str]
"""The file, and the name as this module writes it."""


def found() -> set[Found]:
    """Every use in our two packages."""
    files = [file for package in OURS for file in sorted((ROOT / package).rglob("*.py"))]
    return {(str(file.relative_to(ROOT)), name) for file in files for name in (*_read(file), *_overridden(file))}


def uses(source: str, *, inside_others: bool = False) -> set[str]:
    """What a file's text uses: ``_name``, ``module: name`` imported, ``patch object.name``."""
    tree = ast.parse(source)
    own, foreign = _defined(tree), _foreign_names(tree)
    return {name for node in ast.walk(tree) for name in _of(node, own, foreign, inside_others)}


def _read(file: Path) -> set[str]:
    inside = str(file.relative_to(ROOT)).startswith(_INSIDE_OTHERS)
    return uses(file.read_text(), inside_others=inside)


def _of(node: ast.AST, own: set[str], foreign: set[str], inside: bool) -> Iterator[str]:
    match node:
        case ast.Attribute(attr=name) if _is_private(name) and name not in own:
            yield name
        case ast.ImportFrom(module=str(module), names=names):
            yield from (f"{module}: {each.name}" for each in names if _is_theirs_alone(module, each.name))
        case ast.Import(names=names):
            yield from (each.name for each in names if _is_theirs_alone(each.name))
        case ast.Call(func=ast.Name("getattr"), args=[_, ast.Constant(str(name)), *_]) if _is_private(name):
            yield name
        case ast.Call(func=ast.Name("setattr"), args=[ast.Name(whose), ast.Constant(str(name)), *_]):
            yield f"patch {whose}.{name}"
        case ast.Attribute(value=ast.Name("self")):
            pass
        case ast.Attribute(value=whose, attr=name, ctx=ast.Store()) if inside or ast.unparse(whose) in foreign:
            yield f"patch {ast.unparse(whose)}.{name}"


def _overridden(file: Path) -> Iterator[str]:
    """Private names of a library's class that a class of ours gives another meaning."""
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for cls in vars(importlib.import_module(name)).values():
        if isinstance(cls, type) and cls.__module__ == name:
            bases = [base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] in DOCUMENTED]
            private = {each for each in vars(cls) if _is_private(each)}
            yield from (f"override {cls.__name__}.{each}" for base in bases for each in private & set(vars(base)))


def _defined(tree: ast.AST) -> set[str]:
    """Names that a file itself gives: those are ours."""
    own: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(ast.Name("self"), attr=name, ctx=ast.Store()):
                own.add(name)
    return own


def _foreign_names(tree: ast.AST) -> set[str]:
    """Names that a file imports from one of the libraries."""
    return {
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in DOCUMENTED
        for each in node.names
    }


def _is_theirs_alone(module: str, name: str = "") -> bool:
    if any(map(_is_private, (*module.split("."), name))):
        return True
    documented = DOCUMENTED.get(module.partition(".")[0])
    return documented is not None and not {module, f"{module}.{name}"} & documented


def _is_private(name: str) -> bool:
    return name.startswith("_") and name.strip("_") != "" and not name.startswith(("__", "_abc_"))
