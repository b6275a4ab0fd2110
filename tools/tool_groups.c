/* millrace groups: all groups of every kind, with the options and output of kafka-groups.sh; sorted
 * by name (Kafka's order is that of a hash table). */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tools/args.h"
#include "tools/columns.h"
#include "tools/group_client.h"
#include "tools/listing.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"list", ARG_FLAG, NULL, "List the groups. Required."},
    {"group-type", ARG_VALUE, "TYPE",
     "Only groups of this type: classic, consumer, share, streams."},
    {"protocol", ARG_VALUE, "NAME", "Only groups of this protocol, say consumer or connect."},
    {"consumer", ARG_FLAG, NULL,
     "Only groups of consumers: new ones, classic ones, and those that only commit offsets."},
    {"share", ARG_FLAG, NULL, "Only share groups."},
    {"streams", ARG_FLAG, NULL, "Only streams groups."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "groups",
    .about = "list groups of every kind",
    .examples = "  millrace groups --bootstrap-server localhost:9092 --list\n"
                "  millrace groups --bootstrap-server localhost:9092 --list --consumer\n"
                "  millrace groups --bootstrap-server localhost:9092 --list --group-type classic "
                "--protocol connect\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

static const char *const types[] = {"Classic", "Consumer", "Share", "Streams"};

/* As the broker spells it; NULL: there is no such type. */
static const char *type_named(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcasecmp(types[i], text) == 0) {
            return types[i];
        }
    }
    return NULL;
}

static bool wanted(const struct args *a, const struct group_listing *g)
{
    const char *type = args_get(a, "group-type", NULL);
    const char *protocol = args_get(a, "protocol", NULL);
    bool is_protocol = protocol == NULL || bytes_eq_str(g->protocol_type, protocol);
    if (type) {
        return bytes_eq_str(g->type, type_named(type)) && is_protocol;
    }
    if (protocol) {
        return is_protocol;
    }
    if (args_has(a, "consumer")) {
        return g->protocol_type.len == 0 || bytes_eq_str(g->protocol_type, "consumer") ||
               bytes_eq_str(g->type, "Consumer");
    }
    return (!args_has(a, "share") || bytes_eq_str(g->type, "Share")) &&
           (!args_has(a, "streams") || bytes_eq_str(g->type, "Streams"));
}

static void print_json(const struct args *a, const struct group_listing *v, size_t n)
{
    json_t *all = listing_new("groups");
    for (size_t i = 0; i < n; i++) {
        if (wanted(a, &v[i])) {
            json_group(listing_item(all), &v[i]);
        }
    }
    listing_print(all);
}

static void print(const struct args *a, const struct group_listing *v, size_t n)
{
    size_t width = 20;
    for (size_t i = 0; i < n; i++) {
        if (wanted(a, &v[i])) {
            width = v[i].id.len > width ? v[i].id.len : width;
            width = v[i].protocol_type.len > width ? v[i].protocol_type.len : width;
        }
    }
    const struct column columns[] = {
        {"GROUP", width, false}, {"TYPE", width, false}, {"PROTOCOL", width, false}};
    struct table t;
    table_begin(&t, columns, ARRAY_LEN(columns));
    t.row_end = " "; /* as Kafka's tool has it */
    for (size_t i = 0; i < n; i++) {
        if (wanted(a, &v[i])) {
            struct bytes *row = table_row(&t);
            row[0] = v[i].id;
            row[1] = v[i].type;
            row[2] = v[i].protocol_type;
        }
    }
    table_print(&t);
    table_free(&t);
}

static void check(const struct args *a)
{
    static const char *const kinds[] = {"consumer", "share", "streams"};
    args_require(a, "bootstrap-server");
    if (!args_has(a, "list")) {
        args_fail(a, "Command must include exactly one action: --list.");
    }
    if (args_has(a, "group-type") && !type_named(args_get(a, "group-type", ""))) {
        args_fail(a,
                  "--group-type must be a valid group type: classic, consumer, share or streams.");
    }
    size_t given = args_has(a, "group-type") || args_has(a, "protocol");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        given += args_has(a, kinds[i]);
    }
    if (given > 1) {
        args_fail(a, "Only one of --consumer, --share, --streams, or --group-type and --protocol, "
                     "can be given");
    }
}

int tool_groups(int argc, char **argv)
{
    struct args a;
    struct group_client g;
    struct group_listing *v;
    size_t n;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    int rv = group_client_open(&g, args_get(&a, "bootstrap-server", ""),
                               args_get(&a, "command-config", NULL), 30000);
    rv = rv ? rv : group_client_list(&g, NULL, 0, NULL, 0, &v, &n);
    if (rv) {
        printf("Error while executing groups command : %s\n", g.c.error.text);
    } else if (args_has(&a, "json")) {
        print_json(&a, v, n);
    } else {
        print(&a, v, n);
    }
    group_client_close(&g);
    args_free(&a);
    return rv ? 1 : 0;
}
