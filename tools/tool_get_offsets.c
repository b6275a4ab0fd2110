/* millrace get-offsets: offsets of partitions by time, with the options and output of
 * kafka-get-offsets.sh
 * (`topic:partition:offset`, sorted). A partition without an answer (no record that late) is left
 * out, as Kafka's tool does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/offsets.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "REGEX", "Topics; all when left out."},
    {"partitions", ARG_VALUE, "N,N", "Partitions of --topic; all when left out."},
    {"topic-partitions", ARG_VALUE, "LIST",
     "Patterns as t1:1,t2:0-3,t3,t4:5-,t5:-3 (upper bounds excluded)."},
    {"time", ARG_VALUE, "T",
     "A time in ms, or latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), "
     "latest-tiered (-5), earliest-pending-upload (-6)."},
    {"exclude-internal-topics", ARG_FLAG, NULL, "Leave internal topics out."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "get-offsets",
    .about = "offsets of partitions, by time",
    .examples =
        "  millrace get-offsets --bootstrap-server localhost:9092 --topic orders\n"
        "  millrace get-offsets --bootstrap-server localhost:9092 --topic orders --time earliest\n"
        "  millrace get-offsets --bootstrap-server localhost:9092 --topic-partitions orders:0-3 "
        "--time 1700000000000\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

/* One pattern: topic, and partitions in [from, to). */
struct range {
    struct topic_pattern topic;
    int64_t from, to;
};

struct wanted {
    struct range *v;
    size_t n;
    bool no_internal;
    int64_t time;
};

static int parse_time(const char *s, int64_t *out, struct errmsg *em)
{
    static const struct {
        const char *name;
        int64_t time;
    } names[] = {{"latest", -1},         {"earliest", -2},      {"max-timestamp", -3},
                 {"earliest-local", -4}, {"latest-tiered", -5}, {"earliest-pending-upload", -6}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(s, names[i].name) == 0) {
            *out = names[i].time;
            return 0;
        }
    }
    char *end;
    errno = 0;
    *out = strtoll(s, &end, 10);
    if (errno || *end || end == s) {
        return errmsg_set(em, ERR_INVALID,
                          "Malformed time argument %s. Please use -1 or latest / -2 or earliest / "
                          "-3 or max-timestamp / -4 or "
                          "earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, "
                          "or a specified long format timestamp",
                          s);
    }
    return 0;
}

/* "5", "2-7", "2-", "-7" or nothing; to is excluded. */
static int parse_partitions(const char *s, struct range *r, struct errmsg *em)
{
    r->from = 0;
    r->to = INT64_MAX;
    if (s == NULL || *s == 0) {
        return 0;
    }
    const char *dash = strchr(s, '-');
    char *end = NULL;
    if (dash == NULL) {
        r->from = strtoll(s, &end, 10);
        r->to = r->from + 1;
    } else {
        r->from = dash == s ? 0 : strtoll(s, &end, 10);
        if (dash != s && end != dash) {
            return errmsg_set(em, ERR_INVALID,
                              "Invalid topic partition rule: '%s' is no partition range", s);
        }
        r->to = dash[1] ? strtoll(dash + 1, &end, 10) : INT64_MAX;
        end = dash[1] ? end : NULL;
    }
    return end && *end ? errmsg_set(em, ERR_INVALID,
                                    "Invalid topic partition rule: '%s' is no partition range", s)
                       : 0;
}

static struct range *add_range(struct wanted *w)
{
    w->v = mem_realloc(w->v, (w->n + 1) * sizeof *w->v);
    w->v[w->n] = (struct range){.topic = {.all = true}};
    return &w->v[w->n++];
}

static int parse_list(struct wanted *w, const char *topic, const char *text, bool with_topics,
                      struct errmsg *em)
{
    char *copy = mem_strdup(text), *save = NULL;
    int rv = 0;
    for (char *s = strtok_r(copy, ",", &save); s && rv == 0; s = strtok_r(NULL, ",", &save)) {
        char *colon = with_topics ? strrchr(s, ':') : NULL;
        struct range *r = add_range(w);
        if (colon) {
            *colon = 0;
        }
        const char *name = with_topics ? (*s ? s : NULL) : topic;
        rv = topic_pattern_init(&r->topic, name, em);
        if (rv) {
            r->topic.all = true;
        }
        rv = rv ? rv : parse_partitions(with_topics ? (colon ? colon + 1 : NULL) : s, r, em);
    }
    mem_free(copy);
    return rv;
}

