/* Elections, counted and told. A partition that is left without a leader gets a line that says why,
 * and one when it has a leader again; one whose new leader may lack records says so, too.
 *
 * A broker that dies takes the leader from thousands of partitions at once: in a second NAMED of
 * them have lines of their own, the others are one line with their number (from the tick behind
 * it). A controller that begins to lead did not see what came before: it says how many wait. */
#include "base/ids.h"
#include "controller/controller_private.h"
#include "controller/leaderless.h"

enum { NAMED = 5, TOLD_MS = 1000, RECOVERING = 1 };

static bool is_named(struct controller *c)
{
    return c->told.named < NAMED && ++c->told.named;
}

static void say_leaderless(struct controller *c, struct decision *d, const struct image_topic *t,
                           const struct image_partition *p)
{
    struct buf isr = {0}, elr = {0}, last = {0};
    if (!is_named(c)) {
        c->told.leaderless++;
        return;
    }
    bool unclean = decide_unclean_election(d, t);
    leaderless_put(&isr, d->img, d->sessions, p, p->isr, p->isr_n);
    leaderless_put(&elr, d->img, d->sessions, p, p->elr, p->elr_n);
    leaderless_put(&last, d->img, d->sessions, p, p->last_known_elr, p->last_known_elr_n);
    log_warn(c->log, "controller",
             "a partition has no leader: %s partition=%.*s-%d isr=[%s] elr=[%s] "
             "last_known_leader=[%s] unclean.leader.election.enable=%s",
             unclean ? "none of its replicas lives"
                     : "none of its replicas that have all records lives",
             BYTES_FMT(t->name), (int)p->index, buf_cstr(&isr), buf_cstr(&elr), buf_cstr(&last),
             unclean ? "true" : "false");
    buf_free(&isr);
    buf_free(&elr);
    buf_free(&last);
}

/* The leader was neither in sync nor eligible. */
static bool is_unclean(const struct image_partition *was, const struct image_partition *is)
{
    return is->leader_recovery_state == RECOVERING && !id_in(was->isr, was->isr_n, is->leader) &&
           !id_in(was->elr, was->elr_n, is->leader);
}

static void say_leader(struct controller *c, const struct image_topic *t,
                       const struct image_partition *is, bool unclean)
{
    if (!is_named(c)) {
        c->told.led_again += !unclean;
        c->told.unclean += unclean;
    } else if (unclean) {
        log_warn(c->log, "controller",
                 "an unclean election: records that the leader did not have are lost "
                 "partition=%.*s-%d leader=%d leader_epoch=%d",
                 BYTES_FMT(t->name), (int)is->index, (int)is->leader, (int)is->leader_epoch);
    } else {
        log_info(c->log, "controller",
                 "a partition has a leader again partition=%.*s-%d leader=%d leader_epoch=%d",
                 BYTES_FMT(t->name), (int)is->index, (int)is->leader, (int)is->leader_epoch);
    }
}

static void look(struct controller *c, struct decision *d, const struct image_topic *t,
                 const struct image_partition *was, const struct image_partition *is)
{
    if (is->leader < 0) { /* what it waits for may have changed, too */
        say_leaderless(c, d, t, is);
    } else if (is->leader != was->leader) {
        bool unclean = is_unclean(was, is);
        c->elections++;
        c->unclean_elections += unclean;
        if (unclean || was->leader < 0) {
            say_leader(c, t, is, unclean);
        } else if (decide_is_active(d, was->leader)) {
            c->told.left_full += !decide_replica_has_room(d, was, was->leader);
        }
    }
}

void controller_elections(struct controller *c, const struct image_delta *delta)
{
    struct decision d; /* for questions */
    struct arena a = {0};
    controller_decision(c, &d, &a);
    for (uint32_t i = 0; i < delta->topics_n; i++) {
        const struct image_topic *before = delta->topics[i].before, *after = delta->topics[i].after;
        for (uint32_t p = 0; before && after && p < before->partitions_n; p++) {
            const struct image_partition *was = image_partition(before, (int32_t)p);
            const struct image_partition *is = image_partition(after, (int32_t)p);
            if (was && is && is != was) {
                look(c, &d, after, was, is);
            }
        }
    }
    decision_free(&d);
    arena_free(&a);
}

void controller_elections_lead(struct controller *c)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    uint32_t n = 0;
    c->told = (struct elections_told){.since_ms = shard_now_ms(c->shard)};
    while ((t = image_next_topic(c->newest, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            n += t->partitions[i] && t->partitions[i]->leader < 0;
        }
    }
    if (n > 0) {
        log_warn(c->log, "controller",
                 "this controller leads from now on and finds partitions without a leader "
                 "partitions=%u",
                 n);
    }
}

void controller_elections_tick(struct controller *c)
{
    int64_t now = shard_now_ms(c->shard);
    if (now - c->told.since_ms < TOLD_MS) {
        return;
    }
    if (c->told.leaderless > 0) {
        log_warn(c->log, "controller", "more partitions have no leader partitions=%u",
                 c->told.leaderless);
    }
    if (c->told.unclean > 0) {
        log_warn(c->log, "controller",
                 "more unclean elections: records that leaders did not have are lost partitions=%u",
                 c->told.unclean);
    }
    if (c->told.led_again > 0) {
        log_info(c->log, "controller", "more partitions have a leader again partitions=%u",
                 c->told.led_again);
    }
    if (c->told.left_full > 0) {
        log_info(c->log, "controller", "replicas on full disks do not lead any more partitions=%u",
                 c->told.left_full);
    }
    c->told = (struct elections_told){.since_ms = now};
}
