/* re2_check says of regular expressions what Kafka's tool says of them
 * (tests/data/tools/regexes.tsv). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tools/re2_check.h"

static void says_what_kafka_says(void **state)
{
    (void)state;
    FILE *f = fopen(TEST_DATA "/tools/regexes.tsv", "r");
    assert_non_null(f);
    char line[512];
    size_t n = 0;
    while (fgets(line, sizeof line, f)) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = 0;
        tab[1 + strcspn(tab + 1, "\n")] = 0;
        if (line[0] == '#') {
            continue;
        }
        char why[128], said[160];
        bool ok = re2_check(line, why, sizeof why);
        snprintf(said, sizeof said, ok ? "valid." : "invalid: %s.", why);
        if (strcmp(said, tab + 1) != 0) {
            print_error("%s\n", line);
        }
        assert_string_equal(said, tab + 1);
        n++;
    }
    fclose(f);
    assert_true(n > 100);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char deep[4001], why[128];
    memset(deep, '(', 2000);
    memset(deep + 2000, ')', 2000);
    deep[4000] = 0;
    assert_false(re2_check(deep, why, sizeof why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_kafka_says),
        cmocka_unit_test(deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
