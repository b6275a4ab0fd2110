#include "broker/shard_stats.h"

#include "base/assert.h"
#include "base/mem.h"
#include "broker/slow_requests.h"

/* Two minutes: what takes longer counts as that. */
#define STAGE_MAX_US (UINT64_C(1) << 27)

struct shard_stats *shard_stats_new(unsigned slots)
{
    struct shard_stats *s = MEM_NEW(struct shard_stats);
    s->slots = slots;
    s->slow = MEM_NEW(struct slow_requests);
    s->requests = mem_zalloc(s->slots * sizeof *s->requests);
    return s;
}

void request_stage_init(struct histogram *h)
{
    histogram_init(h, STAGE_MAX_US);
}

static struct request_stat *stat_new(void)
{
    struct request_stat *r = MEM_NEW(struct request_stat);
    for (unsigned i = 0; i < STAGES; i++) {
        request_stage_init(&r->stages[i]);
    }
    return r;
}

static struct request_stat *entry(struct request_stat **slots, unsigned slot)
{
    if (slots[slot] == NULL) {
        slots[slot] = stat_new();
    }
    return slots[slot];
}

struct request_stat *shard_stats_request(struct shard_stats *s, unsigned slot)
{
    ASSERT(slot < s->slots);
    return entry(s->requests, slot);
}

void shard_stats_follower(struct shard_stats *s, int32_t id, int64_t now_ms)
{
    unsigned i = 0;
    while (i < s->followers_n && s->followers[i].id != id) {
        i++;
    }
    if (i == s->followers_n) {
        s->followers = mem_realloc(s->followers, ++s->followers_n * sizeof *s->followers);
        s->followers[i].id = id;
    }
    s->followers[i].ms = now_ms;
}

void request_stats_add(struct request_stat **sum, struct request_stat *const *slots, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (slots[i] == NULL) {
            continue;
        }
        struct request_stat *to = entry(sum, i);
        to->requests += slots[i]->requests;
        for (unsigned k = 0; k < STAGES; k++) {
            histogram_merge(&to->stages[k], &slots[i]->stages[k]);
        }
    }
}

void request_stats_free(struct request_stat **slots, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; slots[i] && k < STAGES; k++) {
            histogram_free(&slots[i]->stages[k]);
        }
        mem_free(slots[i]);
    }
    mem_free(slots);
}

void shard_stats_free(struct shard_stats *s)
{
    if (s) {
        request_stats_free(s->requests, s->slots);
        mem_free(s->slow);
        mem_free(s->followers);
        mem_free(s);
    }
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
