/* What the doctor says of throttles. They are set for moves and are to go with them; one that stays
 * slows down every replica that ever has to catch up.
 *
 * As long as anything moves a throttle belongs to that. A tool sets it a moment before its moves
 * begin and takes it off a moment behind them, so doctor_ask.c looks for some seconds before one
 * that is there without moves is called left behind. */
#include "base/assert.h"
#include "tools/doctor.h"

enum { DYNAMIC_BROKER = 2, DYNAMIC_DEFAULT = 3 }; /* sources of settings */

static const char leader_rate[] = "leader.replication.throttled.rate";
static const char follower_rate[] = "follower.replication.throttled.rate";
static const char dirs_rate[] = "replica.alter.log.dirs.io.max.bytes.per.second";
static const char *const throttled_lists[] = {"leader.replication.throttled.replicas",
                                              "follower.replication.throttled.replicas"};

static bool has(const struct view_broker *b, const char *name, int8_t source)
{
    for (int32_t i = 0; i < b->settings_n; i++) {
        if (bytes_eq_str(b->settings[i].name, name) && b->settings[i].source == source) {
            return true;
        }
    }
    return false;
}

/* For the replicas that are copied between brokers, or between the directories of one. */
static bool has_rate(const struct view_broker *b, bool dirs, int8_t source)
{
    return dirs ? has(b, dirs_rate, source)
                : has(b, leader_rate, source) || has(b, follower_rate, source);
}

static bool is_default(const struct view *v, bool dirs)
{
    for (int32_t i = 0; i < v->brokers_n; i++) {
        if (has_rate(&v->brokers[i], dirs, DYNAMIC_DEFAULT)) {
            return true;
        }
    }
    return false;
}

bool doctor_is_throttled(const struct view *v, int32_t broker)
{
    const struct view_broker *b = view_broker(v, broker);
    return is_default(v, false) || (b && has_rate(b, false, DYNAMIC_BROKER));
}

/* The brokers that have a rate of their own. */
static struct view_ids throttled_brokers(struct arena *a, const struct view *v, bool dirs)
{
    struct view_ids own = {ARENA_ARRAY(a, int32_t, v->brokers_n + 1), 0};
    for (int32_t i = 0; i < v->brokers_n; i++) {
        if (has_rate(&v->brokers[i], dirs, DYNAMIC_BROKER)) {
            own.v[own.n++] = v->brokers[i].id;
        }
    }
    return own;
}

static bool is_throttled(const struct view_topic *t)
{
    for (size_t i = 0; i < ARRAY_LEN(throttled_lists); i++) {
        if (view_value(t->settings, t->settings_n, throttled_lists[i]).len) {
            return true;
        }
    }
    return false;
}

bool doctor_throttle_is_idle(const struct view *v)
{
    bool any = is_default(v, false) || is_default(v, true);
    for (int32_t i = 0; i < v->brokers_n; i++) {
        any |= has_rate(&v->brokers[i], false, DYNAMIC_BROKER) ||
               has_rate(&v->brokers[i], true, DYNAMIC_BROKER);
    }
    for (int32_t i = 0; i < v->topics_n; i++) {
        any |= is_throttled(&v->topics[i]);
    }
    return any && v->moves + v->dir_moves == 0;
}

/* ---- how to take them off ---- */

static const char *spaced(struct arena *a, struct view_ids ids)
{
    const char *text = "";
    for (int32_t i = 0; i < ids.n; i++) {
        text = arena_printf(a, "%s %d", text, ids.v[i]);
    }
    return text;
}

static void rate_steps(const struct doctor_picture *pic, struct arena *a, struct doctor_finding *f,
                       bool by_default, const char *rates)
{
    const char *change = arena_printf(a, "--delete-config %s", rates);
    if (f->nodes.n) {
        doctor_step(f, "Take the rate away:",
                    doctor_alter(pic, a, "broker", spaced(a, f->nodes), f->nodes.n, change));
    }
    if (by_default) {
        doctor_step(f, "Take the rate of all brokers away:",
                    doctor_alter(pic, a, "broker-defaults", "", 1, change));
    }
}

