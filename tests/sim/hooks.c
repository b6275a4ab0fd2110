/* See hooks.h: what is no breach, and when one strikes. */
#include "sim/hooks.h"

#include "base/crc32c.h"

static struct {
    struct run *run;
    struct sim_disk *disk; /* the first one that the breach is said of */
    struct prng rng;       /* of its own: a run with a breach is else the run without */
    uint64_t full_in;
    uint64_t struck;
} hooks;

void hooks_init(struct run *r)
{
    hooks.run = r;
    prng_seed(&hooks.rng, ~r->seed);
}

/* Every write is a part of what the run did. */
static void on_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt, uint64_t off)
{
    uint32_t crc = 0;
    for (int i = 0; i < iovcnt; i++) {
        crc = crc32c(crc, iov[i].iov_base, iov[i].iov_len);
    }
    run_digest(hooks.run, ino->id << 32 | crc);
    run_digest(hooks.run, off);
    if (ino->disk == hooks.disk && hooks.full_in != 0 && --hooks.full_in == 0) {
        ino->disk->capacity = ino->disk->used;
    }
}

void hooks_breach(struct sim_disk *d)
{
    d->on_write = on_write;
    hooks.disk = hooks.disk ? hooks.disk : d;
}

void hooks_full_in(uint64_t n)
{
    hooks.full_in = n;
}

uint64_t hooks_struck(void)
{
    return hooks.struck;
}

const struct sim *hooks_world(void)
{
    return hooks.run ? hooks.run->sim : NULL;
}

bool hooks_breaks(enum run_mutant m)
{
    bool begun = hooks.disk != NULL || m >= MUTANT_COMMIT; /* a coordinator has no disk */
    return hooks.run != NULL && hooks.run->mutant == m && begun;
}

bool hooks_strike(enum run_mutant m, unsigned one_in)
{
    if (!hooks_breaks(m) || prng_below(&hooks.rng, one_in) != 0) {
        return false;
    }
    hooks.struck++;
    return true;
}
