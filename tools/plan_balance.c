/* Evens out what brokers carry, with few moves:
 *
 * 1. racks: a partition in fewer racks than it could be gets a replica in another one;
 * 2. bytes: while a broker is further from its share than the tolerance, the replica that brings
 *    the pair nearest to their shares goes from the fullest to the emptiest, by the share of each.
 *    The share of a broker is that of its disks among all disks, or the same for all;
 * 3. replicas: the same by number, with the smallest replicas, without getting bytes out of
 * balance;
 * 4. leaders: the order of replicas changes, nothing is copied. From a broker that leads too many a
 *    chain of partitions is looked for to one that leads too few (the shortest: one order after the
 *    other is changed along it);
 * 5. traffic: what is written to brokers, as far as the view has measured it (plan_traffic.c);
 * 6. what turns out not to be needed is taken back.
 *
 * Steps 2 and 3 end, and do not undo each other: a move by bytes brings down what bytes are out of
 * the tolerance, a move by number brings down what numbers are, and bytes no further out. What is
 * done for traffic makes none of them worse; and since each step may leave room for another, all
 * are taken again until none changes anything.
 *
 * Brokers that do not receive (down, cordoned, without disks) are left as they are, and so are
 * partitions that move or are not wholly in sync. */
#include <stdlib.h>

#include "base/assert.h"
#include "tools/plan_even.h"

/* What there is a whole number of is as even as it can be within less than one of the share. */
#define BELOW_ONE 0.99
/* Shares are no whole numbers: what changes by less does not change. */
#define HALF_BYTE 0.5
#define ONE_BYTE  1.0 /* a second: the same of traffic */

enum { BYTES_FLOOR = 1 << 20 }; /* a difference that nobody would move anything for */
enum { ROUNDS_MAX = 20 };       /* more than any plan is known to take */

/* ---- shares ---- */

static bool knows_capacities(const struct plan *p)
{
    for (int32_t i = 0; i < p->brokers_n; i++) {
        if (p->brokers[i].receives && p->brokers[i].capacity <= 0) {
            return false;
        }
    }
    return true;
}

static void set_shares(struct balance *b)
{
    struct plan *p = b->p;
    bool known = knows_capacities(p);
    double bytes = 0, capacity = 0, replicas = 0, leaders = 0, written = 0, led = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        const struct plan_broker *at = &p->brokers[i];
        if (at->receives) {
            bytes += (double)at->bytes;
            replicas += at->replicas;
            leaders += at->leaders;
            written += (double)at->written;
            led += (double)at->led;
            capacity += known ? (double)at->capacity : 1;
            b->order[b->order_n++] = i;
        }
    }
    for (int32_t i = 0; i < b->order_n; i++) {
        struct plan_broker *at = &p->brokers[b->order[i]];
        at->share = bytes * (known ? (double)at->capacity : 1) / capacity;
    }
    int32_t n = b->order_n ? b->order_n : 1;
    b->replicas = replicas / n;
    b->leaders = leaders / n;
    b->written = written / n;
    b->led = led / n;
}

/* How much a broker has too much of what is being evened out; below 0: too little. */
static double excess(const struct balance *b, int32_t at)
{
    const struct plan_broker *k = &b->p->brokers[at];
    return b->by_replicas ? k->replicas - b->replicas : (double)k->bytes - k->share;
}

static double at_least(double v, double least)
{
    return v < least ? least : v;
}

static double allowed_bytes(const struct balance *b, int32_t at)
{
    return at_least(b->p->brokers[at].share * b->tolerance, BYTES_FLOOR);
}

/* Of what there is a whole number of. */
static double allowed_number(const struct balance *b, double share)
{
    return at_least(share * b->tolerance, BELOW_ONE);
}

/* How much of it is allowed. */
static double allowed(const struct balance *b, int32_t at)
{
    return b->by_replicas ? allowed_number(b, b->replicas) : allowed_bytes(b, at);
}

static double number_out(const struct balance *b, double number, double share)
{
    double out = apart(number, share) - allowed_number(b, share);
    return out > 0 ? out : 0;
}

