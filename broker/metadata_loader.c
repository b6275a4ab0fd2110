#include "broker/metadata_loader.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/lifecycle.h"
#include "broker/messages.h"
#include "controller/channel.h"
#include "controller/loader.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

enum {
    FETCH_VERSION = 17,
    SNAPSHOT_VERSION = 1,
    QUORUM_VERSION = 2,
    FETCH_WAIT_MS = 250,          /* long poll; a silent controller is noticed so much later */
    PUBLICATIONS_MAX = 16,        /* versions under way before fetching pauses */
    SILENT_MAX = 6,               /* short fetches before a long one */
    ARENA_MAX = 64 * 1024 * 1024, /* of one decoded answer (its records are not copied) */
};

/* One version on its way to one data shard and back. */
struct image_msg {
    struct msg m;
    struct publication *pub;
    bool home;
};

/* A version that not all shards have applied yet; freed when the last message is home. */
struct publication {
    struct list node; /* in loader->publications, oldest first */
    int64_t offset;
    struct image_delta *delta; /* a reference */
    unsigned missing;          /* shards that have not sent it back */
    bool caught_up;            /* the first one */
    struct image_msg msgs[];   /* one for each data shard */
};

enum loader_phase { LOADER_IDLE, LOADER_FETCH, LOADER_SNAPSHOT };

struct metadata_loader {
    struct node *node;
    struct shard *shard; /* main */
    struct loader *loader;
    struct channel_call call;
    struct buf body; /* of the call */
    struct timer retry;
    struct list publications;
    unsigned publications_n;
    enum loader_phase phase;
    int64_t applied;
    int64_t snapshot_offset; /* end offset of the snapshot that is being fetched */
    int32_t snapshot_epoch;
    int64_t snapshot_position;
    int32_t leader_epoch; /* as the answers say; -1 unknown */
    int32_t told_epoch;   /* of the newest leader that the node was told of */
    unsigned silent;      /* fetches in a row that nobody answered */
    bool ask_voters;      /* a new leader is to be asked where all controllers are */
    bool first_published;
    bool paused; /* too many versions under way */
    bool stopped;
    bool failed;
    struct log_limit limit;
    struct log_limit looking;
};

static void next_fetch(struct metadata_loader *l);

static void fail(struct metadata_loader *l, const char *what, const struct errmsg *em)
{
    l->failed = true;
    node_fail(l->node, "the metadata cannot be applied: %s: %s (offset %lld)", what, em->text,
              (long long)loader_next_offset(l->loader));
}

/* ---- publishing ---- */

static void publication_free(struct publication *pub)
{
    image_delta_put(pub->delta);
    mem_free(pub);
}

static void publish(struct metadata_loader *l)
{
    struct image_delta *delta;
    if (!loader_publish(l->loader, &delta)) {
        if (list_empty(&l->publications) && l->first_published) {
            l->applied = loader_next_offset(l->loader) - 1;
        }
        return;
    }
    unsigned shards = l->node->data_shards;
    struct publication *pub = mem_zalloc(sizeof *pub + shards * sizeof pub->msgs[0]);
    pub->delta = delta;
    pub->offset = loader_next_offset(l->loader) - 1;
    pub->missing = shards;
    pub->caught_up = !l->first_published;
    l->first_published = true;
    list_push_back(&l->publications, &pub->node);
    l->publications_n++;
    for (unsigned i = 0; i < shards; i++) {
        struct image_msg *im = &pub->msgs[i];
        im->m.kind = MSG_IMAGE;
        im->pub = pub;
        shard_send(l->shard, i, &im->m);
    }
}

/* A shard has applied the version. Versions are finished in order: every shard gets them in order.
 */
