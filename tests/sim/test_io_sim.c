/* The simulated world itself: does its disk keep and lose what sim_disk.h says, does its network
 * behave as sim_net.h says, does a process end where it is told to? */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sim/io_sim.h"

struct fix {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
};

static void fix_start(struct fix *f)
{
    f->proc = sim_proc_new(f->host);
    assert_int_equal(io_sim_make(f->proc, 0, &f->io, NULL), 0);
}

static struct fix fix_new(uint64_t seed)
{
    struct fix f = {.sim = sim_new(seed)};
    f.sim->self_advance = true;
    f.host = sim_host_new(f.sim, 16u << 20);
    fix_start(&f);
    return f;
}

static void fix_power_cycle(struct fix *f)
{
    sim_host_power_loss(f->host);
    sim_host_power_on(f->host);
    fix_start(f);
}

static void fix_free(struct fix *f)
{
    if (f->proc != NULL) {
        sim_proc_kill(f->proc);
    }
    sim_free(f->sim);
}

static struct io_file *must_open(struct io *io, const char *path, unsigned flags)
{
    struct io_file *file;
    assert_int_equal(io_open(io, path, flags, &file), 0);
    return file;
}

enum { RW = IO_OPEN_WRITE | IO_OPEN_CREATE };

static void put(struct io *io, const char *path, const char *text)
{
    struct io_file *file = must_open(io, path, RW | IO_OPEN_TRUNC);
    assert_int_equal(io_pwrite(file, text, strlen(text), 0), strlen(text));
    io_file_close(file);
}

/* The file's text, or "-" if it is not there. */
static const char *get(struct io *io, const char *path, char out[64])
{
    struct io_file *file;
    if (io_open(io, path, IO_OPEN_READ, &file) != 0) {
        return "-";
    }
    int64_t n = io_pread(file, out, 63, 0);
    assert_true(n >= 0);
    out[n] = 0;
    io_file_close(file);
    return out;
}

/* ---- clock ---- */

struct noted {
    struct sim_event ev;
    char name;
    char *log;
};

static void note(struct sim_event *ev)
{
    struct noted *n = ev->user;
    strncat(n->log, &n->name, 1);
}

static void events_run_in_order_of_time(void **state)
{
    UNUSED(state);
    struct sim_clock c;
    sim_clock_init(&c);
    char log[32] = "";
    struct noted v[5];
    static const int64_t after[5] = {30, 10, 20, 10, 40};
    for (int i = 0; i < 5; i++) {
        v[i] = (struct noted){.name = (char)('a' + i), .log = log};
        sim_event_init(&v[i].ev, note, &v[i]);
        sim_clock_after(&c, &v[i].ev, after[i]);
    }
    sim_clock_cancel(&c, &v[2].ev);
    sim_clock_after(&c, &v[4].ev, 5); /* moved */
    sim_clock_run_due(&c);
    assert_string_equal(log, "");
    sim_clock_advance(&c, 10);
    sim_clock_run_due(&c);
    assert_string_equal(log, "ebd");
    assert_int_equal(sim_clock_next(&c), c.now_us + 20);
    sim_clock_advance(&c, 100);
    sim_clock_run_due(&c);
    assert_string_equal(log, "ebda");
    assert_int_equal(sim_clock_next(&c), INT64_MAX);
    sim_clock_free(&c);
}

/* ---- disk ---- */

static void files_read_back(void **state)
{
    UNUSED(state);
    struct fix f = fix_new(1);
    struct io_file *file = must_open(f.io, "/a", RW);
    char big[10000];
    memset(big, 'x', sizeof(big));
    struct iovec iov[2] = {{big, 5000}, {big, 4000}};
    assert_int_equal(io_pwritev(file, iov, 2, 3), 9000);
    uint64_t size;
    assert_int_equal(io_file_size(file, &size), 0);
    assert_int_equal(size, 9003);
    char got[10000];
    assert_int_equal(io_pread(file, got, sizeof(got), 0), 9003);
    assert_memory_equal(got, "\0\0\0", 3);
    assert_memory_equal(got + 3, big, 9000);
    assert_int_equal(io_truncate(file, 5), 0);
    assert_int_equal(io_truncate(file, 8), 0);
    assert_int_equal(io_pread(file, got, sizeof(got), 0), 8);
    assert_memory_equal(got, "\0\0\0xx\0\0\0", 8);
    assert_int_equal(io_pread(file, got, 1, 8), 0);
    io_file_close(file);
    assert_int_equal(io_open(f.io, "/b", IO_OPEN_READ, &file), ERR_NOTFOUND);
    assert_int_equal(io_open(f.io, "/a", RW | IO_OPEN_EXCL, &file), ERR_EXISTS);
    assert_int_equal(io_open(f.io, "/no/a", RW, &file), ERR_NOTFOUND);
    fix_free(&f);
}

