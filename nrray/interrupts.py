"""Interrupts of the main thread, as by Ctrl-C, that other threads of this process send."""

import signal
import threading


def be_interruptible() -> None:
    """Let SIGINT raise KeyboardInterrupt where it is ignored: a shell starts commands in the background of a script so. Does
    nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupt_main_thread() -> bool:
    """Send it SIGINT, which also ends a system call that it waits in. False where nobody handles SIGINT, which would end the
    process or be ignored: then it is not sent."""
    main = threading.main_thread().ident
    if main is None or not callable(signal.getsignal(signal.SIGINT)):
        return False
    signal.pthread_kill(main, signal.SIGINT)
    return True
