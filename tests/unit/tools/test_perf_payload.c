/* What the perf tools send. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/assert.h"
#include "tools/perf_payload.h"

static void letters_of_the_size_and_never_the_same_next(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 65536, 3 << 20, 5 << 20};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct perf_payload p;
        perf_payload_letters(&p, sizes[k]);
        struct bytes before = {NULL, 0};
        for (int i = 0; i < 50; i++) {
            struct bytes v = perf_payload_next(&p, i);
            assert_int_equal(v.len, sizes[k]);
            assert_true(v.data >= p.text.data && v.data + v.len <= p.text.data + p.text.len);
            assert_true(v.data[0] >= 'A' && v.data[v.len - 1] <= 'Z');
            if (sizes[k] < 1 << 20) {
                assert_ptr_not_equal(v.data, before.data);
            }
            before = v;
        }
        perf_payload_free(&p);
    }
}

static void numbers_count_up(void **state)
{
    (void)state;
    struct perf_payload p;
    perf_payload_numbers(&p);
    assert_true(bytes_eq(perf_payload_next(&p, 0), bytes_str("0")));
    assert_true(bytes_eq(perf_payload_next(&p, INT64_MAX), bytes_str("9223372036854775807")));
    perf_payload_free(&p);
}

/* The parts of a file of that text, each followed by |. */
static void check_parts(const char *text, const char *delimiter, const char *want)
{
    char path[] = "/tmp/perf-payload-XXXXXX";
    struct perf_payload p;
    struct errmsg em;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    int rv = perf_payload_file(&p, path, delimiter, &em);
    unlink(path);
    if (want == NULL) {
        assert_int_equal(rv, ERR_INVALID);
        return;
    }
    assert_int_equal(rv, 0);
    struct buf got = {0};
    for (size_t i = 0; i < p.parts_n; i++) {
        buf_put(&got, p.parts[i].data, p.parts[i].len);
        buf_put_str(&got, "|");
    }
    assert_string_equal(buf_cstr(&got), want);
    for (int i = 0; i < 100; i++) {
        struct bytes v = perf_payload_next(&p, i);
        size_t k = 0;
        while (k < p.parts_n && v.data != p.parts[k].data) {
            k++;
        }
        assert_true(k < p.parts_n);
    }
    buf_free(&got);
    perf_payload_free(&p);
}

static void files_are_cut_at_the_delimiter(void **state)
{
    (void)state;
    check_parts("a\nbb\n\nccc\n\n", "\n", "a|bb||ccc|");
    check_parts("a", "\n", "a|");
    check_parts("\n\n", "\n", "|");
    check_parts("a--b-c", "--", "a|b-c|");
    check_parts("a\nb", "", "a\nb|");
    check_parts("", "\n", NULL);
}

static void a_missing_file_is_said(void **state)
{
    (void)state;
    struct perf_payload p;
    struct errmsg em;
    assert_int_equal(perf_payload_file(&p, "/nonexistent/payload", "\n", &em), ERR_NOTFOUND);
    assert_non_null(strstr(em.text, "/nonexistent/payload"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_the_size_and_never_the_same_next),
        cmocka_unit_test(numbers_count_up),
        cmocka_unit_test(files_are_cut_at_the_delimiter),
        cmocka_unit_test(a_missing_file_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
