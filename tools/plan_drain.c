/* Everything off one broker: each of its replicas goes to another one, and nothing else moves. The
 * largest go first, each to the broker that is best by, in this order: the partition lies in as
 * many racks as it can; the broker has least, of bytes and of replicas together, weighed by what
 * all that may receive have.
 *
 * Who was led by the broker that goes is led by the replica whose broker leads least, so that a
 * drain does not heap leaders upon the one that happens to come second in the lists.
 *
 * A replica that is on its way to a broker that has gone down since gets another place; so does a
 * drain come to its end that was begun before.
 *
 * It refuses what could lose records or would never end: a topic with more replicas than brokers
 * are left, a partition that only this broker has in sync, and what would fill a disk. */
#include <stdlib.h>

#include "base/assert.h"
#include "tools/plan.h"

enum { NAMES_SHOWN = 10 };

/* ---- refusals ---- */

/* Names that a sentence lists, the first few. */
struct listed {
    struct arena *arena;
    const char *text;
    int32_t n;
};

static void list_add(struct listed *l, const char *name)
{
    if (l->n < NAMES_SHOWN) {
        l->text = arena_printf(l->arena, "%s%s%s", l->text ? l->text : "", l->n ? ", " : "", name);
    }
    l->n++;
}

static const char *list_text(const struct listed *l)
{
    return l->n > NAMES_SHOWN
               ? arena_printf(l->arena, "%s and %d more", l->text, l->n - NAMES_SHOWN)
               : l->text;
}

static bool refuse(struct plan *p, const char *sentences)
{
    p->refusal = sentences;
    return false;
}

static bool unknown(struct plan *p, int32_t broker)
{
    struct listed all = {.arena = p->arena};
    for (int32_t i = 0; i < p->brokers_n; i++) {
        list_add(&all, arena_printf(p->arena, "%d", p->brokers[i].id));
    }
    return refuse(p, arena_printf(p->arena,
                                  "Broker %d is not registered. The brokers of this cluster are: "
                                  "%s.",
                                  broker, list_text(&all)));
}

/* What would give a partition a place: brokers that are there and do not run, or new ones. */
static const char *more_brokers(const struct plan *p, int32_t broker, int32_t wanted)
{
    struct listed down = {.arena = p->arena};
    for (int32_t i = 0; i < p->brokers_n; i++) {
        if (!p->brokers[i].receives && p->brokers[i].id != broker) {
            list_add(&down, arena_printf(p->arena, "%d", p->brokers[i].id));
        }
    }
    return down.n ? arena_printf(p->arena, "Start broker %s, or add %d to the cluster",
                                 list_text(&down), wanted)
                  : arena_printf(p->arena, "Add %d to the cluster", wanted);
}

static bool has_places(struct plan *p, int32_t broker)
{
    struct listed topics = {.arena = p->arena};
    const struct view_topic *last = NULL;
    int32_t others = 0, most = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        others += p->brokers[i].receives && p->brokers[i].id != broker;
    }
    for (int32_t i = 0; i < p->parts_n; i++) {
        const struct plan_part *part = &p->parts[i];
        int32_t elsewhere = 0; /* replicas that stay on brokers which receive nothing */
        for (int32_t k = 0; k < part->to.n; k++) {
            int32_t at = plan_at(p, part->to.v[k]);
            elsewhere += part->to.v[k] != broker && (at < 0 || !p->brokers[at].receives);
        }
        int32_t lacks = part->to.n - elsewhere - others;
        if (!view_ids_has(part->to, broker) || lacks <= 0) {
            continue;
        }
        most = lacks > most ? lacks : most;
        if (part->topic != last) {
            list_add(&topics, arena_printf(p->arena, "%.*s (%d %s)", BYTES_FMT(part->topic->name),
                                           part->to.n, part->to.n == 1 ? "replica" : "replicas"));
            last = part->topic;
        }
    }
    return topics.n == 0 ||
           refuse(p, arena_printf(p->arena,
                                  "Without broker %d %s can take replicas, which is "
                                  "too few for: %s.\n%s%s.",
                                  broker,
                                  others == 0   ? "no broker"
                                  : others == 1 ? "only 1 broker"
                                                : arena_printf(p->arena, "only %d brokers", others),
                                  list_text(&topics), more_brokers(p, broker, most),
                                  others == 0 ? ""
                                              : ", or give these topics fewer replicas (millrace "
                                                "reassign-partitions)"));
}

