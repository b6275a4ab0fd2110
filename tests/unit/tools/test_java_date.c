/* Java's SimpleDateFormat: what it was seen to write, in three time zones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/assert.h"
#include "tools/java_date.h"

static const struct seen {
    const char *zone;
    int64_t ms;
    const char *pattern, *text;
} seen[] = {
    {"UTC", 0, "yyyy-MM-dd HH:mm:ss:SSS", "1970-01-01 00:00:00:000"},
    {"UTC", 0, "yy/M/d h:m:s a", "70/1/1 12:0:0 AM"},
    {"UTC", 0, "EEE, d MMM yyyy HH:mm:ss Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
    {"UTC", 0,
     "EEEE d MMMM y X XX X"
     "XX",
     "Thursday 1 January 1970 Z Z Z"},
    {"UTC", 0, "k K h kk D DDD 'at' '' 'o''clock'", "24 0 12 24 1 001 at ' o'clock"},
    {"UTC", 0, "S SS SSSS", "0 00 0000"},
    {"UTC", 0, "'it''s' MMM", "it's Jan"},
    {"UTC", 951782400123, "yyyy-MM-dd HH:mm:ss:SSS", "2000-02-29 00:00:00:123"},
    {"UTC", 951782400123, "yy/M/d h:m:s a", "00/2/29 12:0:0 AM"},
    {"UTC", 951782400123, "EEE, d MMM yyyy HH:mm:ss Z", "Tue, 29 Feb 2000 00:00:00 +0000"},
    {"UTC", 951782400123,
     "EEEE d MMMM y X XX X"
     "XX",
     "Tuesday 29 February 2000 Z Z Z"},
    {"UTC", 951782400123, "k K h kk D DDD 'at' '' 'o''clock'", "24 0 12 24 60 060 at ' o'clock"},
    {"UTC", 951782400123, "S SS SSSS", "123 123 0123"},
    {"UTC", 951782400123, "'it''s' MMM", "it's Feb"},
    {"UTC", 1795920286364, "yyyy-MM-dd HH:mm:ss:SSS", "2026-11-29 02:44:46:364"},
    {"UTC", 1795920286364, "yy/M/d h:m:s a", "26/11/29 2:44:46 AM"},
    {"UTC", 1795920286364, "EEE, d MMM yyyy HH:mm:ss Z", "Sun, 29 Nov 2026 02:44:46 +0000"},
    {"UTC", 1795920286364,
     "EEEE d MMMM y X XX X"
     "XX",
     "Sunday 29 November 2026 Z Z Z"},
    {"UTC", 1795920286364, "k K h kk D DDD 'at' '' 'o''clock'", "2 2 2 02 333 333 at ' o'clock"},
    {"UTC", 1795920286364, "S SS SSSS", "364 364 0364"},
    {"UTC", 1795920286364, "'it''s' MMM", "it's Nov"},
    {"UTC", 1710123456007, "yyyy-MM-dd HH:mm:ss:SSS", "2024-03-11 02:17:36:007"},
    {"UTC", 1710123456007, "yy/M/d h:m:s a", "24/3/11 2:17:36 AM"},
    {"UTC", 1710123456007, "EEE, d MMM yyyy HH:mm:ss Z", "Mon, 11 Mar 2024 02:17:36 +0000"},
    {"UTC", 1710123456007,
     "EEEE d MMMM y X XX X"
     "XX",
     "Monday 11 March 2024 Z Z Z"},
    {"UTC", 1710123456007, "k K h kk D DDD 'at' '' 'o''clock'", "2 2 2 02 71 071 at ' o'clock"},
    {"UTC", 1710123456007, "S SS SSSS", "7 07 0007"},
    {"UTC", 1710123456007, "'it''s' MMM", "it's Mar"},
    {"UTC", 1704067199999, "yyyy-MM-dd HH:mm:ss:SSS", "2023-12-31 23:59:59:999"},
    {"UTC", 1704067199999, "yy/M/d h:m:s a", "23/12/31 11:59:59 PM"},
    {"UTC", 1704067199999, "EEE, d MMM yyyy HH:mm:ss Z", "Sun, 31 Dec 2023 23:59:59 +0000"},
    {"UTC", 1704067199999,
     "EEEE d MMMM y X XX X"
     "XX",
     "Sunday 31 December 2023 Z Z Z"},
    {"UTC", 1704067199999, "k K h kk D DDD 'at' '' 'o''clock'", "23 11 11 23 365 365 at ' o'clock"},
    {"UTC", 1704067199999, "S SS SSSS", "999 999 0999"},
    {"UTC", 1704067199999, "'it''s' MMM", "it's Dec"},
    {"Asia/Kolkata", 0, "yyyy-MM-dd HH:mm:ss:SSS", "1970-01-01 05:30:00:000"},
    {"Asia/Kolkata", 0, "yy/M/d h:m:s a", "70/1/1 5:30:0 AM"},
    {"Asia/Kolkata", 0, "EEE, d MMM yyyy HH:mm:ss Z", "Thu, 1 Jan 1970 05:30:00 +0530"},
    {"Asia/Kolkata", 0,
     "EEEE d MMMM y X XX X"
     "XX",
     "Thursday 1 January 1970 +05 +0530 +05:30"},
    {"Asia/Kolkata", 0, "k K h kk D DDD 'at' '' 'o''clock'", "5 5 5 05 1 001 at ' o'clock"},
    {"Asia/Kolkata", 0, "S SS SSSS", "0 00 0000"},
    {"Asia/Kolkata", 0, "'it''s' MMM", "it's Jan"},
    {"Asia/Kolkata", 1710123456007, "yyyy-MM-dd HH:mm:ss:SSS", "2024-03-11 07:47:36:007"},
    {"Asia/Kolkata", 1710123456007, "yy/M/d h:m:s a", "24/3/11 7:47:36 AM"},
    {"Asia/Kolkata", 1710123456007, "EEE, d MMM yyyy HH:mm:ss Z",
     "Mon, 11 Mar 2024 07:47:36 +0530"},
    {"Asia/Kolkata", 1710123456007,
     "EEEE d MMMM y X XX X"
     "XX",
     "Monday 11 March 2024 +05 +0530 +05:30"},
    {"Asia/Kolkata", 1710123456007, "k K h kk D DDD 'at' '' 'o''clock'",
     "7 7 7 07 71 071 at ' o'clock"},
    {"Asia/Kolkata", 1710123456007, "S SS SSSS", "7 07 0007"},
    {"Asia/Kolkata", 1710123456007, "'it''s' MMM", "it's Mar"},
    {"America/St_Johns", 0, "yyyy-MM-dd HH:mm:ss:SSS", "1969-12-31 20:30:00:000"},
    {"America/St_Johns", 0, "yy/M/d h:m:s a", "69/12/31 8:30:0 PM"},
    {"America/St_Johns", 0, "EEE, d MMM yyyy HH:mm:ss Z", "Wed, 31 Dec 1969 20:30:00 -0330"},
    {"America/St_Johns", 0,
     "EEEE d MMMM y X XX X"
     "XX",
     "Wednesday 31 December 1969 -03 -0330 -03:30"},
    {"America/St_Johns", 0, "k K h kk D DDD 'at' '' 'o''clock'", "20 8 8 20 365 365 at ' o'clock"},
    {"America/St_Johns", 0, "S SS SSSS", "0 00 0000"},
    {"America/St_Johns", 0, "'it''s' MMM", "it's Dec"},
    {"America/St_Johns", 1710123456007, "yyyy-MM-dd HH:mm:ss:SSS", "2024-03-10 23:47:36:007"},
    {"America/St_Johns", 1710123456007, "yy/M/d h:m:s a", "24/3/10 11:47:36 PM"},
    {"America/St_Johns", 1710123456007, "EEE, d MMM yyyy HH:mm:ss Z",
     "Sun, 10 Mar 2024 23:47:36 -0230"},
    {"America/St_Johns", 1710123456007,
     "EEEE d MMMM y X XX X"
     "XX",
     "Sunday 10 March 2024 -02 -0230 -02:30"},
    {"America/St_Johns", 1710123456007, "k K h kk D DDD 'at' '' 'o''clock'",
     "23 11 11 23 70 070 at ' o'clock"},
    {"America/St_Johns", 1710123456007, "S SS SSSS", "7 07 0007"},
    {"America/St_Johns", 1710123456007, "'it''s' MMM", "it's Mar"},
};

static void as_java_writes_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        struct buf out = {0};
        struct errmsg em;
        setenv("TZ", seen[i].zone, 1);
        tzset();
        assert_int_equal(java_date_check(seen[i].pattern, &em), 0);
        java_date_put(&out, seen[i].pattern, seen[i].ms);
        assert_string_equal(buf_cstr(&out), seen[i].text);
        buf_free(&out);
    }
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    struct errmsg em;
    assert_int_equal(java_date_check("yyyy-MM-dd b", &em), ERR_INVALID);
    assert_string_equal(em.text, "Illegal pattern character 'b' in 'yyyy-MM-dd b'");
    assert_int_equal(java_date_check("yyyy 'at", &em), ERR_INVALID);
    assert_string_equal(em.text, "Unterminated quote in 'yyyy 'at'");
    assert_int_equal(java_date_check("", &em), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_java_writes_it),
        cmocka_unit_test(bad_patterns_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
