# SPDX-License-Identifier: ISC
"""How a benchmark in Python says what it measured: the same rows as bench.h, which explains them."""
import argparse
import json
import statistics

RUNS_MIN = 5


def is_rate(unit):
    return unit.endswith("/s")


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def judge(row):
    """True, False, or None when there is no target that can be judged."""
    verdicts = []
    if row.get("at_least"):
        verdicts.append(row["median"] >= row["at_least"])
    if row.get("at_most"):
        verdicts.append(row["median"] <= row["at_most"])
    if row.get("ratio_at_least") and row.get("ratio"):
        verdicts.append(row["ratio"] >= row["ratio_at_least"])
    return all(verdicts) if verdicts else None


def line(row):
    """A row as people read it."""
    text = "%-58s %10.4g %-6s (%.4g-%.4g)" % (row["what"], row["median"], row["unit"], row["low"], row["high"])
    if row.get("ratio"):
        text += "  %.3gx %s" % (row["ratio"], row["than"])
    for key, form in (("at_least", "  [>= %.4g]"), ("at_most", "  [<= %.4g]"), ("ratio_at_least", "  [>= %.3gx]")):
        if row.get(key):
            text += form % row[key]
    text += {True: "  pass", False: "  MISS", None: ""}[row.get("pass")]
    return text + ("; " + row["note"] if row.get("note") else "")


class Rows:
    """The rows of one benchmark; takes --rows, --only and --runs from the command line."""

    def __init__(self, name, doc, more=None):
        self.name = name
        args = argparse.ArgumentParser(description=doc)
        args.add_argument("--rows", help="append each row to this file, as a line of JSON")
        args.add_argument("--only", help="only rows that hold this word")
        args.add_argument("--runs", type=int, default=RUNS_MIN, help="how often each figure is taken")
        if more:
            more(args)
        self.options = args.parse_args()
        self.runs = max(RUNS_MIN, self.options.runs)

    def wanted(self, *whats):
        """Whether --only lets one of these rows through."""
        word = (self.options.only or "").lower()
        return any(word in ("%s: %s" % (self.name, what)).lower() for what in whats)

    def report(self, what, unit, values, than=None, reference=None, note=None, **targets):
        """Prints a row; targets: at_least, at_most, ratio_at_least. Returns the median."""
        if not self.wanted(what) or not values:
            return None
        row = {"bench": self.name, "what": what, "unit": unit, "median": statistics.median(values),
               "low": min(values), "high": max(values), "values": list(values)[:1000], **targets}
        if reference and row["median"]:
            row["than"], row["reference"] = than, reference
            row["ratio"] = row["median"] / reference if is_rate(unit) else reference / row["median"]
        if note:
            row["note"] = note
        verdict = judge(row)
        if verdict is not None:
            row["pass"] = verdict
        print(line(row), flush=True)
        if self.options.rows:
            with open(self.options.rows, "a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        return row["median"]

    def run(self, what, unit, take, **more):
        """Takes the figure as often as asked for (take() gives one value) and reports it."""
        if not self.wanted(what):
            return None
        return self.report(what, unit, [take() for _ in range(self.runs)], **more)
