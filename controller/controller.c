/* The life of a controller and the quorum's callbacks; controller.h tells the story,
 * controller_private.h which file does what. */
#include "controller/controller.h"

#include <stdio.h>

#include "base/mem.h"
#include "controller/bootstrap.h"
#include "controller/controller_private.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"

enum {
    TICK_MS_MIN = 20,
    TICK_MS_MAX = 500,
    NOTE_DURABLE_MS = 60000,
    NOTE_DURABLE_MS_MAX = 600000,
    DISK_QUICK_US = 50000,
    RESERVE_BYTES = 4 << 20, /* of the metadata log's disk: some ten thousand records */
    STOP_POLL_MS = 1,        /* while a flush is under way */
    STOP_MS_MIN = 1000,      /* for others to commit what waits, or to take over */
};

void controller_config_init(struct controller_config *cfg)
{
    *cfg = (struct controller_config){
        .session_timeout_ms = 9000,
        .fetch_bytes = 1048576,
        .fetch_snapshot_bytes = 1048576,
        .request_timeout_ms = 2000,
        .retry_backoff_ms = 20,
        .election_timeout_ms = 300,
        .heartbeat_ms = 50,
        .idle_interval_ms = 500,
        .snapshot_bytes = 20971520,
        .snapshot_interval_ms = 3600000,
        .segment_bytes = 1073741824,
        .segment_ms = 604800000,
        .retention_bytes = 104857600,
        .retention_ms = 604800000,
        .unclean_interval_ms = 300000,
        .auto_leader_rebalance = true,
        .imbalance_interval_ms = 300000,
        .num_partitions = 1,
        .default_replication_factor = 1,
        .min_insync_replicas = 1,
    };
}

void controller_fail(struct controller *c, const char *sentence)
{
    if (c->failed) {
        return;
    }
    c->failed = true;
    log_error(c->log, "controller", "%s", sentence);
    if (c->cfg.on_fatal) {
        c->cfg.on_fatal(c->cfg.user, sentence);
    }
}

/* ---- leading ---- */

bool controller_serves(const struct controller *c)
{
    return c->active && !c->stopping && !c->failed && quorum_may_serve(c->quorum);
}

int32_t controller_leader(const struct controller *c)
{
    return c->quorum ? quorum_leader_id(c->quorum) : c->observed_leader;
}

int32_t controller_epoch(const struct controller *c)
{
    return c->quorum ? quorum_epoch(c->quorum) : c->observed_epoch;
}

void controller_append_own(struct controller *c,
                           void (*decide)(struct controller *c, struct decision *d))
{
    struct arena a = {0};
    struct decision d;
    struct errmsg em = {{0}};
    if (!c->active || c->failed) {
        return;
    }
    controller_decision(c, &d, &a);
    decide(c, &d);
    if (d.n > 0 && !c->failed && controller_append(c, &d, &em)) {
        log_limited(c->log, &c->limit, LOG_WARN, "controller", "records were not appended: %s",
                    em.text);
    }
    decision_free(&d);
    arena_free(&a);
    controller_tasks_more(c);
}

/* A transaction that an earlier leader left open. */
static void decide_abort(struct controller *c, struct decision *d)
{
    struct abort_transaction_record r;
    UNUSED(c);
    proto_msg_init(&abort_transaction_record_msg, &r);
    r.reason = bytes_str("the controller that began it is gone");
    decision_add(d, &abort_transaction_record_msg, 0, &r);
}

static void decide_first(struct controller *c, struct decision *d)
{
    struct bytes *records;
    size_t n;
    struct errmsg em = {{0}};
    int err = bootstrap_read(c->io, c->cfg.log_dir, d->arena, &records, &n, &em);
    err = err ? err : decide_bootstrap(d, records, n, &em);
    if (err) {
        decision_cut(d, 0);
        controller_fail(c, em.text);
    }
}

