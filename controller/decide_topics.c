/* CreateTopics: each topic of the request is judged for itself, in order; a good one leaves its
 * records (Topic, its Configs, its Partitions) and an answer with all its effective settings. */
#include <stdlib.h>

#include "base/map.h"
#include "controller/decide_topics.h"
#include "proto/topic_name.h"
#include "proto_errors.h"

#define TOPIC  struct create_topics_request_creatable_topic
#define RESULT struct create_topics_response_creatable_topic_result

struct creation {
    struct decision *d;
    const TOPIC *in;
    RESULT *out;
    struct image_config_entry *configs; /* sorted by name */
    size_t configs_n;
    struct new_partition *partitions;
    int32_t partitions_n;
    int32_t replicas_n;
};

static bool fail(struct creation *c, int16_t code, struct bytes message)
{
    c->out->error_code = code;
    c->out->error_message = message;
    return false;
}

/* ---- name ---- */

/* Which topics that are there would collide with names of the request in metrics, where . and _ are
 * the same. All topics are looked at once for a request, and most at a glance: a request for one
 * topic must not cost much because there are thousands. */
struct candidate {
    struct bytes folded; /* a name of the request; null: it has neither . nor _ */
    struct bytes other;  /* the name that is there; null: none */
};

struct collisions {
    struct candidate *v; /* by index of the request */
    struct map by_folded;
    uint64_t glance[16]; /* which lengths and last bytes the folded names have */
};

static bool can_collide(struct bytes name)
{
    return memchr(name.data, '.', name.len) || memchr(name.data, '_', name.len);
}

static struct bytes fold(char *to, struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        to[i] = name.data[i] == '.' ? '_' : (char)name.data[i];
    }
    return bytes_of(to, name.len);
}

static uint64_t *glance_of(struct collisions *c, struct bytes name, uint64_t *bit)
{
    uint8_t last = name.data[name.len - 1];
    size_t at = (name.len * 31 + (last == '.' ? '_' : last)) % 1024;
    *bit = UINT64_C(1) << (at % 64);
    return &c->glance[at / 64];
}

static void find_collisions(struct decision *d, const struct create_topics_request *q,
                            struct collisions *c)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    char text[TOPIC_NAME_MAX];
    uint64_t bit;
    size_t n = (size_t)(q->topics_n > 0 ? q->topics_n : 0);
    *c = (struct collisions){.v = ARENA_ARRAY(d->arena, struct candidate, n + 1)};
    for (size_t i = 0; i < n; i++) {
        struct bytes name = q->topics[i].name;
        c->v[i] = (struct candidate){BYTES_NULL, BYTES_NULL};
        if (topic_name_is_valid(name, NULL) && can_collide(name)) {
            c->v[i].folded = fold(arena_alloc(d->arena, name.len), name);
            map_put(&c->by_folded, c->v[i].folded, &c->v[i]);
            *glance_of(c, name, &bit) |= bit;
        }
    }
    while (c->by_folded.count && (t = image_next_topic(d->img, &it)) != NULL) {
        if (t->name.len == 0 || t->name.len > TOPIC_NAME_MAX ||
            !(*glance_of(c, t->name, &bit) & bit)) {
            continue;
        }
        struct candidate *mine = map_get(&c->by_folded, fold(text, t->name));
        if (mine) {
            mine->other = t->name;
        }
    }
}

/* The name that is there and would be one with entry i's; null: none. */
static struct bytes collides_with(const struct collisions *c, int32_t i)
{
    const struct candidate *found =
        bytes_is_null(c->v[i].folded) ? NULL : map_get(&c->by_folded, c->v[i].folded);
    return found ? found->other : BYTES_NULL;
}

static bool check_name(struct creation *c, struct bytes other)
{
    struct errmsg em = {{0}};
    struct bytes name = c->in->name;
    if (bytes_eq_str(name, "__cluster_metadata")) {
        return fail(c, KE_INVALID_REQUEST,
                    bytes_str("__cluster_metadata is the controllers' log: it is no topic"));
    }
    if (!topic_name_is_valid(name, &em)) {
        return fail(c, KE_INVALID_TOPIC_EXCEPTION, decision_text(c->d, "%s", em.text));
    }
    if (image_topic_by_name(c->d->img, name)) {
        return fail(c, KE_TOPIC_ALREADY_EXISTS,
                    decision_text(c->d, "Topic '%.*s' already exists.", BYTES_FMT(name)));
    }
    return bytes_is_null(other) ||
           fail(c, KE_INVALID_TOPIC_EXCEPTION,
                decision_text(c->d,
                              "the names %.*s and %.*s would be one in metrics, where . and "
                              "_ are the same",
                              BYTES_FMT(name), BYTES_FMT(other)));
}

/* ---- settings ---- */

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct image_config_entry *)a)->name,
                     ((const struct image_config_entry *)b)->name);
}

