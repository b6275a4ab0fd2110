/* What the doctor says of partitions and topics.
 *
 * A partition is sick by its worst sign: no leader, fewer in sync than min.insync.replicas, just as
 * many, or not all. Sick ones are put together by sign and by the brokers that are missing, since
 * one broker that is down makes hundreds of partitions sick of the same thing. Replicas that a move
 * adds are not missing, they are on their way. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tools/doctor.h"

enum { IMBALANCE_PERCENT = 10 }; /* leader.imbalance.per.broker.percentage of Kafka */

const char *const doctor_topic_settings[] = {
    "min.insync.replicas",
    "cleanup.policy",
    "unclean.leader.election.enable",
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
    NULL,
};

enum sign { FINE, NO_LEADER, UNDER_MIN, AT_MIN, NOT_ALL };

struct group {
    enum sign sign;
    struct view_ids missing; /* in order */
    struct doctor_finding f; /* its places */
};

struct groups {
    struct group *v;
    int32_t n, max;
};

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static bool same(struct view_ids a, struct view_ids b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.v, b.v, (size_t)a.n * sizeof *a.v) == 0);
}

static struct group *group_of(struct arena *a, struct groups *all, enum sign sign,
                              struct view_ids missing)
{
    for (int32_t i = 0; i < all->n; i++) {
        if (all->v[i].sign == sign && same(all->v[i].missing, missing)) {
            return &all->v[i];
        }
    }
    if (all->n == all->max) {
        all->max = all->max ? all->max * 2 : 8;
        struct group *more = ARENA_ARRAY(a, struct group, all->max);
        if (all->n) {
            memcpy(more, all->v, (size_t)all->n * sizeof *more);
        }
        all->v = more;
    }
    all->v[all->n] = (struct group){.sign = sign, .missing = missing};
    return &all->v[all->n++];
}

/* Who would have to come back: of a partition without leader those that may lead it, else the
 * replicas that are not in sync. */
static struct view_ids missing_of(struct arena *a, const struct view_partition *p)
{
    struct view_ids out = {ARENA_ARRAY(a, int32_t, p->replicas.n + p->elr.n + p->isr.n + 1), 0};
    if (p->leader < 0) {
        struct view_ids from = p->isr.n ? p->isr : p->elr.n ? p->elr : p->last_elr;
        from = from.n ? from : p->replicas;
        out.n = from.n < p->replicas.n ? from.n : p->replicas.n;
        memcpy(out.v, from.v, (size_t)out.n * sizeof *out.v);
    }
    for (int32_t i = 0; p->leader >= 0 && i < p->replicas.n; i++) {
        int32_t id = p->replicas.v[i];
        if (!view_ids_has(p->isr, id) && !view_ids_has(p->adding, id)) {
            out.v[out.n++] = id;
        }
    }
    qsort(out.v, (size_t)out.n, sizeof *out.v, by_id);
    return out;
}

static enum sign sign_of(const struct view_topic *t, const struct view_partition *p)
{
    int32_t factor = view_factor(p);
    int32_t min = t->min_isr < factor ? t->min_isr : factor; /* as brokers have it */
    return p->leader < 0        ? NO_LEADER
           : p->isr.n < min     ? UNDER_MIN
           : p->isr.n >= factor ? FINE
           : p->isr.n == min    ? AT_MIN
                                : NOT_ALL;
}

/* ---- how it is told ---- */

/* "Broker 2 is down; broker 3 does not answer." Nothing of brokers that are up. */
static const char *states(const struct view *v, struct arena *a, struct view_ids ids)
{
    const char *text = "";
    for (int32_t i = 0; i < ids.n; i++) {
        const char *state = doctor_state(v, ids.v[i]);
        if (state) {
            text = arena_printf(a, "%s%sroker %d %s", text, *text ? "; b" : " B", ids.v[i], state);
        }
    }
    return *text ? arena_printf(a, "%s.", text) : "";
}

