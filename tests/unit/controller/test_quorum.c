/* The quorum in the simulator: a sole voter through restarts, kills, power losses and a failing
 * disk; three voters over a network that delays, drops and reorders, with crashes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "controller/quorum.h"
#include "proto/record_batch.h"
#include "proto_messages.h"
#include "sim/io_sim.h"

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
};

/* One voter and what its owner was told. */
struct voter {
    struct world *w;
    struct shard_group *group;
    struct shard *shard;
    struct metadata_log *log;
    struct quorum *q;
    int32_t id;
    int64_t committed;
    int32_t leading; /* epoch told by `leading`; 0 none or lost */
    int lost;
    int installed; /* snapshots of the leader */
    int fatal;
    char why[600];
    struct net *net;
};

static void on_committed(void *user, int64_t offset)
{
    struct voter *v = user;
    assert_true(offset > v->committed);
    v->committed = offset;
}

static void on_leading(void *user, int32_t epoch)
{
    struct voter *v = user;
    assert_int_equal(epoch, quorum_epoch(v->q));
    v->leading = epoch;
}

static void on_lost(void *user)
{
    struct voter *v = user;
    v->leading = 0;
    v->lost++;
}

static void on_leader(void *user, int32_t leader, int32_t epoch)
{
    UNUSED(user);
    UNUSED(leader);
    UNUSED(epoch);
}

static void on_fatal(void *user, const char *sentence)
{
    struct voter *v = user;
    v->fatal++;
    snprintf(v->why, sizeof v->why, "%s", sentence);
}

static void on_installed(void *user, struct metadata_snapshot_id id)
{
    struct voter *v = user;
    assert_true(id.offset > v->committed);
    v->committed = id.offset;
    v->installed++;
}

static void net_send(void *user, const struct quorum_message *m);

static bool net_may_send(void *user, int32_t to)
{
    UNUSED(user);
    UNUSED(to);
    return true;
}

static const struct quorum_callbacks callbacks = {
    .committed = on_committed,
    .leading = on_leading,
    .lost = on_lost,
    .leader = on_leader,
    .fatal = on_fatal,
    .send = net_send,
    .may_send = net_may_send,
    .installed = on_installed,
};

static void world_start_process(struct world *w)
{
    w->proc = sim_proc_new(w->host);
}

static struct world world_new(uint64_t seed)
{
    struct world w = {0};
    w.sim = sim_new(seed);
    w.sim->self_advance = true;
    w.host = sim_host_new(w.sim, 1 << 28);
    static const char *const dirs[] = {"/d1", "/d2", "/d3"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(0, sim_disk_mkdir(w.host->disk, dirs[i]));
    }
    assert_int_equal(0, sim_disk_fsync_dir(w.host->disk, "/"));
    world_start_process(&w);
    return w;
}

static int open_voter(struct voter *v, struct world *w, int32_t id, size_t voters_n,
                      struct errmsg *em)
{
    static const int32_t ids[] = {1, 2, 3};
    static const struct shard_hooks hooks = {0};
    char dir[8];
    snprintf(dir, sizeof dir, "/d%d", id);
    struct metadata_log_config cfg = {.log_dir = dir,
                                      .segment_bytes = 1 << 30,
                                      .segment_ms = INT64_MAX,
                                      .retention_bytes = -1,
                                      .retention_ms = -1};
    *v = (struct voter){.w = w, .id = id, .net = v->net};
    v->group = shard_group_new(1, NULL, io_sim_make, w->proc, &hooks);
    int err = shard_group_start_inline(v->group, em);
    assert_int_equal(0, err);
    v->shard = shard_group_get(v->group, 0);
    err = metadata_log_open(v->shard->io, NULL, &cfg, &v->log, em);
    struct quorum_config qc = {.node_id = id,
                               .voters = ids + (voters_n == 1 ? id - 1 : 0),
                               .voters_n = voters_n,
                               .election_timeout_ms = 300,
                               .heartbeat_ms = 50,
                               .cb = &callbacks,
                               .user = v};
    return err ? err : quorum_start(v->shard, v->log, &qc, &v->q, em);
}

static void start_voter(struct voter *v, struct world *w, int32_t id, size_t voters_n)
{
    struct errmsg em = {""};
    if (open_voter(v, w, id, voters_n, &em) != 0) {
        fail_msg("voter %d: %s", id, em.text);
    }
}

