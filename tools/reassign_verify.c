/* --verify: how far a move is, and, once nothing moves any more, its throttles taken off; and what
 * else the actions of reassign-partitions share. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/listing.h"
#include "tools/reassign_partitions.h"
#include "tools/text.h"

#define UNKNOWN "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: "

int reassign_fail(const char *text, const char *instead)
{
    printf("Error: %s\n", text);
    if (instead) {
        printf("%s\n", instead);
    }
    return 1;
}

const char *reassign_ids_text(struct client *c, const int32_t *ids, size_t n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%s%d", i ? ", " : "", ids[i]);
    }
    const char *text = arena_strndup(&c->arena, buf_cstr(&b), b.len);
    buf_free(&b);
    return text;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

int32_t *reassign_brokers(struct client *c, size_t *n)
{
    *n = (size_t)c->cluster->brokers_n;
    int32_t *ids = ARENA_ARRAY(&c->arena, int32_t, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        ids[i] = c->cluster->brokers[i].broker_id;
    }
    qsort(ids, *n, sizeof *ids, by_id);
    return ids;
}

/* ---- what is there ---- */

/* "a has partitions 0 to 2.": what could have been meant. */
static void put_partitions(struct buf *b, const struct replica_sets *all, struct bytes topic)
{
    int32_t n = 1;
    while (replica_set_find(all, topic, n)) {
        n++;
    }
    buf_printf(b, "%s%.*s has ", b->len ? " " : "", BYTES_FMT(topic));
    buf_printf(b, n > 1 ? "partitions 0 to %d." : "partition %d only.", n - 1);
}

/* The first topic of `of` that is not there, as Kafka's tool says it; *instead is what is. */
static int missing_topic(struct client *c, const struct replica_sets *of,
                         const struct replica_sets *all, const char **instead)
{
    for (size_t i = 0; i < of->n; i++) {
        if (!replica_set_find(all, of->v[i].topic, 0)) {
            *instead = "`millrace topics --list` shows the topics that are there.";
            return errmsg_set(&c->error, ERR_NOTFOUND, UNKNOWN "Topic %.*s not found.",
                              BYTES_FMT(of->v[i].topic));
        }
    }
    return 0;
}

/* The partitions of `of` that are not there, of topics that are. */
static int missing_partitions(struct client *c, const struct replica_sets *of,
                              const struct replica_sets *all, const char **instead)
{
    struct buf names = {0}, there = {0};
    struct bytes told = BYTES_NULL; /* a topic whose partitions are in there */
    for (size_t i = 0; i < of->n; i++) {
        const struct replica_set *s = &of->v[i];
        if (s->partition >= 0 && !replica_set_find(all, s->topic, s->partition)) {
            buf_printf(&names, "%s%.*s-%d", names.len ? ", " : "", BYTES_FMT(s->topic),
                       s->partition);
            if (!bytes_eq(told, s->topic)) {
                put_partitions(&there, all, s->topic);
                told = s->topic;
            }
        }
    }
    int rv = 0;
    if (names.len) {
        rv = errmsg_set(&c->error, ERR_NOTFOUND, UNKNOWN "Unable to find partition: %s",
                        buf_cstr(&names));
        *instead = arena_strndup(&c->arena, buf_cstr(&there), there.len);
    }
    buf_free(&names);
    buf_free(&there);
    return rv;
}

/* All brokers of the cluster, those too that are down, ascending. What is up stays as it was asked.
 */
static int registered(struct client *c, int32_t **ids, size_t *n)
{
    struct describe_cluster_response *up = c->cluster;
    int rv = client_cluster_refresh(c, true);
    if (rv == 0) {
        *ids = reassign_brokers(c, n);
    }
    c->cluster = up;
    return rv;
}

static int missing_brokers(struct client *c, const struct replica_sets *of,
                           const struct replica_sets *all, const char **instead)
{
    int32_t *ids;
    size_t n;
    int rv = registered(c, &ids, &n);
    for (size_t i = 0; i < of->n && rv == 0; i++) {
        const struct replica_set *s = &of->v[i];
        const struct replica_set *now = replica_set_find(all, s->topic, s->partition);
        for (int32_t k = 0; k < s->replicas_n && rv == 0; k++) {
            int32_t id = s->replicas[k];
            if (!id_in(ids, n, id) && !(now && id_in(now->replicas, now->replicas_n, id))) {
                rv = errmsg_set(&c->error, ERR_NOTFOUND, "Unknown broker id %d", id);
                *instead =
                    arena_printf(&c->arena, "It is named for %.*s-%d. Brokers of the cluster: %s.",
                                 BYTES_FMT(s->topic), s->partition, reassign_ids_text(c, ids, n));
            }
        }
    }
    return rv;
}

