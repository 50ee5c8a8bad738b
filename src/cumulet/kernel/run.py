# SPDX-License-Identifier: Apache-2.0
"""The only door to other programs: argument lists, never a shell, always with a time limit."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cumulet.kernel import faults

Arg = str | Path
Process = subprocess.Popen[bytes]

# Tests put a function here to see each command line.
recorder: Callable[[list[str]], None] | None = None


class CommandFailed(Exception):
    """A program ended with an error, did not end in time, or is not installed.

    `code` is its exit status (None where it never ended or never began), `output` its last words on stderr.
    """

    def __init__(self, argv: Sequence[str], code: int | None, output: str) -> None:
        super().__init__(f"{shlex.join(argv)}: {'exit ' + str(code) if code is not None else 'no exit'}: {output}")
        self.argv = list(argv)
        self.code = code
        self.output = output


def run(
    argv: Sequence[Arg],
    *,
    timeout: float = 30.0,
    stdin: bytes = b"",
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, within `timeout` seconds; its stdout and stderr are in the result.

    `env` is added to the environment. Raises CommandFailed on a non-zero exit (unless `check` is false), a missing
    program or the time limit.
    """
    words = _record(argv)
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, timeout=timeout, cwd=cwd, env=_environment(env), pass_fds=pass_fds
        )
    except FileNotFoundError as error:
        raise CommandFailed(words, None, str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(words, None, f"not done after {timeout:g} s") from error
    if check and done.returncode != 0:
        raise CommandFailed(words, done.returncode, done.stderr.decode(errors="replace")[-2000:].strip())
    faults.inside()
    return done


def spawn(
    argv: Sequence[Arg],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that outlives the caller: a session of its own, output appended to `log`, no stdin."""
    words = _record(argv)
    with log.open("ab") as sink:
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=cwd,
                env=_environment(env),
                pass_fds=pass_fds,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise CommandFailed(words, None, str(error)) from error


def _record(argv: Sequence[Arg]) -> list[str]:
    words = [str(arg) for arg in argv]
    if recorder is not None:
        recorder(words)
    return words


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if extra is None else {**os.environ, **extra}
