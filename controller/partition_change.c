#include "controller/partition_change.h"

#include "proto_features.h"

enum { NO_LEADER = -1, RECOVERED = 0, RECOVERING = 1, LOST_DIRECTORY = 2 };

/* ---- sets ---- */

bool id_in(const int32_t *v, uint32_t n, int32_t id)
{
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] == id) {
            return true;
        }
    }
    return false;
}

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

static bool directory_online(const struct image_broker *b, struct uuid dir)
{
    static const uint8_t reserved_below = 100; /* ids that name no directory, but a state */
    struct uuid low = uuid_reserved(dir.b[15]);
    if (uuid_eq(dir, low) && dir.b[15] < reserved_below) {
        return dir.b[15] != LOST_DIRECTORY;
    }
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        if (uuid_eq(b->log_dirs[i], dir)) {
            return true;
        }
    }
    return b->log_dirs_n == 0; /* from before directories were reported */
}

/* Alive, and the replica's directory there works. */
static bool acceptable(const struct partition_change *c, int32_t id)
{
    const struct image_broker *b = image_broker(c->d->img, id);
    if (b == NULL || !decide_is_active(c->d, id)) {
        return false;
    }
    for (uint32_t i = 0; i < c->p->replicas_n; i++) {
        if (c->p->replicas[i] == id) {
            return directory_online(b, c->directories ? c->directories[i] : c->p->directories[i]);
        }
    }
    return false;
}

struct election {
    int32_t leader;
    bool unclean;
};

static bool valid(const struct partition_change *c, struct id_set elr, int32_t id)
{
    return (id_in(c->isr.v, c->isr.n, id) || id_in(elr.v, elr.n, id)) && acceptable(c, id);
}

static struct election elect(const struct partition_change *c, struct id_set elr, bool elr_on)
{
    const struct image_partition *p = c->p;
    if (c->prefer && p->replicas_n && valid(c, elr, p->replicas[0])) {
        return (struct election){p->replicas[0], false};
    }
    if (p->leader != NO_LEADER && valid(c, elr, p->leader)) {
        return (struct election){p->leader, false};
    }
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        if (valid(c, elr, p->replicas[i])) {
            return (struct election){p->replicas[i], false};
        }
    }
    if (elr_on && elr.n == 0 && c->isr.n == 0 && p->last_known_elr_n == 1 &&
        acceptable(c, p->last_known_elr[0])) {
        return (struct election){p->last_known_elr[0], true};
    }
    for (uint32_t i = 0; i < p->replicas_n && decide_unclean_election(c->d, c->topic->name); i++) {
        if (acceptable(c, p->replicas[i])) {
            return (struct election){p->replicas[i], true};
        }
    }
    return (struct election){NO_LEADER, false};
}

/* ---- ELR ---- */

/* What was in ISR or ELR and is not in the new ISR stays eligible, while the ISR is below its
 * least size. */
static struct id_set next_elr(const struct partition_change *c)
{
    const struct image_partition *p = c->p;
    struct id_set elr = {ARENA_ARRAY(c->d->arena, int32_t, p->elr_n + p->isr_n + 1), 0};
    uint32_t least = (uint32_t)decide_min_isr(c->d, c->topic->name);
    least = least < p->replicas_n ? least : p->replicas_n;
    if (c->isr.n >= least) {
        return elr;
    }
    for (uint32_t i = 0; i < p->elr_n + p->isr_n; i++) {
        int32_t id = i < p->elr_n ? p->elr[i] : p->isr[i - p->elr_n];
        if (!id_in(c->isr.v, c->isr.n, id) && !id_in(elr.v, elr.n, id) && id != c->unclean) {
            elr.v[elr.n++] = id;
        }
    }
    return elr;
}

/* The last leader is remembered when there is none any more, and forgotten when there is one. */
static void note_last_leader(const struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    if (r->isr_n == 0 && (p->last_known_elr_n != 1 || p->last_known_elr[0] != p->leader) &&
        p->leader != NO_LEADER) {
        struct id_set last = just(c->d->arena, p->leader);
        r->last_known_elr = last.v;
        r->last_known_elr_n = 1;
    } else if ((r->leader >= 0 || (p->leader != NO_LEADER && r->leader != NO_LEADER)) &&
               p->last_known_elr_n > 0) {
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
}

static void choose_leader(struct partition_change *c, struct partition_change_record *r,
                          struct id_set *elr, bool elr_on)
{
    const struct image_partition *p = c->p;
    struct election e = elect(c, *elr, elr_on);
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

bool partition_change_build(struct partition_change *c, struct partition_change_record *r)
{
    const struct image_partition *p = c->p;
    const struct proto_metadata_version *mv = decide_version(c->d);
    enum { UNTOUCHED = -2 };
    bool elr_on = decide_elr_enabled(c->d);
    bool shrinks = false;
    proto_msg_init(&partition_change_record_msg, r);
    r->topic_id = c->topic->id;
    r->partition_id = p->index;
    struct id_set elr = elr_on ? next_elr(c) : (struct id_set){NULL, 0};
    choose_leader(c, r, &elr, elr_on);
    for (uint32_t i = 0; i < p->isr_n; i++) {
        shrinks = shrinks || !id_in(c->isr.v, c->isr.n, p->isr[i]);
    }
    if ((c->isr.n > 0 || elr_on) && !same(c->isr, p->isr, p->isr_n)) {
        r->isr = c->isr.v;
        r->isr_n = (int32_t)c->isr.n;
        if (shrinks && r->leader == UNTOUCHED && p->leader != NO_LEADER &&
            (mv->flags & MV_LEADER_EPOCH_BUMP_REQUIRED_ON_ISR_SHRINK)) {
            r->leader = p->leader; /* old followers must see a new epoch */
        }
    }
    if (elr_on && !same(elr, p->elr, p->elr_n)) {
        r->eligible_leader_replicas = elr.v;
        r->eligible_leader_replicas_n = (int32_t)elr.n;
    }
    if (elr_on) {
        note_last_leader(c, r);
    }
    if (c->recovery >= 0 && c->recovery != p->leader_recovery_state) {
        r->leader_recovery_state = c->recovery;
    }
    if (c->directories &&
        memcmp(c->directories, p->directories, p->replicas_n * sizeof *p->directories) != 0) {
        r->directories = (struct uuid *)(uintptr_t)c->directories;
        r->directories_n = (int32_t)p->replicas_n;
    }
    return r->leader != UNTOUCHED || r->isr_n >= 0 || r->eligible_leader_replicas_n >= 0 ||
           r->last_known_elr_n >= 0 || r->leader_recovery_state >= 0 || r->directories_n >= 0;
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
