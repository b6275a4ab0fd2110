/* millrace metadata-quorum: who keeps the cluster's metadata, and how far each has come, as
 * kafka-metadata-quorum.sh prints it. The voters of a cluster are those of controller.quorum.voters
 * on every node: add-controller and remove-controller say what they would do with --dry-run, and
 * are refused otherwise, as by Kafka while kraft.version is 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "broker/config.h"
#include "controller/format.h"
#include "proto_apis.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/columns.h"
#include "tools/listing.h"
#include "tools/server_config.h"
#include "tools/storage.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to."},
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT,...", "Or the controllers to connect to."},
    {"command-config", ARG_VALUE, "FILE",
     "Client settings in a properties file; for add-controller the server.properties of the "
     "controller to be added."},
    {"status", ARG_FLAG, NULL, "The leader, its epoch, the voters and observers."},
    {"replication", ARG_FLAG, NULL, "A row a node: where its log ends, how far it lags."},
    {"human-readable", ARG_FLAG, NULL, "With --replication: times as how long ago."},
    {"controller-id", ARG_VALUE, "ID", "The controller to be removed."},
    {"controller-directory-id", ARG_VALUE, "UUID", "The directory of its metadata log."},
    {"dry-run", ARG_FLAG, NULL, "Only say what would be done."},
    ARG_JSON,
};

static const struct arg_command commands[] = {
    {"describe", "Show the quorum.", "status replication human-readable json"},
    {"add-controller", "Make a controller a voter (not served: voters are static).", "dry-run"},
    {"remove-controller", "Make a voter none (not served: voters are static).",
     "controller-id controller-directory-id dry-run"},
};

static const struct args_spec spec = {
    .tool = "metadata-quorum",
    .about = "show the metadata quorum",
    .examples =
        "  millrace metadata-quorum --bootstrap-server localhost:9092 describe --status\n"
        "  millrace metadata-quorum --bootstrap-controller localhost:9093 describe --replication "
        "--human-readable\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
    .commands = commands,
    .commands_n = ARRAY_LEN(commands),
    .letters = "i=controller-id d=controller-directory-id",
};

#define quorum_data  struct describe_quorum_response_partition_data
#define replica_data struct describe_quorum_response_replica_state

struct quorum {
    const struct describe_quorum_response *all;
    const quorum_data *log;
    const replica_data *leader; /* among the voters */
    int64_t now_ms;
};

static int ask(struct client *c, struct quorum *q)
{
    struct describe_quorum_response *resp;
    int rv = client_quorum(c, &resp);
    if (rv) {
        return rv;
    }
    const quorum_data *log = &resp->topics[0].partitions[0];
    *q = (struct quorum){.all = resp, .log = log, .now_ms = wall_ms()};
    for (int32_t i = 0; i < log->current_voters_n; i++) {
        if (log->current_voters[i].replica_id == log->leader_id) {
            q->leader = &log->current_voters[i];
        }
    }
    return q->leader ? 0
                     : errmsg_set(&c->error, ERR_NOTFOUND,
                                  "The metadata quorum has no leader at the moment");
}

/* ---- describe --status ---- */

static void print_endpoints(const struct quorum *q, int32_t id)
{
    for (int32_t i = 0; i < q->all->nodes_n; i++) {
        const struct describe_quorum_response_node *n = &q->all->nodes[i];
        for (int32_t k = 0; n->node_id == id && k < n->listeners_n; k++) {
            bool v6 = memchr(n->listeners[k].host.data, ':', n->listeners[k].host.len) != NULL;
            printf("%s\"%.*s://%s%.*s%s:%u\"", k ? ", " : ", \"endpoints\": [",
                   BYTES_FMT(n->listeners[k].name), v6 ? "[" : "", BYTES_FMT(n->listeners[k].host),
                   v6 ? "]" : "", n->listeners[k].port);
            printf("%s", k + 1 == n->listeners_n ? "]" : "");
        }
    }
}

