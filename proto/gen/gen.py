#!/usr/bin/env python3
"""Makes C from Kafka's facts in proto/schema: message structs and descriptor tables, the API table,
error codes, feature levels, enumerations. Run by the build; its output is never committed.

    gen.py --schema proto/schema --out build/gen

The notation of the .msg files is described in docs/protocol.md. The program stops with a sentence
that names file and line when a file breaks the notation. Same input, same output, byte for byte.
"""
import argparse
import pathlib
import re
import sys

VERSION_OPEN = 32767
C_KEYWORDS = set(
    "auto break case char const continue default do double else enum extern float for goto if inline"
    " int long register restrict return short signed sizeof static struct switch typedef union"
    " unsigned void volatile while bool true false unknown".split())
# type: (C type, enum proto_type, bytes on the wire, None where the length varies)
SCALARS = {
    "bool": ("bool", "PT_BOOL", 1),
    "int8": ("int8_t", "PT_INT8", 1),
    "int16": ("int16_t", "PT_INT16", 2),
    "int32": ("int32_t", "PT_INT32", 4),
    "int64": ("int64_t", "PT_INT64", 8),
    "uint16": ("uint16_t", "PT_UINT16", 2),
    "uint32": ("uint32_t", "PT_UINT32", 4),
    "float64": ("double", "PT_FLOAT64", 8),
    "uuid": ("struct uuid", "PT_UUID", 16),
    "string": ("struct bytes", "PT_STRING", None),
    "bytes": ("struct bytes", "PT_BYTES", None),
    "records": ("struct bytes", "PT_RECORDS", None),
}
KINDS = {
    "request": "PROTO_REQUEST",
    "response": "PROTO_RESPONSE",
    "header": "PROTO_HEADER",
    "data": "PROTO_DATA",
    "metadata": "PROTO_METADATA",
    "coordinator-key": "PROTO_COORDINATOR_KEY",
    "coordinator-value": "PROTO_COORDINATOR_VALUE",
}
SUFFIX = {"request": "Request", "response": "Response"}
# Stores with record types of their own, which overlap: which message belongs to which.
STORES = (
    (("RemoteLog", "RemotePartition"), "PROTO_STORE_REMOTE_LOG"),
    (("ShareSnapshot", "ShareUpdate"), "PROTO_STORE_SHARE_STATE"),
    (("TransactionLog",), "PROTO_STORE_TRANSACTION_STATE"),
)


class SchemaError(Exception):
    pass


def snake(name):
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def c_field(name):
    name = snake(name)
    return name + "_" if name in C_KEYWORDS else name


def camel(name):
    return name[0].lower() + name[1:]


def versions(text):
    """'3+', '3-7', '4', 'none' as (low, high); none is (0, -1)."""
    if text == "none":
        return (0, -1)
    m = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
    if not m:
        raise SchemaError(f"bad versions '{text}'")
    low = int(m.group(1))
    return (low, VERSION_OPEN if m.group(2) else int(m.group(3) or low))


def contains(span, version):
    return span[0] <= version <= span[1]


class Field:
    """One field: name, type, versions and attributes of its line."""

    def __init__(self, words):
        if len(words) < 3:
            raise SchemaError("a field needs a name, a type and versions")
        self.name, self.type = words[0], words[1]
        self.array = self.type.startswith("[]")
        self.base = self.type[2:] if self.array else self.type
        self.versions = versions(words[2])
        self.nullable = self.tagged = (0, -1)
        self.tag = None
        self.default = None
        self.ignorable = self.old_encoding = False
        self.struct = None
        for word in words[3:]:
            self.attribute(word)
        if (self.tag is None) != (self.tagged == (0, -1)):
            raise SchemaError("tag= and tagged= go together")

    def attribute(self, word):
        key, _, value = word.partition("=")
        if key == "nullable":
            self.nullable = versions(value)
        elif key == "tag":
            self.tag = int(value)
        elif key == "tagged":
            self.tagged = versions(value)
        elif key == "default":
            self.default = value
        elif key == "flexible" and value == "none":
            self.old_encoding = True
        elif word == "ignorable":
            self.ignorable = True
        elif word not in ("mapkey", "zerocopy") and key != "entity":
            raise SchemaError(f"unknown attribute '{word}'")

    def pointer(self):
        """A struct that may be null is a pointer in C."""
        return self.struct is not None and not self.array and self.nullable != (0, -1)