static void on_home(struct metadata_loader *l, struct image_msg *im)
{
    struct publication *pub = im->pub;
    ASSERT(pub->missing > 0);
    if (--pub->missing > 0) {
        return;
    }
    ASSERT(l->publications.next == &pub->node);
    list_remove(&pub->node);
    l->publications_n--;
    l->applied = pub->offset;
    bool caught_up = pub->caught_up;
    publication_free(pub);
    if (caught_up && !l->stopped) {
        node_on_caught_up(l->node);
    }
    lifecycle_on_metadata(l->node->lifecycle);
    if (l->paused && !l->stopped) {
        l->paused = false;
        next_fetch(l);
    }
}

void metadata_on_image(struct node_shard *ns, struct msg *m)
{
    struct image_msg *im = CONTAINER_OF(m, struct image_msg, m);
    ASSERT_ON_SHARD(ns->shard);
    if (im->home) {
        on_home(ns->node->loader, im);
        return;
    }
    node_apply_image(ns, im->pub->delta);
    im->home = true;
    shard_send(ns->shard, 0, m);
}

/* ---- fetching ---- */

static void retry_later(struct metadata_loader *l, const char *what, const char *why)
{
    l->phase = LOADER_IDLE;
    if (l->stopped || l->failed) {
        return;
    }
    if (why) {
        log_limited(
            l->node->log, &l->limit, LOG_WARN, "metadata",
            "no metadata from the controller, trying again step=%s reason=\"%s\" offset=%lld", what,
            why, (long long)loader_next_offset(l->loader));
    } else { /* a matter of the next election */
        log_seldom(l->node->log, &l->looking, LOG_INFO, "metadata",
                   "looking for the active controller step=%s offset=%lld", what,
                   (long long)loader_next_offset(l->loader));
    }
    timer_set(l->shard, &l->retry,
              shard_now_ms(l->shard) + l->node->config->v.controller_quorum_retry_backoff_ms);
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

static void on_fetch_error(struct metadata_loader *l, const char *what, int16_t code)
{
    char text[64];
    snprintf(text, sizeof text, "error %d %s", code, kafka_error_name(code));
    if (is_not_leader(code)) {
        channel_not_controller(l->node->shards[0].channel);
    }
    l->leader_epoch = -1;
    retry_later(l, what, is_not_leader(code) ? NULL : text);
}

/* Encodes and sends; the answer comes to cb. */
static void send_call(struct metadata_loader *l, const struct proto_message *m, int16_t version,
                      const void *body, channel_cb *cb, int64_t timeout_ms)
{
    struct errmsg em;
    buf_clear(&l->body);
    int rc = proto_encode(m, version, body, &l->body, &em);
    ASSERT(rc == 0);
    l->call.api_key = m->key;
    l->call.version = version;
    l->call.body = buf_bytes(&l->body);
    l->call.timeout_ms = timeout_ms > 0 ? timeout_ms : 1;
    l->call.cb = cb;
    l->call.user = l;
    channel_call(l->node->shards[0].channel, &l->call);
}

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

static void begin_snapshot(struct metadata_loader *l, int64_t end_offset, int32_t epoch)
{
    log_info(l->node->log, "metadata", "fetching a snapshot end_offset=%lld epoch=%d",
             (long long)end_offset, (int)epoch);
    l->phase = LOADER_SNAPSHOT;
    l->snapshot_offset = end_offset;
    l->snapshot_epoch = epoch;
    l->snapshot_position = 0;
    loader_snapshot_begin(l->loader, end_offset, epoch);
    next_fetch(l);
}

static void take_records(struct metadata_loader *l, const struct fetch_response_partition_data *p)
{
    struct errmsg em = {{0}};
    struct bytes batches = whole_batches(p->records);
    if (batches.len && loader_feed(l->loader, batches, &em)) {
        fail(l, "the log", &em);
        return;
    }
    if (l->first_published || loader_next_offset(l->loader) >= p->high_watermark) {
        publish(l);
    }
    l->phase = LOADER_IDLE;
    next_fetch(l);
}

/* A controller that does not lead says who does, and where that is. */
static void go_to_leader(struct metadata_loader *l, const struct fetch_response *r, int32_t id)
{
    struct channel *ch = l->node->shards[0].channel;
    char host[256];
    for (int32_t i = 0; i < r->node_endpoints_n; i++) {
        const struct fetch_response_node_endpoint *e = &r->node_endpoints[i];
        if (e->node_id == id && e->host.len < sizeof host && e->port > 0 && e->port <= UINT16_MAX) {
            snprintf(host, sizeof host, "%.*s", BYTES_FMT(e->host));
            channel_know(ch, id, host, (uint16_t)e->port);
        }
    }
    channel_leader(ch, id);
}

static void take_partition(struct metadata_loader *l, const struct fetch_response *r,
                           const struct fetch_response_partition_data *p)
{
    if (p->error_code) {
        on_fetch_error(l, "fetch", p->error_code);
        if (is_not_leader(p->error_code) && p->current_leader.leader_id >= 0) {
            go_to_leader(l, r, p->current_leader.leader_id);
        }
        return;
    }
    if (p->current_leader.leader_epoch >= 0 &&
        p->current_leader.leader_epoch < loader_last_epoch(l->loader)) {
        /* It stood still and has not heard of its successor: its log says nothing about ours. */
        on_fetch_error(l, "fetch", KE_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    l->leader_epoch = p->current_leader.leader_epoch;
    if (p->current_leader.leader_id >= 0 && l->leader_epoch > l->told_epoch) {
        l->told_epoch = l->leader_epoch;
        node_on_leader(l->node, p->current_leader.leader_id);
        if (config_learns_voters(l->node->config)) { /* first: it may be gone the next moment */
            l->ask_voters = true;
            l->phase = LOADER_IDLE;
            next_fetch(l);
            return;
        }
    }
    if (p->snapshot_id.end_offset >= 0) {
        begin_snapshot(l, p->snapshot_id.end_offset, p->snapshot_id.epoch);
        return;
    }
    if (p->diverging_epoch.end_offset >= 0) {
        struct errmsg em;
        errmsg_set(&em, 0,
                   "the controller's log has another history: its epoch %d ends at offset %lld; "
                   "acknowledged metadata was lost",
                   (int)p->diverging_epoch.epoch, (long long)p->diverging_epoch.end_offset);
        fail(l, "the log", &em);
        return;
    }
    take_records(l, p);
}

static void on_fetch(struct channel_call *call, int err, struct bytes body)
{
    struct metadata_loader *l = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct fetch_response r;
    if (l->stopped || l->failed) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&fetch_response_msg, FETCH_VERSION, body, NULL, &a, &r);
    }
    l->silent = err == ERR_TIMEOUT ? l->silent + 1 : 0;
    if (err) {
        retry_later(l, "fetch", err_text(err));
    } else if (r.error_code) {
        on_fetch_error(l, "fetch", r.error_code);
    } else if (r.responses_n != 1 || r.responses[0].partitions_n != 1) {
        retry_later(l, "fetch", "an answer without the metadata partition");
    } else {
        take_partition(l, &r, &r.responses[0].partitions[0]);
    }
    arena_free(&a);
}

/* A controller that has not answered a fetch within its wait and an election timeout may have been
 * replaced: the others are asked. While nobody answers, the fetches do not wait; after some, the
 * answer may just be long in coming, and gets its time. Before the first version is complete, and
 * so large, it has that always. */
static int64_t fetch_timeout(const struct metadata_loader *l)
{
    const struct config_values *v = &l->node->config->v;
    int64_t full = v->controller_quorum_request_timeout_ms;
    if (!l->first_published || l->silent % SILENT_MAX == SILENT_MAX - 1) {
        return full;
    }
    return full < v->controller_raft_election_timeout_ms ? full
                                                         : v->controller_raft_election_timeout_ms;
}

/* Of the log directory where this node's metadata log would be: what DescribeQuorum tells of an
 * observer. Zero: that one is no log directory, or could not be opened. */
static struct uuid directory_id(const struct node *n)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d] && strcmp(n->log_dirs[d]->path, n->config->metadata_log_dir) == 0) {
            return n->log_dirs[d]->meta.directory_id;
        }
    }
    return UUID_ZERO;
}

