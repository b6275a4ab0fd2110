/* A coordinator with a log in memory: a step's writes wait in line, the test says which is
 * committed and which failed, and a second coordinator can be loaded from what was committed. */
#ifndef TEST_GROUP_OFFSETS_RIG_H
#define TEST_GROUP_OFFSETS_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/group/offset_store.h"

enum { RIG_WRITES_MAX = 4096, RIG_DAY_MS = 86400000 };
#define RIG_WALL INT64_C(1800000000000)

struct rig_record {
    struct bytes key, value; /* owned */
    int64_t timestamp;
    int64_t producer_id; /* >= 0: of a transaction */
    bool marker, commit; /* a marker has no key */
};

struct rig_write {
    struct group_op *op;
    struct rig_record *records; /* copies */
    uint32_t n;
};

struct rig {
    struct group_config config;
    struct group_coordinator *c;
    struct group_effects fx;
    int64_t wall_ms, now_ms;
    struct rig_record *log;
    uint32_t log_n, log_cap;
    struct rig_write writes[RIG_WRITES_MAX]; /* out, in order, from write_at on */
    uint32_t write_at, write_n;
    struct buf lines;
};

/* A request with its answer. */
struct rig_ask {
    struct group_ask ask;
    struct arena arena;
    bool answered;
    union {
        struct offset_commit_request commit;
        struct offset_delete_request del;
        struct delete_groups_request groups;
        struct join_group_request join;
        struct sync_group_request sync;
        struct leave_group_request leave;
    } q;
    union {
        struct offset_commit_response commit;
        struct offset_delete_response del;
        struct delete_groups_response groups;
        struct join_group_response join;
        struct sync_group_response sync;
        struct leave_group_response leave;
    } out;
};

static inline struct bytes rig_copy(struct bytes b)
{
    if (b.data == NULL) {
        return b;
    }
    uint8_t *p = mem_alloc(b.len);
    if (b.len) {
        memcpy(p, b.data, b.len);
    }
    return bytes_of(p, b.len);
}

static inline void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->config = (struct group_config){
        .session_min_ms = 6000,
        .session_max_ms = 1800000,
        .max_size = INT32_MAX,
        .initial_rebalance_delay_ms = 3000,
        .offset_metadata_max = 4096,
        .offsets_retention_ms = INT64_C(7) * RIG_DAY_MS,
        .memory_max = 1 << 30,
    };
    r->wall_ms = RIG_WALL;
    r->now_ms = 1000;
    group_effects_init(&r->fx);
    r->c = group_coordinator_new(&r->config, NULL);
}

static inline void rig_log_put(struct rig *r, struct rig_record rec)
{
    if (r->log_n == r->log_cap) {
        r->log_cap = r->log_cap ? r->log_cap * 2 : 64;
        r->log = mem_realloc(r->log, r->log_cap * sizeof *r->log);
    }
    r->log[r->log_n++] = rec;
}

/* Carries the effects out; writes stay in line. */
static inline void rig_effects(struct rig *r)
{
    list_for_each (it, &r->fx.writes) {
        const struct group_write *w = LIST_ENTRY(it, struct group_write, node);
        assert_true(w->n > 0 && r->write_n < RIG_WRITES_MAX);
        struct rig_write *out = &r->writes[r->write_n++];
        *out = (struct rig_write){w->op, mem_zalloc(w->n * sizeof *out->records), w->n};
        for (uint32_t i = 0; i < w->n; i++) {
            out->records[i] = (struct rig_record){rig_copy(w->records[i].key),
                                                  rig_copy(w->records[i].value),
                                                  r->wall_ms,
                                                  -1,
                                                  false,
                                                  false};
        }
    }
    list_for_each_safe (it, &r->fx.replies) {
        struct group_ask *ask = LIST_ENTRY(it, struct group_ask, node);
        struct rig_ask *a = CONTAINER_OF(ask, struct rig_ask, ask);
        assert_false(a->answered);
        a->answered = true;
    }
    list_for_each (it, &r->fx.lines) {
        buf_printf(&r->lines, "%s\n", LIST_ENTRY(it, struct group_line, node)->text);
    }
    group_effects_reset(&r->fx);
}

static inline void rig_loaded(struct rig *r)
{
    group_coordinator_loaded(r->c, r->now_ms, r->wall_ms, &r->fx);
    rig_effects(r);
}

static inline void rig_step(struct rig *r, enum group_event_kind kind, struct rig_ask *a)
{
    struct group_event ev = {.kind = kind, .now_ms = r->now_ms, .wall_ms = r->wall_ms};
    ev.ask = a ? &a->ask : NULL;
    group_coordinator_step(r->c, &ev, &r->fx);
    rig_effects(r);
}

