/* Log lines: their form, levels, what a peer's bytes cannot do, and the limit that says how much it
 * left out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/logger.h"

struct capture {
    char text[8192];
    size_t len;
    int lines;
    int64_t now_ms;
};

static int64_t now(void *ctx)
{
    return ((struct capture *)ctx)->now_ms;
}

static void sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    struct capture *c = ctx;
    assert_true(len > 0 && line[len - 1] == '\n');
    assert_null(memchr(line, '\n', len - 1)); /* one line a call */
    assert_true(len < sizeof c->text);
    memcpy(c->text, line, len);
    c->text[len] = 0;
    c->len = len;
    c->lines++;
}

static void lines_have_their_form(void **state)
{
    (void)state;
    struct capture c = {.now_ms = 1700000000123};
    struct logger lg = {LOG_INFO, now, sink, &c};
    log_info(&lg, "broker", "started node_id=%d", 7);
    assert_string_equal(c.text, "2023-11-14T22:13:20.123Z INFO  broker: started node_id=7\n");
    log_error(&lg, "storage", "disk is full");
    assert_string_equal(c.text, "2023-11-14T22:13:20.123Z ERROR storage: disk is full\n");
    log_info(NULL, "broker", "nobody listens"); /* no logger, no line */
    assert_int_equal(c.lines, 2);
}

static void levels_below_are_dropped(void **state)
{
    (void)state;
    struct capture c = {0};
    struct logger lg = {LOG_INFO, now, sink, &c};
    log_debug(&lg, "a", "x");
    assert_int_equal(c.lines, 0);
    log_set_level(&lg, LOG_DEBUG);
    assert_int_equal(log_level_of(&lg), LOG_DEBUG);
    log_debug(&lg, "a", "x");
    assert_int_equal(c.lines, 1);
    log_set_level(&lg, LOG_ERROR);
    log_warn(&lg, "a", "x");
    assert_int_equal(c.lines, 1);
    log_error(&lg, "a", "x");
    assert_int_equal(c.lines, 2);
}

static void a_peer_cannot_forge_lines(void **state)
{
    (void)state;
    struct capture c = {0};
    struct logger lg = {LOG_INFO, now, sink, &c};
    log_info(&lg, "net", "client_id=%s", "a\nERROR b\r\x1b[2J\x7f\tz");
    assert_string_equal(c.text,
                        "1970-01-01T00:00:00.000Z INFO  net: client_id=a?ERROR b??[2J??z\n");
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct capture c = {0};
    struct logger lg = {LOG_INFO, now, sink, &c};
    char big[6000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    log_info(&lg, "net", "%s", big);
    assert_int_equal(c.lines, 1);
    assert_in_range(c.len, 1900, 2048);
    assert_int_equal(c.text[c.len - 2], 'x');
}

static void a_flood_is_bounded_and_counted(void **state)
{
    (void)state;
    struct capture c = {.now_ms = 5000};
    struct logger lg = {LOG_INFO, now, sink, &c};
    struct log_limit limit = {0};
    for (int i = 0; i < 25; i++) {
        log_limited(&lg, &limit, LOG_WARN, "net", "bad frame");
    }
    assert_int_equal(c.lines, 10);
    c.now_ms = 5999;
    log_limited(&lg, &limit, LOG_WARN, "net", "bad frame");
    assert_int_equal(c.lines, 10);
    c.now_ms = 6000;
    log_limited(&lg, &limit, LOG_WARN, "net", "bad frame");
    assert_int_equal(c.lines, 11);
    assert_non_null(strstr(c.text, "bad frame (16 such lines left out before)\n"));
    log_limited(&lg, &limit, LOG_WARN, "net", "bad frame");
    assert_null(strstr(c.text, "left out"));
    c.now_ms = 100; /* the clock was set back: lines come again at once */
    for (int i = 0; i < 10; i++) {
        log_limited(&lg, &limit, LOG_WARN, "net", "bad frame");
    }
    assert_int_equal(c.lines, 22);
    log_limited(&lg, &limit, LOG_DEBUG, "net", "below the level: does not count");
    assert_int_equal(limit.dropped, 0);
}

static void what_stays_as_it_is_is_said_once_a_minute(void **state)
{
    (void)state;
    struct capture c = {.now_ms = 5000};
    struct logger lg = {LOG_INFO, now, sink, &c};
    struct log_limit limit = {0};
    for (int i = 0; i < 25; i++) {
        log_seldom(&lg, &limit, LOG_WARN, "group", "groups wait");
    }
    assert_int_equal(c.lines, 1);
    c.now_ms = 64999;
    log_seldom(&lg, &limit, LOG_WARN, "group", "groups wait");
    assert_int_equal(c.lines, 1);
    c.now_ms = 65000;
    log_seldom(&lg, &limit, LOG_WARN, "group", "groups wait");
    assert_int_equal(c.lines, 2);
    assert_non_null(strstr(c.text, "groups wait (25 such lines left out before)\n"));
    c.now_ms = 100; /* the clock was set back */
    log_seldom(&lg, &limit, LOG_WARN, "group", "groups wait");
    assert_int_equal(c.lines, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_their_form),
        cmocka_unit_test(levels_below_are_dropped),
        cmocka_unit_test(a_peer_cannot_forge_lines),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(a_flood_is_bounded_and_counted),
        cmocka_unit_test(what_stays_as_it_is_is_said_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
