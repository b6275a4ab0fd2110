/* A coordinator to play with: makes events, keeps answers and lines, lets writes be committed or
 * fail, moves time. One struct rig a test; requests are made by functions that name what matters
 * and leave the rest at a client's defaults. Writes are committed at once unless rig.hold is set.
 */
#ifndef TESTS_UNIT_GROUP_RIG_H
#define TESTS_UNIT_GROUP_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "broker/group/coordinator.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { RIG_LINES_MAX = 4096, RIG_WRITES_MAX = 4096 };

/* A request and, once done, its answer. */
struct call {
    struct group_ask ask;
    struct arena arena;
    union {
        struct join_group_response join;
        struct sync_group_response sync;
        struct heartbeat_response beat;
        struct leave_group_response leave;
        struct offset_commit_response commit;
        struct delete_groups_response delete;
    } r;
    bool done;
    char member[300]; /* a join's member id, as text */
    char leader[300];
    struct call *next; /* rig.calls */
};

/* A write that is not committed yet, with copies of its records. */
struct rig_write {
    struct group_op *op;
    uint32_t n;
    struct buf *keys, *values;
    bool *gone; /* a tombstone */
};

struct rig {
    struct group_config config;
    struct siphash_key secret;
    struct group_coordinator *c;
    struct group_effects fx;
    int64_t now, wall;
    bool hold;                               /* writes wait in writes[] */
    struct rig_write writes[RIG_WRITES_MAX]; /* in order */
    uint32_t writes_n;
    uint64_t records;        /* all written so far */
    struct bytes key, value; /* of the last record, copied */
    struct buf last_key, last_value;
    char *lines[RIG_LINES_MAX];
    uint32_t lines_n;
    uint64_t fresh;
    struct call *calls;
    struct group_coordinator *shadow; /* every record that is committed is replayed to it, if set */
};

/* ---- life ---- */

static inline void rig_open_empty(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->config = (struct group_config){
        .session_min_ms = 6000,
        .session_max_ms = 1800000,
        .max_size = INT32_MAX,
        .initial_rebalance_delay_ms = 3000,
        .offset_metadata_max = 4096,
        .offsets_retention_ms = 7 * 24 * 3600 * 1000ll,
        .memory_max = UINT64_MAX,
    };
    r->secret = (struct siphash_key){{1, 2}};
    r->now = 1000;
    r->wall = 1700000000000;
    group_effects_init(&r->fx);
    r->c = group_coordinator_new(&r->config, &r->secret);
}

static inline void rig_carry_out(struct rig *r);

static inline void rig_loaded(struct rig *r)
{
    group_coordinator_loaded(r->c, r->now, r->wall, &r->fx);
    rig_carry_out(r);
}

static inline void rig_open(struct rig *r)
{
    rig_open_empty(r);
    rig_loaded(r);
}

/* ---- effects ---- */

static inline struct group_event rig_event(const struct rig *r, enum group_event_kind kind)
{
    return (struct group_event){.kind = kind, .now_ms = r->now, .wall_ms = r->wall};
}

static inline void rig_answered(struct group_ask *ask)
{
    struct call *k = ask->user;
    assert_false(k->done);
    k->done = true;
}

static inline void rig_keep(struct buf *b, struct bytes from, struct bytes *out)
{
    buf_clear(b);
    buf_put(b, from.data ? (const void *)from.data : "", from.len);
    *out = from.data ? buf_bytes(b) : BYTES_NULL;
}

static inline struct rig_write rig_write_copy(const struct group_write *w)
{
    struct rig_write c = {.op = w->op, .n = w->n};
    c.keys = mem_zalloc(w->n * sizeof *c.keys);
    c.values = mem_zalloc(w->n * sizeof *c.values);
    c.gone = mem_zalloc(w->n * sizeof *c.gone);
    for (uint32_t i = 0; i < w->n; i++) {
        buf_put(&c.keys[i], w->records[i].key.data, w->records[i].key.len);
        c.gone[i] = bytes_is_null(w->records[i].value);
        if (!c.gone[i]) {
            buf_put(&c.values[i], w->records[i].value.data, w->records[i].value.len);
        }
    }
    return c;
}

