/* The controllers: DescribeQuorum, which a broker hands to the active one. */
#include "base/mem.h"
#include "broker/console/console_private.h"
#include "proto_apis.h"
#include "proto_messages.h"

enum { QUORUM_VERSION = 2, ASK_MS = 1500, VOTER_SILENT_MS = 5000 };

/* Whoever runs on another disk under a voter's id is told a second time, as an observer. */
static bool is_known(const struct watch_quorum *q, int32_t id)
{
    for (uint32_t i = 0; i < q->n; i++) {
        if (q->v[i].id == id) {
            return true;
        }
    }
    return false;
}

static void take(struct watch_quorum *q, const struct describe_quorum_response_replica_state *r,
                 int32_t n, bool voter)
{
    for (int32_t i = 0; i < n; i++) {
        if (is_known(q, r[i].replica_id)) {
            continue;
        }
        q->v[q->n++] = (struct watch_voter){
            .id = r[i].replica_id,
            .end = r[i].log_end_offset,
            .fetched_ms = r[i].last_fetch_timestamp,
            .caught_up_ms = r[i].last_caught_up_timestamp,
            .voter = voter,
        };
    }
}

/* By the leader's clock, which is that of its own row. */
static void find_silent(struct watch_quorum *q)
{
    int64_t now = -1;
    for (uint32_t i = 0; i < q->n; i++) {
        now = q->v[i].id == q->leader ? q->v[i].fetched_ms : now;
    }
    for (uint32_t i = 0; i < q->n; i++) {
        struct watch_voter *v = &q->v[i];
        v->silent = v->voter && v->id != q->leader && now >= 0 &&
                    (v->fetched_ms < 0 || now - v->fetched_ms > VOTER_SILENT_MS);
    }
}

static void on_quorum(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    struct watch_quorum *q = &p->console->watch.quorum;
    const struct describe_quorum_response *r = answer;
    bool whole = err == 0 && r->error_code == 0 && r->topics_n == 1 &&
                 r->topics[0].partitions_n == 1 && r->topics[0].partitions[0].error_code == 0;
    mem_free(q->v);
    *q = (struct watch_quorum){.known = whole, .failed = !whole};
    if (whole) {
        const struct describe_quorum_response_partition_data *d = &r->topics[0].partitions[0];
        int32_t n = d->current_voters_n + d->observers_n;
        q->leader = d->leader_id;
        q->epoch = d->leader_epoch;
        q->high_watermark = d->high_watermark;
        q->v = mem_zalloc((size_t)(n + 1) * sizeof *q->v);
        take(q, d->current_voters, d->current_voters_n, true);
        take(q, d->observers, d->observers_n, false);
        find_silent(q);
    }
    watch_answered(p->console);
}

void watch_ask_quorum(struct console *c, struct peer *p)
{
    struct describe_quorum_request q;
    struct describe_quorum_request_topic_data topic;
    struct describe_quorum_request_partition_data partition;
    proto_msg_init(&describe_quorum_request_msg, &q);
    proto_init(&describe_quorum_request_topic_data_desc, &topic);
    proto_init(&describe_quorum_request_partition_data_desc, &partition);
    topic.topic_name = bytes_str("__cluster_metadata");
    topic.partitions = &partition;
    topic.partitions_n = 1;
    q.topics = &topic;
    q.topics_n = 1;
    watch_asked(c);
    peer_ask(p, API_DESCRIBE_QUORUM, QUORUM_VERSION, &q, ASK_MS, on_quorum, NULL);
}
