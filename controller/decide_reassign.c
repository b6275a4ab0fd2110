/* AlterPartitionReassignments and ListPartitionReassignments: moving partitions to other brokers.
 *
 *     target given -> replicas = target + what it lacks; adding, removing say which are which
 *                     (new replicas fetch, join the ISR by the leader's AlterPartition)
 *                  -> over, when partition_change.h finds that the ISR holds what is added
 *     target null  -> what was being added goes again, what was being removed stays
 *
 * Neither makes a partition unwritable: a move is not over, and is not cancelled, while that would
 * take the ISR below min.insync.replicas. (Kafka looks at that in neither case.)
 *
 * A move that only puts replicas into another order, or whose new replicas are all there, is over
 * at once. A second target takes the first one's place: adding is always what the partition did not
 * have before the first one, so that cancelling leads back there. (Kafka's controller forgets that
 * for replicas that both targets name, and never ends a move whose second target is where it
 * began.)
 *
 * A request that moves a partition twice is refused from the second time on: both would be worked
 * out from where the partition is now, and what came of it would be neither. (Kafka writes both;
 * the partition then adds a replica that it does not have, for ever or until it is cancelled.)
 *
 * Shard: the controller's. */
#include <stdlib.h>

#include "base/map.h"
#include "controller/decide_topics.h"
#include "controller/partition_change.h"
#include "proto_errors.h"

#define MOVE        struct alter_partition_reassignments_request_reassignable_partition
#define MOVE_TOPIC  struct alter_partition_reassignments_request_reassignable_topic
#define MOVE_RESULT struct alter_partition_reassignments_response_reassignable_partition_response
#define ONGOING     struct list_partition_reassignments_response_ongoing_partition_reassignment

enum { FACTOR_FLAG_FROM = 1 };

struct move {
    struct decision *d;
    const struct image_topic *topic;
    const struct image_partition *p;
    const MOVE *in;
    MOVE_RESULT *out;
    bool keep_factor; /* the number of replicas must stay */
    struct map moved; /* struct image_partition's address: those that have a record */
};

static void fail(struct move *m, int16_t code, struct bytes message)
{
    m->out->error_code = code;
    m->out->error_message = message;
}

static bool is_moving(const struct image_partition *p)
{
    return p->adding_n > 0 || p->removing_n > 0;
}

static struct id_set set_of(const int32_t *v, uint32_t n)
{
    return (struct id_set){(int32_t *)(uintptr_t)v, n};
}

/* ---- cancel ---- */

/* Fewer in sync than now, and than min.insync.replicas asks for. */
static bool refuse_to_starve(struct move *m, const struct partition_change *c)
{
    uint32_t least = partition_change_least(c, c->replicas.n);
    if (c->isr.n >= m->p->isr_n || c->isr.n >= least) {
        return false;
    }
    fail(m, KE_INVALID_REPLICA_ASSIGNMENT,
         decision_text(m->d,
                       "going back would leave %u of %u replicas in sync, and "
                       "min.insync.replicas is %d: wait until the old ones have caught up, or "
                       "name another target",
                       c->isr.n, c->replicas.n, (int)decide_min_isr(m->d, m->topic)));
    return true;
}

static void cancel(struct move *m)
{
    const struct image_partition *p = m->p;
    struct arena *a = m->d->arena;
    struct partition_change c;
    if (!is_moving(p)) {
        fail(m, KE_NO_REASSIGNMENT_IN_PROGRESS, BYTES_NULL); /* as Kafka: no text */
        return;
    }
    partition_change_init(&c, m->d, m->topic, p);
    c.replicas = id_minus(a, c.replicas, p->adding, p->adding_n);
    c.isr = id_minus(a, c.isr, p->adding, p->adding_n);
    if (c.replicas.n == 0 || (c.isr.n == 0 && c.election != ELECT_UNCLEAN)) {
        fail(m, KE_INVALID_REPLICA_ASSIGNMENT,
             bytes_str("only new replicas are in sync: going back would lose records, and "
                       "unclean.leader.election.enable is false"));
        return;
    }
    if (c.isr.n > 0 && refuse_to_starve(m, &c)) {
        return;
    }
    if (c.isr.n == 0) {
        c.isr.v[c.isr.n++] = c.replicas.v[0];
    }
    c.adding.n = c.removing.n = 0;
    partition_change_add(&c);
}

