#include "controller/metadata_follower.h"

#include <stdio.h>

#include "base/mem.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    FETCH_VERSION = 17,
    SNAPSHOT_VERSION = 1,
    QUORUM_VERSION = 2,
    FETCH_WAIT_MS = 250,          /* long poll; a silent controller is noticed so much later */
    SILENT_MAX = 6,               /* short fetches before a long one */
    VOTERS_AGAIN_MS = 1000,       /* a leader that did not say where the controllers are */
    ARENA_MAX = 64 * 1024 * 1024, /* of one decoded answer (its records are not copied) */
};

struct metadata_follower {
    struct shard *shard;
    const struct logger *log;
    struct channel *channel;
    struct metadata_follower_config cfg;
    struct loader *loader;
    struct channel_call call;
    struct buf body; /* of the call */
    struct timer retry;
    bool in_snapshot;
    int64_t snapshot_offset; /* end offset of the snapshot that is being fetched */
    int32_t snapshot_epoch;
    int64_t snapshot_position;
    int32_t leader_epoch; /* as the answers say; -1 unknown */
    int32_t told_epoch;   /* of the newest leader that the owner was told of */
    unsigned silent;      /* fetches in a row that nobody answered */
    bool ask_voters;      /* the leader is to be asked where all controllers are */
    int64_t ask_ms;       /* not before */
    bool complete;        /* `advanced` has come */
    bool paused;
    bool stopped;
    bool failed;
    struct log_limit limit;
    struct log_limit looking;
};

static void next_fetch(struct metadata_follower *f);

static void fail(struct metadata_follower *f, const char *what, const struct errmsg *em)
{
    struct errmsg all;
    f->failed = true;
    errmsg_set(&all, 0, "the metadata cannot be applied: %s: %s (offset %lld)", what, em->text,
               (long long)loader_next_offset(f->loader));
    f->cfg.cb->failed(f->cfg.user, all.text);
}

static void advance(struct metadata_follower *f)
{
    f->complete = true;
    f->cfg.cb->advanced(f->cfg.user);
}

/* ---- calls ---- */

static void retry_later(struct metadata_follower *f, const char *what, const char *why)
{
    f->in_snapshot = false;
    if (f->stopped || f->failed) {
        return;
    }
    if (why) {
        log_limited(
            f->log, &f->limit, LOG_WARN, "metadata",
            "no metadata from the controller, trying again step=%s reason=\"%s\" offset=%lld", what,
            why, (long long)loader_next_offset(f->loader));
    } else { /* a matter of the next election */
        log_seldom(f->log, &f->looking, LOG_INFO, "metadata",
                   "looking for the active controller step=%s offset=%lld", what,
                   (long long)loader_next_offset(f->loader));
    }
    timer_set(f->shard, &f->retry, shard_now_ms(f->shard) + f->cfg.retry_backoff_ms);
}

static void on_retry(struct timer *t)
{
    next_fetch(t->user);
}

/* Another node leads, or none: the channel looks for it. */
static bool is_not_leader(int16_t code)
{
    return code == KE_NOT_LEADER_OR_FOLLOWER || code == KE_NOT_CONTROLLER ||
           code == KE_BROKER_NOT_AVAILABLE;
}

/* The controllers are another cluster's, and stay that: nothing is worth another try. */
static void fail_foreign(struct metadata_follower *f, const char *what)
{
    struct errmsg all;
    f->failed = true;
    errmsg_set(&all, 0,
               "the controller refuses node %d of cluster %s for good: error %d %s (step %s); "
               "controller.quorum.voters or controller.quorum.bootstrap.servers names another "
               "cluster's controllers, or this node's directories were formatted for another one",
               (int)f->cfg.node_id, f->cfg.cluster_id, KE_INCONSISTENT_CLUSTER_ID,
               kafka_error_name(KE_INCONSISTENT_CLUSTER_ID), what);
    f->cfg.cb->failed(f->cfg.user, all.text);
}