/* Where the replicas of s lie, on the brokers that answer. */
static void find_dirs(struct client *c, struct replica_sets *s)
{
    size_t max = 0, n = 0, up_n;
    int32_t *up = reassign_brokers(c, &up_n);
    for (size_t i = 0; i < s->n; i++) {
        max += (size_t)s->v[i].replicas_n;
    }
    struct replica_dir *v = ARENA_ARRAY(&c->arena, struct replica_dir, max + 1);
    for (size_t i = 0; i < s->n; i++) {
        for (int32_t k = 0; k < s->v[i].replicas_n; k++) {
            if (id_in(up, up_n, s->v[i].replicas[k])) {
                v[n++] = (struct replica_dir){.topic = s->v[i].topic,
                                              .partition = s->v[i].partition,
                                              .broker = s->v[i].replicas[k]};
            }
        }
    }
    replica_dirs_sort(v, n);
    replica_dirs_look(c, v, n);
    for (size_t i = 0; i < s->n; i++) {
        s->v[i].dirs = ARENA_ARRAY(&c->arena, struct bytes, s->v[i].replicas_n + 1);
        for (int32_t k = 0; k < s->v[i].replicas_n; k++) {
            const struct replica_dir *r =
                replica_dir_find(v, n, s->v[i].replicas[k], s->v[i].topic, s->v[i].partition);
            s->v[i].dirs[k] = r ? r->current : BYTES_NULL;
        }
    }
}

int reassign_existing(struct client *c, const struct replica_sets *of, struct replica_sets *out,
                      const char **instead)
{
    struct replica_sets all;
    *instead = NULL;
    int rv = reassign_current(c, &all);
    rv = rv ? rv : missing_topic(c, of, &all, instead);
    rv = rv ? rv : missing_partitions(c, of, &all, instead);
    if (rv) {
        return rv;
    }
    *out = (struct replica_sets){ARENA_ARRAY(&c->arena, struct replica_set, all.n + 1), 0};
    for (size_t i = 0; i < all.n; i++) {
        if (replica_set_find(of, all.v[i].topic, all.v[i].partition) ||
            replica_set_find(of, all.v[i].topic, -1)) {
            out->v[out->n++] = all.v[i];
        }
    }
    find_dirs(c, out);
    return 0;
}

/* ---- throttles ---- */

void reassign_tell_throttles(const struct throttles *t)
{
    if (t->brokers_n + t->topics_n == 0) {
        return;
    }
    fprintf(stderr, "Nothing moves, but throttles are set:");
    for (size_t i = 0; i < t->brokers_n; i++) {
        fprintf(stderr, "%s%d",
                i                  ? ", "
                : t->brokers_n > 1 ? " on brokers "
                                   : " on broker ",
                t->brokers[i]);
    }
    for (size_t i = 0; i < t->topics_n; i++) {
        fprintf(stderr, "%s%.*s",
                i                 ? ", "
                : t->brokers_n    ? "; on topics "
                : t->topics_n > 1 ? " on topics "
                                  : " on topic ",
                BYTES_FMT(t->topics[i]));
    }
    fprintf(stderr, ". --verify with the file of the move takes them off.\n");
}

/* What a move may have throttled: all brokers that are up and those that targets name, and their
 * topics. */
static void put_throttled(struct client *c, const struct replica_sets *targets, int32_t **brokers,
                          size_t *n, struct bytes **topics, size_t *topics_n)
{
    size_t max = 0;
    int32_t *up = reassign_brokers(c, n);
    for (size_t i = 0; i < targets->n; i++) {
        max += (size_t)targets->v[i].replicas_n;
    }
    *brokers = ARENA_ARRAY(&c->arena, int32_t, *n + max + 1);
    *topics = ARENA_ARRAY(&c->arena, struct bytes, targets->n + 1);
    *topics_n = 0;
    memcpy(*brokers, up, *n * sizeof **brokers);
    for (size_t i = 0; i < targets->n; i++) {
        const struct replica_set *s = &targets->v[i];
        for (int32_t k = 0; k < s->replicas_n; k++) {
            if (!id_in(*brokers, *n, s->replicas[k])) {
                (*brokers)[(*n)++] = s->replicas[k];
            }
        }
        if (i == 0 || !bytes_eq(s->topic, s[-1].topic)) {
            (*topics)[(*topics_n)++] = s->topic;
        }
    }
    qsort(*brokers, *n, sizeof **brokers, by_id);
}

