#include "broker/shard_stats.h"

#include "base/assert.h"
#include "base/mem.h"

/* Two minutes: what takes longer counts as that. */
#define STAGE_MAX_US (UINT64_C(1) << 27)

struct shard_stats *shard_stats_new(unsigned slots)
{
    struct shard_stats *s = MEM_NEW(struct shard_stats);
    s->slots = slots;
    s->requests = mem_zalloc(s->slots * sizeof *s->requests);
    return s;
}

void request_stage_init(struct histogram *h)
{
    histogram_init(h, STAGE_MAX_US);
}

void request_stat_init(struct request_stat *r)
{
    r->requests = 0;
    for (unsigned i = 0; i < STAGES; i++) {
        request_stage_init(&r->stages[i]);
    }
}

void request_stat_merge(struct request_stat *r, const struct request_stat *other)
{
    r->requests += other->requests;
    for (unsigned i = 0; i < STAGES; i++) {
        histogram_merge(&r->stages[i], &other->stages[i]);
    }
}

void request_stat_free(struct request_stat *r)
{
    for (unsigned i = 0; i < STAGES; i++) {
        histogram_free(&r->stages[i]);
    }
}

struct request_stat *shard_stats_request(struct shard_stats *s, unsigned slot)
{
    ASSERT(slot < s->slots);
    if (s->requests[slot] == NULL) {
        s->requests[slot] = MEM_NEW(struct request_stat);
        request_stat_init(s->requests[slot]);
    }
    return s->requests[slot];
}

void shard_stats_free(struct shard_stats *s)
{
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < s->slots; i++) {
        if (s->requests[i]) {
            request_stat_free(s->requests[i]);
            mem_free(s->requests[i]);
        }
    }
    mem_free(s->requests);
    mem_free(s);
}

void topic_counts_add(struct topic_counts *sum, const struct topic_counts *c)
{
    sum->messages_in += c->messages_in;
    sum->bytes_in += c->bytes_in;
    sum->bytes_out += c->bytes_out;
    sum->bytes_rejected += c->bytes_rejected;
    sum->replication_in += c->replication_in;
    sum->replication_out += c->replication_out;
    sum->produces += c->produces;
    sum->fetches += c->fetches;
    sum->produces_failed += c->produces_failed;
    sum->fetches_failed += c->fetches_failed;
}
