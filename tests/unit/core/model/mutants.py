#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Does the model test find bugs? Puts one at a time into a copy of a source and runs the test on it.

  mutants.py --builddir DIR [--only WORD] [--runs N]

Run by `make model-mutants`, which builds the test first and gives the compiler and its flags in the
environment. Each mutant is one source with one text replaced, linked before the archive that holds the
true one. Exit 1 when a mutant lives, or its text is not in the source any more.
"""
import argparse
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", "..", "..", ".."))
SEED = "1"  # so that a verdict can be had again

MUTANTS = [
    # (what, source, text, its replacement)
    ("an end gives no slot back above the parent", "daemon/core/apply.c",
     "	if (state_living(from) != state_living(to))\n", "	if (state_living(from) != state_living(to) && !u->up)\n"),
    ("a cap is let through one too far", "daemon/core/caps.c", "if (count > limit - need)", "if (count > limit)"),
    ("a name that is taken passes", "daemon/core/start.c",
     "	if (!holder || holder->in == self)", "	if (!holder || holder->in == self || name[0] == 'b')"),
    ("the intent of a place stays", "daemon/core/stop.c",
     "	place_apply(s, PL_DOWN, NULL);\n	P(f)->intent_done(CTX(f), \"place\", s->pl->id);\n",
     "	place_apply(s, PL_DOWN, NULL);\n"),
    ("the intent of a pane is never written off", "daemon/core/stop.c",
     "	P(u->f)->intent_done(CTX(u->f), \"pane\", u->in->id);\n", ""),
    ("callers are answered before the commit", "daemon/world/turn.c",
     "	turn_then(t, fn, arg);\n	loop_defer_schedule(t->defer);",
     "	if (t->early++ % 7) {\n		turn_then(t, fn, arg);\n		loop_defer_schedule(t->defer);\n"
     "	} else {\n		fn(arg, NULL);\n	}"),
    ("an event is told twice", "daemon/bus/bus.c", "			if (seq <= s->cursor)\n				continue;\n", 
     "			if (seq % 50 == 0)\n				s->ops->send(s->arg, ev);\n"),
    ("events that are not on disk are fed", "daemon/bus/bus.c",
     "int64_t left = store_event_durable(s->bus->store) - s->cursor;",
     "int64_t left = store_event_last(s->bus->store) - s->cursor;"),
    ("a shim's event is applied again when it is told again", "daemon/core/live.c",
     "	if (seq && seq <= s->pl->shim_seq) {", "	if (seq && seq + 1 < s->pl->shim_seq) {"),
    ("an event is acknowledged, and not applied", "daemon/core/live.c",
     "	else if (!strcmp(type, \"exited\"))\n", "	else if (!strcmp(type, \"exited\") && seq % 2)\n"),
    ("time in a state is not kept", "daemon/core/apply.c",
     "in->time_in_state[from] += now - in->state_since_ms;", "in->time_in_state[from] = now - in->state_since_ms;"),
    ("a kill forgets its caller", "daemon/core/stop.c",
     "	w->next = u->stop_done;\n	u->stop_done = w;", "	w->next = NULL;\n	u->stop_done = w;"),
    ("a wait is not looked at when its instance ends", "daemon/core/apply.c", "	waits_check(u);\n", ""),
    ("a place that nobody owns is left alone", "daemon/core/reconcile.c",
     "			(f->set->spare_unknown ? spare : orphan)(f, *d);", "			(void)f;"),
    ("a pane is left when its instance ends", "daemon/core/stop.c",
     "	P(u->f)->pane_close(CTX(u->f), u->in->id);\n", ""),
    ("a prompt is typed again after a crash", "daemon/core/type.c",
     "return site_of(u)->same_shim && pp->p->reason && !strcmp(pp->p->reason, word);",
     "return site_of(u)->same_shim || !word;"),
    ("a rename is not written", "daemon/core/start.c",
     "	tree_rename(u, name);\n	unit_save(u);", "	tree_rename(u, name);"),
    ("a removed row's files are cleared before the commit", "daemon/core/stop.c",
     "	P(f)->intent_add(CTX(f), \"remove\", u->in->id);\n", "	P(f)->place_clear(CTX(f), u->in->place, false);\n"),
]

# What a replacement needs besides.
ALSO = {"callers are answered before the commit": ("	bool lazy;\n	struct after", "	bool lazy;\n	unsigned early;\n	struct after")}


def flags(name):
    return shlex.split(os.environ.get(name, ""))


def build(folder, mutant):
    """The test with that mutant in it; None when the source is not as it was."""
    what, source, old, new = mutant
    with open(os.path.join(TOP, source), encoding="utf-8") as text:
        code = text.read()
    for a, b in [(old, new)] + ([ALSO[what]] if what in ALSO else []):
        if a not in code:
            return None
        code = code.replace(a, b, 1)
    path, prog = os.path.join(folder, "mutant.c"), os.path.join(folder, "mutant")
    with open(path, "w", encoding="utf-8") as out:
        out.write(code)
    subprocess.run(flags("CC") + flags("MODEL_CFLAGS") + ["-w", "-c", path, "-o", path[:-1] + "o"], check=True)
    subprocess.run(flags("CC") + flags("MODEL_CFLAGS") + flags("MODEL_OBJECTS") + [path[:-1] + "o"]
                   + flags("MODEL_LDFLAGS") + ["-o", prog], check=True)
    return prog


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    args.add_argument("--builddir", default=".")
    args.add_argument("--only", default="")
    args.add_argument("--runs", default="60")
    options = args.parse_args()
    os.chdir(options.builddir)
    wrong = 0
    for mutant in MUTANTS:
        if options.only not in mutant[0]:
            continue
        with tempfile.TemporaryDirectory(prefix="tcm") as folder:
            prog = build(folder, mutant)
            if not prog:
                print("GONE    %s: %s has no such text" % mutant[:2], flush=True)
                wrong += 1
                continue
            run = subprocess.run([prog], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                 env={**os.environ, "TC_MODEL_SEED": SEED, "TC_MODEL_RUNS": options.runs,
                                      "TC_MODEL_STEPS": "300", "TC_MODEL_SHRINK": "0", "TC_MODEL_SECONDS": "300"})
        said = [line for line in run.stdout.split("\n") if line.startswith("not ok")]
        print("%s %s%s" % ("caught " if run.returncode else "LIVES  ", mutant[0],
                           ": " + said[0].split("hold: ")[-1] if said else ""), flush=True)
        wrong += not run.returncode
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
