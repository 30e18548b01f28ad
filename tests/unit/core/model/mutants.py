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
     "in->time_in_state[from] += time_in_state(in);", "in->time_in_state[from] = time_in_state(in);"),
    ("time in a state goes by the wall clock", "daemon/core/apply.c",
     "? clock_boot_ms() - in->state_boot_ms", "? clock_wall_ms() - in->state_since_ms"),
    ("a kill forgets its caller", "daemon/core/stop.c",
     "	w->next = u->stop_done;\n	u->stop_done = w;", "	w->next = NULL;\n	u->stop_done = w;"),
    ("a wait is not looked at when a state is entered", "daemon/core/apply.c", "	waits_check(u);\n", ""),
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
    ("what was killed stays wanted", "daemon/core/stop.c", "	u->in->wanted = u->in->wanted && u->keep;\n", ""),
    ("what is put aside is not wanted any more", "daemon/core/stop.c", "u->in->wanted && u->keep;", "false;"),
    ("an end of its own leaves it wanted", "daemon/core/revive.c",
     "	case END_EXIT_BAD:\n		return false;", "	case END_EXIT_BAD:\n		return u->in->wanted;"),
    ("a kill leaves the wait of a policy", "daemon/core/stop.c", "	again_forget(u);\n", ""),
    ("a policy follows a kill", "daemon/core/stop.c", "u->cancelled || u->stop_done || !u->in->wanted ?", "false ?"),
    ("on-failure starts what ended well", "daemon/core/backoff.c",
     "		(end == END_EXIT_OK && policy == RESTART_ON_FAILURE)) {", "		false) {"),
    ("waits do not double", "daemon/core/backoff.c", "		ms *= 2;", "		ms += 0;"),
    ("the brake comes one too late", "daemon/core/backoff.c", "now) > r->most)", "now) > r->most + 1)"),
    ("the brake counts what is long ago", "daemon/core/backoff.c", "h->failed_ms[i] > now - r->window_ms", "true"),
    ("a wait goes by the wall clock", "daemon/core/revive.c", "	again_rebase(&u->in->again, boot_id(), clock_boot_ms(), clock_wall_ms());",
     "	again_rebase(&u->in->again, boot_id(), clock_boot_ms() + clock_wall_ms() % 3600000, clock_wall_ms());"),
    ("a wait over a boot keeps its old clock", "daemon/model/again.c", "		a->at_ms += shift;\n", ""),
    ("a wait is not kept by the next daemon", "daemon/core/revive.c", "			resume_wait(u);", "			(void)resume_wait;"),
    ("a wait is over too early", "daemon/core/revive.c", "	if (a->at_ms > a->boot_ms)", "	if (false)"),
    ("a wait whose policy is taken away goes on", "daemon/core/restart.c", "policy == RESTART_NEVER && again_waits(in)", "false"),
    ("a policy starts without the values of --env", "daemon/core/revive.c",
     "		env_gone(u, to, missing, why);\n		return;", "		;"),
    ("a wait goes on without the values of --env", "daemon/core/revive.c", "	if (missing)\n		env_gone(u, ST_FAILED", "	if (0)\n		env_gone(u, ST_FAILED"),
    ("a restart passes every cap", "daemon/core/restart.c", "	return caps_reserve_again(u, restoring, e);",
     "	(void)caps_reserve_again;\n	return 0;"),
    ("a restart counts as another spawn", "daemon/core/restart.c", "caps_note_spawn(u, false);", "caps_note_spawn(u, true);"),
    ("a restart of a living one stays ended", "daemon/core/stop.c", "		restart_over(u);",
     "		fleet_apply(u, ST_EXITED, \"restart\", NULL);"),
    ("a kill does not give a restart up", "daemon/core/stop.c", "	restart_given_up(u);\n", ""),
    ("up passes over those with a name", "daemon/core/restore.c", "return in->wanted && (", "return in->wanted && !in->name && ("),
    ("up starts what was killed", "daemon/core/restore.c", "return in->wanted && (", "return ("),
    ("what is lost is not revived by the next daemon", "daemon/core/revive.c",
     "bool ended = in->state == ST_LOST ||", "bool ended ="),
    ("policies go on while the fleet is ended", "daemon/core/revive.c",
     "	if (!u->f->closing) {\n		again_touch(u);", "	{\n		again_touch(u);"),
    ("waits go on while the fleet is ended", "daemon/core/revive.c", " || u->f->closing)", ")"),
    ("waits do not go on when the end is given up", "daemon/core/restart.c", "	for (size_t i = 0; i < f->count; i++) /* waits that ran out meanwhile */", "	for (size_t i = 0; false; i++)"),
    ("starts go on while the fleet is ended", "daemon/core/admit.c", "a->pumping || f->closing", "a->pumping"),
    ("starts do not go on when the end is given up", "daemon/core/restart.c", "	admit_open(f);\n", ""),
    ("a selector's parent is everybody", "daemon/api/select.c",
     "(!s->parent || !strcmp(in->parent, s->parent->id))", "true"),
    ("a selector's label holds when another is there", "daemon/api/select.c", "if (!label_term_holds(labels, json_string_value(term)))",
     "if (!label_term_holds(labels, json_string_value(term)) && !json_object_size(labels))"),
    ("a selector without a state chooses those that ended", "daemon/api/select.c",
     "		return state_living(in->state);", "		return true;"),
    ("an instance chooses among all", "daemon/api/access.c",
     "return (c->method->who & W_BELOW) && fleet_is_within(c->w->fleet, c->who.instance, in->id);",
     "return c->method->who & W_BELOW;"),
    ("a daemon that ends itself still writes", "daemon/world/turn.c", "	if (t->over.code)\n		err = t->over;\n", ""),
    ("one is revived whose parent is gone", "daemon/core/revive.c", "parent_gone(u, &err) < 0 || restore_room", "restore_room"),
    ("a wait hears of no end", "daemon/core/stop.c", "	waits_check(u);\n", ""),
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
