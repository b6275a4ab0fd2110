/* See cluster_play.h: the schedules. Without the rule that a play needs the watch (cluster_watch.c)
 * notices in the play itself: a member of the ISR, or of the ELR, lacks what is committed, or a
 * broker leaves that was not told to. */
#include "broker/partition.h"
#include "sim/cluster_play.h"

enum {
    MANY = 40, /* records, and fetches of them */
    BLACKOUTS = 8,
    SLOW_US = 100000,
    ROUNDS = 3,
    AT_ONCE_US = 800000, /* replica.lag.time.max.ms is 1000 (workload_plays.c) */
};

/* ---- what plays wait for ---- */

static bool third_is_out(struct play *p)
{
    return !play_in_isr(p, p->third);
}

static bool third_is_in(struct play *p)
{
    return play_in_isr(p, p->third);
}

static bool is_held(struct play *p)
{
    return p->held;
}

static bool all_equal(struct play *p)
{
    int64_t end = play_end(p, p->leader);
    return end == play_end(p, p->second) && end == play_end(p, p->third);
}

/* Acknowledged by everybody, who all know that. */
static void produce(struct play *p, unsigned records)
{
    play_produce(p, p->leader, -1, records);
    play_until(p, play_answered, "records are acknowledged");
}

/* Now and then a power loss leaves all by chance: then the play shows nothing, and does no harm. */
static void note_loss(struct play *p, struct machine *m)
{
    run_note(p->cr->nr.r, "it has lost its tail: %s",
             play_end(p, m) < play_end(p, p->leader) ? "yes" : "no");
}

/* The third dies, and the other two go on without it. */
static void leave_third_behind(struct play *p, unsigned records)
{
    produce(p, 3);
    play_until(p, all_equal, "all have them");
    play_down(p, p->third, WORLD_KILL);
    play_until(p, third_is_out, "the third is not in sync any more");
    produce(p, records);
}

/* ---- watermark: two followers, one with records that nobody committed, and neither has heard yet
 * how far the others are when the leader is gone ---- */

static bool two_have_it(struct play *p)
{
    return play_end(p, p->second) == 4 && play_end(p, p->third) == 4;
}

static bool third_has_more(struct play *p)
{
    return play_end(p, p->third) == 6;
}

static bool it_is_committed(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && plog_high_watermark(copy->log) == 4;
}

static bool second_leads(struct play *p)
{
    const struct image_partition *ip = play_state(p);
    return ip && ip->leader == p->second->node_id;
}

static bool third_was_cut(struct play *p)
{
    return play_end(p, p->third) < 6;
}

static void play_watermark(struct play *p)
{
    produce(p, 3);
    play_until(p, all_equal, "all have them");
    play_hold(p, p->second, p->leader, API_FETCH);
    play_produce(p, p->leader, -1, 1);
    play_until(p, two_have_it, "both followers have one more");
    play_produce(p, p->leader, 1, 2);
    play_until(p, third_has_more, "the third has what the second has not");
    play_cut(p, p->leader, p->third, true);
    sim_net_block(&p->cr->nr.w.sim->net, p->leader->host, p->second->host, true);
    play_release(p);
    play_until(p, it_is_committed, "the leader knows how far the second is");
    play_until(p, play_answered, "and says so to who produced it");
    play_down(p, p->leader, WORLD_OFF);
    play_until(p, second_leads, "the second leads");
    play_until(p, third_was_cut, "the third is cut");
}

/* ---- behind: who returns needs many fetches, and is awaited with the first ---- */

static bool third_is_seen(struct play *p)
{
    struct isr_follower *f = play_follower(p, p->third);
    return f && f->alive && p->held;
}

static void play_behind(struct play *p)
{
    leave_third_behind(p, MANY);
    play_hold(p, p->third, p->leader, API_FETCH);
    play_up(p, p->third);
    play_until(p, third_is_seen, "the third is back, and its first fetch on its way");
    play_release(p);
    play_until(p, third_is_in, "the third is in sync");
}