/* Ends one: to the shadow if it is committed. */
static inline void rig_write_end(struct rig *r, struct rig_write *w, bool committed)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (committed && r->shadow != NULL) {
            struct group_replay at = {.producer_id = -1, .timestamp = r->wall};
            assert_int_equal(
                group_coordinator_replay(r->shadow, &at, buf_bytes(&w->keys[i]),
                                         w->gone[i] ? BYTES_NULL : buf_bytes(&w->values[i])),
                0);
        }
        buf_free(&w->keys[i]);
        buf_free(&w->values[i]);
    }
    mem_free(w->keys);
    mem_free(w->values);
    mem_free(w->gone);
}

static inline void rig_collect(struct rig *r)
{
    struct list *n;
    while ((n = list_pop_front(&r->fx.writes)) != NULL) {
        struct group_write *w = LIST_ENTRY(n, struct group_write, node);
        assert_true(r->writes_n < RIG_WRITES_MAX);
        assert_true(w->n > 0);
        r->writes[r->writes_n++] = rig_write_copy(w);
        r->records += w->n;
        rig_keep(&r->last_key, w->records[w->n - 1].key, &r->key);
        rig_keep(&r->last_value, w->records[w->n - 1].value, &r->value);
    }
    while ((n = list_pop_front(&r->fx.replies)) != NULL) {
        rig_answered(LIST_ENTRY(n, struct group_ask, node));
    }
    while ((n = list_pop_front(&r->fx.lines)) != NULL) {
        assert_true(r->lines_n < RIG_LINES_MAX);
        r->lines[r->lines_n++] = mem_strdup(LIST_ENTRY(n, struct group_line, node)->text);
    }
    group_effects_reset(&r->fx);
}

/* The oldest write that is out ends so. */
static inline void rig_written(struct rig *r, int16_t code)
{
    assert_true(r->writes_n > 0);
    struct group_event ev = rig_event(r, GROUP_WRITTEN);
    ev.op = r->writes[0].op;
    ev.code = code;
    rig_write_end(r, &r->writes[0], code == KE_NONE);
    memmove(r->writes, r->writes + 1, --r->writes_n * sizeof r->writes[0]);
    group_coordinator_step(r->c, &ev, &r->fx);
    rig_collect(r);
}

static inline void rig_carry_out(struct rig *r)
{
    rig_collect(r);
    while (r->writes_n > 0 && !r->hold) {
        rig_written(r, KE_NONE);
    }
}

static inline void rig_step(struct rig *r, const struct group_event *ev)
{
    group_coordinator_step(r->c, ev, &r->fx);
    rig_carry_out(r);
}

/* Time passes; timers fire when they are due, not later. */
static inline void rig_advance(struct rig *r, int64_t ms)
{
    int64_t end = r->now + ms;
    for (;;) {
        int64_t due = group_coordinator_deadline(r->c);
        if (due > end) {
            break;
        }
        int64_t step = due > r->now ? due - r->now : 0;
        r->now += step;
        r->wall += step;
        struct group_event ev = rig_event(r, GROUP_TICK);
        rig_step(r, &ev);
    }
    r->wall += end - r->now;
    r->now = end;
}

/* The partition moves away, with writes out or not; the coordinator is freed. */
static inline void rig_unload(struct rig *r, int16_t code)
{
    struct group_event ev = rig_event(r, GROUP_UNLOAD);
    ev.code = code;
    group_coordinator_step(r->c, &ev, &r->fx);
    rig_collect(r);
    while (r->writes_n > 0) { /* nothing is told about them any more */
        rig_write_end(r, &r->writes[--r->writes_n], false);
    }
    group_coordinator_free(r->c);
    r->c = NULL;
}

/* Ends the coordinator; calls and lines stay. */
static inline void rig_stop(struct rig *r)
{
    r->hold = false;
    rig_carry_out(r);
    rig_unload(r, KE_NOT_COORDINATOR);
}

