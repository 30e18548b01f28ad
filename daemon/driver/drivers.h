/* SPDX-License-Identifier: ISC */
/* The drivers there are, and what they share in writing place.json. */
#ifndef DAEMON_DRIVER_DRIVERS_H
#define DAEMON_DRIVER_DRIVERS_H

#include "daemon/driver/driver.h"

extern const struct driver driver_qemu, driver_host;

void qemu_finish(void);

/* place.json with what every place has; holder and boot_timeout_ms are the driver's. New reference. */
json_t *place_json_new(const struct driver_env *env, const struct place *p);
/* An entry of holder.fds. New reference. */
json_t *place_json_fd(int fd, const char *path, const char *kind);
json_t *strings_json(char *const *v);
json_t *holder_env(void);

#endif
