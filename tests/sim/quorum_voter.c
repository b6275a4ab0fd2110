/* Scenario `quorum`: a voter's process, and what its owner does (quorum_run.h). */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "controller/quorum_private.h"
#include "proto/record_batch.h"
#include "sim/quorum_run.h"

#define DATA "/data"

/* ---- what the owner is told ---- */

static void append_some(struct quorum_voter *v, uint64_t n)
{
    int64_t end;
    while (n-- > 0 && quorum_voter_append(v, &end)) {
    }
}

static void on_committed(void *user, int64_t offset)
{
    struct quorum_voter *v = user;
    RUN_CHECK(v->qr->r, offset == quorum_high_watermark(v->q));
}

static void on_leading(void *user, int32_t epoch)
{
    struct quorum_voter *v = user;
    run_note(v->qr->r, "voter %d leads in term %d", v->id, epoch);
    v->serves = true;
    append_some(v, 1); /* as a controller does */
}

static void on_lost(void *user)
{
    struct quorum_voter *v = user;
    v->serves = false;
}

static void on_leader(void *user, int32_t leader, int32_t epoch)
{
    struct quorum_voter *v = user;
    run_digest(v->qr->r, (uint64_t)(uint32_t)leader << 32 | (uint32_t)epoch);
}

static void on_fatal(void *user, const char *sentence)
{
    struct quorum_voter *v = user;
    v->fatal = true;
    snprintf(v->why, sizeof(v->why), "%s", sentence);
}

static void on_send(void *user, const struct quorum_message *m)
{
    quorum_carrier_send(user, m);
}

static bool on_may_send(void *user, int32_t to)
{
    UNUSED(user);
    UNUSED(to);
    return true;
}

static void give_up_snapshot(struct quorum_voter *v)
{
    metadata_snapshot_abandon(v->writer);
    v->writer = NULL;
}

static void on_installed(void *user, struct metadata_snapshot_id id)
{
    struct quorum_voter *v = user;
    run_note(v->qr->r, "voter %d has installed a snapshot up to %lld", v->id, (long long)id.offset);
    give_up_snapshot(v);
    v->installed = true;
    v->qr->count.installs++;
}

static const struct quorum_callbacks callbacks = {
    .committed = on_committed,
    .leading = on_leading,
    .lost = on_lost,
    .leader = on_leader,
    .fatal = on_fatal,
    .send = on_send,
    .may_send = on_may_send,
    .installed = on_installed,
};

/* ---- what the owner does ---- */

bool quorum_voter_append(struct quorum_voter *v, int64_t *end)
{
    struct quorum_run *qr = v->qr;
    struct buf b = {0};
    struct errmsg em;
    buf_printf(&b, "%llu of %d", (unsigned long long)++qr->count.appended, v->id);
    for (uint64_t n = run_chance(qr->r, 10) ? run_between(qr->r, 0, 5000) : 0; n > 0; n--) {
        buf_put_u8(&b, (uint8_t)n);
    }
    struct bytes record = buf_bytes(&b);
    int err = quorum_append(v->q, &record, 1, io_wall_ms(v->shard->io), end, &em);
    buf_free(&b);
    RUN_CHECK(qr->r, err == 0 || err == ERR_NOTLEADER || err == ERR_IO);
    return err == 0;
}

/* A failure is the end of the process, and only a disk's. */
static void ask(struct quorum_voter *v, int err, const struct errmsg *em)
{
    if (err != 0) {
        v->fatal = true;
        snprintf(v->why, sizeof(v->why), "%s", em->text);
    }
}

/* Taken in two steps: much may happen between them. */
void quorum_voter_snapshot(struct quorum_voter *v)
{
    uint64_t index;
    struct metadata_snapshot_id id;
    struct errmsg em = {""};
    if (v->writer != NULL) {
        int err = metadata_snapshot_finish(v->writer, &em);
        v->writer = NULL;
        err = err ? err : metadata_log_retain(v->log, io_wall_ms(v->shard->io), &em);
        ask(v, err, &em);
        if (err == 0) {
            quorum_snapshot_taken(v->q, v->taking, v->taking_index);
            v->qr->count.snapshots++;
        }
        return;
    }
    quorum_committed_at(v->q, &id, &index);
    if (index < 2 || id.offset <= metadata_log_newest_snapshot(v->log).offset) {
        return;
    }
    v->taking = id;
    v->taking_index = index;
    int64_t now = io_wall_ms(v->shard->io);
    ask(v, metadata_snapshot_begin(v->log, id, index, now, now, &v->writer, &em), &em);
}