static void decide_own(struct controller *c, struct decision *d)
{
    if (decide_version(d)->flags & MV_CONTROLLER_REGISTRATION_SUPPORTED) {
        decide_own_registration(d, c->incarnation);
    }
}

/* Brokers that are there get a whole session to be heard of. Not so one in this process, if nobody
 * else has led since it started: it cannot have registered yet, so the registration there is an
 * earlier process's. */
static void begin_sessions(struct controller *c)
{
    int64_t now = shard_now_ms(c->shard);
    sessions_clear(&c->sessions);
    for (int32_t i = 0; i < c->newest->brokers_n; i++) {
        const struct image_broker *b = c->newest->brokers[i];
        if (!b->fenced && (b->id != c->cfg.node_id || c->followed)) {
            sessions_touch(&c->sessions, b->id, b->epoch, now);
            if (b->id != c->cfg.node_id) { /* it may have died with the last leader */
                broker_probe_hint(c->probe, b->id);
            }
        }
    }
}

static void on_leading(void *user, int32_t epoch)
{
    struct controller *c = user;
    int64_t offset = quorum_high_watermark(c->quorum);
    if (c->failed || c->stopping || !controller_feed(c, offset)) {
        return;
    }
    bool open = loader_in_transaction(c->loader);
    c->committed_offset = offset;
    c->active = true;
    c->activations++;
    controller_image_lead(c);
    begin_sessions(c);
    log_info(c->log, "controller", "active node=%d epoch=%d offset=%lld", (int)c->cfg.node_id,
             (int)epoch, (long long)offset);
    if (open) {
        controller_append_own(c, decide_abort);
    }
    if (image_feature_level(c->newest, "metadata.version") == 0) {
        controller_append_own(c, decide_first);
    }
    controller_append_own(c, decide_own);
    controller_tasks_lead(c);
    controller_run_early(c);
    controller_wake_polls(c, false);
}

static void on_lost(void *user)
{
    struct controller *c = user;
    if (c->active) {
        log_warn(c->log, "controller", "not active any more node=%d", (int)c->cfg.node_id);
    }
    c->active = false;
    controller_image_lost(c);
    sessions_clear(&c->sessions);
    controller_tasks_stop(c);
    observers_clear(&c->observers);
    controller_refuse_all(&c->early, KE_NOT_CONTROLLER);
    controller_refuse_all(&c->waiting, KE_NOT_CONTROLLER);
    controller_wake_polls(c, true);
}

static void on_committed(void *user, int64_t offset)
{
    struct controller *c = user;
    if (c->failed) {
        return;
    }
    if (c->active) {
        controller_image_commit(c, offset);
    } else if (!controller_feed(c, offset)) {
        return;
    }
    c->committed_offset = offset;
    controller_release(c);
    controller_wake_polls(c, false);
    controller_snapshot_check(c);
}

static void on_leader(void *user, int32_t leader, int32_t epoch)
{
    struct controller *c = user;
    if (leader != c->cfg.node_id) {
        log_info(c->log, "controller", "the quorum's leader has changed leader=%d epoch=%d",
                 (int)leader, (int)epoch);
        c->followed = c->followed || leader >= 0;
    }
    if (c->cfg.on_leader && !c->stopping) {
        c->cfg.on_leader(c->cfg.user, leader);
    }
}

static void on_send(void *user, const struct quorum_message *m)
{
    struct controller *c = user;
    peers_send(c->peers, m);
}

static bool on_may_send(void *user, int32_t to)
{
    struct controller *c = user;
    return peers_may_send(c->peers, to);
}

static void on_fatal(void *user, const char *sentence)
{
    struct controller *c = user;
    on_lost(c);
    controller_fail(c, sentence);
}

static void on_installed(void *user, struct metadata_snapshot_id id)
{
    struct controller *c = user;
    struct errmsg em = {{0}};
    controller_snapshot_abandon(c);
    if (controller_load(c, &em)) {
        controller_fail(c, em.text);
        return;
    }
    c->committed_offset = id.offset;
    c->snapshot_ms = shard_now_ms(c->shard);
    c->snapshot_size = metadata_log_size(c->mlog);
}

