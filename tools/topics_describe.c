/* `millrace topics --describe`: partitions with leaders and replicas, the settings of topics, and
 * what of that is not as it should be. Topics are asked for in groups, so that a cluster of many
 * does not have to be held in memory at once.
 *
 * Replicas that are being added do not count for the replication factor, and a partition without a
 * leader is below its min.insync.replicas, as Kafka's tool has it. Standard output is what Kafka's
 * tool prints; behind it, on standard error, each partition that was shown and has no leader gets a
 * sentence: who would have to come back, and what lets another replica lead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "tools/listing.h"
#include "tools/output.h"
#include "tools/text.h"
#include "tools/topics.h"

#define topic_desc \
    struct describe_topic_partitions_response_describe_topic_partitions_response_topic
#define part_desc \
    struct describe_topic_partitions_response_describe_topic_partitions_response_partition
#define configs_result struct describe_configs_response_describe_configs_result
#define move_topic     struct list_partition_reassignments_response_ongoing_topic_reassignment
#define move_desc      struct list_partition_reassignments_response_ongoing_partition_reassignment

enum { CONFIG_SOURCE_DEFAULT = 5, RESOURCE_TOPIC = 2, TOPICS_AT_ONCE = 200 };

struct described {
    struct client *c;
    const struct args *a;
    json_t *listing; /* NULL: for people */
    struct buf why;  /* sentences about partitions without a leader */
    struct list_partition_reassignments_response *moves;
};

/* ---- what is asked ---- */

/* A topic may come in several answers: appends the partitions of next to those of t. */
static void join_partitions(struct client *c, topic_desc *t, const topic_desc *next)
{
    part_desc *v =
        arena_alloc(&c->arena, (size_t)(t->partitions_n + next->partitions_n) * sizeof *v);
    memcpy(v, t->partitions, (size_t)t->partitions_n * sizeof *v);
    memcpy(v + t->partitions_n, next->partitions, (size_t)next->partitions_n * sizeof *v);
    t->partitions = v;
    t->partitions_n += next->partitions_n;
}

/* The n topics, each whole, into out. */
static int ask_partitions(struct described *d, topic_meta *const *topics, size_t n, topic_desc *out)
{
    struct describe_topic_partitions_request req;
    struct describe_topic_partitions_response *resp;
    proto_msg_init(&describe_topic_partitions_request_msg, &req);
    req.topics =
        proto_array(&d->c->arena, &describe_topic_partitions_request_topic_request_desc, n);
    req.topics_n = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        req.topics[i].name = topics[i]->name;
    }
    req.response_partition_limit =
        (int32_t)args_int(d->a, "partition-size-limit-per-response", 2000, 1, INT32_MAX);
    size_t done = 0;
    do {
        int rv = client_call(d->c, CLIENT_ANY, API_DESCRIBE_TOPIC_PARTITIONS, &req, (void **)&resp,
                             NULL);
        for (int32_t i = 0; rv == 0 && i < resp->topics_n; i++) {
            topic_desc *t = &resp->topics[i];
            if (t->error_code) {
                return client_refused(d->c, t->error_code, BYTES_NULL);
            }
            if (done && bytes_eq(out[done - 1].name, t->name)) {
                join_partitions(d->c, &out[done - 1], t);
            } else if (done < n) {
                out[done++] = *t;
            }
        }
        if (rv) {
            return rv;
        }
        if (resp->next_cursor) {
            req.cursor = ARENA_NEW(&d->c->arena, struct describe_topic_partitions_request_cursor);
            req.cursor->topic_name = resp->next_cursor->topic_name;
            req.cursor->partition_index = resp->next_cursor->partition_index;
        }
    } while (resp->next_cursor);
    return done == n ? 0
                     : errmsg_set(&d->c->error, ERR_CORRUPT,
                                  "the broker answered for %zu topics, not for %zu", done, n);
}

static int ask_configs(struct described *d, topic_meta *const *topics, size_t n,
                       configs_result **out)
{
    struct describe_configs_request req;
    struct describe_configs_response *resp;
    proto_msg_init(&describe_configs_request_msg, &req);
    req.resources =
        proto_array(&d->c->arena, &describe_configs_request_describe_configs_resource_desc, n);
    req.resources_n = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        req.resources[i].resource_type = RESOURCE_TOPIC;
        req.resources[i].resource_name = topics[i]->name;
        req.resources[i].configuration_keys_n = -1;
    }
    int rv = client_call(d->c, CLIENT_ANY, API_DESCRIBE_CONFIGS, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->results_n != (int32_t)n) {
        rv = errmsg_set(&d->c->error, ERR_CORRUPT, "the broker answered without settings");
    }
    for (int32_t i = 0; rv == 0 && i < resp->results_n; i++) {
        if (resp->results[i].error_code) {
            rv = client_refused(d->c, resp->results[i].error_code, resp->results[i].error_message);
        }
    }
    *out = rv ? NULL : resp->results;
    return rv;
}