static void turn(struct voter *v)
{
    shard_turn(v->shard, 1000);
}

static void close_voter(struct voter *v, bool clean)
{
    while (quorum_busy(v->q)) {
        turn(v);
    }
    quorum_close(v->q);
    if (clean) {
        assert_int_equal(0, metadata_log_close_clean(v->log));
    }
    metadata_log_close(v->log);
    shard_group_stop(v->group);
    turn(v);
    shard_group_join(v->group);
    shard_group_free(v->group);
}

static void world_free(struct world *w)
{
    struct errmsg em = {""};
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("left open: %s", em.text);
    }
    sim_free(w->sim);
}

static struct buf config_record(int n)
{
    struct buf b = {0};
    char value[32];
    struct config_record r;
    snprintf(value, sizeof value, "%d", n);
    proto_msg_init(&config_record_msg, &r);
    r.resource_type = 2;
    r.resource_name = bytes_str("t");
    r.name = bytes_str("retention.ms");
    r.value = bytes_str(value);
    assert_int_equal(0, proto_encode_metadata_record(&config_record_msg, 0, &r, &b, NULL));
    return b;
}

static int append(struct voter *v, int n, int64_t *end)
{
    struct buf rec = config_record(n);
    struct bytes b = buf_bytes(&rec);
    struct errmsg em;
    int err = quorum_append(v->q, &b, 1, 5000 + n, end, &em);
    buf_free(&rec);
    return err;
}

static void wait_leading(struct voter *v)
{
    for (int i = 0; i < 1000 && v->leading == 0 && v->fatal == 0; i++) {
        turn(v);
    }
    assert_int_equal(0, v->fatal);
    assert_true(v->leading > 0);
}

static void wait_committed(struct voter *v, int64_t offset)
{
    for (int i = 0; i < 1000 && v->committed < offset && v->fatal == 0; i++) {
        turn(v);
    }
    assert_true(v->committed >= offset);
}

/* ---- a sole voter ---- */

static void check_first_batch(struct voter *v)
{
    struct buf b = {0};
    struct record_reader rr;
    struct record rec;
    struct arena a = {0};
    enum control_type type;
    struct leader_change_message m;
    struct buf json = {0};
    assert_int_equal(0, metadata_log_read(v->log, 0, 1, v->committed, &b, NULL));
    assert_int_equal(0, record_reader_open(&rr, buf_bytes(&b), 0));
    assert_int_equal(0, rr.h.base_offset);
    assert_int_equal(1, rr.h.leader_epoch);
    assert_int_equal(1, rr.h.record_count);
    assert_true(batch_is_control(&rr.h));
    assert_int_equal(1, record_reader_next(&rr, &rec));
    assert_int_equal(0, control_key_read(rec.key, &type));
    assert_int_equal(CONTROL_LEADER_CHANGE, type);
    assert_int_equal(0, proto_decode(&leader_change_message_msg, 0, rec.value, NULL, &a, &m));
    proto_print_json(&leader_change_message_msg, 0, &m, &json);
    assert_string_equal("{\"version\":0,\"leaderId\":1,\"voters\":[{\"voterId\":1}],"
                        "\"grantingVoters\":[{\"voterId\":1}]}",
                        buf_cstr(&json));
    record_reader_close(&rr);
    arena_free(&a);
    buf_free(&json);
    buf_free(&b);
}

static void sole(void *arg)
{
    struct world *w = arg;
    struct voter v = {0};
    int64_t end = 0;
    for (int32_t start = 1; start <= 5; start++) {
        start_voter(&v, w, 1, 1);
        assert_true(quorum_is_leader(v.q));
        assert_false(quorum_may_serve(v.q)); /* nothing committed in this epoch yet */
        assert_int_equal(ERR_NOTLEADER, append(&v, 1, &end));
        wait_leading(&v);
        assert_int_equal(start, v.leading);
        assert_int_equal(start, quorum_epoch(v.q));
        assert_int_equal(1, quorum_leader_id(v.q));
        assert_true(quorum_may_serve(v.q));
        assert_int_equal(quorum_next_offset(v.q), v.committed);
        if (start == 1) {
            assert_int_equal(1, v.committed);
            check_first_batch(&v);
        }
        int64_t before = v.committed;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(0, append(&v, i, &end));
            assert_int_equal(before + i + 1, end);
        }
        assert_int_equal(before, v.committed); /* not before the flush */
        wait_committed(&v, end);
        assert_int_equal(end, quorum_high_watermark(v.q));
        struct quorum_state qs;
        assert_int_equal(0, quorum_state_read(v.shard->io, "/d1/__cluster_metadata-0", &qs, NULL));
        assert_int_equal(start, qs.epoch);
        assert_int_equal(1, qs.leader_id);
        close_voter(&v, start % 2);
    }
    assert_int_equal(5 * 21, end);
}

