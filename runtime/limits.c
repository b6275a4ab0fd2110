#include "runtime/limits.h"

#include <malloc.h>
#include <sys/resource.h>

enum {
    KEEP_BYTES = 32 << 20, /* free memory that a thread keeps */
    BLOCK_MAX = 8 << 20,   /* from here on a block is the system's own business */
};

uint64_t limits_raise_nofile(void)
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

void limits_keep_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, BLOCK_MAX);
#endif
}
