/* Scenario `groups`: the log of __consumer_offsets, read by Fetch while the scripts rest.
 *
 * A record keeps its place: what was read at an offset is there at every later look, but for what a
 * power loss may take, which is a tail; what stands behind a loss is new. Every record is of a type
 * and version that Kafka's coordinator writes for classic groups. A group's generation never goes
 * back, unless its record was deleted in between. And the log's last word on each offset is what
 * OffsetFetch says (both go into the model). */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "sim/groups_run.h"

enum { LIMIT_US = 60000000, PAUSE_US = 200000 };

#define TOPIC "__consumer_offsets"

void groups_log_down(struct groups_run *gr, bool lost)
{
    gr->may_lose = gr->may_lose || lost;
}

/* ---- one record ---- */

static int group_of(const struct groups_run *gr, struct bytes name)
{
    for (unsigned g = 0; g < gr->gw.model.groups_n; g++) {
        if (bytes_eq_str(name, gr->gw.groups[g].name)) {
            return (int)g;
        }
    }
    run_fail(gr->nr.r, TOPIC " has a record of the group '%.*s'", BYTES_FMT(name));
}

static void take_offset(struct groups_run *gr, const struct offset_commit_key *key,
                        struct bytes value)
{
    struct run *r = gr->nr.r;
    struct arena a = {0};
    int g = group_of(gr, key->group);
    unsigned t = 0;
    while (t < gr->gw.topics_n && !bytes_eq_str(key->topic, gr->gw.topics[t].name)) {
        t++;
    }
    RUN_CHECK(r, t < gr->gw.topics_n && key->partition >= 0 &&
                     key->partition < (int32_t)gr->gw.topics[t].parts_n);
    struct groups_offset *o = &gr->offsets[g][t][key->partition];
    *o = (struct groups_offset){.offset = -1, .leader_epoch = -1};
    if (!bytes_is_null(value)) {
        struct offset_commit_value *v;
        int16_t version;
        int err = proto_decode_prefixed(&offset_commit_value_msg, value, &a, &version, (void **)&v);
        if (err != 0 || (version != 4 && version != 1) || v->metadata.len >= sizeof(o->metadata)) {
            run_fail(r, TOPIC ": a commit's value: %s, version %d", err_text(err), version);
        }
        o->there = true;
        o->offset = v->offset;
        o->leader_epoch = v->leader_epoch;
        snprintf(o->metadata, sizeof(o->metadata), "%.*s", BYTES_FMT(v->metadata));
    }
    arena_free(&a);
}

static void take_group(struct groups_run *gr, const struct group_metadata_key *key,
                       struct bytes value)
{
    struct run *r = gr->nr.r;
    struct arena a = {0};
    int g = group_of(gr, key->group);
    if (bytes_is_null(value)) {
        gr->gens[g] = -1;
        return;
    }
    struct group_metadata_value *v;
    int16_t version;
    int err = proto_decode_prefixed(&group_metadata_value_msg, value, &a, &version, (void **)&v);
    if (err != 0 || version != 3) {
        run_fail(r, TOPIC ": a group's value: %s, version %d", err_text(err), version);
    }
    if (v->generation < gr->gens[g]) {
        run_fail(r, TOPIC ": %s goes back from generation %d to %d", gr->gw.groups[g].name,
                 gr->gens[g], v->generation);
    }
    gr->gens[g] = v->generation;
    for (int32_t i = 0; i < v->members_n; i++) {
        for (int32_t k = 0; k < i; k++) {
            RUN_CHECK(r, !bytes_eq(v->members[i].member_id, v->members[k].member_id));
        }
    }
    arena_free(&a);
}

static void take(struct groups_run *gr, struct bytes key, struct bytes value)
{
    struct run *r = gr->nr.r;
    struct arena a = {0};
    const struct proto_message *m;
    void *k;
    int err = proto_decode_coordinator_key(PROTO_STORE_CONSUMER_OFFSETS, key, &a, &m, &k);
    if (err != 0 || (m != &offset_commit_key_msg && m != &group_metadata_key_msg)) {
        run_fail(r, TOPIC ": a record's key: %s, %s", err_text(err), err ? "" : m->name);
    }
    if (m == &offset_commit_key_msg) {
        take_offset(gr, k, value);
    } else {
        take_group(gr, k, value);
    }
    arena_free(&a);
}

/* ---- one partition ---- */

