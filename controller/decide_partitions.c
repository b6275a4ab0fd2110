/* CreatePartitions and DeleteTopics, and the making of partitions that CreateTopics uses too. */
#include "controller/decide_topics.h"
#include "controller/placement.h"
#include "proto_errors.h"
#include "proto_features.h"

enum { ELR_KEPT_MAX = DECISION_RECORDS_MAX / 2 }; /* records of the decision */

/* ---- new partitions ---- */

bool decide_check_ids(const struct decision *d, const int32_t *ids, int32_t n, struct errmsg *em)
{
    if (n <= 0) {
        errmsg_set(em, 0, "it has no replicas");
        return false;
    }
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < i; k++) {
            if (ids[i] == ids[k]) {
                errmsg_set(em, 0, "broker %d is named twice", (int)ids[i]);
                return false;
            }
        }
        if (image_broker(d->img, ids[i]) == NULL) {
            errmsg_set(em, 0, "broker %d is not registered", (int)ids[i]);
            return false;
        }
    }
    return true;
}

bool decide_check_replicas(const struct decision *d, const int32_t *ids, int32_t n, int32_t wanted,
                           struct errmsg *em)
{
    bool active = false;
    if (!decide_check_ids(d, ids, n, em)) {
        return false;
    }
    for (int32_t i = 0; i < n; i++) {
        active = active || decide_is_active(d, ids[i]);
    }
    if (wanted >= 0 && n != wanted) {
        errmsg_set(em, 0, "it has %d replicas where the others have %d", (int)n, (int)wanted);
        return false;
    }
    if (!active) {
        errmsg_set(em, 0, "all of its brokers are fenced or shutting down");
        return false;
    }
    return true;
}

static bool is_active(const void *ctx, int32_t broker)
{
    return decide_is_active(ctx, broker);
}

bool decide_place(struct decision *d, int32_t n, int32_t replicas, struct new_partition **out,
                  struct errmsg *em)
{
    struct placement *p = placement_new(d->arena, d->img, d->rng, is_active, d);
    if (placement_check(p, replicas, em)) {
        return false;
    }
    *out = ARENA_ARRAY(d->arena, struct new_partition, n);
    for (int32_t i = 0; i < n; i++) {
        int32_t *ids = ARENA_ARRAY(d->arena, int32_t, replicas);
        placement_next(p, replicas, ids);
        (*out)[i] = (struct new_partition){ids, replicas};
    }
    return true;
}

void decide_add_partition(struct decision *d, struct uuid topic, int32_t index,
                          const struct new_partition *p)
{
    const struct proto_metadata_version *mv = decide_version(d);
    struct partition_record r;
    proto_msg_init(&partition_record_msg, &r);
    r.topic_id = topic;
    r.partition_id = index;
    r.replicas = (int32_t *)(uintptr_t)p->replicas;
    r.replicas_n = p->replicas_n;
    r.isr = ARENA_ARRAY(d->arena, int32_t, p->replicas_n);
    for (int32_t i = 0; i < p->replicas_n; i++) {
        if (decide_is_active(d, p->replicas[i])) {
            r.isr[r.isr_n++] = p->replicas[i];
        }
    }
    ASSERT(r.isr_n > 0);
    r.leader = r.isr[0];
    r.leader_epoch = 0;
    r.partition_epoch = 0;
    if (mv->flags & MV_DIRECTORY_ASSIGNMENT_SUPPORTED) {
        r.directories = ARENA_ARRAY(d->arena, struct uuid, p->replicas_n);
        r.directories_n = p->replicas_n;
        for (int32_t i = 0; i < p->replicas_n; i++) {
            r.directories[i] = decide_default_directory(d, p->replicas[i]);
        }
    }
    decision_add(d, &partition_record_msg, mv->partition_record, &r);
}

