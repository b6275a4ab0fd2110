/* A wiped voter is let in again while the quorum runs (docs/quorum.md): an operator asks the active
 * controller (storage admit-voter), which does three things one after the other.
 *
 *     ask -> catches up: the leader takes what the new disk acknowledges, and nothing else of it
 *         -> asks: it has all that was committed when it was asked for; every other voter says that
 *            it follows this leader in this very term
 *         -> tells: every other voter makes the new directory durable -> done
 *
 * What the old disk acknowledged counts for nothing: the leader has led in a term in which that
 * voter was never heard, so a majority without it has all that is committed (one that has heard the
 * old disk in its own term hands over first). What the old disk voted counts for nothing either:
 * every other voter, not only a majority, must say that it is in this very term, now that the old
 * disk is gone, before any of them hears the new one: so none can ever count an old vote of a later
 * term while another counts a new one. Hence all of them must be there.
 *
 * The operator asks again until it is done: no request waits. Failure modes: the leader changes,
 * the voter makes no progress, another voter is lost or refuses: the admission ends, the next ask
 * is told why, and one after that begins anew. A voter that was told already holds no harm: what it
 * hears of the new disk is true. It may lead then, or the new disk itself, and some have not been
 * told yet: so the next leader tells all once more, and only then it is done. */
#include <stdio.h>

#include "controller/peers_private.h"
#include "proto_errors.h"

enum { TICK_MS = 100, STALL_MS = 15000 };

static int64_t now(const struct peers *p)
{
    return shard_now_ms(p->shard);
}

static bool leads(const struct peers *p)
{
    return p->quorum && quorum_may_serve(p->quorum);
}

static int64_t end_offset_of(const struct peers *p, int32_t id)
{
    struct quorum_voter_status s;
    quorum_voter_status(p->quorum, id, &s);
    return s.end_offset;
}

/* ---- its end ---- */

static void finish(struct peers *p, int16_t code, const char *why)
{
    struct peers_admission *a = &p->admission;
    char id[UUID_TEXT];
    timer_cancel(p->shard, &a->timer);
    a->code = code;
    snprintf(a->why, sizeof a->why, "%s", why);
    if (code) {
        log_warn(p->log, "controller", "a voter is not admitted: %s voter=%d directory=%s", a->why,
                 (int)a->peer->id, uuid_text(a->directory, id));
    } else {
        log_info(p->log, "controller",
                 "a voter is admitted with another directory voter=%d "
                 "directory=%s",
                 (int)a->peer->id, uuid_text(a->directory, id));
    }
    a->last = a->peer;
    a->peer = NULL;
}

static void lost_lead(struct peers *p)
{
    finish(p, KE_NOT_CONTROLLER, "this controller is not the active one any more");
}

static bool still_leads(const struct peers *p)
{
    return leads(p) && quorum_epoch(p->quorum) == p->admission.epoch;
}

static void on_tick(struct timer *t)
{
    struct peers *p = t->user;
    struct peers_admission *a = &p->admission;
    struct errmsg em;
    if (!still_leads(p)) {
        lost_lead(p);
        return;
    }
    for (size_t i = 0; i < p->n && a->phase != ADMISSION_CATCHES_UP; i++) {
        if (p->v[i].admission_waits && !p->v[i].dial.up) {
            errmsg_set(&em, 0, "the connection to voter %d was lost before it had taken it",
                       (int)p->v[i].id);
            finish(p, KE_BROKER_NOT_AVAILABLE, em.text);
            return;
        }
    }
    if (now(p) - a->heard_ms > STALL_MS) {
        errmsg_set(&em, 0,
                   a->phase != ADMISSION_CATCHES_UP
                       ? "a voter does not answer to it"
                       : "it does not catch up: it has the log up to offset %lld of %lld",
                   (long long)end_offset_of(p, a->peer->id), (long long)a->until);
        finish(p, KE_REQUEST_TIMED_OUT, em.text);
        return;
    }
    timer_set(p->shard, &a->timer, now(p) + TICK_MS);
}

void peers_admission_end(struct peers *p)
{
    timer_cancel(p->shard, &p->admission.timer);
    p->admission.peer = NULL;
}

/* ---- catching up ---- */

bool peers_on_trial(const struct peers *p, const struct peer *peer, struct uuid directory)
{
    const struct peers_admission *a = &p->admission;
    return a->peer == peer && uuid_eq(a->directory, directory) && still_leads(p);
}

static void all_told(struct peers *p)
{
    struct peers_admission *a = &p->admission;
    struct errmsg em = {{0}};
    if (!still_leads(p)) {
        lost_lead(p);
    } else if (peers_learn_directory(p, a->peer, a->directory, &em)) {
        finish(p, KE_KAFKA_STORAGE_ERROR, em.text);
    } else {
        a->peer->told_epoch = a->epoch;
        finish(p, KE_NONE, "");
    }
}