static void list_each(void *ctx, const struct io_dirent *e)
{
    buf_printf(ctx, "%s%s ", e->name, e->is_dir ? "/" : "");
}

static void names_behave(void **state)
{
    UNUSED(state);
    struct fix f = fix_new(1);
    struct io *io = f.io;
    char text[64];
    assert_int_equal(io_mkdir(io, "./d"), 0);
    assert_int_equal(io_mkdir(io, "d/"), ERR_EXISTS);
    put(io, "d//z", "z");
    put(io, "/d/a", "a");
    assert_int_equal(io_mkdir(io, "/d/m"), 0);
    struct buf b = {0};
    assert_int_equal(io_list_dir(io, "d", list_each, &b), 0);
    assert_string_equal(buf_cstr(&b), "a m/ z ");
    buf_free(&b);
    assert_int_equal(io_rmdir(io, "/d"), ERR_EXISTS);
    assert_int_equal(io_rename(io, "/d/a", "/d/z"), 0);
    assert_string_equal(get(io, "/d/z", text), "a");
    assert_string_equal(get(io, "/d/a", text), "-");
    assert_int_equal(io_rename(io, "/d", "/d/m/x"), ERR_INVALID);
    assert_int_equal(io_rename(io, "/d", "/e"), 0);
    struct io_file *file = must_open(io, "/e/z", IO_OPEN_READ);
    assert_int_equal(io_unlink(io, "/e/z"), 0);
    assert_int_equal(io_unlink(io, "/e/z"), ERR_NOTFOUND);
    assert_int_equal(io_pread(file, text, 5, 0), 1); /* open files live on */
    io_file_close(file);
    assert_int_equal(io_rmdir(io, "/e/m"), 0);
    assert_int_equal(io_rmdir(io, "/e"), 0);
    struct io_stat st;
    assert_int_equal(io_stat(io, "/e", &st), ERR_NOTFOUND);
    assert_int_equal(f.host->disk->used, 0);
    fix_free(&f);
}

static void killed_process_keeps_what_it_wrote(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct fix f = fix_new(seed);
        char text[64];
        put(f.io, "/a", "written");
        assert_int_equal(io_rename(f.io, "/a", "/b"), 0);
        sim_proc_kill(f.proc);
        fix_start(&f);
        assert_string_equal(get(f.io, "/b", text), "written");
        assert_string_equal(get(f.io, "/a", text), "-");
        fix_free(&f);
    }
}

/* All of it at once: bytes, names, folders. */
static void a_file_system_is_flushed(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct fix f = fix_new(seed);
        char text[64];
        assert_int_equal(io_mkdir(f.io, "/d"), 0);
        put(f.io, "/d/a", "first");
        put(f.io, "/d/b", "second");
        assert_int_equal(io_rename(f.io, "/d/b", "/c"), 0);
        assert_int_equal(io_sync_fs(f.io, "/d"), 0);
        put(f.io, "/d/late", "late");
        fix_power_cycle(&f);
        assert_string_equal(get(f.io, "/d/a", text), "first");
        assert_string_equal(get(f.io, "/c", text), "second");
        assert_string_equal(get(f.io, "/d/b", text), "-");
        f.host->disk->faults.fsync_eio_ppm = 1000000;
        assert_int_equal(io_sync_fs(f.io, "/d"), ERR_IO);
        fix_free(&f);
    }
}