static void sole_voter_begins_a_new_epoch_at_every_start(void **state)
{
    UNUSED(state);
    struct world w = world_new(1);
    assert_true(sim_proc_run(w.proc, sole, &w));
    world_free(&w);
}

static void with_snapshots(void *arg)
{
    struct world *w = arg;
    struct voter v = {0};
    int64_t end = 0;
    for (int round = 0; round < 6; round++) {
        start_voter(&v, w, 1, 1);
        wait_leading(&v);
        for (int i = 0; i < 50; i++) {
            assert_int_equal(0, append(&v, i, &end));
        }
        wait_committed(&v, end);
        struct metadata_snapshot_id id;
        struct metadata_snapshot_writer *sw;
        uint64_t index;
        struct errmsg em;
        quorum_committed_at(v.q, &id, &index);
        assert_int_equal(end, id.offset);
        assert_int_equal(v.leading, id.epoch);
        assert_int_equal(metadata_log_last_index(v.log), index);
        assert_int_equal(0, metadata_snapshot_begin(v.log, id, index, 1, 2, &sw, &em));
        assert_int_equal(0, metadata_snapshot_finish(sw, &em));
        quorum_snapshot_taken(v.q, id, index);
        for (int i = 0; i < round; i++) { /* some entries behind the snapshot, or none */
            assert_int_equal(0, append(&v, i, &end));
        }
        wait_committed(&v, end);
        close_voter(&v, round % 2);
    }
    assert_int_equal(6 * 51 + 15, end);
}

static void sole_voter_restarts_from_a_snapshot(void **state)
{
    UNUSED(state);
    struct world w = world_new(2);
    assert_true(sim_proc_run(w.proc, with_snapshots, &w));
    world_free(&w);
}

static void failing_disk(void *arg)
{
    struct world *w = arg;
    for (int what = 0; what < 3; what++) {
        struct voter v = {0};
        int64_t end;
        start_voter(&v, w, 1, 1);
        wait_leading(&v);
        int64_t before = v.committed;
        struct sim_disk_faults *f = &w->host->disk->faults;
        if (what == 0) {
            f->write_eio_in = 1;
            assert_int_equal(ERR_IO, append(&v, 1, &end));
        } else if (what == 1) {
            f->fsync_eio_in = 1;
            assert_int_equal(0, append(&v, 1, &end));
        } else {
            w->host->disk->capacity = w->host->disk->used;
            for (int i = 0; i < 100 && append(&v, 1, &end) == 0; i++) {
            }
        }
        for (int i = 0; i < 50; i++) {
            turn(&v);
        }
        assert_int_equal(1, v.fatal);
        assert_non_null(strstr(v.why, "/d1/__cluster_metadata-0"));
        if (what != 2) {
            assert_int_equal(before, v.committed);
        }
        assert_int_equal(ERR_NOTLEADER, append(&v, 1, &end));
        w->host->disk->capacity = 1 << 28;
        close_voter(&v, false);
    }
    struct voter v = {0}; /* and it starts again when the disk is well */
    start_voter(&v, w, 1, 1);
    wait_leading(&v);
    close_voter(&v, true);
}

static void failing_disk_ends_the_voter(void **state)
{
    UNUSED(state);
    struct world w = world_new(3);
    assert_true(sim_proc_run(w.proc, failing_disk, &w));
    world_free(&w);
}

struct crash_run {
    struct world *w;
    struct prng rng;
    int32_t epoch;     /* of the last start that led */
    int64_t committed; /* told */
    int64_t appended;
};

