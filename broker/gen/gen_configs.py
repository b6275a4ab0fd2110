#!/usr/bin/env python3
"""Makes the tables of settings from configs/*.tsv.

  config_values.h  struct config_values: one typed field per broker setting, and its loader
  config_tables.c  struct config_def tables (broker/config_def.h)

and with --doc the table of all settings for docs/CONFIGURATION.md (tests check that it is fresh).
Sources: Kafka's facts (broker.tsv, topic.tsv, ...), our own settings (millrace.tsv) and what we do with
each (served.tsv). Standard library only.
"""
import argparse
import os
import re
import sys

# Lists that Kafka refuses when empty.
NOT_EMPTY = {
    "process.roles", "controller.listener.names", "listeners", "advertised.listeners", "log.dir", "log.dirs",
    "group.coordinator.rebalance.protocols", "group.consumer.assignors", "group.share.assignors",
}
C_TYPES = {"boolean": "bool", "int": "int32_t", "short": "int16_t", "long": "int64_t", "double": "double",
           "string": "const char *", "class": "const char *", "list": "const char *", "password": "const char *"}
SERVED = {"yes": "CONFIG_SERVED", "no": "CONFIG_NOT_YET", "unneeded": "CONFIG_NOT_NEEDED"}
UPDATE = {"read-only": "CONFIG_READ_ONLY", "per-broker": "CONFIG_PER_BROKER", "cluster-wide": "CONFIG_CLUSTER_WIDE"}


def read_tsv(path):
    rows, head = [], None
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("# ") and head is None:
                head = line[2:].split("\t")
            elif line and not line.startswith("#"):
                cells = line.split("\t")
                if len(cells) != len(head):
                    sys.exit(f"{path}: {len(cells)} cells where {len(head)} belong: {line}")
                rows.append(dict(zip(head, cells)))
    return rows


def read_served(path):
    """{name or prefix: (served, doc)} for broker settings and for topic settings."""
    broker, topic = {}, {}
    into = broker
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line == "# topic":
                into = topic
            elif line and not line.startswith("#"):
                name, served, doc = line.split("\t")
                if name in into or served not in SERVED:
                    sys.exit(f"{path}: a doubled name or a bad word: {line}")
                into[name] = (served, doc)
    return broker, topic


def served_of(table, name):
    if name in table:
        return table[name]
    best = max((p for p in table if p.endswith("*") and name.startswith(p[:-1])), key=len, default=None)
    return table[best] if best is not None else ("no", "Not used by this version.")


def c_string(s):
    return "NULL" if s is None else '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


def rule_of(row):
    """(rule, min, max, also, choices) of the column `valid`."""
    valid = row["valid"]
    name = row["name"]
    m = re.fullmatch(r"\[(-?[\d.]+),\.\.\.\]", valid)
    if m:
        return "CONFIG_RANGE", m.group(1), "INFINITY", None, []
    m = re.fullmatch(r"\[(-?[\d.]+),\.\.\.,(-?[\d.]+)\](?: or (-?\d+))?", valid)
    if m:
        return "CONFIG_RANGE", m.group(1), m.group(2), m.group(3), []
    if valid.startswith("[partitionId]"):
        return "CONFIG_THROTTLED", "0", "0", None, []
    if "by_duration" in valid:
        return "CONFIG_RESET", "0", "0", None, [c.strip() for c in valid[1:-1].split(",")][:-1]
    m = re.fullmatch(r"(\(case insensitive\) )?\[([^\]]+)\]", valid)
    if m:
        rule = "CONFIG_ONE_OF_NO_CASE" if m.group(1) else "CONFIG_ONE_OF"
        return rule, "0", "0", None, [c.strip() for c in m.group(2).split(",")]
    if valid == "non-empty string" or (row["type"] == "list" and name in NOT_EMPTY):
        return "CONFIG_NOT_EMPTY", "0", "0", None, []
    if valid in ("-", "non-null string", "non-empty list"):
        return "CONFIG_ANY", "0", "0", None, []
    sys.exit(f"{name}: what does valid={valid} mean?")


def default_of(row):
    d = row["default"]
    return {"<null>": None, "<required>": None, "<empty>": ""}.get(d, d)