static void send_fetch(struct metadata_loader *l)
{
    struct fetch_request req;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition part;
    const struct node *n = l->node;
    proto_msg_init(&fetch_request_msg, &req);
    proto_init(&fetch_request_fetch_topic_desc, &topic);
    proto_init(&fetch_request_fetch_partition_desc, &part);
    req.cluster_id = bytes_str(n->cluster_id);
    req.replica_state.replica_id = n->id;
    req.max_wait_ms = l->silent ? 0 : FETCH_WAIT_MS;
    req.max_bytes = n->config->v.controller_quorum_fetch_max_bytes;
    req.topics = &topic;
    req.topics_n = 1;
    topic.topic_id = uuid_reserved(1);
    topic.partitions = &part;
    topic.partitions_n = 1;
    part.current_leader_epoch = l->leader_epoch;
    part.fetch_offset = loader_next_offset(l->loader);
    part.last_fetched_epoch = loader_last_epoch(l->loader);
    part.partition_max_bytes = req.max_bytes;
    part.replica_directory_id = directory_id(n);
    l->phase = LOADER_FETCH;
    send_call(l, &fetch_request_msg, FETCH_VERSION, &req, on_fetch,
              req.max_wait_ms + fetch_timeout(l));
}

/* ---- the snapshot ---- */

