#include "broker/lifecycle.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/dir_assign.h"
#include "broker/disk_room.h"
#include "broker/listener.h"
#include "broker/metadata_loader.h"
#include "broker/run_before.h"
#include "controller/channel.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"
#include "storage/log_dir.h"
#include "storage/log_store.h"

enum {
    REGISTRATION_VERSION = 4,
    HEARTBEAT_VERSION = 2,
    UNASSIGNED = 1, /* the reserved id of a directory that is not known */
    BACKOFF_MIN_MS = 50,
    LOOK_MS = 50,          /* between two requests while the active controller is looked for */
    UNFENCE_RETRY_MS = 20, /* between two heartbeats while the controller keeps us fenced */
    STOP_RETRY_MS = 20,    /* between two heartbeats that ask to be let go */
    HOLD_MS = 10000,       /* without a word of who the voters are: the controllers may not say */
};

enum lifecycle_state {
    LIFECYCLE_NEW,
    LIFECYCLE_REGISTERING,
    LIFECYCLE_FENCED,  /* registered, not serving yet */
    LIFECYCLE_RUNNING, /* was unfenced */
    LIFECYCLE_STOPPING,
    LIFECYCLE_DONE,
};

struct lifecycle {
    struct node *node;
    struct shard *shard; /* main */
    enum lifecycle_state state;
    int64_t epoch; /* from the registration; -1 none */
    int64_t register_until_ms;
    int64_t backoff_ms;
    struct channel_call call;
    struct buf body;         /* of the call */
    struct timer due;        /* next request */
    struct timer stop_timer; /* the controller's consent is waited for until then */
    int64_t heard_ms;        /* of the last answer of an active controller */
    bool unfenced;           /* as the last answer says */
    bool ready;              /* the node can serve */
    bool held;               /* no registration until the voters are known */
    bool waited;             /* nor, this time, until the logs are open */
    bool noted;              /* the note of this run is written, with */
    int64_t noted_before;    /* the epoch of the one before */
    bool again;              /* another request is wanted as soon as the present one is answered */
    bool warned_fenced;
    struct log_limit limit;
    struct log_limit looking;
};

static void send_next(struct lifecycle *l);
static void stopped(struct lifecycle *l, const char *how);

static const struct config_values *settings(const struct lifecycle *l)
{
    return &l->node->config->v;
}

static void set_due(struct lifecycle *l, int64_t in_ms)
{
    timer_set(l->shard, &l->due, shard_now_ms(l->shard) + in_ms);
}

/* After a failure: twice as long each time, up to the heartbeat's interval. why NULL: another
 * controller may take it. */
static void retry_later(struct lifecycle *l, const char *what, const char *why)
{
    if (l->state == LIFECYCLE_STOPPING &&
        shard_now_ms(l->shard) - l->heard_ms >= settings(l)->broker_session_timeout_ms) {
        stopped(l, "no controller has answered for broker.session.timeout.ms");
        return;
    }
    if (why) {
        log_limited(l->node->log, &l->limit, LOG_WARN, "lifecycle",
                    "the controller did not take a %s, trying again reason=\"%s\" in_ms=%lld", what,
                    why, (long long)l->backoff_ms);
    } else { /* a matter of the next election */
        log_seldom(l->node->log, &l->looking, LOG_INFO, "lifecycle",
                   "looking for the active controller, for a %s", what);
    }
    set_due(l, l->backoff_ms);
    l->backoff_ms = 2 * l->backoff_ms;
    if (l->backoff_ms > settings(l)->broker_heartbeat_interval_ms) {
        l->backoff_ms = settings(l)->broker_heartbeat_interval_ms;
    }
}

static void send_call(struct lifecycle *l, const struct proto_message *m, int16_t version,
                      const void *body, channel_cb *cb)
{
    struct errmsg em;
    buf_clear(&l->body);
    int rc = proto_encode(m, version, body, &l->body, &em);
    ASSERT(rc == 0);
    l->call.api_key = m->key;
    l->call.version = version;
    l->call.body = buf_bytes(&l->body);
    l->call.timeout_ms = settings(l)->controller_quorum_request_timeout_ms;
    l->call.timeout_ms = l->call.timeout_ms > 0 ? l->call.timeout_ms : 1;
    l->call.cb = cb;
    l->call.user = l;
    l->again = false;
    timer_cancel(l->shard, &l->due);
    channel_call(l->node->shards[0].channel, &l->call);
}

