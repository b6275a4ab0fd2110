#include "controller/peers.h"

#include <stdio.h>

#include "base/mem.h"
#include "controller/peers_private.h"
#include "proto_errors.h"

enum {
    BACKOFF_MS_MIN = 20,
    BACKOFF_MS_MAX = 1000,
    CONNECT_MS = 2000,
    SILENT_MS_MIN = 1000,
    SILENCES_MAX = 5,       /* doublings */
    UNSENT_MAX = 16 << 20,  /* bytes waiting on a connection, behind which messages are dropped */
    PENDING_MAX = 64 << 10, /* bytes kept while there is none */
    ANSWER_MAX = 16 << 20,
    ARENA_MAX = 256 << 20,
    RESULT_MAX = 1 << 20,
};

static void try_connect(struct peer *peer);
static void greet(struct peer *peer);

struct peer *peers_find(struct peers *p, int32_t id)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].id == id) {
            return &p->v[i];
        }
    }
    return NULL;
}

static int64_t now(const struct peers *p)
{
    return shard_now_ms(p->shard);
}

/* How long no answer may come. Longer from time to time: a process that is stopped takes
 * connections still. */
static int64_t silent_limit(const struct peer *peer)
{
    int64_t ms = 3 * peer->all->cfg.election_timeout_ms;
    ms = ms > SILENT_MS_MIN ? ms : SILENT_MS_MIN;
    return ms << (peer->silences < SILENCES_MAX ? peer->silences : SILENCES_MAX);
}

void peer_names_of(const struct peers *p, const struct peer *to, struct peer_names *out)
{
    *out = (struct peer_names){
        .cluster_id = bytes_str(p->cfg.cluster_id),
        .from = p->cfg.node_id,
        .from_directory = p->cfg.directory_id,
        .to = to->id,
        .voters = p->voters,
        .voters_n = p->cfg.voters_n,
    };
}

/* ---- the outgoing connection ---- */

static void on_timer(struct timer *t)
{
    struct peer *peer = t->user;
    struct peers *p = peer->all;
    if (!dial_is_open(&peer->dial)) {
        try_connect(peer);
    } else if (peer->unanswered > 0 && now(p) - peer->silent_ms >= silent_limit(peer)) {
        log_seldom(p->log, &peer->lost, LOG_WARN, "controller",
                   "a voter gives no answers: connecting anew voter=%d address=%s:%u",
                   (int)peer->id, peer->host, peer->port);
        dial_close(&peer->dial);
        peer->unanswered = 0;
        peer->silences++;
        peers_transfer_lost(peer);
        try_connect(peer);
    } else {
        if (peer->unnoted) {
            greet(peer);
        }
        if (peer->unanswered > 0 && !timer_is_set(&peer->timer)) {
            timer_set(p->shard, &peer->timer, peer->silent_ms + silent_limit(peer));
        }
    }
}

/* So that the other voter knows this one's directory before it matters, and a wrong configuration
 * is seen at once. */
static void greet(struct peer *peer)
{
    struct peer_names names;
    struct buf frame = {0};
    peer_names_of(peer->all, peer, &names);
    peer_put_header(&frame, PEER_API_MESSAGE, peer->correlation++);
    peer_put_message(&frame, &names, NULL);
    peer_transmit(peer, buf_bytes(&frame));
    buf_free(&frame);
    peer->greeted_ms = now(peer->all);
    peer->unnoted = false;
}

/* The other voter had no room to note this one's directory: it may have, some time later. */
static void greet_later(struct peer *peer)
{
    peer->unnoted = true;
    if (!timer_is_set(&peer->timer)) {
        timer_set(peer->all->shard, &peer->timer, now(peer->all) + BACKOFF_MS_MAX);
    }
}

static void on_up(struct dial *d)
{
    struct peer *peer = d->user;
    struct peers *p = peer->all;
    struct buf pending = peer->pending;
    peer->pending = (struct buf){0};
    peer->backoff_ms = BACKOFF_MS_MIN;
    peer->unanswered = 0;
    if (peer->was_lost) {
        peer->was_lost = false;
        log_info(p->log, "controller", "connected to a voter again voter=%d address=%s:%u",
                 (int)peer->id, peer->host, peer->port);
    }
    greet(peer);
    bool fresh = now(p) - peer->pending_ms < p->cfg.election_timeout_ms;
    for (size_t at = 0; fresh && at + 4 <= pending.len;) {
        uint32_t n = load_be32(pending.data + at);
        peer_transmit(peer, bytes_of(pending.data + at + 4, n));
        at += 4 + n;
    }
    buf_free(&pending);
}

