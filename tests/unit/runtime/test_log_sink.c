/* What a real node plugs in at its start: the log's sink and clock, and the limits of the process.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "runtime/limits.h"
#include "runtime/log_sink.h"

enum { THREADS = 4, LINES = 300 };

struct writer {
    pthread_t thread;
    const struct logger *log;
    unsigned index;
};

static void *write_lines(void *arg)
{
    struct writer *w = arg;
    char text[200];
    memset(text, 'a' + (int)w->index, sizeof text);
    for (unsigned i = 0; i < LINES; i++) {
        log_info(w->log, "test", "%u %.*s end", w->index, (int)(i % sizeof text), text);
    }
    return NULL;
}

static void read_all(int fd, struct buf *out)
{
    ssize_t n;
    do {
        buf_reserve(out, 65536);
        n = read(fd, out->data + out->len, 65536);
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
}

/* A whole line of one thread: its letter as often as it says, and nothing of another's. */
static void check_line(const char *line, unsigned lines[THREADS])
{
    const char *at = strstr(line, " INFO  test: ");
    unsigned index;
    char letters[201] = "";
    assert_non_null(at);
    assert_true(sscanf(at, " INFO  test: %u", &index) == 1 && index < THREADS);
    at += strlen(" INFO  test: 0 ");
    if (*at == 'a' + (int)index) {
        assert_int_equal(sscanf(at, "%200[a-z]", letters), 1);
    }
    assert_int_equal(strlen(letters), lines[index] % 200);
    assert_int_equal(strspn(at, (char[]){(char)('a' + index), '\0'}), strlen(letters));
    assert_string_equal(at + strlen(letters), " end");
    lines[index]++;
}

static void lines_of_threads_do_not_mix(void **state)
{
    char path[] = "/tmp/test_log_sink.XXXXXX";
    int fd = mkstemp(path);
    struct writer w[THREADS];
    unsigned lines[THREADS] = {0};
    struct logger log;
    struct buf text = {0};
    char *rest, *line;
    UNUSED(state);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    log_sink_init(&log, LOG_INFO, fd);
    log_debug(&log, "test", "below the level: left out");
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct writer){.log = &log, .index = i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_lines, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    read_all(fd, &text);
    rest = (char *)(uintptr_t)buf_cstr(&text);
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        check_line(line, lines);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(lines[i], LINES);
    }
    buf_free(&text);
    close(fd);
    unlink(path);
}

/* What the journal gets: a level before each line, if the descriptor is what JOURNAL_STREAM names.
 */
static void the_journal_is_told_levels(void **state)
{
    int fds[2], other[2];
    struct stat st;
    struct logger log;
    struct buf text = {0};
    char name[64];
    UNUSED(state);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pipe(other), 0);
    assert_int_equal(fstat(fds[1], &st), 0);
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", name, 1), 0);
    assert_string_equal(log_sink_prefix(fds[1], LOG_ERROR), "<3>");
    assert_string_equal(log_sink_prefix(other[1], LOG_ERROR), "");
    log_sink_init(&log, LOG_DEBUG, fds[1]);
    log_debug(&log, "test", "d");
    log_info(&log, "test", "i");
    log_warn(&log, "test", "w");
    log_error(&log, "test", "e");
    close(fds[1]);
    read_all(fds[0], &text);
    const char *at = buf_cstr(&text);
    static const char *const levels[] = {"<7>2", " DEBUG test: d\n", "<6>2", " INFO  test: i\n",
                                         "<4>2", " WARN  test: w\n", "<3>2", " ERROR test: e\n"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i += 2) {
        assert_memory_equal(at, levels[i], strlen(levels[i]));
        at = strstr(at, levels[i + 1]);
        assert_non_null(at);
        at += strlen(levels[i + 1]);
    }
    assert_string_equal(at, "");
    log_sink_init(&log, LOG_INFO, other[1]);
    log_info(&log, "test", "i");
    close(other[1]);
    buf_clear(&text);
    read_all(other[0], &text);
    assert_int_equal(*buf_cstr(&text), '2'); /* the year: no level */
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    close(fds[0]);
    close(other[0]);
    buf_free(&text);
}

static void a_closed_sink_does_no_harm(void **state)
{
    int fds[2];
    struct logger log;
    struct timespec ts;
    UNUSED(state);
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    close(fds[1]);
    log_sink_init(&log, LOG_INFO, fds[1]);
    log_error(&log, "test", "nobody reads this");
    clock_gettime(CLOCK_REALTIME, &ts);
    assert_true(log.wall_ms(log.ctx) >= (int64_t)ts.tv_sec * 1000);
}

static void descriptors_are_taken_up_to_the_hard_limit(void **state)
{
    struct rlimit rl;
    UNUSED(state);
    assert_int_equal(limits_accept_below(), INT_MAX);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
    rl.rlim_cur = rl.rlim_max / 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
    assert_true(limits_raise_nofile() == rl.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
    assert_true(rl.rlim_cur == rl.rlim_max);
    assert_true(limits_raise_nofile() == rl.rlim_max); /* again: no harm */
    rl.rlim_cur = rl.rlim_max = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
    assert_int_equal(limits_raise_nofile(), 256);
    assert_int_equal(limits_accept_below(), 192); /* a quarter is kept for files */
    limits_keep_memory();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(the_journal_is_told_levels),
        cmocka_unit_test(a_closed_sink_does_no_harm),
        cmocka_unit_test(descriptors_are_taken_up_to_the_hard_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
