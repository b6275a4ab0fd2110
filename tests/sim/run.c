/* What every scenario needs: its story, its end, its dice. */
#include "sim/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/hooks.h"

static void say(struct run *r, const char *what, const char *fmt, va_list ap)
{
    int64_t us = r->sim ? r->sim->clock.now_us : 0;
    char line[1024];
    int n = snprintf(line, sizeof(line), "%lld.%06lld %s", (long long)(us / 1000000),
                     (long long)(us % 1000000), what);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    n = n < (int)sizeof(line) - 1 ? n : (int)sizeof(line) - 2;
    line[n] = '\n';
    fwrite(line, 1, (size_t)n + 1, stderr);
}

void run_fail(struct run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(r, "FAILED: ", fmt, ap);
    va_end(ap);
    fflush(NULL);
    _exit(1);
}

void run_note(struct run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(r, "", fmt, ap);
    va_end(ap);
}

static int64_t log_wall_ms(void *ctx)
{
    struct run *r = ctx;
    return r->sim ? r->sim->clock.now_us / 1000 : 0;
}

static void log_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    (void)ctx;
    fwrite(line, 1, len, stderr);
}

void run_world(struct run *r, bool self_advance)
{
    r->sim = sim_new(prng_next(&r->rng));
    r->sim->self_advance = self_advance;
    r->sim->trace = r->verbose ? stderr : NULL;
    r->log = (struct logger){.level = r->verbose ? LOG_DEBUG : LOG_INFO,
                             .wall_ms = log_wall_ms,
                             .sink = log_sink,
                             .ctx = r};
}

void run_apply_mutant(struct run *r, struct sim_host *h)
{
    h->disk->lies.fsync = r->mutant == MUTANT_FSYNC;
    h->disk->lies.fsync_dir = r->mutant == MUTANT_FSYNC_DIR;
    h->disk->lies.kill = r->mutant == MUTANT_KILL;
    h->disk->lies.tear = r->mutant == MUTANT_TEAR;
    h->same_boot = r->mutant == MUTANT_BOOT;
    hooks_breach(h->disk);
}

uint64_t run_between(struct run *r, uint64_t low, uint64_t high)
{
    uint64_t span = high - low;
    unsigned bits = 0;
    while (bits < 63 && span >> bits > 1) {
        bits++;
    }
    uint64_t limit = 1ull << run_below(r, bits + 2);
    uint64_t v = run_below(r, limit < span + 1 ? limit : span + 1);
    return low + v;
}