static const configs_result *configs_of(const configs_result *v, size_t n, struct bytes topic)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes_eq(v[i].resource_name, topic)) {
            return &v[i];
        }
    }
    return NULL;
}

/* All moves of replicas that are going on; they are few. */
static int ask_moves(struct described *d)
{
    struct list_partition_reassignments_request req;
    proto_msg_init(&list_partition_reassignments_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1;
    req.timeout_ms = (int32_t)d->c->timeout_ms;
    int rv = client_call(d->c, CLIENT_ANY, API_LIST_PARTITION_REASSIGNMENTS, &req,
                         (void **)&d->moves, NULL);
    return rv == 0 && d->moves->error_code
               ? client_refused(d->c, d->moves->error_code, d->moves->error_message)
               : rv;
}

static const move_desc *move_of(const struct described *d, const topic_desc *t, const part_desc *p)
{
    for (int32_t i = 0; i < d->moves->topics_n; i++) {
        const move_topic *m = &d->moves->topics[i];
        for (int32_t k = 0; bytes_eq(m->name, t->name) && k < m->partitions_n; k++) {
            if (m->partitions[k].partition_index == p->partition_index) {
                return &m->partitions[k];
            }
        }
    }
    return NULL;
}

/* ---- what it means ---- */

static bool
is_overridden(const struct describe_configs_response_describe_configs_resource_result *r)
{
    return r->config_source != CONFIG_SOURCE_DEFAULT;
}

/* Null: the broker does not say. */
static struct bytes setting(const configs_result *r, const char *name)
{
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        if (bytes_eq_str(r->configs[i].name, name)) {
            return r->configs[i].value;
        }
    }
    return BYTES_NULL;
}

static int32_t min_isr(const configs_result *r)
{
    struct bytes value = setting(r, "min.insync.replicas");
    char v[16];
    snprintf(v, sizeof v, "%.*s", BYTES_FMT(value));
    return bytes_is_null(value) ? 1 : atoi(v);
}

static int32_t factor(const part_desc *p, const move_desc *m)
{
    return m ? m->replicas_n - m->adding_replicas_n : p->replica_nodes_n;
}

static bool partition_filters(const struct args *a)
{
    return args_has(a, "under-replicated-partitions") || args_has(a, "unavailable-partitions") ||
           args_has(a, "under-min-isr-partitions") || args_has(a, "at-min-isr-partitions");
}

static bool partition_wanted(const struct described *d, const part_desc *p, const move_desc *m,
                             int32_t min)
{
    const struct client *c = d->c;
    const struct args *a = d->a;
    bool leader_alive = false;
    for (int32_t i = 0; i < c->metadata->brokers_n; i++) {
        leader_alive |= c->metadata->brokers[i].node_id == p->leader_id;
    }
    return !partition_filters(a) ||
           (args_has(a, "under-replicated-partitions") && p->isr_nodes_n < factor(p, m)) ||
           (args_has(a, "unavailable-partitions") && !leader_alive) ||
           (args_has(a, "under-min-isr-partitions") &&
            (p->leader_id < 0 || p->isr_nodes_n < min)) ||
           (args_has(a, "at-min-isr-partitions") && p->isr_nodes_n == min);
}

/* ---- a partition without a leader ---- */

struct ids {
    const int32_t *v;
    int32_t n;
};

/* Who leads it as soon as one of them is back: those in sync, else those that are eligible, else
 * who led it last. All of its replicas, where records may be lost. */
static struct ids waits_for(const part_desc *p, bool unclean)
{
    struct ids isr = {p->isr_nodes, p->isr_nodes_n};
    struct ids elr = {p->eligible_leader_replicas, p->eligible_leader_replicas_n};
    struct ids last = {p->last_known_elr, p->last_known_elr_n};
    struct ids all = {p->replica_nodes, p->replica_nodes_n};
    return unclean ? all : isr.n > 0 ? isr : elr.n > 0 ? elr : last;
}

static bool unclean_allowed(const configs_result *r)
{
    return bytes_eq_str(setting(r, "unclean.leader.election.enable"), "true");
}

static void put_brokers(struct buf *out, struct ids ids)
{
    buf_put_str(out, ids.n == 1 ? "broker " : "one of the brokers ");
    for (int32_t i = 0; i < ids.n; i++) {
        buf_printf(out, "%s%d", i > 0 ? "," : "", ids.v[i]);
    }
}