/* What was not synced is lost in some runs and there in others. */
static void power_loss_takes_the_unsynced(void **state)
{
    UNUSED(state);
    unsigned seen_old = 0;
    unsigned seen_new = 0;
    unsigned seen_none = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fix f = fix_new(seed);
        char text[64];
        put(f.io, "/a", "old");
        struct io_file *file = must_open(f.io, "/a", IO_OPEN_WRITE);
        assert_int_equal(io_fsync(file), 0);
        assert_int_equal(io_fsync_dir(f.io, "/"), 0);
        assert_int_equal(io_pwrite(file, "new", 3, 0), 3);
        put(f.io, "/n", "n");
        io_file_close(file);
        fix_power_cycle(&f);
        get(f.io, "/a", text);
        assert_true(strcmp(text, "old") == 0 || strcmp(text, "new") == 0);
        seen_new += strcmp(text, "new") == 0;
        seen_old += strcmp(text, "old") == 0;
        seen_none += strcmp(get(f.io, "/n", text), "-") == 0;
        fix_free(&f);
    }
    assert_in_range(seen_old, 20, 180);
    assert_in_range(seen_new, 20, 180);
    assert_in_range(seen_none, 20, 180);
}

/* A model of what must survive: the bytes of the last fsync that were not touched since. */
struct model {
    uint8_t now[40000];
    uint8_t synced[40000];
    bool touched[40000];
    uint64_t size;
    uint64_t size_synced;
    uint64_t size_low;
    struct prng rng;
};

static void model_step(struct model *m, struct io_file *file)
{
    uint64_t off = prng_below(&m->rng, 30000);
    uint64_t n = 1 + prng_below(&m->rng, prng_below(&m->rng, 2) ? 100 : 9000);
    switch (prng_below(&m->rng, 6)) {
    case 0:
        assert_int_equal(io_truncate(file, off), 0);
        if (off < m->size) {
            memset(m->now + off, 0, m->size - off);
        }
        m->size = off;
        m->size_low = off < m->size_low ? off : m->size_low;
        break;
    case 1:
        assert_int_equal(io_fsync(file), 0);
        memcpy(m->synced, m->now, sizeof(m->now));
        memset(m->touched, 0, sizeof(m->touched));
        m->size_synced = m->size_low = m->size;
        break;
    case 2:
        io_write_behind(file, 0, m->size);
        break;
    default:
        off = prng_below(&m->rng, 2) ? m->size : off; /* half of them append */
        n = off + n > 40000 ? 40000 - off : n;
        for (uint64_t i = off; i < off + n; i++) {
            m->now[i] = (uint8_t)(1 + prng_below(&m->rng, 255));
            m->touched[i] = true;
        }
        assert_int_equal(io_pwrite(file, m->now + off, n, off), n);
        m->size = off + n > m->size ? off + n : m->size;
    }
}

static uint64_t model_check(const struct model *m, struct io_file *file, bool killed)
{
    static uint8_t got[40001];
    int64_t n = io_pread(file, got, sizeof(got), 0);
    if (killed) {
        assert_int_equal(n, m->size);
        assert_memory_equal(got, m->now, m->size);
        return 0;
    }
    uint64_t low = m->size_low < m->size_synced ? m->size_low : m->size_synced;
    assert_true(n >= (int64_t)low);
    uint64_t strange = 0;
    for (uint64_t i = 0; i < low; i++) {
        if (!m->touched[i] && got[i] != m->synced[i]) {
            fail_msg("synced byte %llu changed", (unsigned long long)i);
        }
        strange += m->touched[i] && got[i] != m->synced[i] && got[i] != m->now[i];
    }
    return strange;
}

static void synced_bytes_survive_anything(void **state)
{
    UNUSED(state);
    struct model *m = MEM_NEW(struct model);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct fix f = fix_new(seed);
        *m = (struct model){0};
        prng_seed(&m->rng, seed);
        f.host->disk->faults.writeback_ppm = seed % 3 ? 0 : 200000;
        struct io_file *file = must_open(f.io, "/f", RW);
        assert_int_equal(io_fsync_dir(f.io, "/"), 0);
        for (uint64_t k = prng_below(&m->rng, 60); k > 0; k--) {
            model_step(m, file);
        }
        bool killed = seed % 4 == 0;
        if (killed) {
            sim_proc_kill(f.proc);
            fix_start(&f);
        } else {
            fix_power_cycle(&f);
        }
        file = must_open(f.io, "/f", IO_OPEN_READ);
        model_check(m, file, killed);
        /* What is there now is on the platters: another power loss changes nothing. */
        if (!killed) {
            uint8_t before[40000] = {0};
            uint8_t after[40000] = {0};
            io_pread(file, before, sizeof(before), 0);
            fix_power_cycle(&f);
            file = must_open(f.io, "/f", IO_OPEN_READ);
            io_pread(file, after, sizeof(after), 0);
            assert_memory_equal(before, after, sizeof(before));
        }
        fix_free(&f);
    }
    mem_free(m);
}