class Struct:
    def __init__(self, name, c_name):
        self.name, self.c_name = name, c_name
        self.fields = []
        self.emitted = False


class Message:
    """One .msg file, parsed: .root and .structs in the order in which C can define them."""

    def __init__(self, path):
        self.path = path
        self.structs = {}  # nested ones by name
        lines = path.read_text().splitlines()
        try:
            at = 1
            self.head(lines[0].split())
            self.root = Struct(self.name, self.c_name)
            stack = [(0, self.root)]
            for at, line in enumerate(lines[1:], 2):
                self.line(line, stack)
            at = 0
            self.resolve()
        except SchemaError as e:
            raise SchemaError(f"{path}:{at}: {e}") from None

    def head(self, words):
        self.kind = words[0]
        if self.kind not in KINDS:
            raise SchemaError(f"unknown kind '{self.kind}'")
        self.name = words[1] + SUFFIX.get(self.kind, "")
        self.c_name = snake(self.name)
        attrs = dict(w.partition("=")[::2] for w in words[2:])
        self.key = int(attrs.get("key", -1))
        self.versions = versions(attrs["versions"])
        if self.versions[1] == VERSION_OPEN:
            raise SchemaError("a message needs a last version")
        self.flexible = versions(attrs["flexible"]) if attrs.get("flexible", "none") != "none" \
            else (VERSION_OPEN, VERSION_OPEN)

    def line(self, line, stack):
        indent = (len(line) - len(line.lstrip(" "))) // 2
        words = line.split()
        if not words:
            return
        while stack[-1][0] >= indent:
            stack.pop()
        if words[0] == "struct":
            stack.append((indent, self.struct(words[1])))
            return
        field = Field(words)
        stack[-1][1].fields.append(field)
        if field.base not in SCALARS:
            stack.append((indent, self.struct(field.base)))

    def struct(self, name):
        if name not in self.structs:
            self.structs[name] = Struct(name, f"{self.c_name}_{snake(name)}")
        return self.structs[name]

    def resolve(self):
        order = []

        def visit(s, above):
            if s in order:
                return
            if s in above:
                raise SchemaError(f"struct {s.name} contains itself")
            seen = {"unknown"}
            for f in s.fields:
                names = [c_field(f.name)] + ([c_field(f.name) + "_n"] if f.array else [])
                if seen & set(names):
                    raise SchemaError(f"two fields of {s.name} are called {f.name} in C")
                seen |= set(names)
                if f.base not in SCALARS:
                    f.struct = self.structs[f.base]
                    visit(f.struct, above + [s])
            order.append(s)

        visit(self.root, [])
        unused = [s.name for s in self.structs.values() if s not in order]
        if unused:
            raise SchemaError(f"struct {unused[0]} is not used")
        if any(not s.fields for s in order if s is not self.root):
            raise SchemaError("a struct without fields")
        self.order = order

    def flexible_at(self, version):
        return contains(self.flexible, version)


# ---- structs -----------------------------------------------------------------------------------


def c_member(f):
    if f.struct:
        ctype = f"struct {f.struct.c_name}"
    else:
        ctype = SCALARS[f.base][0]
    name = c_field(f.name)
    if f.array:
        return [f"    {ctype} *{name};", f"    int32_t {name}_n;"]
    if f.pointer():
        return [f"    {ctype} *{name}; /* may be null */"]
    return [f"    {ctype} {name};"]


def emit_structs(messages):
    out = ["/* Made by gen.py from proto/schema: do not edit. */",
           "#ifndef PROTO_MESSAGES_H", "#define PROTO_MESSAGES_H", "",
           '#include "proto/message.h"', ""]
    for m in messages:
        top = "retired" if m.versions[1] < 0 else f"versions {m.versions[0]} to {m.versions[1]}"
        out.append(f"/* {m.name}: {top} */")
        for s in m.order:
            out.append(f"struct {s.c_name} {{")
            out.append("    struct proto_unknown unknown;")
            for f in s.fields:
                out.extend(c_member(f))
            out.append("};")
        for s in m.order:
            out.append(f"extern const struct proto_struct {s.c_name}_desc;")
        out.append(f"extern const struct proto_message {m.c_name}_msg;")
        out.append("")
    out.append("#endif")
    return out


