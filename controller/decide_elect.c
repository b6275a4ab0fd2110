/* Elections. After a broker came or went every partition that it concerns gets its next leader, ISR
 * and ELR (partition_change.h). On demand (ElectLeaders) and by time, partitions get back the
 * leader that their first replica is, or any living one where records may be lost. */
#include "controller/partition_change.h"
#include "proto_errors.h"

static bool concerns(const struct image_partition *p, const struct broker_event *ev)
{
    if (ev->come >= 0 && p->leader < 0) {
        return true;
    }
    int32_t id = ev->gone >= 0 ? ev->gone : ev->unclean;
    return id >= 0 && (p->leader == id || id_in(p->isr, p->isr_n, id) ||
                       (ev->unclean >= 0 && id_in(p->elr, p->elr_n, id)));
}

static void look_at(struct decision *d, const struct image_topic *t,
                    const struct image_partition *p, const struct broker_event *ev)
{
    struct partition_change c;
    int32_t id = ev->gone >= 0 ? ev->gone : ev->unclean;
    partition_change_init(&c, d, t, p);
    c.unclean = ev->unclean;
    if (id >= 0) {
        c.isr = id_without(d->arena, p->isr, p->isr_n, id);
    }
    partition_change_add(&c);
}

bool decide_partitions_of(struct decision *d, const struct broker_event *ev, size_t max)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    size_t end = max < SIZE_MAX - d->n ? d->n + max : SIZE_MAX;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i] && concerns(t->partitions[i], ev)) {
                if (d->n >= end) {
                    return false;
                }
                look_at(d, t, t->partitions[i], ev);
            }
        }
    }
    return true;
}

bool decide_leads_any(const struct decision *d, int32_t broker)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i] && t->partitions[i]->leader == broker) {
                return true;
            }
        }
    }
    return false;
}

static bool lies_in(const struct image_partition *p, int32_t broker, const struct uuid *dirs,
                    int32_t n)
{
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        for (int32_t k = 0; p->replicas[i] == broker && k < n; k++) {
            if (uuid_eq(p->directories[i], dirs[k])) {
                return true;
            }
        }
    }
    return false;
}

bool decide_directories_lost(struct decision *d, int32_t broker, const struct uuid *dirs, int32_t n,
                             size_t max)
{
    size_t end = d->n + max;
    bool all = true;
    const struct broker_event ev = {.gone = broker, .unclean = -1, .come = -1};
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    int32_t changed = d->changed_broker;
    bool active = d->changed_active;
    d->changed_broker = broker; /* for these partitions it is as good as dead */
    d->changed_active = false;
    while (all && (t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; all && i < t->partitions_n; i++) {
            const struct image_partition *p = t->partitions[i];
            if (p && lies_in(p, broker, dirs, n) && concerns(p, &ev)) {
                all = d->n < end;
                if (all) {
                    look_at(d, t, p, &ev);
                }
            }
        }
    }
    d->changed_broker = changed;
    d->changed_active = active;
    return all;
}

/* ---- ElectLeaders ---- */

#define WANTED    struct elect_leaders_request_topic_partitions
#define OUTCOME   struct elect_leaders_response_replica_election_result
#define PARTITION struct elect_leaders_response_partition_result

enum { TYPE_PREFERRED = 0, TYPE_UNCLEAN = 1, TYPE_FROM = 1 };

static bool leads_as_preferred(const struct image_partition *p)
{
    return p->leader == (p->replicas_n ? p->replicas[0] : -1);
}

/* An election of one partition: the error for it, 0 with a record. */
static int16_t elect_now(struct decision *d, const struct image_topic *t,
                         const struct image_partition *p, enum election election)
{
    struct partition_change c;
    if (election == ELECT_PREFERRED ? leads_as_preferred(p) : p->leader >= 0) {
        return KE_ELECTION_NOT_NEEDED;
    }
    partition_change_init(&c, d, t, p);
    c.election = election;
    if (partition_change_add(&c)) {
        return KE_NONE;
    }
    return election == ELECT_PREFERRED ? KE_PREFERRED_LEADER_NOT_AVAILABLE
                                       : KE_ELIGIBLE_LEADERS_NOT_AVAILABLE;
}

static void put_outcome(PARTITION *out, int32_t index, int16_t code)
{
    out->partition_id = index;
    out->error_code = code;
    out->error_message = BYTES_NULL;
    if (code == KE_UNKNOWN_TOPIC_OR_PARTITION) {
        out->error_message = bytes_str("there is no such topic or partition");
    } else if (code == KE_ELECTION_NOT_NEEDED) {
        out->error_message = bytes_str("the partition has the leader that it should have");
    } else if (code == KE_PREFERRED_LEADER_NOT_AVAILABLE) {
        out->error_message =
            bytes_str("the partition's first replica is not in sync, does not live, or its disk "
                      "is full");
    } else if (code == KE_ELIGIBLE_LEADERS_NOT_AVAILABLE) {
        out->error_message = bytes_str("none of the partition's replicas lives");
    }
}

