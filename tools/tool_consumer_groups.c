/* millrace consumer-groups: list, describe, reset and delete consumer groups and their offsets,
 * with the options and output of kafka-consumer-groups.sh; and --explain, which is ours. Groups and
 * partitions come sorted (Kafka's order is that of a hash table). What fails for one group or
 * partition is said where Kafka's tool says it; the exit status is then 1 (Kafka's is 0). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto_errors.h"
#include "tools/columns.h"
#include "tools/consumer_groups.h"
#include "tools/re2_check.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"list", ARG_FLAG, NULL, "List groups."},
    {"describe", ARG_FLAG, NULL, "Show committed offsets and how far behind they are."},
    {"delete", ARG_FLAG, NULL, "Delete groups that have no members."},
    {"reset-offsets", ARG_FLAG, NULL,
     "Show other offsets for a group, or with --execute set them."},
    {"delete-offsets", ARG_FLAG, NULL, "Delete what a group has committed for a topic."},
    {"explain", ARG_VALUE, "GROUP",
     "Say in sentences what happened in the group last and why (Millrace's brokers)."},
    {"validate-regex", ARG_VALUE, "REGEX", "Is this a regular expression of RE2? Asks no server."},
    {"group", ARG_LIST, "ID", "The group."},
    {"all-groups", ARG_FLAG, NULL, "All groups instead of --group."},
    {"topic", ARG_LIST, "TOPIC[:N,N]", "A topic, or some of its partitions."},
    {"all-topics", ARG_FLAG, NULL, "With --reset-offsets: whatever the group has committed."},
    {"offsets", ARG_FLAG, NULL, "With --describe: offsets (as without it)."},
    {"members", ARG_FLAG, NULL, "With --describe: who is in the group."},
    {"state", ARG_OPTIONAL, "STATE,...",
     "With --describe: the group's state; with --list: the states, or only groups in these."},
    {"type", ARG_OPTIONAL, "TYPE,...", "With --list: the types, or only groups of these."},
    {"verbose", ARG_FLAG, NULL, "With --describe: more columns."},
    {"timeout", ARG_VALUE, "MS", "How long to wait for a group's coordinator (30000)."},
    {"dry-run", ARG_FLAG, NULL, "With --reset-offsets: only show."},
    {"execute", ARG_FLAG, NULL, "With --reset-offsets: do it."},
    {"export", ARG_FLAG, NULL, "With --reset-offsets: show it as lines for --from-file."},
    {"to-earliest", ARG_FLAG, NULL, "To the first record."},
    {"to-latest", ARG_FLAG, NULL, "To the end."},
    {"to-current", ARG_FLAG, NULL, "To what is committed."},
    {"to-offset", ARG_VALUE, "OFFSET", "To this offset."},
    {"shift-by", ARG_VALUE, "N", "From what is committed by N, which may be negative."},
    {"to-datetime", ARG_VALUE, "YYYY-MM-DDTHH:mm:ss.sss",
     "To the first record since then; UTC, or with +hh:mm behind it."},
    {"by-duration", ARG_VALUE, "PnDTnHnMnS", "To the first record of that long ago."},
    {"from-file", ARG_VALUE, "FILE",
     "To lines of topic,partition,offset, or group,topic,partition,offset."},
    {"json", ARG_FLAG, NULL,
     "With --list, --describe, --explain and --reset-offsets (without --execute): print one line "
     "of JSON instead, for programs."},
};

static const struct args_spec spec = {
    .tool = "consumer-groups",
    .about = "list, describe, reset and delete consumer groups",
    .examples =
        "  millrace consumer-groups --bootstrap-server localhost:9092 --list --state\n"
        "  millrace consumer-groups --bootstrap-server localhost:9092 --describe --group billing\n"
        "  millrace consumer-groups --bootstrap-server localhost:9092 --describe --all-groups "
        "--members --verbose\n"
        "  millrace consumer-groups --bootstrap-server localhost:9092 --explain billing\n"
        "  millrace consumer-groups --bootstrap-server localhost:9092 --reset-offsets --group "
        "billing --topic orders:0,1 --to-datetime 2026-11-28T08:00:00.000 --execute\n"
        "  millrace consumer-groups --bootstrap-server localhost:9092 --delete-offsets --group "
        "billing --topic orders\n"
        "  millrace consumer-groups --bootstrap-server localhost:9092 --delete --group billing\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

/* ---- what the actions share ---- */