static void print_replicas(const struct quorum *q, const char *heading, const replica_data *v,
                           int32_t n)
{
    printf("%-24s[", heading);
    for (int32_t i = 0; i < n; i++) {
        char id[UUID_TEXT];
        printf("%s{\"id\": %d", i ? ", " : "", v[i].replica_id);
        if (!uuid_is_zero(v[i].replica_directory_id)) {
            printf(", \"directoryId\": \"%s\"", uuid_text(v[i].replica_directory_id, id));
        }
        print_endpoints(q, v[i].replica_id);
        printf("}");
    }
    printf("]\n");
}

/* How long the voter that is furthest behind has been so; -1 if nobody knows. */
static int64_t lag_ms(const struct quorum *q, const replica_data *last)
{
    if (last == q->leader) {
        return 0;
    }
    bool known = q->leader->last_caught_up_timestamp >= 0 && last->last_caught_up_timestamp >= 0;
    return known ? q->leader->last_caught_up_timestamp - last->last_caught_up_timestamp : -1;
}

/* The first of the voters whose logs are shortest. */
static const replica_data *last_voter(const struct quorum *q)
{
    const replica_data *last = &q->log->current_voters[0];
    for (int32_t i = 1; i < q->log->current_voters_n; i++) {
        if (q->log->current_voters[i].log_end_offset < last->log_end_offset) {
            last = &q->log->current_voters[i];
        }
    }
    return last;
}

static void print_status(const struct client *c, const struct quorum *q)
{
    const replica_data *last = last_voter(q);
    printf("ClusterId:              %.*s\n"
           "LeaderId:               %d\n"
           "LeaderEpoch:            %d\n"
           "HighWatermark:          %lld\n"
           "MaxFollowerLag:         %lld\n"
           "MaxFollowerLagTimeMs:   %lld\n",
           BYTES_FMT(c->cluster->cluster_id), q->log->leader_id, q->log->leader_epoch,
           (long long)q->log->high_watermark,
           (long long)(q->leader->log_end_offset - last->log_end_offset),
           (long long)lag_ms(q, last));
    print_replicas(q, "CurrentVoters:", q->log->current_voters, q->log->current_voters_n);
    print_replicas(q, "CurrentObservers:", q->log->observers, q->log->observers_n);
}

/* ---- describe --replication ---- */

struct rows {
    const struct quorum *q;
    struct arena *arena;
    struct table table;
    bool human;
};

static int put_time(struct rows *r, const char *what, int64_t ms, struct bytes *cell,
                    struct errmsg *em)
{
    if (ms >= 0 && r->human && (ms == 0 || ms > r->q->now_ms)) {
        return errmsg_set(em, ERR_INVALID,
                          "Cannot tell how long ago the %s was: it is noted as %lld, and this "
                          "machine's clock says %lld; do the clocks differ?",
                          what, (long long)ms, (long long)r->q->now_ms);
    }
    bool ago = ms >= 0 && r->human;
    *cell = bytes_str(arena_printf(r->arena, ago ? "%lld ms ago" : "%lld",
                                   (long long)(ago ? r->q->now_ms - ms : ms)));
    return 0;
}

static int put_row(struct rows *r, const replica_data *v, const char *status, struct errmsg *em)
{
    struct bytes *row = table_row(&r->table);
    char id[UUID_TEXT];
    row[0] = bytes_str(arena_printf(r->arena, "%d", v->replica_id));
    row[1] = bytes_str(arena_printf(r->arena, "%s", uuid_text(v->replica_directory_id, id)));
    row[2] = bytes_str(arena_printf(r->arena, "%lld", (long long)v->log_end_offset));
    row[3] = bytes_str(arena_printf(r->arena, "%lld",
                                    (long long)(r->q->leader->log_end_offset - v->log_end_offset)));
    row[6] = bytes_str(status);
    int rv = put_time(r, "last fetch", v->last_fetch_timestamp, &row[4], em);
    return rv ? rv : put_time(r, "last caught up", v->last_caught_up_timestamp, &row[5], em);
}

static int put_rows(struct rows *r, struct errmsg *em)
{
    const quorum_data *log = r->q->log;
    int rv = put_row(r, r->q->leader, "Leader", em);
    for (int32_t i = 0; i < log->current_voters_n && rv == 0; i++) {
        if (&log->current_voters[i] != r->q->leader) {
            rv = put_row(r, &log->current_voters[i], "Follower", em);
        }
    }
    for (int32_t i = 0; i < log->observers_n && rv == 0; i++) {
        rv = put_row(r, &log->observers[i], "Observer", em);
    }
    return rv;
}

