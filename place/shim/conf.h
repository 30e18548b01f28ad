/* SPDX-License-Identifier: ISC */
/* place.json: what the daemon wants this shim to hold. */
#ifndef SHIM_CONF_H
#define SHIM_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define CONF_FILE "place.json"
#define CONF_MAX (256 * 1024)
#define CONF_FDS_MAX 24
#define CONF_MOUNTS_MAX 64
#define CONF_AS_IS ((uid_t)-1) /* no change of identity */

enum conf_fd_kind { CONF_FD_RW, CONF_FD_RO, CONF_FD_LISTEN };

struct conf_fd {
	int fd;
	char *path;
	enum conf_fd_kind kind;
};

struct conf_mount {
	char *path;
	bool read_only;
};

struct conf {
	char *place, *driver;
	char **instances; /* the only ones whose terminals a guest may hold */
	char *recordings;
	uint64_t record_max;
	char **argv, **env;
	char *cwd;
	struct conf_fd fds[CONF_FDS_MAX];
	size_t nfds;
	uid_t holder_uid, shim_uid, files_uid;
	gid_t holder_gid, shim_gid, files_gid;
	char *link, *qmp, *egress, *console; /* all but link: NULL when there is none */
	char *files_program;       /* NULL: no folders */
	struct conf_mount mounts[CONF_MOUNTS_MAX];
	size_t nmounts;
	int64_t boot_timeout_ms;
};

/* Parses and checks; unknown members are ignored (a newer daemon). *ret owned: conf_free. */
int conf_parse(const char *text, size_t len, struct conf **ret, struct err *e);
void conf_free(struct conf *c); /* NULL ok */
bool conf_has_instance(const struct conf *c, const char *id);
/* The mount of that path, or NULL. */
const struct conf_mount *conf_mount(const struct conf *c, const char *path);

#endif