# ---- descriptor tables -------------------------------------------------------------------------


def scalar_default(f):
    """C initialiser of a scalar's default, None if all bits are zero."""
    text = f.default
    if f.base in ("string", "bytes", "records"):
        if f.base == "records" or text == "null":
            return None  # null: in Kafka records without a value are null, too
        if text not in (None, '""'):
            raise SchemaError(f"default '{text}' of {f.name} is not supported")
        return "{proto_empty, 0}"
    if text in (None, "false", "0"):
        return None
    if text == "true":
        return "true"
    if f.base in ("bool", "uuid") or not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise SchemaError(f"default '{text}' of {f.name} is not supported")
    if f.base == "int64":
        return "INT64_MIN" if int(text) == -2**63 else f"INT64_C({text})"
    return "INT32_MIN" if text == str(-2**31) else text


def default_init(s):
    """C initialiser of struct s at its defaults: the members that are not zero."""
    parts = []
    for f in s.fields:
        name = c_field(f.name)
        if f.array:
            if f.default == "null":
                parts.append(f".{name}_n = -1")
        elif f.pointer():
            if f.default != "null":
                # Never written through: who builds a message puts a struct of its own there.
                parts.append(f".{name} = (struct {f.struct.c_name} *)&{f.struct.c_name}_default")
        elif f.struct:
            inner = default_init(f.struct)
            if inner:
                parts.append(f".{name} = {inner}")
        else:
            value = scalar_default(f)
            if value is not None:
                parts.append(f".{name} = {value}")
    return "{" + ", ".join(parts) + "}" if parts else ""


def wire_min(m, s, version):
    """Least number of bytes of struct s on the wire in this version."""
    flexible = m.flexible_at(version)
    total = 1 if flexible else 0
    for f in s.fields:
        if not contains(f.versions, version) or contains(f.tagged, version):
            continue
        if f.array or f.base in ("bytes", "records"):
            total += 1 if flexible else 4
        elif f.base == "string":
            total += 1 if flexible and not f.old_encoding else 2
        elif f.pointer() and contains(f.nullable, version):
            total += 1
        elif f.struct:
            total += wire_min(m, f.struct, version)
        else:
            total += SCALARS[f.base][2]
    return total


def span(pair, last):
    """low, length of a range of versions for one unsigned comparison; an empty one matches none."""
    low, high = pair
    high = min(high, last)
    return f"{low}, {high - low}" if high >= low else "-1, 0"


def field_row(m, s, f):
    last = max(m.versions[1], 0)
    ptype = SCALARS[f.base][1] if f.struct is None else "PT_STRUCT"
    elem = "0"
    if f.array:
        ptype, elem = "PT_ARRAY", ptype
    elif f.pointer():
        ptype = "PT_STRUCT_PTR"
    flags = (["PF_IGNORABLE"] if f.ignorable else []) + (["PF_OLD"] if f.old_encoding else [])
    sub = f"&{f.struct.c_name}_desc" if f.struct else "NULL"
    tag = -1 if f.tag is None else f.tag
    return (f'    {{"{camel(f.name)}", {sub}, offsetof(struct {s.c_name}, {c_field(f.name)}),'
            f' {ptype}, {elem}, {"|".join(flags) or 0}, {tag}, {{{span(f.versions, last)}}},'
            f' {{{span(f.nullable, last)}}}, {{{span(f.tagged, last)}}}}},')


