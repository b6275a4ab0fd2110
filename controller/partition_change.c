#include "controller/partition_change.h"

#include "controller/leaderless.h"
#include "proto_features.h"

enum { UNTOUCHED = -2, NO_LEADER = -1, RECOVERING = 1 };

/* ---- sets ---- */

struct id_set id_without(struct arena *a, const int32_t *v, uint32_t n, int32_t id)
{
    struct id_set s = {ARENA_ARRAY(a, int32_t, n + 1), 0};
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] != id) {
            s.v[s.n++] = v[i];
        }
    }
    return s;
}

struct id_set id_minus(struct arena *a, struct id_set v, const int32_t *w, uint32_t n)
{
    struct id_set s = {ARENA_ARRAY(a, int32_t, v.n + 1), 0};
    for (uint32_t i = 0; i < v.n; i++) {
        if (!id_in(w, n, v.v[i])) {
            s.v[s.n++] = v.v[i];
        }
    }
    return s;
}

static bool holds_all(struct id_set a, struct id_set of)
{
    for (uint32_t i = 0; i < of.n; i++) {
        if (!id_in(a.v, a.n, of.v[i])) {
            return false;
        }
    }
    return true;
}

static bool same(struct id_set a, const int32_t *v, uint32_t n)
{
    return a.n == n && (n == 0 || memcmp(a.v, v, n * sizeof *v) == 0);
}

static struct id_set just(struct arena *a, int32_t id)
{
    struct id_set s = {ARENA_ARRAY(a, int32_t, 1), 1};
    s.v[0] = id;
    return s;
}

/* ---- who may lead ---- */

/* Where a replica lies; that of a new one is the broker's only one, or not known yet. */
static struct uuid directory_of(const struct partition_change *c, int32_t id)
{
    for (uint32_t i = 0; i < c->p->replicas_n; i++) {
        if (c->p->replicas[i] == id) {
            return c->directories ? c->directories[i] : c->p->directories[i];
        }
    }
    return decide_default_directory(c->d, id);
}

bool partition_change_acceptable(const struct partition_change *c, int32_t id)
{
    const struct image_broker *b = image_broker(c->d->img, id);
    return b && decide_is_active(c->d, id) && replica_directory_works(b, directory_of(c, id));
}

struct choice {
    int32_t leader;
    bool unclean;
};

/* The ELR is asked only when the ISR is empty. */
static bool valid(const struct partition_change *c, struct id_set elr, int32_t id)
{
    bool in = id_in(c->isr.v, c->isr.n, id) || (c->isr.n == 0 && id_in(elr.v, elr.n, id));
    return in && partition_change_acceptable(c, id);
}

static bool has_room(const struct partition_change *c, int32_t id)
{
    return decide_has_room(c->d, id, directory_of(c, id));
}

/* The first in assignment order that may lead, or (unclean) lives; one on a full disk only if there
 * is no other. */
static int32_t first_of(const struct partition_change *c, struct id_set elr, bool unclean)
{
    int32_t full = NO_LEADER;
    for (uint32_t i = 0; i < c->replicas.n; i++) {
        int32_t id = c->replicas.v[i];
        if (!(unclean ? partition_change_acceptable(c, id) : valid(c, elr, id))) {
            continue;
        }
        if (has_room(c, id)) {
            return id;
        }
        full = full == NO_LEADER ? id : full;
    }
    return full;
}

static struct choice elect(const struct partition_change *c, struct id_set elr, bool elr_on)
{
    const struct image_partition *p = c->p;
    const struct id_set *replicas = &c->replicas;
    if (c->election == ELECT_PREFERRED && replicas->n && valid(c, elr, replicas->v[0]) &&
        has_room(c, replicas->v[0])) {
        return (struct choice){replicas->v[0], false};
    }
    bool stays = p->leader != NO_LEADER && valid(c, elr, p->leader);
    if (stays && (c->election != ELECT_ROOM || has_room(c, p->leader))) {
        return (struct choice){p->leader, false};
    }
    int32_t first = first_of(c, elr, false);
    if (first != NO_LEADER) {
        return (struct choice){stays && !has_room(c, first) ? p->leader : first, false};
    }
    if (elr_on && elr.n == 0 && c->isr.n == 0 && p->last_known_elr_n == 1 &&
        id_in(replicas->v, replicas->n, p->last_known_elr[0]) &&
        partition_change_acceptable(c, p->last_known_elr[0])) {
        return (struct choice){p->last_known_elr[0], true};
    }
    first = c->election == ELECT_UNCLEAN ? first_of(c, elr, true) : NO_LEADER;
    return (struct choice){first, first != NO_LEADER};
}

