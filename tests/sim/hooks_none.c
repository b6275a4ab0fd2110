/* The simulator as it is installed (`millrace simulate`): nothing stands between production code
 * and what it calls. */
#include "sim/hooks.h"

const bool hooks_can_break = false;

bool hooks_drop_commit(void)
{
    return false;
}
