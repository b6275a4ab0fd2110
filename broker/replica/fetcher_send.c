/* The requests of a fetcher, and the session that they make at the leader (KIP-227 as its client):
 *
 *     full Fetch (id 0, epoch 0) -> the answer has an id -> Fetch of that id, epochs 1, 2 ...
 *       with what is new or has changed, and what the session is to forget
 *
 * A leader that gives no session gets a full Fetch each time; the partitions then take turns here.
 * A session ends with its connection, with an error of the whole, and when the leader does not know
 * it any more. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher_private.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    FETCH_VERSION = 17,
    ARENA_MAX = 64 << 20,   /* of one decoded answer; its records are not copied */
    FETCH_LEAST = 64 << 10, /* bytes that are asked for on a shard without room, too */
};

/* A Fetch that is being written. */
struct writing {
    struct fetcher *f;
    struct arena arena;
    struct fetch_request q;
    struct fetch_request_fetch_partition *parts; /* of all topics, one behind the other */
    size_t parts_n;
};

/* ---- the session ---- */

void fetcher_end_session(struct fetcher *f)
{
    list_for_each (at, &f->parts) {
        struct replica_follow *fl = LIST_ENTRY(at, struct replica_follow, node);
        fl->in_session = false;
        fl->named.epoch = -1;
    }
    map_for_each (slot, &f->forgotten) {
        mem_free(slot->value);
    }
    map_free(&f->forgotten);
    f->in_session = 0;
    f->stale_id = f->session_id ? f->session_id : f->stale_id;
    f->session_id = 0;
    f->session_epoch = 0;
}

void fetcher_forget(struct replica_follow *fl)
{
    struct fetcher *f = fl->fetcher;
    ASSERT(fl->in_session && f->in_session > 0);
    fl->in_session = false;
    fl->named.epoch = -1;
    f->in_session--;
    if (f->session_id == 0 && !channel_in_flight(&f->call)) {
        return;
    }
    struct fetcher_gone *g = MEM_NEW(struct fetcher_gone);
    memcpy(g->key, fl->part->key, sizeof g->key);
    struct fetcher_gone *before = map_put(&f->forgotten, bytes_of(g->key, sizeof g->key), g);
    ASSERT(before == NULL);
}

/* It comes into the session again, which may not have been told yet to forget it. */
static void enter_session(struct replica_follow *fl)
{
    struct fetcher *f = fl->fetcher;
    mem_free(map_remove(&f->forgotten, bytes_of(fl->part->key, sizeof fl->part->key)));
    fl->in_session = true;
    f->in_session++;
}

/* The answer's word about the session; false: it is of another one. */
static bool take_session(struct fetcher *f, const struct fetch_response *r)
{
    if (f->session_id == 0) {
        f->stale_id = 0;
        f->session_id = r->session_id;
        f->session_epoch = r->session_id ? 1 : 0;
        return true;
    }
    f->session_epoch = f->session_epoch == INT32_MAX ? 1 : f->session_epoch + 1;
    return r->session_id == f->session_id;
}

/* ---- the request ---- */

static void put_part(struct writing *w, struct replica_follow *fl, const struct follower_log *log)
{
    struct fetch_request_fetch_topic *topics = w->q.topics;
    const struct partition *p = fl->part;
    struct fetch_request_fetch_topic *t = w->q.topics_n ? &topics[w->q.topics_n - 1] : NULL;
    struct fetch_request_fetch_partition *out = &w->parts[w->parts_n++];
    if (t == NULL || !uuid_eq(t->topic_id, p->topic->id)) {
        t = &topics[w->q.topics_n++];
        t->topic_id = p->topic->id;
        t->partitions = out;
    }
    t->partitions_n++;
    out->partition = p->index;
    out->current_leader_epoch = fl->core.leader_epoch;
    out->fetch_offset = log->end;
    out->last_fetched_epoch = log->last_epoch;
    out->log_start_offset = log->start;
    out->partition_max_bytes = w->f->fs->ns->node->config->v.replica_fetch_max_bytes;
    fl->named = (struct fetcher_named){.epoch = fl->core.leader_epoch,
                                       .last_epoch = log->last_epoch,
                                       .offset = log->end,
                                       .start = log->start};
    if (!fl->in_session) {
        enter_session(fl);
    }
}

static bool is_news(const struct replica_follow *fl, const struct follower_log *log)
{
    const struct fetcher_named *n = &fl->named;
    return !fl->in_session || n->epoch != fl->core.leader_epoch ||
           n->last_epoch != log->last_epoch || n->offset != log->end || n->start != log->start;
}

/* Puts one partition into the request, or takes it out of the session. */
static void put_change(struct writing *w, struct replica_follow *fl)
{
    struct follower_log log;
    if (follow_ready(fl) && follow_log(fl, &log) == 0) {
        if (is_news(fl, &log)) {
            put_part(w, fl, &log);
        }
    } else if (fl->in_session) {
        fetcher_forget(fl);
    }
}

/* A full Fetch looks at all, any other at those that may have news. */
static void put_parts(struct writing *w)
{
    struct fetcher *f = w->f;
    struct list work; /* a log that fails puts its partition back into f->changed */
    struct list *at;
    size_t n = 0;
    list_init(&work);
    if (f->session_id == 0) {
        fetcher_end_session(f);
        list_for_each (it, &f->parts) {
            struct replica_follow *fl = LIST_ENTRY(it, struct replica_follow, node);
            list_remove(&fl->change);
            list_push_back(&work, &fl->change);
            n++;
        }
    }
    while ((at = list_pop_front(&f->changed)) != NULL) {
        list_push_back(&work, at);
        n++;
    }
    w->parts = proto_array(&w->arena, &fetch_request_fetch_partition_desc, n);
    w->q.topics = proto_array(&w->arena, &fetch_request_fetch_topic_desc, n);
    while ((at = list_pop_front(&work)) != NULL) {
        put_change(w, LIST_ENTRY(at, struct replica_follow, change));
    }
}