static void on_fetch_error(struct metadata_follower *f, const char *what, int16_t code)
{
    char text[64];
    if (code == KE_INCONSISTENT_CLUSTER_ID) {
        fail_foreign(f, what);
        return;
    }
    snprintf(text, sizeof text, "error %d %s", code, kafka_error_name(code));
    if (is_not_leader(code)) {
        channel_not_controller(f->channel);
    }
    f->leader_epoch = -1;
    retry_later(f, what, is_not_leader(code) ? NULL : text);
}

/* Encodes and sends; the answer, which the controller may keep for held_ms, comes to cb. */
static void send_call(struct metadata_follower *f, const struct proto_message *m, int16_t version,
                      const void *body, channel_cb *cb, int64_t held_ms, int64_t timeout_ms)
{
    struct errmsg em;
    buf_clear(&f->body);
    int rc = proto_encode(m, version, body, &f->body, &em);
    ASSERT(rc == 0);
    f->call.api_key = m->key;
    f->call.version = version;
    f->call.body = buf_bytes(&f->body);
    f->call.held_ms = held_ms;
    f->call.timeout_ms = held_ms + (timeout_ms > 0 ? timeout_ms : 1);
    f->call.cb = cb;
    f->call.user = f;
    channel_call(f->channel, &f->call);
}

/* ---- the voters ---- */

static void on_voters(struct channel_call *call, int err, struct bytes body)
{
    struct metadata_follower *f = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct describe_quorum_response r;
    if (f->stopped || f->failed) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&describe_quorum_response_msg, QUORUM_VERSION, body, NULL, &a, &r);
    }
    if (err || r.error_code) { /* the metadata does not wait for it */
        f->ask_ms = shard_now_ms(f->shard) + VOTERS_AGAIN_MS;
    }
    if (err) {
        retry_later(f, "voters", err_text(err));
    } else if (r.error_code) {
        on_fetch_error(f, "voters", r.error_code);
    } else {
        f->ask_voters = false;
        f->cfg.cb->voters(f->cfg.user, &r);
        next_fetch(f);
    }
    arena_free(&a);
}

static void send_describe_quorum(struct metadata_follower *f)
{
    struct describe_quorum_request req;
    struct describe_quorum_request_topic_data topic;
    struct describe_quorum_request_partition_data part;
    f->in_snapshot = false;
    proto_msg_init(&describe_quorum_request_msg, &req);
    proto_init(&describe_quorum_request_topic_data_desc, &topic);
    proto_init(&describe_quorum_request_partition_data_desc, &part);
    req.topics = &topic;
    req.topics_n = 1;
    topic.topic_name = bytes_str("__cluster_metadata");
    topic.partitions = &part;
    topic.partitions_n = 1;
    send_call(f, &describe_quorum_request_msg, QUORUM_VERSION, &req, on_voters, 0,
              f->cfg.request_timeout_ms);
}

/* ---- the log ---- */

/* The last batch may have been cut to fit the answer. */
static struct bytes whole_batches(struct bytes b)
{
    size_t at = 0;
    while (b.len - at >= 12) {
        uint32_t n = load_be32(b.data + at + 8);
        if (n > b.len - at - 12) {
            break;
        }
        at += 12 + n;
    }
    return bytes_of(b.data, at);
}

static void begin_snapshot(struct metadata_follower *f, int64_t end_offset, int32_t epoch)
{
    log_info(f->log, "metadata", "fetching a snapshot end_offset=%lld epoch=%d",
             (long long)end_offset, (int)epoch);
    f->in_snapshot = true;
    f->snapshot_offset = end_offset;
    f->snapshot_epoch = epoch;
    f->snapshot_position = 0;
    loader_snapshot_begin(f->loader, end_offset, epoch);
    next_fetch(f);
}