void cg_error(struct cg *x, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("\nError: ");
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
    x->failed = true;
}

const char *cg_exception(int16_t code, struct bytes message, char *out, size_t n)
{
    const char *class = kafka_error_class(code);
    struct bytes text = message.len ? message : bytes_str(group_client_error_text(code));
    snprintf(out, n, "org.apache.kafka.common.errors.%s: %.*s",
             class ? class : "UnknownServerException", BYTES_FMT(text));
    return out;
}

static int ref_cmp(const void *a, const void *b)
{
    return bytes_cmp(((const struct group_ref *)a)->id, ((const struct group_ref *)b)->id);
}

static bool is_consumer_group(const struct group_listing *l)
{
    return l->protocol_type.len == 0 || bytes_eq_str(l->protocol_type, "consumer");
}

int cg_selected(struct cg *x, struct group_ref **out, size_t *n)
{
    size_t given = 0, listed = 0;
    const char *const *names = args_list(&x->a, "group");
    struct group_listing *v = NULL;
    struct bytes types[] = {bytes_str("Consumer"), bytes_str("Classic")};
    int rv = args_has(&x->a, "all-groups")
                 ? group_client_list(&x->g, NULL, 0, types, ARRAY_LEN(types), &v, &listed)
                 : 0;
    if (rv) {
        return rv;
    }
    while (listed == 0 && v == NULL && names[given]) {
        given++;
    }
    struct group_ref *refs = ARENA_ARRAY(&x->g.c.arena, struct group_ref, given + listed + 1);
    *n = 0;
    for (size_t i = 0; i < given; i++) {
        refs[(*n)++] = (struct group_ref){bytes_str(names[i]), CLIENT_ANY};
    }
    for (size_t i = 0; i < listed; i++) {
        if (is_consumer_group(&v[i])) {
            refs[(*n)++] = (struct group_ref){v[i].id, CLIENT_ANY};
        }
    }
    qsort(refs, *n, sizeof *refs, ref_cmp);
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        if (kept == 0 || !bytes_eq(refs[kept - 1].id, refs[i].id)) {
            refs[kept++] = refs[i];
        }
    }
    *n = kept;
    *out = refs;
    return group_client_find(&x->g, refs, kept);
}

static struct part_offset *grow(struct cg *x, struct part_offset **v, size_t n, size_t more)
{
    struct part_offset *bigger = ARENA_ARRAY(&x->g.c.arena, struct part_offset, n + more);
    memcpy(bigger, *v ? *v : bigger, n * sizeof *bigger);
    *v = bigger;
    return bigger + n;
}

static struct part_offset part_of(struct bytes topic, int32_t partition)
{
    return (struct part_offset){
        .topic = topic, .partition = partition, .leader = -1, .epoch = -1, .offset = -1};
}

static int parse_partitions(struct cg *x, const char *arg, struct part_offset **v, size_t *n)
{
    const char *colon = strchr(arg, ':');
    if (strchr(colon + 1, ':') || colon == arg || colon[1] == 0) {
        args_fail(&x->a, "Invalid topic arg '%s', expected topic name and partitions", arg);
    }
    struct bytes topic = bytes_of(arg, (size_t)(colon - arg));
    struct part_offset *at = grow(x, v, *n, strlen(colon));
    for (const char *s = colon + 1;; s++) {
        char *end;
        long p = strtol(s, &end, 10);
        if (end == s || (*end && *end != ',') || p < INT32_MIN || p > INT32_MAX) {
            args_fail(&x->a, "Invalid partition '%.*s' specified in topic arg '%s''",
                      (int)strcspn(s, ","), s, arg);
        }
        *at++ = part_of(topic, (int32_t)p);
        ++*n;
        s = end;
        if (*s == 0) {
            return 0;
        }
    }
}