void decide_add_config(struct decision *d, int8_t type, struct bytes resource, struct bytes name,
                       struct bytes value)
{
    struct config_record r;
    proto_msg_init(&config_record_msg, &r);
    r.resource_type = type;
    r.resource_name = resource;
    r.name = name;
    r.value = value;
    decision_add(d, &config_record_msg, 0, &r);
}

void decide_add_clear_elr(struct decision *d, struct bytes topic)
{
    struct clear_elr_record r;
    proto_msg_init(&clear_elr_record_msg, &r);
    r.topic_name = topic;
    decision_add(d, &clear_elr_record_msg, 0, &r);
}

/* Nothing is committed while nobody leads: who could lead by the old least ISR can by any. */
static void keep_elr(struct decision *d, const struct image_topic *t)
{
    for (uint32_t i = 0; i < t->partitions_n && d->n < ELR_KEPT_MAX; i++) {
        const struct image_partition *p = t->partitions[i];
        struct partition_change_record r;
        if (p == NULL || p->leader >= 0 || (p->elr_n == 0 && p->last_known_elr_n == 0)) {
            continue;
        }
        proto_msg_init(&partition_change_record_msg, &r);
        r.topic_id = t->id;
        r.partition_id = p->index;
        r.eligible_leader_replicas = (int32_t *)(uintptr_t)p->elr;
        r.eligible_leader_replicas_n = (int32_t)p->elr_n;
        r.last_known_elr = (int32_t *)(uintptr_t)p->last_known_elr;
        r.last_known_elr_n = (int32_t)p->last_known_elr_n;
        decision_add(d, &partition_change_record_msg, decide_version(d)->partition_change_record,
                     &r);
    }
}

void decide_clear_elr(struct decision *d, struct bytes topic)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    decide_add_clear_elr(d, topic);
    if (topic.len > 0) {
        t = image_topic_by_name(d->img, topic);
        if (t != NULL) {
            keep_elr(d, t);
        }
        return;
    }
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        keep_elr(d, t);
    }
}

/* ---- CreatePartitions ---- */

#define GROW        struct create_partitions_request_create_partitions_topic
#define GROW_RESULT struct create_partitions_response_create_partitions_topic_result

struct growth {
    struct decision *d;
    const GROW *in;
    GROW_RESULT *out;
    const struct image_topic *topic;
    struct new_partition *partitions;
    int32_t n;
};

static bool fail(struct growth *g, int16_t code, struct bytes message)
{
    g->out->error_code = code;
    g->out->error_message = message;
    return false;
}

static bool check_count(struct growth *g)
{
    g->topic = image_topic_by_name(g->d->img, g->in->name);
    if (g->topic == NULL) {
        return fail(g, KE_UNKNOWN_TOPIC_OR_PARTITION, BYTES_NULL);
    }
    int32_t have = (int32_t)g->topic->partitions_n;
    if (g->in->count <= have) {
        return fail(g, KE_INVALID_PARTITIONS,
                    decision_text(g->d, "the topic has %d partitions; %d would not be an increase",
                                  (int)have, (int)g->in->count));
    }
    g->n = g->in->count - have;
    if (g->n > DECISION_RECORDS_MAX) {
        return fail(g, KE_INVALID_PARTITIONS,
                    decision_text(g->d, "%d new partitions are too many at once; allowed: up to %d",
                                  (int)g->n, DECISION_RECORDS_MAX));
    }
    return true;
}

/* The replication factor of a topic is that of its first partition. */
static int32_t factor_of(const struct image_topic *t)
{
    const struct image_partition *p = image_partition(t, 0);
    return p ? (int32_t)p->replicas_n : 1;
}