static bool all_up(const struct view *v, struct view_ids ids)
{
    for (int32_t i = 0; i < ids.n; i++) {
        if (!view_is_up(v, ids.v[i])) {
            return false;
        }
    }
    return true;
}

static const char *describe(const struct doctor_picture *pic, struct arena *a, const char *options)
{
    return arena_printf(a, "millrace topics --bootstrap-server %s --describe%s", pic->servers,
                        options);
}

/* What brings brokers that are missing back. */
static void step_back(const struct doctor_picture *pic, struct doctor_report *r, struct group *g,
                      const char *filter)
{
    struct arena *a = r->arena;
    if (all_up(pic->view, g->missing)) {
        doctor_step(&g->f, "See whether they come closer (a throttle, a slow disk or network?):",
                    describe(pic, a, filter));
        return;
    }
    doctor_step(&g->f,
                arena_printf(a, "Start %s again, on %s:", g->missing.n == 1 ? "it" : "them",
                             g->missing.n == 1 ? "its machine" : "their machines"),
                "millrace server FILE.properties");
}

static bool holds_offsets(const struct doctor_finding *f)
{
    for (int32_t i = 0; i < f->places_n; i++) {
        if (bytes_eq_str(f->places[i].topic, "__consumer_offsets")) {
            return true;
        }
    }
    return false;
}

/* Does a replica of it live, which could lead without what it lacks? */
static bool may_lead_uncleanly(const struct view *v, const struct doctor_place *at)
{
    struct view_ids replicas = view_topic(v, at->topic)->partitions[at->partition].replicas;
    for (int32_t i = 0; i < replicas.n; i++) {
        if (view_is_up(v, replicas.v[i])) {
            return true;
        }
    }
    return false;
}

/* What is left to do when those that may lead are lost for good. */
static void steps_lost(const struct doctor_picture *pic, struct doctor_report *r, struct group *g)
{
    struct arena *a = r->arena;
    struct doctor_place *left = ARENA_ARRAY(a, struct doctor_place, g->f.places_n);
    int32_t n = 0;
    for (int32_t i = 0; i < g->f.places_n; i++) {
        if (may_lead_uncleanly(pic->view, &g->f.places[i])) {
            left[n++] = g->f.places[i];
        }
    }
    if (n) {
        doctor_step(&g->f,
                    "If what is there is lost, let another replica lead, without the records that "
                    "it lacks:",
                    doctor_elect_unclean(pic, a, left, n));
    }
    if (n < g->f.places_n) {
        doctor_step(
            &g->f,
            arena_printf(a,
                         "No other broker that runs has a copy%s: if what is there is "
                         "lost, the records are, and the topic must be made anew.",
                         n == 0 ? "" : arena_printf(a, " of %d of them", g->f.places_n - n)),
            NULL);
    }
}

static void no_leader(const struct doctor_picture *pic, struct doctor_report *r, struct group *g)
{
    struct arena *a = r->arena;
    bool one = g->f.places_n == 1;
    g->f.severity = DOCTOR_BROKEN;
    g->f.check = "no-leader";
    g->f.what = arena_printf(
        a, "%s no leader: nobody can write to %s or read %s.%s",
        doctor_count(a, g->f.places_n, "partition has", "partitions have"), one ? "it" : "them",
        one ? "it" : "them",
        holds_offsets(&g->f) ? " Groups that have their coordinator there stand still." : "");
    g->f.why =
        arena_printf(a, "%s may lead %s, by what %s.%s", doctor_names(a, "Only broker", g->missing),
                     one ? "it" : "them", g->missing.n == 1 ? "it has" : "they have",
                     states(pic->view, a, g->missing));
    step_back(pic, r, g, " --unavailable-partitions");
    steps_lost(pic, r, g);
}