static int take_message(struct peers *p, struct peer *from, const struct quorum_message *m,
                        struct errmsg *em);

static bool is_result(const struct quorum_message *m)
{
    return m->type == QUORUM_APPEND_RESULT || m->type == QUORUM_VOTE_RESULT;
}

/* What raft answered at once. */
static int take_result(struct peer *peer, struct bytes frame)
{
    struct peers *p = peer->all;
    struct arena a = {.limit = RESULT_MAX};
    struct peer_names names;
    struct quorum_message m;
    struct errmsg em = {{0}};
    struct bytes body;
    int err = peer_take_result(frame, &body);
    if (err == 0 && body.len > 0) {
        err = peer_take_message(body, &a, &names, &m, &em);
        if (err == 0 && (names.from != peer->id || !is_result(&m))) {
            err = ERR_INVALID;
        }
        if (err == 0 && p->quorum &&
            peers_admit(p, &names, m.type == QUORUM_APPEND_RESULT, &em) == KE_NONE) {
            (void)take_message(p, peer, &m, NULL); /* an answer has no answer */
        }
    }
    arena_free(&a);
    return err;
}

static void on_frame(struct dial *d, struct bytes frame)
{
    struct peer *peer = d->user;
    struct peers *p = peer->all;
    int32_t correlation;
    int16_t code;
    struct bytes sentence;
    peer->silent_ms = now(p);
    peer->silences = 0;
    peer->unanswered -= peer->unanswered > 0;
    int err = peer_take_answer(frame, &correlation, &code, &sentence);
    if (err == 0 && (peers_transfer_answer(peer, correlation, code, frame) ||
                     peers_admission_answer(peer, correlation, code, sentence))) {
        return;
    }
    if (err == 0 && code == KE_NONE) {
        err = take_result(peer, frame);
    }
    if (err) {
        log_seldom(p->log, &peer->there, LOG_WARN, "controller",
                   "a voter's answer is none voter=%d address=%s:%u", (int)peer->id, peer->host,
                   peer->port);
        dial_close(d);
        peers_transfer_lost(peer);
        timer_set(p->shard, &peer->timer, now(p) + BACKOFF_MS_MAX);
    } else if (code != 0) {
        log_seldom(p->log, &peer->there, LOG_WARN, "controller",
                   "a voter refuses what this one says: %.*s voter=%d address=%s:%u error=%s",
                   BYTES_FMT(sentence), (int)peer->id, peer->host, peer->port,
                   kafka_error_name(code));
        if (code == KE_KAFKA_STORAGE_ERROR) {
            greet_later(peer);
        }
    }
}

static void on_down(struct dial *d, int err)
{
    struct peer *peer = d->user;
    struct peers *p = peer->all;
    peer->unanswered = 0;
    peer->was_lost = true;
    peers_transfer_lost(peer);
    log_seldom(p->log, &peer->lost, LOG_WARN, "controller",
               "no connection to a voter, trying again voter=%d address=%s:%u error=\"%s\"",
               (int)peer->id, peer->host, peer->port, err_text(err));
    timer_set(p->shard, &peer->timer, now(p) + peer->backoff_ms);
    peer->backoff_ms =
        2 * peer->backoff_ms < BACKOFF_MS_MAX ? 2 * peer->backoff_ms : BACKOFF_MS_MAX;
}

static const struct dial_ops dial_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void try_connect(struct peer *peer)
{
    timer_cancel(peer->all->shard, &peer->timer);
    peer->tried_ms = now(peer->all);
    dial_open(&peer->dial, peer->host, peer->port, CONNECT_MS);
}

/* There is reason to think that it can be reached, or that it matters now. */
static void connect_now(struct peer *peer)
{
    if (!dial_is_open(&peer->dial) && now(peer->all) - peer->tried_ms >= BACKOFF_MS_MIN) {
        try_connect(peer);
    }
}