static void list_step(const struct doctor_picture *pic, struct arena *a, struct doctor_finding *f)
{
    if (f->places_n) {
        doctor_step(f, "Take the lists of throttled replicas away:",
                    doctor_alter_topics(pic, a, f,
                                        arena_printf(a, "--delete-config %s,%s", throttled_lists[0],
                                                     throttled_lists[1])));
    }
}

/* "A rate is set on brokers 1 and 2 and as the default of all brokers." */
static const char *where(struct arena *a, struct view_ids own, bool by_default)
{
    return arena_printf(a, "A rate is set%s%s%s%s.", own.n ? " on " : "",
                        own.n ? doctor_names(a, "broker", own) : "",
                        own.n && by_default ? " and" : "",
                        by_default ? " as the default of all brokers" : "");
}

/* ---- findings ---- */

/* What the throttle belongs to: "2 partitions and 1 replica between directories". */
static const char *moves_text(struct arena *a, const struct view *v)
{
    const char *parts = doctor_count(a, v->moves, "partition", "partitions");
    const char *dirs = arena_printf(a, "%s between directories",
                                    doctor_count(a, v->dir_moves, "replica", "replicas"));
    return v->dir_moves == 0 ? parts
           : v->moves == 0   ? dirs
                             : arena_printf(a, "%s and %s", parts, dirs);
}

static void in_use(const struct doctor_picture *pic, struct doctor_report *r,
                   struct doctor_finding *f, bool by_default)
{
    struct arena *a = r->arena;
    f->severity = DOCTOR_NOTE;
    f->check = "throttle-in-use";
    f->what =
        arena_printf(a, "A throttle of replication is set: it belongs to moves under way, %s.",
                     moves_text(a, pic->view));
    f->why = arena_printf(a,
                          "%s Whoever set it takes it off when they have ended; a tool that was "
                          "interrupted does so when it is run again.",
                          where(a, f->nodes, by_default));
    doctor_step(
        f, "Which moves are going on:",
        arena_printf(a, "millrace reassign-partitions --bootstrap-server %s --list", pic->servers));
}

static void replication(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct doctor_finding found = {.severity = DOCTOR_WRONG, .check = "throttle-left"};
    bool by_default = is_default(pic->view, false);
    found.nodes = throttled_brokers(a, pic->view, false);
    for (int32_t i = 0; i < pic->view->topics_n; i++) {
        if (is_throttled(&pic->view->topics[i])) {
            doctor_place(r, &found, pic->view->topics[i].name, -1);
        }
    }
    bool rate = found.nodes.n || by_default, moves = pic->view->moves + pic->view->dir_moves > 0;
    if (!rate && (moves || found.places_n == 0)) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, found.severity, found.check);
    *f = found;
    if (moves) {
        in_use(pic, r, f, by_default);
        return;
    }
    if (!rate) {
        f->severity = DOCTOR_NOTE; /* lists without a rate slow nothing down */
    }
    f->what = "A throttle of replication is left behind, and nothing moves.";
    f->why = rate ? arena_printf(a,
                                 "%s Replicas that must catch up after a failure may be held back "
                                 "by it.",
                                 where(a, f->nodes, by_default))
                  : "Only lists of throttled replicas; without a rate they do nothing yet.";
    rate_steps(pic, a, f, by_default, arena_printf(a, "%s,%s", leader_rate, follower_rate));
    list_step(pic, a, f);
}

static void directories(const struct doctor_picture *pic, struct doctor_report *r)
{
    struct arena *a = r->arena;
    struct view_ids own = throttled_brokers(a, pic->view, true);
    bool by_default = is_default(pic->view, true);
    if (pic->view->moves + pic->view->dir_moves || (own.n == 0 && !by_default)) {
        return;
    }
    struct doctor_finding *f = doctor_add(r, DOCTOR_NOTE, "dirs-throttle-left");
    f->nodes = own;
    f->what = "A throttle of moves between log directories is left behind, and nothing moves.";
    f->why = arena_printf(a, "%s The next such move will be held back by it.",
                          where(a, own, by_default));
    rate_steps(pic, a, f, by_default, dirs_rate);
}

void doctor_throttles(const struct doctor_picture *pic, struct doctor_report *r)
{
    replication(pic, r);
    directories(pic, r);
}