static void print_cleared(const char *kind, const int32_t *brokers, const struct bytes *topics,
                          size_t n)
{
    printf("Clearing %s-level throttles on %s%s ", kind, kind, n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++) {
        printf("%s", i ? "," : "");
        if (brokers) {
            printf("%d", brokers[i]);
        } else {
            printf("%.*s", BYTES_FMT(topics[i]));
        }
    }
    printf("\n");
}

int reassign_clear(struct client *c, const struct replica_sets *targets, json_t *listing)
{
    size_t n, topics_n;
    int32_t *brokers;
    struct bytes *topics;
    put_throttled(c, targets, &brokers, &n, &topics, &topics_n);
    if (listing) {
        json_put_ids(listing, "clearedBrokers", brokers, (int32_t)n);
        json_put_texts(listing, "clearedTopics", topics, topics_n);
    } else {
        print_cleared("broker", brokers, NULL, n);
    }
    int rv = throttle_clear_brokers(c, brokers, n);
    struct errmsg first = c->error;
    if (listing == NULL) {
        print_cleared("topic", NULL, topics, topics_n);
    }
    if (rv) { /* the topics' all the same */
        (void)throttle_clear_topics(c, topics, topics_n);
        return reassign_fail(first.text, "Run it again when the broker is up.");
    }
    return throttle_clear_topics(c, topics, topics_n) ? reassign_fail(c->error.text, NULL) : 0;
}

static int check_by_controllers(struct client *c, const struct replica_sets *targets)
{
    size_t n, topics_n;
    int32_t *brokers;
    struct bytes *topics;
    put_throttled(c, targets, &brokers, &n, &topics, &topics_n);
    return throttle_check(c, brokers, n, topics, topics_n);
}

void reassign_tell(struct client *c, const char *instead)
{
    fprintf(stderr, "%s%s%s\n", c->error.text, instead ? ". " : "", instead ? instead : "");
}

int reassign_refuse(struct client *c, const char *instead)
{
    return reassign_fail(c->error.text, arena_printf(&c->arena, "%s%sNothing was changed.",
                                                     instead ? instead : "", instead ? " " : ""));
}

int reassign_check(struct client *c, const struct replica_sets *targets, const char **instead)
{
    struct replica_sets all;
    *instead = NULL;
    int rv = client_cluster(c);
    if (rv == 0 && c->controllers) {
        rv = check_by_controllers(c, targets);
    } else if (rv == 0) {
        rv = reassign_current(c, &all);
        rv = rv ? rv : missing_topic(c, targets, &all, instead);
        rv = rv ? rv : missing_brokers(c, targets, &all, instead);
        if (rv == 0 && missing_partitions(c, targets, &all, instead)) {
            reassign_tell(c, *instead);
        }
    }
    return rv;
}

/* ---- how far it is ---- */

/* What --json calls them. */
static const char completed[] = "completed", in_progress[] = "in-progress",
                  not_moving[] = "not-moving", other_dir[] = "other-dir", not_found[] = "not-found";

/* A partition of the file. */
struct place {
    const struct replica_set *target, *now; /* now NULL: it is not there */
    const char *status;
};

static struct place place_of(const struct replica_set *target, const struct replica_set *moving,
                             const struct replica_set *now)
{
    return (struct place){target, now,
                          moving                                 ? in_progress
                          : now && replica_set_same(now, target) ? completed
                                                                 : not_moving};
}

static void print_place(const struct place *p)
{
    const struct bytes topic = p->target->topic;
    int32_t partition = p->target->partition;
    if (p->status == in_progress) {
        printf("Reassignment of partition %.*s-%d is still in progress.\n", BYTES_FMT(topic),
               partition);
    } else if (p->status == completed) {
        printf("Reassignment of partition %.*s-%d is completed.\n", BYTES_FMT(topic), partition);
    } else {
        printf("There is no active reassignment of partition %.*s-%d, but replica set is ",
               BYTES_FMT(topic), partition);
        if (p->now) {
            print_ids(p->now->replicas, p->now->replicas_n);
        }
        printf(" rather than ");
        print_ids(p->target->replicas, p->target->replicas_n);
        printf(".\n");
    }
}

