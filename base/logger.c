#include "base/logger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 2048, BURST = 10, SELDOM_MS = 60000 };

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

/* A peer's bytes may be part of a line: control characters must not make a second line or move the
 * cursor. */
static void tame(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
}

static void write_line(const struct logger *lg, enum log_level level, const char *subsystem,
                       uint32_t dropped, const char *fmt, va_list ap)
{
    char line[LINE_MAX_BYTES];
    int64_t ms = lg->wall_ms(lg->ctx);
    time_t sec = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03dZ %-5s %s: ", (int)(ms % 1000),
                          level_names[level], subsystem);
    int m = vsnprintf(line + n, sizeof line - n, fmt, ap);
    n = m < 0 ? n : n + (size_t)m;
    n = n > sizeof line - 64 ? sizeof line - 64 : n;
    if (dropped) {
        n += (size_t)snprintf(line + n, sizeof line - n, " (%u such lines left out before)",
                              dropped);
    }
    tame(line, n);
    line[n++] = '\n';
    lg->sink(lg->ctx, level, line, n);
}

void log_set_level(struct logger *lg, enum log_level level)
{
    __atomic_store_n(&lg->level, level, __ATOMIC_RELAXED);
}

enum log_level log_level_of(const struct logger *lg)
{
    return __atomic_load_n(&lg->level, __ATOMIC_RELAXED);
}

void log_write(const struct logger *lg, enum log_level level, const char *subsystem,
               const char *fmt, ...)
{
    if (lg == NULL || level < log_level_of(lg)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    write_line(lg, level, subsystem, 0, fmt, ap);
    va_end(ap);
}

/* May a line pass now? */
static bool passes(const struct logger *lg, struct log_limit *limit, enum log_level level,
                   int64_t window_ms, uint32_t most)
{
    if (lg == NULL || level < log_level_of(lg)) {
        return false;
    }
    int64_t now_ms = lg->wall_ms(lg->ctx);
    if (limit->count == 0 || now_ms - limit->window_ms >= window_ms || now_ms < limit->window_ms) {
        limit->window_ms = now_ms;
        limit->count = 0;
    }
    if (limit->count >= most) {
        limit->dropped++;
        return false;
    }
    limit->count++;
    return true;
}

void log_limited(const struct logger *lg, struct log_limit *limit, enum log_level level,
                 const char *subsystem, const char *fmt, ...)
{
    va_list ap;
    if (passes(lg, limit, level, 1000, BURST)) {
        va_start(ap, fmt);
        write_line(lg, level, subsystem, limit->dropped, fmt, ap);
        va_end(ap);
        limit->dropped = 0;
    }
}

void log_seldom(const struct logger *lg, struct log_limit *limit, enum log_level level,
                const char *subsystem, const char *fmt, ...)
{
    va_list ap;
    if (passes(lg, limit, level, SELDOM_MS, 1)) {
        va_start(ap, fmt);
        write_line(lg, level, subsystem, limit->dropped, fmt, ap);
        va_end(ap);
        limit->dropped = 0;
    }
}
