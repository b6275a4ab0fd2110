/* --generate: where the partitions of some topics would go if they were made anew on some brokers.
 * Placed as new topics are (controller/placement.h), each topic from a random beginning; nothing is
 * changed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/prng.h"
#include "controller/placement.h"
#include "tools/clock.h"
#include "tools/listing.h"
#include "tools/reassign_partitions.h"

/* The ids of --broker-list, in its order; Kafka's sentences. */
static int read_brokers(struct client *c, const char *list, int32_t **out, size_t *n)
{
    int32_t *v = ARENA_ARRAY(&c->arena, int32_t, strlen(list) + 1);
    char *copy = arena_strndup(&c->arena, list, strlen(list)), *save = NULL;
    *n = 0;
    *out = v;
    for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        char *end;
        errno = 0;
        long id = strtol(s, &end, 10);
        if (*end || end == s || *s == ' ' || errno || id < INT32_MIN || id > INT32_MAX) {
            return errmsg_set(&c->error, ERR_INVALID, "For input string: \"%s\"", s);
        }
        if (id_in(v, *n, (int32_t)id)) {
            return errmsg_set(&c->error, ERR_INVALID,
                              "Broker list contains duplicate entries: [%ld]", id);
        }
        v[(*n)++] = (int32_t)id;
    }
    return *n ? 0 : errmsg_set(&c->error, ERR_INVALID, "For input string: \"%s\"", list);
}

static int read_topics(struct client *c, const char *path, struct replica_sets *topics)
{
    int rv = reassign_json_read(&c->arena, path, REASSIGN_TOPICS, topics, &c->error);
    replica_sets_sort(topics);
    for (size_t i = 1; i < topics->n && rv == 0; i++) {
        if (bytes_eq(topics->v[i].topic, topics->v[i - 1].topic)) {
            rv = errmsg_set(&c->error, ERR_INVALID,
                            "List of topics to reassign contains duplicate entries: [%.*s]",
                            BYTES_FMT(topics->v[i].topic));
        }
    }
    return rv;
}

/* Those of ids that are up. Kafka's tool leaves the others out without a word. */
static int usable(struct client *c, const struct args *a, const int32_t *ids, size_t ids_n,
                  struct placement_broker **out, size_t *n)
{
    bool racks = !args_has(a, "disable-rack-aware");
    size_t without = 0, up_n;
    int32_t *up = reassign_brokers(c, &up_n);
    *out = ARENA_ARRAY(&c->arena, struct placement_broker, ids_n + 1);
    *n = 0;
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        const struct describe_cluster_response_describe_cluster_broker *b = &c->cluster->brokers[i];
        if (id_in(ids, ids_n, b->broker_id)) {
            (*out)[(*n)++] = (struct placement_broker){
                b->broker_id, racks && b->rack.len ? b->rack : BYTES_NULL, true};
            without += b->rack.len == 0;
        }
    }
    for (size_t i = 0; i < ids_n; i++) {
        if (!id_in(up, up_n, ids[i])) {
            fprintf(stderr, "Broker %d of --broker-list is not up, and is left out; up are %s.\n",
                    ids[i], reassign_ids_text(c, up, up_n));
        }
    }
    return racks && without && without < *n
               ? errmsg_set(&c->error, ERR_INVALID,
                            "Not all brokers have rack information. Add --disable-rack-aware in "
                            "command line to make replica assignment without rack information.")
               : 0;
}

/* Places the n partitions of one topic. */
static int place(struct client *c, const struct placement_broker *brokers, size_t brokers_n,
                 struct replica_set *v, size_t n)
{
    struct prng rng;
    uint64_t seed = (uint64_t)steady_ns();
    (void)!getrandom(&seed, sizeof seed, 0); /* without it every look is as good */
    prng_seed(&rng, seed);
    int32_t factor = v->replicas_n;
    if (factor > (int32_t)brokers_n || factor <= 0) {
        return errmsg_set(&c->error, ERR_RANGE,
                          "The target replication factor of %d cannot be reached because only %zu "
                          "broker(s) are registered or some brokers have all their log directories "
                          "cordoned.",
                          factor, brokers_n);
    }
    struct placement *p = placement_over(&c->arena, brokers, brokers_n, &rng);
    for (size_t i = 0; i < n; i++) {
        v[i].dirs = NULL;
        v[i].replicas_n = factor;
        v[i].replicas = ARENA_ARRAY(&c->arena, int32_t, factor);
        placement_next(p, factor, v[i].replicas);
    }
    return 0;
}

static void print_sets(const char *heading, const struct replica_sets *s, const char *end)
{
    json_t *o = reassign_json_of(s);
    printf("%s\n", heading);
    json_dumpf(o, stdout, JSON_COMPACT);
    printf("\n%s", end);
    json_decref(o);
}

/* The items side by side, and both as files for --execute. */
static void print_json(const struct replica_sets *now, const struct replica_sets *then)
{
    json_t *all = listing_new("proposal");
    for (size_t i = 0; i < now->n; i++) {
        json_t *o = listing_item(all);
        json_put_text(o, "topic", now->v[i].topic);
        json_put_int(o, "partition", now->v[i].partition);
        json_put_ids(o, "from", now->v[i].replicas, now->v[i].replicas_n);
        json_put_ids(o, "to", then->v[i].replicas, then->v[i].replicas_n);
    }
    json_object_set_new(all, "current", reassign_json_of(now));
    json_object_set_new(all, "proposed", reassign_json_of(then));
    listing_print(all);
}

int reassign_generate(struct client *c, const struct args *a)
{
    int32_t *ids;
    struct placement_broker *brokers;
    size_t ids_n, brokers_n;
    struct replica_sets topics, now;
    const char *instead = NULL;
    int rv = read_brokers(c, args_get(a, "broker-list", ""), &ids, &ids_n);
    rv = rv ? rv : read_topics(c, args_get(a, "topics-to-move-json-file", ""), &topics);
    rv = rv ? rv : client_cluster(c);
    rv = rv ? rv : reassign_existing(c, &topics, &now, &instead);
    rv = rv ? rv : usable(c, a, ids, ids_n, &brokers, &brokers_n);
    if (rv) {
        return reassign_fail(c->error.text, instead);
    }
    struct replica_sets then = {ARENA_ARRAY(&c->arena, struct replica_set, now.n + 1), now.n};
    if (now.n) {
        memcpy(then.v, now.v, now.n * sizeof *then.v);
    }
    for (size_t i = 0, end; i < then.n && rv == 0; i = end) {
        for (end = i + 1; end < then.n && bytes_eq(then.v[end].topic, then.v[i].topic); end++) {
        }
        rv = place(c, brokers, brokers_n, then.v + i, end - i);
    }
    if (rv) {
        return reassign_fail(c->error.text, NULL);
    }
    if (args_has(a, "json")) {
        print_json(&now, &then);
        return 0;
    }
    print_sets("Current partition replica assignment", &now, "\n");
    print_sets("Proposed partition reassignment configuration", &then, "");
    return 0;
}