int cg_parse_topic(struct cg *x, const char *arg, struct part_offset **v, size_t *n, bool *missing)
{
    *missing = false;
    if (strchr(arg, ':')) {
        return parse_partitions(x, arg, v, n);
    }
    const struct metadata_response_metadata_response_topic *t =
        topic_in_metadata(&x->g.c, bytes_str(arg));
    *missing = t == NULL;
    struct part_offset *at = t ? grow(x, v, *n, (size_t)t->partitions_n) : NULL;
    for (int32_t i = 0; t && i < t->partitions_n; i++) {
        *at++ = part_of(t->name, t->partitions[i].partition_index);
        ++*n;
    }
    return 0;
}

/* ---- --list ---- */

struct words {
    struct bytes v[16];
    int32_t n;
};

/* "stable, empty" in any letters, each one of known (ends with NULL). */
static void split(struct cg *x, const char *option, const char *const *known, struct words *out)
{
    const char *text = args_get(&x->a, option, "");
    char *copy = arena_strndup(&x->g.c.arena, text, strlen(text)), *save = NULL;
    for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        char word[32];
        size_t i = 0;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(s + strspn(s, " "), " "),
                 s + strspn(s, " "));
        while (known[i] && strcasecmp(known[i], word) != 0) {
            i++;
        }
        if (known[i] == NULL || (size_t)out->n == ARRAY_LEN(out->v)) {
            struct buf all = {0};
            for (i = 0; known[i]; i++) {
                buf_printf(&all, "%s%s", i ? ", " : "", known[i]);
            }
            args_fail(&x->a, "Invalid %s list '%s'. Valid %ss are: %s", option, text, option,
                      buf_cstr(&all));
        }
        out->v[out->n++] = bytes_str(known[i]);
    }
}

static void json_list(const struct group_listing *v, size_t n)
{
    json_t *all = listing_new("consumer-groups");
    for (size_t i = 0; i < n; i++) {
        if (is_consumer_group(&v[i])) {
            json_group(listing_item(all), &v[i]);
        }
    }
    listing_print(all);
}

static int list(struct cg *x)
{
    static const char *const states[] = {
        "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty",
        "Assigning",          "Reconciling",         NULL};
    static const char *const types[] = {"Consumer", "Classic", NULL};
    bool with_type = args_has(&x->a, "type"), with_state = args_has(&x->a, "state");
    struct words s = {.n = 0}, t = {.n = 0};
    split(x, "state", states, &s);
    split(x, "type", types, &t);
    if (t.n == 0) {
        t = (struct words){.v = {bytes_str("Consumer"), bytes_str("Classic")}, .n = 2};
    }
    struct group_listing *v;
    size_t n;
    int rv = group_client_list(&x->g, s.v, s.n, t.v, t.n, &v, &n);
    if (rv == 0 && args_has(&x->a, "json")) {
        json_list(v, n);
        return 0;
    }
    struct column columns[3] = {{"GROUP", 15, true}};
    size_t columns_n = 1;
    if (with_type) {
        columns[columns_n++] = (struct column){"TYPE", 20, false};
    }
    if (with_state) {
        columns[columns_n++] = (struct column){"STATE", 20, false};
    }
    struct table table;
    table_begin(&table, columns, columns_n);
    for (size_t i = 0; rv == 0 && i < n; i++) {
        if (!is_consumer_group(&v[i])) {
            continue;
        }
        struct bytes *row = table_row(&table);
        columns[0].width = v[i].id.len > columns[0].width ? v[i].id.len : columns[0].width;
        row[0] = v[i].id;
        if (with_type) {
            row[1] = v[i].type.len ? v[i].type : bytes_str("Unknown");
        }
        if (with_state) {
            row[columns_n - 1] = v[i].state.len ? v[i].state : bytes_str("Unknown");
        }
        if (columns_n == 1) {
            printf("%.*s\n", BYTES_FMT(v[i].id));
        }
    }
    columns[0].width += 10;
    if (rv == 0 && columns_n > 1) {
        table_print(&table);
    }
    table_free(&table);
    return rv;
}

