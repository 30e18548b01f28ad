/* SPDX-License-Identifier: ISC */
/* Admission: what was accepted starts when the host has room for it. */
#include "daemon/core/fleet_int.h"

void admit(struct unit *u)
{
	start_begin(u);
}
