/* Lists of node ids (base/ids.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/ids.h"

#include <cmocka.h>

static void an_id_is_in_a_list_or_not(void **state)
{
    const int32_t v[] = {3, 1, -1};
    (void)state;
    assert_true(id_in(v, 3, 3));
    assert_true(id_in(v, 3, -1));
    assert_false(id_in(v, 2, -1)); /* behind its end */
    assert_false(id_in(v, 3, 2));
}

static void a_list_without_ids_has_none(void **state)
{
    (void)state;
    assert_false(id_in(NULL, 0, 0));
    assert_false(id_in(NULL, -1, 0)); /* null on the wire */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_in_a_list_or_not),
        cmocka_unit_test(a_list_without_ids_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