static void live(void *arg)
{
    struct crash_run *c = arg;
    struct voter v = {0};
    start_voter(&v, c->w, 1, 1);
    wait_leading(&v);
    if (v.leading <= c->epoch || v.committed < c->committed + 1) {
        fail_msg("epoch %d after %d, committed %lld after %lld", v.leading, c->epoch,
                 (long long)v.committed, (long long)c->committed);
    }
    c->epoch = v.leading;
    c->committed = v.committed;
    for (int i = 0; i < 40; i++) {
        int64_t end;
        for (uint64_t n = prng_below(&c->rng, 4); n > 0; n--) {
            assert_int_equal(0, append(&v, i, &end));
        }
        if (prng_below(&c->rng, 3) == 0) {
            turn(&v);
            c->committed = v.committed;
        }
        if (prng_below(&c->rng, 15) == 0) {
            struct metadata_snapshot_id id;
            struct metadata_snapshot_writer *sw;
            uint64_t index;
            struct errmsg em;
            quorum_committed_at(v.q, &id, &index);
            if (id.offset > metadata_log_newest_snapshot(v.log).offset) {
                assert_int_equal(0, metadata_snapshot_begin(v.log, id, index, 1, 2, &sw, &em));
                assert_int_equal(0, metadata_snapshot_finish(sw, &em));
                quorum_snapshot_taken(v.q, id, index);
            }
        }
    }
    close_voter(&v, true);
    c->committed = v.committed;
}

static void crash_seed(uint64_t seed)
{
    struct world w = world_new(seed);
    struct crash_run c = {.w = &w};
    prng_seed(&c.rng, seed);
    for (int round = 0; round < 8; round++) {
        sim_proc_die_in(w.proc, 1 + prng_below(&c.rng, 150));
        bool alive = sim_proc_run(w.proc, live, &c);
        bool power = prng_below(&c.rng, 2);
        if (power) {
            sim_host_power_loss(w.host);
            sim_host_power_on(w.host);
        } else if (!alive) {
            sim_proc_kill(w.proc);
        } else {
            struct errmsg em;
            sim_proc_end(w.proc, &em);
        }
        world_start_process(&w);
    }
}