/* ---- --delete, --delete-offsets ---- */

static int delete_groups(struct cg *x)
{
    struct group_ref *v;
    size_t n;
    int rv = cg_selected(x, &v, &n);
    struct buf gone = {0}, kept = {0};
    for (size_t i = 0; rv == 0 && i < n; i++) {
        int16_t code;
        char text[300];
        rv = group_client_delete(&x->g, &v[i], &code);
        if (rv == 0 && code) {
            buf_printf(&kept, "* Group '%.*s' could not be deleted due to: %s\n",
                       BYTES_FMT(v[i].id), cg_exception(code, BYTES_NULL, text, sizeof text));
        } else if (rv == 0) {
            buf_printf(&gone, "%s'%.*s'", gone.len ? ", " : "", BYTES_FMT(v[i].id));
        } else {
            buf_printf(&kept, "* Group '%.*s' could not be deleted due to: %s\n",
                       BYTES_FMT(v[i].id), x->g.c.error.text);
            rv = 0;
        }
    }
    if (rv == 0 && kept.len == 0) {
        printf("Deletion of requested consumer groups (%s) was successful.\n", buf_cstr(&gone));
    } else if (rv == 0) {
        cg_error(x, "Deletion of some consumer groups failed:");
        fputs(buf_cstr(&kept), stdout);
        if (gone.len) {
            printf("\nThese consumer groups were deleted successfully: %s\n", buf_cstr(&gone));
        }
    }
    buf_free(&gone);
    buf_free(&kept);
    return rv;
}

/* By topic and partition put together, as text: t-10 before t-2, as Kafka's tool has it. */
static int by_text(const void *a, const void *b)
{
    const struct part_offset *x = a, *y = b;
    char s[300], t[300];
    snprintf(s, sizeof s, "%.*s%d", BYTES_FMT(x->topic), x->partition);
    snprintf(t, sizeof t, "%.*s%d", BYTES_FMT(y->topic), y->partition);
    return strcmp(s, t);
}

static void print_deleted(struct cg *x, struct part_offset *v, size_t n)
{
    static const struct column columns[] = {
        {"TOPIC", 15, true}, {"PARTITION", 10, false}, {"STATUS", 15, false}};
    struct table t;
    char text[300];
    table_begin(&t, columns, ARRAY_LEN(columns));
    qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++) {
        struct bytes *row = table_row(&t);
        row[0] = v[i].topic;
        row[1] = cell_number(&x->g.c.arena, v[i].partition);
        row[2] = bytes_str(
            v[i].error ? arena_printf(&x->g.c.arena, "Error: %s",
                                      cg_exception(v[i].error, BYTES_NULL, text, sizeof text))
                       : "Successful");
    }
    putchar('\n');
    table_print(&t);
    table_free(&t);
}

static void say_deleted(struct cg *x, int16_t code, const struct part_offset *v, size_t n)
{
    for (size_t i = 0; code == KE_NONE && i < n; i++) {
        code = v[i].error;
    }
    switch (code) {
    case KE_NONE:
        printf("Request succeeded for deleting offsets from group %s.\n",
               args_get(&x->a, "group", ""));
        break;
    case KE_INVALID_GROUP_ID:
    case KE_GROUP_ID_NOT_FOUND:
    case KE_GROUP_AUTHORIZATION_FAILED:
    case KE_NON_EMPTY_GROUP:
        cg_error(x, "%s", group_client_error_text(code));
        break;
    case KE_GROUP_SUBSCRIBED_TO_TOPIC:
    case KE_TOPIC_AUTHORIZATION_FAILED:
    case KE_UNKNOWN_TOPIC_OR_PARTITION:
        cg_error(x, "Encountered some partition-level error, see the follow-up details.");
        break;
    default:
        cg_error(x, "Encountered some unknown error: %s", kafka_error_name(code));
    }
}

