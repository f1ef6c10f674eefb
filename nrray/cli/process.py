"""A command line as a process: its errors in words, its log, its exit code."""

import atexit
import json
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import typer
from pydantic import ValidationError

from nrray.cli.app import app
from nrray.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE
from nrray.errors import ConfigError, NrrayError
from nrray.setting_problems import value_problem

if TYPE_CHECKING:
    from nrray.console.run_record import RunLog


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. Errors of nrray are sentences on stderr, without a traceback; with --json
    also a document on stdout."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    log = _begun_log(given)
    try:
        code = app(args=given, standalone_mode=False)
    except NrrayError as error:
        code = EXIT_USAGE if isinstance(error, ConfigError) else EXIT_ERROR
        _print_error(str(error), code, given)
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        from nrray.storage import remote_reason  # pyarrow takes long to import

        reason = remote_reason(error)
        if reason is not None:
            _print_error(f"storage: {reason}.", EXIT_ERROR, given)
            return EXIT_ERROR
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):  # click's usage errors have both
            logging.getLogger("nrray").exception("this is a fault of nrray")
            raise
        if isinstance(error.__cause__, ValidationError):  # typer checks words with pydantic, and tells its words
            error.message = value_problem(error.__cause__)  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        code = int(error.exit_code)
        _print_document(error.format_message(), code, given)
    finally:
        _end_log(log)
    if code == EXIT_INTERRUPTED:  # typer's code for a KeyboardInterrupt
        sys.stderr.write("\nStopped. Finished work is kept; the same command goes on from there.\n")
    return code if isinstance(code, int) else 0


def _begun_log(arguments: Sequence[str]) -> "RunLog":
    from nrray.console.run_record import LOGGER, RunLog

    log = RunLog()
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.addHandler(log)
    LOGGER.info("%s", shlex.join(["nrray", *arguments]))
    return log


def _end_log(log: "RunLog") -> None:
    logging.getLogger("nrray").removeHandler(log)
    log.close()


def _print_error(text: str, code: int, arguments: Sequence[str]) -> None:
    """An error as a sentence; behind a traceback where details were asked for."""
    from nrray.console.reporter import printable

    if "--verbose" in arguments:
        traceback.print_exc()
    logging.getLogger("nrray").error("%s", printable(text), exc_info=True)
    sys.stderr.write(f"error: {printable(text)}\n")
    _print_document(text, code, arguments)


def _print_document(text: str, code: int, arguments: Sequence[str]) -> None:
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"error": text, "exit_code": code}, indent=2) + "\n")


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """`main` as a whole process, which ends with its exit code.

    The functions registered with atexit run, the interpreter is not taken down: native threads of Ray and of Arrow that are at
    work would then end the process by SIGSEGV or SIGABRT, whatever exit code the verb has.
    """
    code = main(arguments)
    _flush()
    atexit._run_exitfuncs()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader has ended
            stream.flush()