static inline void rig_close(struct rig *r)
{
    if (r->c != NULL) {
        rig_stop(r);
    }
    while (r->calls != NULL) {
        struct call *k = r->calls;
        r->calls = k->next;
        assert_true(k->done); /* every question has been answered once */
        arena_free(&k->arena);
        mem_free(k);
    }
    for (uint32_t i = 0; i < r->lines_n; i++) {
        mem_free(r->lines[i]);
    }
    group_effects_free(&r->fx);
    buf_free(&r->last_key);
    buf_free(&r->last_value);
}

/* The last line that contains text, or NULL; how many do. */
static inline const char *rig_line(const struct rig *r, const char *text)
{
    for (uint32_t i = r->lines_n; i-- > 0;) {
        if (strstr(r->lines[i], text) != NULL) {
            return r->lines[i];
        }
    }
    return NULL;
}

static inline uint32_t rig_lines(const struct rig *r, const char *text)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->lines_n; i++) {
        n += strstr(r->lines[i], text) != NULL;
    }
    return n;
}

/* ---- calls ---- */

static inline struct call *rig_call(struct rig *r, int16_t version)
{
    struct call *k = MEM_NEW(struct call);
    k->ask.version = version;
    k->ask.client_id = bytes_str("c");
    k->ask.client_host = bytes_str("/127.0.0.1");
    k->ask.arena = &k->arena;
    k->ask.response = &k->r;
    k->ask.user = k;
    uint64_t fresh = ++r->fresh;
    memcpy(k->ask.fresh.b, &fresh, sizeof fresh);
    k->next = r->calls;
    r->calls = k;
    return k;
}

static inline struct call *rig_ask(struct rig *r, struct call *k, enum group_event_kind kind,
                                   const void *request)
{
    struct group_event ev = rig_event(r, kind);
    ev.ask = &k->ask;
    k->ask.request = request;
    rig_step(r, &ev);
    k->ask.request = NULL; /* the frame is gone */
    return k;
}

static inline void rig_text(char *out, size_t size, struct bytes b)
{
    snprintf(out, size, "%.*s", BYTES_FMT(b));
}

/* ---- JoinGroup ---- */

struct join {
    const char *group, *member, *instance, *client, *type, *reason;
    const char *protocols[4]; /* name, or name:metadata */
    int32_t session_ms, rebalance_ms;
    int16_t version; /* 0: 9; V0: version 0 */
};

enum { V0 = -1 };

static inline struct call *rig_join(struct rig *r, struct join j)
{
    static const char *const usual[] = {"range", NULL};
    const char *const *names = j.protocols[0] ? j.protocols : usual;
    struct join_group_request q;
    struct join_group_request_join_group_request_protocol p[4];
    int16_t version = j.version == V0 ? 0 : j.version == 0 ? 9 : j.version;
    struct call *k = rig_call(r, version);
    proto_msg_init(&join_group_request_msg, &q);
    proto_msg_init(&join_group_response_msg, &k->r.join);
    q.group_id = bytes_str(j.group ? j.group : "g");
    q.member_id = bytes_str(j.member ? j.member : "");
    q.group_instance_id = bytes_str(j.instance);
    q.protocol_type = bytes_str(j.type ? j.type : "consumer");
    q.reason = bytes_str(j.reason);
    q.session_timeout_ms = j.session_ms ? j.session_ms : 45000;
    q.rebalance_timeout_ms = version == 0 ? -1 : j.rebalance_ms ? j.rebalance_ms : 300000;
    q.protocols = p;
    for (int i = 0; i < 4 && names[i] != NULL; i++) {
        const char *colon = strchr(names[i], ':');
        proto_init(&join_group_request_join_group_request_protocol_desc, &p[i]);
        p[i].name = colon ? bytes_of(names[i], (size_t)(colon - names[i])) : bytes_str(names[i]);
        p[i].metadata = bytes_str(colon ? colon + 1 : "meta");
        q.protocols_n++;
    }
    if (j.client != NULL) {
        k->ask.client_id = bytes_str(j.client);
    }
    return rig_ask(r, k, GROUP_JOIN, &q);
}

