"""Typed readers of the environment refuse bad values."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from webapp import env


@pytest.mark.parametrize(("raw", "expected"), [("1", True), ("off", False), ("TRUE", True), ("", True)])
def test_booleans(monkeypatch, raw, expected):
    monkeypatch.setenv("CHOSEN_X", raw)
    assert env.read_bool("CHOSEN_X", default=True) is expected


@pytest.mark.parametrize("raw", ["maybe", "2", "yes please"])
def test_a_bad_boolean_stops_the_start(monkeypatch, raw):
    monkeypatch.setenv("CHOSEN_X", raw)
    with pytest.raises(ImproperlyConfigured, match="CHOSEN_X"):
        env.read_bool("CHOSEN_X", default=False)


@pytest.mark.parametrize(("raw", "words"), [("many", "whole number"), ("0", "below")])
def test_a_bad_number_stops_the_start(monkeypatch, raw, words):
    monkeypatch.setenv("CHOSEN_X", raw)
    with pytest.raises(ImproperlyConfigured, match=words):
        env.read_int("CHOSEN_X", default=3, minimum=1)


def test_lists_drop_blanks(monkeypatch):
    monkeypatch.setenv("CHOSEN_X", " a.example , ,b.example ")
    assert env.read_list("CHOSEN_X") == ["a.example", "b.example"]


def test_only_sqlite_and_postgresql_are_known(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("CHOSEN_X", "mysql://u:p@host/db")
    with pytest.raises(ImproperlyConfigured, match="postgresql"):
        env.read_database("CHOSEN_X", default_sqlite=tmp_path / "x.sqlite3")


def test_sqlite_writers_queue(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("CHOSEN_X", raising=False)
    options = env.read_database("CHOSEN_X", default_sqlite=tmp_path / "x.sqlite3")["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20


def test_what_the_url_says_of_the_connection_is_kept(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("CHOSEN_X", "postgresql://u:p@host/db?sslmode=verify-full")
    options = env.read_database("CHOSEN_X", default_sqlite=tmp_path / "x.sqlite3")["OPTIONS"]
    assert options["sslmode"] == "verify-full"
    assert options["pool"]["max_size"] == 16


def test_the_embedded_secret_key_is_made_once(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = env.read_secret_key("SECRET_KEY", embedded=True, data_dir=tmp_path)
    assert len(first) >= 50
    assert env.read_secret_key("SECRET_KEY", embedded=True, data_dir=tmp_path) == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


def test_production_refuses_to_start_without_a_secret_key(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(ImproperlyConfigured, match="required in production"):
        env.read_secret_key("SECRET_KEY", embedded=False, data_dir=tmp_path)
    assert not (tmp_path / "secret_key").exists()


def test_a_choice_is_one_of_its_words(monkeypatch):
    choices = ("transformers", "vllm")
    monkeypatch.delenv("CHOSEN_X", raising=False)
    assert env.read_choice("CHOSEN_X", default="transformers", choices=choices) == "transformers"
    monkeypatch.setenv("CHOSEN_X", "vllm")
    assert env.read_choice("CHOSEN_X", default="transformers", choices=choices) == "vllm"
    monkeypatch.setenv("CHOSEN_X", "vLLM")
    with pytest.raises(ImproperlyConfigured, match="none of transformers, vllm"):
        env.read_choice("CHOSEN_X", default="transformers", choices=choices)
