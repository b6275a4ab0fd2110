/* How few moves a plan of balance makes: over seeds, beside the fewest that there are, which are
 * found by trying everything in clusters of three brokers and a handful of replicas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "tools/plan.h"
#include "view_rig.h"

enum { MIB = 1 << 20, SEEDS = 4000, TOLERANCE = 10, BROKERS = 3, PARTS = 6, REPLICAS = 6 };

/* Brokers count from 0 here; the first replica of a partition leads. */
struct part {
    int32_t factor, at[BROKERS];
    int64_t size;
};

struct world {
    struct part parts[PARTS];
    int32_t parts_n, replicas;
};

/* ---- what is in balance ---- */

static bool is_near(double v, double mean, double least)
{
    double off = v < mean ? mean - v : v - mean, part = mean * TOLERANCE / 100;
    return off <= (part < least ? least : part);
}

static bool is_balanced(const struct world *w)
{
    double bytes[BROKERS] = {0}, replicas[BROKERS] = {0}, leaders[BROKERS] = {0}, all = 0;
    for (int32_t i = 0; i < w->parts_n; i++) {
        const struct part *p = &w->parts[i];
        for (int32_t k = 0; k < p->factor; k++) {
            bytes[p->at[k]] += (double)p->size;
            replicas[p->at[k]]++;
            all += (double)p->size;
        }
        leaders[p->at[0]]++;
    }
    for (int32_t b = 0; b < BROKERS; b++) {
        if (!is_near(bytes[b], all / BROKERS, MIB) ||
            !is_near(replicas[b], (double)w->replicas / BROKERS, 0.99) ||
            !is_near(leaders[b], (double)w->parts_n / BROKERS, 0.99)) {
            return false;
        }
    }
    return true;
}

static int32_t copies_of(const struct part *from, const struct part *to)
{
    int32_t n = 0;
    for (int32_t k = 0; k < to->factor; k++) {
        bool was = false;
        for (int32_t i = 0; i < from->factor; i++) {
            was |= from->at[i] == to->at[k];
        }
        n += !was;
    }
    return n;
}

/* ---- the fewest ---- */

struct search {
    const struct world *from;
    struct world to;
    int32_t fewest; /* copies of a cluster in balance; -1: there is none */
};

static void search_part(struct search *s, int32_t i, int32_t copies);

/* Every broker that the partition is not on yet, in its k-th place. */
static void search_place(struct search *s, int32_t i, int32_t k, int32_t copies)
{
    struct part *p = &s->to.parts[i];
    if (k == p->factor) {
        search_part(s, i + 1, copies + copies_of(&s->from->parts[i], p));
        return;
    }
    for (int32_t b = 0; b < BROKERS; b++) {
        bool is_on = false;
        for (int32_t m = 0; m < k; m++) {
            is_on |= p->at[m] == b;
        }
        if (!is_on) {
            p->at[k] = b;
            search_place(s, i, k + 1, copies);
        }
    }
}

static void search_part(struct search *s, int32_t i, int32_t copies)
{
    if (s->fewest >= 0 && copies >= s->fewest) {
        return;
    }
    if (i < s->to.parts_n) {
        search_place(s, i, 0, copies);
    } else if (is_balanced(&s->to)) {
        s->fewest = copies;
    }
}

static int32_t fewest_copies(const struct world *w)
{
    struct search s = {.from = w, .to = *w, .fewest = -1};
    search_part(&s, 0, 0);
    return s.fewest;
}

/* ---- over seeds ---- */

static void draw_world(struct world *w, struct arena *a, struct view *v, uint64_t seed)
{
    struct prng r;
    prng_seed(&r, seed);
    rig_brokers(a, v, BROKERS);
    struct view_topic *t = rig_topic(a, v, "t", 1);
    int32_t wanted = 2 + (int32_t)prng_below(&r, REPLICAS - 1);
    int32_t sizes = 1 + (int32_t)prng_below(&r, 40), used = 1 + (int32_t)prng_below(&r, BROKERS);
    *w = (struct world){.replicas = 0};
    while (w->replicas < wanted) {
        struct part *p = &w->parts[w->parts_n++];
        int32_t most = wanted - w->replicas < used ? wanted - w->replicas : used;
        p->factor = 1 + (int32_t)prng_below(&r, (uint64_t)most);
        p->size = (int64_t)prng_below(&r, (uint64_t)sizes) * MIB / 4;
        struct view_ids ids = {ARENA_ARRAY(a, int32_t, RIG_IDS), 0};
        while (ids.n < p->factor) {
            int32_t b = (int32_t)prng_below(&r, (uint64_t)used);
            if (!view_ids_has(ids, b + 1)) {
                p->at[ids.n] = b;
                ids.v[ids.n++] = b + 1;
            }
        }
        w->replicas += p->factor;
        rig_partition(a, t, ids, p->size);
    }
}

/* As the plan leaves it. */
static struct world planned(const struct world *w, const struct plan *p)
{
    struct world to = *w;
    for (int32_t i = 0; i < p->parts_n; i++) {
        struct part *part = &to.parts[p->parts[i].index];
        assert_int_equal(part->factor, p->parts[i].to.n);
        for (int32_t k = 0; k < part->factor; k++) {
            part->at[k] = p->parts[i].to.v[k] - 1;
        }
    }
    return to;
}

/* At most one copy more than the fewest that end in balance, and those in nearly all. Balance is
 * found where there is some, but for a few worlds in a hundred: each step of a plan is one move
 * that makes something better, and no replica moves for the sake of leaders alone. */
static void plans_are_near_the_fewest_moves(void **state)
{
    int possible = 0, needed = 0, reached = 0, fewest = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct arena a = {0};
        struct world w;
        struct view v;
        struct plan p;
        draw_world(&w, &a, &v, seed);
        int32_t n = fewest_copies(&w);
        plan_begin(&p, &a, &v);
        plan_balance(&p, TOLERANCE);
        struct world to = planned(&w, &p);
        possible += n >= 0;
        needed += n > 0;
        if (is_balanced(&to)) {
            int32_t copies = plan_total(&p).copies;
            assert_in_range(copies, n, n + 1);
            reached++;
            fewest += copies == n;
        }
        arena_free(&a);
    }
    assert_in_range(needed, SEEDS / 4, SEEDS);
    assert_in_range(reached, possible * 98 / 100, possible);
    assert_in_range(fewest, reached * 98 / 100, reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_near_the_fewest_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
