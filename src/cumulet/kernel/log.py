# SPDX-License-Identifier: Apache-2.0
"""Logs on stderr, one line an event, with the request's id and without secrets.

Code logs through the standard `logging` module (`get(__name__)`), with fields in `extra`:

    log.info("server deleted", extra={"server_id": server_id})

As JSON, for machines: {"time": ..., "level": ..., "logger": ..., "request_id": ..., "message": ..., "server_id": ...}.
As text, for people at a terminal: the same in one readable line. A traceback stands under `exception`, or on lines of
its own. Secrets are taken out of all of it (`kernel.redact`), also out of what other packages log.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

import orjson

from cumulet.kernel.errors import Invalid
from cumulet.kernel.redact import redact, redact_text

# The id of the request (`req-...`) that the running code serves; the pipeline sets it, and threads started with a copy
# of the context inherit it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

ROOT = "root"

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(0x80, 0xA0))} | {
    10: "\\n",
    13: "\\r",
    9: "\\t",
}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what JSON does not know is written as text."""
        fields = {
            **_extra(record),
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if exception := _exception(self, record):
            fields["exception"] = exception
        try:
            return orjson.dumps(fields, default=_as_text, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # numbers above 64 bits, undecodable bytes
            return json.dumps(fields, default=_as_text, skipkeys=True)


class TextFormatter(logging.Formatter):
    """`12:00:00.000 warning cumulet.kernel.saga [req-...] message key=value`, controls made visible."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and a traceback below it."""
        fields = _extra(record)
        request = fields.pop("request_id", "")
        parts = [_time(record)[11:23], f"{record.levelname.lower():<7}", record.name]
        parts += [f"[{request}]"] if request else []
        parts += [_message(record), *(f"{name}={value}" for name, value in fields.items())]
        line = " ".join(parts).translate(_CONTROLS)
        exception = _exception(self, record)
        return f"{line}\n{exception}" if exception else line


class _Handler(logging.StreamHandler[TextIO]):
    """A stream handler that does not print a record which it cannot format: it may hold a secret."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Say whose record it was; a stream that is gone is past help."""
        kind = sys.exc_info()[0]
        try:
            self.stream.write(f"cannot log: a record of {record.name}: {kind.__name__ if kind else ''}\n")
        except (OSError, ValueError):
            return


def setup(level: str = "info", stream: TextIO | None = None, fmt: Literal["json", "text", ""] = "") -> None:
    """Send all logs of `level` and above to `stream` (stderr), in place of earlier handlers.

    Without `fmt`: text on a terminal, JSON elsewhere. Raises ValueError for an unknown level.
    """
    stream = stream if stream is not None else sys.stderr
    chosen = fmt or ("text" if stream.isatty() else "json")
    handler = _Handler(stream)
    handler.setFormatter(TextFormatter() if chosen == "text" else JsonFormatter())
    root = logging.getLogger()
    root.setLevel(_level(level))
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(True)
    _spare()


def _spare() -> None:
    """Collect nothing for a record that no line shows (what Python's documentation calls "Optimization")."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


def get(name: str) -> logging.Logger:
    """The logger for a module, by its dotted name."""
    return logging.getLogger(name)


class Levels:
    """What a running process logs, changed without a restart; `usual` is the level of the settings."""

    def __init__(self, usual: str) -> None:
        self._usual = usual
        self._changed: dict[str, str] = {}

    def turn(self, words: dict[str, Any]) -> dict[str, str]:
        """Set `words["logger"]` (`root`: all) to `words["level"]`, or `reset` it; no words change nothing.

        Returns every level that is not inherited. Raises Invalid for an unknown level.
        """
        if "logger" in words:
            self._set(str(words["logger"]), str(words.get("level", "")))
        return {ROOT: self._usual, **self._changed}

    def _set(self, name: str, level: str) -> None:
        logger = logging.getLogger() if name == ROOT else logging.getLogger(name)
        if level == "reset":
            logger.setLevel(_level(self._usual) if name == ROOT else logging.NOTSET)
            self._changed.pop(name, None)
            return
        try:
            logger.setLevel(_level(level))
        except ValueError as error:
            raise Invalid(str(error)) from error
        self._changed[name] = level


def _level(level: str) -> int:
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no such log level: {level}")
    return number


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    return f"{_second(second)}.{int((record.created - second) * 1000):03d}Z"


@lru_cache(2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _message(record: logging.LogRecord) -> str:
    return redact_text(_clean(record.getMessage()))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if current := request_id.get():
        fields = {"request_id": current, **fields}
    return {_clean(name): part for name, part in redact(fields).items()} if fields else fields


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    parts += [record.stack_info] if record.stack_info else []
    return redact_text(_clean("\n".join(parts)))


def _clean(text: str) -> str:
    """Lone surrogates (undecodable bytes in file names) cannot be written as UTF-8."""
    return text.encode(errors="replace").decode() if not text.isascii() else text


def _as_text(value: Any) -> str:
    return redact_text(_clean(str(value)))
