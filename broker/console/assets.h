/* The console's files as they are compiled in. */
#ifndef BROKER_CONSOLE_ASSETS_H
#define BROKER_CONSOLE_ASSETS_H

#include "base/bytes.h"

struct console_asset {
    const char *name; /* below /console/ */
    const char *type; /* Content-Type */
    const char *etag; /* of the content, in quotes */
    struct bytes plain;
    struct bytes packed; /* by gzip */
};

extern const struct console_asset console_assets[]; /* generated */
extern const size_t console_assets_n;

#endif
