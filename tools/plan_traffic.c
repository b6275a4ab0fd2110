/* Evens out what is written to brokers, once bytes, replicas and leaders are even: two loads a
 * broker, in bytes a second,
 *
 *     led      what clients write to it, as the leader: as near to its share as is allowed, since
 *              what clients read is likely to come from there too
 *     written  that, and what it copies as a follower: not much more than its share
 *
 * Shares are the same for all brokers, whatever their disks. One step after the other is taken, the
 * cheapest that helps: another leader; two other leaders, which give one broker's partition to a
 * second and one of the second's to a third, or back; another place for a replica; two replicas
 * change places. Of the steps of a kind that one which leaves least out of what is allowed, then
 * the nearest to the shares, then the one with fewest bytes to copy. No step may bring bytes,
 * replicas or leaders further out of what is allowed for them.
 *
 * It ends: each step leaves less out, by an amount that is worth it. Where a single partition is
 * written more than a broker's share nothing can even it out; it stays, and what is beside it may
 * go.
 *
 * Cost: steps are tried, not calculated. Of partitions with much and with little traffic SOME of
 * each are tried for each broker: if there are many, the traffic of each is small against what is
 * allowed, and any few of them will do. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tools/plan_even.h"

enum { SOME = 32, STEP_MAX = 2 };
enum { TRAFFIC_FLOOR = 256 << 10 }; /* a second: a difference that nobody would move anything for */

/* What is allowed, as a multiple of what is for bytes and numbers: a sample is no mean of a day. */
#define TIMES_TOLERANCE 2
/* A step must bring traffic nearer to the shares by this part of one, copies being dear; where
 * there are so many partitions that none is much of a share, by half of what one has. */
enum { PART_COPIES = 20, PART_LEADERS = 1000 };
#define ONE_BYTE 1.0
#define NEARLY_0 1e-6

/* How far brokers are out of what is allowed, and traffic off the shares. */
struct measure {
    double bytes, replicas, leaders;
    double traffic, off;
};

/* A replica goes from one broker to the other, or with it the place of the leader alone. */
struct change {
    struct plan_part *part;
    int32_t from, to; /* places in the plan */
};

struct step {
    struct change changes[STEP_MAX];
    int32_t n; /* 0: none */
    bool copies;
    double traffic, off; /* how they change: below 0 */
    int64_t bytes;       /* to be copied */
};

struct some {
    struct plan_part *v[2 * SOME];
    int32_t n;
};

struct search {
    struct balance *b;
    bool copies;         /* replicas are moved, not leaders alone */
    bool two;            /* two at once */
    struct measure *now; /* of each broker */
    struct some *of;     /* of each broker: what it leads, or has */
    struct step best;
    struct plan_part **all; /* space for a list */
    int32_t *order;         /* brokers, those first whose traffic is furthest out */
};

/* ---- how it is ---- */

static double above(double v, double least)
{
    return v > least ? v - least : 0;
}

static double allowed(double tolerance, double share)
{
    double part = share * tolerance * TIMES_TOLERANCE;
    return part < TRAFFIC_FLOOR ? TRAFFIC_FLOOR : part;
}

static double traffic_out_at(const struct balance *b, int32_t at)
{
    const struct plan_broker *k = &b->p->brokers[at];
    return above((double)k->written - b->written, allowed(b->tolerance, b->written)) +
           above(apart((double)k->led, b->led), allowed(b->tolerance, b->led));
}

double traffic_out(const struct balance *b)
{
    double sum = 0;
    for (int32_t i = 0; i < b->order_n; i++) {
        sum += traffic_out_at(b, b->order[i]);
    }
    return sum;
}

static struct measure measure(const struct balance *b, int32_t at)
{
    const struct plan_broker *k = &b->p->brokers[at];
    return (struct measure){.bytes = balance_bytes_out(b, at, 0),
                            .replicas = balance_replicas_out(b, at),
                            .leaders = balance_leaders_out(b, at),
                            .traffic = traffic_out_at(b, at),
                            .off = above((double)k->written, b->written) +
                                   apart((double)k->led, b->led)};
}

static void add(struct measure *sum, struct measure m)
{
    sum->bytes += m.bytes;
    sum->replicas += m.replicas;
    sum->leaders += m.leaders;
    sum->traffic += m.traffic;
    sum->off += m.off;
}

/* ---- one step ---- */

static void carry_out(struct plan *p, const struct step *st)
{
    for (int32_t i = 0; i < st->n; i++) {
        const struct change *c = &st->changes[i];
        int32_t from = p->brokers[c->from].id, to = p->brokers[c->to].id;
        if (st->copies) {
            plan_replace(p, c->part, from, to);
        } else {
            plan_lead(p, c->part, to);
        }
    }
}