static const struct quorum_callbacks quorum_callbacks = {
    .committed = on_committed,
    .leading = on_leading,
    .lost = on_lost,
    .leader = on_leader,
    .fatal = on_fatal,
    .send = on_send,
    .may_send = on_may_send,
    .installed = on_installed,
};

/* ---- by time ---- */

/* Notes block this thread, and voters of one machine would all stand still together: while the disk
 * is slow, which might cost the quorum its leader, they can wait. */
static bool disk_is_quick(const struct controller *c)
{
    return metadata_log_last_flush_us(c->mlog) < DISK_QUICK_US;
}

static bool note_is_due(const struct controller *c, int64_t now)
{
    int64_t age = now - c->noted_ms;
    return age >= NOTE_DURABLE_MS_MAX || (age >= NOTE_DURABLE_MS && disk_is_quick(c));
}

/* A voter's disk. */
static void look_after_log(struct controller *c)
{
    int64_t now = shard_now_ms(c->shard);
    struct errmsg em = {{0}};
    if (note_is_due(c, now)) {
        c->noted_ms = now;
        int err = metadata_log_note_durable(c->mlog, &em);
        if (err && err != ERR_NOSPACE) { /* on a full disk it is noted later */
            controller_fail(c, em.text);
        }
    }
    if (disk_is_quick(c)) {
        quorum_note_leader(c->quorum);
    }
    controller_snapshot_check(c);
}

static void set_tick(struct controller *c)
{
    int64_t ms = TICK_MS_MAX;
    if (c->cfg.idle_interval_ms > 0 && c->cfg.idle_interval_ms < ms) {
        ms = c->cfg.idle_interval_ms;
    }
    ms = c->cfg.session_timeout_ms / 4 < ms ? c->cfg.session_timeout_ms / 4 : ms;
    ms = ms < TICK_MS_MIN ? TICK_MS_MIN : ms;
    timer_set(c->shard, &c->tick, shard_now_ms(c->shard) + ms);
}

static void on_tick(struct timer *t)
{
    struct controller *c = t->user;
    if (c->failed || c->stopping) {
        return;
    }
    if (c->active) {
        controller_tasks_tick(c);
    } else {
        controller_register(c);
    }
    if (c->mlog) {
        look_after_log(c);
    }
    set_tick(c);
}

/* ---- start ---- */

static const char *copy(struct controller *c, const char *s)
{
    return s ? arena_strndup(&c->mem, s, strlen(s)) : NULL;
}

static void copy_config(struct controller *c, const struct controller_config *cfg)
{
    c->cfg = *cfg;
    c->cfg.cluster_id = copy(c, cfg->cluster_id);
    c->cfg.log_dir = copy(c, cfg->log_dir);
    c->cfg.inter_broker_listener = copy(c, cfg->inter_broker_listener);
    struct controller_voter *voters =
        ARENA_ARRAY(&c->mem, struct controller_voter, cfg->voters_n + 1);
    for (size_t i = 0; i < cfg->voters_n; i++) {
        voters[i] = cfg->voters[i];
        voters[i].host = copy(c, cfg->voters[i].host);
    }
    c->cfg.voters = voters;
    struct controller_endpoint *endpoints =
        ARENA_ARRAY(&c->mem, struct controller_endpoint, cfg->endpoints_n + 1);
    for (size_t i = 0; i < cfg->endpoints_n; i++) {
        endpoints[i] = cfg->endpoints[i];
        endpoints[i].name = copy(c, cfg->endpoints[i].name);
        endpoints[i].host = copy(c, cfg->endpoints[i].host);
    }
    c->cfg.endpoints = endpoints;
    struct channel_endpoint *servers =
        ARENA_ARRAY(&c->mem, struct channel_endpoint, cfg->servers_n + 1);
    for (size_t i = 0; i < cfg->servers_n; i++) {
        servers[i] = cfg->servers[i];
    }
    c->cfg.servers = servers;
}