static void describe_error(int16_t code, struct errmsg *em)
{
    errmsg_set(em, 0, "error %d %s", (int)code, kafka_error_name(code));
}

/* Another controller is the active one, or will be in a moment: it is asked as soon as possible. */
static bool not_controller(struct lifecycle *l, int16_t code)
{
    if (code == KE_NOT_CONTROLLER || code == KE_NOT_LEADER_OR_FOLLOWER) {
        channel_not_controller(l->node->shards[0].channel);
        l->backoff_ms = LOOK_MS;
        return true;
    }
    return false;
}

/* ---- registration ---- */

static void fill_listeners(const struct lifecycle *l, struct broker_registration_request *req,
                           struct arena *a)
{
    const struct listeners_config *c = &l->node->config->listeners;
    req->listeners = proto_array(a, &broker_registration_request_listener_desc, c->n);
    for (size_t i = 0; i < c->n; i++) {
        const struct listener_config *lc = &c->v[i];
        if (lc->controller || lc->advertised_host == NULL) {
            continue;
        }
        struct broker_registration_request_listener *out = &req->listeners[req->listeners_n++];
        out->name = bytes_str(lc->name);
        out->host = bytes_str(lc->advertised_host);
        out->port = lc->advertised_port ? lc->advertised_port
                                        : listeners_find(l->node->listeners, lc->name)->port;
        out->security_protocol = (int16_t)lc->protocol;
    }
}

static void fill_registration(const struct lifecycle *l, struct broker_registration_request *req,
                              struct arena *a)
{
    const struct node *n = l->node;
    proto_msg_init(&broker_registration_request_msg, req);
    req->broker_id = n->id;
    req->cluster_id = bytes_str(n->cluster_id);
    req->incarnation_id = l->node->incarnation;
    fill_listeners(l, req, a);
    req->features = proto_array(a, &broker_registration_request_feature_desc, proto_features_n);
    for (size_t i = 0; i < proto_features_n; i++) {
        struct broker_registration_request_feature *f = &req->features[req->features_n++];
        f->name = bytes_str(proto_features[i].name);
        f->min_supported_version = proto_features[i].supported_min;
        f->max_supported_version = proto_features[i].supported_max;
    }
    req->rack = bytes_str(n->config->v.broker_rack);
    req->log_dirs = arena_alloc(a, sizeof(struct uuid) * (n->log_dirs_n + 1));
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        if (node_dir_is_online(n, i)) {
            req->log_dirs[req->log_dirs_n++] = n->log_dirs[i]->meta.directory_id;
        }
    }
    req->previous_broker_epoch = run_before_epoch(n);
}

static void registered(struct lifecycle *l, int64_t epoch)
{
    log_info(l->node->log, "lifecycle", "registered with the controller broker=%d epoch=%lld",
             (int)l->node->id, (long long)epoch);
    l->epoch = epoch;
    l->heard_ms = shard_now_ms(l->shard);
    l->backoff_ms = BACKOFF_MIN_MS;
    l->state = LIFECYCLE_FENCED;
    l->unfenced = false;
    dir_assign_start(l->node->dir_assign);
    send_next(l);
}

/* Another process has this one's id. The metadata, if it is here already, says where. */
static void describe_duplicate(const struct lifecycle *l, struct errmsg *em)
{
    const struct image *img = l->node->shards[0].image;
    const struct image_broker *b = img ? image_broker(img, l->node->id) : NULL;
    char holder[300] = "";
    if (b && b->endpoints_n > 0 && !uuid_eq(b->incarnation, l->node->incarnation)) {
        snprintf(holder, sizeof holder, ", at %.*s:%u since broker epoch %lld",
                 BYTES_FMT(b->endpoints[0].host), b->endpoints[0].port, (long long)b->epoch);
    }
    errmsg_set(em, 0,
               "error %d %s: node.id=%d is registered by another process%s, which lives or was "
               "heard of less than the controllers' broker.session.timeout.ms ago; if it was this "
               "node before a crash it passes, else one of the two needs another node.id",
               KE_DUPLICATE_BROKER_REGISTRATION, kafka_error_name(KE_DUPLICATE_BROKER_REGISTRATION),
               (int)l->node->id, holder);
}