/* What is left if they do not come back. */
static void put_way_out(const struct described *d, struct buf *out, const topic_desc *t,
                        const part_desc *p)
{
    if (p->offline_replicas_n >= p->replica_nodes_n) {
        buf_put_str(out, "; no other replica lives\n");
        return;
    }
    buf_printf(
        out,
        "; if it is lost for good, another replica leads, without the records that it lacks, "
        "after: millrace leader-election --bootstrap-server %s --election-type unclean "
        "--topic %.*s --partition %d\n",
        args_get(d->a, "bootstrap-server", ""), BYTES_FMT(t->name), p->partition_index);
}

static void explain(struct described *d, const topic_desc *t, const part_desc *p,
                    const configs_result *r)
{
    bool unclean = unclean_allowed(r),
         known = p->isr_nodes_n > 0 || p->eligible_leader_replicas_n > 0;
    struct ids ids = waits_for(p, unclean);
    struct buf *out = &d->why;
    buf_printf(out, "%.*s-%d has no leader: ", BYTES_FMT(t->name), p->partition_index);
    if (ids.n > 0) {
        put_brokers(out, ids);
        buf_put_str(out, " has to come back, ");
    }
    buf_put_str(out, unclean     ? "none of its replicas lives\n"
                     : known     ? "which has all of its records"
                     : ids.n > 0 ? "which led it last; nobody is known to have all of its records"
                                 : "nobody is known to have all of its records");
    if (!unclean) {
        put_way_out(d, out, t, p);
    }
}

/* ---- and how it is shown ---- */

static void print_topic_line(const topic_desc *t, const configs_result *r, int32_t replicas)
{
    char id[UUID_TEXT];
    printf("Topic: %.*s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: ",
           BYTES_FMT(t->name), uuid_text(t->topic_id, id), t->partitions_n, replicas);
    bool first = true;
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        if (is_overridden(&r->configs[i])) {
            printf("%s%.*s=%.*s", first ? "" : ",", BYTES_FMT(r->configs[i].name),
                   BYTES_FMT(r->configs[i].value));
            first = false;
        }
    }
    printf("\n");
}

static void print_list(const char *name, const int32_t *ids, int32_t n)
{
    printf("\t%s: ", name);
    if (n < 0) {
        printf("N/A");
    }
    print_ids(ids, n);
}

/* Where a topic is named by its id, Kafka's tool does not know about eligible replicas. */
static void print_partition_line(const topic_desc *t, const part_desc *p, const move_desc *m,
                                 bool by_id)
{
    printf("\tTopic: %.*s\tPartition: %d\tLeader: ", BYTES_FMT(t->name), p->partition_index);
    if (p->leader_id >= 0) {
        printf("%d", p->leader_id);
    } else {
        printf("none");
    }
    print_list("Replicas", p->replica_nodes, p->replica_nodes_n);
    print_list("Isr", p->isr_nodes, p->isr_nodes_n);
    if (m) {
        print_list("Adding Replicas", m->adding_replicas, m->adding_replicas_n);
        print_list("Removing Replicas", m->removing_replicas, m->removing_replicas_n);
    }
    print_list("Elr", p->eligible_leader_replicas, by_id ? -1 : p->eligible_leader_replicas_n);
    print_list("LastKnownElr", p->last_known_elr, by_id ? -1 : p->last_known_elr_n);
    printf("\n");
}

static void json_ids(json_t *o, const char *name, const int32_t *ids, int32_t n)
{
    if (n < 0) {
        json_put_null(o, name);
    } else {
        json_put_ids(o, name, ids, n);
    }
}

static void json_partition(json_t *list, const part_desc *p, const move_desc *m,
                           const configs_result *r)
{
    struct ids ids = waits_for(p, unclean_allowed(r));
    json_t *o = json_add_object(list);
    json_put_int(o, "partition", p->partition_index);
    json_put_known(o, "leader", p->leader_id);
    json_put_int(o, "leaderEpoch", p->leader_epoch);
    json_put_ids(o, "replicas", p->replica_nodes, p->replica_nodes_n);
    json_put_ids(o, "isr", p->isr_nodes, p->isr_nodes_n);
    json_put_ids(o, "adding", m ? m->adding_replicas : NULL, m ? m->adding_replicas_n : 0);
    json_put_ids(o, "removing", m ? m->removing_replicas : NULL, m ? m->removing_replicas_n : 0);
    json_ids(o, "elr", p->eligible_leader_replicas, p->eligible_leader_replicas_n);
    json_ids(o, "lastKnownElr", p->last_known_elr, p->last_known_elr_n);
    json_put_ids(o, "offline", p->offline_replicas, p->offline_replicas_n);
    json_ids(o, "waitsFor", ids.v, p->leader_id < 0 ? ids.n : -1);
}

