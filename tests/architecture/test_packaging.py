"""Locks, compose file and scripts agree with each other and with the code they start."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.environment import read_settings

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that `scripts/make-secrets` makes, in a checkout of their own."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts/make-secrets", checkout / "scripts")
    subprocess.run([script], check=True, capture_output=True)
    return checkout / "var/secrets"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_every_requirement_by_hash_and_names_no_registry(lock: Path) -> None:
    text = lock.read_text()
    requirements = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]

    assert requirements
    assert all("==" in entry and "--hash=sha256:" in entry for entry in requirements)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock.stem != "dev"], ids=lambda lock: lock.stem)
def test_every_role_runs_the_versions_that_the_tests_run(lock: Path) -> None:
    def versions(path: Path) -> set[str]:
        return set(re.findall(r"^[a-z0-9][^ ]*==[^ ;]+", path.read_text(), flags=re.MULTILINE))

    assert versions(lock) <= versions(ROOT / "requirements/dev.txt")


def test_compose_sets_only_settings_that_exist(compose: dict[str, Any], secrets: Path) -> None:
    # Given each service's environment, with the secrets where the container finds them
    environments = [service.get("environment", {}) for service in compose["services"].values()]

    def filled_in(value: str) -> str:
        """As compose does where nothing is set; secrets where the script puts them."""
        return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("/run/secrets", str(secrets))

    # When the settings are read, then every name and value is accepted
    for environment in environments:
        ours = {name: value for name, value in environment.items() if name.startswith("NOTIFIER_")}
        read_settings({name: filled_in(value) for name, value in ours.items()})


def test_every_secret_that_compose_mounts_is_made_by_the_script(compose: dict[str, Any], secrets: Path) -> None:
    named = {Path(secret["file"]).name for secret in compose["secrets"].values()}

    assert named == {file.name for file in secrets.iterdir()}


def test_making_secrets_again_keeps_them(secrets: Path) -> None:
    before = {file.name: file.read_text() for file in secrets.iterdir()}

    subprocess.run([secrets.parents[1] / "scripts/make-secrets"], check=True, capture_output=True)

    assert {file.name: file.read_text() for file in secrets.iterdir()} == before


def test_compose_publishes_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_our_containers_cannot_write_their_image_or_gain_rights(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if service["image"].startswith("notifier:")]

    assert len(ours) >= 6
    for service in ours:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_a_container_is_given_longer_to_stop_than_the_service_takes(compose: dict[str, Any]) -> None:
    grace = read_settings({}).grace

    for service in compose["services"].values():
        if service["image"].startswith("notifier:"):
            assert float(service["stop_grace_period"].removesuffix("s")) > grace


def test_every_command_in_compose_is_a_verb_of_the_command_line(compose: dict[str, Any]) -> None:
    services = compose["services"].values()
    verbs = {service["command"][0] for service in services if service["image"].startswith("notifier:")}
    verbs = {verb for verb in verbs if " " not in verb}

    listed = subprocess.run(
        [Path(sys.executable).with_name("notifier"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200"},
    ).stdout

    assert verbs >= {"consume", "worker", "beat", "api", "topology"}
    assert {verb for verb in verbs if not re.search(rf"\b{verb}\b", listed)} == set()