static void not_in_time(struct lifecycle *l, const char *why)
{
    l->state = LIFECYCLE_DONE;
    node_fail(l->node,
              "broker %d could not register within %d ms "
              "(initial.broker.registration.timeout.ms): %s",
              (int)l->node->id, (int)settings(l)->initial_broker_registration_timeout_ms, why);
}

static void registration_refused(struct lifecycle *l, int16_t code)
{
    struct errmsg why;
    describe_error(code, &why);
    if (code == KE_DUPLICATE_BROKER_REGISTRATION) {
        describe_duplicate(l, &why);
    }
    bool elsewhere = not_controller(l, code);
    if (code == KE_INCONSISTENT_CLUSTER_ID || code == KE_UNSUPPORTED_VERSION ||
        code == KE_INVALID_REGISTRATION) {
        l->state = LIFECYCLE_DONE;
        node_fail(l->node,
                  "the controller refuses to register broker %d of cluster %s for good: %s",
                  (int)l->node->id, l->node->cluster_id, why.text);
        return;
    }
    if (shard_now_ms(l->shard) >= l->register_until_ms) {
        not_in_time(l, why.text);
        return;
    }
    retry_later(l, "registration", elsewhere ? NULL : why.text);
}

static void on_registration(struct channel_call *call, int err, struct bytes body)
{
    struct lifecycle *l = call->user;
    struct arena a = {0};
    struct broker_registration_response r;
    if (l->state != LIFECYCLE_REGISTERING) { /* stopped meanwhile */
        return;
    }
    if (err == 0) {
        err = proto_decode(&broker_registration_response_msg, REGISTRATION_VERSION, body, NULL, &a,
                           &r);
    }
    if (err == 0 && r.error_code == 0) {
        registered(l, r.broker_epoch);
    } else if (err == 0) {
        registration_refused(l, r.error_code);
    } else if (shard_now_ms(l->shard) >= l->register_until_ms) {
        registration_refused(l, KE_REQUEST_TIMED_OUT);
    } else {
        retry_later(l, "registration", err_text(err));
    }
    arena_free(&a);
}

/* Before the controllers can know of this run. */
static void note_run(struct lifecycle *l, int64_t epoch_before)
{
    if (l->noted && l->noted_before == epoch_before) {
        return;
    }
    if (epoch_before >= 0 && run_before_is_open(l->node)) {
        log_info(l->node->log, "lifecycle",
                 "the process before was killed, and all that it wrote is here broker=%d "
                 "previous_epoch=%lld",
                 (int)l->node->id, (long long)epoch_before);
    }
    l->noted = true;
    l->noted_before = epoch_before;
    run_before_note(l->node, epoch_before);
}

/* What may be said of the run before is known when the logs are open. That may take as long as it
 * takes; the metadata, which say what to open, have to come in time. */
static bool waits_for_logs(struct lifecycle *l)
{
    int64_t left = l->register_until_ms - shard_now_ms(l->shard);
    int64_t look = settings(l)->broker_heartbeat_interval_ms;
    if (l->ready || !run_before_is_open(l->node)) {
        return false;
    }
    l->waited = true;
    if (left <= 0 && !metadata_loader_busy(l->node->loader)) {
        not_in_time(l, "no controller has told it the metadata");
    } else {
        set_due(l, left > 0 && left < look ? left : look);
    }
    return true;
}

static void send_registration(struct lifecycle *l)
{
    struct arena a = {0};
    struct broker_registration_request req;
    fill_registration(l, &req, &a);
    note_run(l, req.previous_broker_epoch);
    send_call(l, &broker_registration_request_msg, REGISTRATION_VERSION, &req, on_registration);
    arena_free(&a);
}

/* ---- heartbeats ---- */

