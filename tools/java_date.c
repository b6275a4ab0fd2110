#include "tools/java_date.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

int java_date_check(const char *pattern, struct errmsg *em)
{
    bool quoted = false;
    for (const char *s = pattern; *s; s++) {
        if (*s == '\'') {
            quoted = !quoted;
        } else if (!quoted && isalpha((unsigned char)*s) && !strchr("yMdDHkKhmsSaEzZX", *s)) {
            return errmsg_set(em, ERR_INVALID, "Illegal pattern character '%c' in '%s'", *s,
                              pattern);
        }
    }
    return quoted ? errmsg_set(em, ERR_INVALID, "Unterminated quote in '%s'", pattern) : 0;
}

static void put_number(struct buf *out, int width, int v)
{
    buf_printf(out, "%0*d", width, v);
}

/* A name, cut to three letters unless four are asked for. */
static void put_name(struct buf *out, int width, const char *name)
{
    buf_put(out, name, width < 4 ? 3 : strlen(name));
}

static void put_zone(struct buf *out, char letter, int width, const struct tm *t)
{
    long minutes = t->tm_gmtoff / 60, off = minutes < 0 ? -minutes : minutes;
    if (letter == 'z') {
        buf_put_str(out, t->tm_zone);
    } else if (letter == 'X' && minutes == 0) {
        buf_put_u8(out, 'Z');
    } else {
        buf_printf(out, "%c%02ld", minutes < 0 ? '-' : '+', off / 60);
        if (letter == 'Z' || width > 1) {
            buf_printf(out, "%s%02ld", letter == 'X' && width > 2 ? ":" : "", off % 60);
        }
    }
}

/* `width` letters of one kind. */
static void put_field(struct buf *out, char letter, int width, const struct tm *t, int ms)
{
    int year = t->tm_year + 1900, half = t->tm_hour % 12;
    switch (letter) {
    case 'y':
        put_number(out, width, width == 2 ? year % 100 : year);
        break;
    case 'M':
        if (width > 2) {
            put_name(out, width, months[t->tm_mon]);
        } else {
            put_number(out, width, t->tm_mon + 1);
        }
        break;
    case 'd':
        put_number(out, width, t->tm_mday);
        break;
    case 'D':
        put_number(out, width, t->tm_yday + 1);
        break;
    case 'H':
        put_number(out, width, t->tm_hour);
        break;
    case 'k':
        put_number(out, width, t->tm_hour ? t->tm_hour : 24);
        break;
    case 'K':
        put_number(out, width, half);
        break;
    case 'h':
        put_number(out, width, half ? half : 12);
        break;
    case 'm':
        put_number(out, width, t->tm_min);
        break;
    case 's':
        put_number(out, width, t->tm_sec);
        break;
    case 'S':
        put_number(out, width, ms);
        break;
    case 'a':
        buf_put_str(out, t->tm_hour < 12 ? "AM" : "PM");
        break;
    case 'E':
        put_name(out, width, days[t->tm_wday]);
        break;
    default:
        put_zone(out, letter, width, t);
        break;
    }
}

void java_date_put(struct buf *out, const char *pattern, int64_t ms)
{
    time_t secs = (time_t)(ms / 1000);
    struct tm t;
    bool quoted = false;
    localtime_r(&secs, &t);
    for (const char *s = pattern; *s; s++) {
        if (s[0] == '\'' && s[1] == '\'') {
            buf_put_u8(out, (uint8_t)*s++);
        } else if (*s == '\'') {
            quoted = !quoted;
        } else if (quoted || !isalpha((unsigned char)*s)) {
            buf_put_u8(out, (uint8_t)*s);
        } else {
            int width = 1;
            while (s[1] == s[0]) {
                width++;
                s++;
            }
            put_field(out, *s, width, &t, (int)(ms % 1000));
        }
    }
}
