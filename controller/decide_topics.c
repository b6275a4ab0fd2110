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

/* The topics that are there and would collide with names of the request in metrics, where . and _
 * are the same; of the names with neither there are none. */
struct collisions {
    struct bytes *folded; /* by index of the request; null: its name has neither . nor _ */
    struct map by_folded; /* to the name that is there (struct bytes) */
};

static struct bytes fold(struct arena *a, struct bytes name)
{
    if (memchr(name.data, '.', name.len) == NULL && memchr(name.data, '_', name.len) == NULL) {
        return BYTES_NULL;
    }
    char *folded = arena_strndup(a, name.data, name.len);
    for (size_t i = 0; i < name.len; i++) {
        folded[i] = folded[i] == '.' ? '_' : folded[i];
    }
    return bytes_of(folded, name.len);
}

static void find_collisions(struct decision *d, const struct create_topics_request *q,
                            struct collisions *c)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    bool any = false;
    size_t n = (size_t)(q->topics_n > 0 ? q->topics_n : 0);
    *c = (struct collisions){.folded = ARENA_ARRAY(d->arena, struct bytes, n + 1)};
    for (size_t i = 0; i < n; i++) {
        c->folded[i] = topic_name_is_valid(q->topics[i].name, NULL)
                           ? fold(d->arena, q->topics[i].name)
                           : BYTES_NULL;
        any = any || !bytes_is_null(c->folded[i]);
    }
    while (any && (t = image_next_topic(d->img, &it)) != NULL) {
        struct bytes folded = fold(d->arena, t->name);
        if (!bytes_is_null(folded)) {
            map_put(&c->by_folded, folded, (void *)(uintptr_t)&t->name);
        }
    }
}

static bool check_name(struct creation *c, struct bytes folded, const struct collisions *all)
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
    const struct bytes *other = bytes_is_null(folded) ? NULL : map_get(&all->by_folded, folded);
    return other == NULL ||
           fail(c, KE_INVALID_TOPIC_EXCEPTION,
                decision_text(c->d,
                              "the names %.*s and %.*s would be one in metrics, where . and "
                              "_ are the same",
                              BYTES_FMT(name), BYTES_FMT(*other)));
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

static void create(struct creation *c, struct bytes folded, const struct collisions *all,
                   bool validate_only)
{
    size_t before = c->d->n;
    if (!check_name(c, folded, all) || !check_configs(c) ||
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

static struct decision_places *same_topics(struct decision *d,
                                           const struct create_topics_request *q)
{
    size_t n = (size_t)(q->topics_n > 0 ? q->topics_n : 0);
    struct decision_key *keys = ARENA_ARRAY(d->arena, struct decision_key, n + 1);
    for (size_t i = 0; i < n; i++) {
        keys[i].name = q->topics[i].name;
    }
    return decision_same(d->arena, keys, n);
}

void decide_create_topics(struct decision *d, const void *request, void *response)
{
    const struct create_topics_request *q = request;
    struct create_topics_response *resp = response;
    struct collisions all;
    resp->topics = proto_array(d->arena, &create_topics_response_creatable_topic_result_desc,
                               (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    const struct decision_places *same = same_topics(d, q);
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
            create(&c, all.folded[i], &all, q->validate_only);
        }
    }
    if (!fits || d->n > DECISION_RECORDS_MAX) {
        answer_all(d, resp, KE_POLICY_VIOLATION,
                   "the request makes more than 10000 partitions and settings at once: create the "
                   "topics in several requests");
    }
    map_free(&all.by_folded);
}