/* May we serve? All that was committed before our registration is applied. */
static bool wants_to_serve(const struct lifecycle *l)
{
    return l->ready && metadata_loader_applied(l->node->loader) >= l->epoch;
}

static void stopped(struct lifecycle *l, const char *how)
{
    log_info(l->node->log, "lifecycle", "leaving the cluster: %s broker=%d", how, (int)l->node->id);
    l->state = LIFECYCLE_DONE;
    timer_cancel(l->shard, &l->due);
    timer_cancel(l->shard, &l->stop_timer);
    channel_cancel(&l->call);
    node_on_fenced_for_stop(l->node);
}

/* The controller lets us serve, and the metadata that the shards have says so too: what leads to us
 * since then (partitions, by the same records) is known as well. */
static void serve_if_known(struct lifecycle *l)
{
    if (l->state != LIFECYCLE_FENCED || !l->unfenced) {
        return;
    }
    const struct image *img = l->node->shards[0].image;
    const struct image_broker *b = img ? image_broker(img, l->node->id) : NULL;
    if (b == NULL || b->epoch != l->epoch || b->fenced) {
        return;
    }
    log_info(l->node->log, "lifecycle", "unfenced: the broker serves broker=%d epoch=%lld",
             (int)l->node->id, (long long)l->epoch);
    l->state = LIFECYCLE_RUNNING;
    node_on_unfenced(l->node);
}

static void take_heartbeat(struct lifecycle *l, const struct broker_heartbeat_response *r)
{
    bool was = l->unfenced;
    l->heard_ms = shard_now_ms(l->shard);
    l->backoff_ms = BACKOFF_MIN_MS;
    l->unfenced = !r->is_fenced;
    if (l->state == LIFECYCLE_STOPPING) {
        if (r->should_shut_down) {
            stopped(l, "the controller agrees");
        } else {
            set_due(l, STOP_RETRY_MS);
        }
        return;
    }
    int64_t next = settings(l)->broker_heartbeat_interval_ms;
    serve_if_known(l);
    if (was && !l->unfenced) {
        log_warn(l->node->log, "lifecycle", "fenced by the controller broker=%d", (int)l->node->id);
    }
    if (!l->unfenced && wants_to_serve(l) && next > UNFENCE_RETRY_MS) {
        next = UNFENCE_RETRY_MS;
    }
    if (l->again) {
        next = 0;
    }
    set_due(l, next);
}

static void heartbeat_refused(struct lifecycle *l, int16_t code)
{
    struct errmsg why;
    describe_error(code, &why);
    bool elsewhere = not_controller(l, code);
    if (l->state != LIFECYCLE_STOPPING &&
        (code == KE_STALE_BROKER_EPOCH || code == KE_BROKER_ID_NOT_REGISTERED)) {
        log_warn(l->node->log, "lifecycle",
                 "the controller does not know this registration any more, registering again "
                 "broker=%d epoch=%lld",
                 (int)l->node->id, (long long)l->epoch);
        l->state = LIFECYCLE_REGISTERING;
        l->register_until_ms = INT64_MAX;
        l->unfenced = false;
    }
    retry_later(l, "heartbeat", elsewhere ? NULL : why.text);
}

static void on_heartbeat(struct channel_call *call, int err, struct bytes body)
{
    struct lifecycle *l = call->user;
    struct arena a = {0};
    struct broker_heartbeat_response r;
    if (l->state == LIFECYCLE_DONE) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&broker_heartbeat_response_msg, HEARTBEAT_VERSION, body, NULL, &a, &r);
    }
    if (err) {
        retry_later(l, "heartbeat", err_text(err));
    } else if (r.error_code) {
        heartbeat_refused(l, r.error_code);
    } else {
        take_heartbeat(l, &r);
    }
    arena_free(&a);
}

/* Those whose disks are full; if none has room, with the word for all of them: of a new replica it
 * is not known where it lies. */