void peers_greet(struct peer *peer)
{
    if (peer->dial.up) {
        greet(peer);
    } else {
        connect_now(peer);
    }
}

/* The other one greets back, too: no more than this often. */
static void greet_back(struct peer *peer)
{
    if (!peer->dial.up || now(peer->all) - peer->greeted_ms >= peer->all->cfg.election_timeout_ms) {
        peers_greet(peer);
    }
}

/* ---- sending ---- */

bool peer_transmit(struct peer *peer, struct bytes frame)
{
    struct peers *p = peer->all;
    if (!peer->dial.up || dial_unsent(&peer->dial) > UNSENT_MAX) {
        peer->dropped++;
        return false;
    }
    if (peer->unanswered++ == 0) {
        peer->silent_ms = now(p);
        if (!timer_is_set(&peer->timer)) {
            timer_set(p->shard, &peer->timer, now(p) + silent_limit(peer));
        }
    }
    dial_send(&peer->dial, frame);
    return true;
}

/* Until there is a connection: the newest, if they are small. */
static void keep(struct peer *peer, struct bytes frame)
{
    if (peer->pending.len + frame.len > PENDING_MAX) {
        buf_clear(&peer->pending);
    }
    if (peer->pending.len == 0 ||
        now(peer->all) - peer->pending_ms >= peer->all->cfg.election_timeout_ms) {
        buf_clear(&peer->pending);
        peer->pending_ms = now(peer->all);
    }
    buf_put_be32(&peer->pending, (uint32_t)frame.len);
    buf_put(&peer->pending, frame.data, frame.len);
}

void peers_send(struct peers *p, const struct quorum_message *m)
{
    struct peer *peer = peers_find(p, m->to);
    struct peer_names names;
    struct buf frame = {0};
    if (peer == NULL) {
        return;
    }
    if (peer == p->asker && p->result.len == 0 && is_result(m)) {
        peer_names_of(p, peer, &names);
        peer_put_message(&p->result, &names, m);
        return;
    }
    if (!peer->dial.up) {
        connect_now(peer);
        if (m->entries_n > 0) {
            return; /* it is sent again when the other voter answers */
        }
    }
    peer_names_of(p, peer, &names);
    peer_put_header(&frame, PEER_API_MESSAGE, peer->correlation++);
    peer_put_message(&frame, &names, m);
    if (peer->dial.up) {
        peer_transmit(peer, buf_bytes(&frame));
    } else {
        keep(peer, buf_bytes(&frame));
    }
    buf_free(&frame);
}

bool peers_may_send(const struct peers *p, int32_t to)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].id == to) {
            return p->v[i].dial.up && dial_unsent(&p->v[i].dial) < UNSENT_MAX;
        }
    }
    return false;
}

/* ---- receiving ---- */