static void put_forgotten(struct writing *w)
{
    struct map *gone = &w->f->forgotten;
    size_t n = gone->count;
    struct fetch_request_forgotten_topic *topics =
        proto_array(&w->arena, &fetch_request_forgotten_topic_desc, n);
    int32_t *parts = ARENA_ARRAY(&w->arena, int32_t, n + 1);
    size_t i = 0;
    map_for_each (slot, gone) {
        const struct fetcher_gone *g = slot->value;
        parts[i] = (int32_t)load_be32(g->key + sizeof(struct uuid));
        memcpy(topics[i].topic_id.b, g->key, sizeof topics[i].topic_id.b);
        topics[i].partitions = &parts[i];
        topics[i].partitions_n = 1;
        i++;
        mem_free(slot->value);
    }
    map_free(gone);
    w->q.forgotten_topics_data = topics;
    w->q.forgotten_topics_data_n = (int32_t)n;
}

/* Our broker epoch: that of the registration of this run. -1: the image does not have it yet. */
static int64_t own_epoch(const struct node_shard *ns)
{
    const struct image_broker *b = ns->image ? image_broker(ns->image, ns->node->id) : NULL;
    return b && uuid_eq(b->incarnation, ns->node->incarnation) ? b->epoch : -1;
}

/* ---- the answer ---- */

static void take_partitions(struct fetcher *f, const struct fetch_response *r)
{
    for (int32_t i = 0; i < r->responses_n; i++) {
        const struct fetch_response_fetchable_topic_response *t = &r->responses[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            struct partition *p = partition_find(f->fs->ns->partitions, t->topic_id,
                                                 t->partitions[k].partition_index);
            struct replica_follow *fl = p ? p->follow : NULL;
            if (fl && fl->fetcher == f && fl->in_session) {
                follow_take(fl, &t->partitions[k]);
            }
        }
    }
}

/* An error of the whole. A session that the leader has dropped is nothing to talk about. */
static void take_error(struct fetcher *f, int16_t code)
{
    char why[64];
    bool lost = code == KE_FETCH_SESSION_ID_NOT_FOUND || code == KE_INVALID_FETCH_SESSION_EPOCH;
    if (lost && f->session_id) {
        fetcher_end_session(f);
        f->stale_id = 0;
        return;
    }
    snprintf(why, sizeof why, "error %d %s", code, kafka_error_name(code));
    fetcher_broken(f, why);
}

static void on_fetch(struct channel_call *call, int err, struct bytes body)
{
    struct fetcher *f = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct fetch_response r;
    if (err == 0) {
        err = proto_decode(&fetch_response_msg, FETCH_VERSION, body, NULL, &a, &r);
    }
    if (err) {
        fetcher_broken(f, err_text(err));
    } else if (r.error_code) {
        take_error(f, r.error_code);
    } else if (!take_session(f, &r)) {
        fetcher_broken(f, "an answer of another session");
    } else {
        f->tries = 0;
        f->good_ms = fetchers_now(f->fs);
        take_partitions(f, &r);
    }
    arena_free(&a);
    fetcher_due(f);
}

/* The answer is charged to the shard's budget: not more than there is room for, but something. */
static int32_t bytes_wanted(const struct fetcher *f)
{
    const struct node_shard *ns = f->fs->ns;
    const struct budget *b = &ns->shard->budget;
    int32_t most = ns->node->config->v.replica_fetch_response_max_bytes;
    uint64_t room = b->used < b->limit ? b->limit - b->used : 0;
    room = room < FETCH_LEAST ? FETCH_LEAST : room;
    return (uint64_t)most < room ? most : (int32_t)room;
}

static void send_request(struct writing *w)
{
    struct fetcher *f = w->f;
    const struct config_values *v = &f->fs->ns->node->config->v;
    struct errmsg em = {{0}};
    w->q.replica_state.replica_id = f->fs->ns->node->id;
    w->q.max_wait_ms = v->replica_fetch_wait_max_ms;
    w->q.min_bytes = v->replica_fetch_min_bytes;
    w->q.max_bytes = bytes_wanted(f);
    w->q.session_id = f->session_id ? f->session_id : f->stale_id;
    w->q.session_epoch = f->session_epoch;
    buf_clear(&f->body);
    int err = proto_encode(&fetch_request_msg, FETCH_VERSION, &w->q, &f->body, &em);
    ASSERT(err == 0);
    f->call.api_key = fetch_request_msg.key;
    f->call.version = FETCH_VERSION;
    f->call.body = buf_bytes(&f->body);
    f->call.timeout_ms = v->replica_socket_timeout_ms;
    f->call.cb = on_fetch;
    f->call.user = f;
    f->sent_ms = fetchers_now(f->fs);
    channel_call(f->channel, &f->call);
}

void fetcher_send(struct fetcher *f)
{
    struct fetchers *fs = f->fs;
    if (fs->stopped || f->channel == NULL || channel_in_flight(&f->call) ||
        fetchers_now(fs) < f->not_before_ms) {
        return;
    }
    struct writing w = {.f = f};
    proto_msg_init(&fetch_request_msg, &w.q);
    w.q.replica_state.replica_epoch = own_epoch(fs->ns);
    if (w.q.replica_state.replica_epoch < 0) {
        return; /* the image that has it looks here again */
    }
    put_parts(&w);
    if (f->in_session > 0) { /* else there is nothing to wait for */
        put_forgotten(&w);
        send_request(&w);
    }
    arena_free(&w.arena);
}