static int check_voters(const struct controller_config *cfg, struct errmsg *em)
{
    if (cfg->voters_n > QUORUM_VOTERS_MAX || cfg->voters_n % 2 == 0) {
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "controller.quorum.voters names %zu voters; a quorum has 1, 3 or 5",
                          cfg->voters_n);
    }
    for (size_t i = 0; i < cfg->voters_n; i++) {
        if (cfg->voters[i].id == cfg->node_id) {
            return 0;
        }
    }
    return errmsg_set(em, ERR_INVALID,
                      "controller.quorum.voters does not name this controller, node %d",
                      (int)cfg->node_id);
}

/* A log that was begun with kraft.version 1 names its voters itself (docs/quorum.md, Voters). */
static int check_log_voters(const struct controller *c, struct errmsg *em)
{
    struct bytes voters;
    struct voters_record r;
    struct arena a = {0};
    if (metadata_log_kraft_version(c->mlog, &voters) == 0) {
        return !c->cfg.voters_in_log
                   ? 0
                   : errmsg_set(
                         em, ERR_INVALID,
                         "the metadata log in %s is that of a voter whose quorum is named in "
                         "controller.quorum.voters, which is missing: set it as it was; to "
                         "make this controller one that is no voter, format it anew with "
                         "--no-initial-controllers",
                         c->cfg.log_dir);
    }
    int err = bytes_is_null(voters) ? ERR_CORRUPT
                                    : proto_decode(&voters_record_msg, 0, voters, NULL, &a, &r);
    if (err) {
        errmsg_set(em, err, "the KRAFT_VOTERS record in %s does not decode", c->cfg.log_dir);
    } else if (c->cfg.voters_n != 1 || r.voters_n != 1 || r.voters[0].voter_id != c->cfg.node_id ||
               !uuid_eq(r.voters[0].voter_directory_id, c->cfg.directory_id)) {
        err = errmsg_set(em, ERR_UNSUPPORTED,
                         "the metadata log in %s names %d voters of its own (kraft.version 1); it "
                         "is served only where this node and directory are the only one, also in "
                         "controller.quorum.voters",
                         c->cfg.log_dir, (int)r.voters_n);
    }
    arena_free(&a);
    return err;
}

static int open_log(struct controller *c, struct errmsg *em)
{
    struct metadata_log_config mc = {
        .log_dir = c->cfg.log_dir,
        .segment_bytes = c->cfg.segment_bytes,
        .segment_ms = c->cfg.segment_ms,
        .retention_bytes = c->cfg.retention_bytes,
        .retention_ms = c->cfg.retention_ms,
        .reserve_bytes = RESERVE_BYTES,
    };
    return metadata_log_open(c->io, c->log, &mc, &c->mlog, em);
}

static void init(struct controller *c, struct shard *sh, const struct controller_config *cfg)
{
    uint64_t seed;
    uint8_t random[16];
    c->shard = sh;
    c->io = sh->io;
    c->log = sh->log;
    copy_config(c, cfg);
    c->sessions.timeout_ms = cfg->session_timeout_ms;
    c->loader = loader_new();
    c->committed = image_empty();
    list_init(&c->appended);
    list_init(&c->early);
    list_init(&c->waiting);
    list_init(&c->polls);
    io_random(c->io, &seed, sizeof seed);
    prng_seed(&c->rng, seed);
    do {
        io_random(c->io, random, sizeof random);
    } while (!uuid_from_random(random, &c->incarnation));
    c->tick.cb = on_tick;
    c->tick.user = c;
    controller_tasks_init(c);
    c->appended_ms = c->noted_ms = c->snapshot_ms = shard_now_ms(sh);
}