static const struct view_partition *seen(const struct plan_part *part)
{
    return &part->topic->partitions[part->index];
}

/* Is this broker the only one that has all that was acknowledged, while there are to be others? */
static bool is_last(const struct plan_part *part, int32_t broker)
{
    const struct view_partition *v = seen(part);
    bool alone = v->isr.n == 1 && v->isr.v[0] == broker && v->replicas.n - v->adding.n > 1;
    return view_ids_has(part->to, broker) && v->leader >= 0 && alone;
}

static bool has_others_in_sync(struct plan *p, int32_t broker)
{
    struct listed last = {.arena = p->arena}, behind = {.arena = p->arena};
    int32_t *told = ARENA_ARRAY(p->arena, int32_t, p->brokers_n + 1);
    for (int32_t i = 0; i < p->parts_n; i++) {
        const struct plan_part *part = &p->parts[i];
        if (!is_last(part, broker)) {
            continue;
        }
        list_add(&last,
                 arena_printf(p->arena, "%.*s-%d", BYTES_FMT(part->topic->name), part->index));
        for (int32_t k = 0; k < part->to.n; k++) {
            int32_t at = plan_at(p, part->to.v[k]);
            if (part->to.v[k] != broker && at >= 0 && !told[at]++) {
                list_add(&behind, arena_printf(p->arena, "%d%s", part->to.v[k],
                                               p->brokers[at].receives ? "" : " (down)"));
            }
        }
    }
    return last.n == 0 ||
           refuse(p, arena_printf(p->arena,
                                  "Broker %d has the last replica in sync of: %s.\nBehind are "
                                  "brokers: %s. Wait until they have caught up, or start those "
                                  "that are down (millrace cluster doctor says what is missing).",
                                  broker, list_text(&last), list_text(&behind)));
}

static bool has_leaders(struct plan *p, int32_t broker)
{
    struct listed none = {.arena = p->arena};
    for (int32_t i = 0; i < p->parts_n; i++) {
        if (view_ids_has(p->parts[i].to, broker) && seen(&p->parts[i])->leader < 0) {
            list_add(&none, arena_printf(p->arena, "%.*s-%d", BYTES_FMT(p->parts[i].topic->name),
                                         p->parts[i].index));
        }
    }
    return none.n == 0 ||
           refuse(p, arena_printf(p->arena,
                                  "Without a leader, from which replicas could be copied, are: "
                                  "%s.\nmillrace cluster doctor says which brokers they need; "
                                  "topics that nobody needs can be deleted.",
                                  list_text(&none)));
}

/* ---- where to ---- */

struct totals {
    double bytes, replicas; /* of all that receive, on average; never 0 */
};

static struct totals average(const struct plan *p, int32_t broker)
{
    struct totals t = {0, 0};
    int32_t n = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        t.bytes += (double)p->brokers[i].bytes;
        t.replicas += p->brokers[i].replicas;
        n += p->brokers[i].receives && p->brokers[i].id != broker;
    }
    t.bytes = n && t.bytes > 0 ? t.bytes / n : 1;
    t.replicas = n && t.replicas > 0 ? t.replicas / n : 1;
    return t;
}

static double load(const struct plan_broker *b, const struct totals *t)
{
    return (double)b->bytes / t->bytes + (double)b->replicas / t->replicas;
}