/* The member's id and the leader's as text, once it is answered. */
static inline const char *rig_member(struct call *k)
{
    assert_true(k->done);
    rig_text(k->member, sizeof k->member, k->r.join.member_id);
    rig_text(k->leader, sizeof k->leader, k->r.join.leader);
    return k->member;
}

/* A dynamic member comes as clients do: gets an id, comes again with it. */
static inline struct call *rig_join_twice(struct rig *r, struct join j)
{
    struct call *first = rig_join(r, j);
    assert_true(first->done);
    assert_int_equal(first->r.join.error_code, KE_MEMBER_ID_REQUIRED);
    j.member = rig_member(first);
    return rig_join(r, j);
}

/* ---- SyncGroup ---- */

struct sync {
    const char *group, *member, *instance, *type, *name;
    int32_t generation;
    int16_t version;      /* 0: 5 */
    const char *parts[8]; /* member, assignment, member, assignment, ... */
};

static inline struct call *rig_sync(struct rig *r, struct sync s)
{
    struct sync_group_request q;
    struct sync_group_request_sync_group_request_assignment a[4];
    struct call *k = rig_call(r, s.version ? s.version : 5);
    proto_msg_init(&sync_group_request_msg, &q);
    proto_msg_init(&sync_group_response_msg, &k->r.sync);
    q.group_id = bytes_str(s.group ? s.group : "g");
    q.member_id = bytes_str(s.member);
    q.group_instance_id = bytes_str(s.instance);
    q.generation_id = s.generation;
    if (k->ask.version >= 5) {
        q.protocol_type = bytes_str(s.type ? s.type : "consumer");
        q.protocol_name = bytes_str(s.name ? s.name : "range");
    }
    q.assignments = a;
    for (int i = 0; i < 8 && s.parts[i] != NULL; i += 2) {
        proto_init(&sync_group_request_sync_group_request_assignment_desc, &a[i / 2]);
        a[i / 2].member_id = bytes_str(s.parts[i]);
        a[i / 2].assignment = bytes_str(s.parts[i + 1]);
        q.assignments_n++;
    }
    return rig_ask(r, k, GROUP_SYNC, &q);
}

/* ---- Heartbeat, LeaveGroup ---- */

static inline int16_t rig_beat_as(struct rig *r, const char *group, const char *member,
                                  const char *instance, int32_t generation)
{
    struct heartbeat_request q;
    struct call *k = rig_call(r, 4);
    proto_msg_init(&heartbeat_request_msg, &q);
    proto_msg_init(&heartbeat_response_msg, &k->r.beat);
    q.group_id = bytes_str(group);
    q.member_id = bytes_str(member);
    q.group_instance_id = bytes_str(instance);
    q.generation_id = generation;
    rig_ask(r, k, GROUP_HEARTBEAT, &q);
    assert_true(k->done);
    return k->r.beat.error_code;
}

static inline int16_t rig_beat(struct rig *r, const char *member, int32_t generation)
{
    return rig_beat_as(r, "g", member, NULL, generation);
}

struct leave {
    const char *group;
    int16_t version; /* 0: 5; V0: version 0 */
    struct {
        const char *member, *instance, *reason;
    } who[4];
};

static inline struct call *rig_leave(struct rig *r, struct leave l)
{
    struct leave_group_request q;
    struct leave_group_request_member_identity m[4];
    struct call *k = rig_call(r, l.version == V0 ? 0 : l.version ? l.version : 5);
    proto_msg_init(&leave_group_request_msg, &q);
    proto_msg_init(&leave_group_response_msg, &k->r.leave);
    q.group_id = bytes_str(l.group ? l.group : "g");
    if (k->ask.version < 3) {
        q.member_id = bytes_str(l.who[0].member);
    } else {
        q.members = m;
        for (int i = 0; i < 4 && l.who[i].member != NULL; i++) {
            proto_init(&leave_group_request_member_identity_desc, &m[i]);
            m[i].member_id = bytes_str(l.who[i].member);
            m[i].group_instance_id = bytes_str(l.who[i].instance);
            m[i].reason = bytes_str(l.who[i].reason);
            q.members_n++;
        }
    }
    rig_ask(r, k, GROUP_LEAVE, &q);
    assert_true(k->done);
    return k;
}