static bool take_assignments(struct growth *g)
{
    struct errmsg em = {{0}};
    if (g->in->assignments_n != g->n) {
        return fail(g, KE_INVALID_REPLICA_ASSIGNMENT,
                    decision_text(g->d, "%d new partitions, but replicas are given for %d",
                                  (int)g->n, (int)g->in->assignments_n));
    }
    g->partitions = ARENA_ARRAY(g->d->arena, struct new_partition, g->n);
    for (int32_t i = 0; i < g->n; i++) {
        const int32_t *ids = g->in->assignments[i].broker_ids;
        int32_t n = g->in->assignments[i].broker_ids_n;
        if (!decide_check_replicas(g->d, ids, n, factor_of(g->topic), &em)) {
            return fail(g, KE_INVALID_REPLICA_ASSIGNMENT,
                        decision_text(g->d, "new partition %d: %s", (int)i, em.text));
        }
        g->partitions[i] = (struct new_partition){ids, n};
    }
    return true;
}

static bool place(struct growth *g)
{
    struct errmsg em = {{0}};
    return decide_place(g->d, g->n, factor_of(g->topic), &g->partitions, &em) ||
           fail(g, KE_INVALID_REPLICATION_FACTOR, decision_text(g->d, "%s", em.text));
}

static void grow(struct growth *g, bool validate_only)
{
    if (!check_count(g) || !(g->in->assignments_n >= 0 ? take_assignments(g) : place(g)) ||
        validate_only) {
        return;
    }
    if (g->d->n + (size_t)g->n > DECISION_RECORDS_MAX) {
        fail(g, KE_POLICY_VIOLATION,
             bytes_str("the request makes more than 10000 partitions at once: send several"));
        return;
    }
    for (int32_t i = 0; i < g->n; i++) {
        decide_add_partition(g->d, g->topic->id, (int32_t)g->topic->partitions_n + i,
                             &g->partitions[i]);
    }
}

struct decision_places *decide_create_partitions_same(struct arena *a,
                                                      const struct create_partitions_request *q)
{
    size_t n = (size_t)(q->topics_n > 0 ? q->topics_n : 0);
    struct decision_key *keys = ARENA_ARRAY(a, struct decision_key, n + 1);
    for (size_t i = 0; i < n; i++) {
        keys[i].name = q->topics[i].name;
    }
    return decision_same(a, keys, n);
}