/* To each other voter: the new directory, or none, which is the question. */
static void say_to_all(struct peers *p, enum admission_phase phase)
{
    struct peers_admission *a = &p->admission;
    struct uuid directory = phase == ADMISSION_TELLS ? a->directory : UUID_ZERO;
    struct peer_admitted told = {a->peer->id, directory, a->epoch};
    a->phase = phase;
    a->heard_ms = now(p);
    for (size_t i = 0; i < p->n; i++) {
        struct peer *to = &p->v[i];
        struct peer_names names;
        struct buf frame = {0};
        if (to == a->peer) {
            continue;
        }
        peer_names_of(p, to, &names);
        to->admission_waits = true;
        to->admission_correlation = to->correlation++;
        peer_put_header(&frame, PEER_API_ADMITTED, to->admission_correlation);
        peer_put_admitted(&frame, &names, &told);
        peer_transmit(to, buf_bytes(&frame)); /* if it could not be sent, the tick sees why */
        buf_free(&frame);
    }
}

void peers_admission_heard(struct peer *peer)
{
    struct peers *p = peer->all;
    struct peers_admission *a = &p->admission;
    if (a->peer != peer || a->phase != ADMISSION_CATCHES_UP || !still_leads(p)) {
        return;
    }
    int64_t end = end_offset_of(p, peer->id);
    peer->trial = a->directory;
    peer->trial_epoch = a->epoch;
    if (end > a->reached) {
        a->reached = end;
        a->heard_ms = now(p);
    }
    if (end >= a->until) {
        say_to_all(p, ADMISSION_ASKS);
    }
}

bool peers_admission_answer(struct peer *from, int32_t correlation, int16_t code,
                            struct bytes sentence)
{
    struct peers *p = from->all;
    if (p->admission.peer == NULL || p->admission.phase == ADMISSION_CATCHES_UP ||
        !from->admission_waits || correlation != from->admission_correlation) {
        return false;
    }
    from->admission_waits = false;
    if (code) {
        struct errmsg em;
        errmsg_set(&em, 0, "voter %d refuses it: %.*s", (int)from->id, BYTES_FMT(sentence));
        finish(p, code, em.text);
        return true;
    }
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].admission_waits) {
            return true;
        }
    }
    if (p->admission.phase == ADMISSION_ASKS) {
        say_to_all(p, ADMISSION_TELLS);
    } else {
        all_told(p);
    }
    return true;
}

/* ---- asked by an operator ---- */

/* Why it cannot begin; 0: it can. */
static int16_t check_voter(struct peers *p, const struct peer_admit *ask, struct errmsg *em)
{
    struct peer *peer = peers_find(p, ask->voter);
    char a[UUID_TEXT];
    char b[UUID_TEXT];
    if (peer == NULL) {
        errmsg_set(em, 0, "node %d is none of controller.quorum.voters", (int)ask->voter);
        return KE_VOTER_NOT_FOUND;
    }
    if (uuid_eq(peer->directory, ask->directory)) {
        return KE_NONE; /* this one was told, some may not have been */
    }
    if (uuid_is_zero(peer->directory)) {
        errmsg_set(
            em, 0,
            "voter %d has never spoken to this controller, which takes it with the directory "
            "that it comes with first",
            (int)ask->voter);
        return KE_INVALID_VOTER_KEY;
    }
    if (!uuid_eq(peer->offered, ask->directory)) {
        errmsg_set(em, 0,
                   uuid_is_zero(peer->offered)
                       ? "voter %d has not come with directory %s: start it on its new disk first"
                       : "voter %d has not come with directory %s, but with %s",
                   (int)ask->voter, uuid_text(ask->directory, a), uuid_text(peer->offered, b));
        return KE_INVALID_VOTER_KEY;
    }
    return KE_NONE;
}

static int16_t check_others(struct peers *p, const struct peer *wiped, struct errmsg *em)
{
    for (size_t i = 0; i < p->n; i++) {
        if (&p->v[i] != wiped && !p->v[i].dial.up) {
            errmsg_set(
                em, 0,
                "voter %d cannot be reached (%s:%u): every other voter must take part, as it "
                "may hold an old vote of the lost disk",
                (int)p->v[i].id, p->v[i].host, p->v[i].port);
            return KE_BROKER_NOT_AVAILABLE;
        }
    }
    return KE_NONE;
}

/* This leader has counted what the lost disk said. */
static bool has_heard_old_disk(const struct peers *p, const struct peer *peer,
                               struct uuid directory)
{
    bool new_one = peer->trial_epoch == quorum_epoch(p->quorum) && uuid_eq(peer->trial, directory);
    bool known = uuid_eq(peer->directory, directory); /* before this one led: it learns it last */
    return !new_one && !known && end_offset_of(p, peer->id) > 0;
}