/* All but the quorum and the log. */
static void free_rest(struct controller *c)
{
    controller_observe_stop(c);
    metadata_follower_free(c->follower);
    controller_register_end(c);
    timer_cancel(c->shard, &c->tick);
    controller_tasks_free(c);
    controller_image_lost(c);
    image_put(c->committed);
    loader_free(c->loader);
    sessions_free(&c->sessions);
    arena_free(&c->mem);
    mem_free(c);
}

/* The quorum and its traffic, over the open log. */
static int start_quorum(struct controller *c, struct errmsg *em)
{
    int32_t voters[QUORUM_VOTERS_MAX];
    struct peers_config pc = {
        .node_id = c->cfg.node_id,
        .cluster_id = c->cfg.cluster_id,
        .directory_id = c->cfg.directory_id,
        .voters = c->cfg.voters,
        .voters_n = c->cfg.voters_n,
        .election_timeout_ms = c->cfg.election_timeout_ms,
    };
    struct quorum_config qc = {
        .node_id = c->cfg.node_id,
        .voters = voters,
        .voters_n = c->cfg.voters_n,
        .election_timeout_ms = c->cfg.election_timeout_ms,
        .heartbeat_ms = c->cfg.heartbeat_ms,
        .cb = &quorum_callbacks,
        .user = c,
    };
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        voters[i] = c->cfg.voters[i].id;
    }
    int err = peers_new(c->shard, &pc, c->mlog, &c->peers, em);
    if (err) {
        return err;
    }
    err = quorum_start(c->shard, c->mlog, &qc, &c->quorum, em);
    if (err) {
        peers_free(c->peers);
        return err;
    }
    peers_start(c->peers, c->quorum);
    return 0;
}

int controller_start(struct shard *sh, const struct controller_config *cfg, struct controller **out,
                     struct errmsg *em)
{
    ASSERT_ON_SHARD(sh);
    bool voter = cfg->voters_n > 0 || cfg->servers_n == 0;
    int err = voter ? check_voters(cfg, em) : 0;
    if (err) {
        return err;
    }
    struct controller *c = MEM_NEW(struct controller);
    init(c, sh, cfg);
    if (!voter) {
        controller_observe(c);
        set_tick(c);
        *out = c;
        return 0;
    }
    err = open_log(c, em);
    if (err) {
        goto err_after_init;
    }
    err = check_log_voters(c, em);
    err = err ? err : controller_load(c, em);
    err = err ? err : metadata_log_note_durable(c->mlog, em);
    if (err) {
        goto err_after_log;
    }
    err = start_quorum(c, em);
    if (err) {
        goto err_after_log;
    }
    c->snapshot_size = metadata_log_size(c->mlog);
    set_tick(c);
    *out = c;
    return 0;
err_after_log:
    metadata_log_close(c->mlog);
err_after_init:
    free_rest(c);
    return err;
}

/* ---- stop ---- */

/* May others still be waited for? What was appended is committed first, then leads somebody else.
 */
static bool wait_for_voters(struct controller *c)
{
    if (c->quorum == NULL || c->failed || shard_now_ms(c->shard) >= c->stop_until_ms) {
        return false;
    }
    if (!list_empty(&c->waiting)) {
        return true;
    }
    if (!c->handed_over) {
        c->handed_over = true;
        quorum_hand_over(c->quorum, -1);
    }
    return c->cfg.voters_n > 1 && quorum_is_leader(c->quorum);
}

static void close_quorum(struct controller *c)
{
    peers_free(c->peers);
    quorum_close(c->quorum);
    if (c->mlog && !c->failed && metadata_log_close_clean(c->mlog) != 0) {
        log_warn(c->log, "controller",
                 "the metadata log could not be closed in order: the next start checks it dir=%s",
                 c->cfg.log_dir);
    }
    metadata_log_close(c->mlog);
}