static void each_seed(uint64_t count, void (*fn)(uint64_t seed))
{
    const char *from = getenv("SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    const char *more = getenv("SEEDS");
    count = more ? strtoull(more, NULL, 10) : count;
    for (uint64_t seed = first; seed < first + (from ? 1 : count); seed++) {
        if (from) {
            fn(seed);
            continue;
        }
        pid_t pid = fork();
        if (pid == 0) {
            fn(seed);
            _exit(0);
        }
        int status;
        assert_int_equal(pid, waitpid(pid, &status, 0));
        if (status != 0) {
            fail_msg("seed %llu failed with status %d (run again with SEED=%llu)",
                     (unsigned long long)seed, status, (unsigned long long)seed);
        }
    }
}

static void what_was_told_committed_survives_kills_and_power_losses(void **state)
{
    UNUSED(state);
    each_seed(100, crash_seed);
}

/* ---- three voters ---- */

enum { FLIGHT_MAX = 4096 };

struct flight {
    int64_t at; /* turn in which it arrives */
    struct quorum_message m;
    struct quorum_entry *entries;
    struct buf bytes;
};

struct net {
    struct prng rng;
    struct flight v[FLIGHT_MAX];
    size_t n;
    int64_t turn;
    bool cut[4];
    uint32_t drop_percent;
    uint32_t delay_max;
};

static void flight_free(struct flight *f)
{
    mem_free(f->entries);
    buf_free(&f->bytes);
}

static void net_send(void *user, const struct quorum_message *m)
{
    struct voter *v = user;
    struct net *net = v->net;
    if (net->n == FLIGHT_MAX || net->cut[m->from] || net->cut[m->to] ||
        prng_below(&net->rng, 100) < net->drop_percent) {
        return;
    }
    struct flight *f = &net->v[net->n++];
    *f = (struct flight){.at = net->turn + 1 + (int64_t)prng_below(&net->rng, net->delay_max),
                         .m = *m};
    f->entries = mem_zalloc((m->entries_n + 1) * sizeof *f->entries);
    for (uint32_t i = 0; i < m->entries_n; i++) {
        buf_put(&f->bytes, m->entries[i].batch.data, m->entries[i].batch.len);
    }
    const uint8_t *at = f->bytes.data;
    for (uint32_t i = 0; i < m->entries_n; i++) {
        f->entries[i] = m->entries[i];
        f->entries[i].batch.data = at;
        at += f->entries[i].batch.len;
    }
    f->m.entries = f->entries;
}

struct trio {
    struct world *w;
    struct net net;
    struct prng rng;
    struct voter v[4]; /* 1 to 3 */
    bool up[4];
    int32_t leader_of[256]; /* by epoch */
    struct buf agreed;      /* what was committed, from offset 0 */
    int64_t agreed_end;
    uint64_t commits;
    uint64_t installs;
};

/* Everything that a voter calls committed is the same everywhere, for ever. */
static void check_committed(struct trio *t, struct voter *v)
{
    struct buf b = {0};
    if (v->committed == 0) {
        return;
    }
    int64_t upto = v->committed;
    int64_t from = metadata_log_start_offset(v->log);
    size_t skip = 0; /* what is agreed below the log's start */
    struct bytes known = buf_bytes(&t->agreed);
    struct batch_header kh;
    while (skip < known.len &&
           batch_header_read(bytes_of(known.data + skip, known.len - skip), &kh) == 0 &&
           kh.base_offset < from) {
        skip += batch_size(&kh);
    }
    buf_put(&b, known.data, skip);
    if (from > t->agreed_end) {
        fail_msg("voter %d has a snapshot of what was never committed", v->id);
    }
    while (true) {
        struct bytes rest = buf_bytes(&b);
        struct bytes batch;
        int64_t next = 0;
        while (batch_next(&rest, &batch) == 1) {
            struct batch_header h;
            assert_int_equal(0, batch_header_read(batch, &h));
            next = batch_next_offset(&h);
        }
        if (next >= upto) {
            break;
        }
        assert_int_equal(0, metadata_log_read(v->log, next, 1 << 20, upto, &b, NULL));
    }
    size_t n = b.len < t->agreed.len ? b.len : t->agreed.len;
    if (n && memcmp(b.data, t->agreed.data, n) != 0) {
        fail_msg("voter %d has other committed entries than were committed before", v->id);
    }
    if (upto > t->agreed_end) {
        buf_clear(&t->agreed);
        buf_put(&t->agreed, b.data, b.len);
        t->agreed_end = upto;
        t->commits++;
    }
    buf_free(&b);
}

/* The file of a snapshot moves from voter to voter in no time, if its owner has it still. */
static void deliver_snapshot(struct trio *t, const struct quorum_message *m)
{
    struct voter *from = &t->v[m->from];
    struct voter *to = &t->v[m->to];
    struct metadata_incoming *in;
    struct buf file = {0};
    struct errmsg em;
    if (!quorum_wants_snapshot(to->q, m)) {
        quorum_receive(to->q, m, NULL);
        return;
    }
    if (!t->up[m->from] ||
        metadata_log_snapshot_read(from->log, m->snapshot, 0, 1 << 20, &file) != 0) {
        return;
    }
    assert_int_equal(0, metadata_incoming_begin(to->log, m->snapshot, m->index, &in, &em));
    assert_int_equal(0, metadata_incoming_put(in, buf_bytes(&file), &em));
    assert_int_equal(0, metadata_incoming_check(in, &em));
    int before = to->installed;
    quorum_receive_snapshot(to->q, m, in);
    t->installs += (uint64_t)(to->installed - before);
    buf_free(&file);
}

static void take_snapshot(struct trio *t, struct voter *v)
{
    struct metadata_snapshot_id id;
    struct metadata_snapshot_writer *sw;
    uint64_t index;
    struct errmsg em;
    quorum_committed_at(v->q, &id, &index);
    if (index < 2 || id.offset <= metadata_log_newest_snapshot(v->log).offset) {
        return;
    }
    check_committed(t, v);
    assert_int_equal(0, metadata_snapshot_begin(v->log, id, index, 1, 2, &sw, &em));
    assert_int_equal(0, metadata_snapshot_finish(sw, &em));
    quorum_snapshot_taken(v->q, id, index);
}

static void trio_deliver(struct trio *t)
{
    t->net.turn++;
    for (size_t i = 0; i < t->net.n;) {
        struct flight *f = &t->net.v[i];
        if (f->at > t->net.turn) {
            i++;
            continue;
        }
        struct flight now = *f;
        t->net.v[i] = t->net.v[--t->net.n]; /* this also reorders */
        if (t->up[now.m.to] && now.m.type == QUORUM_SNAPSHOT) {
            deliver_snapshot(t, &now.m);
        } else if (t->up[now.m.to]) {
            quorum_receive(t->v[now.m.to].q, &now.m, NULL);
        }
        flight_free(&now);
    }
}

static void trio_turn(struct trio *t, bool faults)
{
    trio_deliver(t);
    for (int32_t id = 1; id <= 3; id++) {
        struct voter *v = &t->v[id];
        if (!t->up[id]) {
            continue;
        }
        shard_turn(v->shard, 3000);
        if (v->fatal) {
            fail_msg("voter %d: %s", id, v->why);
        }
        if (quorum_is_leader(v->q)) {
            int32_t epoch = quorum_epoch(v->q);
            assert_true(epoch < 256);
            if (t->leader_of[epoch] != 0 && t->leader_of[epoch] != id) {
                fail_msg("epoch %d has two leaders", epoch);
            }
            t->leader_of[epoch] = id;
        }
        int64_t end;
        if (quorum_may_serve(v->q) && prng_below(&t->rng, 3) == 0) {
            append(v, (int)t->net.turn, &end);
        }
        if (prng_below(&t->rng, 20) == 0) {
            check_committed(t, v);
        }
        if (prng_below(&t->rng, 150) == 0) {
            take_snapshot(t, v);
        }
        if (faults && prng_below(&t->rng, 400) == 0) {
            check_committed(t, v);
            close_voter(v, false);
            t->up[id] = false;
        }
    }
    for (int32_t id = 1; id <= 3; id++) {
        if (!t->up[id] && (!faults || prng_below(&t->rng, 60) == 0)) {
            t->v[id].net = &t->net;
            start_voter(&t->v[id], t->w, id, 3);
            t->up[id] = true;
        }
    }
    if (faults && prng_below(&t->rng, 100) == 0) {
        int32_t id = 1 + (int32_t)prng_below(&t->rng, 3);
        t->net.cut[id] = !t->net.cut[id];
    }
}

static struct trio *the_trio; /* big; only of this test's child processes */

static void trio_run(void *arg)
{
    struct trio *t = arg;
    for (int32_t id = 1; id <= 3; id++) {
        t->v[id].net = &t->net;
        start_voter(&t->v[id], t->w, id, 3);
        t->up[id] = true;
    }
    for (int i = 0; i < 3000; i++) {
        trio_turn(t, true);
    }
    memset(t->net.cut, 0, sizeof t->net.cut);
    t->net.drop_percent = 0;
    t->net.delay_max = 2;
    uint64_t before = t->commits;
    for (int i = 0; i < 1500; i++) { /* heals: it must go on */
        trio_turn(t, false);
    }
    if (t->commits <= before + 5) {
        fail_msg("no commits after the faults have ended");
    }
    for (int32_t id = 1; id <= 3; id++) {
        check_committed(t, &t->v[id]);
        if (t->v[id].committed + 100 < t->agreed_end) {
            fail_msg("voter %d stays behind: %lld of %lld", id, (long long)t->v[id].committed,
                     (long long)t->agreed_end);
        }
        close_voter(&t->v[id], true);
    }
}

static void trio_seed(uint64_t seed)
{
    struct world w = world_new(seed);
    the_trio = MEM_NEW(struct trio);
    the_trio->w = &w;
    prng_seed(&the_trio->rng, seed);
    prng_seed(&the_trio->net.rng, seed + 1000000);
    the_trio->net.drop_percent = (uint32_t)prng_below(&the_trio->rng, 20);
    the_trio->net.delay_max = 1 + (uint32_t)prng_below(&the_trio->rng, 30);
    assert_true(sim_proc_run(w.proc, trio_run, the_trio));
    for (size_t i = 0; i < the_trio->net.n; i++) {
        flight_free(&the_trio->net.v[i]);
    }
    buf_free(&the_trio->agreed);
    mem_free(the_trio);
    world_free(&w);
}

static void three_voters_agree(void **state)
{
    UNUSED(state);
    each_seed(12, trio_seed);
}

/* Starts all three on a good network. Returns the first leader, which may serve. */
static struct voter *first_leader(struct trio *t)
{
    struct voter *leader = NULL;
    t->net.delay_max = 1;
    for (int32_t id = 1; id <= 3; id++) {
        t->v[id].net = &t->net;
        start_voter(&t->v[id], t->w, id, 3);
        t->up[id] = true;
    }
    for (int i = 0; leader == NULL || leader->committed < quorum_next_offset(leader->q); i++) {
        assert_true(i < 2000);
        trio_deliver(t);
        for (int32_t id = 1; id <= 3; id++) {
            turn(&t->v[id]);
            leader = t->v[id].leading ? &t->v[id] : leader;
        }
    }
    return leader;
}

/* What is appended is acknowledged when it is durable, not with the next heartbeat. */
static void quick_run(void *arg)
{
    struct trio *t = arg;
    struct voter *leader = first_leader(t);
    int64_t end;
    /* nobody else leads in its term, whatever is said */
    struct quorum_message lie = {.type = QUORUM_APPEND,
                                 .version = 1,
                                 .from = leader->id % 3 + 1,
                                 .to = leader->id,
                                 .term = (uint64_t)leader->leading,
                                 .index = 1,
                                 .index_term = 1};
    assert_int_equal(ERR_INVALID, quorum_receive(leader->q, &lie, NULL));
    for (int i = 0; i < 20; i++) {
        int64_t from = shard_now_ms(leader->shard);
        assert_int_equal(0, append(leader, i, &end));
        while (leader->committed < end) {
            trio_deliver(t);
            for (int32_t id = 1; id <= 3; id++) {
                turn(&t->v[id]);
            }
        }
        if (shard_now_ms(leader->shard) - from > 25) { /* heartbeats come every 50 ms */
            fail_msg("a commit took %lld ms", (long long)(shard_now_ms(leader->shard) - from));
        }
    }
    for (int32_t id = 1; id <= 3; id++) {
        close_voter(&t->v[id], true);
    }
}

static void quick_trio(void (*fn)(void *))
{
    struct world w = world_new(4);
    struct trio *t = MEM_NEW(struct trio);
    t->w = &w;
    prng_seed(&t->rng, 1);
    prng_seed(&t->net.rng, 1);
    assert_true(sim_proc_run(w.proc, fn, t));
    for (size_t i = 0; i < t->net.n; i++) {
        flight_free(&t->net.v[i]);
    }
    mem_free(t);
    world_free(&w);
}

static void a_commit_does_not_wait_for_a_heartbeat(void **state)
{
    UNUSED(state);
    quick_trio(quick_run);
}

/* A follower that was cut off has asked for votes in terms of its own, and refuses what the leader
 * sends, also where it has the entry before: the leader that did not hear this term would keep the
 * others from voting, and this one without its log, for ever. */
static void refusal_run(void *arg)
{
    struct trio *t = arg;
    struct voter *leader = first_leader(t);
    uint64_t term = (uint64_t)leader->leading;
    struct quorum_message m = {.type = QUORUM_APPEND_RESULT,
                               .version = 1,
                               .from = leader->id % 3 + 1,
                               .to = leader->id,
                               .term = term,
                               .sender_term = term,
                               .request_term = term,
                               .rejected = 1};
    quorum_receive(leader->q, &m, NULL); /* late, of its own term: nothing */
    assert_true(quorum_is_leader(leader->q));
    m.term = m.sender_term = term + 1;
    quorum_receive(leader->q, &m, NULL);
    assert_false(quorum_is_leader(leader->q));
    assert_int_equal(term + 1, quorum_epoch(leader->q));
    for (int32_t id = 1; id <= 3; id++) {
        close_voter(&t->v[id], true);
    }
}

static void a_leader_hears_the_higher_term_of_a_refusal(void **state)
{
    UNUSED(state);
    quick_trio(refusal_run);
}

/* ---- what no leader can say ---- */

static void say(struct voter *v, const struct quorum_message *m)
{
    struct quorum_message copy = *m;
    copy.from = v->id == 2 ? 3 : 2;
    copy.to = v->id;
    copy.version = 1;
    quorum_receive(v->q, &copy, NULL);
    turn(v);
    if (v->fatal) {
        fail_msg("%s", v->why);
    }
}

/* An entry that is not committed, of a later term than the same one in the leader's snapshot, is
 * replaced by it. */
static void check_other_history(struct voter *v)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder bb = {0};
    struct buf b = {0};
    opt.leader_epoch = 5;
    batch_builder_init(&bb, &opt);
    batch_builder_add(&bb, 1, BYTES_NULL, bytes_str("x"), NULL, 0);
    assert_int_equal(0, batch_builder_finish(&bb, &b));
    batch_builder_free(&bb);
    struct quorum_entry e = {5, 1, buf_bytes(&b)};
    say(v, &(struct quorum_message){.type = QUORUM_APPEND,
                                    .term = 5,
                                    .index = 1,
                                    .index_term = 1,
                                    .entries = &e,
                                    .entries_n = 1});
    assert_int_equal(1, quorum_next_offset(v->q));
    store_be64(b.data, 1); /* the same behind it, of an earlier term: terms never descend */
    batch_set_leader_epoch(b.data, 3);
    e.term = 3;
    say(v, &(struct quorum_message){.type = QUORUM_APPEND,
                                    .term = 5,
                                    .index = 2,
                                    .index_term = 5,
                                    .entries = &e,
                                    .entries_n = 1});
    assert_int_equal(1, quorum_next_offset(v->q));
    buf_free(&b);
    struct quorum_message m = {
        .type = QUORUM_SNAPSHOT, .term = 6, .index = 2, .index_term = 2, .snapshot = {9, 2}};
    assert_true(quorum_wants_snapshot(v->q, &m));
    say(v, &m); /* without the file it is nothing yet */
}