static void put_place(json_t *listing, const struct place *p)
{
    json_t *o = listing_item(listing);
    json_put_text(o, "topic", p->target->topic);
    json_put_int(o, "partition", p->target->partition);
    json_put_text(o, "status", bytes_str(p->status));
    if (p->now) {
        json_put_ids(o, "replicas", p->now->replicas, p->now->replicas_n);
    } else {
        json_put_null(o, "replicas");
    }
    json_put_ids(o, "target", p->target->replicas, p->target->replicas_n);
    json_put_array(o, "dirs");
}

static const char *dir_status(const struct replica_dir *r)
{
    if (bytes_is_null(r->current)) {
        return not_found;
    }
    if (!bytes_is_null(r->future)) {
        return bytes_eq(r->future, r->target) ? in_progress : other_dir;
    }
    return bytes_eq(r->current, r->target) ? completed : not_moving;
}

static void print_dir(const struct replica_dir *r, const char *status)
{
    if (status == not_found) {
        printf("Partition %.*s-%d is not found in any live log dir on broker %d. There is likely "
               "an offline log directory on the broker.\n",
               BYTES_FMT(r->topic), r->partition, r->broker);
    } else if (status == in_progress) {
        printf("Reassignment of replica %.*s-%d-%d is still in progress.\n", BYTES_FMT(r->topic),
               r->partition, r->broker);
    } else if (status == other_dir) {
        printf("Partition %.*s-%d on broker %d is being moved to log dir %.*s instead of %.*s.\n",
               BYTES_FMT(r->topic), r->partition, r->broker, BYTES_FMT(r->future),
               BYTES_FMT(r->target));
    } else if (status == completed) {
        printf("Reassignment of replica %.*s-%d-%d completed successfully.\n", BYTES_FMT(r->topic),
               r->partition, r->broker);
    } else {
        printf("Partition %.*s-%d on broker %d is not being moved from log dir %.*s to %.*s.\n",
               BYTES_FMT(r->topic), r->partition, r->broker, BYTES_FMT(r->current),
               BYTES_FMT(r->target));
    }
}

/* Into the item of its partition. */
static void put_dir(json_t *listing, const struct replica_sets *targets,
                    const struct replica_dir *r, const char *status)
{
    const struct replica_set *t = replica_set_find(targets, r->topic, r->partition);
    json_t *item = json_array_get(json_object_get(listing, "items"), (size_t)(t - targets->v));
    json_t *o = json_add_object(json_object_get(item, "dirs"));
    json_put_int(o, "broker", r->broker);
    json_put_text(o, "status", bytes_str(status));
    json_put_text(o, "dir", r->current);
    json_put_text(o, "future", r->future);
    json_put_text(o, "target", r->target);
}

/* How far it all is. */
struct state {
    bool moves;   /* something does, of the file or not */
    bool reached; /* what the file says */
};

static void show_places(const struct replica_sets *targets, const struct replica_sets *ongoing,
                        const struct replica_sets *now, struct state *s, json_t *listing)
{
    if (listing == NULL) {
        printf("Status of partition reassignment:\n");
    }
    for (size_t i = 0; i < targets->n; i++) {
        const struct replica_set *t = &targets->v[i];
        const struct place p = place_of(t, replica_set_find(ongoing, t->topic, t->partition),
                                        replica_set_find(now, t->topic, t->partition));
        s->reached &= p.status == completed;
        if (listing) {
            put_place(listing, &p);
        } else {
            print_place(&p);
        }
    }
}

/* Printed, or put into listing where it is not NULL. */
static int show_states(struct client *c, const struct replica_sets *targets, struct state *s,
                       json_t *listing)
{
    struct replica_sets ongoing, now;
    int rv = reassign_ongoing(c, NULL, &ongoing);
    rv = rv ? rv : client_metadata_refresh(c); /* behind it: what ended in between has ended */
    rv = rv ? rv : reassign_current(c, &now);
    if (rv) {
        return rv;
    }
    *s = (struct state){.moves = ongoing.n > 0, .reached = true};
    show_places(targets, &ongoing, &now, s, listing);
    size_t n;
    struct replica_dir *v = replica_dirs_of(&c->arena, targets, &n);
    rv = replica_dirs_find(c, v, n);
    for (size_t i = 0; i < n && rv == 0; i++) {
        const char *status = dir_status(&v[i]);
        s->moves |= !bytes_is_null(v[i].current) && !bytes_is_null(v[i].future);
        s->reached &= status == completed;
        if (listing) {
            put_dir(listing, targets, &v[i], status);
        } else {
            print_dir(&v[i], status);
        }
    }
    if (n == 0 && rv == 0 && listing == NULL) {
        printf("\n"); /* as Kafka's tool: the empty list on a line */
    }
    return rv;
}