static inline void rig_topic_gone(struct rig *r, const char *topic, struct uuid id)
{
    struct group_event ev = {.kind = GROUP_TOPIC_GONE, .now_ms = r->now_ms, .wall_ms = r->wall_ms};
    ev.topic = bytes_str(topic);
    ev.topic_id = id;
    group_coordinator_step(r->c, &ev, &r->fx);
    rig_effects(r);
}

static inline uint32_t rig_out(const struct rig *r)
{
    return r->write_n - r->write_at;
}

/* The oldest write is committed (code 0) or lost. */
static inline void rig_written(struct rig *r, int16_t code)
{
    assert_true(rig_out(r) > 0);
    struct rig_write *w = &r->writes[r->write_at++];
    struct group_event ev = {.kind = GROUP_WRITTEN, .now_ms = r->now_ms, .wall_ms = r->wall_ms};
    ev.op = w->op;
    ev.code = code;
    ev.offset = code == 0 ? (int64_t)r->log_n : -1;
    for (uint32_t i = 0; i < w->n; i++) {
        if (code == 0) {
            rig_log_put(r, w->records[i]);
        } else {
            mem_free((void *)(uintptr_t)w->records[i].key.data);
            mem_free((void *)(uintptr_t)w->records[i].value.data);
        }
    }
    mem_free(w->records);
    if (r->write_at == r->write_n) {
        r->write_at = r->write_n = 0;
    }
    group_coordinator_step(r->c, &ev, &r->fx);
    rig_effects(r);
}

static inline void rig_settle(struct rig *r)
{
    while (rig_out(r)) {
        rig_written(r, 0);
    }
}

static inline void rig_replay(const struct rig *r, struct group_coordinator *c)
{
    for (uint32_t i = 0; i < r->log_n; i++) {
        const struct rig_record *rec = &r->log[i];
        struct group_replay rp = {.producer_id = rec->producer_id,
                                  .transactional = rec->producer_id >= 0,
                                  .timestamp = rec->timestamp,
                                  .offset = i};
        if (rec->marker) {
            group_coordinator_replay_marker(c, rec->producer_id, rec->commit);
        } else {
            assert_int_equal(group_coordinator_replay(c, &rp, rec->key, rec->value), 0);
        }
    }
}

static inline void rig_free(struct rig *r)
{
    struct group_event ev = {.kind = GROUP_UNLOAD, .code = KE_NOT_COORDINATOR};
    while (rig_out(r)) {
        rig_written(r, KE_NOT_COORDINATOR);
    }
    if (r->c->loaded) {
        group_coordinator_step(r->c, &ev, &r->fx);
        rig_effects(r);
    }
    group_coordinator_free(r->c);
    group_effects_free(&r->fx);
    for (uint32_t i = 0; i < r->log_n; i++) {
        mem_free((void *)(uintptr_t)r->log[i].key.data);
        mem_free((void *)(uintptr_t)r->log[i].value.data);
    }
    mem_free(r->log);
    buf_free(&r->lines);
}

/* ---- asks ---- */

static inline struct rig_ask *rig_ask_new(int16_t version)
{
    struct rig_ask *a = MEM_NEW(struct rig_ask);
    a->ask.version = version;
    a->ask.arena = &a->arena;
    a->ask.client_id = bytes_str("client");
    a->ask.client_host = bytes_str("/127.0.0.1");
    a->ask.request = &a->q;
    a->ask.response = &a->out;
    return a;
}

static inline void rig_ask_free(struct rig_ask *a)
{
    arena_free(&a->arena);
    mem_free(a);
}

struct rig_offset {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *metadata;
};

static inline struct uuid rig_topic_id(const char *topic)
{
    struct uuid id = UUID_ZERO;
    snprintf((char *)id.b, sizeof id.b, "id-%s", topic);
    return id;
}

/* One topic entry for each offset. */
static inline struct rig_ask *rig_commit_ask(const char *group, int16_t version,
                                             const struct rig_offset *v, int32_t n)
{
    struct rig_ask *a = rig_ask_new(version);
    struct offset_commit_request *q = &a->q.commit;
    proto_msg_init(&offset_commit_request_msg, q);
    proto_msg_init(&offset_commit_response_msg, &a->out.commit);
    q->group_id = bytes_str(group);
    q->member_id = bytes_str("");
    q->topics = proto_array(&a->arena, &offset_commit_request_offset_commit_request_topic_desc, n);
    q->topics_n = n;
    for (int32_t i = 0; i < n; i++) {
        q->topics[i].name = bytes_str(v[i].topic);
        q->topics[i].topic_id = rig_topic_id(v[i].topic);
        q->topics[i].partitions =
            proto_array(&a->arena, &offset_commit_request_offset_commit_request_partition_desc, 1);
        q->topics[i].partitions_n = 1;
        q->topics[i].partitions[0].partition_index = v[i].partition;
        q->topics[i].partitions[0].committed_offset = v[i].offset;
        q->topics[i].partitions[0].committed_leader_epoch = -1;
        q->topics[i].partitions[0].committed_metadata = bytes_str(v[i].metadata);
    }
    return a;
}

