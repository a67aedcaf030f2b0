"""Score a file of responses, and go on where a killed run left off.

The source is read in windows; a window's responses are put in an order in which a prompt's answers lie beside each
other and lengths are alike, then scored chunk by chunk, each chunk written to ``TARGET.parts`` as one file that
appears whole or not at all. What has a part is never scored again. At the end the parts become ``TARGET``, in the
source's order, with a receipt ``TARGET.json``. Chunks are the same whenever a run was killed, so the result is, too.

A scorer that says ``compares_siblings`` judges a response by the others of one call. It is given the answers to one
prompt that stand next to each other in the file, all of them and no more, whatever the sizes of window and chunk.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, DataError, Stopped
from ..folder import atomic_file, hash_file, read_json, write_json
from ..types import Callbacks, Quiet, RewardScorer, Scores
from .parts import Part, check_suffix, final_file, part_path, read_window
from .source import Answer, chunks_of, windows

FORMAT = 1
WINDOW, CHUNK = 16_384, 512
WINDOW_CHARACTERS = 64 * 2**20
STATE, LOCK = "state.json", "lock"
ERRORS_KEPT = 20
OnError = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True)
class FileScores:
    """What stands in ``path``: ``rows`` scores, of which ``scored`` were made by this call and ``truncated`` are of
    responses that were cut. ``skipped`` rows and responses could not be used; ``errors`` are the first reasons."""

    path: Path
    rows: int
    scored: int
    skipped: int
    truncated: int
    errors: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    truncated: int = 0
    skipped: int = 0
    errors: list[str] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        self.skipped += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(reason)


def score_file(
    scorer: RewardScorer,
    source: Path | str,
    target: Path | str,
    *,
    model: str,
    version: str = "",
    on_error: OnError = "stop",
    callbacks: Callbacks | None = None,
    window: int = WINDOW,
    chunk: int = CHUNK,
) -> FileScores:
    """Score every response of ``source`` (see ``scoring.source`` for its layouts) into ``target``.

    ``target`` ends in ``.parquet``, ``.jsonl`` or ``.jsonl.gz``. ``model`` is the identity that every row names, as
    a rule ``folder.manifest_hash``, ``version`` a label for people. ``on_error`` says what happens at a row that
    cannot be used: ``stop`` raises ``DataError`` with file and row, ``skip`` leaves it out and counts it. Progress is
    of the responses read so far. Calling again after a kill goes on, and after the end changes nothing.

    Memory: one window of ``window`` responses (or 64 Mi characters), whatever the file's size; at most the ``chunk``
    responses at hand are lost by a kill. Both are more where a scorer compares more neighbours. Raises ``DataError``
    where ``target`` or its parts belong to another source, model or setting or another process is at it,
    ``ConfigError`` for a bad setting, ``Stopped`` between chunks.
    """
    origin, place = Path(source), Path(target)
    check_suffix(place)
    if on_error not in ("stop", "skip") or not model or not 0 < chunk <= window:
        raise ConfigError("score_file needs a model, on_error stop or skip, and 0 < chunk <= window")
    if not origin.is_file():
        raise DataError(f"there is no file {origin}")
    named = {"model": model, "version": version, "template_hash": scorer.template_hash}
    identity = named | {
        "format": FORMAT,
        "source": hash_file(origin),
        "on_error": on_error,
        "window": window,
        "chunk": chunk,
    }
    with _workplace(place) as work:
        if place.exists() and _receipt(place).exists():
            done = _finished(place, identity)
            (work / STATE).unlink(missing_ok=True)
            return done
        if (work / STATE).exists():
            _refuse_other(read_json(work / STATE), identity, work)
        elif place.exists():
            raise DataError(f"{place} exists, and was not made by this; delete it, or name another target")
        else:
            _receipt(place).unlink(missing_ok=True)  # of a target that was deleted
            with atomic_file(work / STATE) as temporary:
                write_json(temporary, identity)
        run = _Run(scorer, origin, work, named, on_error, callbacks or Callbacks(), window, chunk)
        return run.finish(place, identity)


@dataclass(slots=True)
class _Run:
    scorer: RewardScorer
    source: Path
    work: Path
    named: dict[str, str]
    on_error: OnError
    told: Callbacks
    window: int
    chunk: int
    scored: int = 0

    def finish(self, target: Path, identity: dict[str, Any]) -> FileScores:
        """Score what has no part yet, then make the file of all parts."""
        tally = _Tally()

        def bad(error: DataError) -> None:
            if self.on_error == "stop":
                raise error
            tally.skip(str(error))

        read, counts = 0, []
        found = windows(self.source, self.window, WINDOW_CHARACTERS, bad, whole=self._whole)
        for number, answers in enumerate(found):
            read += len(answers)
            counts.append(self._score_window(number, answers, read))
        with final_file(target, self.work) as out:
            for number, chunks in enumerate(counts):
                table, errors = read_window(part_path(self.work, number, i) for i in range(chunks))
                tally.rows += table.num_rows
                tally.truncated += sum(table["truncated"].to_pylist())
                for reason in errors:
                    tally.skip(reason)
                out.write(table)
        counted = {"rows": tally.rows, "skipped": tally.skipped, "truncated": tally.truncated}
        with atomic_file(_receipt(target), within=self.work) as temporary:
            said = {"errors": tally.errors, "padded_because": getattr(self.scorer, "padded_because", "")}
            write_json(temporary, identity | counted | said)
        shutil.rmtree(self.work)
        return FileScores(target, scored=self.scored, **counted, errors=tuple(tally.errors))

    def _score_window(self, number: int, answers: list[Answer], read: int) -> int:
        """Write the parts that are missing. Returns how many the window has."""
        chunks = chunks_of(answers, self.chunk, whole=self._whole)
        done = read - len(answers)
        for i, places in enumerate(chunks):
            done += len(places)
            path = part_path(self.work, number, i)
            if path.exists():
                continue
            if self.told.should_stop():
                raise Stopped(f"stopped after {self.scored} responses of {self.source.name}")
            part = self._score_chunk(places, [answers[p] for p in places])
            part.write(path)
            self.scored += len(part.rows)
            self.told.progress(done, read, "score")
        return len(chunks)

    @property
    def _whole(self) -> bool:
        return getattr(self.scorer, "compares_siblings", False)

    def _score_chunk(self, places: list[int], answers: list[Answer]) -> Part:
        """The whole chunk at once; where the scorer refuses it, without those that it refuses alone."""
        part = Part()
        try:
            part.add(places, answers, self._scores(answers), self.named)
            return part
        except DataError as refused:
            good = []
            for i, answer in enumerate(answers):
                try:
                    self._scores([answer])
                    good.append(i)
                except DataError as error:
                    said = f"{self.source.name}, row {answer.row}: {answer.response}: {error}"
                    if self.on_error == "stop":
                        raise DataError(said) from error
                    part.errors.append(said)
            if len(good) == len(answers):
                raise refused
        if good:
            kept = [answers[i] for i in good]
            part.add([places[i] for i in good], kept, self._scores(kept), self.named)
        return part

    def _scores(self, answers: list[Answer]) -> Scores:
        return self.scorer.score([a.item for a in answers], callbacks=Quiet(self.told))


def _receipt(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _finished(target: Path, identity: dict[str, Any]) -> FileScores:
    """What an earlier call made. Raises ``DataError`` where ``target`` is something else."""
    said = read_json(_receipt(target))
    _refuse_other(said, identity, target)
    counted = {name: int(said[name]) for name in ("rows", "skipped", "truncated")}
    return FileScores(target, scored=0, **counted, errors=tuple(said["errors"]))


def _refuse_other(before: dict[str, Any], now: dict[str, Any], where: Path) -> None:
    other = [f"{key} {before.get(key)!r}, not {now[key]!r}" for key in now if before.get(key) != now[key]]
    if other:
        raise DataError(f"{where} was made with {'; '.join(other)}. Delete it, or name another target")


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """The folder of parts, held by this process alone; removed where nothing was begun in it."""
    work = target.with_name(target.name + ".parts")
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"another process is writing {target}") from error
        try:
            yield work
        finally:
            if not (work / STATE).exists():
                shutil.rmtree(work, ignore_errors=True)
