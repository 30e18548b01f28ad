# SPDX-License-Identifier: ISC
"""Selectors: label, state and parent choose instances, one or several, and nobody else."""
from harness import check, equal


def three(f):
    for name, labels in (("web1", ["team=web", "role=builder"]), ("web2", ["team=web", "role=tester"]), ("db1", ["team=db"])):
        options = [word for label in labels for word in ("--label", label)]
        f.shell(name, "cat", options=options)


def names(rows):
    return sorted(r["name"] for r in rows)


def test_a_list_by_label_state_and_parent(t):
    f = t.fleet()
    three(f)
    equal(names(f.json("list", "-l", "team=web")), ["web1", "web2"])
    equal(names(f.json("list", "-l", "team!=web")), ["db1"])
    equal(names(f.json("list", "-l", "role")), ["web1", "web2"])
    equal(names(f.json("list", "-l", "role!=tester")), ["db1", "web1"])
    equal(names(f.json("list", "-l", "team=web", "-l", "role!=tester")), ["web1"])
    equal(f.json("list", "-l", "team=nobody"), [])
    f.cli("kill", "web2")
    equal(names(f.json("list", "--state", "exited")), ["web2"])
    equal(names(f.json("list", "--state", "exited,idle,working")), ["db1", "web1", "web2"])
    f.shell("child", "cat", options=["--parent", "db1"])
    equal(names(f.json("list", "--parent", "db1")), ["child"])
    f.refused("list", "--state", "sleepy", says=["sleepy"])
    f.refused("list", "-l", "=x", says=["label"])


def test_one_is_needed_and_the_candidates_are_named(t):
    f = t.fleet()
    three(f)
    f.refused("show", "-l", "team=web", code="ambiguous", says=["web1", "web2"])
    f.refused("read", "-l", "team=none", code="not_found", says=["label"])
    equal(f.json("show", "-l", "team=db")["name"], "db1")
    f.cli("send", "-l", "role=tester", "hello-by-label")
    f.cli("wait", "-l", "role=tester", "--until", "text=hello-by-label", "--timeout", "60")
    check("hello-by-label" in f.cli("read", "-l", "role=tester"), "not what was sent")
    f.cli("rename", "-l", "team=db", "db9")
    equal(names(f.json("list", "-l", "team=db")), ["db9"])


def test_kill_and_rm_by_selector(t):
    f = t.fleet()
    three(f)
    f.cli("kill", "web1", "db1", "-l", "team=web")
    equal(names(f.json("list")), ["db1", "web2"])
    f.refused("kill", "db1", "-l", "team=web", code="not_found")
    f.refused("kill", exit=2, says=["--label"])
    f.cli("kill", "-l", "team=web")
    equal(names(f.json("list")), ["db1"])
    f.cli("rm", "-l", "team=web")
    equal(names(f.json("list", "--all")), ["db1"])


def test_labels_have_limits(t):
    f = t.fleet()
    f.up()
    for label in ("a b=1", "-x=1", "k" * 64 + "=1", "k=" + "v" * 256, "k=a\x01b"):
        f.refused("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, "--label", label, "--", "cat",
                  code="invalid_params")
    many = [word for n in range(33) for word in ("--label", "k%d=v" % n)]
    f.refused("spawn", "one", "--driver", "host", "--agent", "shell", "--dir", f.work, *many, "--", "cat",
              code="invalid_params")
    equal(f.json("list", "--all"), [])
