/* The operator's log: one line an event, `TIME LEVEL subsystem: sentence key=value ...`. A logger
 * is an object that a node carries, with its sink and clock plugged in by runtime/ (the simulator
 * has its own), so nothing here is static. Where a peer can cause a line, a log_limit in the owner
 * bounds it and says how many were left out. */
#ifndef BASE_LOGGER_H
#define BASE_LOGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logger {
    enum log_level level; /* lines below it are dropped; while threads run: log_set_level */
    int64_t (*wall_ms)(void *ctx); /* wall clock in ms since 1970 */
    void (*sink)(void *ctx, enum log_level level, const char *line,
                 size_t len); /* one whole line with its newline; any thread */
    void *ctx;
};

/* At most `burst` lines a second; how many were dropped is said with the next one that passes. */
struct log_limit {
    int64_t window_ms; /* start of the present second (of log_seldom: minute) */
    uint32_t count;    /* lines in it */
    uint32_t dropped;
};

/* Any thread, at any time. */
void log_set_level(struct logger *lg, enum log_level level);
enum log_level log_level_of(const struct logger *lg);

/* lg may be NULL (nothing is logged). fmt gives the sentence and the key=value pairs. */
void log_write(const struct logger *lg, enum log_level level, const char *subsystem,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void log_limited(const struct logger *lg, struct log_limit *limit, enum log_level level,
                 const char *subsystem, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* One line a minute: what stays as it is until an operator acts, however often a peer asks. */
void log_seldom(const struct logger *lg, struct log_limit *limit, enum log_level level,
                const char *subsystem, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#define log_debug(lg, ...) log_write((lg), LOG_DEBUG, __VA_ARGS__)
#define log_info(lg, ...)  log_write((lg), LOG_INFO, __VA_ARGS__)
#define log_warn(lg, ...)  log_write((lg), LOG_WARN, __VA_ARGS__)
#define log_error(lg, ...) log_write((lg), LOG_ERROR, __VA_ARGS__)

#endif