def emit_struct_desc(m, s):
    init = default_init(s)
    out = [f"static const struct {s.c_name} {s.c_name}_default{' = ' + init if init else ''};"]
    # Tagged fields stand behind the others, in rising order of their tags: readers and writers
    # walk the first part in line and the second one in the tag section.
    tagged = sorted((f for f in s.fields if f.tag is not None), key=lambda f: f.tag)
    inline = [f for f in s.fields if f.tag is None]
    both = [f for f in tagged if any(contains(f.versions, v) and not contains(f.tagged, v)
                                     for v in range(m.versions[0], m.versions[1] + 1))]
    if both:
        raise SchemaError(f"{m.path}: {both[0].name} is tagged in some of its versions only")
    fields = f"{s.c_name}_fields" if s.fields else "proto_no_fields"
    if s.fields:
        out.append(f"static const struct proto_field {s.c_name}_fields[] = {{")
        out.extend(field_row(m, s, f) for f in inline + tagged)
        out.append("};")
    if s.fields:
        order = ", ".join(str((inline + tagged).index(f)) for f in s.fields)
        out.append(f"static const uint8_t {s.c_name}_order[] = {{{order}}};")
    mins = [wire_min(m, s, v) for v in range(0, max(m.versions[1], 0) + 1)]
    if max(mins) > 255:
        raise SchemaError(f"{m.path}: {s.name} is larger than the table allows")
    out.append(f"static const uint8_t {s.c_name}_min[] = {{{', '.join(map(str, mins))}}};")
    order = f"{s.c_name}_order" if s.fields else "NULL"
    out.append(f'const struct proto_struct {s.c_name}_desc = {{"{s.name}", &{s.c_name}_default,'
               f" {fields}, {order}, {s.c_name}_min, sizeof(struct {s.c_name}), {len(inline)},"
               f" {len(s.fields)}}};")
    return out


def store_of(m):
    if m.kind == "metadata" or m.kind.startswith("coordinator"):
        for prefixes, store in STORES:
            if m.name.startswith(prefixes):
                return store
        return "PROTO_STORE_METADATA" if m.kind == "metadata" else "PROTO_STORE_CONSUMER_OFFSETS"
    return "PROTO_STORE_NONE"


def emit_tables(messages, apis, errors, enums, features):
    out = ["/* Made by gen.py from proto/schema: do not edit. */", "#include <stddef.h>", "",
           '#include "proto/descriptor.h"', '#include "proto_apis.h"', '#include "proto_enums.h"',
           '#include "proto_errors.h"', '#include "proto_features.h"', '#include "proto_messages.h"',
           "", "static const uint8_t proto_empty[1];",
           "static const struct proto_field proto_no_fields[1];", ""]
    for m in messages:
        for s in m.order:
            out.extend(emit_struct_desc(m, s))
        out.append(f'const struct proto_message {m.c_name}_msg = {{"{m.name}", {KINDS[m.kind]},'
                   f" {m.key}, {m.versions[0]}, {m.versions[1]},"
                   f" {'INT16_MAX' if m.flexible[0] == VERSION_OPEN else m.flexible[0]},"
                   f" &{m.c_name}_desc, {store_of(m)}}};")
    ordered = sorted(messages, key=lambda m: m.name)
    out.append("const struct proto_message *const proto_messages_by_name[] = {")
    out.extend(f"    &{m.c_name}_msg," for m in ordered)
    out.append("};")
    out.append(f"const size_t proto_messages_n = {len(ordered)};")
    for table, chosen in (
            ("proto_requests_by_key", [m for m in messages if m.kind == "request"]),
            ("proto_responses_by_key", [m for m in messages if m.kind == "response"]),
            ("proto_metadata_by_type",
             [m for m in messages if store_of(m) == "PROTO_STORE_METADATA"])):
        by_key = {m.key: m for m in chosen}
        if len(by_key) != len(chosen):
            raise SchemaError(f"two messages have the same key in {table}")
        out.append(f"const struct proto_message *const {table}[] = {{")
        for key in range(max(by_key) + 1):
            out.append(f"    &{by_key[key].c_name}_msg," if key in by_key else "    NULL,")
        out.append("};")
        out.append(f"const size_t {table}_n = {max(by_key) + 1};")
    out.extend(apis[1])
    out.extend(errors[1])
    out.extend(enums[1])
    out.extend(features[1])
    return out


# ---- tables from .tsv --------------------------------------------------------------------------


def rows(path):
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def remarks(path):
    for line in path.read_text().splitlines():
        if line.startswith("# ") and "\t" in line:
            yield line[2:].split("\t")