/* ---- reassignment ---- */

uint32_t partition_change_least(const struct partition_change *c, uint32_t replicas_n)
{
    uint32_t least = (uint32_t)decide_min_isr(c->d, c->topic);
    return least < replicas_n ? least : replicas_n;
}

uint32_t partition_change_least_isr(const struct partition_change *c)
{
    return partition_change_least(c, c->p->replicas_n);
}

static void complete_reassignment(struct partition_change *c)
{
    struct arena *a = c->d->arena;
    if (c->adding.n == 0 && c->removing.n == 0) {
        return;
    }
    struct id_set isr = id_minus(a, c->isr, c->removing.v, c->removing.n);
    struct id_set left = id_minus(a, c->replicas, c->removing.v, c->removing.n);
    uint32_t least = partition_change_least(c, left.n);
    if (isr.n == 0 || left.n == 0 || !holds_all(isr, c->adding) ||
        (c->adding.n < c->removing.n && !holds_all(isr, left)) ||
        (isr.n < c->isr.n && isr.n < least)) {
        return;
    }
    c->isr = isr;
    c->replicas = left;
    c->adding.n = c->removing.n = 0;
}

/* ---- ELR ---- */

/* What was in ISR or ELR and is not in the new ISR stays eligible, while the ISR is below its
 * least size. */
static struct id_set next_elr(const struct partition_change *c)
{
    const struct image_partition *p = c->p;
    struct id_set elr = {ARENA_ARRAY(c->d->arena, int32_t, p->elr_n + p->isr_n + 1), 0};
    if (c->isr.n >= partition_change_least_isr(c)) {
        return elr;
    }
    for (uint32_t i = 0; i < p->elr_n + p->isr_n; i++) {
        int32_t id = i < p->elr_n ? p->elr[i] : p->isr[i - p->elr_n];
        if (!id_in(c->isr.v, c->isr.n, id) && !id_in(elr.v, elr.n, id) && id != c->unclean &&
            id_in(c->replicas.v, c->replicas.n, id)) {
            elr.v[elr.n++] = id;
        }
    }
    return elr;
}

/* The last leader is remembered when there is none any more, and forgotten when there is one. One
 * that is no replica any more, as a move that added it was cancelled, is of no use. */
static void note_last_leader(const struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    if (r->leader == NO_LEADER && p->last_known_elr_n == 0 &&
        id_in(c->replicas.v, c->replicas.n, p->leader)) {
        r->last_known_elr = just(c->d->arena, p->leader).v;
        r->last_known_elr_n = 1;
    } else if (r->leader >= 0 && p->last_known_elr_n > 0) {
        r->last_known_elr = ARENA_ARRAY(c->d->arena, int32_t, 1);
        r->last_known_elr_n = 0;
    }
}

/* ---- the record ---- */

void partition_change_init(struct partition_change *c, struct decision *d,
                           const struct image_topic *t, const struct image_partition *p)
{
    *c = (struct partition_change){.d = d, .topic = t, .p = p, .unclean = -1, .recovery = -1};
    c->isr = id_without(d->arena, p->isr, p->isr_n, -1);
    c->replicas = id_without(d->arena, p->replicas, p->replicas_n, -1);
    c->adding = id_without(d->arena, p->adding, p->adding_n, -1);
    c->removing = id_without(d->arena, p->removing, p->removing_n, -1);
    c->election = decide_unclean_election(d, t) ? ELECT_UNCLEAN : ELECT_ONLINE;
}