/* Another voter than that one is asked to lead: the most advanced. */
static const struct peer *hand_over(struct peers *p, const struct peer *wiped)
{
    const struct peer *to = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const struct peer *at = &p->v[i];
        if (at != wiped && (to == NULL || end_offset_of(p, at->id) > end_offset_of(p, to->id))) {
            to = at;
        }
    }
    ASSERT(to);
    quorum_hand_over(p->quorum, to->id);
    return to;
}

static int16_t hand_over_from_old(struct peers *p, const struct peer *wiped, struct errmsg *em)
{
    const struct peer *to = hand_over(p, wiped);
    log_info(p->log, "controller",
             "another controller is asked to lead, to admit a voter that this one has heard with "
             "its old directory to=%d voter=%d",
             (int)to->id, (int)wiped->id);
    errmsg_set(
        em, 0,
        "controller %d has led since before voter %d lost its disk; controller %d is asked to "
        "lead in its place",
        (int)p->cfg.node_id, (int)wiped->id, (int)to->id);
    return KE_NOT_CONTROLLER;
}

/* It is this one. On the new disk it leads only if others have been told; all have, if all follow
 * it. */
static int16_t ask_of_self(struct peers *p, const struct peer_admit *q, bool *done,
                           struct errmsg *em)
{
    char id[UUID_TEXT];
    if (!uuid_eq(q->directory, p->cfg.directory_id)) {
        errmsg_set(em, 0, "voter %d is the active controller itself: it has not lost its disk",
                   (int)q->voter);
        return KE_INVALID_REQUEST;
    }
    *done = true;
    for (size_t i = 0; i < p->n; i++) {
        *done = *done && end_offset_of(p, p->v[i].id) >= 0;
    }
    if (*done) {
        errmsg_set(em, 0, "voter %d is known by directory %s", (int)q->voter,
                   uuid_text(q->directory, id));
        return KE_NONE;
    }
    const struct peer *to = hand_over(p, NULL);
    errmsg_set(em, 0,
               "voter %d is the active controller itself, and not all others follow it; "
               "controller %d is asked to lead in its place",
               (int)q->voter, (int)to->id);
    return KE_NOT_CONTROLLER;
}

static int16_t begin(struct peers *p, const struct peer_admit *ask, struct errmsg *em)
{
    struct peers_admission *a = &p->admission;
    struct peer *peer = peers_find(p, ask->voter);
    char id[UUID_TEXT];
    int16_t code = check_voter(p, ask, em);
    code = code ? code : check_others(p, peer, em);
    if (code == KE_NONE && has_heard_old_disk(p, peer, ask->directory)) {
        code = hand_over_from_old(p, peer, em);
    }
    if (code) {
        return code;
    }
    *a = (struct peers_admission){
        .peer = peer,
        .directory = ask->directory,
        .epoch = quorum_epoch(p->quorum),
        .until = quorum_high_watermark(p->quorum),
        .reached = -1,
        .heard_ms = now(p),
        .timer = {.cb = on_tick, .user = p},
    };
    for (size_t i = 0; i < p->n; i++) {
        p->v[i].admission_waits = false;
    }
    timer_set(p->shard, &a->timer, now(p) + TICK_MS);
    log_info(p->log, "controller",
             "a voter with another directory is to be admitted: it is brought up to date voter=%d "
             "directory=%s until=%lld",
             (int)peer->id, uuid_text(a->directory, id), (long long)a->until);
    if (uuid_eq(peer->directory, a->directory)) { /* it was brought up to date before */
        say_to_all(p, ADMISSION_ASKS);
    }
    return KE_NONE;
}

static int16_t under_way(struct peers *p, const struct peer_admit *ask, struct errmsg *em)
{
    const struct peers_admission *a = &p->admission;
    if (a->peer->id != ask->voter || !uuid_eq(a->directory, ask->directory)) {
        errmsg_set(em, 0, "voter %d is being admitted: one after the other", (int)a->peer->id);
        return KE_INVALID_REQUEST;
    }
    if (a->phase != ADMISSION_CATCHES_UP) {
        errmsg_set(em, 0, "voter %d is up to date: the other voters are told", (int)ask->voter);
    } else {
        int64_t end = end_offset_of(p, ask->voter);
        errmsg_set(em, 0, "voter %d has the metadata log up to offset %lld of %lld",
                   (int)ask->voter, (long long)(end < 0 ? 0 : end), (long long)a->until);
    }
    return KE_NONE;
}

/* The reason is told once: who asks once more wants it tried again. */
static int16_t tell_failure(struct peers *p, struct errmsg *em)
{
    errmsg_set(em, 0, "%s", p->admission.why);
    p->admission.last = NULL;
    return p->admission.code;
}

