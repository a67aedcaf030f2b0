"""Sending what is due: calls in threads that touch no database, outcomes written by the one that claimed."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from webapp.addresses import NoAddressError, OutboundError, OutboundRefusedError
from webapp.jobs.messages import Message, message
from webapp.outbound import OutboundClient, OutboundFailedError, OutboundReply, OutboundTooLargeError
from webapp.webhooks.claims import Claim, Outcome, claims_take, outcome_record
from webapp.webhooks.signing import signature

logger = logging.getLogger(__name__)
AT_ONCE = 20
# A run ends after this long and what it has under way; the next one comes with beat.
RUN_S = 20.0
CALL_S = 20.0
# While calls hang, what has become due meanwhile is looked for this often.
LOOK_EVERY_S = 1.0
MAX_ANSWER_BYTES = 64 * 1024
KEPT_CHARACTERS = 2_000


def deliveries_send(
    client: OutboundClient | None = None, *, run_s: float = RUN_S, call_s: float = CALL_S
) -> int:
    """Send everything that is due, as far as `run_s` seconds reach. Returns the number of attempts.

    Safe to run in any number of workers at once. One query when nothing is due.
    """
    started, attempts = time.monotonic(), 0
    first = claims_take(AT_ONCE)
    if not first:
        return 0
    own = client or OutboundClient(allow=settings.OUTBOUND_ALLOW, max_connections=AT_ONCE)
    try:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhooks") as pool:
            calls = _started(pool, own, first, call_s)
            while calls:
                finished, _others = wait(calls, timeout=LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                for call in finished:
                    attempts += 1
                    outcome_record(calls.pop(call), call.result())
                if time.monotonic() - started < run_s:
                    calls |= _started(pool, own, claims_take(AT_ONCE - len(calls)), call_s)
    finally:
        if client is None:
            own.close()
    return attempts


def _started(
    pool: ThreadPoolExecutor, client: OutboundClient, claims: list[Claim], call_s: float
) -> dict[Future[Outcome], Claim]:
    return {pool.submit(attempt, client, claim, call_s): claim for claim in claims}


def attempt(client: OutboundClient, claim: Claim, call_s: float = CALL_S) -> Outcome:
    """One call. Whatever goes wrong with it is an outcome; nothing is raised."""
    started = time.monotonic()

    def outcome(status: int | None, error: Message | str, reply: OutboundReply | None = None) -> Outcome:
        elapsed_ms = round(1000 * (time.monotonic() - started))
        answer = reply.body[: 4 * KEPT_CHARACTERS].decode("utf-8", "replace") if reply else ""
        seconds = retry_after_s(reply.headers.get("retry-after", "")) if reply else 0.0
        return Outcome(status, error, elapsed_ms, answer.replace("\x00", "")[:KEPT_CHARACTERS], seconds)

    if not claim.keys:
        return outcome(None, message(gettext_noop("The stored secret cannot be opened. Make a new one.")))
    moment = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": claim.message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": signature(claim.keys, claim.message_id, moment, claim.body),
    }
    try:
        reply = client.request(
            "POST",
            claim.url,
            deadline_s=call_s,
            max_bytes=MAX_ANSWER_BYTES,
            headers=headers,
            content=claim.body,
        )
    except OutboundError as error:
        return outcome(None, _said(error))
    except Exception:  # a run holds others' deliveries, too; the row is due again after its lease otherwise
        logger.exception("a webhook's call broke")
        return outcome(None, message(gettext_noop("The call failed for a reason of this server's own.")))
    if 200 <= reply.status < 300:
        return outcome(reply.status, "", reply)
    words = gettext_noop("The receiver answered %(status)d.")
    return outcome(reply.status, message(words, status=reply.status), reply)


def _said(error: OutboundError) -> Message:
    """The error in words that are put into the reader's language, not the worker's."""
    if isinstance(error, OutboundRefusedError):
        words = gettext_noop(
            "The address may not be called: it leads to a private or reserved place, or is no web address."
        )
    elif isinstance(error, NoAddressError):
        words = gettext_noop("The host has no address.")
    elif isinstance(error, OutboundTooLargeError):
        words = gettext_noop("The answer was too large.")
    elif isinstance(error, OutboundFailedError) and error.timed_out:
        words = gettext_noop("No answer came in time.")
    else:
        words = gettext_noop("The connection failed.")
    return message(words)


def retry_after_s(value: str) -> float:
    """Seconds that a `Retry-After` asks for, given as seconds or as a date; 0 for anything else."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
        return max(0.0, (at - timezone.now()).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0