static void give_up_snapshot(struct metadata_loader *l, const char *why)
{
    loader_snapshot_abandon(l->loader);
    retry_later(l, "snapshot", why);
}

static void take_snapshot(struct metadata_loader *l,
                          const struct fetch_snapshot_response_partition_snapshot *p)
{
    struct errmsg em = {{0}};
    if (p->error_code) {
        loader_snapshot_abandon(l->loader);
        on_fetch_error(l, "snapshot", p->error_code);
        return;
    }
    if (p->position != l->snapshot_position || p->snapshot_id.end_offset != l->snapshot_offset ||
        (p->unaligned_records.len == 0 && p->position < p->size)) {
        give_up_snapshot(l, "an answer for another part of the snapshot");
        return;
    }
    int rc = loader_snapshot_feed(l->loader, p->unaligned_records, &em);
    l->snapshot_position += (int64_t)p->unaligned_records.len;
    if (rc == 0 && l->snapshot_position >= p->size) {
        rc = loader_snapshot_end(l->loader, &em);
        l->phase = LOADER_IDLE;
        if (rc == 0 && l->first_published) {
            publish(l);
        }
    }
    if (rc) {
        fail(l, "a snapshot", &em);
        return;
    }
    next_fetch(l);
}

static void on_snapshot(struct channel_call *call, int err, struct bytes body)
{
    struct metadata_loader *l = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct fetch_snapshot_response r;
    if (l->stopped || l->failed) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&fetch_snapshot_response_msg, SNAPSHOT_VERSION, body, NULL, &a, &r);
    }
    if (err) {
        give_up_snapshot(l, err_text(err));
    } else if (r.error_code) {
        loader_snapshot_abandon(l->loader);
        on_fetch_error(l, "snapshot", r.error_code);
    } else if (r.topics_n != 1 || r.topics[0].partitions_n != 1) {
        give_up_snapshot(l, "an answer without the metadata partition");
    } else {
        take_snapshot(l, &r.topics[0].partitions[0]);
    }
    arena_free(&a);
}

static void send_fetch_snapshot(struct metadata_loader *l)
{
    struct fetch_snapshot_request req;
    struct fetch_snapshot_request_topic_snapshot topic;
    struct fetch_snapshot_request_partition_snapshot part;
    const struct node *n = l->node;
    proto_msg_init(&fetch_snapshot_request_msg, &req);
    proto_init(&fetch_snapshot_request_topic_snapshot_desc, &topic);
    proto_init(&fetch_snapshot_request_partition_snapshot_desc, &part);
    req.cluster_id = bytes_str(n->cluster_id);
    req.replica_id = n->id;
    req.max_bytes = n->config->v.controller_quorum_fetch_snapshot_max_bytes;
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str("__cluster_metadata");
    topic.partitions = &part;
    topic.partitions_n = 1;
    part.current_leader_epoch = l->leader_epoch;
    part.snapshot_id.end_offset = l->snapshot_offset;
    part.snapshot_id.epoch = l->snapshot_epoch;
    part.position = l->snapshot_position;
    part.replica_directory_id = directory_id(n);
    send_call(l, &fetch_snapshot_request_msg, SNAPSHOT_VERSION, &req, on_snapshot,
              n->config->v.controller_quorum_request_timeout_ms);
}

