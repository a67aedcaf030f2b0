"""Browsers with a profile on the disk, and how they are killed."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psutil

from labeling.models import Labeler
from tests.conftest import CHROMIUM_ARGS
from tests.journeys.label_desk import session_cookie
from tests.servers import wait_until


def lasting_browser(chromium, profile: str, labeler: Labeler, url: str):
    """A page of a browser that keeps what it has in this folder, logged in as this person."""
    context = chromium.browser_type.launch_persistent_context(
        profile,
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
        args=CHROMIUM_ARGS,
        headless=True,
    )
    context.set_default_timeout(60_000)
    context.add_cookies([session_cookie(labeler, url)])
    return context.pages[0]


def wait_kept(page) -> float:
    """Until the page says that all it was told is on this browser's disk; the milliseconds that this took."""
    began = time.perf_counter()
    page.wait_for_selector("html[data-kept=yes]")
    return 1000 * (time.perf_counter() - began)


def processes_of(profile: str) -> list[psutil.Process]:
    """The browser that uses this profile, and what it has started."""
    flag = f"--user-data-dir={profile}"
    found = [
        process for process in psutil.process_iter(["cmdline"]) if flag in (process.info["cmdline"] or [])
    ]
    browsers = [
        process
        for process in found
        if not any(part.startswith("--type=") for part in process.info["cmdline"])
    ]
    return [*browsers, *(child for browser in browsers for child in browser.children(recursive=True))]


def kill_browser(profile: str) -> None:
    """SIGKILL to all of it at once, the browser first: nobody writes anything to the disk any more."""
    doomed = processes_of(profile)
    assert doomed
    for process in doomed:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_until(lambda: not any(is_alive(process) for process in doomed))


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return False
