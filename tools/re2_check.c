/* A reader of RE2's syntax that builds nothing: one pass, a stack of open parentheses by counting,
 * and the rules of what may be repeated. */
#include "tools/re2_check.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { REPEAT_MAX = 1000, NAMES_MAX = 64, DEPTH_MAX = 1000 };

struct re2 {
    const char *at;
    const char *why;          /* NULL: good so far */
    const char *after_repeat; /* where the last repetition ended */
    int depth;                /* of parentheses */
    bool atom;                /* something stands here that could be repeated */
    struct {
        const char *s;
        size_t n;
    } names[NAMES_MAX]; /* of captures */
    size_t names_n;
};

static bool bad(struct re2 *r, const char *why)
{
    r->why = r->why ? r->why : why;
    return false;
}

static const char invalid_escape[] = "invalid escape sequence";
static const char invalid_range[] = "invalid character class range";
static const char missing_paren[] = "missing closing )";
static const char missing_bracket[] = "missing closing ]";

/* \x41 or \x{10FFFF}, at behind the x. */
static bool hex_escape(struct re2 *r, long *c)
{
    char digits[10] = "";
    size_t n = 0, braces = *r->at == '{';
    r->at += braces;
    while (isxdigit((unsigned char)*r->at) && n < (braces ? 8U : 2U)) {
        digits[n++] = *r->at++;
    }
    *c = strtol(digits, NULL, 16);
    if (braces ? n == 0 || *r->at != '}' || *c > 0x10ffff : n != 2) {
        return bad(r, invalid_escape);
    }
    r->at += braces;
    return true;
}

/* Behind a backslash: one character. */
static bool escape(struct re2 *r, long *c)
{
    static const char names[] = "afnrtv", values[] = "\a\f\n\r\t\v";
    *c = (unsigned char)*r->at;
    if (*r->at == 0) {
        return bad(r, "trailing backslash at end of expression");
    }
    r->at++;
    if (*c == 'x') {
        return hex_escape(r, c);
    }
    if (*c >= '1' && *c <= '7' && (*r->at < '0' || *r->at > '7')) {
        return bad(r, invalid_escape); /* a back reference */
    }
    if (*c >= '0' && *c <= '7') {
        *c -= '0';
        for (int i = 0; i < 2 && *r->at >= '0' && *r->at <= '7'; i++) {
            *c = *c * 8 + (*r->at++ - '0');
        }
        return true;
    }
    const char *named = strchr(names, (int)*c);
    if (named) {
        *c = values[named - names];
        return true;
    }
    return *c >= 0x80 || !isalnum((int)*c) || bad(r, invalid_escape);
}

/* \d \w \s or \pN \p{Name}: true when one stood there. */
static bool class_escape(struct re2 *r)
{
    if (r->at[0] != '\\' || r->at[1] == 0 || !strchr("dDwWsSpP", r->at[1])) {
        return false;
    }
    bool property = r->at[1] == 'p' || r->at[1] == 'P';
    r->at += 2;
    if (property && *r->at == '{') {
        const char *end = strchr(r->at, '}');
        size_t n = end ? (size_t)(end - r->at) - 1 : 0;
        size_t caret = n && r->at[1] == '^';
        if (end == NULL || n == caret || !isupper((unsigned char)r->at[1 + caret])) {
            bad(r, invalid_range);
            return true;
        }
        r->at = end + 1;
    } else if (property) {
        if (*r->at == 0 || !strchr("CLMNPSZ", *r->at)) {
            bad(r, invalid_range);
            return true;
        }
        r->at++;
    }
    return true;
}

static bool class_char(struct re2 *r, long *c)
{
    if (*r->at == 0) {
        return bad(r, missing_bracket);
    }
    if (*r->at == '\\') {
        r->at++;
        return escape(r, c);
    }
    *c = (unsigned char)*r->at++;
    while (((unsigned char)*r->at & 0xc0) == 0x80) { /* the rest of one of UTF-8 */
        *c = *c << 6 | ((unsigned char)*r->at++ & 0x3f);
    }
    return true;
}

/* [:alpha:]; true when one stood there. */
static bool posix_class(struct re2 *r)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                        "digit", "graph", "lower", "print", "punct",
                                        "space", "upper", "word",  "xdigit"};
    const char *end = strncmp(r->at, "[:", 2) == 0 ? strstr(r->at + 2, ":]") : NULL;
    if (end == NULL) {
        return false;
    }
    const char *name = r->at + 2 + (r->at[2] == '^');
    size_t n = (size_t)(end - name), i = 0;
    while (i < ARRAY_LEN(names) && !(strlen(names[i]) == n && memcmp(names[i], name, n) == 0)) {
        i++;
    }
    if (i == ARRAY_LEN(names)) {
        bad(r, invalid_range);
    }
    r->at = end + 2;
    return true;
}

/* Behind the opening bracket. */
static void char_class(struct re2 *r)
{
    r->at += *r->at == '^';
    for (bool first = true; !r->why && (first || *r->at != ']'); first = false) {
        long lo, hi;
        if (posix_class(r) || class_escape(r)) {
            continue;
        }
        if (!class_char(r, &lo)) {
            return;
        }
        if (r->at[0] == '-' && r->at[1] && r->at[1] != ']') {
            r->at++;
            if (class_char(r, &hi) && hi < lo) {
                bad(r, invalid_range);
            }
        }
    }
    r->at += r->why == NULL;
    r->atom = true;
}

