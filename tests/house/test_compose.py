"""The compose file is valid, and its services run what the entry point knows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"


def compose_command() -> list[str] | None:
    if shutil.which("docker"):
        probe = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "gpu.yaml"]], ids="+".join)
def test_docker_compose_config_accepts_it(files: list[str]):
    command = compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is on this machine")
    arguments = [word for name in files for word in ("-f", str(ROOT / "docker" / name))]
    env = {**os.environ, "POSTGRES_PASSWORD": "p", "SECRET_KEY": "s" * 50}
    result = subprocess.run(
        [*command, *arguments, "config", "-q"], env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_every_queue_of_the_job_table_has_a_worker(settings):
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    served = {s["command"][1] for s in services.values() if s.get("command", [""])[0] == "worker"}
    needed = {kind["queue"] for kind in settings.JOB_KINDS.values()}
    assert needed <= served


def test_every_variable_of_the_example_reaches_the_containers():
    example = (COMPOSE.parent / "example.env").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Z_]+)=", example, re.M)
    text = COMPOSE.read_text(encoding="utf-8")
    assert names
    assert [name for name in names if f"${{{name}" not in text] == []


@pytest.mark.django_db
def test_a_probe_by_address_gets_an_answer_in_production(client, settings):
    settings.ALLOWED_HOSTS = ["chosen.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    probe = client.get("/health", headers={"host": "127.0.0.1:8000"})
    assert (probe.status_code, probe.json()) == (200, {"status": "ok"})
    assert client.get("/help/", headers={"host": "127.0.0.1:8000"}).status_code == 400


def test_only_a_proxy_on_the_same_machine_reaches_the_app():
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"web": ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]}


def test_secrets_have_no_default_in_production():
    text = COMPOSE.read_text(encoding="utf-8")
    assert "${SECRET_KEY:?" in text
    assert "${POSTGRES_PASSWORD:?" in text
