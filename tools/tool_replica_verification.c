/* millrace replica-verification: reads every replica of every partition side by side and compares
 * the batches, up to the high watermark, until it is stopped; the options and lines of
 * kafka-replica-verification.sh.
 *
 * A round asks each broker for all its replicas from where the comparison stands. What all replicas
 * of a partition have answered is compared, batch by batch: a different checksum is told and passed
 * over, a different offset ends the tool with 1, since nothing behind it can be compared. A broker
 * that is away delays its partitions. Between reports nothing is printed. Brokers are asked one
 * after another: only the first waits (max-wait-ms) when there is nothing new.
 *
 * Since it goes on until it is stopped, --json (ours) is an object a line, one for each line
 * without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto/record_batch.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/listing.h"
#include "tools/offsets.h"
#include "tools/text.h"
#include "tools/tool.h"

enum { DEBUGGING_CONSUMER = -2, FETCH_BYTES = 1048576, RETRY_MS = 200 };

static const struct arg_def defs[] = {
    {"broker-list", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to. Required."},
    {"topics-include", ARG_VALUE, "REGEX", "Topics to compare; all if left out."},
    {"time", ARG_VALUE, "MS", "Begin at this time, or at the end (-1) or beginning (-2)."},
    {"report-interval-ms", ARG_VALUE, "MS", "How often to say how far it is (30000)."},
    {"fetch-size", ARG_VALUE, "BYTES", "Bytes of a partition at once (1048576)."},
    {"max-wait-ms", ARG_VALUE, "MS", "How long to wait for something new (1000)."},
    {"json", ARG_FLAG, NULL, "Print JSON instead, for programs: an object a line."},
};

static const struct args_spec spec = {
    .tool = "replica-verification",
    .about = "compare the replicas of partitions, byte for byte, until it is stopped",
    .examples = "  millrace replica-verification --broker-list localhost:9092\n"
                "  millrace replica-verification --broker-list localhost:9092 --topics-include "
                "'orders.*' --time -2 --report-interval-ms 5000\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
};

/* What a replica answered in this round; in the client's arena. */
struct answer {
    int32_t broker;
    bool is_there;
    int64_t high_watermark;
    struct bytes rest; /* batches that are not compared yet */
};

struct compared {
    struct bytes topic;
    struct uuid topic_id;
    int32_t partition;
    int64_t offset; /* all replicas are equal below it */
    struct answer *replicas;
    int32_t replicas_n;
};

struct verifier {
    struct client c;
    struct arena arena; /* what lives longer than a round */
    struct compared *v; /* in order of topic ids and partitions */
    size_t n;
    int32_t *brokers;
    size_t brokers_n;
    int32_t fetch_size, max_wait_ms;
    int64_t interval_ms, reported_ms;
    bool away; /* a broker was, in the last round: that is told when it begins */
    bool json;
};

/* ---- what is told ---- */

/* The next batch of one replica, which another's is held against. */
struct seen {
    int32_t broker;
    int64_t last_offset;
    uint32_t crc;
};