static void take_records(struct metadata_follower *f, const struct fetch_response_partition_data *p)
{
    struct errmsg em = {{0}};
    struct bytes batches = whole_batches(p->records);
    if (batches.len && loader_feed(f->loader, batches, &em)) {
        fail(f, "the log", &em);
        return;
    }
    if (f->complete || loader_next_offset(f->loader) >= p->high_watermark) {
        advance(f);
    }
    f->in_snapshot = false;
    next_fetch(f);
}

/* A controller that does not lead says who does, and where that is. */
static void go_to_leader(struct metadata_follower *f, const struct fetch_response *r, int32_t id)
{
    struct channel *ch = f->channel;
    char host[256];
    for (int32_t i = 0; i < r->node_endpoints_n; i++) {
        const struct fetch_response_node_endpoint *e = &r->node_endpoints[i];
        if (e->node_id == id && e->host.len < sizeof host && e->port > 0 && e->port <= UINT16_MAX) {
            snprintf(host, sizeof host, "%.*s", BYTES_FMT(e->host));
            channel_know(ch, id, host, (uint16_t)e->port);
        }
    }
    channel_hint(ch, id);
}

static void take_partition(struct metadata_follower *f, const struct fetch_response *r,
                           const struct fetch_response_partition_data *p)
{
    if (p->error_code) {
        on_fetch_error(f, "fetch", p->error_code);
        if (is_not_leader(p->error_code) && p->current_leader.leader_id >= 0) {
            go_to_leader(f, r, p->current_leader.leader_id);
        }
        return;
    }
    if (p->current_leader.leader_epoch >= 0 &&
        p->current_leader.leader_epoch < loader_last_epoch(f->loader)) {
        /* It stood still and has not heard of its successor: its log says nothing about ours. */
        on_fetch_error(f, "fetch", KE_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    f->leader_epoch = p->current_leader.leader_epoch;
    if (p->current_leader.leader_id >= 0 && f->leader_epoch > f->told_epoch) {
        f->told_epoch = f->leader_epoch;
        f->ask_voters = f->cfg.cb->voters != NULL;
        f->ask_ms = shard_now_ms(f->shard);
        f->cfg.cb->leader(f->cfg.user, p->current_leader.leader_id, f->leader_epoch);
    }
    if (f->ask_voters && shard_now_ms(f->shard) >= f->ask_ms) {
        send_describe_quorum(f); /* the records are asked for again */
        return;
    }
    if (p->snapshot_id.end_offset >= 0) {
        begin_snapshot(f, p->snapshot_id.end_offset, p->snapshot_id.epoch);
        return;
    }
    if (p->diverging_epoch.end_offset >= 0) {
        struct errmsg em;
        errmsg_set(&em, 0,
                   "the controller's log has another history: its epoch %d ends at offset %lld; "
                   "acknowledged metadata was lost",
                   (int)p->diverging_epoch.epoch, (long long)p->diverging_epoch.end_offset);
        fail(f, "the log", &em);
        return;
    }
    take_records(f, p);
}

static void on_fetch(struct channel_call *call, int err, struct bytes body)
{
    struct metadata_follower *f = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct fetch_response r;
    if (f->stopped || f->failed) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&fetch_response_msg, FETCH_VERSION, body, NULL, &a, &r);
    }
    f->silent = err == ERR_TIMEOUT ? f->silent + 1 : 0;
    if (err) {
        retry_later(f, "fetch", err_text(err));
    } else if (r.error_code) {
        on_fetch_error(f, "fetch", r.error_code);
    } else if (r.responses_n != 1 || r.responses[0].partitions_n != 1) {
        retry_later(f, "fetch", "an answer without the metadata partition");
    } else {
        take_partition(f, &r, &r.responses[0].partitions[0]);
    }
    arena_free(&a);
}

/* A controller that has not answered a fetch within its wait and an election timeout may have been
 * replaced: the others are asked. While nobody answers, the fetches do not wait; after some, the
 * answer may just be long in coming, and gets its time. Before the first version is complete, and
 * so large, it has that always. */