def header(guard, includes=()):
    return ["/* Made by gen.py from proto/schema: do not edit. */", f"#ifndef {guard}",
            f"#define {guard}", ""] + [f"#include {i}" for i in includes] + [""]


def c_bool(text):
    return "true" if text in ("true", "yes") else "false"


def advertised(text):
    return "-1, -1" if text == "-" else text.replace("-", ", ")


def emit_apis(path):
    head = header("PROTO_APIS_H", ("<stdbool.h>", "<stddef.h>", "<stdint.h>"))
    head.append("enum {")
    table = ["const struct proto_api proto_api_table[] = {"]
    last = -1
    for r in rows(path):
        key, name = int(r[0]), r[1]
        if key != last + 1:
            raise SchemaError(f"{path}: API keys have a gap before {key}")
        last = key
        head.append(f"    API_{snake(name).upper()} = {key},")
        vmin, vmax, unstable = (("0", "-1", "-1") if r[2] == "none" else r[2:5])
        flexible = "INT16_MAX" if r[6] in ("never", "-") else r[6]
        listeners = r[5].split(",")
        table.append(f'    {{{key}, "{name}", {vmin}, {vmax}, {unstable}, {flexible},'
                     f" {c_bool(str('broker' in listeners).lower())},"
                     f" {c_bool(str('controller' in listeners).lower())}, {c_bool(r[9])},"
                     f" {c_bool(r[10])}, {advertised(r[11])}, {advertised(r[12])}}},")
    head += [f"    API_KEY_MAX = {last},", "};", ""]
    head += [
        "/* One API of Kafka 4.3. version_max < 0: retired, nothing is served. */",
        "struct proto_api {",
        "    int16_t key;",
        "    const char *name;             /* \"Produce\" */",
        "    int16_t version_min;          /* served */",
        "    int16_t version_max;",
        "    int16_t version_max_unstable; /* with unstable.api.versions.enable */",
        "    int16_t flexible_from;        /* INT16_MAX: never */",
        "    bool broker_listener;         /* served there */",
        "    bool controller_listener;",
        "    bool cluster_action;          /* only for nodes of the cluster */",
        "    bool forwarded;               /* a broker hands it to the controller */",
        "    int16_t broker_min;           /* what ApiVersions says on a broker's listener; -1: not listed */",
        "    int16_t broker_max;",
        "    int16_t controller_min;       /* and on a controller's */",
        "    int16_t controller_max;",
        "};",
        "",
        "const struct proto_api *proto_api(int16_t key); /* NULL if the key is unknown */",
        "const struct proto_api *proto_apis(size_t *n);  /* all, index = key */",
        "extern const struct proto_api proto_api_table[];",
        "", "#endif"]
    table.append("};")
    return head, table


def emit_errors(path):
    head = header("PROTO_ERRORS_H", ("<stdbool.h>", "<stdint.h>"))
    head.append("enum kafka_error {")
    table = ["const struct kafka_error_row kafka_error_rows[] = {"]
    last = -2
    for code, name, retriable, invalidates, cls in rows(path):
        if int(code) != last + 1:
            raise SchemaError(f"{path}: error codes have a gap before {code}")
        last = int(code)
        head.append(f"    KE_{name} = {code},")
        cls = "NULL" if cls == "-" else f'"{cls}"'
        table.append(f'    {{"{name}", {cls}, {c_bool(retriable)}, {c_bool(invalidates)}}},')
    head += [f"    KE_MAX = {last},", "};", "",
             "/* \"NOT_LEADER_OR_FOLLOWER\"; \"UNKNOWN_SERVER_ERROR\" for a code that Kafka does not have. */",
             "const char *kafka_error_name(int16_t code);",
             "/* The class of Kafka's Java client without its package, as its tools print it; NULL for NONE. */",
             "const char *kafka_error_class(int16_t code);",
             "bool kafka_error_retriable(int16_t code);",
             "/* A client that gets it must refresh its metadata. */",
             "bool kafka_error_invalidates_metadata(int16_t code);", "",
             "struct kafka_error_row {", "    const char *name;", "    const char *client_class;",
             "    bool retriable;", "    bool invalidates_metadata;", "};",
             "extern const struct kafka_error_row kafka_error_rows[]; /* index = code + 1 */",
             "", "#endif"]
    table.append("};")
    return head, table