static void lies_are_lies(void **state)
{
    UNUSED(state);
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fix f = fix_new(seed);
        char text[64];
        f.host->disk->lies.fsync = true;
        struct io_file *file = must_open(f.io, "/a", RW);
        assert_int_equal(io_pwrite(file, "data", 4, 0), 4);
        assert_int_equal(io_fsync(file), 0);
        assert_int_equal(io_fsync_dir(f.io, "/"), 0);
        fix_power_cycle(&f);
        lost += strcmp(get(f.io, "/a", text), "data") != 0;
        fix_free(&f);
    }
    assert_in_range(lost, 5, 39);
}

static void failed_fsync_drops_the_pages(void **state)
{
    UNUSED(state);
    struct fix f = fix_new(3);
    char text[64];
    struct io_file *file = must_open(f.io, "/a", RW);
    assert_int_equal(io_pwrite(file, "old", 3, 0), 3);
    assert_int_equal(io_fsync(file), 0);
    assert_int_equal(io_fsync_dir(f.io, "/"), 0);
    assert_int_equal(io_pwrite(file, "new", 3, 0), 3);
    f.host->disk->faults.fsync_eio_in = 1;
    assert_int_equal(io_fsync(file), ERR_IO);
    assert_string_equal(get(f.io, "/a", text), "new"); /* still in the cache */
    assert_int_equal(io_fsync(file), 0);               /* and yet never written */
    fix_power_cycle(&f);
    assert_string_equal(get(f.io, "/a", text), "old");
    fix_free(&f);
}

static void full_disk_takes_what_fits(void **state)
{
    UNUSED(state);
    struct fix f = fix_new(4);
    char big[5 * SIM_PAGE];
    memset(big, 'x', sizeof(big));
    struct io_file *file = must_open(f.io, "/a", RW);
    f.host->disk->capacity = f.host->disk->used + 3 * SIM_PAGE;
    assert_int_equal(io_pwrite(file, big, sizeof(big), 0), ERR_NOSPACE);
    uint64_t size;
    assert_int_equal(io_file_size(file, &size), 0);
    assert_int_equal(size, 3 * SIM_PAGE);
    assert_int_equal(io_truncate(file, 0), 0);
    assert_int_equal(io_pwrite(file, big, SIM_PAGE, 0), SIM_PAGE);
    assert_int_equal(io_allocate(file, 10 * SIM_PAGE), ERR_NOSPACE);
    f.host->disk->capacity += 20 * SIM_PAGE;
    assert_int_equal(io_allocate(file, 6 * SIM_PAGE), 0);
    f.host->disk->capacity = f.host->disk->used;
    assert_int_equal(io_pwrite(file, big, 6 * SIM_PAGE - SIM_PAGE, SIM_PAGE), 5 * SIM_PAGE);
    assert_int_equal(io_pwrite(file, big, 1, 6 * SIM_PAGE), ERR_NOSPACE);
    io_file_close(file);
    fix_free(&f);
}

struct done {
    struct io_op op;
    int calls;
    int64_t result;
    int order;
};

static void done_cb(struct io_op *op, int64_t result)
{
    struct done *d = CONTAINER_OF(op, struct done, op);
    d->calls++;
    d->result = result;
}

static void async_fsync_covers_what_was_before(void **state)
{
    UNUSED(state);
    unsigned later_lost = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct fix f = fix_new(seed);
        char text[64];
        struct io_file *file = must_open(f.io, "/a", RW);
        assert_int_equal(io_fsync_dir(f.io, "/"), 0);
        assert_int_equal(io_pwrite(file, "early", 5, 0), 5);
        struct done d = {.op = {.cb = done_cb}};
        io_fsync_start(file, &d.op);
        assert_int_equal(io_pwrite(file, "later", 5, 5), 5);
        io_turn(f.io, 0);
        assert_int_equal(d.calls, 0);
        assert_true(d.op.in_flight);
        io_turn(f.io, 1000000);
        assert_int_equal(d.calls, 1);
        assert_int_equal(d.result, 0);
        assert_false(d.op.in_flight);
        io_file_close(file);
        fix_power_cycle(&f);
        get(f.io, "/a", text);
        assert_memory_equal(text, "early", 5);
        later_lost += strcmp(text, "earlylater") != 0;
        fix_free(&f);
    }
    assert_in_range(later_lost, 5, 49);
}