static void undo(struct plan *p, const struct step *st)
{
    struct step back = *st;
    for (int32_t i = 0; i < st->n; i++) {
        back.changes[i].from = st->changes[i].to;
        back.changes[i].to = st->changes[i].from;
    }
    carry_out(p, &back);
}

/* The brokers that a step changes, each once. */
static int32_t brokers_of(const struct step *st, int32_t *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < 2 * st->n; i++) {
        int32_t at = i % 2 ? st->changes[i / 2].to : st->changes[i / 2].from;
        bool again = false;
        for (int32_t k = 0; k < n; k++) {
            again |= out[k] == at;
        }
        if (!again) {
            out[n++] = at;
        }
    }
    return n;
}

/* By how much a step must bring traffic nearer to the shares. */
static double worth(const struct search *s)
{
    const struct balance *b = s->b;
    double least = s->copies ? PART_COPIES : PART_LEADERS;
    double halves = 2 * (s->copies ? b->replicas : b->leaders);
    return (s->copies ? b->written : b->led) / (halves > least ? halves : least);
}

static bool is_good(const struct search *s, const struct measure *was, const struct measure *is)
{
    return is->bytes <= was->bytes + ONE_BYTE && is->replicas <= was->replicas + NEARLY_0 &&
           is->leaders <= was->leaders + NEARLY_0 && is->traffic <= was->traffic - ONE_BYTE &&
           is->off <= was->off - worth(s);
}

static bool is_better(const struct step *st, const struct step *than)
{
    if (than->n == 0 || apart(st->traffic, than->traffic) >= ONE_BYTE) {
        return than->n == 0 || st->traffic < than->traffic;
    }
    return apart(st->off, than->off) >= ONE_BYTE ? st->off < than->off : st->bytes < than->bytes;
}

static void try_step(struct search *s, struct step st)
{
    int32_t brokers[2 * STEP_MAX], n = brokers_of(&st, brokers);
    struct measure was = {0}, is = {0};
    for (int32_t i = 0; i < n; i++) {
        add(&was, s->now[brokers[i]]);
    }
    if (was.traffic < ONE_BYTE) {
        return;
    }
    carry_out(s->b->p, &st);
    for (int32_t i = 0; i < n; i++) {
        add(&is, measure(s->b, brokers[i]));
    }
    undo(s->b->p, &st);
    st.traffic = is.traffic - was.traffic;
    st.off = is.off - was.off;
    if (is_good(s, &was, &is) && is_better(&st, &s->best)) {
        s->best = st;
    }
}

/* ---- leaders ---- */

/* The broker that could lead instead of the first, by its place in the list; -1: it may not. */
static int32_t other_leader(const struct plan *p, const struct plan_part *part, int32_t place)
{
    int32_t at = plan_at(p, part->to.v[place]);
    return at >= 0 && p->brokers[at].receives ? at : -1;
}

/* With the first change, each second: one of those that the broker leads that gets one. */
static void try_second_leaders(struct search *s, struct step st)
{
    int32_t from = st.changes[0].to;
    st.n = 2;
    for (int32_t i = 0; i < s->of[from].n; i++) {
        struct plan_part *part = s->of[from].v[i];
        for (int32_t k = 1; k < part->to.n; k++) {
            int32_t to = other_leader(s->b->p, part, k);
            if (to >= 0) {
                st.changes[1] = (struct change){part, from, to};
                try_step(s, st);
            }
        }
    }
}

static void try_leaders(struct search *s, int32_t from)
{
    for (int32_t i = 0; i < s->of[from].n; i++) {
        struct plan_part *part = s->of[from].v[i];
        for (int32_t k = 1; k < part->to.n; k++) {
            int32_t to = other_leader(s->b->p, part, k);
            struct step st = {.changes = {{part, from, to}}, .n = 1};
            if (to >= 0 && s->two) {
                try_second_leaders(s, st);
            } else if (to >= 0) {
                try_step(s, st);
            }
        }
    }
}

/* ---- replicas ---- */

static void try_exchanges(struct search *s, struct step st)
{
    int32_t from = st.changes[0].from, to = st.changes[0].to;
    int64_t bytes = st.bytes;
    st.n = 2;
    for (int32_t i = 0; i < s->of[to].n; i++) {
        struct plan_part *part = s->of[to].v[i];
        if (part->written < st.changes[0].part->written && balance_may_move(s->b, part, to, from)) {
            st.changes[1] = (struct change){part, to, from};
            st.bytes = bytes + part->size;
            try_step(s, st);
        }
    }
}

