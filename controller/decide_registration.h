/* What a controller says of itself to the active one, which may be itself. In the arena and cfg. */
#ifndef CONTROLLER_DECIDE_REGISTRATION_H
#define CONTROLLER_DECIDE_REGISTRATION_H

#include "base/arena.h"
#include "controller/controller.h"
#include "proto_messages.h"

void decide_fill_registration(const struct controller_config *cfg, struct uuid incarnation,
                              struct arena *a, struct controller_registration_request *q);

#endif