static void chore(struct quorum_voter *v)
{
    struct quorum_run *qr = v->qr;
    struct errmsg em = {""};
    v->chore_due = false;
    if (run_chance(qr->r, v->snapshot_percent)) {
        quorum_voter_snapshot(v);
    } else if (run_chance(qr->r, 2)) {
        ask(v, metadata_log_note_durable(v->log, &em), &em);
    } else if (qr->p.hand_over && !qr->calm && run_chance(qr->r, 3)) {
        quorum_hand_over(v->q, -1);
    } else if (run_chance(qr->r, qr->p.append_percent)) {
        append_some(v, run_between(qr->r, 1, 4));
    }
}

static void on_chore(struct sim_event *se)
{
    struct quorum_voter *v = se->user;
    struct quorum_run *qr = v->qr;
    v->chore_due = v->proc != NULL;
    sim_clock_after(&qr->r->sim->clock, se,
                    1 + (int64_t)run_below(qr->r, (uint64_t)qr->p.chore_us_max));
}

/* ---- its log, as the model sees it ---- */

static void add_entry(struct quorum_voter *v, uint64_t index)
{
    struct batch_header h;
    size_t size;
    buf_clear(&v->scratch);
    int err = metadata_log_read_entries(v->log, index, 1, &v->scratch, &size);
    if (err != 0 || batch_header_read(buf_bytes(&v->scratch), &h) != 0) {
        run_fail(v->qr->r, "voter %d: entry %llu cannot be read: %s", v->id,
                 (unsigned long long)index, err_text(err));
    }
    RUN_CHECK(v->qr->r, h.leader_epoch == metadata_log_epoch_at(v->log, index));
    quorum_model_add(&v->qr->model, v->id,
                     (struct qm_entry){.term = h.leader_epoch,
                                       .crc = crc32c(0, v->scratch.data, v->scratch.len),
                                       .end = batch_next_offset(&h)});
}

/* Entries that are the same as when it was looked at last are not read again. */
static void look(struct quorum_voter *v, bool begins)
{
    struct quorum_model *m = &v->qr->model;
    const struct qm_voter *seen = quorum_model_voter(m, v->id);
    uint64_t last = metadata_log_last_index(v->log);
    uint64_t first = metadata_log_first_index(v->log);
    if (begins) {
        quorum_model_begins(m, v->id, first);
    }
    uint64_t same = seen->log.last < last ? seen->log.last : last;
    while (same >= first &&
           metadata_log_epoch_at(v->log, same) != quorum_model_term_at(seen, same)) {
        same--;
    }
    if (same < seen->log.last) {
        quorum_model_cut(m, v->id, same);
    }
    for (uint64_t i = same + 1; i <= last; i++) {
        add_entry(v, i);
    }
    if (begins) {
        quorum_model_complete(m, v->id);
    }
    const struct quorum_state *state = &v->q->state;
    quorum_model_is_in(m, v->id, state->epoch,
                       state->leader_id >= 0 ? state->leader_id : state->voted_id);
    if (quorum_is_leader(v->q)) {
        quorum_model_leads(m, v->id, (uint64_t)quorum_epoch(v->q));
    }
    quorum_model_commits(m, v->id, quorum_epoch(v->q), quorum_high_watermark(v->q));
}

/* ---- its process ---- */

void quorum_voter_init(struct quorum_run *qr, int32_t id)
{
    struct quorum_voter *v = quorum_voter_of(qr, id);
    v->qr = qr;
    v->id = id;
    v->host = sim_host_new(qr->r->sim, 1 << 28);
    list_init(&v->inbox);
    RUN_CHECK(qr->r, sim_disk_mkdir(v->host->disk, DATA) == 0);
    RUN_CHECK(qr->r, sim_disk_fsync_dir(v->host->disk, "/") == 0);
    run_apply_mutant(qr->r, v->host);
    sim_event_init(&v->chore, on_chore, v);
    on_chore(&v->chore);
}

static void start_fn(void *arg)
{
    struct quorum_voter *v = arg;
    struct quorum_run *qr = v->qr;
    static const struct shard_hooks hooks = {0};
    struct errmsg em = {""};
    struct metadata_log_config cfg = {.log_dir = DATA,
                                      .segment_bytes = v->segment_bytes,
                                      .segment_ms = INT64_MAX,
                                      .retention_bytes = v->retention_bytes,
                                      .retention_ms = -1};
    struct quorum_config qc = {.node_id = v->id,
                               .voters = qr->ids,
                               .voters_n = qr->voters_n,
                               .election_timeout_ms = qr->p.election_ms,
                               .heartbeat_ms = qr->p.election_ms / 6,
                               .cb = &callbacks,
                               .user = v};
    v->group = shard_group_new(1, &qr->r->log, io_sim_make, v->proc, &hooks);
    RUN_CHECK(qr->r, shard_group_start_inline(v->group, &em) == 0);
    v->shard = shard_group_get(v->group, 0);
    int err = metadata_log_open(v->shard->io, &qr->r->log, &cfg, &v->log, &em);
    err = err ? err : quorum_start(v->shard, v->log, &qc, &v->q, &em);
    ask(v, err, &em);
    if (err == 0) {
        look(v, true);
    }
}