static void try_replicas_to(struct search *s, int32_t from, int32_t to)
{
    for (int32_t i = 0; i < s->of[from].n; i++) {
        struct plan_part *part = s->of[from].v[i];
        struct step st = {
            .changes = {{part, from, to}}, .n = 1, .copies = true, .bytes = part->size};
        if (part->written == 0 || !balance_may_move(s->b, part, from, to)) {
            continue;
        }
        if (s->two) {
            try_exchanges(s, st);
        } else {
            try_step(s, st);
        }
    }
}

static void try_replicas(struct search *s, int32_t from)
{
    for (int32_t i = 0; i < s->b->order_n; i++) {
        int32_t to = s->order[i];
        if (to != from && s->now[from].traffic + s->now[to].traffic >= ONE_BYTE) {
            try_replicas_to(s, from, to);
        }
    }
}

/* ---- the search ---- */

/* Most traffic first; parts are in one array. */
static int by_traffic(const void *x, const void *y)
{
    const struct plan_part *a = *(struct plan_part *const *)x, *b = *(struct plan_part *const *)y;
    return a->written == b->written ? (a > b) - (a < b) : a->written < b->written ? 1 : -1;
}

static void collect(struct search *s, int32_t at)
{
    const struct plan *p = s->b->p;
    struct some *of = &s->of[at];
    int32_t n = 0, id = p->brokers[at].id;
    for (int32_t i = 0; i < p->parts_n; i++) {
        struct plan_part *part = &p->parts[i];
        if (!part->fixed && part->to.n &&
            (s->copies ? view_ids_has(part->to, id) : part->to.v[0] == id)) {
            s->all[n++] = part;
        }
    }
    qsort(s->all, (size_t)n, sizeof(struct plan_part *), by_traffic);
    of->n = n < 2 * SOME ? n : 2 * SOME;
    for (int32_t i = 0; i < of->n; i++) {
        of->v[i] = s->all[i < of->n / 2 ? i : n - of->n + i];
    }
}

/* Furthest out first; there are few brokers. */
static void sort_brokers(struct search *s)
{
    memcpy(s->order, s->b->order, (size_t)s->b->order_n * sizeof *s->order);
    for (int32_t i = 1; i < s->b->order_n; i++) {
        int32_t at = s->order[i], k = i;
        for (; k > 0 && s->now[s->order[k - 1]].traffic < s->now[at].traffic; k--) {
            s->order[k] = s->order[k - 1];
        }
        s->order[k] = at;
    }
}

/* The best step of a kind from the first broker that has one. */
static bool find(struct search *s)
{
    s->best.n = 0;
    for (int32_t i = 0; i < s->b->order_n; i++) {
        collect(s, s->b->order[i]);
    }
    for (int32_t i = 0; i < s->b->order_n && s->best.n == 0; i++) {
        if (s->copies) {
            try_replicas(s, s->order[i]);
        } else {
            try_leaders(s, s->order[i]);
        }
    }
    return s->best.n > 0;
}

/* One step, of the cheapest kind that there is. */
static bool step(struct search *s)
{
    struct balance *b = s->b;
    for (int32_t i = 0; i < b->order_n; i++) {
        s->now[b->order[i]] = measure(b, b->order[i]);
    }
    sort_brokers(s);
    for (int kind = 0; kind < 4 && traffic_out(b) >= ONE_BYTE; kind++) {
        s->copies = kind >= 2;
        s->two = kind % 2 == 1;
        if (find(s)) {
            carry_out(b->p, &s->best);
            return true;
        }
    }
    return false;
}

bool traffic_even_out(struct balance *b)
{
    struct arena *a = b->p->arena;
    if (traffic_out(b) < ONE_BYTE) {
        return false;
    }
    struct search s = {.b = b,
                       .now = ARENA_ARRAY(a, struct measure, b->p->brokers_n + 1),
                       .of = ARENA_ARRAY(a, struct some, b->p->brokers_n + 1),
                       .all = ARENA_ARRAY(a, struct plan_part *, b->p->parts_n + 1),
                       .order = ARENA_ARRAY(a, int32_t, b->order_n + 1)};
    bool any = false;
    while (step(&s)) {
        any = true;
    }
    return any;
}

const struct plan_part *plan_indivisible(const struct plan *p, int32_t tolerance_percent,
                                         int64_t *share)
{
    const struct plan_part *most = NULL;
    int64_t led = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        led += p->brokers[i].receives ? p->brokers[i].led : 0;
        n += p->brokers[i].receives;
    }
    *share = n ? led / n : 0;
    for (int32_t i = 0; i < p->parts_n; i++) {
        most = most == NULL || p->parts[i].written > most->written ? &p->parts[i] : most;
    }
    double limit = (double)*share + allowed(tolerance_percent / 100.0, (double)*share);
    return most && n > 1 && (double)most->written > limit ? most : NULL;
}
