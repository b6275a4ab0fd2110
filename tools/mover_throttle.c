/* The throttle of a plan that is carried out (mover.h): set before the moves, taken off behind
 * them.
 *
 *     lists of topics -> rates of brokers -> moves ...        set
 *     ... moves have ended -> rates -> lists of topics        taken off
 *
 * So the lists of the topics are there as long as anything of a throttle is, whenever this program
 * ends: by them who comes again finds what it left behind. A list that a move has set names
 * replicas
 * ("0:1,0:2"); one that an operator has set for good ("*") is never touched. */
#include <stdio.h>
#include <unistd.h>

#include "tools/mover.h"
#include "tools/output.h"

static const char leader_list[] = "leader.replication.throttled.replicas";
static const char follower_list[] = "follower.replication.throttled.replicas";
static const char *const lists[] = {leader_list, follower_list, NULL};

/* How long a throttle may be there before the moves that it is for begin. */
enum { BEGIN_TRIES = 12, BEGIN_MS = 250 };

/* Of the brokers of the plan, those that run: the others neither send nor receive, and nobody could
 * set anything for them. */
static void leave_out_down(const struct view *v, struct throttle_plan *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->brokers_n; i++) {
        if (view_is_up(v, t->brokers[i])) {
            t->brokers[n++] = t->brokers[i];
        }
    }
    t->brokers_n = n;
}

static int make_plan(struct mover *m, const struct view *v, const struct replica_sets *all,
                     struct throttle_plan *out)
{
    struct replica_sets now, ongoing;
    int rv = client_metadata_refresh(m->c);
    rv = rv ? rv : reassign_current(m->c, &now);
    rv = rv ? rv : reassign_ongoing(m->c, NULL, &ongoing);
    if (rv == 0) {
        throttle_plan(&m->c->arena, &ongoing, all, &now, out);
        leave_out_down(v, out);
    }
    return rv;
}

static struct bytes list_of(const struct view_topic *t, const char *name)
{
    return view_value(t->settings, t->settings_n, name);
}

/* Did whoever began what moves throttle it? */
static bool was_throttled(struct mover *m, const struct view *v, const struct replica_sets *all)
{
    struct view copy = *v;
    if (m->found == 0 || view_ask_topic_settings(m->c, &copy, lists)) {
        return false;
    }
    for (size_t i = 0; i < all->n; i++) {
        const struct view_topic *t = view_topic(&copy, all->v[i].topic);
        if (t && list_of(t, leader_list).len + list_of(t, follower_list).len) {
            return true;
        }
    }
    return false;
}

/* to: what it has and what t has. All have their topics by name. */
static void merge(struct arena *a, struct throttle_plan *to, const struct throttle_plan *t)
{
    const struct throttle_plan was = *to;
    *to = (struct throttle_plan){
        .topics = ARENA_ARRAY(a, struct throttled_topic, was.topics_n + t->topics_n + 1),
        .brokers = ARENA_ARRAY(a, int32_t, was.brokers_n + t->brokers_n + 1)};
    for (size_t i = 0, k = 0; i < was.topics_n || k < t->topics_n;) {
        int c = i == was.topics_n  ? 1
                : k == t->topics_n ? -1
                                   : bytes_cmp(was.topics[i].topic, t->topics[k].topic);
        to->topics[to->topics_n++] = c <= 0 ? was.topics[i] : t->topics[k];
        i += c <= 0;
        k += c >= 0;
    }
    for (size_t i = 0; i < was.brokers_n + t->brokers_n; i++) {
        int32_t id = i < was.brokers_n ? was.brokers[i] : t->brokers[i - was.brokers_n];
        if (!id_in(to->brokers, to->brokers_n, id)) {
            to->brokers[to->brokers_n++] = id;
        }
    }
}

