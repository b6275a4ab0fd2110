#include "broker/config_def.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/assert.h"

/* Numbers are copied to get a NUL behind them; no legal one is longer. */
enum { NUMBER_MAX = 400 };

const struct config_def *config_find(const struct config_table *t, struct bytes name)
{
    size_t lo = 0;
    size_t hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = bytes_cmp(bytes_str(t->defs[mid].name), name);
        if (c == 0) {
            return &t->defs[mid];
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

const char *config_type_name(uint8_t type)
{
    switch (type) {
    case CONFIG_BOOLEAN:
        return "boolean";
    case CONFIG_STRING:
        return "string";
    case CONFIG_INT:
        return "int";
    case CONFIG_SHORT:
        return "short";
    case CONFIG_LONG:
        return "long";
    case CONFIG_DOUBLE:
        return "double";
    case CONFIG_LIST:
        return "list";
    case CONFIG_CLASS:
        return "class";
    case CONFIG_PASSWORD:
        return "password";
    default:
        UNREACHABLE();
    }
}

/* Java's String.trim: everything up to and including the blank. */
struct bytes config_trim(struct bytes b)
{
    while (b.len && b.data[0] <= ' ') {
        b.data++;
        b.len--;
    }
    while (b.len && b.data[b.len - 1] <= ' ') {
        b.len--;
    }
    return b;
}

struct config_list config_list_start(struct bytes text)
{
    return (struct config_list){text, text.data != NULL && config_trim(text).len > 0};
}

bool config_list_next(struct config_list *l, struct bytes *entry)
{
    if (!l->more) {
        return false;
    }
    const uint8_t *comma = l->rest.len ? memchr(l->rest.data, ',', l->rest.len) : NULL;
    size_t n = comma ? (size_t)(comma - l->rest.data) : l->rest.len;
    *entry = config_trim(bytes_of(l->rest.data, n));
    l->more = comma != NULL;
    if (comma) {
        l->rest = bytes_of(comma + 1, l->rest.len - n - 1);
    }
    return true;
}

size_t config_list_count(struct bytes text)
{
    struct config_list l = config_list_start(text);
    struct bytes entry;
    size_t n = 0;
    while (config_list_next(&l, &entry)) {
        n++;
    }
    return n;
}

bool config_list_has(struct bytes text, const char *entry)
{
    struct config_list l = config_list_start(text);
    struct bytes e;
    while (config_list_next(&l, &e)) {
        if (bytes_eq_str(e, entry)) {
            return true;
        }
    }
    return false;
}

static int refuse(const struct config_def *d, struct bytes value, struct errmsg *em)
{
    if (d->sensitive) {
        return errmsg_set(em, ERR_INVALID, "%s: the value is not allowed; allowed: %s", d->name,
                          d->valid);
    }
    return errmsg_set(em, ERR_INVALID, "%s=%.*s is not allowed; allowed: %s", d->name,
                      value.len > 200 ? 200 : BYTES_FMT(value), d->valid);
}

/* Copies b with a NUL behind it into out; false if it does not fit or has a NUL inside. */
static bool copy_text(struct bytes b, char out[NUMBER_MAX])
{
    if (b.len >= NUMBER_MAX || memchr(b.data, 0, b.len)) {
        return false;
    }
    memcpy(out, b.data, b.len);
    out[b.len] = 0;
    return true;
}

/* Whole decimal numbers with an optional sign, as Java reads them. */
static bool parse_integer(struct bytes b, int64_t min, int64_t max, int64_t *out)
{
    char text[NUMBER_MAX];
    char *end;
    if (b.len == 0 || !copy_text(b, text)) {
        return false;
    }
    size_t digits = text[0] == '-' || text[0] == '+' ? 1 : 0;
    if (text[digits] < '0' || text[digits] > '9') {
        return false;
    }
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end || v < min || v > max) {
        return false;
    }
    *out = v;
    return true;
}

static bool parse_real(struct bytes b, double *out)
{
    char text[NUMBER_MAX];
    char *end;
    if (b.len == 0 || !copy_text(b, text)) {
        return false;
    }
    /* Java allows a type letter behind a number; words other than digits are not for us. */
    bool hex = strpbrk(text, "xX") != NULL;
    char last = text[b.len - 1];
    if (b.len > 1 && (last == 'f' || last == 'F' || last == 'd' || last == 'D') &&
        (!hex || strpbrk(text, "pP"))) {
        text[b.len - 1] = 0;
    }
    if (strpbrk(text, "nN") || strchr(text, ' ')) {
        return false;
    }
    *out = strtod(text, &end);
    return *end == 0 && end != text;
}

static bool check_range(const struct config_def *d, const struct config_value *v)
{
    double x = d->type == CONFIG_DOUBLE ? v->real : (double)v->integer;
    if (d->has_also && x == (double)d->also) {
        return true;
    }
    return x >= d->min && x <= d->max;
}

static bool one_of(const struct config_def *d, struct bytes b)
{
    for (int i = 0; i < d->choices_n; i++) {
        size_t n = strlen(d->choices[i]);
        if (n == b.len && (d->rule == CONFIG_ONE_OF_NO_CASE
                               ? strncasecmp(d->choices[i], (const char *)b.data, n) == 0
                               : memcmp(d->choices[i], b.data, n) == 0)) {
            return true;
        }
    }
    return false;
}

/* PARTITION:BROKER */
static bool is_throttled_replica(struct bytes e)
{
    int64_t n;
    const uint8_t *colon = e.len ? memchr(e.data, ':', e.len) : NULL;
    return colon && parse_integer(bytes_of(e.data, (size_t)(colon - e.data)), 0, INT32_MAX, &n) &&
           parse_integer(bytes_of(colon + 1, e.len - 1 - (size_t)(colon - e.data)), 0, INT32_MAX,
                         &n);
}

static bool check_list(const struct config_def *d, struct bytes text)
{
    struct config_list l = config_list_start(text);
    struct bytes e;
    size_t n = 0;
    while (config_list_next(&l, &e)) {
        n++;
        if (d->rule == CONFIG_THROTTLED) {
            if (!is_throttled_replica(e) && !bytes_eq_str(config_trim(text), "*")) {
                return false;
            }
        } else if (e.len == 0 || (d->rule == CONFIG_ONE_OF && !one_of(d, e))) {
            return false;
        }
    }
    return n > 0 || d->empty_list;
}

/* A duration as ISO 8601 has it, without months and years: PnDTnHnMn.nS. */
static bool is_duration(struct bytes b)
{
    const char *units = "DHMS";
    size_t i = 1;
    size_t unit = 0;
    bool any = false;
    if (b.len < 3 || b.data[0] != 'P') {
        return false;
    }
    while (i < b.len) {
        if (b.data[i] == 'T') {
            i++;
            unit = unit < 1 ? 1 : unit;
        }
        size_t start = i;
        while (i < b.len && ((b.data[i] >= '0' && b.data[i] <= '9') || b.data[i] == '.')) {
            i++;
        }
        const char *u = i < b.len && i > start ? strchr(units + unit, b.data[i]) : NULL;
        if (u == NULL || *u == 0) {
            return false;
        }
        unit = (size_t)(u - units) + 1;
        any = true;
        i++;
    }
    return any;
}

static bool check_text(const struct config_def *d, struct bytes b)
{
    static const char prefix[] = "by_duration:";
    size_t n = sizeof prefix - 1;
    switch (d->rule) {
    case CONFIG_ONE_OF:
    case CONFIG_ONE_OF_NO_CASE:
        return one_of(d, b);
    case CONFIG_NOT_EMPTY:
        return b.len > 0;
    case CONFIG_RESET:
        return one_of(d, b) || (b.len > n && memcmp(b.data, prefix, n) == 0 &&
                                is_duration(bytes_of(b.data + n, b.len - n)));
    default:
        return true;
    }
}

static bool parse_boolean(struct bytes b, bool *out)
{
    *out = b.len == 4 && strncasecmp((const char *)b.data, "true", 4) == 0;
    return *out || (b.len == 5 && strncasecmp((const char *)b.data, "false", 5) == 0);
}

int config_parse(const struct config_def *d, struct bytes text, struct config_value *out,
                 struct errmsg *em)
{
    *out = (struct config_value){0};
    if (bytes_is_null(text)) {
        if (d->def != NULL || d->required) {
            return errmsg_set(em, ERR_INVALID, "%s has no value; allowed: %s", d->name, d->valid);
        }
        out->null = true;
        return 0;
    }
    out->text = config_trim(text);
    bool good = false;
    switch (d->type) {
    case CONFIG_BOOLEAN:
        good = parse_boolean(out->text, &out->boolean);
        break;
    case CONFIG_INT:
        good = parse_integer(out->text, INT32_MIN, INT32_MAX, &out->integer);
        break;
    case CONFIG_SHORT:
        good = parse_integer(out->text, INT16_MIN, INT16_MAX, &out->integer);
        break;
    case CONFIG_LONG:
        good = parse_integer(out->text, INT64_MIN, INT64_MAX, &out->integer);
        break;
    case CONFIG_DOUBLE:
        good = parse_real(out->text, &out->real);
        break;
    case CONFIG_LIST:
        return check_list(d, out->text) ? 0 : refuse(d, text, em);
    default:
        return check_text(d, out->text) ? 0 : refuse(d, text, em);
    }
    if (!good) {
        return errmsg_set(em, ERR_INVALID, "%s=%.*s is not %s %s; allowed: %s", d->name,
                          text.len > 200 ? 200 : BYTES_FMT(text),
                          d->type == CONFIG_INT ? "an" : "a", config_type_name(d->type), d->valid);
    }
    if (d->rule == CONFIG_RANGE && !check_range(d, out)) {
        return refuse(d, text, em);
    }
    return 0;
}

/* Entry i of the list stands earlier in it already. */
static bool list_seen_before(struct bytes text, size_t i, struct bytes entry)
{
    struct config_list l = config_list_start(text);
    struct bytes e;
    for (size_t k = 0; k < i && config_list_next(&l, &e); k++) {
        if (bytes_eq(e, entry)) {
            return true;
        }
    }
    return false;
}

static void print_list(const struct config_def *d, struct bytes text, struct buf *out)
{
    struct config_list l = config_list_start(text);
    struct bytes e;
    bool first = true;
    for (size_t i = 0; config_list_next(&l, &e); i++) {
        if (d->rule != CONFIG_THROTTLED && list_seen_before(text, i, e)) {
            continue;
        }
        if (!first) {
            buf_put_u8(out, ',');
        }
        first = false;
        buf_put(out, e.data, e.len);
    }
}

void config_print_double(double v, struct buf *out)
{
    char text[64];
    int prec = 1;
    int exp10;
    char digits[32];
    /* the shortest digits that read back as the same number */
    do {
        snprintf(text, sizeof text, "%.*e", prec - 1, v);
    } while (strtod(text, NULL) != v && ++prec <= 17);
    const char *p = text;
    if (*p == '-') {
        buf_put_u8(out, '-');
        p++;
    }
    size_t n = 0;
    for (; *p && *p != 'e'; p++) {
        if (*p != '.') {
            digits[n++] = *p;
        }
    }
    exp10 = atoi(p + 1);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    if (v != 0 && (exp10 < -3 || exp10 >= 7)) {
        buf_printf(out, "%c.%.*sE%d", digits[0], n > 1 ? (int)n - 1 : 1, n > 1 ? digits + 1 : "0",
                   exp10);
    } else if (exp10 < 0) {
        buf_printf(out, "0.%.*s%.*s", -exp10 - 1, "000", (int)n, digits);
    } else {
        for (int i = 0; i <= exp10; i++) {
            buf_put_u8(out, (uint8_t)((size_t)i < n ? digits[i] : '0'));
        }
        buf_put_u8(out, '.');
        if (n > (size_t)exp10 + 1) {
            buf_put(out, digits + exp10 + 1, n - (size_t)exp10 - 1);
        } else {
            buf_put_u8(out, '0');
        }
    }
}

void config_print(const struct config_def *d, const struct config_value *v, struct buf *out)
{
    switch (d->type) {
    case CONFIG_BOOLEAN:
        buf_put_str(out, v->boolean ? "true" : "false");
        break;
    case CONFIG_INT:
    case CONFIG_SHORT:
    case CONFIG_LONG:
        buf_printf(out, "%lld", (long long)v->integer);
        break;
    case CONFIG_DOUBLE:
        config_print_double(v->real, out);
        break;
    case CONFIG_LIST:
        print_list(d, v->text, out);
        break;
    default:
        buf_put(out, v->text.data, v->text.len);
    }
}