static int print_replication(struct client *c, const struct quorum *q, bool human)
{
    static const struct column columns[] = {
        {"NodeId", 0, true}, {"DirectoryId", 0, true},        {"LogEndOffset", 0, true},
        {"Lag", 0, true},    {"LastFetchTimestamp", 0, true}, {"LastCaughtUpTimestamp", 0, true},
        {"Status", 0, true},
    };
    struct rows r = {.q = q, .arena = &c->arena, .human = human};
    table_begin(&r.table, columns, ARRAY_LEN(columns));
    r.table.tabs = true;
    int rv = put_rows(&r, &c->error);
    if (rv == 0) {
        table_print(&r.table);
    }
    table_free(&r.table);
    return rv;
}

/* ---- describe --json ---- */

static void json_nodes(const struct quorum *q, json_t *all, const replica_data *v, int32_t n,
                       const char *status)
{
    for (int32_t i = 0; i < n; i++) {
        json_t *o = listing_item(all);
        json_put_int(o, "nodeId", v[i].replica_id);
        json_put_uuid(o, "directoryId", v[i].replica_directory_id);
        json_put_text(o, "status", bytes_str(&v[i] == q->leader ? "Leader" : status));
        json_put_int(o, "logEndOffset", v[i].log_end_offset);
        json_put_int(o, "lag", q->leader->log_end_offset - v[i].log_end_offset);
        json_put_known(o, "lastFetchMs", v[i].last_fetch_timestamp);
        json_put_known(o, "lastCaughtUpMs", v[i].last_caught_up_timestamp);
        json_t *endpoints = json_put_array(o, "endpoints");
        for (int32_t k = 0; k < q->all->nodes_n; k++) {
            const struct describe_quorum_response_node *node = &q->all->nodes[k];
            for (int32_t m = 0; node->node_id == v[i].replica_id && m < node->listeners_n; m++) {
                json_t *e = json_add_object(endpoints);
                json_put_text(e, "listener", node->listeners[m].name);
                json_put_text(e, "host", node->listeners[m].host);
                json_put_int(e, "port", node->listeners[m].port);
            }
        }
    }
}

/* Both views at once: nodes as items, what is of the quorum as a whole beside them. */
static void print_json(const struct client *c, const struct quorum *q)
{
    json_t *all = listing_new("metadata-quorum");
    const replica_data *last = last_voter(q);
    json_put_text(all, "clusterId", c->cluster->cluster_id);
    json_put_int(all, "leaderId", q->log->leader_id);
    json_put_int(all, "leaderEpoch", q->log->leader_epoch);
    json_put_int(all, "highWatermark", q->log->high_watermark);
    json_put_int(all, "maxFollowerLag", q->leader->log_end_offset - last->log_end_offset);
    json_put_known(all, "maxFollowerLagMs", lag_ms(q, last));
    json_nodes(q, all, q->log->current_voters, q->log->current_voters_n, "Follower");
    json_nodes(q, all, q->log->observers, q->log->observers_n, "Observer");
    listing_print(all);
}

static int describe(struct client *c, const struct args *a)
{
    struct quorum q;
    bool status = args_has(a, "status"), replication = args_has(a, "replication");
    bool json = args_has(a, "json"), human = args_has(a, "human-readable");
    int rv = client_cluster(c);
    rv = rv ? rv : ask(c, &q);
    if (rv) {
        return rv;
    }
    if (json) {
        print_json(c, &q);
    } else if (replication) {
        rv = print_replication(c, &q, human);
    } else {
        ASSERT(status);
        print_status(c, &q);
    }
    return rv;
}

/* ---- add-controller, remove-controller ---- */

static int voters_are_static(struct client *c, const char *what)
{
    return errmsg_set(&c->error, ERR_UNSUPPORTED,
                      "%s a voter is not served: the voters of this cluster are those that "
                      "controller.quorum.voters names on every node (kraft.version 0)",
                      what);
}