/* {n}, {n,} or {n,m} at the brace; 0: it is none, but literal text. */
static size_t braces(const char *s, long *lo, long *hi)
{
    char *end;
    if (!isdigit((unsigned char)s[1])) {
        return 0;
    }
    *lo = *hi = strtol(s + 1, &end, 10);
    if (*end == ',') {
        s = end + 1;
        *hi = -1;
        end = (char *)(uintptr_t)s;
        if (isdigit((unsigned char)*s)) {
            *hi = strtol(s, &end, 10);
        }
    }
    return *end == '}' ? (size_t)(end - s) + 1 : 0;
}

static void repeat(struct re2 *r, size_t n)
{
    const char *start = r->at;
    r->at += n;
    r->at += *r->at == '?';
    if (r->after_repeat == start) {
        bad(r, "invalid nested repetition operator");
    } else if (!r->atom) {
        bad(r, "missing argument to repetition operator");
    }
    r->after_repeat = r->at;
}

static void brace(struct re2 *r)
{
    long lo, hi;
    const char *end = strchr(r->at, '}');
    if (end == NULL || braces(r->at, &lo, &hi) == 0) {
        r->at++;
        r->atom = true;
    } else if (lo > REPEAT_MAX || hi > REPEAT_MAX || (hi >= 0 && lo > hi)) {
        bad(r, "invalid repeat count");
    } else {
        repeat(r, (size_t)(end - r->at) + 1);
    }
}

/* (?P<name> with at at the name. */
static void named(struct re2 *r)
{
    const char *s = r->at, *end = strchr(s, '>');
    size_t n = end ? (size_t)(end - s) : 0;
    bool ok = n > 0;
    for (size_t i = 0; i < n; i++) {
        ok = ok && (isalnum((unsigned char)s[i]) || s[i] == '_');
    }
    if (!ok) {
        bad(r, "invalid named capture");
        return;
    }
    for (size_t i = 0; i < r->names_n; i++) {
        if (r->names[i].n == n && memcmp(r->names[i].s, s, n) == 0) {
            bad(r, "duplicate capture group name");
            return;
        }
    }
    if (r->names_n < NAMES_MAX) {
        r->names[r->names_n].s = s;
        r->names[r->names_n++].n = n;
    }
    r->at = end + 1;
    r->depth++;
    r->atom = false;
}

/* Behind "(?": flags, and whether a group begins. */
static void perl_group(struct re2 *r)
{
    if (strncmp(r->at, "P<", 2) == 0 || *r->at == '<') {
        r->at += *r->at == 'P' ? 2 : 1;
        named(r);
        return;
    }
    bool flags = false, minus = false;
    for (;; r->at++) {
        if (*r->at && strchr("imsU", *r->at)) {
            flags = true;
        } else if (*r->at == '-' && !minus) {
            minus = true;
            flags = false;
        } else if ((*r->at == ':' || *r->at == ')') && (!minus || flags)) {
            break;
        } else {
            bad(r, "invalid or unsupported Perl syntax");
            return;
        }
    }
    if (*r->at++ == ':') {
        r->depth++;
        r->atom = false;
    }
}

static void backslash(struct re2 *r)
{
    long c;
    if (strncmp(r->at, "\\Q", 2) == 0) {
        const char *end = strstr(r->at, "\\E");
        r->atom = r->atom || (end ? end > r->at + 2 : r->at[2] != 0);
        r->at = end ? end + 2 : r->at + strlen(r->at);
        return;
    }
    if (r->at[1] && strchr("AbBz", r->at[1])) {
        r->at += 2;
    } else if (!class_escape(r)) {
        r->at++;
        escape(r, &c);
    }
    r->atom = true;
}

static void parens(struct re2 *r)
{
    if (*r->at++ == ')') {
        r->atom = true;
        if (r->depth-- == 0) {
            bad(r, "unexpected )");
        }
    } else if (*r->at == '?') {
        r->at++;
        perl_group(r);
    } else {
        r->depth++;
        r->atom = false;
    }
    if (r->depth > DEPTH_MAX) {
        bad(r, "expression nests too deeply");
    }
}

bool re2_check(const char *regex, char *why, size_t n)
{
    struct re2 r = {.at = regex};
    while (*r.at && !r.why) {
        switch (*r.at) {
        case '(':
        case ')':
            parens(&r);
            break;
        case '|':
            r.at++;
            r.atom = false;
            break;
        case '[':
            r.at++;
            char_class(&r);
            break;
        case '*':
        case '+':
        case '?':
            repeat(&r, 1);
            break;
        case '{':
            brace(&r);
            break;
        case '\\':
            backslash(&r);
            break;
        default:
            r.at++;
            r.atom = true;
        }
    }
    if (!r.why && r.depth > 0) {
        bad(&r, missing_paren);
    }
    snprintf(why, n, "%s", r.why ? r.why : "");
    return r.why == NULL;
}