/* The last value of a setting that is given twice holds. */
static bool check_configs(struct creation *c)
{
    struct decision *d = c->d;
    struct errmsg em = {{0}};
    size_t max = (size_t)(c->in->configs_n > 0 ? c->in->configs_n : 0);
    struct decision_key *keys = ARENA_ARRAY(d->arena, struct decision_key, max + 1);
    for (size_t i = 0; i < max; i++) {
        keys[i].name = c->in->configs[i].name;
    }
    const struct decision_places *same = decision_same(d->arena, keys, max);
    c->configs = ARENA_ARRAY(d->arena, struct image_config_entry, max + 1);
    bool *changed = ARENA_ARRAY(d->arena, bool, max + 1);
    for (size_t i = 0; i < max; i++) {
        if (same[i].last == i) {
            changed[c->configs_n] = true;
            c->configs[c->configs_n++] =
                (struct image_config_entry){c->in->configs[i].name, c->in->configs[i].value};
        }
    }
    for (size_t i = 0; i < c->configs_n; i++) {
        if (bytes_is_null(c->configs[i].value)) {
            return fail(c, KE_INVALID_CONFIG,
                        decision_text(d, "%.*s has no value", BYTES_FMT(c->configs[i].name)));
        }
    }
    qsort(c->configs, c->configs_n, sizeof *c->configs, by_name);
    const struct config_validator *v = d->cfg->validator;
    int16_t code = v ? v->validate(v->ctx, d->img, CONFIG_TOPIC, c->in->name, c->configs,
                                   c->configs_n, changed, &em)
                     : 0;
    return code == 0 || fail(c, code, decision_text(d, "%s", em.text));
}

/* ---- partitions ---- */

static bool check_assignments(struct creation *c)
{
    const TOPIC *in = c->in;
    struct decision *d = c->d;
    if (in->num_partitions != -1 || in->replication_factor != -1) {
        return fail(c, KE_INVALID_REQUEST,
                    bytes_str("with replicas given by hand, the number of partitions and the "
                              "replication factor must both be -1"));
    }
    c->partitions_n = in->assignments_n;
    c->partitions = ARENA_ARRAY(d->arena, struct new_partition, in->assignments_n);
    for (int32_t i = 0; i < in->assignments_n; i++) {
        const struct create_topics_request_creatable_replica_assignment *a = &in->assignments[i];
        struct errmsg em = {{0}};
        int32_t index = a->partition_index;
        if (index < 0 || index >= in->assignments_n || c->partitions[index].replicas) {
            return fail(c, KE_INVALID_REPLICA_ASSIGNMENT,
                        decision_text(d,
                                      "the partitions given by hand must be 0 to %d, each once; "
                                      "%d is not",
                                      (int)(in->assignments_n - 1), (int)index));
        }
        if (!decide_check_replicas(d, a->broker_ids, a->broker_ids_n, i == 0 ? -1 : c->replicas_n,
                                   &em)) {
            return fail(c, KE_INVALID_REPLICA_ASSIGNMENT,
                        decision_text(d, "partition %d: %s", (int)index, em.text));
        }
        c->replicas_n = a->broker_ids_n;
        c->partitions[index] = (struct new_partition){a->broker_ids, a->broker_ids_n};
    }
    return true;
}

static bool place(struct creation *c)
{
    struct decision *d = c->d;
    struct errmsg em = {{0}};
    int32_t n = c->in->num_partitions == -1 ? d->cfg->num_partitions : c->in->num_partitions;
    int32_t replicas = c->in->replication_factor == -1 ? d->cfg->default_replication_factor
                                                       : c->in->replication_factor;
    if (c->in->replication_factor < -1 || replicas == 0) {
        return fail(c, KE_INVALID_REPLICATION_FACTOR,
                    decision_text(d,
                                  "a replication factor of %d is not allowed; allowed: 1 and "
                                  "above, or -1 for the default",
                                  (int)c->in->replication_factor));
    }
    if (c->in->num_partitions < -1 || n == 0) {
        return fail(c, KE_INVALID_PARTITIONS,
                    decision_text(d,
                                  "%d partitions are not allowed; allowed: 1 and above, or -1 "
                                  "for the default",
                                  (int)c->in->num_partitions));
    }
    c->partitions_n = n;
    c->replicas_n = replicas;
    if (!decide_place(d, n, replicas, &c->partitions, &em)) {
        return fail(c, KE_INVALID_REPLICATION_FACTOR, decision_text(d, "%s", em.text));
    }
    return true;
}

/* ---- records and answer ---- */