static int delete_offsets(struct cg *x)
{
    struct part_offset *v = NULL;
    size_t n = 0;
    const char *const *topics = args_list(&x->a, "topic");
    size_t topics_n = 0, unknown_n = 0;
    while (topics[topics_n]) {
        topics_n++;
    }
    struct part_offset *unknown = ARENA_ARRAY(&x->g.c.arena, struct part_offset, topics_n + 1);
    struct group_ref *ref;
    size_t refs_n;
    int rv = cg_selected(x, &ref, &refs_n);
    for (const char *const *t = topics; rv == 0 && *t; t++) {
        bool missing;
        rv = cg_parse_topic(x, *t, &v, &n, &missing);
        if (missing) {
            unknown[unknown_n] = part_of(bytes_str(*t), -1);
            unknown[unknown_n++].error = KE_UNKNOWN_TOPIC_OR_PARTITION;
        }
    }
    if (rv) {
        return rv;
    }
    if (n) {
        qsort(v, n, sizeof *v, part_offset_cmp);
    }
    int16_t code = KE_NONE;
    rv = group_client_delete_offsets(&x->g, ref, v, n, &code);
    if (rv) {
        return rv;
    }
    for (size_t i = 0; i < n; i++) {
        v[i].error = code ? code : v[i].error;
    }
    say_deleted(x, code, v, n);
    memcpy(grow(x, &v, n, unknown_n + 1), unknown, unknown_n * sizeof *unknown);
    print_deleted(x, v, n + unknown_n);
    x->failed |= unknown_n > 0;
    return 0;
}

/* ---- options that go together ---- */

static const char *const actions[] = {"list",           "describe",       "delete", "reset-offsets",
                                      "delete-offsets", "validate-regex", "explain"};
static const char *const scenarios[] = {"to-offset",   "shift-by",  "to-datetime", "by-duration",
                                        "to-earliest", "to-latest", "to-current",  "from-file"};

static size_t count(const struct args *a, const char *const *names, size_t n)
{
    size_t given = 0;
    for (size_t i = 0; i < n; i++) {
        given += args_has(a, names[i]);
    }
    return given;
}

static void only_with(const struct args *a, const char *option, const char *action,
                      const char *other)
{
    if (args_has(a, option) && !args_has(a, action) && !(other && args_has(a, other))) {
        args_fail(a, "Option(s) [%s] are unavailable given other options on the command line",
                  option);
    }
}

static void check_reset(const struct args *a)
{
    if (args_has(a, "dry-run") && args_has(a, "execute")) {
        args_fail(a, "Option [reset-offsets] only accepts one of [execute] and [dry-run]");
    }
    if (count(a, scenarios, ARRAY_LEN(scenarios)) > 1) {
        args_fail(a, "Only one of the options --to-offset, --shift-by, --to-datetime, "
                     "--by-duration, --to-earliest, --to-latest, --to-current and --from-file can "
                     "be given");
    }
    if (count(a, scenarios, ARRAY_LEN(scenarios)) == 0) {
        args_fail(a, "Option [reset-offsets] requires one of --to-offset, --shift-by, "
                     "--to-datetime, --by-duration, --to-earliest, --to-latest, --to-current and "
                     "--from-file");
    }
    if (!args_has(a, "all-topics") && !args_has(a, "topic") && !args_has(a, "from-file")) {
        args_fail(a, "One of the reset scopes should be defined: --all-topics, --topic.");
    }
    if (args_has(a, "json") && (args_has(a, "execute") || args_has(a, "export"))) {
        args_fail(a, "--json does not go with --%s", args_has(a, "execute") ? "execute" : "export");
    }
    args_int(a, "to-offset", 0, INT64_MIN, INT64_MAX);
    args_int(a, "shift-by", 0, INT64_MIN, INT64_MAX);
    if (!args_has(a, "dry-run") && !args_has(a, "execute")) {
        fprintf(stderr, "WARN: nothing is changed without --execute; scripts that want that say "
                        "--dry-run.\n");
    }
}