static int32_t full_dirs(const struct node *n, struct uuid out[LOG_STORE_DIRS_MAX + 1])
{
    int32_t full = 0;
    bool all = true;
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        if (node_dir_is_online(n, i) && disk_room_is_full(n->room, i)) {
            out[full++] = n->log_dirs[i]->meta.directory_id;
        } else if (node_dir_is_online(n, i)) {
            all = false;
        }
    }
    if (all && full > 0) {
        out[full++] = uuid_reserved(UNASSIGNED);
    }
    return full;
}

static void send_heartbeat(struct lifecycle *l)
{
    const struct node *n = l->node;
    struct uuid offline[64];
    struct uuid full[LOG_STORE_DIRS_MAX + 1];
    struct broker_heartbeat_request req;
    proto_msg_init(&broker_heartbeat_request_msg, &req);
    req.broker_id = n->id;
    req.broker_epoch = l->epoch;
    req.current_metadata_offset = metadata_loader_applied(n->loader);
    req.want_fence = !wants_to_serve(l);
    req.want_shut_down = l->state == LIFECYCLE_STOPPING;
    req.offline_log_dirs = offline;
    for (unsigned i = 0; i < n->log_dirs_n; i++) {
        /* one that could not be opened was never registered */
        if (n->log_dirs[i] && !node_dir_is_online(n, i)) {
            offline[req.offline_log_dirs_n++] = n->log_dirs[i]->meta.directory_id;
        }
    }
    req.full_log_dirs = full;
    req.full_log_dirs_n = full_dirs(n, full);
    send_call(l, &broker_heartbeat_request_msg, HEARTBEAT_VERSION, &req, on_heartbeat);
}

/* ---- what drives it ---- */

static void send_next(struct lifecycle *l)
{
    if (channel_in_flight(&l->call)) {
        l->again = true;
    } else if (l->state == LIFECYCLE_REGISTERING) {
        if (!waits_for_logs(l)) {
            send_registration(l);
        }
    } else if (l->state != LIFECYCLE_NEW && l->state != LIFECYCLE_DONE) {
        send_heartbeat(l);
    }
}

static void on_due(struct timer *t)
{
    send_next(t->user);
}

static void on_stop_timer(struct timer *t)
{
    struct lifecycle *l = t->user;
    stopped(l, l->state == LIFECYCLE_STOPPING && l->node->config->v.controlled_shutdown_enable
                   ? "the controller did not agree in time (shutdown.timeout.ms)"
                   : "without asking");
}

struct lifecycle *lifecycle_new(struct node *n)
{
    struct lifecycle *l = MEM_NEW(struct lifecycle);
    uint8_t random[16];
    l->node = n;
    l->shard = n->shards[0].shard;
    l->epoch = -1;
    l->backoff_ms = BACKOFF_MIN_MS;
    l->due.cb = on_due;
    l->due.user = l;
    l->stop_timer.cb = on_stop_timer;
    l->stop_timer.user = l;
    do {
        io_random(l->shard->io, random, sizeof random);
    } while (!uuid_from_random(random, &n->incarnation));
    return l;
}

static void set_register_limit(struct lifecycle *l)
{
    l->register_until_ms =
        shard_now_ms(l->shard) + settings(l)->initial_broker_registration_timeout_ms;
}

static void begin_to_register(struct lifecycle *l)
{
    set_register_limit(l);
    send_next(l);
}

void lifecycle_start(struct lifecycle *l)
{
    ASSERT_ON_SHARD(l->shard);
    ASSERT(l->state == LIFECYCLE_NEW);
    l->state = LIFECYCLE_REGISTERING;
    if (l->held) {
        set_register_limit(l);
        set_due(l, HOLD_MS);
    } else {
        begin_to_register(l);
    }
}

void lifecycle_hold(struct lifecycle *l)
{
    ASSERT(l->state == LIFECYCLE_NEW);
    l->held = true;
}

void lifecycle_release(struct lifecycle *l)
{
    ASSERT_ON_SHARD(l->shard);
    if (l->held && l->state == LIFECYCLE_REGISTERING) {
        l->held = false;
        send_next(l);
    }
}