static void locks_are_exclusive(void **state)
{
    UNUSED(state);
    struct fix f = fix_new(5);
    struct sim_proc *other = sim_proc_new(f.host);
    struct io *io2;
    io_sim_make(other, 0, &io2, NULL);
    struct io_file *a = must_open(f.io, "/.lock", RW);
    struct io_file *b = must_open(io2, "/.lock", RW);
    assert_int_equal(io_lock(a), 0);
    assert_int_equal(io_lock(must_open(f.io, "/.lock", RW)), ERR_LOCKED);
    assert_int_equal(io_lock(b), ERR_LOCKED);
    sim_proc_kill(f.proc);
    f.proc = NULL;
    assert_int_equal(io_lock(b), 0);
    sim_proc_kill(other);
    fix_free(&f);
}

/* ---- dying in the middle ---- */

struct replace {
    struct io *io;
    int result;
};

static void do_replace(void *arg)
{
    struct replace *r = arg;
    r->result = 1;
    r->result = io_replace_file(r->io, "/dir/file", "the new text", 12);
}

/* io_replace_file at every call it makes, killed or without power: the old text or the new one. */
static void replaced_file_is_old_or_new(void **state)
{
    UNUSED(state);
    unsigned old = 0;
    unsigned whole = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct fix f = fix_new(seed);
        char text[64];
        io_mkdir(f.io, "/dir");
        put(f.io, "/dir/file", "old");
        struct io_file *file = must_open(f.io, "/dir/file", IO_OPEN_READ);
        assert_int_equal(io_fsync(file), 0);
        io_file_close(file);
        assert_int_equal(io_fsync_dir(f.io, "/dir"), 0);
        assert_int_equal(io_fsync_dir(f.io, "/"), 0);
        struct replace r = {.io = f.io};
        sim_proc_die_in(f.proc, 1 + seed % 6);
        bool lives = sim_proc_run(f.proc, do_replace, &r);
        if (seed / 6 % 2) {
            sim_proc_kill(f.proc);
            fix_start(&f);
        } else {
            fix_power_cycle(&f);
        }
        get(f.io, "/dir/file", text);
        bool is_new = strcmp(text, "the new text") == 0;
        if (lives) {
            assert_int_equal(r.result, 0);
            assert_true(is_new);
            whole++;
        } else {
            assert_true(is_new || strcmp(text, "old") == 0);
            old += !is_new;
        }
        fix_free(&f);
    }
    assert_true(old > 50);
    assert_true(whole > 5);
}

/* ---- network ---- */

struct peer {
    struct io_sock *s;
    struct buf in;
    size_t sent;
    const uint8_t *data;
    size_t len;
    unsigned events; /* of the last callback */
    int calls;
    int64_t end; /* what recv said at last: 0 or an error */
    bool ended;
};

static void peer_cb(struct io_sock *s, unsigned events, void *user)
{
    struct peer *p = user;
    uint8_t tmp[700];
    p->events = events;
    p->calls++;
    for (;;) {
        int64_t n = io_recv(s, tmp, sizeof(tmp));
        if (n == ERR_AGAIN) {
            break;
        }
        if (n <= 0) {
            p->end = n;
            p->ended = true;
            return;
        }
        buf_put(&p->in, tmp, (size_t)n);
    }
    while (p->sent < p->len) {
        struct iovec iov = {(void *)(uintptr_t)(p->data + p->sent), p->len - p->sent};
        int64_t n = io_sendv(s, &iov, 1, false);
        if (n <= 0) {
            assert_true(n == ERR_AGAIN || n == ERR_CLOSED);
            break;
        }
        p->sent += (size_t)n;
    }
    io_sock_arm(s, IO_READ | (p->sent < p->len ? IO_WRITE : 0), peer_cb, p);
}

struct link {
    struct fix f;
    struct sim_host *client_host;
    struct sim_proc *client_proc;
    struct io *client;
    struct io_sock *listener;
    struct peer a; /* client */
    struct peer b; /* server */
};

static void step(struct link *l, int64_t us)
{
    int64_t until = l->f.sim->clock.now_us + us;
    while (l->f.sim->clock.now_us < until) {
        sim_clock_run_due(&l->f.sim->clock);
        if (l->client_proc) {
            io_turn(l->client, 0);
        }
        if (l->f.proc) {
            io_turn(l->f.io, 0);
        }
        int64_t next = sim_clock_next(&l->f.sim->clock);
        l->f.sim->clock.now_us = next < until ? next : until;
    }
}