double balance_replicas_out(const struct balance *b, int32_t at)
{
    return number_out(b, b->p->brokers[at].replicas, b->replicas);
}

double balance_leaders_out(const struct balance *b, int32_t at)
{
    return number_out(b, b->p->brokers[at].leaders, b->leaders);
}

static bool is_out(const struct balance *b, int32_t at)
{
    double e = excess(b, at);
    return (e < 0 ? -e : e) > allowed(b, at);
}

static bool is_balanced(const struct balance *b)
{
    for (int32_t i = 0; i < b->order_n; i++) {
        if (is_out(b, b->order[i])) {
            return false;
        }
    }
    return true;
}

/* Most too much first; there are few brokers. */
static void sort_brokers(struct balance *b)
{
    for (int32_t i = 1; i < b->order_n; i++) {
        int32_t at = b->order[i], k = i;
        for (; k > 0 && excess(b, b->order[k - 1]) < excess(b, at); k--) {
            b->order[k] = b->order[k - 1];
        }
        b->order[k] = at;
    }
}

/* ---- moves of replicas ---- */

bool balance_may_move(const struct balance *b, const struct plan_part *part, int32_t from,
                      int32_t to)
{
    const struct plan_broker *x = &b->p->brokers[from], *y = &b->p->brokers[to];
    return !part->fixed && view_ids_has(part->to, x->id) && !view_ids_has(part->to, y->id) &&
           plan_has_room(y, part->size) &&
           (x->rack == y->rack ||
            plan_racks_with(b->p, part, x->id, y->id) >= plan_racks_of(b->p, part->to));
}

/* How far bytes are out of what is allowed, with so many more. */
double balance_bytes_out(const struct balance *b, int32_t at, double more)
{
    const struct plan_broker *k = &b->p->brokers[at];
    double e = (double)k->bytes + more - k->share;
    double out = (e < 0 ? -e : e) - allowed_bytes(b, at);
    return out > 0 ? out : 0;
}

/* By how much bytes would be further out after the move; below 0: they come nearer. */
static double bytes_change(const struct balance *b, const struct plan_part *part, int32_t from,
                           int32_t to)
{
    double size = (double)part->size;
    return balance_bytes_out(b, from, -size) - balance_bytes_out(b, from, 0) +
           balance_bytes_out(b, to, size) - balance_bytes_out(b, to, 0);
}

/* The replica to go from one broker to the other; NULL: none makes it better. By bytes the one
 * whose size is nearest to what both want; by number the smallest. */
static struct plan_part *choose(const struct balance *b, int32_t from, int32_t to)
{
    double over = excess(b, from), under = -excess(b, to), best = 0;
    double wish = b->by_replicas ? 0 : over < under ? over : under;
    struct plan_part *found = NULL;
    if (b->by_replicas && over + under <= 1) {
        return NULL; /* one more here and one less there would be as bad */
    }
    for (int32_t i = 0; i < b->p->parts_n; i++) {
        struct plan_part *part = &b->p->parts[i];
        double off = (double)part->size - wish;
        off = off < 0 ? -off : off;
        if ((found && off >= best) || !balance_may_move(b, part, from, to)) {
            continue;
        }
        double change = bytes_change(b, part, from, to);
        if (change < (b->by_replicas ? HALF_BYTE : -HALF_BYTE)) {
            found = part;
            best = off;
        }
    }
    return found;
}

/* One move between a broker that has too much and one that has too little, of which one at least is
 * out of what is allowed. */
static bool move_one(struct balance *b)
{
    sort_brokers(b);
    for (int32_t i = 0; i < b->order_n; i++) {
        for (int32_t k = b->order_n - 1; k > i; k--) {
            int32_t from = b->order[i], to = b->order[k];
            if (!is_out(b, from) && !is_out(b, to)) {
                continue;
            }
            struct plan_part *part = choose(b, from, to);
            if (part) {
                plan_replace(b->p, part, b->p->brokers[from].id, b->p->brokers[to].id);
                return true;
            }
        }
    }
    return false;
}