/* Who is missing, and the topics tool's filter that shows where. */
static void tell_missing(const struct doctor_picture *pic, struct doctor_report *r, struct group *g,
                         const char *filter)
{
    struct arena *a = r->arena;
    g->f.why = arena_printf(a, "Missing: %s.%s", doctor_names(a, "broker", g->missing),
                            states(pic->view, a, g->missing));
    step_back(pic, r, g, filter);
}

static void under_min(const struct doctor_picture *pic, struct doctor_report *r, struct group *g)
{
    struct arena *a = r->arena;
    g->f.severity = DOCTOR_BROKEN;
    g->f.check = "under-min-isr";
    g->f.what = arena_printf(
        a, "%s fewer replicas in sync than min.insync.replicas: writes with acks=all are refused.",
        doctor_count(a, g->f.places_n, "partition has", "partitions have"));
    tell_missing(pic, r, g, " --under-min-isr-partitions");
}

static void at_min(const struct doctor_picture *pic, struct doctor_report *r, struct group *g)
{
    struct arena *a = r->arena;
    g->f.severity = DOCTOR_WRONG;
    g->f.check = "at-min-isr";
    g->f.what = arena_printf(
        a, "%s just min.insync.replicas in sync: one more failure stops writes with acks=all.",
        doctor_count(a, g->f.places_n, "partition has", "partitions have"));
    tell_missing(pic, r, g, " --at-min-isr-partitions");
}

static void not_all(const struct doctor_picture *pic, struct doctor_report *r, struct group *g)
{
    struct arena *a = r->arena;
    g->f.severity = DOCTOR_WRONG;
    g->f.check = "under-replicated";
    g->f.what = arena_printf(a, "%s under-replicated: not every replica is in sync.",
                             doctor_count(a, g->f.places_n, "partition is", "partitions are"));
    tell_missing(pic, r, g, " --under-replicated-partitions");
}

static void availability(const struct doctor_picture *pic, struct doctor_report *r)
{
    static void (*const tell[])(const struct doctor_picture *pic, struct doctor_report *r,
                                struct group *g) = {NULL, no_leader, under_min, at_min, not_all};
    struct groups all = {0};
    for (int32_t i = 0; i < pic->view->topics_n; i++) {
        const struct view_topic *t = &pic->view->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            enum sign sign = sign_of(t, &t->partitions[k]);
            if (sign != FINE) {
                struct view_ids missing = missing_of(r->arena, &t->partitions[k]);
                struct group *g = group_of(r->arena, &all, sign, missing);
                doctor_place(r, &g->f, t->name, t->partitions[k].index);
            }
        }
    }
    for (int sign = NO_LEADER; sign <= NOT_ALL; sign++) {
        for (int32_t i = 0; i < all.n; i++) {
            if ((int)all.v[i].sign == sign) {
                all.v[i].f.nodes = all.v[i].missing;
                tell[sign](pic, r, &all.v[i]);
                *doctor_add(r, all.v[i].f.severity, all.v[i].f.check) = all.v[i].f;
            }
        }
    }
}

/* ---- moves ---- */

static int64_t bytes_added(const struct view_partition *p)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < p->replicas.n; i++) {
        sum += view_ids_has(p->adding, p->replicas.v[i]) ? p->bytes[i] : 0;
    }
    return sum;
}

/* It moved a moment ago to where it moves now, and nothing came meanwhile. */
static bool stands_still(const struct view *before, const struct view_topic *t,
                         const struct view_partition *p)
{
    const struct view_topic *old = view_topic(before, t->name);
    const struct view_partition *was =
        old && p->index < old->partitions_n ? &old->partitions[p->index] : NULL;
    return was && p->adding.n && same(was->adding, p->adding) && same(was->isr, p->isr) &&
           bytes_added(was) == bytes_added(p);
}