static inline int16_t rig_commit_code(const struct rig_ask *a, int32_t i)
{
    assert_true(a->answered);
    assert_true(i < a->out.commit.topics_n);
    return a->out.commit.topics[i].partitions[0].error_code;
}

/* Commits and waits: the code of the one offset. */
static inline int16_t rig_commit(struct rig *r, const char *group, const char *topic,
                                 int32_t partition, int64_t offset)
{
    struct rig_offset o = {topic, partition, offset, ""};
    struct rig_ask *a = rig_commit_ask(group, 9, &o, 1);
    rig_step(r, GROUP_OFFSET_COMMIT, a);
    rig_settle(r);
    int16_t code = rig_commit_code(a, 0);
    rig_ask_free(a);
    return code;
}

static inline struct rig_ask *rig_delete_ask(const char *group, const char *topic,
                                             int32_t partition)
{
    struct rig_ask *a = rig_ask_new(0);
    struct offset_delete_request *q = &a->q.del;
    proto_msg_init(&offset_delete_request_msg, q);
    proto_msg_init(&offset_delete_response_msg, &a->out.del);
    q->group_id = bytes_str(group);
    q->topics = proto_array(&a->arena, &offset_delete_request_offset_delete_request_topic_desc, 1);
    q->topics_n = 1;
    q->topics[0].name = bytes_str(topic);
    q->topics[0].partitions =
        proto_array(&a->arena, &offset_delete_request_offset_delete_request_partition_desc, 1);
    q->topics[0].partitions_n = 1;
    q->topics[0].partitions[0].partition_index = partition;
    return a;
}

static inline struct rig_ask *rig_group_delete_ask(const char *group)
{
    struct rig_ask *a = rig_ask_new(2);
    proto_msg_init(&delete_groups_request_msg, &a->q.groups);
    proto_msg_init(&delete_groups_response_msg, &a->out.groups);
    a->q.groups.groups_names = ARENA_NEW(&a->arena, struct bytes);
    a->q.groups.groups_names[0] = bytes_str(group);
    a->q.groups.groups_names_n = 1;
    a->out.groups.results =
        proto_array(&a->arena, &delete_groups_response_deletable_group_result_desc, 1);
    a->out.groups.results_n = 1;
    a->out.groups.results[0].group_id = bytes_str(group);
    return a;
}

/* ---- reading ---- */

/* The one partition as it is answered; metadata points into a. */
static inline struct offset_fetch_response_offset_fetch_response_partitions
rig_fetch(struct rig *r, const char *group, const char *topic, struct uuid id, int32_t partition,
          bool stable, struct arena *a)
{
    struct offset_fetch_request_offset_fetch_request_group q;
    struct offset_fetch_request_offset_fetch_request_topics t;
    struct offset_fetch_response_offset_fetch_response_group out;
    proto_init(&offset_fetch_request_offset_fetch_request_group_desc, &q);
    proto_init(&offset_fetch_request_offset_fetch_request_topics_desc, &t);
    proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
    q.group_id = bytes_str(group);
    q.topics = &t;
    q.topics_n = 1;
    t.name = bytes_str(topic);
    t.topic_id = id;
    t.partition_indexes = &partition;
    t.partition_indexes_n = 1;
    group_fetch_offsets(r->c, &q, stable, a, &out);
    assert_int_equal(out.error_code, 0);
    assert_int_equal(out.topics_n, 1);
    assert_int_equal(out.topics[0].partitions_n, 1);
    assert_int_equal(out.topics[0].partitions[0].partition_index, partition);
    return out.topics[0].partitions[0];
}

static inline int64_t rig_offset(struct rig *r, const char *group, const char *topic,
                                 int32_t partition)
{
    struct arena a = {0};
    struct offset_fetch_response_offset_fetch_response_partitions p =
        rig_fetch(r, group, topic, UUID_ZERO, partition, false, &a);
    assert_int_equal(p.error_code, 0);
    arena_free(&a);
    return p.committed_offset;
}

