#include "runtime/limits.h"

#include <limits.h>
#include <malloc.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum {
    FOR_FILES_MIN = 32, /* descriptors that connections leave: a quarter of all, within these */
    FOR_FILES_MAX = 1024,
    KEEP_BYTES = 32 << 20, /* free memory that a thread keeps */
    BLOCK_MAX = 8 << 20,   /* from here on a block is the system's own business */
};

/* The limit is the process's, and so is this. 0: no bound. */
static _Atomic int accept_below;

static uint64_t raise_nofile(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) < 0) {
        return 1024;
    }
    if (rl.rlim_cur < rl.rlim_max) {
        struct rlimit raised = {rl.rlim_max, rl.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            return raised.rlim_cur;
        }
    }
    return rl.rlim_cur;
}

uint64_t limits_raise_nofile(void)
{
    uint64_t all = raise_nofile();
    uint64_t kept = all / 4;
    kept = kept < FOR_FILES_MIN ? FOR_FILES_MIN : kept;
    kept = kept > FOR_FILES_MAX ? FOR_FILES_MAX : kept;
    atomic_store(&accept_below, all > INT_MAX ? INT_MAX : all > kept ? (int)(all - kept) : 1);
    return all;
}

int limits_accept_below(void)
{
    int n = atomic_load_explicit(&accept_below, memory_order_relaxed);
    return n > 0 ? n : INT_MAX;
}

void limits_keep_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, BLOCK_MAX);
#endif
}