/* ---- begin ---- */

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static bool check_target(struct move *m)
{
    const struct image_partition *p = m->p;
    struct errmsg em = {{0}};
    if (!decide_check_ids(m->d, m->in->replicas, m->in->replicas_n, &em)) {
        fail(m, KE_INVALID_REPLICA_ASSIGNMENT, decision_text(m->d, "the target: %s", em.text));
        return false;
    }
    uint32_t factor = p->replicas_n;
    for (uint32_t i = 0; i < p->removing_n; i++) {
        factor -= id_in(p->replicas, p->replicas_n, p->removing[i]);
    }
    if (m->keep_factor && factor != (uint32_t)m->in->replicas_n) {
        fail(m, KE_INVALID_REPLICATION_FACTOR,
             decision_text(m->d,
                           "the target has %d replicas where the partition has %u, and the request "
                           "does not allow another number",
                           (int)m->in->replicas_n, factor));
        return false;
    }
    return true;
}

static void begin(struct move *m)
{
    const struct image_partition *p = m->p;
    struct arena *a = m->d->arena;
    struct partition_change c;
    if (!check_target(m)) {
        return;
    }
    struct id_set target = set_of(m->in->replicas, (uint32_t)m->in->replicas_n);
    struct id_set had = id_minus(a, set_of(p->replicas, p->replicas_n), p->adding, p->adding_n);
    struct id_set gone = id_minus(a, set_of(p->replicas, p->replicas_n), target.v, target.n);
    struct id_set fresh = id_minus(a, target, had.v, had.n);
    partition_change_init(&c, m->d, m->topic, p);
    qsort(gone.v, gone.n, sizeof *gone.v, by_id);
    qsort(fresh.v, fresh.n, sizeof *fresh.v, by_id);
    c.election = ELECT_ONLINE;
    c.removing = gone;
    c.adding = fresh;
    c.replicas = (struct id_set){ARENA_ARRAY(a, int32_t, target.n + gone.n + 1), 0};
    for (uint32_t i = 0; i < target.n + gone.n; i++) {
        c.replicas.v[c.replicas.n++] = i < target.n ? target.v[i] : gone.v[i - target.n];
    }
    partition_change_add(&c);
}

static void move_one(struct move *m, int32_t index)
{
    m->p = m->topic ? image_partition(m->topic, index) : NULL;
    size_t before = m->d->n;
    if (m->p == NULL) {
        fail(m, KE_UNKNOWN_TOPIC_OR_PARTITION,
             bytes_str(m->topic ? "there is no partition of this number"
                                : "there is no topic of this name"));
    } else if (m->d->n >= DECISION_RECORDS_MAX) {
        fail(m, KE_POLICY_VIOLATION,
             bytes_str("the request moves more than 10000 partitions at once: send several"));
    } else if (map_get(&m->moved, bytes_of(&m->p, sizeof m->p)) != NULL) {
        fail(m, KE_INVALID_REQUEST, bytes_str("the request moves this partition already"));
    } else if (m->in->replicas_n < 0) {
        cancel(m);
    } else {
        begin(m);
    }
    if (m->d->n > before) {
        const struct image_partition **key = ARENA_NEW(m->d->arena, const struct image_partition *);
        *key = m->p;
        map_put(&m->moved, bytes_of(key, sizeof *key), key);
    }
}