static int64_t fetch_timeout(const struct metadata_follower *f)
{
    const struct metadata_follower_config *cfg = &f->cfg;
    if (!f->complete || f->silent % SILENT_MAX == SILENT_MAX - 1 ||
        cfg->request_timeout_ms < cfg->election_timeout_ms) {
        return cfg->request_timeout_ms;
    }
    return cfg->election_timeout_ms;
}

static void send_fetch(struct metadata_follower *f)
{
    struct fetch_request req;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition part;
    proto_msg_init(&fetch_request_msg, &req);
    proto_init(&fetch_request_fetch_topic_desc, &topic);
    proto_init(&fetch_request_fetch_partition_desc, &part);
    req.cluster_id = bytes_str(f->cfg.cluster_id);
    req.replica_state.replica_id = f->cfg.node_id;
    req.max_wait_ms = f->silent ? 0 : FETCH_WAIT_MS;
    req.max_bytes = f->cfg.fetch_bytes;
    req.topics = &topic;
    req.topics_n = 1;
    topic.topic_id = uuid_reserved(1);
    topic.partitions = &part;
    topic.partitions_n = 1;
    part.current_leader_epoch = f->leader_epoch;
    part.fetch_offset = loader_next_offset(f->loader);
    part.last_fetched_epoch = loader_last_epoch(f->loader);
    part.partition_max_bytes = req.max_bytes;
    part.replica_directory_id = f->cfg.directory_id;
    send_call(f, &fetch_request_msg, FETCH_VERSION, &req, on_fetch, req.max_wait_ms,
              fetch_timeout(f));
}

/* ---- the snapshot ---- */

static void give_up_snapshot(struct metadata_follower *f, const char *why)
{
    loader_snapshot_abandon(f->loader);
    retry_later(f, "snapshot", why);
}

static void take_snapshot(struct metadata_follower *f,
                          const struct fetch_snapshot_response_partition_snapshot *p)
{
    struct errmsg em = {{0}};
    if (p->error_code) {
        loader_snapshot_abandon(f->loader);
        on_fetch_error(f, "snapshot", p->error_code);
        return;
    }
    if (p->position != f->snapshot_position || p->snapshot_id.end_offset != f->snapshot_offset ||
        (p->unaligned_records.len == 0 && p->position < p->size)) {
        give_up_snapshot(f, "an answer for another part of the snapshot");
        return;
    }
    int rc = loader_snapshot_feed(f->loader, p->unaligned_records, &em);
    f->snapshot_position += (int64_t)p->unaligned_records.len;
    if (rc == 0 && f->snapshot_position >= p->size) {
        rc = loader_snapshot_end(f->loader, &em);
        f->in_snapshot = false;
        if (rc == 0 && f->complete) {
            advance(f);
        }
    }
    if (rc) {
        fail(f, "a snapshot", &em);
        return;
    }
    next_fetch(f);
}

static void on_snapshot(struct channel_call *call, int err, struct bytes body)
{
    struct metadata_follower *f = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct fetch_snapshot_response r;
    if (f->stopped || f->failed) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&fetch_snapshot_response_msg, SNAPSHOT_VERSION, body, NULL, &a, &r);
    }
    if (err) {
        give_up_snapshot(f, err_text(err));
    } else if (r.error_code) {
        loader_snapshot_abandon(f->loader);
        on_fetch_error(f, "snapshot", r.error_code);
    } else if (r.topics_n != 1 || r.topics[0].partitions_n != 1) {
        give_up_snapshot(f, "an answer without the metadata partition");
    } else {
        take_snapshot(f, &r.topics[0].partitions[0]);
    }
    arena_free(&a);
}