/* Plans a throttle that is asked for, or was by who began what moves: it is to be taken off. */
static int learn(struct mover *m, const struct view *v, const struct replica_sets *all,
                 struct throttle_plan *t)
{
    *t = (struct throttle_plan){0};
    bool any = m->throttle > 0 || was_throttled(m, v, all);
    int rv = any ? make_plan(m, v, all, t) : 0;
    merge(&m->c->arena, &m->throttled, t);
    return rv;
}

int mover_throttle_learn(struct mover *m, const struct view *v, const struct replica_sets *all)
{
    struct throttle_plan t;
    return learn(m, v, all, &t);
}

int mover_throttle_set(struct mover *m, const struct view *v, const struct replica_sets *all)
{
    struct throttle_plan t;
    struct replica_sets moving;
    int rv = learn(m, v, all, &t);
    if (rv || m->throttle == 0) {
        return rv;
    }
    rv = throttle_set(m->c, &t, m->throttle);
    struct errmsg first = m->c->error;
    if (rv && reassign_ongoing(m->c, NULL, &moving) == 0 && moving.n == 0) {
        mover_throttle_clear(m);
    }
    m->c->error = first;
    return rv;
}

void mover_throttle_clear(struct mover *m)
{
    struct client *c = m->c;
    const struct throttle_plan *t = &m->throttled;
    for (size_t i = 0; i < t->brokers_n; i++) {
        if (throttle_clear_brokers(c, &t->brokers[i], 1)) {
            fprintf(stderr,
                    "The throttle of broker %d could not be taken off: %s (millrace cluster doctor "
                    "says how)\n",
                    t->brokers[i], c->error.text);
        }
    }
    for (size_t i = 0; i < t->topics_n; i++) {
        throttle_clear_topics(c, &t->topics[i].topic, 1); /* a topic may have been deleted */
    }
    merge(&c->arena, &m->cleared, t);
    m->throttled = (struct throttle_plan){0};
}

/* ---- what an earlier run left behind ---- */

struct left {
    struct throttle_plan t;
    bool may_begin; /* a replica that shall receive is not there: its move was called off, or was
                       not begun yet */
};

static bool is_cleared(const struct mover *m, struct bytes topic)
{
    for (size_t i = 0; i < m->cleared.topics_n; i++) {
        if (bytes_eq(m->cleared.topics[i].topic, topic)) {
            return true; /* a broker that does not know yet tells the old list */
        }
    }
    return false;
}

static bool sends(const struct throttle_marks *senders, int32_t broker)
{
    for (size_t i = 0; i < senders->n; i++) {
        if (senders->v[i].broker == broker) {
            return true;
        }
    }
    return false;
}

/* named, by the place of each broker in v, becomes true for those of marks. */
static void put_brokers(bool *named, const struct view *v, const struct throttle_marks *marks)
{
    for (size_t i = 0; i < marks->n; i++) {
        const struct view_broker *b = view_broker(v, marks->v[i].broker);
        if (b) {
            named[b - v->brokers] = true;
        }
    }
}

int32_t mover_have_left(struct mover *m, const struct view *v)
{
    struct view copy = *v;
    int32_t n = 0;
    int rv = view_ask_topic_settings(m->c, &copy, lists);
    for (int32_t i = 0; rv == 0 && i < copy.topics_n; i++) {
        const struct view_topic *t = &copy.topics[i];
        struct throttle_marks senders;
        bool read = throttle_marks_read(&m->c->arena, list_of(t, leader_list), &senders);
        for (size_t k = 0; read && k < senders.n; k++) {
            int32_t at = senders.v[k].partition;
            n += senders.v[k].broker == m->broker && at < t->partitions_n &&
                 !view_ids_has(t->partitions[at].replicas, m->broker);
        }
    }
    return n;
}

static bool all_received(const struct view_topic *t, const struct throttle_marks *receivers)
{
    for (size_t i = 0; i < receivers->n; i++) {
        int32_t at = receivers->v[i].partition;
        if (at < t->partitions_n &&
            !view_ids_has(t->partitions[at].replicas, receivers->v[i].broker)) {
            return false;
        }
    }
    return true;
}

