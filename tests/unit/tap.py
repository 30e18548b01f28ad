# SPDX-License-Identifier: ISC
"""Tests of a program from outside, as TAP: functions named test_* of a module, in their order."""
import os
import sys
import traceback

BUILD = os.environ.get("TC_BUILDDIR") or os.getcwd()
SOURCE = os.environ.get("TC_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def program(name):
    """The path of a program of the build tree."""
    return os.path.join(BUILD, name)


def main(module):
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    only = sys.argv[1:]
    if only:
        tests = [(n, f) for n, f in tests if any(o in n for o in only)]
    print("1..%d" % len(tests))
    failed = 0
    for i, (name, fn) in enumerate(tests, 1):
        try:
            fn()
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (i, name, e))
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("not ok %d - %s" % (i, name))
            for line in traceback.format_exc().splitlines():
                print("#   " + line)
        else:
            print("ok %d - %s" % (i, name))
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