static int show_and_clear(struct client *c, const struct args *a,
                          const struct replica_sets *targets, bool *reached, json_t *listing)
{
    struct state state = {0};
    int rv = client_cluster(c);
    rv = rv ? rv : show_states(c, targets, &state, listing);
    *reached = state.reached;
    if (rv) {
        return reassign_fail(c->error.text, NULL);
    }
    bool preserve = args_has(a, "preserve-throttles");
    if (!state.moves && !preserve) {
        return reassign_clear(c, targets, listing);
    }
    if (listing) {
        json_put_null(listing, "clearedBrokers");
        json_put_null(listing, "clearedTopics");
    }
    struct throttles t;
    if (!state.moves && throttle_find(c, &t) == 0) {
        reassign_tell_throttles(&t);
    }
    return 0;
}

static int verify(struct client *c, const struct args *a, const struct replica_sets *targets,
                  bool *reached)
{
    json_t *listing = args_has(a, "json") ? listing_new("reassignment-status") : NULL;
    int status = show_and_clear(c, a, targets, reached, listing);
    if (listing && status == 0) {
        listing_print(listing);
    } else {
        json_decref(listing);
    }
    return status;
}

int reassign_verify(struct client *c, const struct args *a, const struct replica_sets *targets)
{
    const char *instead;
    struct state state;
    bool reached;
    int rv = args_has(a, "preserve-throttles") ? 0 : reassign_check(c, targets, &instead);
    if (rv == 0) {
        return verify(c, a, targets, &reached);
    }
    const struct errmsg why = c->error;
    if (rv == ERR_NOTFOUND && !args_has(a, "json")) { /* as Kafka's tool, which fails behind it */
        (void)show_states(c, targets, &state, NULL);
    }
    c->error = why;
    return reassign_refuse(c, instead);
}

static void tell_command(const struct args *a, const char *why, const char *action)
{
    const char *config = args_get(a, "command-config", NULL);
    fprintf(stderr,
            "  %s:\n    millrace reassign-partitions --bootstrap-server %s%s%s --%s "
            "--reassignment-json-file %s\n",
            why, args_get(a, "bootstrap-server", ""), config ? " --command-config " : "",
            config ? config : "", action, args_get(a, "reassignment-json-file", ""));
}

/* What to type to see and to stop what goes on without this tool. */
static void tell_interrupted(const struct args *a, const struct reassign_watch *w)
{
    fprintf(stderr,
            "Interrupted. The move itself goes on: %zu partitions and %zu directories are not "
            "there yet.\n",
            w->partitions_left, w->dirs_left);
    tell_command(a, "to see how far it is, and to take throttles off when it is done", "verify");
    tell_command(a, "to stop it and to go back", "cancel");
}

int reassign_wait_verify(struct client *c, const struct args *a, const struct replica_sets *targets)
{
    struct reassign_watch w;
    size_t n;
    struct replica_dir *dirs = replica_dirs_of(&c->arena, targets, &n);
    int rv = reassign_watch_begin(c, &w, targets, dirs, n);
    int64_t rate = args_int(a, "throttle", 0, INT64_MIN, INT64_MAX);
    int64_t dirs_rate = args_int(a, "replica-alter-log-dirs-throttle", 0, INT64_MIN, INT64_MAX);
    w.throttle = rate > 0 ? rate : 0;
    w.dirs_throttle = dirs_rate > 0 ? dirs_rate : 0;
    rv = rv ? rv : reassign_wait(c, &w);
    if (rv == ERR_CANCELED) {
        tell_interrupted(a, &w);
        return 128 + SIGINT;
    }
    if (rv) {
        return reassign_fail(c->error.text, "The move itself goes on.");
    }
    reassign_settle(c, targets);
    bool reached;
    int status = verify(c, a, targets, &reached);
    return reached ? status : 1;
}