static inline int rig_by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void rig_dump_entry(struct arena *a, const struct group *g,
                                  const struct group_topic *t, const struct offset_entry *e,
                                  int64_t producer_id, char **line)
{
    char id[UUID_TEXT];
    struct bytes m = offset_metadata(e);
    *line = arena_printf(a,
                         "%.*s %.*s %d: offset %lld epoch %d metadata '%.*s' commit %lld expire "
                         "%lld at %lld id %s txn %lld",
                         BYTES_FMT(g->id), BYTES_FMT(t->name->text), e->partition,
                         (long long)e->offset, e->leader_epoch, BYTES_FMT(m),
                         (long long)e->commit_ms, (long long)offset_expire_ms(e), (long long)e->at,
                         uuid_text(offset_topic_id(t, e), id), (long long)producer_id);
}

/* All that is committed, one sorted line each: groups, offsets, offsets of transactions. */
static inline void rig_dump(const struct group_coordinator *c, struct buf *out)
{
    struct arena a = {0};
    size_t n = 0, cap = c->groups.count + c->offsets + 1;
    map_for_each (slot, &c->groups) {
        cap += ((struct group *)slot->value)->open_offsets_n;
    }
    char **lines = ARENA_ARRAY(&a, char *, cap);
    map_for_each (slot, &c->groups) {
        const struct group *g = slot->value;
        if (g->in_log || g->topic_n) {
            lines[n++] =
                arena_printf(&a, "%.*s kind %d in_log %d", BYTES_FMT(g->id), g->kind, g->in_log);
        }
        uint32_t offsets = 0, open = 0;
        for (uint32_t i = 0; i < g->topic_n; i++) {
            const struct group_topic *t = g->topic_v[i];
            for (uint32_t k = 0; k < t->n; k++, offsets++) {
                rig_dump_entry(&a, g, t, &t->v[k], -1, &lines[n++]);
            }
            map_for_each (o, &t->open) {
                for (const struct open_offset *x = o->value; x; x = x->next, open++) {
                    rig_dump_entry(&a, g, t, &x->e, x->txn->producer_id, &lines[n++]);
                }
            }
        }
        assert_int_equal(offsets, g->offsets_n);
        assert_int_equal(open, g->open_offsets_n);
    }
    assert_true(n <= cap);
    qsort(lines, n, sizeof *lines, rig_by_text);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s\n", lines[i]);
    }
    arena_free(&a);
}

/* A generation of a classic group stands in the log, Empty or Stable since then (-1: it does not
 * say); it has a member, subscribed to the topic, when member is not NULL. */
static inline void rig_put_group(struct rig *r, const char *group, const char *type,
                                 int32_t generation, int64_t since_ms, const char *member,
                                 const char *instance, const char *topic)
{
    struct group_effects fx;
    struct buf sub = {0};
    struct errmsg em;
    struct bytes topics[1] = {bytes_str(topic)};
    struct consumer_protocol_subscription s;
    group_effects_init(&fx);
    proto_msg_init(&consumer_protocol_subscription_msg, &s);
    s.topics = topics;
    s.topics_n = topic != NULL;
    assert_int_equal(proto_encode_prefixed(&consumer_protocol_subscription_msg, 0, &s, &sub, &em),
                     0);
    struct group_metadata_value_member_metadata m = {
        .member_id = bytes_str(member),
        .group_instance_id = bytes_str(instance),
        .client_id = bytes_str("client"),
        .client_host = bytes_str("/127.0.0.1"),
        .rebalance_timeout = 60000,
        .session_timeout = 10000,
        .subscription = buf_bytes(&sub),
        .assignment = bytes_of("", 0),
    };
    struct group_metadata_value v = {
        .protocol_type = bytes_str(type),
        .generation = generation,
        .protocol = bytes_str(member ? "range" : NULL),
        .leader = bytes_str(member),
        .current_state_timestamp = since_ms,
        .members = &m,
        .members_n = member != NULL,
    };
    struct group_record rec = group_record_metadata(&fx, bytes_str(group), &v);
    struct group_replay rp = {.producer_id = -1, .timestamp = r->wall_ms, .offset = r->log_n};
    assert_int_equal(group_coordinator_replay(r->c, &rp, rec.key, rec.value), 0);
    rig_log_put(r, (struct rig_record){rig_copy(rec.key), rig_copy(rec.value), r->wall_ms, -1,
                                       false, false});
    buf_free(&sub);
    group_effects_free(&fx);
}

/* What is in memory is what a coordinator gets that loads the committed log. */
static inline void rig_check_reload(const struct rig *r)
{
    struct group_coordinator *again = group_coordinator_new(&r->config, NULL);
    struct buf live = {0}, loaded = {0};
    rig_replay(r, again);
    rig_dump(r->c, &live);
    rig_dump(again, &loaded);
    if (strcmp(buf_cstr(&live), buf_cstr(&loaded)) != 0) {
        fail_msg("in memory:\n%s\nloaded:\n%s", buf_cstr(&live), buf_cstr(&loaded));
    }
    buf_free(&live);
    buf_free(&loaded);
    group_coordinator_free(again);
}

#endif