static inline int16_t rig_leaves(struct rig *r, const char *member)
{
    struct call *k = rig_leave(r, (struct leave){.who = {{member, NULL, NULL}}});
    assert_int_equal(k->r.leave.members_n, 1);
    return k->r.leave.members[0].error_code;
}

/* ---- reading ---- */

static inline const char *rig_state_of(struct rig *r, const char *group)
{
    static char text[64];
    struct arena a = {0};
    struct describe_groups_response_described_group d;
    proto_init(&describe_groups_response_described_group_desc, &d);
    group_describe(r->c, bytes_str(group), 6, &a, &d);
    rig_text(text, sizeof text, d.group_state);
    arena_free(&a);
    return text;
}

static inline const char *rig_state(struct rig *r)
{
    return rig_state_of(r, "g");
}

/* A member's id as sentences have it. */
struct rig_short {
    char s[300];
};

static inline struct rig_short rig_short(const char *id)
{
    struct rig_short out;
    size_t n = strlen(id);
    assert_true(n > 36);
    snprintf(out.s, sizeof out.s, "%.*s...", (int)(n - 36 + 8), id);
    return out;
}

/* All sentences about a group, one a line; free it. */
static inline char *rig_explain(struct rig *r, const char *group)
{
    struct arena a = {0};
    struct buf out = {0};
    struct group_story_line *lines;
    uint32_t n;
    assert_int_equal(group_explain(r->c, bytes_str(group), r->now, r->wall, &a, &lines, &n), 0);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(&out, "%s\n", lines[i].text);
    }
    arena_free(&a);
    buf_put_u8(&out, 0);
    return (char *)buf_take(&out);
}

static inline void rig_explains(struct rig *r, const char *group, const char *text)
{
    char *all = rig_explain(r, group);
    if (strstr(all, text) == NULL) {
        print_message("not in the story: %s\n%s", text, all);
        fail();
    }
    mem_free(all);
}

/* The last record written, as a GroupMetadata; what it points to lives until the next record. */
static inline struct group_metadata_value *rig_metadata(struct rig *r, struct arena *a)
{
    int16_t version;
    void *v;
    assert_false(bytes_is_null(r->value));
    assert_int_equal(proto_decode_prefixed(&group_metadata_value_msg, r->value, a, &version, &v),
                     0);
    assert_int_equal(version, 3);
    return v;
}

/* ---- a whole group ---- */

/* n members that come at once and settle in generation 1; their joins in k. The first leads. Each
 * is assigned its number. */
static inline void rig_group(struct rig *r, int n, struct call **k)
{
    const char *parts[8] = {0};
    static const char *const what[] = {"part-0", "part-1", "part-2", "part-3"};
    assert_true(n <= 4);
    for (int i = 0; i < n; i++) {
        k[i] = rig_join_twice(r, (struct join){0});
    }
    rig_advance(r, 6000);
    for (int i = 0; i < n; i++) {
        assert_true(k[i]->done);
        assert_int_equal(k[i]->r.join.error_code, KE_NONE);
        parts[2 * i] = rig_member(k[i]);
        parts[2 * i + 1] = what[i];
    }
    struct sync lead = {.member = k[0]->member, .generation = 1};
    memcpy(lead.parts, parts, sizeof parts);
    struct call *s = rig_sync(r, lead);
    assert_true(s->done);
    assert_int_equal(s->r.sync.error_code, KE_NONE);
    for (int i = 1; i < n; i++) {
        s = rig_sync(r, (struct sync){.member = k[i]->member, .generation = 1});
        assert_int_equal(s->r.sync.error_code, KE_NONE);
    }
    assert_string_equal(rig_state(r), "Stable");
}

#endif