static void mark(struct groups_run *gr, int32_t partition, const struct record *rec)
{
    struct groups_log *l = &gr->logs[partition];
    uint64_t m = (uint64_t)crc32c(1, rec->key.data, rec->key.len) << 32 |
                 crc32c(1, rec->value.data, rec->value.len);
    size_t at = (size_t)rec->offset;
    if (at >= l->cap) {
        size_t cap = 2 * at + 64;
        l->marks = mem_realloc(l->marks, cap * sizeof(*l->marks));
        memset(l->marks + l->cap, 0, (cap - l->cap) * sizeof(*l->marks));
        l->cap = cap;
    }
    if (rec->offset < l->end && l->marks[at] != m) {
        if (!gr->may_lose || rec->offset < l->durable) {
            run_fail(gr->nr.r, TOPIC "-%d: another record is at %lld", partition,
                     (long long)rec->offset);
        }
        l->end = rec->offset; /* from here on it is another log */
    }
    l->marks[at] = m;
}

static int64_t take_batches(struct groups_run *gr, int32_t partition, struct bytes records,
                            int64_t at)
{
    struct run *r = gr->nr.r;
    struct bytes batch;
    while (batch_next(&records, &batch) == 1) {
        struct record_reader rd;
        struct record rec;
        int more;
        RUN_CHECK(r, batch_crc_check(batch) && record_reader_open(&rd, batch, 0) == 0);
        while ((more = record_reader_next(&rd, &rec)) == 1) {
            if (rec.offset < at) {
                continue;
            }
            if (rec.offset != at) {
                run_fail(r, TOPIC "-%d: offset %lld comes after %lld", partition,
                         (long long)rec.offset, (long long)at - 1);
            }
            mark(gr, partition, &rec);
            take(gr, rec.key, rec.value);
            at++;
        }
        RUN_CHECK(r, more == 0);
        record_reader_close(&rd);
    }
    return at;
}

static int16_t fetch(struct groups_run *gr, int32_t partition, int64_t *at, int64_t *end)
{
    const struct fetch_response_partition_data *d =
        check_fetch(&gr->nr, 12, TOPIC, UUID_ZERO, partition, *at, 0);
    if (d->error_code == 0) {
        *end = d->high_watermark;
        *at = take_batches(gr, partition, d->records, *at);
    }
    return d->error_code;
}

/* From its start on. Partitions past the last one do not exist. */
static bool read_partition(struct groups_run *gr, int32_t partition)
{
    struct node_run *nr = &gr->nr;
    struct groups_log *l = &gr->logs[partition];
    int64_t until = nr->w.sim->clock.now_us + LIMIT_US;
    int64_t at = 0;
    int64_t end = INT64_MAX;
    while (at < end) {
        int64_t before = at;
        int16_t code = fetch(gr, partition, &at, &end);
        if (code == KE_UNKNOWN_TOPIC_OR_PARTITION && at == 0 && l->end == 0) {
            return false;
        }
        if (nr->w.sim->clock.now_us > until) {
            run_fail(nr->r, TOPIC "-%d: Fetch at %lld is answered %d", partition, (long long)at,
                     code);
        }
        if (at == before && at < end) {
            world_run(&nr->w, PAUSE_US, NULL, NULL);
        }
    }
    if (at < (gr->may_lose ? l->durable : l->end)) {
        run_fail(nr->r, TOPIC "-%d: ends at %lld; %lld records were read", partition, (long long)at,
                 (long long)l->end);
    }
    l->end = at;
    l->durable = l->durable < at ? l->durable : at;
    if (gr->gw.model.flushed) {
        l->durable = at;
    }
    return true;
}

void groups_check_log(struct groups_run *gr)
{
    struct group_model *m = &gr->gw.model;
    memset(gr->offsets, 0, sizeof(gr->offsets));
    memset(gr->gens, 0xff, sizeof(gr->gens));
    bool any = false;
    for (int32_t p = 0; p < GROUPS_PARTS_MAX; p++) {
        any = read_partition(gr, p) || any;
    }
    RUN_CHECK(gr->nr.r, any);
    for (unsigned g = 0; g < m->groups_n; g++) {
        for (unsigned t = 0; t < gr->gw.topics_n; t++) {
            for (unsigned p = 0; p < gr->gw.topics[t].parts_n; p++) {
                const struct groups_offset *o = &gr->offsets[g][t][p];
                group_model_read(m, g, t, p, group_model_tick(m), o->there ? o->offset : -1,
                                 o->there ? o->leader_epoch : -2, bytes_str(o->metadata));
            }
        }
    }
    gr->may_lose = false;
}