static bool even_out(struct balance *b, bool by_replicas)
{
    bool moved = false;
    b->by_replicas = by_replicas;
    while (!is_balanced(b) && move_one(b)) {
        moved = true;
    }
    return moved;
}

/* What went away and came back is where it was, whatever place in the list that got it. */
static void keep_orders(struct plan *p)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        if (plan_moves(&p->parts[i]) && plan_copies(&p->parts[i]) == 0) {
            plan_set(p, &p->parts[i], p->parts[i].from);
        }
    }
}

/* ---- racks ---- */

/* The replica of the partition that shares its rack with another, on the fullest broker; -1: none.
 */
static int32_t doubled(const struct plan *p, const struct plan_part *part)
{
    int32_t found = -1;
    for (int32_t i = 0; i < part->to.n; i++) {
        int32_t at = plan_at(p, part->to.v[i]);
        if (plan_racks_with(p, part, part->to.v[i], -1) == plan_racks_of(p, part->to) &&
            (found < 0 || p->brokers[at].bytes > p->brokers[found].bytes)) {
            found = at;
        }
    }
    return found;
}

/* The emptiest broker in a rack where the partition is not yet; -1: none. */
static int32_t in_new_rack(const struct plan *p, const struct plan_part *part, int32_t from)
{
    int32_t found = -1, racks = plan_racks_of(p, part->to);
    for (int32_t i = 0; i < p->brokers_n; i++) {
        const struct plan_broker *k = &p->brokers[i];
        if (k->receives && !view_ids_has(part->to, k->id) && plan_has_room(k, part->size) &&
            plan_racks_with(p, part, p->brokers[from].id, k->id) > racks &&
            (found < 0 || k->bytes < p->brokers[found].bytes)) {
            found = i;
        }
    }
    return found;
}

static void spread(struct plan *p)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        struct plan_part *part = &p->parts[i];
        for (int32_t k = 0; !part->fixed && k < part->to.n; k++) {
            int32_t from = doubled(p, part), to = from < 0 ? -1 : in_new_rack(p, part, from);
            if (to < 0) {
                break;
            }
            plan_replace(p, part, p->brokers[from].id, p->brokers[to].id);
        }
    }
}

/* ---- leaders ---- */

/* A search from a broker that leads too many, over partitions, to one that leads too few. */
struct search {
    int32_t *via;  /* of a broker: the partition by which it was reached; -1: not */
    int32_t *prev; /* from which broker */
    int32_t *queue;
};

static int32_t first_of(const struct plan *p, const struct plan_part *part)
{
    return part->to.n ? plan_at(p, part->to.v[0]) : -1;
}

/* Is it better if `at` leads one more and `from` one less? From a broker that leads too many to one
 * that then does not, or to one that leads too few. */
static bool is_better(const struct balance *b, int32_t from, int32_t at)
{
    int32_t most = b->p->brokers[from].leaders, n = b->p->brokers[at].leaders;
    double allowed = allowed_number(b, b->leaders);
    bool over = most > b->leaders + allowed;
    return n + 1 < most && (over ? n + 1 <= b->leaders + allowed : n < b->leaders - allowed);
}

/* The brokers that may lead what `at` leads now, and were not reached yet, come into the queue. */
static int32_t reach_on(const struct plan *p, struct search *s, int32_t at, int32_t tail)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        const struct plan_part *part = &p->parts[i];
        if (part->fixed || first_of(p, part) != at) {
            continue;
        }
        for (int32_t k = 1; k < part->to.n; k++) {
            int32_t next = plan_at(p, part->to.v[k]);
            if (next != s->queue[0] && s->via[next] < 0 && p->brokers[next].receives) {
                s->via[next] = i;
                s->prev[next] = at;
                s->queue[tail++] = next;
            }
        }
    }
    return tail;
}

