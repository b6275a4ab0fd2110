#include "tools/reset_time.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

/* At least one digit, at most max of them, a value in [lo, hi]. */
static bool number(const char **at, int max, int64_t lo, int64_t hi, int64_t *out)
{
    int n = 0;
    *out = 0;
    while (n < max && isdigit((unsigned char)**at)) {
        *out = *out * 10 + (*(*at)++ - '0');
        n++;
    }
    return n > 0 && *out >= lo && *out <= hi;
}

static bool literal(const char **at, char c)
{
    if (**at != c) {
        return false;
    }
    ++*at;
    return true;
}

/* Days from 1970-01-01 to that day of the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t days_in_month(int64_t y, int64_t m)
{
    static const int n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return n[m - 1] + (m == 2 && leap);
}

/* "", "Z", "+hh", "+hhmm", "+hh:mm" to the end. */
static bool zone(const char **at, int64_t *minutes)
{
    int64_t h, m = 0;
    *minutes = 0;
    if (**at == 0 || (**at == 'Z' && (*at)[1] == 0)) {
        return true;
    }
    bool west = **at == '-';
    if ((!west && **at != '+') || (++*at, !number(at, 2, 0, 23, &h))) {
        return false;
    }
    if (**at && (literal(at, ':'), !number(at, 2, 0, 59, &m))) {
        return false;
    }
    *minutes = (h * 60 + m) * (west ? -1 : 1);
    return **at == 0;
}

int parse_datetime(const char *text, int64_t *ms, struct errmsg *em)
{
    const char *at = text;
    int64_t y, mo, d, h, mi, s, milli, off;
    if (number(&at, 9, 1, 999999999, &y) && literal(&at, '-') && number(&at, 9, 1, 12, &mo) &&
        literal(&at, '-') && number(&at, 9, 1, days_in_month(y, mo), &d) && literal(&at, 'T') &&
        number(&at, 9, 0, 23, &h) && literal(&at, ':') && number(&at, 9, 0, 59, &mi) &&
        literal(&at, ':') && number(&at, 9, 0, 59, &s) && literal(&at, '.') &&
        number(&at, 9, 0, 999, &milli) && zone(&at, &off)) {
        *ms = ((days(y, mo, d) * 24 + h) * 60 + mi - off) * 60000 + s * 1000 + milli;
        return 0;
    }
    return errmsg_set(em, ERR_INVALID,
                      "Unparseable date: \"%s\"; it is written YYYY-MM-DDTHH:mm:ss.sss, with Z or "
                      "+hh:mm behind it if it is not UTC",
                      text);
}

/* One part of a duration; *any: there was one. false: it is no number of that unit. */
static bool part(const char **at, int64_t *n, int64_t *nanos)
{
    int sign = **at == '-' ? -1 : 1;
    const char *s = *at + (**at == '-' || **at == '+');
    *nanos = 0;
    if (!number(&s, 15, 0, INT64_MAX, n)) {
        return false;
    }
    if (*s == '.' || *s == ',') {
        int64_t scale = 100000000;
        for (s++; isdigit((unsigned char)*s) && scale; s++, scale /= 10) {
            *nanos += (*s - '0') * scale;
        }
        *nanos *= sign;
    }
    *n *= sign;
    *at = s;
    return true;
}

/* The parts, each unit at most once and in order; units before T: D, behind it: H, M, S. */
static bool parts(const char *at, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'D', 86400000}, {'H', 3600000}, {'M', 60000}, {'S', 1000}};
    size_t next = 0, behind_t = 0;
    bool any = false, in_time = false;
    *ms = 0;
    while (*at) {
        int64_t n, nanos;
        if (!in_time && toupper((unsigned char)*at) == 'T') {
            in_time = true;
            next = next ? next : 1;
            at++;
            continue;
        }
        if (!part(&at, &n, &nanos)) {
            return false;
        }
        while (next < ARRAY_LEN(units) && units[next].unit != toupper((unsigned char)*at)) {
            next++;
        }
        if (next == ARRAY_LEN(units) || (next > 0) != in_time || (nanos && next != 3) ||
            __builtin_mul_overflow(n, units[next].ms, &n) || __builtin_add_overflow(*ms, n, ms)) {
            return false;
        }
        *ms += nanos / 1000000;
        next++;
        at++;
        any = true;
        behind_t += in_time;
    }
    return any && (!in_time || behind_t > 0);
}

int parse_duration(const char *text, int64_t *ms, struct errmsg *em)
{
    int sign = *text == '-' ? -1 : 1;
    const char *at = text + (*text == '-' || *text == '+');
    if (toupper((unsigned char)*at) == 'P' && parts(at + 1, ms)) {
        *ms *= sign;
        return 0;
    }
    return errmsg_set(em, ERR_INVALID,
                      "Text cannot be parsed to a Duration: \"%s\"; it is written PnDTnHnMnS, say "
                      "PT1H30M",
                      text);
}
