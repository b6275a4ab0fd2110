/* Where topics of one copy are to have more. The replication factor changes by a reassignment, and
 * Kafka's tool wants to be told each partition's brokers: the doctor writes them down. A copy goes
 * to a broker that may be given replicas and has room (plan.h), into a rack where the partition is
 * not yet, to the one with the fewest replicas. Its first replica, which leads, stays. */
#include "base/buf.h"
#include "tools/doctor.h"
#include "tools/plan.h"

/* Three, as far as there are brokers. And so many partitions in one command: a page has room for
 * that, and the cluster copies for a while. */
enum { COPIES = 3, AT_ONCE = 100 };

static bool in_new_rack(const struct plan *p, struct view_ids has, int32_t broker)
{
    has.v[has.n] = broker; /* there is room for all copies */
    return plan_racks_of(p, (struct view_ids){has.v, has.n + 1}) > plan_racks_of(p, has);
}

static struct plan_broker *place_for(const struct plan *p, const struct plan_part *part,
                                     struct view_ids has)
{
    struct plan_broker *best = NULL;
    bool best_rack = false;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        struct plan_broker *b = &p->brokers[i];
        if (!b->receives || view_ids_has(has, b->id) || !plan_has_room(b, part->size)) {
            continue;
        }
        bool rack = in_new_rack(p, has, b->id);
        if (best == NULL || rack > best_rack ||
            (rack == best_rack && b->replicas < best->replicas)) {
            best = b;
            best_rack = rack;
        }
    }
    return best;
}

/* The partition's brokers with the copies that it is to get; as many as before: there is no place,
 * or it cannot be touched now. */
static struct view_ids with_copies(struct plan *p, const struct plan_part *part)
{
    struct view_ids ids = {ARENA_ARRAY(p->arena, int32_t, COPIES), 1};
    ids.v[0] = part->from.v[0];
    while (ids.n < COPIES && !part->fixed) {
        struct plan_broker *b = place_for(p, part, ids);
        if (b == NULL) {
            break;
        }
        b->replicas++;
        b->room -= b->room < 0 ? 0 : part->size;
        ids.v[ids.n++] = b->id;
    }
    return ids;
}

static void put(struct buf *b, const struct plan_part *part, struct view_ids ids)
{
    buf_printf(b, "%s{\"topic\":\"%.*s\",\"partition\":%d,\"replicas\":[", b->len ? "," : "",
               BYTES_FMT(part->topic->name), part->index);
    for (int32_t i = 0; i < ids.n; i++) {
        buf_printf(b, "%s%d", i ? "," : "", ids.v[i]);
    }
    buf_put_str(b, "]}");
}

/* The plan and the finding have topics in the same order. */
static int32_t put_all(struct buf *b, struct plan *p, const struct doctor_finding *f)
{
    int32_t n = 0, at = 0;
    for (int32_t i = 0; i < p->parts_n && at < f->places_n; i++) {
        const struct plan_part *part = &p->parts[i];
        if (!bytes_eq(part->topic->name, f->places[at].topic)) {
            continue;
        }
        struct view_ids ids = part->from.n == 1 && n <= AT_ONCE ? with_copies(p, part) : part->from;
        n += ids.n > part->from.n;
        if (ids.n > part->from.n && n <= AT_ONCE) {
            put(b, part, ids);
        }
        at += part->index + 1 == part->topic->partitions_n;
    }
    return n;
}

void doctor_add_copies(const struct doctor_picture *pic, struct doctor_report *r,
                       struct doctor_finding *f)
{
    struct arena *a = r->arena;
    struct plan p;
    struct buf b = {0};
    plan_begin(&p, a, pic->view);
    int32_t n = put_all(&b, &p, f);
    if (n == 0) {
        doctor_step(f,
                    "No copy can be added now: the partitions move already, their broker is down, "
                    "or no other one that runs has room.",
                    NULL);
        return;
    }
    doctor_step(
        f,
        n > AT_ONCE
            ? arena_printf(a,
                           "Add copies, of the first %d partitions; when they are there, ask "
                           "the doctor again:",
                           AT_ONCE)
            : "Add copies on other brokers:",
        arena_printf(a,
                     "echo '{\"version\":1,\"partitions\":[%s]}' | millrace reassign-partitions "
                     "--bootstrap-server %s --reassignment-json-file - --execute",
                     arena_strndup(a, b.data, b.len), pic->servers));
    doctor_step(
        f, "They are there when this lists none of them:",
        arena_printf(a, "millrace reassign-partitions --bootstrap-server %s --list", pic->servers));
    buf_free(&b);
}