void decide_alter_partition_reassignments(struct decision *d, int16_t version, const void *request,
                                          void *response)
{
    const struct alter_partition_reassignments_request *q = request;
    struct alter_partition_reassignments_response *resp = response;
    struct move m = {.d = d};
    m.keep_factor = version >= FACTOR_FLAG_FROM && !q->allow_replication_factor_change;
    resp->allow_replication_factor_change = !m.keep_factor;
    resp->error_message = BYTES_NULL;
    resp->responses = proto_array(
        d->arena, &alter_partition_reassignments_response_reassignable_topic_response_desc,
        (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    for (int32_t i = 0; i < q->topics_n; i++) {
        const MOVE_TOPIC *in = &q->topics[i];
        struct alter_partition_reassignments_response_reassignable_topic_response *out =
            &resp->responses[resp->responses_n++];
        m.topic = image_topic_by_name(d->img, in->name);
        out->name = in->name;
        out->partitions = proto_array(
            d->arena, &alter_partition_reassignments_response_reassignable_partition_response_desc,
            (size_t)(in->partitions_n > 0 ? in->partitions_n : 0));
        for (int32_t k = 0; k < in->partitions_n; k++) {
            m.in = &in->partitions[k];
            m.out = &out->partitions[out->partitions_n++];
            m.out->partition_index = m.in->partition_index;
            m.out->error_message = BYTES_NULL;
            move_one(&m, m.in->partition_index);
        }
    }
    map_free(&m.moved);
}

/* ---- list ---- */

static void
put_ongoing(const struct image_topic *t, int32_t index,
            struct list_partition_reassignments_response_ongoing_topic_reassignment *out)
{
    const struct image_partition *p = image_partition(t, index);
    if (p == NULL || !is_moving(p)) {
        return;
    }
    ONGOING *o = &out->partitions[out->partitions_n++];
    o->partition_index = index;
    o->replicas = (int32_t *)(uintptr_t)p->replicas;
    o->replicas_n = (int32_t)p->replicas_n;
    o->adding_replicas = (int32_t *)(uintptr_t)p->adding;
    o->adding_replicas_n = (int32_t)p->adding_n;
    o->removing_replicas = (int32_t *)(uintptr_t)p->removing;
    o->removing_replicas_n = (int32_t)p->removing_n;
}

/* indexes NULL: all. A topic without any is left out. */
static void list_topic(struct decision *d, const struct image_topic *t, const int32_t *indexes,
                       int32_t n, struct list_partition_reassignments_response *resp)
{
    struct list_partition_reassignments_response_ongoing_topic_reassignment *out =
        &resp->topics[resp->topics_n];
    int32_t moving = 0;
    for (int32_t i = 0; i < n; i++) {
        const struct image_partition *p = image_partition(t, indexes ? indexes[i] : i);
        moving += p && is_moving(p);
    }
    if (moving == 0) {
        return;
    }
    resp->topics_n++;
    out->name = t->name;
    out->partitions = proto_array(
        d->arena, &list_partition_reassignments_response_ongoing_partition_reassignment_desc,
        (size_t)moving);
    for (int32_t i = 0; i < n; i++) {
        put_ongoing(t, indexes ? indexes[i] : i, out);
    }
}

void decide_list_partition_reassignments(struct decision *d, const void *request, void *response)
{
    const struct list_partition_reassignments_request *q = request;
    struct list_partition_reassignments_response *resp = response;
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    bool all = q->topics_n < 0;
    resp->error_message = BYTES_NULL;
    resp->topics = proto_array(
        d->arena, &list_partition_reassignments_response_ongoing_topic_reassignment_desc,
        (size_t)(all ? d->img->topics_n : q->topics_n));
    while (all && (t = image_next_topic(d->img, &it)) != NULL) {
        list_topic(d, t, NULL, (int32_t)t->partitions_n, resp);
    }
    for (int32_t i = 0; i < q->topics_n; i++) {
        t = image_topic_by_name(d->img, q->topics[i].name);
        if (t) {
            list_topic(d, t, q->topics[i].partition_indexes, q->topics[i].partition_indexes_n,
                       resp);
        }
    }
}