/* A drain's own lists have its broker among those that send; a balance takes all for its own. */
static int find_left(struct mover *m, struct view *v, struct left *out)
{
    struct arena *a = &m->c->arena;
    *out = (struct left){0};
    out->t.topics = ARENA_ARRAY(a, struct throttled_topic, v->topics_n + 1);
    out->t.brokers = ARENA_ARRAY(a, int32_t, v->brokers_n + 1);
    bool *named = ARENA_ARRAY(a, bool, v->brokers_n + 1);
    int rv = view_ask_topic_settings(m->c, v, lists);
    for (int32_t i = 0; rv == 0 && i < v->topics_n; i++) {
        const struct view_topic *t = &v->topics[i];
        struct throttle_marks senders, receivers;
        bool ours = throttle_marks_read(a, list_of(t, leader_list), &senders) &&
                    throttle_marks_read(a, list_of(t, follower_list), &receivers) &&
                    senders.n + receivers.n > 0 && !is_cleared(m, t->name);
        if (ours && (m->broker < 0 || sends(&senders, m->broker))) {
            out->t.topics[out->t.topics_n++] = (struct throttled_topic){.topic = t->name};
            put_brokers(named, v, &senders);
            put_brokers(named, v, &receivers);
            out->may_begin |= !all_received(t, &receivers);
        }
    }
    for (int32_t i = 0; i < v->brokers_n; i++) {
        if (named[i]) {
            out->t.brokers[out->t.brokers_n++] = v->brokers[i].id;
        }
    }
    return rv;
}

/* What another tool has just set is not left behind: it is waited for a while whether moves begin.
 */
static int find_settled(struct mover *m, struct view *v, struct left *out)
{
    int rv = find_left(m, v, out);
    bool again = rv == 0 && out->t.topics_n; /* the picture may be an old one */
    for (int i = 0; i < BEGIN_TRIES && again && !reassign_interrupted(); i++) {
        if (i > 0) {
            usleep(BEGIN_MS * 1000);
        }
        rv = view_ask(m->c, v);
        rv = rv ? rv : find_left(m, v, out);
        again = rv == 0 && out->may_begin && v->moves == 0;
    }
    return rv;
}

static void tell_left(const struct throttle_plan *t)
{
    printf("Taking off the throttle that an earlier run left behind: %zu topic%s", t->topics_n,
           t->topics_n == 1 ? "" : "s");
    for (size_t i = 0; i < t->brokers_n; i++) {
        printf("%s%d", i ? ", " : t->brokers_n > 1 ? ", brokers " : ", broker ", t->brokers[i]);
    }
    printf(".\n");
    output_flush();
}

static void tell_down(const struct view *v, const struct throttle_plan *t)
{
    for (size_t i = 0; i < t->brokers_n; i++) {
        if (!view_is_up(v, t->brokers[i])) {
            fprintf(stderr,
                    "Broker %d is down: a throttle that it has stays (when it is back, millrace "
                    "cluster doctor says how to take it off).\n",
                    t->brokers[i]);
        }
    }
}

int mover_throttle_left(struct mover *m, const struct view *v)
{
    struct view now = *v;
    struct left left;
    int rv = find_settled(m, &now, &left);
    if (rv || left.t.topics_n == 0 || reassign_interrupted()) {
        return rv;
    }
    if (now.moves) { /* the rates of the brokers are for these as well */
        if (m->broker >= 0) {
            printf("A throttle that an earlier run left behind stays while other partitions move: "
                   "run this again when they are there (millrace reassign-partitions --list).\n");
        }
        return 0;
    }
    tell_left(&left.t);
    tell_down(&now, &left.t);
    leave_out_down(&now, &left.t);
    m->throttled = left.t;
    mover_throttle_clear(m);
    return 0;
}