/* ---- join, fence: the leader's word that the third has all comes late ---- */

static bool third_is_proposed(struct play *p)
{
    struct isr_follower *f = play_follower(p, p->third);
    return f && f->proposed && p->held;
}

static void propose_third(struct play *p)
{
    leave_third_behind(p, MANY);
    play_hold(p, p->leader, p->controller, API_ALTER_PARTITION);
    play_up(p, p->third);
    play_until(p, third_is_proposed, "the third has all, which the leader is telling");
}

static bool third_is_back(struct play *p)
{
    return play_copy(p, p->third) && play_unfenced(p, p->third);
}

static bool proposal_is_over(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && copy->isr && !copy->isr->pending;
}

/* Meanwhile another process of the third, without what it had, took its place. */
static void play_join(struct play *p)
{
    propose_third(p);
    play_down(p, p->third, WORLD_POWER);
    play_cut(p, p->leader, p->third, true);
    play_up(p, p->third);
    play_until(p, third_is_back, "the third is back");
    note_loss(p, p->third);
    play_release(p);
    play_until(p, proposal_is_over, "the leader is told no");
}

/* Meanwhile the partition changed, and its leader gave up that proposal and went on without the
 * third. */
static void play_fence(struct play *p)
{
    const int32_t order[] = {p->leader->node_id, p->third->node_id, p->second->node_id};
    propose_third(p);
    play_cut(p, p->leader, p->third, true);
    play_reorder(p, p->second, order);
    play_until(p, proposal_is_over, "the leader knows of the other order");
    produce(p, 4);
    play_release(p);
    cluster_run_for(p->cr, 500000); /* nobody answers to what is not asked any more */
}

/* ---- zombie: the leader asks to be let go, dies, and its next process leads when that is heard
 * ---- */

static bool second_leads_alone(struct play *p)
{
    return second_leads(p) && !play_in_isr(p, p->leader);
}

static bool leads_again(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && copy->is_leader && play_in_isr(p, p->leader);
}

static void play_zombie(struct play *p)
{
    produce(p, 3);
    play_hold(p, p->leader, p->controller, API_BROKER_HEARTBEAT);
    p->cr->members[p->leader->index].stopping = true;
    machine_stop(p->leader);
    play_until(p, is_held, "the leader asks to be let go");
    play_down(p, p->leader, WORLD_KILL);
    play_until(p, second_leads_alone, "it dies before it is heard");
    play_up(p, p->leader);
    play_until(p, leads_again, "it leads again, as the first of the replicas");
    play_release(p);
    cluster_run_for(p->cr, 500000); /* nobody waits for the answer any more */
}

/* ---- clean: the last but one of the ISR loses its tail, and then the last one does not answer
 * ---- */

static bool second_may_lead(struct play *p)
{
    const struct image_partition *ip = play_state(p);
    return ip && ip->isr_n == 1 && ip->elr_n == 1 && ip->elr[0] == p->second->node_id;
}

static bool second_is_back(struct play *p)
{
    return play_copy(p, p->second) && play_unfenced(p, p->second);
}

static bool leader_is_fenced(struct play *p)
{
    return !play_unfenced(p, p->leader);
}

static void play_clean(struct play *p)
{
    produce(p, 3);
    play_until(p, all_equal, "all have them");
    machine_pause(p->third, INT64_MAX / 2);
    play_until(p, third_is_out, "the third is not in sync any more");
    produce(p, MANY);
    play_down(p, p->second, WORLD_POWER);
    play_until(p, second_may_lead, "the second is out of sync, and could lead");
    play_cut(p, p->leader, p->second, true);
    play_up(p, p->second);
    play_until(p, second_is_back, "the second is back");
    note_loss(p, p->second);
    machine_pause(p->leader, INT64_MAX / 2);
    play_until(p, leader_is_fenced, "the leader does not answer");
    cluster_run_for(p->cr, 500000); /* and nobody takes its place */
}