static void finish_stop(struct timer *t)
{
    struct controller *c = t->user;
    if (wait_for_voters(c) || (c->quorum && quorum_busy(c->quorum))) {
        timer_set(c->shard, &c->tick, shard_now_ms(c->shard) + STOP_POLL_MS);
        return;
    }
    controller_refuse_all(&c->waiting, KE_NOT_CONTROLLER);
    conn_close_all(c->shard, false);
    void (*cb)(void *user) = c->stopped_cb;
    void *user = c->stopped_user;
    close_quorum(c);
    free_rest(c);
    if (cb) {
        cb(user);
    }
}

void controller_stop(struct controller *c, void (*cb)(void *user), void *user)
{
    ASSERT_ON_SHARD(c->shard);
    ASSERT(!c->stopping);
    c->stopping = true;
    c->stopped_cb = cb;
    c->stopped_user = user;
    controller_snapshot_abandon(c);
    controller_tasks_stop(c);
    controller_observe_stop(c);
    if (c->quorum) {
        quorum_resign(c->quorum);
    }
    controller_refuse_all(&c->early, KE_NOT_CONTROLLER);
    controller_wake_polls(c, true);
    c->stop_until_ms = INT64_MAX; /* a sole voter waits for its own disk only */
    if (c->cfg.voters_n > 1) {
        int64_t ms = 3 * c->cfg.election_timeout_ms;
        c->stop_until_ms = shard_now_ms(c->shard) + (ms > STOP_MS_MIN ? ms : STOP_MS_MIN);
    }
    c->tick.cb = finish_stop;
    timer_set(c->shard, &c->tick, shard_now_ms(c->shard));
}

void controller_crash(struct controller *c)
{
    struct list *lists[] = {&c->early, &c->waiting, &c->polls};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        while (!list_empty(lists[i])) {
            controller_request_free(LIST_ENTRY(lists[i]->next, struct controller_request, node));
        }
    }
    controller_snapshot_abandon(c);
    peers_free(c->peers);
    quorum_close(c->quorum);
    metadata_log_close(c->mlog);
    free_rest(c);
}

/* ---- facts ---- */

void controller_status(const struct controller *c, struct controller_status *out)
{
    *out = (struct controller_status){
        .leader_id = controller_leader(c),
        .epoch = controller_epoch(c),
        .committed_offset = c->committed_offset,
        .log_start_offset = c->mlog ? metadata_log_start_offset(c->mlog) : 0,
        .log_end_offset = c->mlog ? metadata_log_end_offset(c->mlog) : c->committed_offset,
        .voters = c->cfg.voters_n,
        .active = c->active && !c->stopping,
        .activations = c->activations,
        .elections = c->elections,
        .unclean_elections = c->unclean_elections,
        .now_us = io_now_us(c->io),
    };
    if (c->mlog) {
        out->flushes = *metadata_log_flush_time(c->mlog);
    }
}

/* One that is no voter has an image from when it had all that the leader had committed. */
static bool is_caught_up(const struct controller *c)
{
    return c->quorum ? quorum_caught_up(c->quorum) : c->committed_offset > 0;
}

bool controller_is_ready(const struct controller *c, struct errmsg *why)
{
    int32_t leader = controller_leader(c);
    int epoch = (int)controller_epoch(c);
    bool own = leader == c->cfg.node_id;
    if (c->stopping || c->failed) {
        errmsg_set(why, 0, "the controller stops");
    } else if (leader < 0) {
        errmsg_set(why, 0, "the quorum has no leader epoch=%d", epoch);
    } else if (own && !controller_serves(c)) {
        errmsg_set(why, 0, "elected, but not active: nothing of epoch %d is committed yet", epoch);
    } else if (!own && !is_caught_up(c)) {
        errmsg_set(why, 0, "behind the leader, controller %d: committed up to offset %lld here",
                   (int)leader, (long long)c->committed_offset);
    } else {
        return true;
    }
    return false;
}

struct image *controller_image(const struct controller *c)
{
    return c->committed;
}
