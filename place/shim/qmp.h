/* SPDX-License-Identifier: ISC */
/* Tells QEMU to quit or to press the power button. */
#ifndef SHIM_QMP_H
#define SHIM_QMP_H

#include "base/loop.h"

/* Connects, negotiates, sends one command ("quit", "system_powerdown") and goes away by itself. Nothing
 * is told of a failure: what the command is for has a deadline of its own. */
void qmp_send(struct loop *l, const char *socket, const char *command);

#endif