static void check_describe(const struct args *a)
{
    static const char *const views[] = {"members", "offsets", "state"};
    if (count(a, views, ARRAY_LEN(views)) > 1) {
        args_fail(a, "Option [describe] takes at most one of these options: [members], [offsets], "
                     "[state]");
    }
    if (*args_get(a, "state", "")) {
        args_fail(a, "Option [describe] does not take a value for [state]");
    }
}

static void check(const struct args *a)
{
    if (count(a, actions, ARRAY_LEN(actions)) != 1) {
        args_fail(a, "Command must include exactly one action: --list, --describe, --delete, "
                     "--reset-offsets, --delete-offsets, --validate-regex, --explain");
    }
    if (args_has(a, "validate-regex")) {
        return;
    }
    args_require(a, "bootstrap-server");
    only_with(a, "members", "describe", NULL);
    only_with(a, "offsets", "describe", NULL);
    only_with(a, "verbose", "describe", NULL);
    if (!args_has(a, "explain") && !args_has(a, "reset-offsets")) {
        only_with(a, "json", "list", "describe");
    }
    only_with(a, "state", "describe", "list");
    only_with(a, "type", "list", NULL);
    bool selected = args_has(a, "group") || args_has(a, "all-groups");
    if ((args_has(a, "describe") || args_has(a, "delete") || args_has(a, "reset-offsets")) &&
        !selected) {
        args_fail(a, "Give the groups: --group or --all-groups");
    }
    if (args_has(a, "group") && args_has(a, "all-groups")) {
        args_fail(a, "Option \"[group]\" can't be used with option \"[all-groups]\"");
    }
    if (selected && (args_has(a, "list") || args_has(a, "explain"))) {
        args_fail(a, "--group and --all-groups do not go with this action");
    }
    if (args_has(a, "topic") && !args_has(a, "reset-offsets") && !args_has(a, "delete-offsets")) {
        args_fail(a, "Option topic does not go with this action");
    }
    if (args_has(a, "delete-offsets") &&
        (!args_has(a, "group") || !args_has(a, "topic") || args_list(a, "group")[1])) {
        args_fail(a, "Option [delete-offsets] takes one --group and at least one --topic");
    }
    if (args_has(a, "describe")) {
        check_describe(a);
    } else if (args_has(a, "reset-offsets")) {
        check_reset(a);
    }
}

static int validate_regex(const char *regex)
{
    char why[128];
    bool ok = re2_check(regex, why, sizeof why);
    if (ok) {
        printf("The regular expression `%s` is valid.\n", regex);
    } else {
        printf("The regular expression `%s` is invalid: %s.\n", regex, why);
    }
    return ok ? 0 : 1;
}

int tool_consumer_groups(int argc, char **argv)
{
    static int (*const run[])(struct cg *) = {list, cg_describe, delete_groups, cg_reset_offsets,
                                              delete_offsets};
    struct cg x = {.failed = false};
    args_parse(&x.a, &spec, argc, argv);
    check(&x.a);
    if (args_has(&x.a, "validate-regex")) {
        int status = validate_regex(args_get(&x.a, "validate-regex", ""));
        args_free(&x.a);
        return status;
    }
    int rv = group_client_open(&x.g, args_get(&x.a, "bootstrap-server", ""),
                               args_get(&x.a, "command-config", NULL),
                               args_int(&x.a, "timeout", 30000, 1, INT32_MAX));
    for (size_t i = 0; rv == 0 && i < ARRAY_LEN(run); i++) {
        rv = args_has(&x.a, actions[i]) ? run[i](&x) : 0;
    }
    if (rv == 0 && args_has(&x.a, "explain")) {
        rv = cg_explain(&x);
    }
    if (rv) {
        cg_error(&x, "Executing consumer group command failed due to %s", x.g.c.error.text);
    }
    group_client_close(&x.g);
    args_free(&x.a);
    return x.failed ? 1 : 0;
}