static struct link link_new(uint64_t seed, bool harsh)
{
    struct link l = {.f = fix_new(seed)};
    l.f.sim->self_advance = false;
    if (harsh) {
        l.f.sim->net.faults = (struct sim_net_faults){.delay_us_min = 5,
                                                      .delay_us_max = 3000,
                                                      .window_min = 1,
                                                      .window_max = 3000,
                                                      .split_ppm = 300000,
                                                      .short_ppm = 300000,
                                                      .timeout_us = 5000000};
    }
    l.client_host = sim_host_new(l.f.sim, 1 << 20);
    l.client_proc = sim_proc_new(l.client_host);
    io_sim_make(l.client_proc, 0, &l.client, NULL);
    assert_int_equal(io_listen(l.f.io, "", 9092, &l.listener), 0);
    return l;
}

static void link_connect(struct link *l)
{
    int handle;
    assert_int_equal(io_connect(l->client, "10.1.0.1", 9092, &l->a.s), 0);
    assert_int_equal(io_accept(l->listener, &handle), ERR_AGAIN);
    step(l, 20000);
    assert_int_equal(io_sock_error(l->a.s), 0);
    assert_int_equal(io_accept(l->listener, &handle), 0);
    assert_int_equal(io_sock_adopt(l->f.io, handle, &l->b.s), 0);
    char ip[16];
    io_sock_peer(l->b.s, ip, sizeof(ip));
    assert_string_equal(ip, "10.1.0.2");
}

static void link_free(struct link *l)
{
    buf_free(&l->a.in);
    buf_free(&l->b.in);
    if (l->client_proc) {
        sim_proc_kill(l->client_proc);
    }
    fix_free(&l->f);
}

static void bytes_arrive_in_order(void **state)
{
    UNUSED(state);
    enum { N = 60000 };
    uint8_t *data = mem_alloc(N);
    for (size_t i = 0; i < N; i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct link l = link_new(seed, seed > 0);
        link_connect(&l);
        l.a.data = l.b.data = data;
        l.a.len = N;
        l.b.len = N / 2;
        io_sock_arm(l.a.s, IO_READ | IO_WRITE, peer_cb, &l.a);
        io_sock_arm(l.b.s, IO_READ | IO_WRITE, peer_cb, &l.b);
        for (int i = 0; i < 3000 && (l.b.in.len < N || l.a.in.len < N / 2); i++) {
            step(&l, 1000000);
        }
        assert_int_equal(l.b.in.len, N);
        assert_memory_equal(l.b.in.data, data, N);
        assert_int_equal(l.a.in.len, N / 2);
        assert_memory_equal(l.a.in.data, data, N / 2);
        io_sock_close(l.a.s);
        step(&l, 1000000);
        assert_true(l.b.ended);
        assert_int_equal(l.b.end, 0);
        link_free(&l);
    }
    mem_free(data);
}

static void connecting_can_fail(void **state)
{
    UNUSED(state);
    struct link l = link_new(1, false);
    struct io_sock *s;
    assert_int_equal(io_connect(l.client, "10.1.0.1", 1, &s), 0);
    io_sock_arm(s, IO_WRITE, peer_cb, &l.a);
    step(&l, 100000);
    assert_int_equal(l.a.calls, 1);
    assert_int_equal(io_sock_error(s), ERR_REFUSED);
    io_sock_close(s);
    assert_int_equal(io_listen(l.f.io, "127.0.0.1", 9092, &s), ERR_INUSE);
    assert_int_equal(io_listen(l.f.io, "127.0.0.1", 7000, &s), 0);
    assert_int_equal(io_listen(l.f.io, "::1", 7000, &s), 0); /* another address */
    assert_int_equal(io_connect(l.client, "10.1.0.1", 7000, &s), 0);
    step(&l, 100000);
    assert_int_equal(io_sock_error(s), ERR_REFUSED); /* only on loopback */
    io_sock_close(s);

    sim_host_power_loss(l.f.host);
    l.f.proc = NULL;
    assert_int_equal(io_connect(l.client, "10.1.0.1", 9092, &s), 0);
    step(&l, 20000000);
    assert_int_equal(io_sock_error(s), 0); /* silence */
    step(&l, 20000000);
    assert_int_equal(io_sock_error(s), ERR_TIMEOUT);
    io_sock_close(s);
    link_free(&l);
}