void lifecycle_ready(struct lifecycle *l)
{
    ASSERT_ON_SHARD(l->shard);
    l->ready = true;
    if (l->noted && l->noted_before < 0) {
        /* Opening the logs may have taken it away, for what the run before had lost. */
        run_before_note(l->node, -1);
    }
    if (l->waited && l->state == LIFECYCLE_REGISTERING) {
        begin_to_register(l);
    }
    lifecycle_on_metadata(l);
}

void lifecycle_on_metadata(struct lifecycle *l)
{
    if (l->state == LIFECYCLE_FENCED && wants_to_serve(l) && !l->unfenced) {
        send_next(l);
    }
    serve_if_known(l);
}

void lifecycle_dirs_changed(struct lifecycle *l)
{
    if (l->state == LIFECYCLE_FENCED || l->state == LIFECYCLE_RUNNING) {
        send_next(l);
    }
}

void lifecycle_begin_stop(struct lifecycle *l)
{
    ASSERT_ON_SHARD(l->shard);
    if (l->state == LIFECYCLE_STOPPING) {
        return;
    }
    bool ask = (l->state == LIFECYCLE_FENCED || l->state == LIFECYCLE_RUNNING) &&
               settings(l)->controlled_shutdown_enable;
    int64_t now = shard_now_ms(l->shard);
    l->state = LIFECYCLE_STOPPING;
    channel_cancel(&l->call);
    timer_cancel(l->shard, &l->due);
    timer_set(l->shard, &l->stop_timer, ask ? now + settings(l)->shutdown_timeout_ms : now);
    if (ask) {
        send_next(l);
    }
}

void lifecycle_free(struct lifecycle *l)
{
    if (l == NULL) {
        return;
    }
    timer_cancel(l->shard, &l->due);
    timer_cancel(l->shard, &l->stop_timer);
    channel_cancel(&l->call);
    buf_free(&l->body);
    mem_free(l);
}

int64_t lifecycle_broker_epoch(const struct lifecycle *l)
{
    return l->epoch;
}

bool lifecycle_is_unfenced(const struct lifecycle *l)
{
    return l->unfenced;
}

/* ---- what it tells ---- */

static bool fenced_why(const struct lifecycle *l, struct errmsg *why)
{
    long long applied = metadata_loader_applied(l->node->loader);
    if (!l->ready) {
        errmsg_set(why, 0,
                   "registered, not ready to serve: the metadata is not read and the "
                   "partitions are not opened yet");
    } else if (!wants_to_serve(l)) {
        errmsg_set(why, 0,
                   "registered, still fenced: the metadata is applied up to offset %lld, and "
                   "serving begins at %lld",
                   applied, (long long)l->epoch);
    } else {
        errmsg_set(why, 0, "registered, still fenced: the controller has not unfenced the broker");
    }
    return false;
}

static bool running_why(const struct lifecycle *l, struct errmsg *why)
{
    int64_t silent = shard_now_ms(l->shard) - l->heard_ms;
    if (!l->unfenced) {
        errmsg_set(why, 0, "fenced by the controller");
        return false;
    }
    if (silent >= settings(l)->broker_session_timeout_ms) {
        errmsg_set(why, 0,
                   "no controller has answered a heartbeat for %lld ms "
                   "(broker.session.timeout.ms=%d): the broker counts as gone",
                   (long long)silent, (int)settings(l)->broker_session_timeout_ms);
        return false;
    }
    return true;
}

bool lifecycle_is_ready(const struct lifecycle *l, struct errmsg *why)
{
    switch (l->state) {
    case LIFECYCLE_NEW:
    case LIFECYCLE_REGISTERING:
        errmsg_set(why, 0, "not registered: no controller has taken the registration%s",
                   l->epoch >= 0 ? " that has to be made again" : " yet");
        return false;
    case LIFECYCLE_FENCED:
        return fenced_why(l, why);
    case LIFECYCLE_RUNNING:
        return running_why(l, why);
    case LIFECYCLE_STOPPING:
    case LIFECYCLE_DONE:
        errmsg_set(why, 0, "the broker leaves the cluster");
        return false;
    }
    UNREACHABLE();
}

int64_t lifecycle_silent_ms(const struct lifecycle *l)
{
    return l->heard_ms > 0 ? shard_now_ms(l->shard) - l->heard_ms : -1;
}