/* The nearest broker for which is_better holds; -1: there is none. */
static int32_t reach(const struct balance *b, struct search *s, int32_t from)
{
    int32_t head = 0, tail = 0;
    for (int32_t i = 0; i < b->p->brokers_n; i++) {
        s->via[i] = -1;
    }
    s->prev[from] = -1;
    s->queue[tail++] = from;
    while (head < tail) {
        int32_t at = s->queue[head++];
        if (at != from && is_better(b, from, at)) {
            return at;
        }
        tail = reach_on(b->p, s, at, tail);
    }
    return -1;
}

/* One leader more for `to`, one less for where the chain begins. */
static void hand_over(const struct balance *b, const struct search *s, int32_t to)
{
    for (int32_t at = to; s->prev[at] >= 0; at = s->prev[at]) {
        plan_lead(b->p, &b->p->parts[s->via[at]], b->p->brokers[at].id);
    }
}

static bool lead_one(const struct balance *b, struct search *s)
{
    for (int32_t i = 0; i < b->order_n; i++) {
        int32_t to = reach(b, s, b->order[i]);
        if (to >= 0) {
            hand_over(b, s, to);
            return true;
        }
    }
    return false;
}

static void even_leaders(struct balance *b)
{
    struct arena *a = b->p->arena;
    size_t n = (size_t)b->p->brokers_n + 1;
    struct search s = {ARENA_ARRAY(a, int32_t, n), ARENA_ARRAY(a, int32_t, n),
                       ARENA_ARRAY(a, int32_t, n)};
    bool out = true;
    while (out) {
        out = false;
        for (int32_t k = 0; k < b->order_n; k++) {
            out |= balance_leaders_out(b, b->order[k]) > 0;
        }
        out = out && lead_one(b, &s);
    }
}

/* ---- what is not needed ---- */

static bool all_in(struct balance *b)
{
    b->by_replicas = false;
    bool in = is_balanced(b);
    b->by_replicas = true;
    in = in && is_balanced(b);
    for (int32_t i = 0; i < b->order_n; i++) {
        in = in && balance_leaders_out(b, b->order[i]) == 0;
    }
    return in;
}

/* Back to where it was, if all stays in balance, traffic as near to it as it is, and no rack is
 * lost. */
static bool take_back(struct balance *b, struct plan_part *part)
{
    struct view_ids to = part->to;
    if (plan_racks_of(b->p, part->from) < plan_racks_of(b->p, to)) {
        return false;
    }
    double out = traffic_out(b);
    plan_set(b->p, part, part->from);
    if (all_in(b) && traffic_out(b) < out + ONE_BYTE) {
        return true;
    }
    plan_set(b->p, part, to);
    return false;
}

/* Takes back what can be, moves that copy first. What cannot may do so once others have been.
 * False: all is needed. */
static bool prune(struct balance *b)
{
    bool again = true, any = false;
    while (again) {
        again = false;
        for (int copies = 1; copies >= 0; copies--) {
            for (int32_t i = 0; i < b->p->parts_n; i++) {
                struct plan_part *part = &b->p->parts[i];
                again |= plan_moves(part) && (plan_copies(part) > 0) == (copies > 0) &&
                         take_back(b, part);
            }
        }
        any |= again;
    }
    return any;
}

static void even_numbers(struct balance *b)
{
    even_out(b, false);
    while (even_out(b, true) && even_out(b, false)) {
        /* Numbers may make room for bytes. It ends: bytes are never further out than before. */
    }
}

void plan_balance(struct plan *p, int32_t tolerance_percent)
{
    struct balance b = {.p = p, .tolerance = tolerance_percent / 100.0};
    b.order = ARENA_ARRAY(p->arena, int32_t, p->brokers_n + 1);
    spread(p);
    set_shares(&b);
    if (b.order_n < 2) {
        return;
    }
    even_numbers(&b);
    keep_orders(p);
    even_leaders(&b);
    bool again = true;
    for (int i = 0; i < ROUNDS_MAX && again; i++) {
        again = traffic_even_out(&b);
        if (again) {
            even_numbers(&b);
            even_leaders(&b);
        }
        if (all_in(&b)) {
            again |= prune(&b) && b.written > 0;
        }
    }
}
