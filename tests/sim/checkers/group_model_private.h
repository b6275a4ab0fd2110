/* Between group_model.c and group_offsets.c. */
#ifndef SIM_GROUP_MODEL_PRIVATE_H
#define SIM_GROUP_MODEL_PRIVATE_H

#include "sim/checkers/group_model.h"

void group_offsets_init(struct group_model *m, unsigned group);
void group_offsets_free(struct group_model *m, unsigned group);
void group_offsets_down(struct group_model *m, unsigned group, bool lost, bool power);

#endif