static void choose_leader(struct partition_change *c, struct partition_change_record *r,
                          struct id_set *elr, bool elr_on)
{
    const struct image_partition *p = c->p;
    struct choice e = elect(c, *elr, elr_on);
    if (e.leader == p->leader) {
        return;
    }
    r->leader = e.leader;
    if (e.leader != NO_LEADER && id_in(elr->v, elr->n, e.leader)) {
        *elr = id_without(c->d->arena, elr->v, elr->n, e.leader);
        c->isr = just(c->d->arena, e.leader);
    } else if (e.unclean) { /* nobody else has what it has from now on */
        elr->n = 0;
        c->isr = just(c->d->arena, e.leader);
        c->recovery = RECOVERING;
    }
}

/* Old followers, or old replicas, must see a new leader epoch though the leader stays. */
static void renew_epoch(const struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    bool shrinks = false;
    for (uint32_t i = 0; i < p->isr_n && r->isr_n >= 0; i++) {
        shrinks = shrinks || !id_in(c->isr.v, c->isr.n, p->isr[i]);
    }
    shrinks =
        shrinks && p->leader != NO_LEADER &&
        (decide_version(c->d)->flags & MV_LEADER_EPOCH_BUMP_REQUIRED_ON_ISR_SHRINK); /* < 3.6 */
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        shrinks = shrinks || !id_in(c->replicas.v, c->replicas.n, p->replicas[i]);
    }
    if (shrinks && r->leader == UNTOUCHED) {
        r->leader = p->leader;
    }
}

static bool put_ids(struct id_set want, const int32_t *v, uint32_t n, int32_t **out, int32_t *out_n)
{
    if (same(want, v, n)) {
        return false;
    }
    *out = want.v;
    *out_n = (int32_t)want.n;
    return true;
}

static void put_directories(const struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    uint32_t n = c->replicas.n;
    if (!(decide_version(c->d)->flags & MV_DIRECTORY_ASSIGNMENT_SUPPORTED) ||
        (c->directories == NULL && same(c->replicas, p->replicas, p->replicas_n))) {
        return;
    }
    struct uuid *dirs = ARENA_ARRAY(c->d->arena, struct uuid, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        dirs[i] = directory_of(c, c->replicas.v[i]);
    }
    if (n != p->directories_n || memcmp(dirs, p->directories, n * sizeof *dirs) != 0) {
        r->directories = dirs;
        r->directories_n = (int32_t)n;
    }
}

static void put_assignment(const struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    put_directories(c, r);
    put_ids(c->replicas, p->replicas, p->replicas_n, &r->replicas, &r->replicas_n);
    put_ids(c->removing, p->removing, p->removing_n, &r->removing_replicas,
            &r->removing_replicas_n);
    put_ids(c->adding, p->adding, p->adding_n, &r->adding_replicas, &r->adding_replicas_n);
}

bool partition_change_build(struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    bool elr_on = decide_elr_enabled(c->d);
    proto_msg_init(&partition_change_record_msg, r);
    r->topic_id = c->topic->id;
    r->partition_id = p->index;
    complete_reassignment(c);
    struct id_set elr = elr_on ? next_elr(c) : (struct id_set){NULL, 0};
    choose_leader(c, r, &elr, elr_on);
    if (c->isr.n > 0 || elr_on) {
        put_ids(c->isr, p->isr, p->isr_n, &r->isr, &r->isr_n);
    }
    renew_epoch(c, r);
    if (elr_on) {
        put_ids(elr, p->elr, p->elr_n, &r->eligible_leader_replicas,
                &r->eligible_leader_replicas_n);
        note_last_leader(c, r);
    }
    if (c->recovery >= 0 && c->recovery != p->leader_recovery_state) {
        r->leader_recovery_state = c->recovery;
    }
    put_assignment(c, r);
    return r->leader != UNTOUCHED || r->isr_n >= 0 || r->eligible_leader_replicas_n >= 0 ||
           r->last_known_elr_n >= 0 || r->leader_recovery_state >= 0 || r->directories_n >= 0 ||
           r->replicas_n >= 0 || r->removing_replicas_n >= 0 || r->adding_replicas_n >= 0;
}

bool partition_change_add(struct partition_change *c)
{
    struct partition_change_record r;
    bool changes = partition_change_build(c, &r);
    if (changes) {
        decision_add(c->d, &partition_change_record_msg,
                     decide_version(c->d)->partition_change_record, &r);
    }
    return changes;
}