static int16_t ask(struct peers *p, const struct peer_admit *q, bool *done, struct errmsg *em)
{
    const struct peers_admission *a = &p->admission;
    struct peer *peer = peers_find(p, q->voter);
    char id[UUID_TEXT];
    if (!bytes_is_null(q->cluster_id) && !bytes_eq_str(q->cluster_id, p->cfg.cluster_id)) {
        errmsg_set(em, 0, "this controller belongs to cluster %s", p->cfg.cluster_id);
        return KE_INCONSISTENT_CLUSTER_ID;
    }
    if (a->peer && !still_leads(p)) {
        lost_lead(p);
    }
    if (!leads(p)) {
        errmsg_set(em, 0, "controller %d is not the active one", (int)p->cfg.node_id);
        return KE_NOT_CONTROLLER;
    }
    if (a->peer) {
        return under_way(p, q, em);
    }
    if (q->voter == p->cfg.node_id) {
        return ask_of_self(p, q, done, em);
    }
    if (peer && uuid_eq(peer->directory, q->directory) &&
        peer->told_epoch == quorum_epoch(p->quorum)) {
        *done = true;
        errmsg_set(em, 0, "voter %d is known by directory %s", (int)q->voter,
                   uuid_text(q->directory, id));
        return KE_NONE;
    }
    if (a->last && a->code && a->last == peer && uuid_eq(a->directory, q->directory)) {
        return tell_failure(p, em);
    }
    int16_t code = begin(p, q, em);
    return code ? code : under_way(p, q, em);
}

void peers_admission_ask(struct peers *p, struct bytes body, int32_t correlation,
                         struct buf *response)
{
    struct arena a = {.limit = 1 << 20};
    struct peer_admit q;
    struct peer_admit_answer answer = {.leader = -1};
    struct errmsg em = {{0}};
    answer.code = KE_INVALID_REQUEST;
    if (peer_take_admit(body, &a, &q, &em) == 0) {
        answer.code = ask(p, &q, &answer.done, &em);
    }
    answer.sentence = em.text;
    answer.leader = p->quorum ? quorum_leader_id(p->quorum) : -1;
    for (size_t i = 0; i < p->cfg.voters_n; i++) {
        if (p->cfg.voters[i].id == answer.leader) {
            answer.host = p->cfg.voters[i].host;
            answer.port = p->cfg.voters[i].port;
        }
    }
    if (answer.code) {
        log_limited(p->log, &p->asked, LOG_WARN, "controller",
                    "an admission of a voter is refused: %s error=%s", em.text,
                    kafka_error_name(answer.code));
    }
    peer_put_admit_answer(response, correlation, &answer);
    arena_free(&a);
}

/* ---- told by the leader ---- */

static int16_t take_admitted(struct peers *p, int32_t from, const struct peer_admitted *w,
                             struct errmsg *em)
{
    struct peer *peer = peers_find(p, w->voter);
    char was[UUID_TEXT];
    char is[UUID_TEXT];
    if (peer == NULL || peer->id == from) {
        errmsg_set(em, 0, "voter %d is not one that voter %d could admit here", (int)w->voter,
                   (int)from);
        return KE_INVALID_REQUEST;
    }
    if (p->quorum == NULL || quorum_epoch(p->quorum) != w->epoch ||
        quorum_leader_id(p->quorum) != from) {
        errmsg_set(em, 0, "voter %d does not follow voter %d in epoch %d", (int)p->cfg.node_id,
                   (int)from, (int)w->epoch);
        return KE_NOT_LEADER_OR_FOLLOWER;
    }
    uuid_text(peer->directory, was);
    if (uuid_is_zero(w->directory) || uuid_eq(peer->directory, w->directory)) {
        return KE_NONE;
    }
    if (peers_learn_directory(p, peer, w->directory, em)) {
        return KE_KAFKA_STORAGE_ERROR;
    }
    log_info(p->log, "controller",
             "a voter is admitted with another directory voter=%d directory=%s was=%s by=%d",
             (int)peer->id, uuid_text(w->directory, is), was, (int)from);
    /* The new disk may never have heard of this voter, whose last greeting went to the old one,
     * however lately: on a connection that only sending shows to be gone. */
    peers_greet(peer);
    return KE_NONE;
}

int16_t peers_admission_told(struct peers *p, struct bytes body, struct errmsg *em)
{
    struct arena a = {.limit = 1 << 20};
    struct peer_names names;
    struct peer_admitted w;
    int16_t code = KE_INVALID_REQUEST;
    if (peer_take_admitted(body, &a, &names, &w, em) == 0) {
        code = peers_admit(p, &names, false, em);
        code = code ? code : take_admitted(p, names.from, &w, em);
    }
    arena_free(&a);
    return code;
}
