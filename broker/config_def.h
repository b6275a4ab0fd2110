/* What settings there are: one struct config_def per name, in tables that gen/gen_configs.py makes
 * from configs/.tsv files, and the parsing and checking of one value.
 *
 * Types and rules are Kafka's: text is trimmed, lists are split at commas, doubled entries of a
 * list are dropped (but where Kafka keeps them). A bad value gets a sentence that names setting,
 * value and what is allowed. Nothing here knows where a value came from: config.c (files, command
 * line), dynamic_config.c and topic_config.c (metadata) do. */
#ifndef BROKER_CONFIG_DEF_H
#define BROKER_CONFIG_DEF_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* The numbers are those of DescribeConfigs (ConfigType). */
enum config_type {
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_SHORT = 4,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7,
    CONFIG_CLASS = 8,
    CONFIG_PASSWORD = 9,
};

enum config_update { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };

/* Does Millrace act on it? */
enum config_served {
    CONFIG_SERVED,     /* yes */
    CONFIG_NOT_YET,    /* known; a later version will: setting it warns */
    CONFIG_NOT_NEEDED, /* known; means nothing here, the doc says why: setting it is noted */
};

enum config_rule {
    CONFIG_ANY,
    CONFIG_RANGE,          /* min <= x <= max, or x == also */
    CONFIG_ONE_OF,         /* one of choices; for a list: every entry is */
    CONFIG_ONE_OF_NO_CASE, /* the same, case ignored */
    CONFIG_NOT_EMPTY,      /* text or list */
    CONFIG_THROTTLED,      /* "*", or a list of PARTITION:BROKER */
    CONFIG_RESET,          /* latest, earliest, none, by_duration:PnDTnHnMn.nS */
};

struct config_synonym {
    const char *name; /* a broker setting */
    int64_t factor;   /* its value times this is the value */
};

struct config_def {
    const char *name;
    const char *def;   /* default as text; NULL: none */
    const char *valid; /* what is allowed, for people */
    const char *doc;   /* one or two sentences of ours */
    const char *const *choices;
    const struct config_synonym *synonyms; /* in order of precedence; the first may be the name */
    double min;
    double max;
    int16_t choices_n;
    uint8_t synonyms_n;
    uint8_t type;   /* enum config_type */
    uint8_t rule;   /* enum config_rule */
    uint8_t update; /* enum config_update */
    uint8_t served; /* enum config_served */
    bool has_also;
    int64_t also; /* allowed beside the range */
    bool required;
    bool sensitive;  /* never shown */
    bool internal;   /* shown only when set */
    bool ours;       /* not a setting of Kafka's */
    bool empty_list; /* the list may be empty */
};

struct config_table {
    const struct config_def *defs; /* sorted by name */
    size_t n;
};

extern const struct config_table config_broker_table; /* Kafka's broker settings and ours */
extern const struct config_table config_topic_table;
extern const struct config_table config_group_table;
extern const struct config_table config_client_metrics_table;
extern const struct config_table config_quota_table; /* dynamic broker quotas */

/* NULL: no such name. */
const struct config_def *config_find(const struct config_table *t, struct bytes name);

/* A parsed value; which member counts follows from the type. Nulls have `null` set. */
struct config_value {
    bool null;
    bool boolean;
    int64_t integer; /* INT, SHORT, LONG */
    double real;
    struct bytes text; /* STRING, CLASS, PASSWORD, LIST: trimmed; points into the input */
};

/* ERR_INVALID with a sentence. text may be null. A null is refused unless the setting has no
 * default. */
int config_parse(const struct config_def *d, struct bytes text, struct config_value *out,
                 struct errmsg *em);
/* Appends the value as Kafka prints it (what DescribeConfigs shows): lists joined by commas without
 * doubles, numbers in their plain form. */
void config_print(const struct config_def *d, const struct config_value *v, struct buf *out);
/* Walks a list; entries are trimmed; an empty text has none, an entry between or behind commas may
 * be empty. */
struct config_list {
    struct bytes rest;
    bool more;
};
struct config_list config_list_start(struct bytes text);
bool config_list_next(struct config_list *l, struct bytes *entry);
size_t config_list_count(struct bytes text);
bool config_list_has(struct bytes text, const char *entry);
struct bytes config_trim(struct bytes b);
/* A double as Java prints it (0.5, 1.0E-4, 1.7976931348623157E308). */
void config_print_double(double v, struct buf *out);
const char *config_type_name(uint8_t type); /* "int" */

#endif