static void peers_of_the_dead(void **state)
{
    UNUSED(state);
    static const uint8_t text[] = "hello";
    /* Killed: its kernel says goodbye. */
    struct link l = link_new(2, false);
    link_connect(&l);
    io_sock_arm(l.a.s, IO_READ, peer_cb, &l.a);
    sim_proc_kill(l.f.proc);
    l.f.proc = NULL;
    step(&l, 100000);
    assert_true(l.a.ended);
    link_free(&l);

    /* Powered off: silence, until something is sent to the machine that came back. */
    l = link_new(3, false);
    link_connect(&l);
    io_sock_arm(l.a.s, IO_READ, peer_cb, &l.a);
    sim_host_power_loss(l.f.host);
    l.f.proc = NULL;
    step(&l, 100000000);
    assert_false(l.a.ended);
    sim_host_power_on(l.f.host);
    l.a.data = text;
    l.a.len = 5;
    io_sock_arm(l.a.s, IO_WRITE, peer_cb, &l.a);
    step(&l, 1000000);
    assert_true(l.a.ended);
    assert_int_equal(l.a.end, ERR_CLOSED);
    assert_true(l.a.events & IO_HUP);
    link_free(&l);
}

static void blocked_links_hold_back(void **state)
{
    UNUSED(state);
    static const uint8_t text[] = "hello";
    struct link l = link_new(4, false);
    link_connect(&l);
    l.a.data = text;
    l.a.len = 5;
    io_sock_arm(l.b.s, IO_READ, peer_cb, &l.b);
    sim_net_block(&l.f.sim->net, l.client_host, l.f.host, true);
    io_sock_arm(l.a.s, IO_WRITE, peer_cb, &l.a);
    step(&l, 10000000);
    assert_int_equal(l.b.in.len, 0);
    sim_net_block(&l.f.sim->net, l.client_host, l.f.host, false);
    step(&l, 1000000);
    assert_int_equal(l.b.in.len, 5);
    sim_net_block(&l.f.sim->net, l.client_host, l.f.host, true);
    l.a.sent = 0;
    io_sock_arm(l.a.s, IO_WRITE, peer_cb, &l.a);
    step(&l, 60000000);
    assert_true(l.a.ended);
    assert_int_equal(l.a.end, ERR_TIMEOUT);
    link_free(&l);
}

static void arming_is_for_one_callback(void **state)
{
    UNUSED(state);
    struct link l = link_new(5, false);
    link_connect(&l);
    l.a.len = 0;
    io_sock_arm(l.a.s, IO_WRITE, peer_cb, &l.a);
    assert_int_equal(l.a.calls, 0); /* never inside the call */
    io_turn(l.client, 0);
    assert_int_equal(l.a.calls, 1);
    assert_int_equal(l.a.events, IO_WRITE);
    io_sock_arm(l.a.s, IO_WRITE, peer_cb, &l.a);
    io_sock_arm(l.a.s, 0, NULL, NULL);
    step(&l, 1000);
    assert_int_equal(l.a.calls, 1);
    io_sock_arm(l.a.s, IO_WRITE, peer_cb, &l.a);
    io_sock_close(l.a.s);
    step(&l, 1000);
    assert_int_equal(l.a.calls, 1);
    link_free(&l);
}

static void descriptors_run_out(void **state)
{
    UNUSED(state);
    struct link l = link_new(6, false);
    struct io_sock *s;
    struct io_file *file;
    int handle;
    l.f.proc->fd_max = 2; /* the listener is one */
    assert_int_equal(io_connect(l.client, "10.1.0.1", 9092, &s), 0);
    assert_int_equal(io_connect(l.client, "10.1.0.1", 9092, &s), 0);
    step(&l, 10000);
    assert_int_equal(io_accept(l.listener, &handle), 0);
    int second;
    assert_int_equal(io_accept(l.listener, &second), ERR_MFILE);
    assert_int_equal(io_open(l.f.io, "/x", RW, &file), ERR_MFILE);
    io_handle_close(l.f.io, handle);
    assert_int_equal(io_accept(l.listener, &second), 0);
    link_free(&l);
}

