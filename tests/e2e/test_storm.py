# SPDX-License-Identifier: ISC
"""Many spawns at once against a cap: exactly as many live as it allows, and every caller is answered."""
from collections import Counter

from harness import check, deadline, equal
from inside import child, talker

STORM = 300
CAP = 40
INSIDE_AT_ONCE = 60  # an instance may have so many calls unanswered


def storm(client, count, at_once, params):
    """Every answer of so many spawns: ([id], [error])."""
    sent, waiting, made, refused = 0, set(), [], []
    while sent < count or waiting:
        while sent < count and len(waiting) < at_once:
            waiting.add(client.start("spawn", **params))
            sent += 1
        message = client.next_message(120)
        if message.get("id") not in waiting:
            continue
        waiting.remove(message["id"])
        if "error" in message:
            refused.append(message["error"])
        else:
            made.append(message["result"]["id"])
    return made, refused


def judged(made, refused, cap):
    equal(len(made), CAP, "spawns that passed")
    equal(len(set(made)), CAP, "different ids")
    equal(len(refused), STORM - CAP, "spawns that were refused")
    equal(Counter(e["data"]["code"] for e in refused), {"cap_reached": STORM - CAP}, "the refusals")
    for error in refused:
        check(cap in error["message"] and str(CAP) in error["message"], "a refusal says %s", error["message"])


@deadline(170)
def test_a_storm_of_spawns_meets_the_fleets_cap(t):
    f = t.fleet(config={"max_instances": CAP, "spawn_rate": "unlimited"})
    f.up()
    made, refused = storm(f.client(), STORM, STORM, child(f))
    judged(made, refused, "max_instances")
    living = f.json("list")
    equal(sorted(i["id"] for i in living), sorted(made), "what lives")
    f.json("kill", made[0])
    f.shell("one-more", "cat")
    f.refused("spawn", "--agent", "shell", "--driver", "host", "--", "cat", says="max_instances")


@deadline(170)
def test_a_storm_from_inside_meets_the_instances_cap(t):
    f = t.fleet(config={"max_instances": 1000})
    mother, inside = talker(f, "one", "--max-children", str(CAP), "--max-descendants", "unlimited",
                            "--spawn-rate", "unlimited")
    made, refused = storm(inside, STORM, INSIDE_AT_ONCE, child(f))
    judged(made, refused, "max_children")
    living = f.json("list", "--parent", mother["id"])
    equal(sorted(i["id"] for i in living), sorted(made), "what lives below it")
    equal(f.show(mother["id"])["cap"]["children"], CAP, "its count")