/* ---- the voters ---- */

static void on_voters(struct channel_call *call, int err, struct bytes body)
{
    struct metadata_loader *l = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct describe_quorum_response r;
    l->ask_voters = false;
    if (l->stopped || l->failed) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&describe_quorum_response_msg, QUORUM_VERSION, body, NULL, &a, &r);
    }
    if (err || r.error_code) {
        l->told_epoch = -1; /* whoever answers the next fetch is asked again */
    }
    if (err) {
        retry_later(l, "voters", err_text(err));
    } else if (r.error_code) {
        on_fetch_error(l, "voters", r.error_code);
    } else {
        node_on_voters(l->node, &r);
        next_fetch(l);
    }
    arena_free(&a);
}

static void send_describe_quorum(struct metadata_loader *l)
{
    struct describe_quorum_request req;
    struct describe_quorum_request_topic_data topic;
    struct describe_quorum_request_partition_data part;
    proto_msg_init(&describe_quorum_request_msg, &req);
    proto_init(&describe_quorum_request_topic_data_desc, &topic);
    proto_init(&describe_quorum_request_partition_data_desc, &part);
    req.topics = &topic;
    req.topics_n = 1;
    topic.topic_name = bytes_str("__cluster_metadata");
    topic.partitions = &part;
    topic.partitions_n = 1;
    send_call(l, &describe_quorum_request_msg, QUORUM_VERSION, &req, on_voters,
              l->node->config->v.controller_quorum_request_timeout_ms);
}

static void next_fetch(struct metadata_loader *l)
{
    if (l->stopped || l->failed || channel_in_flight(&l->call)) {
        return;
    }
    if (l->ask_voters) {
        send_describe_quorum(l);
    } else if (l->phase == LOADER_SNAPSHOT) {
        send_fetch_snapshot(l);
    } else if (l->publications_n >= PUBLICATIONS_MAX) {
        l->paused = true;
    } else {
        send_fetch(l);
    }
}

/* ---- life ---- */

struct metadata_loader *metadata_loader_new(struct node *n)
{
    struct metadata_loader *l = MEM_NEW(struct metadata_loader);
    l->node = n;
    l->shard = n->shards[0].shard;
    l->loader = loader_new();
    l->applied = -1;
    l->leader_epoch = -1;
    l->told_epoch = -1;
    l->retry.cb = on_retry;
    l->retry.user = l;
    list_init(&l->publications);
    return l;
}

void metadata_loader_start(struct metadata_loader *l)
{
    ASSERT_ON_SHARD(l->shard);
    next_fetch(l);
}

void metadata_loader_stop(struct metadata_loader *l)
{
    ASSERT_ON_SHARD(l->shard);
    l->stopped = true;
    timer_cancel(l->shard, &l->retry);
    channel_cancel(&l->call);
}

bool metadata_loader_busy(const struct metadata_loader *l)
{
    return !list_empty(&l->publications);
}

int64_t metadata_loader_applied(const struct metadata_loader *l)
{
    return l->applied;
}

void metadata_loader_free(struct metadata_loader *l)
{
    struct list *at;
    if (l == NULL) {
        return;
    }
    ASSERT(!channel_in_flight(&l->call));
    while ((at = list_pop_front(&l->publications)) != NULL) { /* a node that did not stop */
        publication_free(LIST_ENTRY(at, struct publication, node));
    }
    loader_free(l->loader);
    buf_free(&l->body);
    mem_free(l);
}