/* ---- ahead: the controller is to count by more copies than the leader knows of, says yes to an
 * in-sync set of one, and the answer is there before the metadata ---- */

static bool one_is_enough(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && partition_min_isr(copy) == 1;
}

static bool knows_to_be_alone(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && copy->isr && copy->isr->isr_n == 1;
}

static void play_ahead(struct play *p)
{
    produce(p, 3);
    play_until(p, all_equal, "all have them");
    play_set_min_isr(p, p->second, 1);
    play_until(p, one_is_enough, "one copy is enough");
    play_hold(p, p->leader, p->controller, API_FETCH);
    play_until(p, is_held, "the leader hears of no more metadata");
    play_set_min_isr(p, p->second, 2);
    play_cut(p, p->leader, p->second, true);
    play_cut(p, p->leader, p->third, true);
    play_produce(p, p->leader, 1, MANY);
    play_until(p, knows_to_be_alone, "the leader is alone in sync, by the controller's answer");
    cluster_run_for(p->cr, 200000); /* what it has alone is not committed */
}

/* ---- tear: the power fails when more was written behind what was flushed, in the same block ----
 */

static bool has_one_more(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && plog_end_offset(copy->log) > plog_flushed_offset(copy->log);
}

static bool leads_alone(struct play *p)
{
    struct partition *copy = play_copy(p, p->leader);
    return copy && copy->is_leader;
}

static void play_tear(struct play *p)
{
    struct sim_disk_faults *f = &p->leader->host->disk->faults;
    for (unsigned k = 0; k < BLACKOUTS; k++) {
        produce(p, 1);
        f->fsync_us_min = f->fsync_us_max = SLOW_US;
        play_produce(p, p->leader, -1, 1);
        play_until(p, has_one_more, "a record is written and not flushed");
        play_down(p, p->leader, WORLD_POWER);
        *f = sim_disk_no_faults();
        play_until(p, play_answered, "the producer is hung up on");
        play_up(p, p->leader);
        play_until(p, leads_alone, "the leader is back");
    }
}

/* ---- full: the second has room for some of a producer's batches, for all of them later, and leads
 * when they are sent once more, since no answer came ---- */

static bool second_is_full(struct play *p)
{
    return p->second->host->disk->stats.nospace > 0 && play_end(p, p->second) > 3 &&
           play_end(p, p->second) < play_end(p, p->leader);
}

static bool second_is_out(struct play *p)
{
    return !play_in_isr(p, p->second);
}

static bool second_is_in(struct play *p)
{
    return play_in_isr(p, p->second) && all_equal(p);
}

/* The disk is full until it is out of sync, or not so long, or its node is killed meanwhile. */
static void fill_second(struct play *p, unsigned way)
{
    struct sim_disk *d = p->second->host->disk;
    d->capacity = d->used;
    play_produce_once(p, p->leader);
    play_until(p, second_is_full, "the second has room for some of it");
    if (way == 1) {
        play_until(p, second_is_out, "it is out of sync");
    } else if (way == 2) {
        play_down(p, p->second, WORLD_KILL);
    }
    d->capacity = NODE_DISK_BYTES;
    if (way == 2) {
        play_up(p, p->second);
        play_until(p, second_is_back, "the second is back");
    }
    play_until(p, second_is_in, "the second has all of it");
}

static void play_full(struct play *p)
{
    produce(p, 3);
    play_until(p, all_equal, "all have them");
    fill_second(p, (unsigned)(p->cr->nr.r->seed / PLAYS % 3));
    int64_t end = play_end(p, p->leader);
    play_down(p, p->leader, WORLD_KILL);
    play_until(p, second_leads, "the leader dies, the second leads");
    play_until(p, play_answered, "the producer is hung up on");
    play_produce_once(p, p->second);
    play_until(p, play_answered, "its batches are answered");
    RUN_CHECK(p->cr->nr.r, play_end(p, p->second) == end);
}