/* "2026-11-29 05:00:00,123: ", in local time. */
static void print_now(void)
{
    int64_t ms = wall_ms();
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    localtime_r(&s, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s,%03d: ", text, (int)(ms % 1000));
}

/* One line of --json, with all names; what is not known of x (NULL: of nothing) is null. */
static json_t *event_new(const char *event, const struct compared *x, int64_t offset)
{
    json_t *o = json_pack("{s:i, s:s}", "version", 1, "event", event);
    json_put_int(o, "timeMs", wall_ms());
    json_put_text(o, "topic", x ? x->topic : BYTES_NULL);
    json_put_known(o, "partition", x ? x->partition : -1);
    json_put_known(o, "offset", offset);
    return o;
}

static void event_print(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static void tell_start(const struct verifier *r)
{
    if (r->json) {
        json_t *o = event_new("started", NULL, -1);
        json_put_null(o, "lag");
        json_put_int(o, "partitions", (int64_t)r->n);
        json_put_null(o, "replicas");
        event_print(o);
        return;
    }
    print_now();
    printf("verification process is started\n");
}

static void tell_lag(const struct verifier *r, const struct compared *worst, int64_t lag)
{
    if (r->json) {
        json_t *o = event_new("lag", worst, worst->offset);
        json_put_int(o, "lag", lag);
        json_put_int(o, "partitions", (int64_t)r->n);
        json_put_null(o, "replicas");
        event_print(o);
        return;
    }
    print_now();
    printf("max lag is %lld for partition %.*s-%d at offset %lld among %zu partitions\n",
           (long long)lag, BYTES_FMT(worst->topic), worst->partition, (long long)worst->offset,
           r->n);
}

static void put_replica(json_t *replicas, const struct seen *s)
{
    json_t *o = json_add_object(replicas);
    json_put_int(o, "broker", s->broker);
    json_put_int(o, "offset", s->last_offset);
    json_put_int(o, "checksum", s->crc);
}

static void tell_unequal(const struct verifier *r, const struct compared *x,
                         const struct seen *first, const struct seen *other)
{
    bool offsets = first->last_offset != other->last_offset;
    if (r->json) {
        json_t *o = event_new(offsets ? "offset" : "checksum", x, x->offset);
        json_put_null(o, "lag");
        json_put_null(o, "partitions");
        json_t *replicas = json_put_array(o, "replicas");
        put_replica(replicas, first);
        put_replica(replicas, other);
        event_print(o);
        return;
    }
    print_now();
    printf("partition %.*s-%d", BYTES_FMT(x->topic), x->partition);
    if (offsets) {
        printf(": replica %d's offset %lld doesn't match replica %d's offset %lld\n", first->broker,
               (long long)first->last_offset, other->broker, (long long)other->last_offset);
    } else {
        printf(" has unmatched checksum at offset %lld; replica %d's checksum %u; replica %d's "
               "checksum %u\n",
               (long long)other->last_offset, first->broker, first->crc, other->broker, other->crc);
    }
}

/* ---- what is compared ---- */

static void add_broker(struct verifier *r, int32_t id)
{
    for (size_t i = 0; i < r->brokers_n; i++) {
        if (r->brokers[i] == id) {
            return;
        }
    }
    r->brokers = mem_realloc(r->brokers, (r->brokers_n + 1) * sizeof *r->brokers);
    r->brokers[r->brokers_n++] = id;
}

#define topic_meta struct metadata_response_metadata_response_topic

static void add_partition(struct verifier *r, const topic_meta *t, int32_t k)
{
    const struct metadata_response_metadata_response_partition *p = &t->partitions[k];
    struct compared *x = &r->v[r->n++];
    *x = (struct compared){
        .topic = bytes_str(arena_strndup(&r->arena, t->name.data, t->name.len)),
        .topic_id = t->topic_id,
        .partition = p->partition_index,
        .replicas = ARENA_ARRAY(&r->arena, struct answer, p->replica_nodes_n + 1),
        .replicas_n = p->replica_nodes_n,
    };
    for (int32_t i = 0; i < p->replica_nodes_n; i++) {
        x->replicas[i].broker = p->replica_nodes[i];
        add_broker(r, p->replica_nodes[i]);
    }
}

static int by_id(const void *a, const void *b)
{
    const struct compared *x = a, *y = b;
    int c = memcmp(&x->topic_id, &y->topic_id, sizeof x->topic_id);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

static int select_partitions(struct verifier *r, const char *pattern)
{
    struct topic_pattern p;
    int rv = topic_pattern_init(&p, pattern, &r->c.error);
    if (rv) {
        return rv;
    }
    rv = client_metadata(&r->c);
    size_t most = 1;
    for (int32_t i = 0; rv == 0 && i < r->c.metadata->topics_n; i++) {
        most += (size_t)r->c.metadata->topics[i].partitions_n;
    }
    r->v = ARENA_ARRAY(&r->arena, struct compared, most);
    for (int32_t i = 0; rv == 0 && i < r->c.metadata->topics_n; i++) {
        const topic_meta *t = &r->c.metadata->topics[i];
        for (int32_t k = 0; topic_pattern_matches(&p, t->name) && k < t->partitions_n; k++) {
            add_partition(r, t, k);
        }
    }
    topic_pattern_free(&p);
    qsort(r->v, r->n, sizeof *r->v, by_id);
    if (rv == 0 && r->n == 0) {
        rv = errmsg_set(&r->c.error, ERR_NOTFOUND,
                        "No topics found: --topics-include leaves none, or there is none");
    }
    return rv;
}

static int begin_offsets(struct verifier *r, int64_t time)
{
    struct part_offset *v = ARENA_ARRAY(&r->c.arena, struct part_offset, r->n);
    for (size_t i = 0; i < r->n; i++) {
        v[i] = (struct part_offset){.topic = r->v[i].topic, .partition = r->v[i].partition};
    }
    qsort(v, r->n, sizeof *v, part_offset_cmp);
    part_offsets_leaders(&r->c, v, r->n);
    int rv = part_offsets_ask(&r->c, time, v, r->n);
    for (size_t i = 0; i < r->n && rv == 0; i++) {
        struct part_offset *p = part_offset_find(v, r->n, r->v[i].topic, r->v[i].partition);
        r->v[i].offset = p->offset;
        if (p->error || p->offset < 0) {
            rv =
                errmsg_set(&r->c.error, ERR_NOTFOUND, "%.*s-%d has no offset to begin at: %s",
                           BYTES_FMT(p->topic), p->partition,
                           p->error ? kafka_error_name(p->error) : "it has no record since --time");
        }
    }
    return rv;
}

/* ---- a round: what the replicas have ---- */

static struct answer *answer_of(struct compared *x, int32_t broker)
{
    for (int32_t i = 0; i < x->replicas_n; i++) {
        if (x->replicas[i].broker == broker) {
            return &x->replicas[i];
        }
    }
    return NULL;
}

static void fill_request(struct verifier *r, int32_t broker, struct fetch_request *req)
{
    struct arena *a = &r->c.arena;
    req->topics = proto_array(a, &fetch_request_fetch_topic_desc, r->n);
    for (size_t i = 0, end; i < r->n; i = end) {
        for (end = i + 1; end < r->n && uuid_eq(r->v[end].topic_id, r->v[i].topic_id);) {
            end++;
        }
        struct fetch_request_fetch_topic *t = &req->topics[req->topics_n];
        t->topic = r->v[i].topic;
        t->topic_id = r->v[i].topic_id;
        t->partitions = proto_array(a, &fetch_request_fetch_partition_desc, end - i);
        for (size_t k = i; k < end; k++) {
            if (answer_of(&r->v[k], broker)) {
                struct fetch_request_fetch_partition *p = &t->partitions[t->partitions_n++];
                p->partition = r->v[k].partition;
                p->fetch_offset = r->v[k].offset;
                p->log_start_offset = 0;
                p->partition_max_bytes = r->fetch_size;
            }
        }
        req->topics_n += t->partitions_n > 0;
    }
}

static struct compared *compared_of(struct verifier *r, struct uuid id, int32_t partition)
{
    struct compared key = {.topic_id = id, .partition = partition};
    return bsearch(&key, r->v, r->n, sizeof *r->v, by_id);
}

static int fetch(struct verifier *r, int32_t broker, int32_t wait_ms)
{
    struct fetch_request req;
    struct fetch_response *resp;
    proto_msg_init(&fetch_request_msg, &req);
    req.replica_state.replica_id = DEBUGGING_CONSUMER;
    req.max_wait_ms = wait_ms;
    req.min_bytes = 1;
    req.max_bytes = INT32_MAX;
    req.session_epoch = -1; /* no session */
    fill_request(r, broker, &req);
    int rv = client_call(&r->c, broker, API_FETCH, &req, (void **)&resp, NULL);
    for (int32_t i = 0; rv == 0 && i < resp->responses_n; i++) {
        const struct fetch_response_fetchable_topic_response *t = &resp->responses[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const struct fetch_response_partition_data *p = &t->partitions[k];
            struct compared *x = compared_of(r, t->topic_id, p->partition_index);
            struct answer *a = x && p->error_code == 0 ? answer_of(x, broker) : NULL;
            if (a) {
                *a = (struct answer){broker, true, p->high_watermark, p->records};
            }
        }
    }
    return rv;
}

/* ---- a round: whether it is equal ---- */

/* The next batch of a replica, below its high watermark; false: there is none. */
static bool next_seen(struct answer *a, struct seen *out)
{
    struct bytes batch;
    struct batch_header h;
    if (!a->is_there || batch_next(&a->rest, &batch) != 1) {
        return false;
    }
    int rv = batch_header_read(batch, &h);
    /* A message of old: one offset, and the checksum stands in front of the magic. */
    bool legacy = rv == ERR_UNSUPPORTED;
    *out = (struct seen){a->broker, legacy ? h.base_offset : batch_last_offset(&h),
                         legacy ? load_be32(batch.data + BATCH_LOG_OVERHEAD) : h.crc};
    return (rv == 0 || legacy) && out->last_offset < a->high_watermark;
}

/* One batch of every replica against that of the first. 1: equal (or told), go on; 0: not all have
 * one; ERR_CONFLICT: their offsets differ. */
static int compare_next(const struct verifier *r, struct compared *x, int64_t *next)
{
    struct seen first = {.broker = -1}, other;
    bool all = true;
    for (int32_t i = 0; i < x->replicas_n; i++) {
        if (!next_seen(&x->replicas[i], &other)) {
            all = false;
        } else if (first.broker < 0) {
            first = other;
        } else if (first.last_offset != other.last_offset) {
            tell_unequal(r, x, &first, &other);
            return ERR_CONFLICT;
        } else if (first.crc != other.crc) {
            tell_unequal(r, x, &first, &other);
        }
    }
    *next = first.last_offset + 1;
    return all && x->replicas_n;
}

/* The partition that is furthest behind its high watermark is told. */
static int compare_all(struct verifier *r)
{
    int64_t max_lag = -1;
    const struct compared *worst = &r->v[0];
    for (size_t i = 0; i < r->n; i++) {
        struct compared *x = &r->v[i];
        int64_t high = -1, next;
        int rv;
        for (int32_t k = 0; k < x->replicas_n; k++) {
            bool higher = x->replicas[k].is_there && x->replicas[k].high_watermark > high;
            high = higher ? x->replicas[k].high_watermark : high;
        }
        while ((rv = compare_next(r, x, &next)) == 1) {
            x->offset = next;
        }
        if (rv) {
            return rv;
        }
        if (high - x->offset > max_lag) {
            max_lag = high - x->offset;
            worst = x;
        }
    }
    if (wall_ms() - r->reported_ms > r->interval_ms) {
        tell_lag(r, worst, max_lag);
        r->reported_ms = wall_ms();
    }
    return 0;
}

static int play_round(struct verifier *r)
{
    bool away = false;
    for (size_t i = 0; i < r->n; i++) {
        for (int32_t k = 0; k < r->v[i].replicas_n; k++) {
            r->v[i].replicas[k].is_there = false;
        }
    }
    for (size_t i = 0; i < r->brokers_n; i++) {
        if (fetch(r, r->brokers[i], i == 0 ? r->max_wait_ms : 0)) {
            if (!r->away) {
                fprintf(stderr, "%s: its partitions wait\n", r->c.error.text);
            }
            away = true;
        }
    }
    r->away = away;
    int rv = compare_all(r);
    client_forget(&r->c);
    if (away) {
        usleep(RETRY_MS * 1000);
    }
    return rv;
}

static int run(struct verifier *r, const struct args *a)
{
    r->json = args_has(a, "json");
    r->fetch_size = (int32_t)args_int(a, "fetch-size", FETCH_BYTES, 1, INT32_MAX);
    r->max_wait_ms = (int32_t)args_int(a, "max-wait-ms", 1000, 0, INT32_MAX);
    r->interval_ms = args_int(a, "report-interval-ms", 30000, 0, INT64_MAX);
    int64_t from = args_int(a, "time", -1, INT64_MIN, INT64_MAX);
    int rv = client_init(&r->c, args_get(a, "broker-list", ""), NULL);
    rv = rv ? rv : select_partitions(r, args_get(a, "topics-include", ".*"));
    rv = rv ? rv : begin_offsets(r, from);
    if (rv) {
        fprintf(stderr, "%s\n", r->c.error.text);
        return rv;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* each report as it is made, in a pipe too */
    tell_start(r);
    r->reported_ms = wall_ms();
    while (rv == 0) {
        rv = play_round(r);
    }
    return rv;
}

int tool_replica_verification(int argc, char **argv)
{
    struct args a;
    struct verifier r = {.n = 0};
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "broker-list");
    int rv = run(&r, &a);
    client_close(&r.c);
    arena_free(&r.arena);
    mem_free(r.brokers);
    args_free(&a);
    return rv ? 1 : 0;
}
