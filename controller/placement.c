#include "controller/placement.h"

#include <stdlib.h>

struct rack {
    struct bytes name;
    int32_t *active; /* broker ids */
    int32_t *fenced;
    uint32_t active_n;
    uint32_t fenced_n;
    uint32_t active_start; /* where the next partition begins */
    uint32_t fenced_start;
    uint32_t taken; /* by the present partition: first of active, then of fenced */
};

struct placement {
    struct prng *rng;
    struct rack *racks; /* sorted by name; brokers without one are one rack */
    uint32_t racks_n;
    uint32_t start; /* rack of the next leader */
    uint32_t brokers_n;
    uint32_t active_n;
    uint32_t placed; /* partitions since the last shuffle */
};

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct rack *)a)->name, ((const struct rack *)b)->name);
}

static struct rack *rack_of(struct placement *p, struct arena *a, struct bytes name, uint32_t max)
{
    for (uint32_t i = 0; i < p->racks_n; i++) {
        if (p->racks[i].name.len == name.len && bytes_cmp(p->racks[i].name, name) == 0) {
            return &p->racks[i];
        }
    }
    struct rack *r = &p->racks[p->racks_n++];
    r->name = name;
    r->active = ARENA_ARRAY(a, int32_t, max);
    r->fenced = ARENA_ARRAY(a, int32_t, max);
    return r;
}

static uint32_t random_below(struct placement *p, uint32_t n)
{
    return n > 1 ? (uint32_t)prng_below(p->rng, n) : 0;
}

/* Other beginnings, so that a long run does not repeat the same sets. */
static void shuffle(struct placement *p)
{
    p->placed = 0;
    p->start = random_below(p, p->racks_n);
    for (uint32_t i = 0; i < p->racks_n; i++) {
        struct rack *r = &p->racks[i];
        for (uint32_t k = r->active_n; k > 1; k--) {
            uint32_t other = random_below(p, k);
            int32_t id = r->active[k - 1];
            r->active[k - 1] = r->active[other];
            r->active[other] = id;
        }
        r->active_start = random_below(p, r->active_n);
        r->fenced_start = random_below(p, r->fenced_n);
    }
}

/* Cordoned directories take no new replicas. */
static bool has_room(const struct image_broker *b)
{
    uint32_t cordoned = 0;
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        for (uint32_t k = 0; k < b->cordoned_n; k++) {
            if (uuid_eq(b->log_dirs[i], b->cordoned[k])) {
                cordoned++;
                break;
            }
        }
    }
    return b->log_dirs_n == 0 || cordoned < b->log_dirs_n;
}

struct placement *placement_over(struct arena *a, const struct placement_broker *v, size_t n,
                                 struct prng *rng)
{
    struct placement *p = ARENA_NEW(a, struct placement);
    p->rng = rng;
    p->racks = ARENA_ARRAY(a, struct rack, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct rack *r = rack_of(p, a, v[i].rack, (uint32_t)n);
        p->brokers_n++;
        if (v[i].active) {
            r->active[r->active_n++] = v[i].id;
            p->active_n++;
        } else {
            r->fenced[r->fenced_n++] = v[i].id;
        }
    }
    if (p->racks_n) {
        qsort(p->racks, p->racks_n, sizeof *p->racks, by_name);
    }
    p->start = random_below(p, p->racks_n);
    for (uint32_t i = 0; i < p->racks_n; i++) {
        p->racks[i].active_start = random_below(p, p->racks[i].active_n);
        p->racks[i].fenced_start = random_below(p, p->racks[i].fenced_n);
    }
    return p;
}

struct placement *placement_new(struct arena *a, const struct image *img, struct prng *rng,
                                placement_active *active, const void *ctx)
{
    struct placement_broker *v = ARENA_ARRAY(a, struct placement_broker, img->brokers_n + 1);
    size_t n = 0;
    for (uint32_t i = 0; i < (uint32_t)img->brokers_n; i++) {
        const struct image_broker *b = img->brokers[i];
        if (!b->in_controlled_shutdown && has_room(b)) {
            v[n++] = (struct placement_broker){
                .id = b->id,
                .rack = b->rack,
                .active = !b->fenced && (!active || active(ctx, b->id)),
            };
        }
    }
    return placement_over(a, v, n, rng);
}

int placement_check(const struct placement *p, int32_t replicas, struct errmsg *em)
{
    if (p->active_n == 0) {
        return errmsg_set(em, ERR_RANGE,
                          "no broker is unfenced and has a directory that is not cordoned: there "
                          "is none to place a leader on");
    }
    if (replicas > (int32_t)p->brokers_n) {
        return errmsg_set(em, ERR_RANGE,
                          "a replication factor of %d is more than the %u registered brokers",
                          replicas, p->brokers_n);
    }
    return 0;
}

/* The rack's next broker for the present partition; -1 when it has no more. */
static int32_t take(struct rack *r, bool active_only)
{
    if (r->taken < r->active_n) {
        return r->active[(r->active_start + r->taken++) % r->active_n];
    }
    if (!active_only && r->taken < r->active_n + r->fenced_n) {
        return r->fenced[(r->fenced_start + (r->taken++ - r->active_n)) % r->fenced_n];
    }
    return -1;
}

void placement_next(struct placement *p, int32_t replicas, int32_t *out)
{
    ASSERT(replicas > 0 && p->active_n > 0 && replicas <= (int32_t)p->brokers_n);
    if (p->active_n > 1 && p->placed == p->active_n) {
        shuffle(p);
    }
    uint32_t rack = p->start;
    int32_t n = 0;
    for (uint32_t i = 0; i < p->racks_n; i++) {
        p->racks[i].taken = 0;
    }
    while ((out[0] = take(&p->racks[rack], true)) < 0) {
        rack = (rack + 1) % p->racks_n;
    }
    uint32_t leader_rack = rack;
    n = 1;
    bool first_round = true;
    while (n < replicas) {
        rack = (rack + 1) % p->racks_n;
        if (rack == leader_rack && first_round && p->racks_n > 1) {
            first_round = false;
            continue;
        }
        int32_t id = take(&p->racks[rack], false);
        if (id >= 0) {
            out[n++] = id;
        }
    }
    p->start = (p->start + 1) % p->racks_n;
    for (uint32_t i = 0; i < p->racks_n; i++) {
        p->racks[i].active_start++;
        p->racks[i].fenced_start++;
    }
    p->placed++;
}