/* ---- room: the leader's disk is full, and stays so while the others go on at once: before the
 * time is over for which a replica that lags is waited for ---- */

static void fill_leader(struct play *p)
{
    p->leader->host->disk->capacity = p->leader->host->disk->used;
    while (!p->refused) { /* the last page has room for some */
        play_try(p, p->leader);
        play_until(p, play_answered, "a record is tried");
    }
}

static void play_room(struct play *p)
{
    const struct sim_clock *clock = &p->cr->nr.w.sim->clock;
    produce(p, 3);
    play_until(p, all_equal, "all have them");
    fill_leader(p);
    int64_t since = clock->now_us;
    play_until(p, second_leads_alone, "the second leads, and the first is not in sync any more");
    for (int k = 0; k < ROUNDS; k++) {
        play_produce(p, p->second, -1, MANY);
        play_until(p, play_answered, "records are acknowledged");
    }
    RUN_CHECK(p->cr->nr.r, clock->now_us - since < AT_ONCE_US);
    RUN_CHECK(p->cr->nr.r, !play_in_isr(p, p->leader) && play_unfenced(p, p->leader));
    p->leader->host->disk->capacity = NODE_DISK_BYTES;
    play_until(p, leads_again, "there is room, and it leads again");
}

/* ---- wiped: a voter elects one leader, loses its disk, and is asked by another candidate of the
 * same epoch, which knows of no leader ---- */

static bool another_epoch(struct play *p)
{
    int32_t epoch = -1;
    p->active = cluster_active(p->cr);
    return p->active != NULL && cluster_leads(p->active, &epoch) && epoch > p->epoch;
}

static bool voter_runs(struct play *p)
{
    return p->voter->state == NODE_RUNNING;
}

static struct machine *other_controller(struct play *p, const struct machine *a,
                                        const struct machine *b)
{
    struct machine *m = p->cr->nr.w.machines;
    while (m == a || m == b) {
        m++;
    }
    return m;
}

static void play_wiped(struct play *p)
{
    struct machine *first = cluster_active(p->cr);
    struct machine *unheard = other_controller(p, first, NULL);
    cluster_leads(first, &p->epoch);
    play_isolate(p, unheard, true);
    play_down(p, first, WORLD_KILL);
    play_up(p, first);
    play_until(p, another_epoch, "a leader is elected without the third controller");
    p->voter = other_controller(p, p->active, unheard);
    play_isolate(p, p->active, true);
    cluster_wipe(p->cr, p->voter);
    p->cr->wipe.ask_us = INT64_MAX; /* nobody admits it for now */
    cluster_run_for(p->cr, 1);
    play_up(p, p->voter);
    play_until(p, voter_runs, "its voter has lost its disk, and runs on a new one");
    play_cut(p, unheard, p->voter, false);
    cluster_run_for(p->cr, 4000000); /* for want of a leader they ask for votes */
}

void play_run(struct play *p, enum play_kind kind)
{
    switch (kind) {
    case PLAY_WATERMARK:
        play_watermark(p);
        break;
    case PLAY_BEHIND:
        play_behind(p);
        break;
    case PLAY_JOIN:
        play_join(p);
        break;
    case PLAY_FENCE:
        play_fence(p);
        break;
    case PLAY_ZOMBIE:
        play_zombie(p);
        break;
    case PLAY_TEAR:
        play_tear(p);
        break;
    case PLAY_ROOM:
        play_room(p);
        break;
    case PLAY_FULL:
        play_full(p);
        break;
    case PLAY_AHEAD:
        play_ahead(p);
        break;
    case PLAY_WIPED:
        play_wiped(p);
        break;
    default:
        play_clean(p);
    }
}