static bool same_voters(const struct peers *p, const struct peer_names *n)
{
    if (n->voters_n != p->cfg.voters_n) {
        return false;
    }
    for (size_t i = 0; i < n->voters_n; i++) {
        bool found = false;
        for (size_t k = 0; k < p->cfg.voters_n; k++) {
            found = found || n->voters[i] == p->voters[k];
        }
        for (size_t k = 0; k < i; k++) {
            found = found && n->voters[k] != n->voters[i];
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* Kafka's code for what is wrong with the names; 0: nothing. */
static int16_t check_names(struct peers *p, const struct peer_names *n, struct errmsg *em)
{
    if (!bytes_eq_str(n->cluster_id, p->cfg.cluster_id)) {
        errmsg_set(em, 0, "voter %d belongs to cluster %.*s, voter %d to cluster %s", (int)n->from,
                   n->cluster_id.len > 64 ? 64 : (int)n->cluster_id.len,
                   (const char *)n->cluster_id.data, (int)p->cfg.node_id, p->cfg.cluster_id);
        return KE_INCONSISTENT_CLUSTER_ID;
    }
    if (n->to != p->cfg.node_id) {
        errmsg_set(em, 0,
                   "voter %d means to speak to node %d, but this is node %d: its "
                   "controller.quorum.voters has a wrong address",
                   (int)n->from, (int)n->to, (int)p->cfg.node_id);
        return KE_INCONSISTENT_VOTER_SET;
    }
    if (n->from == p->cfg.node_id) {
        errmsg_set(em, 0, "two controllers have node.id=%d", (int)n->from);
        return KE_INCONSISTENT_VOTER_SET;
    }
    if (peers_find(p, n->from) == NULL || !same_voters(p, n)) {
        errmsg_set(em, 0,
                   "controllers %d and %d have different controller.quorum.voters; they must name "
                   "the same ids on every node",
                   (int)n->from, (int)p->cfg.node_id);
        return KE_INCONSISTENT_VOTER_SET;
    }
    return KE_NONE;
}

/* Is this the disk that the voter had when it spoke first? */
static int16_t check_directory(struct peers *p, struct peer *peer, struct uuid directory,
                               bool harmless, struct errmsg *em)
{
    char known[UUID_TEXT];
    char shown[UUID_TEXT];
    bool on_trial = harmless && peers_on_trial(p, peer, directory);
    enum peer_trust trust = peers_trust(peer->directory, directory, on_trial);
    if (trust == PEER_KNOWN) {
        return KE_NONE;
    }
    if (trust == PEER_NAMELESS) {
        errmsg_set(em, 0, "voter %d names no directory", (int)peer->id);
        return KE_INVALID_VOTER_KEY;
    }
    if (trust == PEER_NEW) {
        if (peers_learn_directory(p, peer, directory, em)) {
            return KE_KAFKA_STORAGE_ERROR;
        }
        log_info(p->log, "controller",
                 "a voter's directory is known from now on voter=%d "
                 "directory=%s",
                 (int)peer->id, uuid_text(directory, shown));
        return KE_NONE;
    }
    peer->offered = directory;
    peer->offered_ms = io_wall_ms(p->shard->io);
    errmsg_set(
        em, 0,
        "voter %d comes with directory %s, but voter %d knows it with directory %s: an empty "
        "disk under an old id has forgotten its votes, so it is not heard until it is "
        "admitted",
        (int)peer->id, uuid_text(directory, shown), (int)p->cfg.node_id,
        uuid_text(peer->directory, known));
    return KE_INVALID_VOTER_KEY;
}

struct uuid peers_directory(const struct peers *p, int32_t voter)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].id == voter) {
            return p->v[i].directory;
        }
    }
    return UUID_ZERO;
}

bool peers_offered(const struct peers *p, int32_t voter, struct uuid *directory, int64_t *when_ms)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct peer *peer = &p->v[i];
        if (peer->id == voter && !uuid_is_zero(peer->offered) &&
            !uuid_eq(peer->offered, peer->directory)) {
            *directory = peer->offered;
            *when_ms = peer->offered_ms;
            return true;
        }
    }
    return false;
}

int16_t peers_admit(struct peers *p, const struct peer_names *names, bool harmless,
                    struct errmsg *em)
{
    int16_t code = check_names(p, names, em);
    struct peer *peer = peers_find(p, names->from);
    if (code == KE_NONE) {
        code = check_directory(p, peer, names->from_directory, harmless, em);
    }
    if (code != KE_NONE) {
        log_seldom(p->log, peer ? &peer->here : &p->unknown, LOG_WARN, "controller",
                   "a voter's message is refused: %s error=%s", em->text, kafka_error_name(code));
    }
    return code;
}

static int take_message(struct peers *p, struct peer *from, const struct quorum_message *m,
                        struct errmsg *em)
{
    if ((int)m->type == 0) {
        greet_back(from);
        return 0;
    }
    if (m->type == QUORUM_SNAPSHOT && quorum_wants_snapshot(p->quorum, m)) {
        peers_transfer_begin(p, from, m);
        return 0;
    }
    int err = quorum_receive(p->quorum, m, em);
    if (err == 0) {
        peers_admission_heard(from);
    }
    return err;
}

