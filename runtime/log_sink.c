#include "runtime/log_sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
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
static void write_all(int fd, const char *line, size_t len)
{
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

static void sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    UNUSED(level);
    write_all((int)(intptr_t)ctx, line, len);
}

/* ---- the journal ---- */

enum { PREFIX_BYTES = 3 };
static const char journal_prefixes[][PREFIX_BYTES + 1] = {"<7>", "<6>", "<4>", "<3>"};

/* systemd says in JOURNAL_STREAM, as DEVICE:INODE, which file the stream is: the variable alone
 * proves nothing, as it is inherited by whatever was redirected since. */
static bool is_journal(int fd)
{
    const char *name = getenv("JOURNAL_STREAM");
    struct stat st;
    char stream[64];
    if (name == NULL || fstat(fd, &st) != 0) {
        return false;
    }
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(name, stream) == 0;
}

static void journal_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    int fd = (int)(intptr_t)ctx;
    struct iovec v[] = {
        {.iov_base = (void *)(uintptr_t)journal_prefixes[level], .iov_len = PREFIX_BYTES},
        {.iov_base = (void *)(uintptr_t)line, .iov_len = len},
    };
    ssize_t r;
    do {
        r = writev(fd, v, 2);
    } while (r < 0 && errno == EINTR);
    if (r >= PREFIX_BYTES) {
        size_t done = (size_t)r - PREFIX_BYTES;
        write_all(fd, line + done, len - done);
    }
}

const char *log_sink_prefix(int fd, enum log_level level)
{
    return is_journal(fd) ? journal_prefixes[level] : "";
}

void log_sink_init(struct logger *lg, enum log_level level, int fd)
{
    *lg = (struct logger){.level = level,
                          .wall_ms = wall_ms,
                          .sink = is_journal(fd) ? journal_sink : sink,
                          .ctx = (void *)(intptr_t)fd};
}
