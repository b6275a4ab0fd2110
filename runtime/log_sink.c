#include "runtime/log_sink.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

static int64_t wall_ms(void *ctx)
{
    struct timespec ts;
    UNUSED(ctx);
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A line that cannot be written is lost: there is nobody to tell. */
static void sink(void *ctx, const char *line, size_t len)
{
    int fd = (int)(intptr_t)ctx;
    while (len > 0) {
        ssize_t r = write(fd, line, len);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            break;
        }
        line += r;
        len -= (size_t)r;
    }
}

void log_sink_init(struct logger *lg, enum log_level level, int fd)
{
    *lg = (struct logger){
        .level = level, .wall_ms = wall_ms, .sink = sink, .ctx = (void *)(intptr_t)fd};
}
