/* Error codes, their texts, errno, and sentences. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

static void every_code_has_its_own_text(void **state)
{
    (void)state;
#define CODE_(name, code, text) name,
    static const int all[] = {ERR_MAP(CODE_)};
#undef CODE_
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_true(all[i] < 0);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(all[i], all[k]);
            assert_string_not_equal(err_text(all[i]), err_text(all[k]));
        }
    }
    assert_string_equal(err_text(ERR_NOSPACE), "no space left on the disk");
    assert_string_equal(err_text(0), "unknown error");
    assert_string_equal(err_text(-9999), "unknown error");
}

static void errno_values_are_mapped(void **state)
{
    (void)state;
    assert_int_equal(err_from_errno(ENOSPC), ERR_NOSPACE);
    assert_int_equal(err_from_errno(EDQUOT), ERR_NOSPACE);
    assert_int_equal(err_from_errno(EMFILE), ERR_MFILE);
    assert_int_equal(err_from_errno(ENOENT), ERR_NOTFOUND);
    assert_int_equal(err_from_errno(ECONNRESET), ERR_CLOSED);
    assert_int_equal(err_from_errno(ECONNREFUSED), ERR_REFUSED);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(ENOTTY), ERR_IO); /* no closer one */
}

static void sentences_are_cut_not_overrun(void **state)
{
    (void)state;
    struct errmsg em;
    assert_int_equal(errmsg_set(&em, ERR_RANGE, "%s=%d", "num.partitions", -1), ERR_RANGE);
    assert_string_equal(em.text, "num.partitions=-1");
    assert_int_equal(errmsg_set(&em, ERR_RANGE, "%0*d", 2000, 0), ERR_RANGE);
    assert_int_equal(strlen(em.text), sizeof em.text - 1);
    assert_int_equal(errmsg_set(NULL, ERR_RANGE, "nobody reads this"), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_text),
        cmocka_unit_test(errno_values_are_mapped),
        cmocka_unit_test(sentences_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