static void add_records(struct creation *c, struct uuid id)
{
    struct decision *d = c->d;
    struct topic_record t;
    proto_msg_init(&topic_record_msg, &t);
    t.name = c->in->name;
    t.topic_id = id;
    decision_add(d, &topic_record_msg, 0, &t);
    bool min_isr = false;
    for (size_t i = 0; i < c->configs_n; i++) {
        decide_add_config(d, CONFIG_TOPIC, c->in->name, c->configs[i].name, c->configs[i].value);
        min_isr = min_isr || bytes_eq_str(c->configs[i].name, "min.insync.replicas");
    }
    if (min_isr && decide_elr_enabled(d)) {
        decide_add_clear_elr(d, c->in->name);
    }
    for (int32_t i = 0; i < c->partitions_n; i++) {
        decide_add_partition(d, id, i, &c->partitions[i]);
    }
}

static void answer_configs(struct creation *c)
{
    const struct config_validator *v = c->d->cfg->validator;
    const struct config_effective *e = NULL;
    size_t n =
        v ? v->effective_topic(v->ctx, c->d->img, c->configs, c->configs_n, c->d->arena, &e) : 0;
    c->out->configs =
        proto_array(c->d->arena, &create_topics_response_creatable_topic_configs_desc, n);
    c->out->configs_n = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        c->out->configs[i].name = e[i].name;
        c->out->configs[i].value = e[i].value;
        c->out->configs[i].read_only = e[i].read_only;
        c->out->configs[i].config_source = e[i].source;
        c->out->configs[i].is_sensitive = e[i].sensitive;
    }
}

static void create(struct creation *c, struct bytes other, bool validate_only)
{
    size_t before = c->d->n;
    if (!check_name(c, other) || !check_configs(c) ||
        !(c->in->assignments_n > 0 ? check_assignments(c) : place(c))) {
        return;
    }
    struct uuid id = c->d->new_id(c->d->new_id_ctx);
    add_records(c, id);
    if (validate_only) {
        decision_cut(c->d, before);
    }
    c->out->topic_id = id;
    c->out->num_partitions = c->partitions_n;
    c->out->replication_factor = (int16_t)c->replicas_n;
    answer_configs(c);
}

/* All partitions that the request asks for; the number is judged before anything is placed. */
static int64_t total_partitions(const struct decision *d, const struct create_topics_request *q)
{
    int64_t n = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        const TOPIC *t = &q->topics[i];
        int32_t one = t->num_partitions == -1 ? d->cfg->num_partitions : t->num_partitions;
        n += t->assignments_n > 0 ? t->assignments_n : one > 0 ? one : 0;
    }
    return n;
}

static void answer_all(struct decision *d, struct create_topics_response *resp, int16_t code,
                       const char *message)
{
    decision_cut(d, 0);
    for (int32_t i = 0; i < resp->topics_n; i++) {
        RESULT *out = &resp->topics[i];
        struct bytes name = out->name;
        proto_init(&create_topics_response_creatable_topic_result_desc, out);
        out->name = name;
        out->configs = NULL;
        out->configs_n = 0;
        out->error_code = code;
        out->error_message = bytes_str(message);
    }
}

struct decision_places *decide_create_topics_same(struct arena *a,
                                                  const struct create_topics_request *q)
{
    size_t n = (size_t)(q->topics_n > 0 ? q->topics_n : 0);
    struct decision_key *keys = ARENA_ARRAY(a, struct decision_key, n + 1);
    for (size_t i = 0; i < n; i++) {
        keys[i].name = q->topics[i].name;
    }
    return decision_same(a, keys, n);
}

void decide_create_topics(struct decision *d, const void *request, void *response)
{
    const struct create_topics_request *q = request;
    struct create_topics_response *resp = response;
    struct collisions all;
    resp->topics = proto_array(d->arena, &create_topics_response_creatable_topic_result_desc,
                               (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    const struct decision_places *same = decide_create_topics_same(d->arena, q);
    bool fits = total_partitions(d, q) <= DECISION_RECORDS_MAX;
    find_collisions(d, q, &all);
    for (int32_t i = 0; i < q->topics_n; i++) {
        struct creation c = {.d = d, .in = &q->topics[i]};
        if (same[i].last != (uint32_t)i) {
            continue; /* of a name that is there twice, the last one answers for all */
        }
        c.out = &resp->topics[resp->topics_n++];
        c.out->name = c.in->name;
        c.out->error_message = BYTES_NULL;
        c.out->configs = NULL;
        c.out->configs_n = 0;
        if (same[i].first != same[i].last) {
            fail(&c, KE_INVALID_REQUEST, bytes_str("the topic is in the request twice"));
        } else if (fits) {
            create(&c, collides_with(&all, i), q->validate_only);
        }
    }
    if (!fits || d->n > DECISION_RECORDS_MAX) {
        answer_all(d, resp, KE_POLICY_VIOLATION,
                   "the request makes more than 10000 partitions and settings at once: create the "
                   "topics in several requests");
    }
    map_free(&all.by_folded);
}