static void insane_run(void *arg)
{
    static const struct quorum_message none[] = {
        {.type = QUORUM_APPEND, .term = 0, .index = 1, .index_term = 1},
        {.type = QUORUM_APPEND, .term = 5, .index = 1, .index_term = 2}, /* of a committed entry */
        {.type = QUORUM_APPEND, .term = 5, .index = 1, .index_term = 0},
        {.type = QUORUM_APPEND, .term = 7, .index = 1, .index_term = 2},
        {.type = QUORUM_SNAPSHOT, .term = 5, .index = 1, .index_term = 2, .snapshot = {9, 2}},
        {.type = QUORUM_SNAPSHOT, .term = 5, .index = 0, .index_term = 2, .snapshot = {9, 2}},
        {.type = QUORUM_SNAPSHOT, .term = 5, .index = 7, .index_term = 3, .snapshot = {9, 2}},
        {.type = QUORUM_SNAPSHOT, .term = 5, .index = 7, .index_term = 2, .snapshot = {0, 2}},
    };
    static const struct quorum_message good = {
        .type = QUORUM_APPEND, .term = 5, .index = 1, .index_term = 1};
    struct trio *t = arg;
    struct voter *v = &t->v[1];
    v->net = &t->net;
    start_voter(v, t->w, 1, 3);
    say(v, &none[0]);
    assert_int_equal(-1, quorum_leader_id(v->q));
    say(v, &good);
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        say(v, &none[i]);
        assert_false(quorum_wants_snapshot(v->q, &none[i]));
    }
    say(v, &good);
    assert_int_equal(5, quorum_epoch(v->q));
    assert_int_equal(2, quorum_leader_id(v->q));
    check_other_history(v);
    close_voter(v, true);
}

static void what_no_leader_says_is_dropped(void **state)
{
    UNUSED(state);
    struct world w = world_new(5);
    struct trio *t = MEM_NEW(struct trio);
    t->w = &w;
    prng_seed(&t->net.rng, 1);
    assert_true(sim_proc_run(w.proc, insane_run, t));
    for (size_t i = 0; i < t->net.n; i++) {
        flight_free(&t->net.v[i]);
    }
    mem_free(t);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sole_voter_begins_a_new_epoch_at_every_start),
        cmocka_unit_test(sole_voter_restarts_from_a_snapshot),
        cmocka_unit_test(failing_disk_ends_the_voter),
        cmocka_unit_test(what_was_told_committed_survives_kills_and_power_losses),
        cmocka_unit_test(three_voters_agree),
        cmocka_unit_test(a_commit_does_not_wait_for_a_heartbeat),
        cmocka_unit_test(a_leader_hears_the_higher_term_of_a_refusal),
        cmocka_unit_test(what_no_leader_says_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