static int print_added(struct client *c, const struct config *cfg)
{
    struct io *io = storage_open_io();
    struct format_meta meta;
    int rv = format_read_meta(io, cfg->metadata_log_dir, &meta, &c->error);
    io_destroy(io);
    if (rv == ERR_NOTFOUND) {
        rv = errmsg_set(&c->error, rv, "Unable to read meta.properties from %s",
                        cfg->metadata_log_dir);
    }
    if (rv) {
        return rv;
    }
    char id[UUID_TEXT];
    printf("DRY RUN of adding controller %d with directory id %s and endpoints: ",
           (int)cfg->node_id, uuid_text(meta.directory_id, id));
    bool first = true;
    for (size_t i = 0; i < cfg->listeners.n; i++) {
        const struct listener_config *l = &cfg->listeners.v[i];
        if (l->controller) {
            bool v6 = strchr(l->advertised_host, ':') != NULL;
            printf("%s%s://%s%s%s:%u", first ? "" : ", ", l->name, v6 ? "[" : "",
                   l->advertised_host, v6 ? "]" : "",
                   l->advertised_port ? l->advertised_port : l->port);
            first = false;
        }
    }
    printf("\n");
    return 0;
}

static int add_controller(struct client *c, const struct args *a)
{
    const char *file = args_get(a, "command-config", NULL);
    if (file == NULL) {
        return errmsg_set(&c->error, ERR_INVALID,
                          "add-controller needs the server.properties of the controller that is "
                          "to be added: --command-config FILE");
    }
    struct config *cfg =
        server_config_load(&(struct server_options){.file = file}, NULL, &c->error);
    if (cfg == NULL) {
        return ERR_INVALID;
    }
    int rv;
    if (strstr(cfg->v.process_roles, "controller") == NULL) {
        rv = errmsg_set(&c->error, ERR_INVALID, "%s is not that of a controller: process.roles=%s",
                        file, cfg->v.process_roles);
    } else {
        rv = args_has(a, "dry-run") ? print_added(c, cfg) : voters_are_static(c, "Adding");
    }
    config_free(cfg);
    return rv;
}

static int remove_controller(struct client *c, const struct args *a)
{
    struct uuid directory;
    char text[UUID_TEXT];
    args_require(a, "controller-id");
    args_require(a, "controller-directory-id");
    int64_t id = args_int(a, "controller-id", 0, 0, INT32_MAX);
    const char *given = args_get(a, "controller-directory-id", "");
    if (uuid_parse(given, strlen(given), &directory)) {
        return errmsg_set(
            &c->error, ERR_INVALID,
            "Failed to parse --controller-directory-id: '%s' is not the 22 characters "
            "of a directory id",
            given);
    }
    if (!args_has(a, "dry-run")) {
        return voters_are_static(c, "Removing");
    }
    printf("DRY RUN of removing  KRaft controller %lld with directory id %s\n", (long long)id,
           uuid_text(directory, text));
    return 0;
}

static void check(const struct args *a)
{
    bool status = args_has(a, "status"), replication = args_has(a, "replication");
    if (strcmp(a->command, "describe") != 0) {
        return;
    }
    if (status && replication) {
        args_fail(a, "Only one of --status or --replication should be specified with describe "
                     "sub-command");
    }
    if (!status && !replication && !args_has(a, "json")) {
        args_fail(a, "One of --status or --replication must be specified with describe "
                     "sub-command");
    }
    if (!replication && args_has(a, "human-readable")) {
        args_fail(a, "The option --human-readable is only supported along with --replication");
    }
}

int tool_metadata_quorum(int argc, char **argv)
{
    struct args a;
    struct client c;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    int rv = client_open(&c, &a);
    if (rv == 0) {
        rv = strcmp(a.command, "describe") == 0         ? describe(&c, &a)
             : strcmp(a.command, "add-controller") == 0 ? add_controller(&c, &a)
                                                        : remove_controller(&c, &a);
    }
    if (rv) {
        fprintf(stderr, "%s\n%s", c.error.text, client_hint(c.refused));
    }
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