def synonyms_of(row):
    """[(name, factor)] in order of precedence."""
    cell = row.get("all_synonyms", row.get("synonyms", row.get("broker_default_from", "-")))
    out = []
    for s in [] if cell == "-" else cell.split(","):
        m = re.fullmatch(r"([^(]+)(?:\(3->(\d+)\))?", s)
        out.append((m.group(1), int(m.group(2)) // 3 if m.group(2) else 1))
    return out


def valid_text(row):
    valid = row["valid"]
    if row["type"] == "boolean":
        return "true or false"
    m = re.fullmatch(r"\[(-?[\d.]+),\.\.\.(?:,(-?[\d.]+))?\](?: or (-?\d+))?", valid)
    if m:
        lo, hi, also = m.groups()
        return (f"{lo} to {hi}" if hi else f"at least {lo}") + (f", or {also}" if also else "")
    m = re.fullmatch(r"(\(case insensitive\) )?\[([^\]]+)\]", valid)
    if m and not valid.startswith("[partitionId]"):
        return ("any of: " if row["type"] == "list" else "one of: ") + m.group(2)
    if valid.startswith("[partitionId]"):
        return "* or a list of PARTITION:BROKER"
    if valid not in ("-", "non-null string", "non-empty list"):
        return valid
    if row["type"] == "list" and row["name"] in NOT_EMPTY:
        return "a list with at least one entry"
    return {"int": "a whole number", "short": "a whole number up to 32767", "long": "a whole number",
            "double": "a number", "list": "a list, separated by commas"}.get(row["type"], "any text")


def emit_table(out, var, rows, served):
    rows = sorted(rows, key=lambda r: r["name"])
    names = [r["name"] for r in rows]
    assert len(names) == len(set(names)), var
    for i, row in enumerate(rows):
        choices = rule_of(row)[4]
        if choices:
            out.append(f"static const char *const {var}_c{i}[] = {{{', '.join(c_string(c) for c in choices)}}};\n")
        syn = synonyms_of(row)
        if syn:
            cells = ", ".join(f"{{{c_string(n)}, {f}}}" for n, f in syn)
            out.append(f"static const struct config_synonym {var}_s{i}[] = {{{cells}}};\n")
    out.append(f"static const struct config_def {var}_defs[] = {{\n")
    for i, row in enumerate(rows):
        rule, lo, hi, also, choices = rule_of(row)
        how, doc = served_of(served, row["name"])
        syn = synonyms_of(row)
        fields = [
            f".name = {c_string(row['name'])}",
            f".def = {c_string(default_of(row))}",
            f".valid = {c_string(valid_text(row))}",
            f".doc = {c_string(doc)}",
            f".type = CONFIG_{row['type'].upper()}",
            f".rule = {rule}",
            f".update = {UPDATE[row.get('update_mode', 'cluster-wide')]}",
            f".served = {SERVED[how]}",
        ]
        if rule == "CONFIG_RANGE":
            fields += [f".min = {lo}", f".max = {hi}"]
        if also is not None:
            fields += [".has_also = true", f".also = {also}"]
        if choices:
            fields += [f".choices = {var}_c{i}", f".choices_n = {len(choices)}"]
        if syn:
            fields += [f".synonyms = {var}_s{i}", f".synonyms_n = {len(syn)}"]
        if row["default"] == "<required>":
            fields.append(".required = true")
        if row["sensitive"] == "yes":
            fields.append(".sensitive = true")
        if row["internal"] == "yes":
            fields.append(".internal = true")
        if row.get("ours"):
            fields.append(".ours = true")
        if row["type"] == "list" and row["name"] not in NOT_EMPTY:
            fields.append(".empty_list = true")
        out.append("    {" + ", ".join(fields) + "},\n")
    out.append("};\n")
    out.append(f"const struct config_table config_{var}_table = {{{var}_defs, {len(rows)}}};\n\n")


def field_name(name):
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def emit_values(rows):
    rows = sorted(rows, key=lambda r: r["name"])
    out = ["/* Made by broker/gen/gen_configs.py from broker/configs; see broker/config.h. */\n",
           "#ifndef BROKER_CONFIG_VALUES_H\n#define BROKER_CONFIG_VALUES_H\n\n",
           "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
           "#define CONFIG_NULL_INT  INT32_MIN\n#define CONFIG_NULL_LONG INT64_MIN\n\n",
           "struct config_values {\n"]
    for r in rows:
        ctype = C_TYPES[r["type"]]
        out.append(f"    {ctype}{'' if ctype.endswith('*') else ' '}{field_name(r['name'])};\n")
    out.append("};\n\n/* Where each setting's field is, in the order of config_broker_table. */\n")
    out.append("extern const size_t config_values_offset[];\n\n#endif\n")
    return "".join(out)


def emit_offsets(rows):
    rows = sorted(rows, key=lambda r: r["name"])
    out = ["const size_t config_values_offset[] = {\n"]
    out += [f"    offsetof(struct config_values, {field_name(r['name'])}),\n" for r in rows]
    out.append("};\n")
    return "".join(out)


def doc_table(rows, served, updates):
    out = []
    mark = {"yes": "yes", "no": "not yet", "unneeded": "not needed"}
    head = "| name | type | default | allowed |" + (" change |" if updates else "") + " served | what it does, or what differs |\n"
    out.append(head + "|" + "---|" * (head.count("|") - 1) + "\n")
    for r in sorted(rows, key=lambda r: r["name"]):
        how, doc = served_of(served, r["name"])
        default = r["default"].replace("<null>", "").replace("<empty>", "empty").replace("<required>", "required")
        cells = [f"`{r['name']}`", r["type"], default.replace("9223372036854775807", "max"), valid_text(r)]
        if updates:
            cells.append(r.get("update_mode", "cluster-wide"))
        cells += [mark[how], doc]
        out.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |\n")
    return "".join(out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--configs", required=True, help="the folder of the .tsv files")
    p.add_argument("--out", help="folder for config_values.h and config_tables.c")
    p.add_argument("--doc", help="CONFIGURATION.md to bring up to date")
    p.add_argument("--check", action="store_true", help="with --doc: fail if it is not up to date")
    a = p.parse_args()
    t = {n: read_tsv(os.path.join(a.configs, n + ".tsv"))
         for n in ("broker", "millrace", "topic", "group", "client-metrics", "quota-brokerQuotaConfigs")}
    for r in t["millrace"]:
        r["ours"] = True
    broker_served, topic_served = read_served(os.path.join(a.configs, "served.tsv"))
    broker = t["broker"] + t["millrace"]
    nothing = {"*": ("no", "Consumer groups, share groups: a later version.")}
    metrics = {"*": ("no", "Client metrics: a later version.")}
    quotas = {"*": ("no", "Replication quotas: a later version.")}
    if a.out:
        out = ["/* Made by broker/gen/gen_configs.py from broker/configs. */\n",
               '#include <math.h>\n\n#include "broker/config_def.h"\n#include "config_values.h"\n\n']
        emit_table(out, "broker", broker, broker_served)
        emit_table(out, "topic", t["topic"], topic_served)
        emit_table(out, "group", t["group"], nothing)
        emit_table(out, "client_metrics", t["client-metrics"], metrics)
        emit_table(out, "quota", t["quota-brokerQuotaConfigs"], quotas)
        out.append(emit_offsets(broker))
        os.makedirs(a.out, exist_ok=True)
        with open(os.path.join(a.out, "config_tables.c"), "w", encoding="utf-8") as f:
            f.write("".join(out))
        with open(os.path.join(a.out, "config_values.h"), "w", encoding="utf-8") as f:
            f.write(emit_values(broker))
    if a.doc:
        parts = {"millrace": doc_table(t["millrace"], broker_served, False),
                 "broker": doc_table(t["broker"], broker_served, True),
                 "topic": doc_table(t["topic"], topic_served, False)}
        with open(a.doc, encoding="utf-8") as f:
            old = f.read()
        new = old
        for name, text in parts.items():
            new, n = re.subn(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", lambda m: m.group(1) + text + m.group(2),
                             new, flags=re.S)
            if n != 1:
                sys.exit(f"{a.doc}: no place for the table `{name}`")
        if a.check:
            if new != old:
                sys.exit(f"{a.doc} is not up to date; run: broker/gen/gen_configs.py --configs broker/configs --doc {a.doc}")
        elif new != old:
            with open(a.doc, "w", encoding="utf-8") as f:
                f.write(new)


main()