/* The best place for what a broker has of the partition; -1: none has room. */
static int32_t best(const struct plan *p, const struct plan_part *part, int32_t broker,
                    const struct totals *t)
{
    int32_t found = -1, racks = -1;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        const struct plan_broker *b = &p->brokers[i];
        if (!b->receives || view_ids_has(part->to, b->id) || !plan_has_room(b, part->size)) {
            continue;
        }
        int32_t r = plan_racks_with(p, part, broker, b->id);
        if (r > racks || (r == racks && load(b, t) < load(&p->brokers[found], t))) {
            found = i;
            racks = r;
        }
    }
    return found;
}

/* The replica whose broker leads least, if that leads less than the first's. */
static void choose_leader(struct plan *p, struct plan_part *part)
{
    int32_t first = plan_at(p, part->to.v[0]), least = first;
    for (int32_t i = 1; i < part->to.n; i++) {
        int32_t at = plan_at(p, part->to.v[i]);
        /* Against the first without this partition, which counts where it leads now. */
        if (at >= 0 && p->brokers[at].receives &&
            p->brokers[at].leaders < p->brokers[least].leaders - (least == first)) {
            least = at;
        }
    }
    if (least != first) {
        plan_lead(p, part, p->brokers[least].id);
    }
}

static int by_size(const void *a, const void *b)
{
    const struct plan_part *x = *(struct plan_part *const *)a, *y = *(struct plan_part *const *)b;
    if (x->size != y->size) {
        return x->size < y->size ? 1 : -1;
    }
    return (x > y) - (x < y);
}

static bool no_room(struct plan *p, const struct plan_part *part)
{
    return refuse(p, arena_printf(p->arena,
                                  "No broker that could take %.*s-%d (%lld MiB) has room for it on "
                                  "its disks.\nAdd a broker or a larger disk, or keep less of what "
                                  "is large (retention.bytes, retention.ms).",
                                  BYTES_FMT(part->topic->name), part->index,
                                  (long long)(part->size >> 20)));
}

static bool drain_part(struct plan *p, struct plan_part *part, int32_t broker,
                       const struct totals *t)
{
    bool led = part->to.v[0] == broker;
    int32_t racks = plan_racks_of(p, part->to), to = best(p, part, broker, t);
    if (to < 0) {
        return no_room(p, part);
    }
    plan_replace(p, part, broker, p->brokers[to].id);
    p->racks_worse += plan_racks_of(p, part->to) < racks;
    if (led) {
        choose_leader(p, part);
    }
    return true;
}

/* Another place for replicas of what leaves the broker, or is to leave it, that are on their way to
 * one that is down. Where there is none they wait for it. */
static void redirect(struct plan *p, struct plan_part *part, const struct totals *t)
{
    const struct view_partition *v = seen(part);
    for (int32_t i = 0; i < part->to.n; i++) {
        int32_t id = part->to.v[i], at = plan_at(p, id);
        if (at >= 0 && !p->brokers[at].receives && view_ids_has(v->adding, id) &&
            !view_ids_has(v->isr, id)) {
            int32_t to = best(p, part, id, t);
            if (to >= 0) {
                plan_replace(p, part, id, p->brokers[to].id);
            }
        }
    }
}

bool plan_drain(struct plan *p, int32_t broker)
{
    int32_t at = plan_at(p, broker);
    if (at < 0) {
        return unknown(p, broker);
    }
    if (!has_leaders(p, broker) || !has_others_in_sync(p, broker) || !has_places(p, broker)) {
        return false;
    }
    struct plan_part **mine = ARENA_ARRAY(p->arena, struct plan_part *, p->parts_n + 1);
    int32_t n = 0;
    for (int32_t i = 0; i < p->parts_n; i++) {
        if (view_ids_has(p->parts[i].to, broker) ||
            view_ids_has(seen(&p->parts[i])->removing, broker)) {
            mine[n++] = &p->parts[i];
        }
    }
    qsort(mine, (size_t)n, sizeof *mine, by_size);
    struct totals t = average(p, broker);
    p->brokers[at].receives = false;
    for (int32_t i = 0; i < n; i++) {
        if (view_ids_has(mine[i]->to, broker) && !drain_part(p, mine[i], broker, &t)) {
            return false;
        }
        redirect(p, mine[i], &t);
    }
    return true;
}