void decide_create_partitions(struct decision *d, const void *request, void *response)
{
    const struct create_partitions_request *q = request;
    struct create_partitions_response *resp = response;
    resp->results =
        proto_array(d->arena, &create_partitions_response_create_partitions_topic_result_desc,
                    (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    const struct decision_places *same = decide_create_partitions_same(d->arena, q);
    for (int32_t i = 0; i < q->topics_n; i++) {
        struct growth g = {.d = d, .in = &q->topics[i]};
        bool twice = same[i].first != same[i].last;
        if (same[i].first != (uint32_t)i) {
            continue; /* answered by the first of that name */
        }
        g.out = &resp->results[resp->results_n++];
        g.out->name = g.in->name;
        if (twice) {
            fail(&g, KE_INVALID_REQUEST, bytes_str("the topic is in the request twice"));
        } else {
            grow(&g, q->validate_only);
        }
    }
}

/* ---- DeleteTopics ---- */

#define DELETE        struct delete_topics_request_delete_topic_state
#define DELETE_RESULT struct delete_topics_response_deletable_topic_result

enum { DELETE_BY_STATE_FROM = 6 };

static void refuse(DELETE_RESULT *out, int16_t code, const char *message)
{
    out->error_code = code;
    out->error_message = bytes_str(message);
}

/* By its name or by its id, not by both, and not by nothing. */
static bool names_one_way(const DELETE *t)
{
    return bytes_is_null(t->name) != uuid_is_zero(t->topic_id);
}

enum named_by { BY_NOTHING, BY_NAME, BY_ID };

/* What an entry names; each that names nothing stands for itself (its place is its key). */
static struct decision_key key_of(struct arena *a, const DELETE *t, int32_t at)
{
    if (!names_one_way(t)) {
        return (struct decision_key){bytes_of(arena_strndup(a, &at, sizeof at), sizeof at),
                                     BY_NOTHING};
    }
    return bytes_is_null(t->name)
               ? (struct decision_key){bytes_of(t->topic_id.b, sizeof t->topic_id.b), BY_ID}
               : (struct decision_key){t->name, BY_NAME};
}

/* The topic of an entry that is named once; NULL: out says what is wrong. */
static const struct image_topic *find_doomed(const struct decision *d, const DELETE *in, bool twice,
                                             DELETE_RESULT *out)
{
    bool by_name = !bytes_is_null(in->name);
    out->name = in->name;
    out->topic_id = in->topic_id;
    if (!names_one_way(in)) {
        refuse(out, KE_INVALID_REQUEST,
               by_name ? "a topic is named by its name or by its id, not by both"
                       : "neither a name nor an id is given");
        return NULL;
    }
    if (twice) {
        refuse(out, KE_INVALID_REQUEST, "the topic is in the request twice");
        return NULL;
    }
    const struct image_topic *t =
        by_name ? image_topic_by_name(d->img, in->name) : image_topic_by_id(d->img, in->topic_id);
    if (t == NULL) {
        refuse(out, by_name ? KE_UNKNOWN_TOPIC_OR_PARTITION : KE_UNKNOWN_TOPIC_ID,
               by_name ? "there is no topic of this name" : "there is no topic of this id");
    }
    return t;
}

static void doom(struct decision *d, const struct image_topic *t, bool twice, DELETE_RESULT *out)
{
    struct remove_topic_record r;
    if (twice) {
        refuse(out, KE_INVALID_REQUEST, "the topic is in the request twice, by name and by id");
        return;
    }
    proto_msg_init(&remove_topic_record_msg, &r);
    r.topic_id = t->id;
    decision_add(d, &remove_topic_record_msg, 0, &r);
    out->name = t->name;
    out->topic_id = t->id;
}

/* The entries of the request; before version 6 it has names only. */
static const DELETE *doomed(struct decision *d, int16_t version,
                            const struct delete_topics_request *q, int32_t *n)
{
    if (version >= DELETE_BY_STATE_FROM) {
        *n = q->topics_n > 0 ? q->topics_n : 0;
        return q->topics;
    }
    *n = q->topic_names_n > 0 ? q->topic_names_n : 0;
    DELETE *v = proto_array(d->arena, &delete_topics_request_delete_topic_state_desc, (size_t)*n);
    for (int32_t i = 0; i < *n; i++) {
        v[i].name = q->topic_names[i];
    }
    return v;
}

void decide_delete_topics(struct decision *d, int16_t version, const void *request, void *response)
{
    struct delete_topics_response *resp = response;
    int32_t n;
    const DELETE *v = doomed(d, version, request, &n);
    struct decision_key *keys = ARENA_ARRAY(d->arena, struct decision_key, n + 1);
    const struct image_topic **found = ARENA_ARRAY(d->arena, const struct image_topic *, n + 1);
    size_t found_n = 0;
    resp->responses =
        proto_array(d->arena, &delete_topics_response_deletable_topic_result_desc, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        keys[i] = key_of(d->arena, &v[i], i);
    }
    const struct decision_places *same = decision_same(d->arena, keys, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        if (same[i].first == (uint32_t)i) {
            DELETE_RESULT *out = &resp->responses[resp->responses_n++];
            found[found_n++] = find_doomed(d, &v[i], same[i].last != (uint32_t)i, out);
        }
    }
    /* the same topic by name and by id */
    for (size_t i = 0; i < found_n; i++) {
        keys[i] =
            found[i] ? (struct decision_key){bytes_of(found[i]->id.b, sizeof found[i]->id.b), BY_ID}
                     : key_of(d->arena, &(DELETE){.name = BYTES_NULL}, (int32_t)i);
    }
    same = decision_same(d->arena, keys, found_n);
    d->splittable = true;
    for (size_t i = 0; i < found_n; i++) {
        if (found[i]) {
            doom(d, found[i], same[i].first != same[i].last, &resp->responses[i]);
        }
    }
}