/* The topic with the partitions that are wanted; nothing if a filter leaves none. */
static void json_topic(const struct described *d, const topic_desc *t, const configs_result *r,
                       bool with_partitions)
{
    json_t *o = json_object();
    json_put_text(o, "topic", t->name);
    json_put_uuid(o, "topicId", t->topic_id);
    json_put_bool(o, "internal", t->is_internal);
    json_put_int(o, "partitionCount", t->partitions_n);
    json_put_int(o, "replicationFactor",
                 t->partitions_n ? factor(&t->partitions[0], move_of(d, t, &t->partitions[0])) : 0);
    json_t *configs = json_object();
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        if (is_overridden(&r->configs[i])) {
            char name[256];
            snprintf(name, sizeof name, "%.*s", BYTES_FMT(r->configs[i].name));
            json_put_text(configs, name, r->configs[i].value);
        }
    }
    json_object_set_new(o, "configs", configs);
    json_t *list = json_put_array(o, "partitions");
    for (int32_t i = 0; with_partitions && i < t->partitions_n; i++) {
        const move_desc *m = move_of(d, t, &t->partitions[i]);
        if (partition_wanted(d, &t->partitions[i], m, min_isr(r))) {
            json_partition(list, &t->partitions[i], m, r);
        }
    }
    if (json_array_size(list) || !partition_filters(d->a)) {
        json_array_append_new(json_object_get(d->listing, "items"), o);
    } else {
        json_decref(o);
    }
}

static void show_partitions(struct described *d, const topic_desc *t, const configs_result *r)
{
    for (int32_t i = 0; i < t->partitions_n; i++) {
        const part_desc *p = &t->partitions[i];
        const move_desc *m = move_of(d, t, p);
        if (partition_wanted(d, p, m, min_isr(r))) {
            print_partition_line(t, p, m, args_has(d->a, "topic-id"));
            if (p->leader_id < 0) {
                explain(d, t, p, r);
            }
        }
    }
}

static void show(struct described *d, const topic_desc *t, const configs_result *r)
{
    bool overrides_only = args_has(d->a, "topics-with-overrides"), overridden = false;
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        overridden |= is_overridden(&r->configs[i]);
    }
    if (overrides_only && !overridden) {
        return;
    }
    if (d->listing) {
        json_topic(d, t, r, !overrides_only);
        return;
    }
    if (!partition_filters(d->a)) {
        const part_desc *first = t->partitions_n ? &t->partitions[0] : NULL;
        print_topic_line(t, r, first ? factor(first, move_of(d, t, first)) : 0);
    }
    if (!overrides_only) {
        show_partitions(d, t, r);
    }
}

static int describe(struct described *d, topic_meta *const *v, size_t n)
{
    topic_desc *topics = arena_alloc(&d->c->arena, TOPICS_AT_ONCE * sizeof *topics);
    int rv = ask_moves(d);
    for (size_t at = 0; at < n && rv == 0; at += TOPICS_AT_ONCE) {
        size_t some = n - at < TOPICS_AT_ONCE ? n - at : TOPICS_AT_ONCE;
        configs_result *configs = NULL;
        rv = ask_partitions(d, v + at, some, topics);
        rv = rv ? rv : ask_configs(d, v + at, some, &configs);
        for (size_t i = 0; i < some && rv == 0; i++) {
            show(d, &topics[i], configs_of(configs, some, topics[i].name));
        }
    }
    return rv;
}

/* The topic with that id, if it is among the n. */
static size_t pick(topic_meta **v, size_t n, struct uuid id)
{
    for (size_t i = 0; i < n; i++) {
        if (uuid_eq(v[i]->topic_id, id)) {
            v[0] = v[i];
            return 1;
        }
    }
    return 0;
}

int topics_describe(struct client *c, const struct args *a)
{
    const char *topic = args_get(a, "topic", NULL), *id_text = args_get(a, "topic-id", NULL);
    struct uuid id = UUID_ZERO;
    if (id_text && uuid_parse(id_text, strlen(id_text), &id)) {
        args_fail(a, "Option topic-id is '%s'; it takes the 22 characters of a topic id", id_text);
    }
    size_t n;
    topic_meta **v = topics_select(c, a, id_text ? NULL : topic, &n);
    if (v == NULL) {
        return topics_fail(c->error.text);
    }
    n = id_text ? pick(v, n, id) : n;
    if (n == 0 && id_text && !args_has(a, "if-exists")) {
        char text[200];
        snprintf(text, sizeof text, "TopicId '%s' does not exist as expected", id_text);
        return topics_fail(text);
    }
    if (n == 0 && topic && !args_has(a, "if-exists")) {
        return topics_missing(a, topic);
    }
    struct described d = {.c = c, .a = a};
    d.listing = args_has(a, "json") ? listing_new("topics") : NULL;
    int rv = describe(&d, v, n);
    if (rv == 0 && d.listing) {
        listing_print(d.listing);
    } else {
        json_decref(d.listing);
    }
    output_flush();
    fputs(buf_cstr(&d.why), stderr);
    buf_free(&d.why);
    return rv ? topics_fail(c->error.text) : 0;
}