static int read_wanted(const struct args *a, struct wanted *w, struct errmsg *em)
{
    const char *topic = args_get(a, "topic", NULL);
    w->no_internal = args_has(a, "exclude-internal-topics");
    int rv = parse_time(args_get(a, "time", "latest"), &w->time, em);
    if (rv) {
        return rv;
    }
    if (args_has(a, "topic-partitions")) {
        if (topic || args_has(a, "partitions")) {
            return errmsg_set(em, ERR_INVALID,
                              "--topic-partitions cannot be used with --topic or --partitions");
        }
        return parse_list(w, NULL, args_get(a, "topic-partitions", ""), true, em);
    }
    if (args_has(a, "partitions")) {
        return parse_list(w, topic, args_get(a, "partitions", ""), false, em);
    }
    struct range *r = add_range(w);
    r->to = INT64_MAX;
    rv = topic_pattern_init(&r->topic, topic, em);
    r->topic.all = rv ? true : r->topic.all;
    return rv;
}

static bool is_wanted(const struct wanted *w,
                      const struct metadata_response_metadata_response_topic *t, int32_t partition)
{
    if (t->is_internal && w->no_internal) {
        return false;
    }
    for (size_t i = 0; i < w->n; i++) {
        if (partition >= w->v[i].from && partition < w->v[i].to &&
            topic_pattern_matches(&w->v[i].topic, t->name)) {
            return true;
        }
    }
    return false;
}

static size_t select_partitions(struct client *c, const struct wanted *w, struct part_offset **out)
{
    size_t n = 0, max = 0;
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        max += (size_t)c->metadata->topics[i].partitions_n;
    }
    struct part_offset *v = arena_alloc(&c->arena, (max + 1) * sizeof *v);
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        const struct metadata_response_metadata_response_topic *t = &c->metadata->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            if (is_wanted(w, t, t->partitions[k].partition_index)) {
                v[n++] = (struct part_offset){
                    .topic = t->name, .partition = t->partitions[k].partition_index, .offset = -1};
            }
        }
    }
    qsort(v, n, sizeof *v, part_offset_cmp);
    part_offsets_leaders(c, v, n);
    *out = v;
    return n;
}

static void print_json(const struct part_offset *v, size_t n)
{
    json_t *all = listing_new("offsets");
    for (size_t i = 0; i < n; i++) {
        json_t *o = listing_item(all);
        json_put_text(o, "topic", v[i].topic);
        json_put_int(o, "partition", v[i].partition);
        json_put_known(o, "offset", v[i].error ? -1 : v[i].offset);
        json_put_text(o, "error", bytes_str(v[i].error ? kafka_error_name(v[i].error) : NULL));
    }
    listing_print(all);
}

static int run(struct client *c, const struct wanted *w, bool json)
{
    if (client_metadata(c)) {
        return ERR_CLOSED;
    }
    struct part_offset *v;
    size_t n = select_partitions(c, w, &v);
    if (n == 0) {
        return errmsg_set(&c->error, ERR_NOTFOUND,
                          "Could not match any topic-partitions with the specified filters");
    }
    int rv = part_offsets_ask(c, w->time, v, n);
    if (rv) {
        return rv;
    }
    if (json) {
        print_json(v, n);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i].error) {
            fprintf(stderr, "Skip getting offsets for topic-partition %.*s-%d due to error: %s\n",
                    BYTES_FMT(v[i].topic), v[i].partition, kafka_error_name(v[i].error));
        } else if (v[i].offset >= 0) {
            printf("%.*s:%d:%lld\n", BYTES_FMT(v[i].topic), v[i].partition, (long long)v[i].offset);
        }
    }
    return 0;
}

int tool_get_offsets(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    struct client c;
    struct wanted w = {0};
    int rv =
        client_init(&c, args_get(&a, "bootstrap-server", ""), args_get(&a, "command-config", NULL));
    rv = rv ? rv : read_wanted(&a, &w, &c.error);
    rv = rv ? rv : run(&c, &w, args_has(&a, "json"));
    if (rv) {
        fprintf(stderr, "Error occurred: %s\n", c.error.text);
    }
    for (size_t i = 0; i < w.n; i++) {
        topic_pattern_free(&w.v[i].topic);
    }
    mem_free(w.v);
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