def c_name(text):
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()


def emit_enums(path):
    head = header("PROTO_ENUMS_H", ("<stddef.h>", "<stdint.h>"))
    head += ["/* Numeric codes and constants of Kafka: K_GROUP_NAME; texts are macros of that name, or",
             " * K_GROUP_NAME_TEXT where there is a number, too. */"]
    table = ["const struct kafka_enum_row kafka_enum_rows[] = {"]
    groups = {}
    for r in rows(path):
        group, name, code, text = (r + [""])[:4] if len(r) < 4 else r
        groups.setdefault(group, {})[name] = (code, text)
    n = 0
    for group, names in groups.items():
        coded = {k: v for k, v in names.items() if re.fullmatch(r"-?\d+", v[0])}
        if coded:
            head.append(f"enum kafka_{c_name(group).lower()} {{")
            head.extend(f"    K_{c_name(group)}_{name} = {'INT32_MIN' if int(code) == -2**31 else code},"
                        for name, (code, _) in coded.items())
            head.append("};")
        for name, (code, text) in names.items():
            suffix = "_TEXT" if name in coded else ""
            if text != "-" and not text.startswith("["):
                head.append(f'#define K_{c_name(group)}_{name}{suffix} "{text}"')
            if name in coded:
                label = "NULL" if text == "-" else f'"{text}"'
                table.append(f'    {{"{group}", "{name}", {label}, {code}}},')
                n += 1
    head += ["", "struct kafka_enum_row {", "    const char *group; /* \"control-record\" */",
             "    const char *name;  /* \"LEADER_CHANGE\" */",
             "    const char *text;  /* the value in text form, or NULL */", "    int64_t code;",
             "};", "extern const struct kafka_enum_row kafka_enum_rows[];",
             "extern const size_t kafka_enum_rows_n;",
             "/* The name of a code, or NULL. */",
             "const char *kafka_enum_name(const char *group, int64_t code);",
             "", "#endif"]
    table += ["};", f"const size_t kafka_enum_rows_n = {n};"]
    return head, table


MV_COLUMNS = ("RegisterBrokerRecord", "PartitionRecord", "PartitionChangeRecord", "Fetch", "ListOffsets")


def emit_metadata_versions(found):
    flags = sorted({w for _, _, _, notes in found for w in notes
                    if "=" not in w and re.fullmatch(r"[A-Z]\w+", w)})
    head = ["/* What a level of metadata.version turns on. */", "enum {"]
    head.extend(f"    MV_{snake(w).upper()} = 1 << {i}," for i, w in enumerate(flags))
    head += ["};", "", "struct proto_metadata_version {", "    int16_t level;",
             "    const char *name;      /* \"4.3-IV0\" */", "    bool production;",
             "    bool metadata_changed; /* against the level before */",
             "    int16_t register_broker_record; /* versions of records to write, of requests to send */",
             "    int16_t partition_record;", "    int16_t partition_change_record;", "    int16_t fetch;",
             "    int16_t list_offsets;", "    uint32_t flags; /* MV_ */", "};",
             "extern const struct proto_metadata_version proto_metadata_versions[];",
             "extern const size_t proto_metadata_versions_n;",
             "/* NULL if there is no such level. */",
             "const struct proto_metadata_version *proto_metadata_version(int16_t level);", ""]
    table = ["const struct proto_metadata_version proto_metadata_versions[] = {"]
    for level, name, production, notes in found:
        values = dict(w.split("=", 1) for w in notes if "=" in w)
        bits = "|".join(f"MV_{snake(w).upper()}" for w in flags if w in notes)
        table.append(f'    {{{level}, "{name}", {c_bool(production)}, {c_bool(values["metadata-changed"])},'
                     f" {', '.join(values[c] for c in MV_COLUMNS)}, {bits}}},")
    table += ["};", f"const size_t proto_metadata_versions_n = {len(found)};"]
    return head, table


