#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Run the end-to-end tests: one line for each, and a count at the end.

  run.py [--filter WORD]... [--builddir DIR | --prefix DIR] [--facts] [--tap] [--again N] [--list] [FILE...]
"""
import argparse
import glob
import importlib.util
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def load(path):
    name = os.path.basename(path)[:-3]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [("%s.%s" % (name[len("test_"):], key[len("test_"):]), value)
            for key, value in vars(module).items()
            if key.startswith("test_") and callable(value) and value.__module__ == name]


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--filter", action="append", default=[], help="only tests whose name holds this word")
    args.add_argument("--builddir", help="where the programs were built (TC_BUILDDIR)")
    args.add_argument("--prefix", help="where they were installed (TC_PREFIX)")
    args.add_argument("--facts", action="store_true", help="the tests of what we rely on in other programs")
    args.add_argument("--tap", action="store_true", help="print TAP")
    args.add_argument("--list", action="store_true", help="only name the tests")
    args.add_argument("--again", type=int, default=0, metavar="N",
                      help="so many tests that waited in vain for something are tried once more, and named as such")
    args.add_argument("--verbose", action="store_true", help="logs of tests that passed, too")
    args.add_argument("files", nargs="*", help="test files (default: all)")
    options = args.parse_args()
    if options.builddir:
        os.environ["TC_BUILDDIR"] = os.path.abspath(options.builddir)
        os.environ.pop("TC_PREFIX", None)
    if options.prefix:
        os.environ["TC_PREFIX"] = os.path.abspath(options.prefix)
    files = options.files or sorted(glob.glob(os.path.join(HERE, "test_*.py")))
    if not options.files:
        files = [f for f in files if f.endswith("_facts.py") == options.facts]
    tests = [test for path in files for test in load(os.path.abspath(path))]
    if options.filter:
        tests = [test for test in tests if any(word in test[0] for word in options.filter)]
    if options.list:
        print("\n".join(name for name, _ in tests))
        return 0
    import harness
    # A stopped run still takes its processes down.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    return harness.run_all(tests, options.tap, options.verbose, options.again)


if __name__ == "__main__":
    sys.exit(main())