bool doctor_move_stands_still(const struct view *before, const struct view *now)
{
    for (int32_t i = 0; i < now->topics_n; i++) {
        for (int32_t k = 0; k < now->topics[i].partitions_n; k++) {
            if (stands_still(before, &now->topics[i], &now->topics[i].partitions[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool meet(struct view_ids a, struct view_ids b)
{
    for (int32_t i = 0; i < a.n; i++) {
        if (view_ids_has(b, a.v[i])) {
            return true;
        }
    }
    return false;
}

/* Under a throttle the partitions that move from or to the same broker come one after the other, a
 * fetch each: one of them had its turn meanwhile. */
static bool waits_its_turn(const struct doctor_picture *pic, const struct view_partition *p)
{
    bool throttled = doctor_is_throttled(pic->view, p->leader), other = false;
    for (int32_t i = 0; i < p->adding.n; i++) {
        throttled |= doctor_is_throttled(pic->view, p->adding.v[i]);
    }
    for (int32_t i = 0; throttled && i < pic->view->topics_n; i++) {
        const struct view_topic *t = &pic->view->topics[i];
        const struct view_topic *old = view_topic(pic->before, t->name);
        for (int32_t k = 0; old && k < t->partitions_n && k < old->partitions_n; k++) {
            const struct view_partition *was = &old->partitions[k];
            other |= (was->leader == p->leader || meet(was->adding, p->adding)) && was->adding.n &&
                     !stands_still(pic->before, t, &t->partitions[k]);
        }
    }
    return other;
}

static void tell_moves(const struct doctor_picture *pic, struct doctor_report *r,
                       const struct doctor_finding *found)
{
    struct arena *a = r->arena;
    if (found->places_n == 0) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, found->severity, found->check);
    bool turn = found->severity == DOCTOR_NOTE;
    *f = *found;
    f->what = turn
                  ? arena_printf(a, "%s under a throttle for %s turn to move.",
                                 doctor_count(a, f->places_n, "partition waits", "partitions wait"),
                                 f->places_n == 1 ? "its" : "their")
              : f->places_n == 1
                  ? "The move of a partition stands still."
                  : arena_printf(a, "The moves of %d partitions stand still.", f->places_n);
    f->why = arena_printf(
        a, "Nothing of %s came to %s within %lld ms%s.%s", f->places_n == 1 ? "it" : "them",
        doctor_names(a, "broker", f->nodes), (long long)pic->apart_ms,
        turn ? ", but of others from or to the same brokers" : "", states(pic->view, a, f->nodes));
    doctor_step(
        f,
        turn ? "If that is too slow, set a higher one; this is what is set:"
             : "Start the brokers that are down; if all run, see whether a throttle is too low:",
        arena_printf(a, "millrace configs --bootstrap-server %s --describe --entity-type brokers",
                     pic->servers));
    doctor_step(
        f, "Which moves are going on:",
        arena_printf(a, "millrace reassign-partitions --bootstrap-server %s --list", pic->servers));
}

static void moves(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct doctor_finding still[2] = {{.severity = DOCTOR_WRONG, .check = "move-stands-still"},
                                      {.severity = DOCTOR_NOTE, .check = "move-stands-still"}};
    for (size_t i = 0; i < ARRAY_LEN(still); i++) {
        still[i].nodes = (struct view_ids){ARENA_ARRAY(a, int32_t, pic->view->brokers_n + 1), 0};
    }
    for (int32_t i = 0; pic->before && i < pic->view->topics_n; i++) {
        const struct view_topic *t = &pic->view->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const struct view_partition *p = &t->partitions[k];
            if (!stands_still(pic->before, t, p)) {
                continue;
            }
            struct doctor_finding *f = &still[waits_its_turn(pic, p)];
            doctor_place(r, f, t->name, p->index);
            for (int32_t m = 0; m < p->adding.n; m++) {
                if (f->nodes.n < pic->view->brokers_n && !view_ids_has(f->nodes, p->adding.v[m])) {
                    f->nodes.v[f->nodes.n++] = p->adding.v[m];
                }
            }
        }
    }
    tell_moves(pic, r, &still[0]);
    tell_moves(pic, r, &still[1]);
}

void doctor_partitions(const struct doctor_picture *pic, struct doctor_report *r)
{
    availability(pic, r);
    moves(pic, r);
}

/* ---- topics: what one more failure would do ---- */

typedef bool topic_check(const struct doctor_picture *pic, const struct view_topic *t);

static int32_t factor_of(const struct view_topic *t)
{
    return t->partitions_n ? view_factor(&t->partitions[0]) : 0;
}

static bool has_one_copy(const struct doctor_picture *pic, const struct view_topic *t)
{
    return pic->view->brokers_n > 1 && factor_of(t) == 1;
}

static bool is_internal_with_one_copy(const struct doctor_picture *pic, const struct view_topic *t)
{
    return t->internal && has_one_copy(pic, t);
}

static bool is_own_with_one_copy(const struct doctor_picture *pic, const struct view_topic *t)
{
    return !t->internal && has_one_copy(pic, t);
}

static bool needs_all(const struct doctor_picture *pic, const struct view_topic *t)
{
    UNUSED(pic);
    return factor_of(t) > 1 && t->min_isr >= factor_of(t);
}

static bool needs_one(const struct doctor_picture *pic, const struct view_topic *t)
{
    UNUSED(pic);
    return factor_of(t) > 2 && t->min_isr == 1 && !t->internal;
}

static bool may_lose(const struct doctor_picture *pic, const struct view_topic *t)
{
    UNUSED(pic);
    struct bytes v = view_value(t->settings, t->settings_n, "unclean.leader.election.enable");
    return bytes_eq_str(v, "true") && factor_of(t) > 1;
}

/* One finding with all topics of this factor (0: of any) of which it is true; NULL: it is true of
 * none. */
static struct doctor_finding *topics_of(const struct doctor_picture *pic, struct doctor_report *r,
                                        topic_check *check, int32_t factor,
                                        enum doctor_severity severity, const char *name)
{
    struct doctor_finding found = {.severity = severity, .check = name};
    for (int32_t i = 0; i < pic->view->topics_n; i++) {
        const struct view_topic *t = &pic->view->topics[i];
        if ((factor == 0 || factor_of(t) == factor) && check(pic, t)) {
            doctor_place(r, &found, t->name, -1);
        }
    }
    if (found.places_n == 0) {
        return NULL;
    }
    struct doctor_finding *f = doctor_add(r, severity, name);
    *f = found;
    return f;
}

static struct doctor_finding *topics_with(const struct doctor_picture *pic, struct doctor_report *r,
                                          topic_check *check, enum doctor_severity severity,
                                          const char *name)
{
    return topics_of(pic, r, check, 0, severity, name);
}

static void copies(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct doctor_finding *f =
        topics_with(pic, r, is_internal_with_one_copy, DOCTOR_WRONG, "internal-factor-1");
    if (f) {
        f->what =
            arena_printf(a, "%s one copy, on a cluster of %d brokers.",
                         doctor_count(a, f->places_n, "internal topic has", "internal topics have"),
                         pic->view->brokers_n);
        f->why = "When its broker stops, the groups or transactions whose coordinator it is stand "
                 "still, and with its disk their state is lost.";
        doctor_add_copies(pic, r, f);
    }
    f = topics_with(pic, r, is_own_with_one_copy, DOCTOR_NOTE, "factor-1");
    if (f) {
        f->what = arena_printf(a, "%s one copy.",
                               doctor_count(a, f->places_n, "topic has", "topics have"));
        f->why = "While its broker is down a partition can be neither written nor read; with its "
                 "disk the records are lost.";
        doctor_add_copies(pic, r, f);
    }
}

static int32_t largest_factor(const struct view *v)
{
    int32_t most = 0;
    for (int32_t i = 0; i < v->topics_n; i++) {
        int32_t factor = factor_of(&v->topics[i]);
        most = factor > most ? factor : most;
    }
    return most;
}

/* One finding for each factor, since each asks for another min.insync.replicas. */
static void no_spare(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    for (int32_t factor = largest_factor(pic->view); factor > 1; factor--) {
        struct doctor_finding *f =
            topics_of(pic, r, needs_all, factor, DOCTOR_WRONG, "min-isr-is-factor");
        if (f == NULL) {
            continue;
        }
        f->what = arena_printf(a, "Any restart of a broker stops writes with acks=all to %s.",
                               doctor_count(a, f->places_n, "topic", "topics"));
        f->why = arena_printf(a,
                              "min.insync.replicas is as much as the replication factor, %d, so "
                              "all replicas must be in sync.",
                              factor);
        doctor_step(
            f, "One less is usual:",
            doctor_alter_topics(
                pic, a, f, arena_printf(a, "--add-config min.insync.replicas=%d", factor - 1)));
    }
}

static void rules(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    no_spare(pic, r);
    struct doctor_finding *f = topics_with(pic, r, may_lose, DOCTOR_NOTE, "unclean-election");
    if (f) {
        f->what = arena_printf(a, "%s acknowledged records when replicas that are in sync die.",
                               doctor_count(a, f->places_n, "topic may lose", "topics may lose"));
        f->why = "unclean.leader.election.enable is true: a replica that is not in sync may lead.";
        doctor_step(
            f, "If that is not meant:",
            doctor_alter_topics(pic, a, f, "--add-config unclean.leader.election.enable=false"));
    }
    f = topics_with(pic, r, needs_one, DOCTOR_NOTE, "min-isr-1");
    if (f) {
        f->what = arena_printf(a, "acks=all may mean one copy in %s.",
                               doctor_count(a, f->places_n, "topic", "topics"));
        f->why = "min.insync.replicas is 1: while other replicas are out of sync, the leader alone "
                 "acknowledges, and what it acknowledged is lost with its disk.";
        doctor_step(f, "With three replicas two is usual:",
                    doctor_alter_topics(pic, a, f, "--add-config min.insync.replicas=2"));
    }
}

/* ---- topics: where replicas and leaders are ---- */

static struct bytes rack_of(const struct view *v, int32_t broker)
{
    const struct view_broker *b = view_broker(v, broker);
    return b ? b->rack : BYTES_NULL;
}

/* All replicas of some partition in one rack, though there are others. */
static bool in_one_rack(const struct view *v, const struct view_partition *p)
{
    struct bytes rack = p->replicas.n > 1 ? rack_of(v, p->replicas.v[0]) : BYTES_NULL;
    for (int32_t i = 1; !bytes_is_null(rack) && i < p->replicas.n; i++) {
        if (!bytes_eq(rack, rack_of(v, p->replicas.v[i]))) {
            return false;
        }
    }
    return !bytes_is_null(rack);
}

static bool has_racks(const struct view *v)
{
    for (int32_t i = 1; i < v->brokers_n; i++) {
        if (!bytes_eq(v->brokers[i].rack, v->brokers[0].rack)) {
            return true;
        }
    }
    return false;
}

static void racks(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct doctor_finding found = {.severity = DOCTOR_WRONG, .check = "one-rack"};
    for (int32_t i = 0; has_racks(pic->view) && i < pic->view->topics_n; i++) {
        const struct view_topic *t = &pic->view->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            if (in_one_rack(pic->view, &t->partitions[k])) {
                doctor_place(r, &found, t->name, t->partitions[k].index);
            }
        }
    }
    if (found.places_n == 0) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, found.severity, found.check);
    *f = found;
    f->what = arena_printf(r->arena, "%s all replicas in one rack, though there are others.",
                           doctor_count(r->arena, f->places_n, "partition has", "partitions have"));
    f->why = "With that rack the partition is gone.";
    doctor_step(
        f, "Let balance spread them (this shows the plan):",
        arena_printf(r->arena, "millrace balance --bootstrap-server %s --dry-run", pic->servers));
}

/* Of each broker, by its place in the view: partitions whose first replica it has (its share), that
 * it leads, and of its share those that another one leads, though it could. */
struct share {
    int32_t preferred, led, away;
};

static struct share *shares(const struct doctor_picture *pic, struct doctor_report *r,
                            struct doctor_finding *found)
{
    const struct view *v = pic->view;
    struct share *of = ARENA_ARRAY(r->arena, struct share, v->brokers_n + 1);
    for (int32_t i = 0; i < v->topics_n; i++) {
        const struct view_topic *t = &v->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const struct view_partition *p = &t->partitions[k];
            const struct view_broker *leader = view_broker(v, p->leader);
            const struct view_broker *first =
                p->replicas.n ? view_broker(v, p->replicas.v[0]) : NULL;
            if (leader) {
                of[leader - v->brokers].led++;
            }
            if (first) {
                of[first - v->brokers].preferred++;
            }
            bool moves = p->adding.n + p->removing.n > 0; /* its first replica is still to change */
            if (first && p->leader >= 0 && p->leader != first->id && !moves &&
                view_ids_has(p->isr, first->id)) {
                of[first - v->brokers].away++;
                doctor_place(r, found, t->name, p->index);
            }
        }
    }
    return of;
}

static const char *leaders_text(struct arena *a, struct view_ids less, struct view_ids away)
{
    if (less.n == 0) {
        return arena_printf(a,
                            "Each broker leads as many as its share, but some in the place of %s",
                            doctor_names(a, "broker", away));
    }
    return arena_printf(a, "%s %s: others do the work", doctor_names(a, "Broker", less),
                        less.n == 1 ? "leads less than its share" : "lead less than their share");
}

/* Partitions whose first replica could lead and does not. Named are the brokers that lead less than
 * their share; where each leads as many as its share, but others', those whose they are. */
static void leaders(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    int32_t n = pic->view->brokers_n;
    struct doctor_finding found = {.severity = DOCTOR_NOTE, .check = "leaders-elsewhere"};
    const struct share *of = shares(pic, r, &found);
    if (found.places_n == 0) {
        return;
    }
    struct view_ids less = {ARENA_ARRAY(a, int32_t, n + 1), 0};
    struct view_ids away = {ARENA_ARRAY(a, int32_t, n + 1), 0};
    for (int32_t i = 0; i < n; i++) {
        if (of[i].away) {
            away.v[away.n++] = pic->view->brokers[i].id;
        }
        if (of[i].away && of[i].led < of[i].preferred) {
            less.v[less.n++] = pic->view->brokers[i].id;
        }
        if (of[i].away * 100 > of[i].preferred * IMBALANCE_PERCENT) {
            found.severity = DOCTOR_WRONG;
        }
    }
    struct doctor_finding *f = doctor_add(r, found.severity, found.check);
    *f = found;
    f->nodes = less.n ? less : away;
    f->what = arena_printf(a, "%s not led by the first replica, though it is in sync.",
                           doctor_count(a, f->places_n, "partition is", "partitions are"));
    f->why = arena_printf(a,
                          "%s. After a restart that lasts until the controllers look, if "
                          "auto.leader.rebalance.enable is true.",
                          leaders_text(a, less, away));
    doctor_step(f, "Give them back now:",
                arena_printf(a,
                             "millrace leader-election --bootstrap-server %s --election-type "
                             "preferred --all-topic-partitions",
                             pic->servers));
}

void doctor_topics(const struct doctor_picture *pic, struct doctor_report *r)
{
    rules(pic, r);
    copies(pic, r);
    racks(pic, r);
    leaders(pic, r);
}