def emit_features(path, apis_path):
    supported, finalized = {}, {}
    for r in remarks(apis_path):
        for word, into in (("feature supported", supported), ("feature finalized", finalized)):
            if r[0] == f"{word} (broker listener)":
                into[r[1]] = (int(r[2]), int(r[3]))
    levels, mvs, defaults = [], [], {}
    for feature, level, name, production, at, depends, notes in (r + [""] * (7 - len(r)) for r in rows(path)):
        levels.append((feature, level, name, production, at, depends))
        if feature == "metadata.version":
            mvs.append((int(level), name, production, notes.split(";")))
    for line in path.read_text().splitlines():
        m = re.fullmatch(r"# (\S+): default level per metadata.version: (.*)", line)
        if m:
            defaults[m.group(1)] = [int(w.split("=")[1]) for w in m.group(2).split()]
    head = header("PROTO_FEATURES_H", ("<stdbool.h>", "<stddef.h>", "<stdint.h>"))
    mv_head, table = emit_metadata_versions(mvs)
    head += mv_head
    head += ["/* A feature as ApiVersions lists it. */", "struct proto_feature {",
             "    const char *name;", "    int16_t supported_min;", "    int16_t supported_max;",
             "    int16_t finalized; /* level of a new cluster of this release; 0: not finalized */",
             "    const uint8_t *default_at; /* level of a new cluster by index of proto_metadata_versions; NULL for metadata.version */",
             "};", "extern const struct proto_feature proto_features[];",
             "extern const size_t proto_features_n;",
             "const struct proto_feature *proto_feature(const char *name); /* NULL if there is none */", "",
             "/* One level of a feature. */", "struct proto_feature_level {", "    const char *feature;",
             "    int16_t level;", "    const char *name; /* \"TV_2\" */", "    bool production;",
             "    int16_t default_from; /* first metadata.version of which a new cluster has it; -1 none */",
             "    int16_t needs_metadata_version; /* lowest one it may be used with; -1 any */", "};",
             "extern const struct proto_feature_level proto_feature_levels[];",
             "extern const size_t proto_feature_levels_n;", "", "#endif"]
    for name in supported:
        if name in defaults:
            if len(defaults[name]) != len(mvs):
                raise SchemaError(f"{path}: defaults of {name} do not match the metadata versions")
            table.append(f"static const uint8_t feature_{c_name(name).lower()}[] ="
                         f" {{{', '.join(map(str, defaults[name]))}}};")
    table.append("const struct proto_feature proto_features[] = {")
    for name, (low, high) in supported.items():
        at = f"feature_{c_name(name).lower()}" if name in defaults else "NULL"
        table.append(f'    {{"{name}", {low}, {high}, {finalized.get(name, (0, 0))[1]}, {at}}},')
    table += ["};", f"const size_t proto_features_n = {len(supported)};",
              "const struct proto_feature_level proto_feature_levels[] = {"]
    for feature, level, name, production, at, depends in levels:
        since = at.rpartition("=")[2] if at != "-" else "-1"
        m = re.fullmatch(r"metadata\.version>=(\d+)", depends)
        if depends not in ("-", "") and not m:
            raise SchemaError(f"{path}: dependency '{depends}' is not understood")
        table.append(f'    {{"{feature}", {level}, "{name}", {c_bool(production)}, {since},'
                     f" {m.group(1) if m else -1}}},")
    table += ["};", f"const size_t proto_feature_levels_n = {len(levels)};"]
    return head, table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--schema", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    paths = sorted(args.schema.glob("*.msg")) + sorted((args.schema / "records").glob("*.msg"))
    messages = [Message(p) for p in paths]
    apis = emit_apis(args.schema / "apis.tsv")
    errors = emit_errors(args.schema / "errors.tsv")
    enums = emit_enums(args.schema / "enums.tsv")
    features = emit_features(args.schema / "features.tsv", args.schema / "apis.tsv")
    files = {"proto_messages.h": emit_structs(messages), "proto_apis.h": apis[0],
             "proto_errors.h": errors[0], "proto_enums.h": enums[0], "proto_features.h": features[0],
             "proto_messages.c": emit_tables(messages, apis, errors, enums, features)}
    for name, lines in files.items():
        (args.out / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    try:
        main()
    except SchemaError as e:
        sys.exit(f"gen.py: {e}")
