"""The two distributions: what is in their wheels, and that the client's alone does what the readme shows."""

import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from consumers.topology import apply_topology
from notifier import __version__
from tests.docs.blocks import ROOT, block
from tests.servers.rabbitmq import RabbitMQ
from tests.shop_folders import SHOP


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels, by the name of their distribution; built from a checkout as the pages say."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "--wheel-dir", str(folder), ".", "./notifier/client"], cwd=ROOT, check=True)
    return {wheel.name.partition(f"-{__version__}")[0].replace("_", "-"): wheel for wheel in folder.iterdir()}


def files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_the_clients_wheel_has_the_client_and_nothing_else_and_the_service_has_the_same(
    wheels: dict[str, Path],
) -> None:
    client, service = files(wheels["notifier-events-client"]), files(wheels["notifier-events"])
    about_itself = {"notifier/client/pyproject.toml", "notifier/client/README.md"}

    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "notifier/client").glob("*.py")}
    assert client.keys() == {*sources, "notifier/__init__.py", "notifier/py.typed", *about_itself}
    assert {name: service.get(name) for name in client.keys() - about_itself} == {
        name: text for name, text in client.items() if name not in about_itself
    }
    assert not about_itself & service.keys()


def test_the_client_needs_one_of_the_packages_that_the_service_needs() -> None:
    projects = [tomllib.loads((ROOT / name / "pyproject.toml").read_text()) for name in (".", "notifier/client")]
    service, client = (set(project["project"]["dependencies"]) for project in projects)

    assert client <= service
    assert len(client) == 1


@pytest.fixture
def python(wheels: dict[str, Path], tmp_path: Path) -> Path:
    """An interpreter of its own, with the client and pika and nothing else."""
    venv.create(tmp_path / "fresh", with_pip=False)
    found = tmp_path / "fresh/bin/python"
    install = [sys.executable, "-m", "pip", "--python", str(found), "install", "--no-index", "--no-deps", "--quiet"]
    subprocess.run([*install, str(wheels["notifier-events-client"])], check=True)
    # The pika that the tests run with: what is to be shown does not hang on a registry.
    site = next((tmp_path / "fresh/lib").glob("python*/site-packages"))
    (site / "pika").symlink_to(Path(str(distribution("pika").locate_file("pika"))))
    return found


@pytest.fixture
def place(rabbitmq: RabbitMQ) -> Iterator[str]:
    url = rabbitmq.new_vhost()
    apply_topology(url)
    yield url
    rabbitmq.delete_vhost(url)


def test_in_a_fresh_environment_the_readmes_example_publishes(
    python: Path, place: str, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    # Given the readme's example, with an order of the reader's own
    data = json.loads((SHOP / "order.shipped/sample.json").read_text())["data"]
    text = block("README.md", "from notifier.client import Publisher").text
    text = text.replace("amqp://user:password@rabbitmq/", place)
    own = f"import json, types\norder = types.SimpleNamespace(as_event=lambda: json.loads({json.dumps(data)!r}))\n"

    # When it is run where there is nothing but the client
    program = tmp_path / "example.py"
    program.write_text(own + text)
    done = subprocess.run([python, "-I", str(program)], capture_output=True, text=True, check=False)

    # Then the broker has the event
    assert (done.returncode, done.stderr) == (0, "")
    assert rabbitmq.queue_depths(place)["notifier.intake"] == 1