static void files_go_to_sockets(void **state)
{
    UNUSED(state);
    struct link l = link_new(7, false);
    link_connect(&l);
    put(l.f.io, "/data", "0123456789");
    struct io_file *file = must_open(l.f.io, "/data", IO_OPEN_READ);
    io_sock_arm(l.a.s, IO_READ, peer_cb, &l.a);
    assert_int_equal(io_sendfile(l.b.s, file, 2, 3), 3);
    assert_int_equal(io_sendfile(l.b.s, file, 10, 3), 0);
    struct done cold = {.op = {.cb = done_cb}};
    io_send_cold(l.b.s, file, 7, 100, &cold.op);
    step(&l, 100000);
    assert_int_equal(cold.calls, 1);
    assert_int_equal(cold.result, 3);
    assert_int_equal(l.a.in.len, 6);
    assert_memory_equal(l.a.in.data, "234789", 6);
    io_send_cold(l.b.s, file, 0, 100, &cold.op);
    io_sock_close(l.b.s);
    assert_int_equal(cold.calls, 1);
    step(&l, 100000);
    assert_int_equal(cold.calls, 2);
    assert_int_equal(cold.result, ERR_CANCELED);
    io_file_close(file);
    link_free(&l);
}

static void work_fn(struct io_op *op)
{
    struct done *d = CONTAINER_OF(op, struct done, op);
    assert_int_equal(d->calls, 0);
    d->order = 1;
    op->result = 42;
}

static void work_runs_later(void **state)
{
    UNUSED(state);
    struct fix f = fix_new(8);
    struct done d = {.op = {.cb = done_cb}};
    io_work(f.io, &d.op, work_fn);
    assert_int_equal(d.order, 0);
    for (int i = 0; i < 10 && d.calls == 0; i++) {
        io_turn(f.io, 100000);
    }
    assert_int_equal(d.order, 1);
    assert_int_equal(d.calls, 1);
    assert_int_equal(d.result, 42);
    fix_free(&f);
}

/* ---- one seed, one run ---- */

static char *run_traced(uint64_t seed)
{
    char *text = NULL;
    size_t len = 0;
    struct link l = link_new(seed, true);
    l.f.sim->trace = open_memstream(&text, &len);
    link_connect(&l);
    uint8_t data[5000];
    io_random(l.f.io, data, sizeof(data));
    l.a.data = data;
    l.a.len = sizeof(data);
    io_sock_arm(l.a.s, IO_READ | IO_WRITE, peer_cb, &l.a);
    io_sock_arm(l.b.s, IO_READ, peer_cb, &l.b);
    step(&l, 1000000);
    struct io_file *file = must_open(l.f.io, "/f", RW);
    assert_true(io_pwrite(file, l.b.in.data, l.b.in.len, 0) > 0);
    assert_int_equal(io_fsync(file), 0);
    for (size_t i = 0; i < l.b.in.len; i++) {
        fprintf(l.f.sim->trace, "%02x", l.b.in.data[i]);
    }
    fclose(l.f.sim->trace);
    l.f.sim->trace = NULL;
    link_free(&l);
    return text;
}

static void same_seed_same_run(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 0; seed < 10; seed++) {
        char *one = run_traced(seed);
        char *two = run_traced(seed);
        char *other = run_traced(seed + 1000);
        assert_string_equal(one, two);
        assert_string_not_equal(one, other);
        free(one);
        free(two);
        free(other);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_system_is_flushed),
        cmocka_unit_test(events_run_in_order_of_time),
        cmocka_unit_test(files_read_back),
        cmocka_unit_test(names_behave),
        cmocka_unit_test(killed_process_keeps_what_it_wrote),
        cmocka_unit_test(power_loss_takes_the_unsynced),
        cmocka_unit_test(synced_bytes_survive_anything),
        cmocka_unit_test(lies_are_lies),
        cmocka_unit_test(failed_fsync_drops_the_pages),
        cmocka_unit_test(full_disk_takes_what_fits),
        cmocka_unit_test(async_fsync_covers_what_was_before),
        cmocka_unit_test(locks_are_exclusive),
        cmocka_unit_test(replaced_file_is_old_or_new),
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(connecting_can_fail),
        cmocka_unit_test(peers_of_the_dead),
        cmocka_unit_test(blocked_links_hold_back),
        cmocka_unit_test(arming_is_for_one_callback),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(files_go_to_sockets),
        cmocka_unit_test(work_runs_later),
        cmocka_unit_test(same_seed_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