static void turn_fn(void *arg)
{
    struct quorum_voter *v = arg;
    quorum_carrier_deliver(v);
    if (v->chore_due && !v->fatal) {
        chore(v);
    }
    shard_turn(v->shard, 0);
    if (!v->fatal) {
        look(v, v->installed);
        v->installed = false;
    }
}

static void gone(struct quorum_voter *v, bool in_the_middle)
{
    struct quorum_run *qr = v->qr;
    v->proc = NULL; /* its memory is lost, as it should be */
    v->q = NULL;
    v->log = NULL;
    v->writer = NULL;
    quorum_carrier_forget(v);
    quorum_model_ends(&qr->model, v->id, in_the_middle);
    v->up_at_us = quorum_now_us(qr);
    if (!qr->calm) {
        v->up_at_us += 1 + (int64_t)run_below(qr->r, (uint64_t)qr->p.down_us_max);
    }
}

static void end(struct quorum_voter *v, bool power, bool in_the_middle)
{
    run_note(v->qr->r, "%s of voter %d%s", power ? "power loss" : "kill -9", v->id,
             in_the_middle ? " in the middle of something" : "");
    if (power) {
        sim_host_power_loss(v->host);
        sim_host_power_on(v->host);
    } else {
        sim_proc_kill(v->proc);
    }
    gone(v, in_the_middle);
}

void quorum_voter_end(struct quorum_voter *v, bool power)
{
    end(v, power, false);
}

/* Runs production code; afterwards the process may be gone. */
static void run_it(struct quorum_voter *v, void (*fn)(void *arg))
{
    struct quorum_run *qr = v->qr;
    sim_clock_advance(&qr->r->sim->clock, 1 + (int64_t)run_below(qr->r, 20));
    run_digest(qr->r, (uint64_t)quorum_now_us(qr) << 8 | (uint64_t)v->id);
    if (!sim_proc_run(v->proc, fn, v)) {
        end(v, v->how == QUORUM_POWER, true);
    } else if (v->fatal) {
        if (v->host->disk->stats.eio == v->eio) {
            run_fail(qr->r, "voter %d ends by itself: %s", v->id, v->why);
        }
        run_note(qr->r, "voter %d: %s", v->id, v->why);
        end(v, false, true);
    }
}

void quorum_voter_start(struct quorum_voter *v)
{
    run_note(v->qr->r, "voter %d is started", v->id);
    v->qr->count.starts++;
    v->proc = sim_proc_new(v->host);
    v->serves = v->fatal = v->installed = v->chore_due = false;
    v->eio = v->host->disk->stats.eio;
    v->paused_until_us = 0;
    if (v->qr->p.mid_call && !v->qr->calm && run_chance(v->qr->r, 10)) {
        sim_proc_die_in(v->proc, run_between(v->qr->r, 1, 60));
    }
    run_it(v, start_fn);
}

void quorum_voter_turn(struct quorum_voter *v)
{
    v->qr->r->steps++;
    run_it(v, turn_fn);
}

static void stop_fn(void *arg)
{
    struct quorum_voter *v = arg;
    give_up_snapshot(v);
    while (quorum_busy(v->q)) { /* the disk is done at some time */
        sim_clock_advance(&v->qr->r->sim->clock, 1000);
        sim_clock_run_due(&v->qr->r->sim->clock);
        shard_turn(v->shard, 0);
    }
    look(v, v->installed);
    quorum_close(v->q);
    int err = metadata_log_close_clean(v->log);
    if (err != 0) {
        run_fail(v->qr->r, "voter %d cannot close its log: %s", v->id, err_text(err));
    }
    metadata_log_close(v->log);
    shard_group_stop(v->group);
    shard_turn(v->shard, 0);
    shard_group_join(v->group);
    shard_group_free(v->group);
}

void quorum_voter_stop(struct quorum_voter *v)
{
    struct errmsg why;
    sim_proc_run(v->proc, stop_fn, v);
    if (!sim_proc_end(v->proc, &why)) {
        run_fail(v->qr->r, "voter %d has stopped, and yet: %s", v->id, why.text);
    }
    gone(v, false);
}

int64_t quorum_voter_due(const struct quorum_voter *v)
{
    int64_t now = quorum_now_us(v->qr);
    if (v->proc == NULL) {
        return v->up_at_us;
    }
    int64_t due = shard_next_deadline_us(v->shard);
    if (!list_empty(&v->inbox) || v->chore_due || io_sim_ready(v->shard->io)) {
        due = now;
    }
    return due < v->paused_until_us ? v->paused_until_us : due;
}