static void send_fetch_snapshot(struct metadata_follower *f)
{
    struct fetch_snapshot_request req;
    struct fetch_snapshot_request_topic_snapshot topic;
    struct fetch_snapshot_request_partition_snapshot part;
    proto_msg_init(&fetch_snapshot_request_msg, &req);
    proto_init(&fetch_snapshot_request_topic_snapshot_desc, &topic);
    proto_init(&fetch_snapshot_request_partition_snapshot_desc, &part);
    req.cluster_id = bytes_str(f->cfg.cluster_id);
    req.replica_id = f->cfg.node_id;
    req.max_bytes = f->cfg.snapshot_bytes;
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str("__cluster_metadata");
    topic.partitions = &part;
    topic.partitions_n = 1;
    part.current_leader_epoch = f->leader_epoch;
    part.snapshot_id.end_offset = f->snapshot_offset;
    part.snapshot_id.epoch = f->snapshot_epoch;
    part.position = f->snapshot_position;
    part.replica_directory_id = f->cfg.directory_id;
    send_call(f, &fetch_snapshot_request_msg, SNAPSHOT_VERSION, &req, on_snapshot, 0,
              f->cfg.request_timeout_ms);
}

bool metadata_follower_is_voter(const struct describe_quorum_response *r, int32_t id)
{
    for (int32_t t = 0; t < r->topics_n; t++) {
        for (int32_t p = 0; p < r->topics[t].partitions_n; p++) {
            const struct describe_quorum_response_partition_data *d = &r->topics[t].partitions[p];
            for (int32_t i = 0; i < d->current_voters_n; i++) {
                if (d->current_voters[i].replica_id == id) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* ---- life ---- */

static void next_fetch(struct metadata_follower *f)
{
    if (f->stopped || f->failed || f->paused || channel_in_flight(&f->call)) {
        return;
    }
    if (f->in_snapshot) {
        send_fetch_snapshot(f);
    } else {
        send_fetch(f);
    }
}

struct metadata_follower *metadata_follower_new(struct shard *sh, struct channel *ch,
                                                const struct metadata_follower_config *cfg)
{
    struct metadata_follower *f = MEM_NEW(struct metadata_follower);
    f->shard = sh;
    f->log = sh->log;
    f->channel = ch;
    f->cfg = *cfg;
    f->loader = loader_new();
    f->leader_epoch = -1;
    f->told_epoch = -1;
    f->retry.cb = on_retry;
    f->retry.user = f;
    return f;
}

void metadata_follower_start(struct metadata_follower *f)
{
    ASSERT_ON_SHARD(f->shard);
    next_fetch(f);
}

void metadata_follower_pause(struct metadata_follower *f)
{
    f->paused = true;
}

void metadata_follower_resume(struct metadata_follower *f)
{
    if (f->paused) {
        f->paused = false;
        next_fetch(f);
    }
}

void metadata_follower_stop(struct metadata_follower *f)
{
    ASSERT_ON_SHARD(f->shard);
    f->stopped = true;
    timer_cancel(f->shard, &f->retry);
    channel_cancel(&f->call);
}

void metadata_follower_free(struct metadata_follower *f)
{
    if (f == NULL) {
        return;
    }
    ASSERT(!channel_in_flight(&f->call));
    loader_free(f->loader);
    buf_free(&f->body);
    mem_free(f);
}

struct loader *metadata_follower_loader(struct metadata_follower *f)
{
    return f->loader;
}

bool metadata_follower_address(const struct describe_quorum_response_node *controller,
                               struct bytes listener, struct channel_endpoint *out)
{
    const struct describe_quorum_response_listener *l =
        controller->listeners_n == 1 ? &controller->listeners[0] : NULL;
    for (int32_t i = 0; i < controller->listeners_n; i++) {
        if (!bytes_is_null(listener) && bytes_eq(controller->listeners[i].name, listener)) {
            l = &controller->listeners[i];
            break;
        }
    }
    if (l == NULL || l->host.len >= sizeof out->host) {
        return false;
    }
    out->id = controller->node_id;
    out->port = l->port;
    snprintf(out->host, sizeof out->host, "%.*s", BYTES_FMT(l->host));
    return true;
}