/* All partitions of a topic; those that need nothing are not in the answer. */
static void elect_topic(struct decision *d, const struct image_topic *t, enum election election,
                        OUTCOME *out)
{
    out->topic = t->name;
    out->partition_result =
        proto_array(d->arena, &elect_leaders_response_partition_result_desc, t->partitions_n);
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        int16_t code =
            t->partitions[i] ? elect_now(d, t, t->partitions[i], election) : KE_ELECTION_NOT_NEEDED;
        if (code != KE_ELECTION_NOT_NEEDED) {
            put_outcome(&out->partition_result[out->partition_result_n++], (int32_t)i, code);
        }
    }
}

static void elect_wanted(struct decision *d, const WANTED *in, enum election election, OUTCOME *out)
{
    const struct image_topic *t = image_topic_by_name(d->img, in->topic);
    size_t n = (size_t)(in->partitions_n > 0 ? in->partitions_n : 0);
    out->topic = in->topic;
    out->partition_result = proto_array(d->arena, &elect_leaders_response_partition_result_desc, n);
    for (size_t i = 0; i < n; i++) {
        int32_t index = in->partitions[i];
        const struct image_partition *p = t ? image_partition(t, index) : NULL;
        put_outcome(&out->partition_result[out->partition_result_n++], index,
                    p ? elect_now(d, t, p, election) : KE_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

/* An unknown type of election: an error for all. */
static void refuse_type(struct decision *d, const struct elect_leaders_request *q,
                        struct elect_leaders_response *resp)
{
    struct bytes why = decision_text(d,
                                     "there is no type %d of elections; allowed: 0 preferred, "
                                     "1 unclean",
                                     (int)q->election_type);
    resp->error_code = KE_INVALID_REQUEST;
    for (int32_t i = 0; i < q->topic_partitions_n; i++) {
        const WANTED *in = &q->topic_partitions[i];
        OUTCOME *out = &resp->replica_election_results[resp->replica_election_results_n++];
        out->topic = in->topic;
        out->partition_result = proto_array(d->arena, &elect_leaders_response_partition_result_desc,
                                            (size_t)(in->partitions_n > 0 ? in->partitions_n : 0));
        for (int32_t k = 0; k < in->partitions_n; k++) {
            PARTITION *p = &out->partition_result[out->partition_result_n++];
            p->partition_id = in->partitions[k];
            p->error_code = KE_INVALID_REQUEST;
            p->error_message = why;
        }
    }
}

void decide_elect_leaders(struct decision *d, int16_t version, const void *request, void *response)
{
    const struct elect_leaders_request *q = request;
    struct elect_leaders_response *resp = response;
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    int8_t type = version >= TYPE_FROM ? q->election_type : TYPE_PREFERRED;
    enum election election = type == TYPE_PREFERRED ? ELECT_PREFERRED : ELECT_UNCLEAN;
    bool all = q->topic_partitions_n < 0;
    resp->replica_election_results =
        proto_array(d->arena, &elect_leaders_response_replica_election_result_desc,
                    (size_t)(all ? d->img->topics_n : q->topic_partitions_n));
    if (q->topic_partitions_n == 0) {
        return; /* Kafka does not look at the type then */
    }
    if (type != TYPE_PREFERRED && type != TYPE_UNCLEAN) {
        refuse_type(d, q, resp);
        return;
    }
    d->splittable = true;
    while (all && (t = image_next_topic(d->img, &it)) != NULL) {
        elect_topic(d, t, election,
                    &resp->replica_election_results[resp->replica_election_results_n++]);
    }
    for (int32_t i = 0; i < q->topic_partitions_n; i++) {
        elect_wanted(d, &q->topic_partitions[i], election,
                     &resp->replica_election_results[resp->replica_election_results_n++]);
    }
}

/* ---- by time ---- */

bool decide_preferred_leaders(struct decision *d, size_t max)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    size_t end = d->n + max;
    d->splittable = true;
    while ((t = image_next_topic(d->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (d->n >= end) {
                return true;
            }
            if (t->partitions[i]) {
                elect_now(d, t, t->partitions[i], ELECT_PREFERRED);
            }
        }
    }
    return false;
}

bool decide_leaderless(struct decision *d, size_t max)
{
    const struct broker_event ev = {.gone = -1, .unclean = -1, .come = 0};
    d->splittable = true;
    return !decide_partitions_of(d, &ev, max);
}
