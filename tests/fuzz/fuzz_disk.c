#include "fuzz_disk.h"

#include <stdio.h>

#include "base/assert.h"

enum { DISK_BYTES = 256 << 20 };

static void no_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    UNUSED(level);
    UNUSED(ctx);
    UNUSED(line);
    UNUSED(len);
}

static int64_t wall(void *ctx)
{
    UNUSED(ctx);
    return 0;
}

void fuzz_disk_init(struct fuzz_disk *d)
{
    *d = (struct fuzz_disk){.sim = sim_new(1)};
    d->sim->self_advance = true;
    d->host = sim_host_new(d->sim, DISK_BYTES);
    d->proc = sim_proc_new(d->host);
    int rv = io_sim_make(d->proc, 0, &d->io, NULL);
    ASSERT(rv == 0);
    rv = io_mkdir(d->io, FUZZ_DIR);
    ASSERT(rv == 0);
    d->lg = (struct logger){.level = LOG_DEBUG, .wall_ms = wall, .sink = no_sink};
}

void fuzz_disk_run(struct fuzz_disk *d, void (*fn)(void *arg), void *arg)
{
    bool lived = sim_proc_run(d->proc, fn, arg);
    ASSERT(lived);
}

void fuzz_disk_free(struct fuzz_disk *d)
{
    struct errmsg why;
    io_destroy(d->io);
    bool orderly = sim_proc_end(d->proc, &why);
    if (!orderly) {
        fprintf(stderr, "left open: %s\n", why.text);
    }
    ASSERT(orderly);
    sim_free(d->sim);
}

void fuzz_disk_put(struct fuzz_disk *d, const char *name, struct bytes text)
{
    char path[256];
    struct io_file *f;
    snprintf(path, sizeof path, FUZZ_DIR "/%s", name);
    int rv = io_open(d->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &f);
    ASSERT(rv == 0);
    int64_t n = io_pwrite(f, text.data, text.len, 0);
    ASSERT(n == (int64_t)text.len);
    io_file_close(f);
}