static int16_t receive_message(struct peers *p, struct bytes body, struct errmsg *em)
{
    struct arena a = {.limit = ARENA_MAX};
    struct peer_names names;
    struct quorum_message m;
    int16_t code = KE_INVALID_REQUEST;
    if (peer_take_message(body, &a, &names, &m, em)) {
        log_seldom(p->log, &p->unknown, LOG_WARN, "controller",
                   "a voter's message is refused: %s error=%s", em->text, kafka_error_name(code));
    } else {
        code = peers_admit(p, &names, m.type == QUORUM_APPEND_RESULT, em);
        if (code == KE_NONE && p->quorum) {
            p->asker = peers_find(p, names.from);
            connect_now(p->asker);
            code = take_message(p, p->asker, &m, em) ? KE_INVALID_REQUEST : KE_NONE;
            p->asker = NULL;
        }
    }
    arena_free(&a);
    return code;
}

void peers_handle(struct peers *p, struct bytes frame, struct buf *response)
{
    struct errmsg em = {{0}};
    struct bytes body;
    int32_t correlation = -1;
    int16_t code;
    int err = peer_take_header(frame, &correlation, &body);
    if (err) {
        code = err == ERR_UNSUPPORTED ? KE_UNSUPPORTED_VERSION : KE_INVALID_REQUEST;
        errmsg_set(&em, 0,
                   "this controller speaks version %d of the voters' protocol; all voters must run "
                   "the same release",
                   PEER_VERSION);
        log_seldom(p->log, &p->unknown, LOG_WARN, "controller",
                   "a voter's message is refused: %s error=%s", em.text, kafka_error_name(code));
        peer_put_answer(response, correlation, code, em.text);
        return;
    }
    switch (load_be16(frame.data)) {
    case PEER_API_SNAPSHOT:
        peers_give_piece(p, body, correlation, response);
        return;
    case PEER_API_ADMIT:
        peers_admission_ask(p, body, correlation, response);
        return;
    case PEER_API_ADMITTED:
        code = peers_admission_told(p, body, &em);
        break;
    default:
        code = receive_message(p, body, &em);
    }
    peer_put_answer(response, correlation, code, code ? em.text : NULL);
    buf_put(response, p->result.data, p->result.len);
    buf_clear(&p->result);
}

void peers_refuse(struct bytes frame, int32_t node_id, struct buf *response, struct errmsg *em)
{
    struct bytes body;
    int32_t correlation = -1;
    (void)peer_take_header(frame, &correlation, &body);
    errmsg_set(em, 0,
               "node %d is a controller and no voter, as it has no controller.quorum.voters; they "
               "must name the same ids on every voter",
               (int)node_id);
    peer_put_answer(response, correlation, KE_INCONSISTENT_VOTER_SET, em->text);
}

/* ---- life ---- */

int peers_new(struct shard *sh, const struct peers_config *cfg, struct metadata_log *log,
              struct peers **out, struct errmsg *em)
{
    struct peers *p = MEM_NEW(struct peers);
    ASSERT(cfg->voters_n <= QUORUM_VOTERS_MAX);
    p->shard = sh;
    p->log = sh->log;
    p->cfg = *cfg;
    p->mlog = log;
    for (size_t i = 0; i < cfg->voters_n; i++) {
        p->voters[i] = cfg->voters[i].id;
        if (cfg->voters[i].id == cfg->node_id) {
            continue;
        }
        struct peer *peer = &p->v[p->n++];
        peer->all = p;
        peer->id = cfg->voters[i].id;
        peer->host = cfg->voters[i].host;
        peer->port = cfg->voters[i].port;
        peer->backoff_ms = BACKOFF_MS_MIN;
        peer->tried_ms = INT64_MIN / 2;
        peer->timer = (struct timer){.cb = on_timer, .user = peer};
        dial_init(&peer->dial, sh, &dial_ops, peer, ANSWER_MAX);
    }
    int err = peers_load_directories(p, em);
    if (err) {
        mem_free(p);
        return err;
    }
    *out = p;
    return 0;
}

void peers_start(struct peers *p, struct quorum *q)
{
    p->quorum = q;
    for (size_t i = 0; i < p->n; i++) {
        try_connect(&p->v[i]);
    }
}

void peers_free(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    peers_transfer_abandon(p);
    peers_admission_end(p);
    for (size_t i = 0; i < p->n; i++) {
        timer_cancel(p->shard, &p->v[i].timer);
        dial_close(&p->v[i].dial);
        buf_free(&p->v[i].pending);
    }
    buf_free(&p->result);
    mem_free(p);
}
